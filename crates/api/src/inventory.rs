//! The machine room: sites, racks, SANs.

use crate::there;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Where racks stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Site {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Random.
    #[schema(read_only)]
    pub uuid: Uuid,
    /// Unique among sites.
    pub name: String,
    /// Where it is, as a driver wants to know it.
    pub location: Option<String>,
    /// Racks in it.
    #[schema(read_only)]
    pub racks_count: i64,
    /// Hosts in it, in racks or not.
    #[schema(read_only)]
    pub hosts_count: i64,
    /// When it was made.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Rises when a writable attribute changes.
    pub lock_version: i64,
}

/// What makes a site, or changes one: absent attributes stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SiteCreate {
    /// A DNS label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// See [`Site::location`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub location: Option<Option<String>>,
}

/// What hosts are screwed into.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rack {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Random.
    #[schema(read_only)]
    pub uuid: Uuid,
    /// The site it stands in.
    pub site_id: i64,
    /// Unique in its site.
    pub name: String,
    /// How many units it has; unit 1 is the lowest.
    pub height_units: i64,
    /// How many units hold something, on either side.
    #[schema(read_only)]
    pub units_used: i64,
    /// Hosts that belong to it, also those without a position.
    #[schema(read_only)]
    pub hosts_count: i64,
    /// When it was made.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Rises when a writable attribute changes.
    pub lock_version: i64,
}

/// What makes a rack, or changes one: absent attributes stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RackCreate {
    /// A DNS label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// See [`Rack::site_id`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site_id: Option<i64>,
    /// See [`Rack::height_units`]; 42 for a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height_units: Option<i64>,
}

/// Storage that several hosts reach. It is written down only: no agent can use one yet, and placement never chooses it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct San {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Random.
    #[schema(read_only)]
    pub uuid: Uuid,
    /// Unique among SANs.
    pub name: String,
    /// `recorded`.
    #[schema(read_only)]
    pub status: String,
    /// Why it is not used.
    #[schema(read_only)]
    pub status_reason: Option<String>,
    /// Who made it.
    pub vendor: Option<String>,
    /// What its maker calls it.
    pub model: Option<String>,
    /// Its maker's number for it.
    pub serial: Option<String>,
    /// Where hosts reach it: an iSCSI portal or an NFS export, as in `10.0.9.1:3260` or `nas1:/export/guests`.
    pub target: String,
    /// How much it holds, in bytes.
    pub size_bytes: Option<i64>,
    /// The hosts that reach it, in the order of their ids.
    pub host_ids: Vec<i64>,
    /// When it was made.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Rises when a writable attribute changes.
    pub lock_version: i64,
}

/// What makes a SAN, or changes one: absent attributes stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SanCreate {
    /// A DNS label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// See [`San::vendor`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub vendor: Option<Option<String>>,
    /// See [`San::model`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub model: Option<Option<String>>,
    /// See [`San::serial`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub serial: Option<Option<String>>,
    /// See [`San::target`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// See [`San::size_bytes`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub size_bytes: Option<Option<i64>>,
    /// See [`San::host_ids`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_ids: Option<Vec<i64>>,
}

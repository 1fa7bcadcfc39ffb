//! Networks and their addresses.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Network {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Random.
    #[schema(read_only)]
    pub uuid: Uuid,
    /// Who may use it; everybody, when null.
    pub account_id: Option<i64>,
    /// Unique among networks.
    pub name: String,
    /// The creator's own key: a repeated POST with it answers with the same object.
    pub reference: Option<String>,
    /// `local`: a bridge on each host, hidden behind the host's address.
    pub kind: String,
    /// As in `10.77.0.0/24`.
    pub subnet: String,
    /// The host's address on the bridge.
    #[schema(read_only)]
    pub gateway: String,
    /// Addresses guests can have.
    #[schema(read_only)]
    pub addresses_count: i64,
    /// Of these, how many are free.
    #[schema(read_only)]
    pub addresses_free: i64,
    /// When it was made.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Rises when a writable attribute changes.
    pub lock_version: i64,
}

/// What makes a network.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct NetworkCreate {
    /// A DNS label.
    pub name: Option<String>,
    /// See [`Network::reference`].
    pub reference: Option<String>,
    /// `local`, also when absent.
    pub kind: Option<String>,
    /// IPv4, /16 to /29, written by its first address.
    pub subnet: Option<String>,
    /// See [`Network::account_id`].
    pub account_id: Option<i64>,
}

/// One address of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Address {
    /// Never used twice.
    pub id: i64,
    /// The network it is of.
    pub network_id: i64,
    /// As in `10.77.0.2`.
    pub address: String,
    /// The guest that holds it, if one does.
    pub guest_id: Option<i64>,
    /// When it was last freed; null if it never was held.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub freed_at: Option<Timestamp>,
}

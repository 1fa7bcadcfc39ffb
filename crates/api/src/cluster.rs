//! Clusters: guests that are ordered, shown and ended as one.

use crate::{InterfaceCreate, Placement};
use honcho_model::guest::Power;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Guests of one account that belong together. It lives as long as a guest of it; those are `/v1/guests?cluster=NAME`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cluster {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Random.
    #[schema(read_only)]
    pub uuid: Uuid,
    /// Who owns it.
    pub account_id: i64,
    /// Unique in its account while it is not deleted; its guests have it as their `cluster`.
    pub name: String,
    /// The creator's own key, unique in the account: a repeated POST with it answers with the same object.
    pub reference: Option<String>,
    /// What its guests are in it; of a cancelled one, what they were.
    #[schema(read_only)]
    pub roles: Vec<ClusterRole>,
    /// How many guests it has.
    #[schema(read_only)]
    pub guests_count: i64,
    /// How many of them were last seen running.
    #[schema(read_only)]
    pub running_count: i64,
    /// How many operations of its guests have not ended: 0 once all that was asked for is done.
    #[schema(read_only)]
    pub open_operations_count: i64,
    /// When it was made.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its last guest was cancelled.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub cancelled_at: Option<Timestamp>,
    /// When the grace period of its last guest ends.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub deletes_at: Option<Timestamp>,
    /// When its last guest was gone.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub deleted_at: Option<Timestamp>,
}

/// The guests of one role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterRole {
    /// The role; null of those that have none.
    pub role: Option<String>,
    /// How many there are.
    pub guests_count: i64,
    /// How many of them were last seen running.
    pub running_count: i64,
}

/// What makes a cluster: its roles, and what holds for all of them that do not say otherwise.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ClusterCreate {
    /// Who owns it.
    pub account_id: Option<i64>,
    /// A DNS label.
    pub name: Option<String>,
    /// See [`Cluster::reference`].
    pub reference: Option<String>,
    /// Its roles with their guests: 100 at most. All of them are made, or none.
    pub roles: Option<Vec<ClusterRoleCreate>>,
    /// See [`crate::GuestCreate::image_id`].
    pub image_id: Option<i64>,
    /// See [`crate::GuestCreate::network_id`].
    pub network_id: Option<i64>,
    /// See [`crate::GuestCreate::interfaces`]; no addresses are named here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<InterfaceCreate>>,
    /// See [`crate::GuestCreate::vcpus`].
    pub vcpus: Option<i64>,
    /// See [`crate::GuestCreate::memory_bytes`].
    pub memory_bytes: Option<i64>,
    /// See [`crate::GuestCreate::disk_bytes`].
    pub disk_bytes: Option<i64>,
    /// See [`crate::Guest::cpu_features`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_features: Option<Vec<String>>,
    /// See [`crate::GuestCreate::ssh_keys`].
    pub ssh_keys: Option<Vec<String>>,
    /// See [`crate::GuestCreate::power`].
    #[schema(value_type = Option<String>)]
    pub power: Option<Power>,
    /// See [`crate::GuestCreate::start_alone`].
    pub start_alone: Option<bool>,
    /// See [`crate::GuestCreate::site_id`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_id: Option<i64>,
}

/// Guests of one role. What is absent is as the cluster says.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ClusterRoleCreate {
    /// A DNS label; see [`crate::Guest::role`].
    pub role: Option<String>,
    /// How many; as many as there are `names`, when absent.
    pub count: Option<i64>,
    /// What they are called; CLUSTER-ROLE-1 and so on, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// See [`crate::GuestCreate::image_id`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<i64>,
    /// See [`crate::GuestCreate::network_id`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_id: Option<i64>,
    /// See [`crate::GuestCreate::interfaces`]; addresses are named where there is one guest alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<InterfaceCreate>>,
    /// See [`crate::GuestCreate::vcpus`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcpus: Option<i64>,
    /// See [`crate::GuestCreate::memory_bytes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<i64>,
    /// See [`crate::GuestCreate::disk_bytes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<i64>,
    /// See [`crate::Guest::cpu_features`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_features: Option<Vec<String>>,
    /// See [`crate::GuestCreate::ssh_keys`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_keys: Option<Vec<String>>,
    /// See [`crate::GuestCreate::power`].
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<Power>,
    /// See [`crate::GuestCreate::start_alone`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_alone: Option<bool>,
    /// See [`crate::GuestCreate::site_id`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_id: Option<i64>,
}

/// Where the guests of a cluster would go, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClusterPlacement {
    /// What it would be called.
    pub name: String,
    /// Whether all of its guests found a host.
    pub placed: bool,
    /// Which guest found none, and why.
    pub reason: Option<String>,
    /// Its guests; where one found no host, that one and those that had been placed before it.
    pub guests: Vec<ClusterGuestPlacement>,
}

/// Where a guest of a cluster would go, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClusterGuestPlacement {
    /// What it would be called.
    pub name: String,
    /// What it would be in its cluster.
    pub role: String,
    /// Where it would go; of those that are placed before it, it knows already.
    pub placement: Placement,
}

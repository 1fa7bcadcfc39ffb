//! Hosts and their pools.

use honcho_model::host::HostStatus;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A physical machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Host {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Random.
    #[schema(read_only)]
    pub uuid: Uuid,
    /// Unique among hosts.
    pub name: String,
    /// `waiting`, `up`, `silent` or `frozen`; derived.
    #[schema(read_only, value_type = String)]
    pub status: HostStatus,
    /// Why, when it is not `up`; what its agent last complained of, when it is.
    #[schema(read_only)]
    pub status_reason: Option<String>,
    /// Processors, as its agent saw them.
    #[schema(read_only)]
    pub cpus: Option<i64>,
    /// Memory in bytes, as its agent saw it.
    #[schema(read_only)]
    pub memory_bytes: Option<i64>,
    /// Memory of the guests placed on it that should run or may be started, in bytes.
    #[schema(read_only)]
    pub memory_placed_bytes: i64,
    /// Guests placed on it.
    #[schema(read_only)]
    pub guests_count: i64,
    /// What runs guests on it, as its agent saw it.
    #[schema(read_only)]
    pub hypervisor: Option<String>,
    /// "KVM" or "software emulation (TCG)", and how that was found out; null until a first guest made it necessary to try.
    #[schema(read_only)]
    pub virtualization: Option<String>,
    /// Version of its agent.
    #[schema(read_only)]
    pub agent_version: Option<String>,
    /// When its agent last spoke, by the brain's clock.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub last_seen_at: Option<Timestamp>,
    /// The generation of what is desired on it.
    #[schema(read_only)]
    pub generation: i64,
    /// The generation its agent last acted on.
    #[schema(read_only)]
    pub observed_generation: Option<i64>,
    /// What carries our mark there and nobody wants; kept until an operator speaks.
    #[schema(read_only)]
    pub orphans: Vec<String>,
    /// When it was added.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Rises when a writable attribute changes.
    pub lock_version: i64,
    /// How its agent joins; in the answer to adding or rejoining it and never again.
    #[schema(read_only)]
    pub join_token: Option<String>,
}

/// What makes a host.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct HostCreate {
    /// A DNS label.
    pub name: Option<String>,
}

/// Storage of a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Written inside the pool.
    #[schema(read_only)]
    pub uuid: Uuid,
    /// The host that holds it.
    pub host_id: i64,
    /// Unique on its host.
    pub name: String,
    /// `directory`.
    pub kind: String,
    /// Absolute path of the directory.
    pub path: String,
    /// `ready`, `blank`, `wrong`, or `unknown` before its agent has looked.
    #[schema(read_only)]
    pub status: String,
    /// Why it is not ready, and what mends it.
    #[schema(read_only)]
    pub status_reason: Option<String>,
    /// Size of the filesystem in bytes.
    #[schema(read_only)]
    pub size_bytes: Option<i64>,
    /// Free space on it in bytes.
    #[schema(read_only)]
    pub free_bytes: Option<i64>,
    /// Disk of the guests placed on it, in bytes.
    #[schema(read_only)]
    pub placed_bytes: i64,
    /// Whether it can reflink.
    #[schema(read_only)]
    pub reflink: Option<bool>,
    /// When it was made.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// What makes a pool.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct PoolCreate {
    /// The host that holds it.
    pub host_id: Option<i64>,
    /// A DNS label.
    pub name: Option<String>,
    /// `directory`, also when absent.
    pub kind: Option<String>,
    /// Absolute path of an empty directory.
    pub path: Option<String>,
}

//! Hosts and their pools.

use crate::there;
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
    /// `x86_64`, `aarch64`: what its processors are.
    #[schema(read_only)]
    #[serde(default)]
    pub architecture: Option<String>,
    /// What their maker calls them.
    #[schema(read_only)]
    #[serde(default)]
    pub cpu_model: Option<String>,
    /// What they can, in the kernel's words; null in lists, for it is long.
    #[schema(read_only)]
    #[serde(default)]
    pub cpu_features: Option<Vec<String>>,
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
    /// Of all its processors' time, how much they worked when its agent last looked, in per cent. It is told anew once it
    /// has changed by two.
    #[schema(read_only)]
    #[serde(default)]
    pub busy_percent: Option<i64>,
    /// The same of waiting for disks with nothing else to do.
    #[schema(read_only)]
    #[serde(default)]
    pub io_wait_percent: Option<i64>,
    /// For how long that was looked at.
    #[schema(read_only)]
    #[serde(default)]
    pub load_window_seconds: Option<i64>,
    /// When it was told.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    #[serde(default)]
    pub load_at: Option<Timestamp>,
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
    /// The site it is in: its rack's, if it is in one.
    pub site_id: Option<i64>,
    /// The rack it is in.
    pub rack_id: Option<i64>,
    /// The lowest unit it fills.
    pub position: Option<i64>,
    /// How many units it fills.
    pub height_units: i64,
    /// `front` or `rear`, if it leaves the other side of its units free.
    pub face: Option<String>,
    /// Who made it.
    pub vendor: Option<String>,
    /// What its maker calls it.
    pub model: Option<String>,
    /// Its maker's number for it.
    pub serial: Option<String>,
    /// Cores as bought; `cpus` is what its agent sees.
    pub cores: Option<i64>,
    /// Memory as bought, in bytes; `memory_bytes` is what its agent sees.
    pub memory_bought_bytes: Option<i64>,
    /// Where its management controller answers.
    pub bmc_address: Option<String>,
    /// `hypervisor`, `firewall`, `storage`, `builder`: what it is there for. Guests are placed on hypervisors only.
    pub duties: Vec<String>,
    /// Its network cards.
    pub nics: Vec<Nic>,
    /// Since when it is being emptied: no new guest is placed on it. `drain` and `undrain` change it.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub draining_since: Option<Timestamp>,
    /// When it was added.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Rises when a writable attribute changes.
    pub lock_version: i64,
    /// How its agent joins; in the answer to adding or rejoining it and never again.
    #[schema(read_only)]
    pub join_token: Option<String>,
}

/// A network card of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Nic {
    /// As its kernel calls it.
    pub name: String,
    /// No other host has it.
    pub mac: String,
}

/// What makes a host, or changes one: absent attributes stay as they are, and one that is `null` is emptied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostCreate {
    /// A DNS label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// See [`Host::site_id`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub site_id: Option<Option<i64>>,
    /// See [`Host::rack_id`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub rack_id: Option<Option<i64>>,
    /// See [`Host::position`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub position: Option<Option<i64>>,
    /// See [`Host::face`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub face: Option<Option<String>>,
    /// See [`Host::vendor`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub vendor: Option<Option<String>>,
    /// See [`Host::model`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub model: Option<Option<String>>,
    /// See [`Host::serial`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub serial: Option<Option<String>>,
    /// See [`Host::cores`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub cores: Option<Option<i64>>,
    /// See [`Host::memory_bought_bytes`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub memory_bought_bytes: Option<Option<i64>>,
    /// See [`Host::bmc_address`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub bmc_address: Option<Option<String>>,
    /// See [`Host::height_units`]; 1 for a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height_units: Option<i64>,
    /// See [`Host::duties`]; `hypervisor` for a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duties: Option<Vec<String>>,
    /// See [`Host::nics`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nics: Option<Vec<Nic>>,
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

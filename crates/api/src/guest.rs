//! Guests.

use honcho_model::guest::{GuestStatus, Power};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A virtual machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Guest {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Random.
    #[schema(read_only)]
    pub uuid: Uuid,
    /// Who owns it.
    pub account_id: i64,
    /// Unique in its account while it is not deleted.
    pub name: String,
    /// The creator's own key, unique in the account: a repeated POST with it answers with the same object.
    pub reference: Option<String>,
    /// What it is, in one word; derived, never stored.
    #[schema(read_only, value_type = String)]
    pub status: GuestStatus,
    /// Why, where there is more to say: the failed step and when it is tried again, or what is being done.
    #[schema(read_only)]
    pub status_reason: Option<String>,
    /// Whether it should run.
    #[schema(value_type = String, example = "running")]
    pub power: Power,
    /// Whether it may start after its host's boot while the brain cannot be reached.
    pub start_alone: bool,
    /// The host that holds it.
    #[schema(read_only)]
    pub host_id: Option<i64>,
    /// The host that it is being moved to, or is to be moved to when its turn comes.
    #[schema(read_only)]
    #[serde(default)]
    pub moving_to_host_id: Option<i64>,
    /// The image its volume was made from.
    pub image_id: i64,
    /// With which guests of its account it belongs together.
    pub cluster: Option<String>,
    /// What it is in its cluster: guests of the same cluster and role are kept on different hosts, racks and sites while
    /// others have room.
    pub role: Option<String>,
    /// What its host's processors must be able to do, in the kernel's words: `avx2`.
    #[schema(read_only)]
    #[serde(default)]
    pub cpu_features: Vec<String>,
    /// Virtual processors.
    pub vcpus: i64,
    /// Memory in bytes.
    pub memory_bytes: i64,
    /// Disk in bytes; grows and never shrinks.
    pub disk_bytes: i64,
    /// Its network cards with their addresses.
    #[schema(read_only)]
    pub interfaces: Vec<Interface>,
    /// Its first address.
    #[schema(read_only)]
    pub address: Option<String>,
    /// OpenSSH public keys that may log in as root; put in when its volume is made.
    pub ssh_keys: Vec<String>,
    /// The public half of its SSH host key, once its volume is made.
    #[schema(read_only)]
    pub ssh_host_key: Option<String>,
    /// Rises when a host other than before may run it.
    #[schema(read_only)]
    pub epoch: i64,
    /// Rises with every change of what is desired of it.
    #[schema(read_only)]
    pub generation: i64,
    /// The generation its agent last acted on.
    #[schema(read_only)]
    pub observed_generation: Option<i64>,
    /// How many boots were asked for in its life.
    #[schema(read_only)]
    pub boots_wanted: i64,
    /// How often it stopped without having been told to.
    #[schema(read_only)]
    pub unexpected_stops: i64,
    /// The operation that was last asked for.
    #[schema(read_only)]
    pub operation_id: Option<i64>,
    /// Rises when a writable attribute changes; a PUT or PATCH that shows a stale one is refused with 409.
    pub lock_version: i64,
    /// When it was made.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was cancelled.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub cancelled_at: Option<Timestamp>,
    /// When its grace period ends.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub deletes_at: Option<Timestamp>,
    /// When it was gone.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub deleted_at: Option<Timestamp>,
}

/// A network card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Interface {
    /// Never used twice.
    pub id: i64,
    /// The network it is in.
    pub network_id: i64,
    /// Its hardware address.
    pub mac: String,
    /// Its IPv4 address.
    pub address: Option<String>,
    /// Its IPv6 address.
    #[serde(default)]
    pub address6: Option<String>,
}

/// What makes a guest.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct GuestCreate {
    /// Who owns it.
    pub account_id: Option<i64>,
    /// A DNS label; also its host name.
    pub name: Option<String>,
    /// See [`Guest::reference`].
    pub reference: Option<String>,
    /// What its volume is made from.
    pub image_id: Option<i64>,
    /// The network of its first card.
    pub network_id: Option<i64>,
    /// Its cards, first to last, if it has several or is to have certain addresses. `network_id` need not be named besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<InterfaceCreate>>,
    /// 1, when absent.
    pub vcpus: Option<i64>,
    /// Memory in bytes, 64 MiB at least.
    pub memory_bytes: Option<i64>,
    /// Disk in bytes; larger than the image.
    pub disk_bytes: Option<i64>,
    /// OpenSSH public keys.
    pub ssh_keys: Option<Vec<String>>,
    /// `running` (also when absent) or `stopped`.
    #[schema(value_type = Option<String>)]
    pub power: Option<Power>,
    /// See [`Guest::start_alone`].
    pub start_alone: Option<bool>,
    /// Where to put it; operators only. Placement decides, when absent.
    pub host_id: Option<i64>,
    /// Put it on a host of this site; operators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_id: Option<i64>,
    /// See [`Guest::cpu_features`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_features: Option<Vec<String>>,
    /// A DNS label; see [`Guest::cluster`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// A DNS label; see [`Guest::role`]. It needs a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// A network card of a new guest. It gets an address of each family that its network has: those that are named here, and
/// the longest-freed of the others.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct InterfaceCreate {
    /// The network it is in.
    pub network_id: Option<i64>,
    /// This IPv4 address and no other: a free one, or one that the account holds on no guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The same for IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address6: Option<String>,
    /// An address that the account holds, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_id: Option<i64>,
}

/// What changes a guest: every attribute that may be written. With PUT, others are ignored; with PATCH, absent ones
/// stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct GuestUpdate {
    /// See [`Guest::name`].
    pub name: Option<String>,
    /// See [`Guest::power`].
    #[schema(value_type = Option<String>)]
    pub power: Option<Power>,
    /// See [`Guest::start_alone`].
    pub start_alone: Option<bool>,
    /// See [`Guest::vcpus`]. Changes only while it is stopped, or with the action `resize` and `restart=true`.
    pub vcpus: Option<i64>,
    /// See [`Guest::memory_bytes`].
    pub memory_bytes: Option<i64>,
    /// See [`Guest::disk_bytes`].
    pub disk_bytes: Option<i64>,
    /// See [`Guest::lock_version`].
    pub lock_version: Option<i64>,
}

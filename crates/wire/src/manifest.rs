//! What should be on one host.
//!
//! Unknown fields are refused everywhere here (`deny_unknown_fields`): an agent that does not understand all of what
//! is wanted keeps what runs and says that it is too old.

use honcho_model::guest::Power;
use honcho_model::{
    AccountId, Bytes, Digest, Epoch, Generation, GuestId, HostId, Incarnation, InterfaceId, Mac, Name,
    NetworkId, PoolId, VolumeId,
};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use uuid::Uuid;

/// Everything that should be on one host, and what should be gone from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`crate::PROTOCOL`].
    pub protocol: u32,
    /// The brain that speaks.
    pub brain: Uuid,
    /// Which life of the brain; inside one, an older manifest is refused.
    pub incarnation: Incarnation,
    /// Rises with every change of what follows.
    pub generation: Generation,
    /// The host this is for.
    pub host: HostId,
    /// Why nothing may be started or deleted here, if so.
    pub frozen: Option<String>,
    /// Why nothing at all may be changed here, if so: the brain was restored from a backup, and no operator has accepted
    /// what its agents report. An agent that is told so looks, and reports in full ([`crate::Observation::former`]).
    pub unaccepted: Option<String>,
    /// Storage.
    pub pools: Vec<PoolWanted>,
    /// Networks that something here uses.
    pub networks: Vec<NetworkWanted>,
    /// Guests placed here.
    pub guests: Vec<GuestWanted>,
    /// Volumes of guests that are to be placed here once they are complete. Nothing is started for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arrivals: Vec<Arriving>,
    /// What is to go, until it is reported gone.
    pub absent: Vec<Absent>,
}

/// Whether a thing that is made only once has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existence {
    /// It was never seen: make it.
    Make,
    /// It has been seen: if it is missing now, that is an alarm and never a reason to make it.
    Existing,
}

/// A pool of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolWanted {
    /// Its id.
    pub id: PoolId,
    /// Written inside it, and checked before every step on it.
    pub uuid: Uuid,
    /// Its generation.
    pub generation: Generation,
    /// Whether it may be initialised (only an empty directory ever is).
    pub existence: Existence,
    /// What it is.
    pub kind: PoolKind,
}

/// What a pool is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", deny_unknown_fields)]
pub enum PoolKind {
    /// Raw files in a directory, reflinked where the filesystem can.
    Directory {
        /// Absolute path.
        path: String,
    },
}

/// A network that should be reachable on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkWanted {
    /// Its id; the bridge is named by it.
    pub id: NetworkId,
    /// Its uuid; carried by the bridge's alias.
    pub uuid: Uuid,
    /// Its generation.
    pub generation: Generation,
    /// What it is.
    pub kind: NetworkKind,
}

/// How frames of a network travel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", deny_unknown_fields)]
pub enum NetworkKind {
    /// A bridge on this host alone; the host is its gateway and hides it behind its own address (NAT).
    ///
    /// At least one of the two families is there; a manifest with neither is refused.
    Local {
        /// Its IPv4 subnet.
        ipv4: Option<SubnetWanted<Ipv4Addr>>,
        /// Its IPv6 subnet.
        ipv6: Option<SubnetWanted<Ipv6Addr>>,
    },
}

/// A subnet of a network, by the host's own address in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubnetWanted<Address> {
    /// The host's address on the bridge.
    pub gateway: Address,
    /// Length of the prefix in bits.
    pub prefix: u8,
}

/// A guest that should be on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestWanted {
    /// Its id; the domain is named by it.
    pub id: GuestId,
    /// Its uuid; the domain's too.
    pub uuid: Uuid,
    /// What people call it; its host name.
    pub name: Name,
    /// Who owns it: of no use on a host, and kept there for a brain that has lost it.
    pub account: AccountId,
    /// Of this guest, at this host.
    pub epoch: Epoch,
    /// Covers everything below.
    pub generation: Generation,
    /// Whether it should run.
    pub power: Power,
    /// Whether it may start after the host's boot before the brain has answered.
    pub start_alone: bool,
    /// How many boots have been asked for in its life (starts of a stopped guest and reboots). A running domain that
    /// carries a lower number is stopped and started once, however many are missing.
    pub boots_wanted: u64,
    /// Up to this number, boots that are missing are not made up for: somebody gave up on them. A guest that is off and
    /// starts carries `boots_wanted` as ever.
    pub boots_waived: u64,
    /// Whether the waiting boot may pull the plug at once.
    pub boot_mode: StopMode,
    /// Whether stopping may pull the plug at once.
    pub stop_mode: StopMode,
    /// Memory.
    pub memory: Bytes,
    /// Virtual processors.
    pub vcpus: u32,
    /// Its disk.
    pub root: VolumeWanted,
    /// Its network cards. The first one's addresses carry the guest's default routes.
    pub interfaces: Vec<InterfaceWanted>,
    /// OpenSSH public keys that may log in as root; put in when the volume is made.
    pub ssh_keys: Vec<String>,
    /// That it is being moved to another host. It is stopped and not started, and its volume is held still and read out to
    /// that host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Leaving>,
    /// That an image is made of its disk. It is not started until that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<Capture>,
}

/// An image that is made of a stopped guest's disk. What is read of it is sent to `/agent/captures/UPLOAD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// The upload that it is.
    pub upload: Uuid,
}

/// A move of a guest to another host, as the host that it leaves is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    /// SHA-256 of the ticket that whoever fetches the volume shows.
    pub ticket: Digest,
    /// Fingerprints (hex SHA-256 of the DER) of the certificates that the other host may show: nobody else is let in.
    pub certificates: Vec<String>,
}

/// A volume to be fetched from another host, which holds it still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arriving {
    /// The guest that it is the disk of.
    pub guest: GuestId,
    /// The guest's uuid.
    pub uuid: Uuid,
    /// The guest's epoch, at which the other host has reported it stopped.
    pub epoch: Epoch,
    /// The volume's id.
    pub volume: VolumeId,
    /// The volume's uuid.
    pub volume_uuid: Uuid,
    /// The pool that it is to be in.
    pub pool: PoolId,
    /// Where the other host's agent hears others: `HOST:PORT`.
    pub address: String,
    /// Fingerprints of the certificates that the other host may show.
    pub certificates: Vec<String>,
    /// What is shown there. It is good for this move alone.
    pub ticket: String,
}

/// How a running guest is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopMode {
    /// Ask (ACPI), ask again, and pull the plug after [`SOFT_STOP`].
    Soft,
    /// Pull the plug.
    Hard,
}

/// How long a guest is asked to stop before it is forced. A booting guest ignores ACPI, so it is asked repeatedly.
pub const SOFT_STOP: std::time::Duration = std::time::Duration::from_secs(90);

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeWanted {
    /// Its id; the file is named by it.
    pub id: VolumeId,
    /// Its uuid; in the file's name too.
    pub uuid: Uuid,
    /// The pool that holds it.
    pub pool: PoolId,
    /// Size. Volumes grow and never shrink.
    pub size: Bytes,
    /// Whether it may be made.
    pub existence: Existence,
    /// Whether somebody gave up on making it: one that was never seen is not made then, and is nothing that is missing.
    pub given_up: bool,
    /// What it is made from.
    pub image: ImageWanted,
}

/// The image a volume is made from. The blob is at `GET /agent/blobs/DIGEST`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageWanted {
    /// SHA-256 of the sealed tarball (tar.zst).
    pub digest: Digest,
    /// Its size.
    pub compressed: Bytes,
    /// The sum of the sizes of the files in it.
    pub unpacked: Bytes,
}

/// A network card of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterfaceWanted {
    /// Its id; the tap is named by it.
    pub id: InterfaceId,
    /// The network it is in.
    pub network: NetworkId,
    /// Its hardware address.
    pub mac: Mac,
    /// The guest's addresses on it, of both families. An address is in its network's subnet of that family.
    pub addresses: Vec<AddressWanted>,
}

/// An address of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressWanted {
    /// The address.
    pub address: IpAddr,
    /// Length of its subnet's prefix in bits.
    pub prefix: u8,
    /// The guest's default route of this family; further cards' addresses have none.
    pub gateway: Option<IpAddr>,
}

/// Something that is to go from this host, listed until it is reported gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", deny_unknown_fields)]
pub enum Absent {
    /// A guest, its interfaces and these volumes.
    Guest {
        /// Its id.
        id: GuestId,
        /// Its uuid.
        uuid: Uuid,
        /// Its last epoch here.
        epoch: Epoch,
        /// The generation at which it was to go.
        generation: Generation,
        /// Its volumes, which go with it.
        volumes: Vec<VolumeAbsent>,
        /// Its network cards, whose taps go with it.
        interfaces: Vec<InterfaceId>,
    },
    /// A network that nothing here uses any more.
    Network {
        /// Its id.
        id: NetworkId,
        /// Its uuid.
        uuid: Uuid,
        /// The generation at which it was to go.
        generation: Generation,
    },
}

/// A volume that goes with its guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeAbsent {
    /// Its id.
    pub id: VolumeId,
    /// Its uuid.
    pub uuid: Uuid,
    /// The pool that holds it.
    pub pool: PoolId,
}

/// The answer to `GET /agent/manifest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestAnswer {
    /// The manifest, if there is a newer one than the agent has. Kept as raw JSON by the agent until its protocol is
    /// checked; see [`Manifest`].
    pub manifest: Option<Manifest>,
    /// Streams that somebody waits for: the agent opens each at `/agent/streams/ID`.
    #[serde(default)]
    pub streams: Vec<StreamWanted>,
}

/// A byte stream between a person and a guest's console or console log. Not desired state: it lives as long as the
/// person's connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamWanted {
    /// Which stream.
    pub id: Uuid,
    /// Of which guest.
    pub guest: GuestId,
    /// What of it.
    pub kind: StreamKind,
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum StreamKind {
    /// The serial console, both ways.
    Console,
    /// The last `tail` bytes of what the console printed; with `follow`, what it prints from then on.
    Log {
        /// At most so many bytes.
        tail: u64,
        /// Whether to go on.
        follow: bool,
    },
}

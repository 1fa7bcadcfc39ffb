//! What an agent saw. Everything in it was observed anew for this report, never remembered.

use crate::Manifest;
use honcho_model::guest::Power;
use honcho_model::{
    Bytes, Epoch, Generation, GuestId, Incarnation, InterfaceId, NetworkId, PoolId, VolumeId,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The body of `POST /agent/report`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`crate::PROTOCOL`].
    pub protocol: u32,
    /// What this agent can do; see [`crate::CAPABILITIES`].
    pub capabilities: Vec<String>,
    /// The kernel's boot id: changes when the machine boots.
    pub boot_id: String,
    /// Made anew when the agent's process starts.
    pub run_id: Uuid,
    /// Rises by one with each report of a run.
    pub sequence: u64,
    /// The incarnation of the manifest acted on, if there is one yet.
    pub incarnation: Option<Incarnation>,
    /// Its generation.
    pub manifest_generation: Generation,
    /// A digest of the observation, in every report; see [`Observation::digest_input`].
    pub digest: String,
    /// The observation; a heartbeat, whose digest is that of the last one, leaves it out.
    pub observation: Option<Observation>,
    /// How busy the machine is; left out while that is about what was told last. No part of the observation, which would
    /// never be the same twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadObserved>,
}

/// How busy a machine was for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadObserved {
    /// Of all its processors' time, how much they worked: 0 to 100.
    pub busy_percent: u8,
    /// How much they waited for disks with nothing else to do.
    pub io_wait_percent: u8,
    /// For how long that was looked at.
    pub window_seconds: u32,
}

impl LoadObserved {
    /// Whether this is worth telling after that: small changes of a busy machine are no news.
    pub fn is_news_after(&self, told: Option<&LoadObserved>) -> bool {
        told.is_none_or(|told| {
            self.busy_percent.abs_diff(told.busy_percent) >= 2
                || self.io_wait_percent.abs_diff(told.io_wait_percent) >= 2
        })
    }
}

/// The answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportAnswer {
    /// Noted.
    Applied,
    /// Not newer than what the brain has; left alone.
    Stale,
    /// The brain does not hold what the digest speaks of: report everything.
    SendEverything,
}

/// One look at a whole host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The machine.
    pub host: HostObserved,
    /// Its pools.
    pub pools: Vec<PoolObserved>,
    /// Its networks.
    pub networks: Vec<NetworkObserved>,
    /// Its guests: every one in the manifest that could be looked at. One left out is as it was last seen.
    pub guests: Vec<GuestObserved>,
    /// Volumes that are to arrive here: every one in the manifest.
    #[serde(default)]
    pub arrivals: Vec<ArrivalObserved>,
    /// What was listed as absent and is gone, at that generation.
    pub gone: Vec<Gone>,
    /// What carries our brain's mark and is neither wanted nor listed as absent. Kept until an operator speaks.
    pub orphans: Vec<Orphan>,
    /// Why the whole manifest cannot be acted on, if so ("agent too old: …").
    pub refused: Option<String>,
    /// While [`Manifest::unaccepted`]: the last manifest of the brain's earlier life that was acted on.
    pub former: Option<Box<Manifest>>,
}

impl Observation {
    /// The bytes whose SHA-256 is [`Report::digest`]: the canonical JSON of the observation.
    pub fn digest_input(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The machine itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostObserved {
    /// Version of the agent.
    pub agent_version: String,
    /// Its kernel's release.
    pub kernel: String,
    /// Processors.
    pub cpus: u32,
    /// Memory of the machine.
    pub memory: Bytes,
    /// What runs guests: "libvirt 9.0.0, QEMU 10.0.2", or "simulated".
    pub hypervisor: String,
    /// Whether KVM carries guests, and how that was found out; `None` until a first guest made it necessary to try.
    pub virtualization: Option<Virtualization>,
    /// Where other hosts' agents reach this one, to move guests: `HOST:PORT`.
    #[serde(default)]
    pub movers_address: Option<String>,
    /// Why guests cannot be looked at just now, if so ("libvirtd does not answer: …"). Guests are left out then.
    pub problem: Option<String>,
    /// What its processors are and can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuObserved>,
}

/// Processors, as the kernel tells of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuObserved {
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// What their maker calls them.
    pub model: Option<String>,
    /// What they can: the kernel's words, sorted.
    pub features: Vec<String>,
}

/// How guests are executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Virtualization {
    /// By the processor (KVM) rather than in software (TCG).
    pub kvm: bool,
    /// For people: how that was found out.
    pub reason: String,
}

/// A pool, as found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolObserved {
    /// Its id.
    pub id: PoolId,
    /// Whether steps may be taken on it.
    pub state: PoolState,
    /// For people, when it is not ready: why, and what mends it.
    pub problem: Option<String>,
    /// Size of the filesystem, when it is ready.
    pub size: Bytes,
    /// Free space on it, rounded down to 64 MiB so that every write is not a change.
    pub free: Bytes,
    /// Whether it can reflink.
    pub reflink: bool,
}

/// Whether a pool is what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolState {
    /// It carries the right uuid.
    Ready,
    /// It is an empty directory, to be initialised.
    Blank,
    /// It carries no uuid (not mounted?) or another one (another disk?): every step on it has stopped.
    Wrong,
}

/// A network, as found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkObserved {
    /// Its id.
    pub id: NetworkId,
    /// Whether bridge, address and NAT are as wanted.
    pub ready: bool,
    /// The last failed step, if it failed.
    pub failure: Option<Failure>,
}

/// A guest, as found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestObserved {
    /// Its id.
    pub id: GuestId,
    /// The epoch and generation that the agent acts on.
    pub epoch: Epoch,
    /// See `epoch`.
    pub generation: Generation,
    /// Whether nothing is left to do for that generation.
    pub settled: bool,
    /// Whether its domain runs.
    pub power: Power,
    /// The boot count that its running domain carries; `None` when it does not run.
    pub boots_done: Option<u64>,
    /// Its disk.
    pub volume: VolumeObserved,
    /// The interfaces whose taps exist.
    pub interfaces: Vec<InterfaceId>,
    /// The public half of its SSH host key, once its volume is made.
    pub ssh_host_key: Option<String>,
    /// What is being done just now.
    pub progress: Option<Progress>,
    /// The last failed step, until it succeeds.
    pub failure: Option<Failure>,
    /// How often, since the agent's journal began, it stopped without having been told to. Each rise is an event.
    pub unexpected_stops: u64,
    /// Of a guest that is being moved away: that it is stopped at its epoch for good, and its volume is whole and held still.
    #[serde(default)]
    pub held: bool,
}

/// A volume that is to arrive, as found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivalObserved {
    /// The guest that it is the disk of.
    pub guest: GuestId,
    /// The epoch that the agent acts on.
    pub epoch: Epoch,
    /// How far it is.
    pub state: ArrivalState,
    /// Its size, once it is durable.
    pub size: Bytes,
    /// What is being done just now.
    pub progress: Option<Progress>,
    /// The last failed step, until it succeeds.
    pub failure: Option<Failure>,
}

/// How far a volume is that is to arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArrivalState {
    /// Not all of it is here.
    Coming,
    /// It is here, was compared with what the other host has, and would outlast a loss of power.
    Durable,
}

/// A disk, as found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeObserved {
    /// Its id.
    pub id: VolumeId,
    /// Whether it is there.
    pub state: VolumeState,
    /// Its size, when it is there.
    pub size: Bytes,
}

/// Whether a volume is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeState {
    /// Complete.
    Present,
    /// Not made yet.
    Unmade,
    /// It was there once and is not: an alarm.
    Missing,
    /// Its pool cannot be looked into, so nobody knows.
    Unknown,
}

/// What is being done on a resource just now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The step's name, as in `fetch_image`.
    pub step: String,
    /// How far, 0 to 100, where that is known.
    pub percent: Option<u8>,
}

/// The "step" of a failure that no step had: it stands as long as what is observed does, and goes by itself then.
pub const LOOK: &str = "look";

/// A step that failed. Observed, per resource: one stuck guest holds up no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The step's name, or [`LOOK`].
    pub step: String,
    /// What went wrong, for people, with the next thing to do where there is one.
    pub error: String,
    /// How often it has failed in a row.
    pub attempts: u32,
    /// Milliseconds from the failure to the next try (a constant while it waits, so that waiting is no change);
    /// `None` when only a change of what is wanted can help, or of what is observed.
    pub next_try_ms: Option<u64>,
}

/// Something that was to go and is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Gone {
    /// A guest with its domain, taps and volumes.
    Guest {
        /// Its id.
        id: GuestId,
        /// The epoch that is gone.
        epoch: Epoch,
        /// The generation acted on.
        generation: Generation,
    },
    /// A network.
    Network {
        /// Its id.
        id: NetworkId,
        /// The generation acted on.
        generation: Generation,
    },
}

/// Something with our brain's mark that nobody wants and nobody listed as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// "domain", "volume", "bridge".
    pub kind: String,
    /// Its name on the host.
    pub name: String,
    /// The uuid it carries, where it carries one.
    pub uuid: Option<Uuid>,
    /// The id of the guest, volume or network that it is; 0 when it does not say.
    #[serde(default)]
    pub id: i64,
    /// Of a domain: the epoch and the boot count that it carries.
    #[serde(default)]
    pub epoch: Option<Epoch>,
    /// See `epoch`.
    #[serde(default)]
    pub boots: Option<u64>,
    /// Of a domain: the interfaces whose taps it holds.
    #[serde(default)]
    pub interfaces: Vec<InterfaceId>,
}

//! What `converge` decides: steps, what waits for what, and a verdict on each guest.

use crate::clock::Moment;
use honcho_model::guest::Power;
use honcho_model::{Bytes, Digest, Epoch, GuestId, InterfaceId, NetworkId, PoolId};
use honcho_wire::{
    ArrivalState, Arriving, Failure, Gone, GuestWanted, ImageWanted, NetworkWanted, Orphan, PoolWanted,
    VolumeAbsent, VolumeObserved,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What a step works on. At most one step works on a resource at a time, and pauses after failures are kept for each,
/// so that one stuck guest holds up no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Resource {
    /// A pool.
    Pool(PoolId),
    /// A network.
    Network(NetworkId),
    /// An image in a pool's cache.
    Image(PoolId, Digest),
    /// A guest with its volume.
    Guest(GuestId),
}

impl From<Resource> for String {
    fn from(resource: Resource) -> String {
        resource.to_string()
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Resource::Pool(id) => write!(f, "pool/{id}"),
            Resource::Network(id) => write!(f, "network/{id}"),
            Resource::Image(pool, digest) => write!(f, "image/{pool}/{digest}"),
            Resource::Guest(id) => write!(f, "guest/{id}"),
        }
    }
}

impl TryFrom<String> for Resource {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let parsed = match text.split('/').collect::<Vec<_>>().as_slice() {
            ["pool", id] => id.parse().map(Resource::Pool).ok(),
            ["network", id] => id.parse().map(Resource::Network).ok(),
            ["guest", id] => id.parse().map(Resource::Guest).ok(),
            ["image", pool, digest] => {
                pool.parse().ok().zip(digest.parse().ok()).map(|(p, d)| Resource::Image(p, d))
            }
            _ => None,
        };
        parsed.ok_or_else(|| format!("\"{text}\" names no resource"))
    }
}

/// The step that changes nothing of its guest.
pub const CAPTURE: &str = "capture";

/// What a step does. Each is idempotent: doing it twice, or after it was killed half-way, ends in the same state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Makes an empty directory a pool.
    InitPool(PoolWanted),
    /// Makes or mends a network.
    EnsureNetwork {
        /// The network.
        network: NetworkWanted,
        /// The interfaces that belong in it.
        interfaces: Vec<InterfaceId>,
    },
    /// Removes a network of ours.
    RemoveNetwork {
        /// Its id.
        id: NetworkId,
        /// Its uuid.
        uuid: Uuid,
    },
    /// Fetches an image into a pool's cache.
    FetchImage {
        /// The pool.
        pool: PoolWanted,
        /// The image.
        image: ImageWanted,
    },
    /// Makes a guest's volume.
    BuildVolume {
        /// The pool.
        pool: PoolWanted,
        /// The guest.
        guest: Box<GuestWanted>,
    },
    /// Grows a stopped guest's volume.
    GrowVolume {
        /// The pool.
        pool: PoolWanted,
        /// The guest.
        guest: Box<GuestWanted>,
    },
    /// Fetches a volume from the host that its guest leaves.
    FetchVolume {
        /// The pool.
        pool: PoolWanted,
        /// What is to arrive.
        arriving: Box<Arriving>,
    },
    /// Sends the brain what is on a stopped guest's disk, for an image.
    Capture {
        /// The pool.
        pool: PoolWanted,
        /// The guest.
        guest: Box<GuestWanted>,
        /// The upload that it is.
        upload: Uuid,
    },
    /// Deletes volumes that were listed as absent, and what was made beside them.
    DeleteVolumes(Vec<(PoolWanted, VolumeAbsent)>),
    /// Asks a guest to stop.
    AskToStop(Uuid),
    /// Lets a guest go on that was paused because of its disk.
    Resume(Uuid),
    /// Ends a guest's domain.
    Destroy(Uuid),
    /// Starts a guest.
    Start {
        /// The pool of its root volume.
        pool: PoolWanted,
        /// The guest.
        guest: Box<GuestWanted>,
    },
}

impl Action {
    /// The step's name, as reports and logs show it.
    pub fn name(&self) -> &'static str {
        match self {
            Action::InitPool(_) => "init_pool",
            Action::EnsureNetwork { .. } => "ensure_network",
            Action::RemoveNetwork { .. } => "remove_network",
            Action::FetchImage { .. } => "fetch_image",
            Action::BuildVolume { .. } => "build_volume",
            Action::GrowVolume { .. } => "grow_volume",
            Action::FetchVolume { .. } => "fetch_volume",
            Action::Capture { .. } => CAPTURE,
            Action::DeleteVolumes(_) => "delete_volumes",
            Action::AskToStop(_) => "ask_to_stop",
            Action::Resume(_) => "resume",
            Action::Destroy(_) => "destroy",
            Action::Start { .. } => "start",
        }
    }

    /// Whether it keeps disk and processor busy for long, so that only a few run at once.
    pub fn is_heavy(&self) -> bool {
        matches!(
            self,
            Action::FetchImage { .. }
                | Action::BuildVolume { .. }
                | Action::GrowVolume { .. }
                | Action::FetchVolume { .. }
                | Action::Capture { .. }
        )
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it works on.
    pub resource: Resource,
    /// What it does.
    pub action: Action,
    /// Names the generation that wants it: pauses after failures end when it changes.
    pub wanted_by: String,
    /// Steps of the same plan, by index, that come first.
    pub after: Vec<usize>,
    /// It failed and is tried again then, or its time has not come.
    pub not_before: Option<Moment>,
    /// It failed in a way that only a change of what is wanted can mend.
    pub hopeless: bool,
    /// How it failed last, if it did.
    pub failure: Option<Failure>,
}

impl Step {
    /// Whether it can be started now.
    pub fn is_ready(&self, now: Moment) -> bool {
        self.after.is_empty() && !self.hopeless && self.not_before.is_none_or(|moment| moment <= now)
    }
}

/// What is to be said of one guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether nothing is left to do for its generation.
    pub settled: bool,
    /// Whether its domain runs.
    pub power: Power,
    /// The boot count that its running domain carries.
    pub boots_done: Option<u64>,
    /// Its disk.
    pub volume: VolumeObserved,
    /// The public half of its SSH host key.
    pub ssh_host_key: Option<String>,
    /// Interfaces whose taps exist.
    pub interfaces: Vec<InterfaceId>,
    /// Why it does not get on: its own failed step, or that of one it waits for.
    pub failure: Option<Failure>,
    /// What it waits for, by index of the plan's steps: itself or another resource.
    pub waits_for: Vec<usize>,
    /// Of one that leaves: that it is stopped here for good, with a volume that is whole.
    pub held: bool,
}

/// What is to be said of a volume that is to arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivalVerdict {
    /// The guest that it is the disk of.
    pub guest: GuestId,
    /// The guest's epoch.
    pub epoch: Epoch,
    /// How far it is.
    pub state: ArrivalState,
    /// Its size, once it is durable.
    pub size: Bytes,
    /// Why it does not get on.
    pub failure: Option<Failure>,
}

/// What to do, and what to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps. Those that are not ready are there to be seen; after each step everything is looked at anew.
    pub steps: Vec<Step>,
    /// On each wanted guest that could be looked at.
    pub guests: BTreeMap<GuestId, Verdict>,
    /// On each volume that is to arrive.
    pub arrivals: Vec<ArrivalVerdict>,
    /// What was to go and is gone.
    pub gone: Vec<Gone>,
    /// What is ours and unaccounted for.
    pub orphans: Vec<Orphan>,
    /// When time alone will have changed the plan.
    pub look_again: Option<Moment>,
}

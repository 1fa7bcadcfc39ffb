//! Where guests go: rows of the store become a fleet, `honcho-placement` decides, and the decision becomes words.
//!
//! ```text
//!   store::rooms --> fleet.rs --> honcho_placement::place --> words.rs   what a refused order is told
//!          '--> standing.rs --^                          '--> shown.rs   what is kept, and shown as a table
//! ```
//!
//! Whoever calls this decides, and writes the guest, in one transaction whose turn it is (`Turn::Room`). All of it is pure but for
//! `standing.rs`, which keeps the fleet between orders.

mod fleet;
mod growing;
mod plans;
mod shown;
mod standing;
pub(crate) mod turns;
mod words;

pub(crate) use fleet::Kin;
use fleet::whole;
pub(crate) use growing::{Claim, Growth, to_be_read};
pub(crate) use plans::{Lost, Size, balance_of, drain_of, fitting};
pub(crate) use shown::{Told, for_customers};
pub(crate) use standing::{Now, Seen, Standing};
pub(crate) use words::said_to;

use honcho_model::{Bytes, CpuFeature, HostId, NetworkKind, PoolId};
use honcho_placement::{Capability, Decision, Fleet, NPlusOne, Request, Rules, place, place_all};
use honcho_store::rooms::Room;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Memory of every host that guests never get: for its kernel, its agent and libvirt.
const HOST_RESERVE: Bytes = Bytes::mib(512);

/// So many vCPUs may be promised for each processor, unless `honcho serve` says otherwise.
pub const VCPUS_PER_CPU: f64 = 16.0;

/// What is held to, unless `honcho serve` says otherwise.
pub const USUAL_RULES: Rules = Rules { vcpus_per_cpu: Some(VCPUS_PER_CPU), n_plus_one: NPlusOne::Prefer };

/// A decision, with what it was made from.
pub(crate) struct Decided {
    fleet: Arc<Fleet>,
    request: Request,
    decision: Decision,
}

/// Where a guest goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: HostId,
    pub(crate) pool: PoolId,
}

/// Decides where a guest goes. `kin` is what else its account has, as far as that matters.
pub(crate) fn decide(rooms: &[Room], kin: &Kin, rules: Rules, request: Request) -> Decided {
    let request = Request { load: fleet::Busy::of(rooms).expected(request.vcpus), ..request };
    let fleet = Arc::new(fleet::summed(rooms, kin, rules));
    let decision = place(&fleet, &request);
    Decided { fleet, request, decision }
}

/// Why several guests cannot be placed together.
pub(crate) struct Together {
    /// The first one that finds no host: its place among the requests.
    pub(crate) lacking: usize,
    /// Why it finds none, with those placed that were placed before it.
    pub(crate) decided: Decided,
    /// Those, each with its place among the requests.
    pub(crate) placed: Vec<(usize, Decided)>,
}

/// Decides where several guests go, all of them or none.
fn together(fleet: &Arc<Fleet>, requests: &[Request]) -> Result<Vec<Decided>, Box<Together>> {
    let decided =
        |request: &Request, decision| Decided { fleet: fleet.clone(), request: request.clone(), decision };
    match place_all(fleet, requests) {
        Ok(decisions) => {
            Ok(requests.iter().zip(decisions).map(|(request, decision)| decided(request, decision)).collect())
        }
        Err(impossible) => {
            let placed = impossible.placed.into_iter();
            Err(Box::new(Together {
                lacking: impossible.request,
                decided: decided(&requests[impossible.request], impossible.decision),
                placed: placed
                    .map(|(index, decision)| (index, decided(&requests[index], decision)))
                    .collect(),
            }))
        }
    }
}

/// What a guest of this size asks of its host, before it is said what else, and what it is expected to do.
pub(crate) fn request_of(memory: Bytes, vcpus: u32, disk: Bytes) -> Request {
    Request { load: fleet::UNSEEN, ..Request::of_size(memory, vcpus, disk) }
}

impl Decided {
    /// Where it goes; `None` where no host can take it. A guest has a disk, and so a pool.
    pub(crate) fn place(&self) -> Option<Place> {
        let choice = self.decision.choice?;
        Some(Place { host: choice.host, pool: choice.pool? })
    }
}

/// What a guest in networks of these kinds needs of its host.
pub(crate) fn capabilities(kinds: &[NetworkKind]) -> BTreeSet<Capability> {
    kinds.iter().map(|kind| Capability(kind.capability().to_owned())).collect()
}

/// What a guest needs of its host's agent and processors.
pub(crate) fn needed(
    kinds: &[NetworkKind],
    architecture: Option<&str>,
    features: &BTreeSet<CpuFeature>,
) -> BTreeSet<Capability> {
    let mut needed = capabilities(kinds);
    needed.extend(architecture.map(|word| Capability(format!("{ARCHITECTURE}{word}"))));
    needed.extend(features.iter().map(|word| Capability(format!("{FEATURE}{word}"))));
    needed
}

/// How a capability begins that is an architecture, and one that is a feature of processors.
const ARCHITECTURE: &str = "arch:";
const FEATURE: &str = "cpu:";

/// Whether there is a host at all whose agent can carry networks of each of these kinds.
pub(crate) fn carried(rooms: &[Room], kinds: &[NetworkKind]) -> Result<(), String> {
    let can = |kind: &NetworkKind| rooms.iter().any(|room| room.capabilities.contains(kind.capability()));
    match kinds.iter().find(|kind| !rooms.is_empty() && !can(kind)) {
        None => Ok(()),
        Some(kind) => Err(format!(
            "no host can carry a {} network yet: no agent has said that it can. Its addresses may be allocated all the same",
            kind.words()
        )),
    }
}

fn signed(bytes: Bytes) -> i64 {
    i64::try_from(bytes.0).unwrap_or(i64::MAX)
}

fn show(bytes: i64) -> Bytes {
    Bytes(u64::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
mod tests;

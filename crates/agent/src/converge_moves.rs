//! Decides about guests on their way: volumes that are to arrive here, and whether one that leaves is held still.
//!
//! ```text
//!   arriving: not here -----------> fetch
//!             here, not yet sure -> fetch, which finds it complete and makes that durable
//!             here for sure ------> said, and nothing else: the brain makes this host its holder
//!   leaving:  runs ---------------> stopped, as any that should be off
//!             off, whole ---------> held: said, and from then on it may be read out
//! ```
//!
//! Nothing is started here, whatever the manifest says of power: a guest that leaves is not to run on this host any more,
//! and one that arrives is not placed here yet.

use crate::converge::{Latitude, Planner};
use crate::plan::{Action, ArrivalVerdict, Resource, Verdict};
use honcho_model::Bytes;
use honcho_wire::{ArrivalState, Arriving, Failure, GuestWanted, LOOK, VolumeState};

impl Planner<'_> {
    /// Volumes that are to arrive.
    pub(crate) fn arrivals(&mut self) {
        for arriving in &self.manifest.arrivals {
            let placed = self
                .manifest
                .guests
                .iter()
                .any(|guest| guest.id == arriving.guest || guest.root.uuid == arriving.volume_uuid);
            // A manifest that says both is a broken one: what is placed here is not fetched over.
            if !placed {
                let verdict = self.arrival(arriving);
                self.plan.arrivals.push(verdict);
            }
        }
    }

    fn arrival(&mut self, arriving: &Arriving) -> ArrivalVerdict {
        let mut verdict = ArrivalVerdict {
            guest: arriving.guest,
            epoch: arriving.epoch,
            state: ArrivalState::Coming,
            size: Bytes(0),
            failure: None,
        };
        let Some((pool, seen)) = self.ready_pool(arriving.pool) else {
            let seen = self.observed.pools.get(&arriving.pool);
            let why = seen.and_then(|pool| pool.problem.as_deref()).unwrap_or("it is not what it should be");
            let error = format!("its pool {} cannot be used: {why}", arriving.pool);
            verdict.failure = Some(Failure { step: LOOK.to_owned(), error, attempts: 1, next_try_ms: None });
            return verdict;
        };
        let here = seen.volumes.iter().find(|volume| volume.uuid == arriving.volume_uuid);
        if let Some(volume) = here.filter(|_| self.journal.volumes_arrived.contains(&arriving.volume_uuid)) {
            verdict.state = ArrivalState::Durable;
            verdict.size = volume.size;
            return verdict;
        }
        if self.latitude == Latitude::Full {
            let action = Action::FetchVolume { pool: pool.clone(), arriving: Box::new(arriving.clone()) };
            let wanted_by = format!("arriving {} from {}", arriving.epoch, arriving.address);
            let step = self.step(Resource::Guest(arriving.guest), action, wanted_by, Vec::new());
            verdict.failure = self.plan.steps.get(step).and_then(|step| step.failure.clone());
        }
        verdict
    }
}

/// Whether a guest that leaves is stopped here for good and its volume is all that it will be. What works on it just now is
/// the caller's to ask.
pub(crate) fn is_held(planner: &Planner<'_>, guest: &GuestWanted, verdict: &Verdict, domains: usize) -> bool {
    guest.leaving.is_some()
        && planner.latitude == Latitude::Full
        && domains == 0
        && verdict.waits_for.is_empty()
        && verdict.failure.is_none()
        && verdict.volume.state == VolumeState::Present
        && verdict.volume.size >= guest.root.size
}

//! Decides what to do about one wanted guest.
//!
//! ```text
//!   domain of a later epoch ----> left alone, said
//!   domain of an earlier epoch -> ask, ask again, force
//!   alive, wanted stopped ------> ask, ask again, force
//!   alive, a boot is due -------> the same, then start
//!   alive, paused by its disk --> resume, again after pauses that grow
//!   alive ----------------------> nothing
//!   off: volume unmade ---------> (fetch image) build; nothing, if somebody gave up on it
//!        volume too small ------> grow (if that can never be: start as it is)
//!        to be captured --------> read out, and nothing else
//!        wanted running --------> start
//! ```

use crate::clock::Moment;
use crate::converge::{Latitude, Planner};
use crate::converge_moves::is_held;
use crate::drivers::{DomainSeen, Stuck, VolumeSeen};
use crate::journal::{FailureMemory, GuestMemory};
use crate::plan::{Action, Resource, Verdict};
use honcho_model::guest::Power;
use honcho_model::{Bytes, Epoch};
use honcho_wire::{
    Capture, Existence, Failure, GuestWanted, PoolWanted, SOFT_STOP, StopMode, VolumeObserved, VolumeState,
};
use std::time::Duration;

/// How often a guest that should stop is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Adds the guest's steps to the plan and returns what is to be said of it.
pub(crate) fn guest(planner: &mut Planner<'_>, guest: &GuestWanted, domains: &[DomainSeen]) -> Verdict {
    let brain = planner.manifest.brain;
    let own: Vec<(&DomainSeen, Epoch, u64)> = domains
        .iter()
        .filter(|domain| domain.uuid == guest.uuid)
        .filter_map(|domain| Some((domain, domain.mark?)))
        .filter(|(_, mark)| mark.brain == brain && mark.guest == guest.id)
        .map(|(domain, mark)| (domain, mark.epoch, mark.boots))
        .collect();
    let alive = own.iter().filter(|(domain, ..)| domain.alive).max_by_key(|(_, epoch, _)| *epoch).copied();
    let (volume, seen) = look_at_volume(planner, guest);
    let mut verdict = Verdict {
        settled: false,
        power: if alive.is_some() { Power::Running } else { Power::Stopped },
        boots_done: alive.map(|(_, _, boots)| boots),
        volume,
        ssh_host_key: seen.and_then(|volume| volume.ssh_host_key.clone()),
        interfaces: own.iter().flat_map(|(domain, ..)| domain.interfaces.iter().copied()).collect(),
        failure: None,
        waits_for: Vec::new(),
        held: false,
    };
    verdict.interfaces.sort();
    verdict.interfaces.dedup();
    if let Some((_, epoch, _)) = own.iter().find(|(_, epoch, _)| *epoch > guest.epoch) {
        verdict.failure = Some(standing(&format!(
            "a domain of this guest runs here at epoch {epoch}, later than the epoch {} that is wanted; it is left alone: \
             was the brain restored from an older backup?",
            guest.epoch
        )));
        return verdict;
    }
    let leftover = own.iter().any(|(domain, epoch, _)| *epoch < guest.epoch || !domain.alive);
    let running = alive.filter(|(_, epoch, _)| *epoch == guest.epoch);
    if leftover {
        if planner.latitude == Latitude::Full {
            match alive {
                // It was started here, before it was ordered to another host: it may end its work.
                Some(_) => stop(planner, &mut verdict, guest, guest.stop_mode),
                None => add(planner, &mut verdict, guest, Action::Destroy(guest.uuid), None),
            }
        }
    } else {
        match running {
            Some((domain, _, boots)) => while_running(planner, &mut verdict, guest, (domain, boots)),
            None => while_off(planner, &mut verdict, guest),
        }
    }
    judge(planner, &mut verdict, guest, leftover);
    verdict.held = is_held(planner, guest, &verdict, own.len());
    if let Some(stuck) = running.and_then(|(domain, ..)| domain.stuck.as_ref()) {
        verdict.settled = false;
        verdict.failure = verdict.failure.take().or_else(|| Some(stuck_failure(planner, guest, stuck)));
    }
    verdict
}

fn while_running(
    planner: &mut Planner<'_>,
    verdict: &mut Verdict,
    guest: &GuestWanted,
    (domain, boots): (&DomainSeen, u64),
) {
    match guest.power {
        Power::Stopped if planner.latitude == Latitude::None => {}
        Power::Stopped => stop(planner, verdict, guest, guest.stop_mode),
        // Nothing is begun for one that leaves.
        Power::Running if guest.leaving.is_some() => {}
        Power::Running if boot_is_due(guest, boots) => {
            // A reboot stops what it must be able to start again.
            let startable =
                planner.latitude == Latitude::Full && verdict.volume.state == VolumeState::Present;
            if startable {
                stop(planner, verdict, guest, guest.boot_mode);
            }
        }
        Power::Running if domain.stuck == Some(Stuck::DiskError) && may_start(planner, guest) => {
            let resumed = planner.journal.guests.get(&guest.id).and_then(|memory| memory.resumed.as_ref());
            let again = resumed.and_then(|resumed| resumed.pause.ends(&planner.observed.boot_id));
            add(planner, verdict, guest, Action::Resume(guest.uuid), again);
        }
        Power::Running => {}
    }
}

/// Whether a guest that was booted so often is to be booted anew: a boot that was asked for is missing, and nobody gave up
/// on it.
pub(crate) fn boot_is_due(guest: &GuestWanted, boots: u64) -> bool {
    boots < guest.boots_wanted && guest.boots_wanted > guest.boots_waived
}

/// Whether there is latitude to make this guest run.
fn may_start(planner: &Planner<'_>, guest: &GuestWanted) -> bool {
    match planner.latitude {
        Latitude::Full => true,
        Latitude::StartAlone => guest.start_alone,
        Latitude::Frozen | Latitude::None => false,
    }
}

fn stop(planner: &mut Planner<'_>, verdict: &mut Verdict, guest: &GuestWanted, mode: StopMode) {
    let asked = planner.journal.guests.get(&guest.id).and_then(|memory| memory.stop.as_ref());
    let asked = asked.filter(|stop| !stop.withdrawn && stop.boot_id == planner.observed.boot_id);
    let asked = asked.map(|stop| (stop.first, stop.last));
    match (mode, asked) {
        (StopMode::Hard, _) => add(planner, verdict, guest, Action::Destroy(guest.uuid), None),
        (StopMode::Soft, None) => add(planner, verdict, guest, Action::AskToStop(guest.uuid), None),
        (StopMode::Soft, Some((first, last))) => {
            let force_at = first.plus(SOFT_STOP);
            if planner.now >= force_at {
                add(planner, verdict, guest, Action::Destroy(guest.uuid), None);
            } else {
                add(planner, verdict, guest, Action::AskToStop(guest.uuid), Some(last.plus(ASK_AGAIN)));
                planner.look_again_at(force_at);
            }
        }
    }
}

fn while_off(planner: &mut Planner<'_>, verdict: &mut Verdict, guest: &GuestWanted) {
    let Some(pool) = planner.pool(guest.root.pool) else { return };
    let full = planner.latitude == Latitude::Full;
    // A brain that does not answer takes nothing: what may start alone does not wait for it.
    let alone = planner.latitude == Latitude::StartAlone;
    let capture = guest.capture.filter(|_| guest.leaving.is_none() && !alone);
    let runs = guest.power == Power::Running
        && guest.leaving.is_none()
        && capture.is_none()
        && may_start(planner, guest);
    let stays_small = (runs || capture.is_some()) && grow_refused(planner, guest).is_some();
    match verdict.volume.state {
        // Somebody gave up on it: not made, and not missed.
        VolumeState::Unmade if guest.root.given_up => {}
        VolumeState::Unmade if full && guest.leaving.is_none() => build(planner, verdict, guest, pool),
        VolumeState::Present if verdict.volume.size < guest.root.size && full && !stays_small => {
            let action = Action::GrowVolume { pool: pool.clone(), guest: Box::new(guest.clone()) };
            add(planner, verdict, guest, action, None);
        }
        VolumeState::Present if full && let Some(capture) = capture => {
            read_out(planner, verdict, guest, pool, capture);
        }
        VolumeState::Present if runs => start(planner, verdict, guest, pool),
        VolumeState::Present | VolumeState::Unmade | VolumeState::Missing | VolumeState::Unknown => {}
    }
}

fn build(planner: &mut Planner<'_>, verdict: &mut Verdict, guest: &GuestWanted, pool: &PoolWanted) {
    let root = &guest.root;
    let image = Resource::Image(root.pool, root.image.digest);
    let mut after: Vec<usize> = planner.step_on(Resource::Pool(root.pool)).into_iter().collect();
    if !planner.observed.images.contains(&(root.pool, root.image.digest)) {
        let fetch = planner.step_on(image).unwrap_or_else(|| {
            let wanted_by = planner.who_wants_image(guest);
            let action = Action::FetchImage { pool: pool.clone(), image: root.image.clone() };
            planner.step(image, action, wanted_by, after.clone())
        });
        after = vec![fetch];
    }
    let action = Action::BuildVolume { pool: pool.clone(), guest: Box::new(guest.clone()) };
    let wanted_by = guest.generation.to_string();
    let step = planner.step(Resource::Guest(guest.id), action, wanted_by, after);
    verdict.waits_for.push(step);
}

/// An image is made of its disk. Of one that is to be off nothing waits for that: it is as it should be meanwhile. What fails is
/// told of either.
fn read_out(
    planner: &mut Planner<'_>,
    verdict: &mut Verdict,
    guest: &GuestWanted,
    pool: &PoolWanted,
    capture: Capture,
) {
    let upload = capture.upload;
    let action = Action::Capture { pool: pool.clone(), guest: Box::new(guest.clone()), upload };
    let step = planner.step(Resource::Guest(guest.id), action, format!("capture {upload}"), Vec::new());
    if guest.power == Power::Running {
        verdict.waits_for.push(step);
    }
    verdict.failure = planner.plan.steps.get(step).and_then(|step| step.failure.clone());
}

fn start(planner: &mut Planner<'_>, verdict: &mut Verdict, guest: &GuestWanted, pool: &PoolWanted) {
    let mut after = Vec::new();
    for interface in &guest.interfaces {
        let Some(network) = planner.manifest.networks.iter().find(|network| network.id == interface.network)
        else {
            verdict.failure = Some(standing(&format!(
                "its network {} is not in the manifest, so it cannot be connected",
                interface.network
            )));
            return;
        };
        if planner.network_is_ready(network) {
            continue;
        }
        match planner.step_on(Resource::Network(network.id)) {
            Some(step) if !after.contains(&step) => after.push(step),
            Some(_) => {}
            None => {
                let why = planner.observed.bridges.as_ref().err().map_or("it is not ready", String::as_str);
                verdict.failure =
                    Some(standing(&format!("its network {} cannot be used: {why}", network.id)));
                return;
            }
        }
    }
    let restart = planner.journal.guests.get(&guest.id).and_then(|memory| restart_at(planner, memory, guest));
    let action = Action::Start { pool: pool.clone(), guest: Box::new(guest.clone()) };
    let wanted_by = guest.generation.to_string();
    let step = planner.step(Resource::Guest(guest.id), action, wanted_by, after);
    delay(planner, step, restart);
    verdict.waits_for.push(step);
}

/// That this generation's size can never be had. A new generation tries once more.
fn grow_refused<'a>(planner: &Planner<'a>, guest: &GuestWanted) -> Option<&'a FailureMemory> {
    let memory = planner.journal.guests.get(&guest.id)?.grow_refused.as_ref()?;
    (memory.wanted_by == guest.generation.to_string()).then_some(memory)
}

/// Until when a guest that stopped by itself is left off. A boot that somebody asked for since does not wait.
fn restart_at(planner: &Planner<'_>, memory: &GuestMemory, guest: &GuestWanted) -> Option<Moment> {
    let restart = memory.restart.as_ref()?;
    let same = restart.epoch == guest.epoch && !boot_is_due(guest, restart.boots);
    restart.pause.ends(&planner.observed.boot_id).filter(|_| same)
}

fn add(
    planner: &mut Planner<'_>,
    verdict: &mut Verdict,
    guest: &GuestWanted,
    action: Action,
    not_before: Option<Moment>,
) {
    let step = planner.step(Resource::Guest(guest.id), action, guest.generation.to_string(), Vec::new());
    delay(planner, step, not_before);
    verdict.waits_for.push(step);
}

fn delay(planner: &mut Planner<'_>, step: usize, not_before: Option<Moment>) {
    if let Some(step) = planner.plan.steps.get_mut(step) {
        step.not_before = step.not_before.max(not_before);
    }
}

fn look_at_volume<'a>(
    planner: &Planner<'a>,
    guest: &GuestWanted,
) -> (VolumeObserved, Option<&'a VolumeSeen>) {
    let root = &guest.root;
    let known = root.existence == Existence::Existing || planner.journal.volumes_seen.contains(&root.uuid);
    let nothing = |state| (VolumeObserved { id: root.id, state, size: Bytes(0) }, None);
    let Some((_, pool)) = planner.ready_pool(root.pool) else {
        let to_come = planner.step_on(Resource::Pool(root.pool)).is_some() && !known;
        return nothing(if to_come { VolumeState::Unmade } else { VolumeState::Unknown });
    };
    match pool.volumes.iter().find(|volume| volume.id == root.id && volume.uuid == root.uuid) {
        Some(seen) => {
            (VolumeObserved { id: root.id, state: VolumeState::Present, size: seen.size }, Some(seen))
        }
        None if known => nothing(VolumeState::Missing),
        None => nothing(VolumeState::Unmade),
    }
}

/// Says whether anything is left to do, and why it does not get on if it does not.
fn judge(planner: &Planner<'_>, verdict: &mut Verdict, guest: &GuestWanted, leftover: bool) {
    let booted = verdict.boots_done.is_some_and(|boots| !boot_is_due(guest, boots));
    let as_wanted = match guest.power {
        Power::Running => verdict.power == Power::Running && booted && networks_ready(planner, guest),
        Power::Stopped => verdict.power == Power::Stopped,
    };
    let volume = &verdict.volume;
    let whole = match volume.state {
        VolumeState::Present => volume.size >= guest.root.size,
        VolumeState::Unmade => guest.root.given_up,
        VolumeState::Missing | VolumeState::Unknown => false,
    };
    verdict.settled = as_wanted
        && guest.leaving.is_none()
        && whole
        && !leftover
        && verdict.waits_for.is_empty()
        && verdict.failure.is_none();
    let failed = verdict.waits_for.iter().find_map(|step| failure_behind(planner, *step));
    let small = volume.state == VolumeState::Present && !whole;
    let running = verdict.power == Power::Running;
    let refused = || {
        // While it runs nothing can be tried, so that what was found out for an earlier generation stands.
        let memory = planner.journal.guests.get(&guest.id)?.grow_refused.as_ref()?;
        let stands = small && (running || grow_refused(planner, guest).is_some());
        stands.then(|| memory.shown())
    };
    let damaged = || damage(planner, verdict, guest);
    let failure = verdict.failure.clone().or(failed).or_else(refused).or_else(damaged);
    verdict.failure = failure;
}

fn networks_ready(planner: &Planner<'_>, guest: &GuestWanted) -> bool {
    guest.interfaces.iter().all(|interface| {
        let network = planner.manifest.networks.iter().find(|network| network.id == interface.network);
        network.is_some_and(|network| planner.network_is_ready(network))
    })
}

/// The failure of a step, or of one that it waits for.
fn failure_behind(planner: &Planner<'_>, step: usize) -> Option<Failure> {
    let step = planner.plan.steps.get(step)?;
    // Steps wait only for steps with lower indices, so this ends.
    step.failure.clone().or_else(|| step.after.iter().find_map(|earlier| failure_behind(planner, *earlier)))
}

fn damage(planner: &Planner<'_>, verdict: &Verdict, guest: &GuestWanted) -> Option<Failure> {
    let root = &guest.root;
    match verdict.volume.state {
        VolumeState::Missing => Some(standing(&format!(
            "its volume {} (uuid {}) is missing from pool {}, where it once was: bring it back, or delete the guest; \
             it is never made anew",
            root.id, root.uuid, root.pool
        ))),
        VolumeState::Unknown => {
            let seen = planner.observed.pools.get(&root.pool);
            let why = seen.and_then(|pool| pool.problem.as_deref()).unwrap_or("it is not what it should be");
            Some(standing(&format!("its pool {} cannot be used: {why}", root.pool)))
        }
        VolumeState::Present | VolumeState::Unmade => None,
    }
}

/// What is said of a guest that is alive and does not get on.
fn stuck_failure(planner: &Planner<'_>, guest: &GuestWanted, stuck: &Stuck) -> Failure {
    let resumed = planner.journal.guests.get(&guest.id).and_then(|memory| memory.resumed.as_ref());
    match (stuck, resumed) {
        (Stuck::Other(why), _) => standing(why),
        (Stuck::DiskError, resumed) => {
            let failure = standing(&format!(
                "it is paused because its disk gave an error, as a full pool does: free some space in pool {}; it goes on \
                 by itself then",
                guest.root.pool
            ));
            let Some(resumed) = resumed else { return failure };
            let next_try_ms = Some(resumed.pause.milliseconds);
            Failure { step: "resume".to_owned(), attempts: resumed.attempts, next_try_ms, ..failure }
        }
    }
}

/// A failure that no step had: it stands until what is observed changes.
fn standing(error: &str) -> Failure {
    Failure { step: honcho_wire::LOOK.to_owned(), error: error.to_owned(), attempts: 1, next_try_ms: None }
}

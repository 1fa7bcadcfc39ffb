//! All that the agent remembers.
//!
//! Everything else is observed anew. What is here cannot be observed: the last manifest, how often a step failed and
//! how long it pauses, in which boot of the host the brain has answered, and whether a guest that is off now was told
//! to stop. Pure: [`crate::journal_file`] keeps it on disk, and does so before a step whenever the step changes it.

use crate::clock::{Moment, Pause, growing, millis};
use crate::converge_guest::boot_is_due;
use crate::drivers::{DomainSeen, DriverError};
use crate::observed::Observed;
use crate::plan::{Action, Resource, Step};
use honcho_model::guest::Power;
use honcho_model::{Epoch, GuestId};
use honcho_wire::{Absent, Failure, GuestWanted, Manifest, PoolState, SOFT_STOP};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use uuid::Uuid;

/// The first pause after a failed step; it doubles.
const STEP_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after a failed step.
const STEP_PAUSE_MOST: Duration = Duration::from_mins(1);
/// The first pause before a guest that stopped by itself is started again; it doubles.
const RESTART_PAUSE: Duration = Duration::from_secs(2);
/// The longest such pause.
const RESTART_PAUSE_MOST: Duration = Duration::from_mins(5);
/// A guest that ran for so long has recovered: the next pause is the first again.
const RECOVERED: Duration = Duration::from_mins(10);

/// All that the agent remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Journal {
    /// The last manifest, kept in a file of its own and written before its first step.
    #[serde(skip)]
    pub manifest: Option<Manifest>,
    /// The last manifest of the brain's life before this one, while the present one is unaccepted; in a file of its own, too.
    #[serde(skip)]
    pub former: Option<Manifest>,
    /// The last boot of the host in which the brain has answered.
    pub answered_in_boot: Option<String>,
    /// Pools that were once seen ready, by uuid: never initialised again.
    pub pools_seen: BTreeSet<Uuid>,
    /// Volumes that were once seen complete, by uuid: never made again, whatever the brain knew when it spoke.
    pub volumes_seen: BTreeSet<Uuid>,
    /// Volumes listed as absent that were deleted, with the half-made ones beside them, which cannot be observed.
    pub volumes_deleted: BTreeSet<Uuid>,
    /// Volumes that arrived from other hosts and are durable for sure, until their guests are placed here.
    pub volumes_arrived: BTreeSet<Uuid>,
    /// Of each guest.
    pub guests: BTreeMap<GuestId, GuestMemory>,
    /// Failed steps, by what they worked on.
    pub failures: BTreeMap<Resource, FailureMemory>,
}

/// What is remembered of a guest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuestMemory {
    /// Its last start, until it was found stopped.
    pub run: Option<Run>,
    /// That it was told to stop.
    pub stop: Option<Stop>,
    /// How often it stopped by itself while it should have run.
    pub unexpected_stops: u64,
    /// How often in a row, without [`RECOVERED`] between.
    pub streak: u32,
    /// The pause before it is started again for the same boot count.
    pub restart: Option<Restart>,
    /// That it was resumed after its disk had failed it, until it has run on for a while.
    pub resumed: Option<Resumed>,
    /// That its volume cannot be grown, whatever is tried: it runs with the size that it has.
    pub grow_refused: Option<FailureMemory>,
}

/// A start of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its epoch.
    pub epoch: Epoch,
    /// The boot count that it fulfilled.
    pub boots: u64,
    /// The host's boot in which it was.
    pub boot_id: String,
    /// When it was first seen.
    pub since: Moment,
}

/// That a guest was told to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The host's boot in which it was.
    pub boot_id: String,
    /// When it was first asked.
    pub first: Moment,
    /// When it was last asked.
    pub last: Moment,
    /// It is wanted running again. It may still heed the earlier request, and the next request counts anew.
    pub withdrawn: bool,
}

/// A pause before a guest is started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// The epoch it stopped in.
    pub epoch: Epoch,
    /// The boot count it had: a higher one that is wanted ends the pause.
    pub boots: u64,
    /// The pause.
    pub pause: Pause,
}

/// That a paused guest was resumed. It may be paused again at once, and is left so for longer each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// How often in a row.
    pub attempts: u32,
    /// Until when it is not resumed again.
    pub pause: Pause,
}

/// A failed step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureMemory {
    /// The step's name.
    pub step: String,
    /// See [`Step::wanted_by`].
    pub wanted_by: String,
    /// Why.
    pub error: String,
    /// How often in a row.
    pub attempts: u32,
    /// Until when; `None` when only a change of what is wanted can help.
    pub pause: Option<Pause>,
}

impl FailureMemory {
    /// As a report shows it.
    pub fn shown(&self) -> Failure {
        Failure {
            step: self.step.clone(),
            error: self.error.clone(),
            attempts: self.attempts,
            next_try_ms: self.pause.as_ref().map(|pause| pause.milliseconds),
        }
    }
}

impl Journal {
    /// What the brain's earlier life last said, while nobody has accepted the present one.
    pub fn former_if_unaccepted(&self) -> Option<&Manifest> {
        let unaccepted = self.manifest.as_ref().is_some_and(|manifest| manifest.unaccepted.is_some());
        self.former.as_ref().filter(|_| unaccepted)
    }

    /// What is remembered of a failure of this very step, wanted by the same generation.
    pub fn failure(&self, resource: Resource, step: &str, wanted_by: &str) -> Option<&FailureMemory> {
        self.failures.get(&resource).filter(|memory| memory.step == step && memory.wanted_by == wanted_by)
    }

    /// Everything but the manifests, which are large and changes by itself.
    #[must_use]
    pub fn without_manifest(&mut self) -> Journal {
        let manifests = (self.manifest.take(), self.former.take());
        let copy = self.clone();
        (self.manifest, self.former) = manifests;
        copy
    }

    /// Takes in what a look showed: guests that started or stopped, pools and volumes that are there. Returns whether
    /// anything changed and has to be kept.
    pub fn notice(&mut self, observed: &Observed, now: Moment) -> bool {
        let Some(manifest) = self.manifest.take() else { return false };
        let mut changed = self.notice_storage(&manifest, observed);
        if let Ok(domains) = &observed.domains {
            for guest in &manifest.guests {
                let ours = |domain: &&DomainSeen| {
                    domain.alive
                        && domain.uuid == guest.uuid
                        && domain
                            .mark
                            .is_some_and(|mark| mark.brain == manifest.brain && mark.guest == guest.id)
                };
                let domain = domains.iter().find(ours);
                let before = self.guests.get(&guest.id).cloned().unwrap_or_default();
                let after = before.clone().noticed(guest, domain, &observed.boot_id, now);
                if after != before {
                    changed = true;
                    self.guests.insert(guest.id, after);
                }
            }
        }
        changed |= self.forget_what_nobody_speaks_of(&manifest);
        self.manifest = Some(manifest);
        changed
    }

    fn notice_storage(&mut self, manifest: &Manifest, observed: &Observed) -> bool {
        let mut changed = false;
        for pool in &manifest.pools {
            let Some(seen) = observed.pools.get(&pool.id).filter(|seen| seen.state == PoolState::Ready)
            else {
                continue;
            };
            changed |= self.pools_seen.insert(pool.uuid);
            let there = |uuid: Uuid| seen.volumes.iter().any(|volume| volume.uuid == uuid);
            for guest in manifest.guests.iter().filter(|guest| guest.root.pool == pool.id) {
                changed |= there(guest.root.uuid) && self.volumes_seen.insert(guest.root.uuid);
            }
        }
        changed
    }

    /// Failures of what is no longer in the manifest, and guests whose going has been told.
    fn forget_what_nobody_speaks_of(&mut self, manifest: &Manifest) -> bool {
        let absent_volumes: BTreeSet<Uuid> = manifest
            .absent
            .iter()
            .flat_map(|absent| match absent {
                Absent::Guest { volumes, .. } => volumes.as_slice(),
                Absent::Network { .. } => &[],
            })
            .map(|volume| volume.uuid)
            .collect();
        let count = self.failures.len() + self.volumes_deleted.len() + self.volumes_arrived.len();
        self.volumes_deleted.retain(|uuid| absent_volumes.contains(uuid));
        self.volumes_arrived
            .retain(|uuid| manifest.arrivals.iter().any(|arriving| arriving.volume_uuid == *uuid));
        self.failures.retain(|resource, _| match resource {
            Resource::Guest(id) => {
                manifest.guests.iter().any(|guest| guest.id == *id)
                    || manifest.arrivals.iter().any(|arriving| arriving.guest == *id)
                    || manifest
                        .absent
                        .iter()
                        .any(|a| matches!(a, Absent::Guest { id: gone, .. } if gone == id))
            }
            Resource::Pool(id) | Resource::Image(id, _) => manifest.pools.iter().any(|pool| pool.id == *id),
            Resource::Network(id) => {
                manifest.networks.iter().any(|network| network.id == *id)
                    || manifest
                        .absent
                        .iter()
                        .any(|a| matches!(a, Absent::Network { id: gone, .. } if gone == id))
            }
        });
        count != self.failures.len() + self.volumes_deleted.len() + self.volumes_arrived.len()
    }

    /// Forgets a guest that is gone, so that nothing is left of it here either.
    pub fn forget_guest(&mut self, id: GuestId) -> bool {
        self.guests.remove(&id).is_some()
    }

    /// Notes that a step begins. Returns whether that has to be kept before it does.
    pub fn step_begins(&mut self, step: &Step, boot_id: &str, now: Moment) -> bool {
        let Resource::Guest(id) = step.resource else { return false };
        match &step.action {
            Action::AskToStop(_) | Action::Destroy(_) => {
                let memory = self.guests.entry(id).or_default();
                let first = match &memory.stop {
                    Some(told) if !told.withdrawn && told.boot_id == boot_id => told.first,
                    _ => now,
                };
                memory.stop = Some(Stop { boot_id: boot_id.to_owned(), first, last: now, withdrawn: false });
                true
            }
            Action::Start { .. } => {
                let memory = self.guests.entry(id).or_default();
                let changed = memory.stop.is_some() || memory.restart.is_some();
                memory.stop = None;
                memory.restart = None;
                changed
            }
            Action::DeleteVolumes(volumes) => {
                // What is being deleted was seen once; nobody will ask for it by this uuid again.
                let before = self.volumes_seen.len();
                self.volumes_seen.retain(|uuid| volumes.iter().all(|(_, volume)| volume.uuid != *uuid));
                before != self.volumes_seen.len()
            }
            _ => false,
        }
    }

    /// Notes how a step ended.
    pub fn step_ended(&mut self, step: &Step, result: &Result<(), DriverError>, boot_id: &str, now: Moment) {
        match result {
            Ok(()) => self.step_succeeded(step, boot_id, now),
            Err(error) => {
                let name = step.action.name();
                let attempts =
                    self.failure(step.resource, name, &step.wanted_by).map_or(0, |memory| memory.attempts)
                        + 1;
                let pause = match error {
                    DriverError::Never(_) => None,
                    DriverError::Later(_) => Some(Pause {
                        boot_id: boot_id.to_owned(),
                        from: now,
                        milliseconds: millis(growing(STEP_PAUSE, attempts, STEP_PAUSE_MOST)),
                    }),
                };
                let memory = FailureMemory {
                    step: name.to_owned(),
                    wanted_by: step.wanted_by.clone(),
                    error: error.to_string(),
                    attempts,
                    pause,
                };
                if let (Action::GrowVolume { guest, .. }, None) = (&step.action, &memory.pause) {
                    // Kept apart, for the guest's next step may fail as well and there is one failure per resource.
                    self.guests.entry(guest.id).or_default().grow_refused = Some(memory.clone());
                }
                self.failures.insert(step.resource, memory);
            }
        }
    }

    fn step_succeeded(&mut self, step: &Step, boot_id: &str, now: Moment) {
        if self.failures.get(&step.resource).is_some_and(|memory| memory.step == step.action.name()) {
            self.failures.remove(&step.resource);
        }
        match &step.action {
            // Noted here and not only when it is seen: one that ends before the next look stopped by itself.
            Action::Start { guest, .. } => {
                let run = Run {
                    epoch: guest.epoch,
                    boots: guest.boots_wanted,
                    boot_id: boot_id.to_owned(),
                    since: now,
                };
                self.guests.entry(guest.id).or_default().run = Some(run);
            }
            Action::Resume(_) => {
                if let Resource::Guest(id) = step.resource {
                    let memory = self.guests.entry(id).or_default();
                    let attempts =
                        memory.resumed.as_ref().map_or(0, |resumed| resumed.attempts).saturating_add(1);
                    let milliseconds = millis(growing(STEP_PAUSE, attempts, STEP_PAUSE_MOST));
                    let pause = Pause { boot_id: boot_id.to_owned(), from: now, milliseconds };
                    memory.resumed = Some(Resumed { attempts, pause });
                }
            }
            Action::GrowVolume { guest, .. } => {
                self.guests.entry(guest.id).or_default().grow_refused = None;
            }
            Action::DeleteVolumes(volumes) => {
                self.volumes_deleted.extend(volumes.iter().map(|(_, volume)| volume.uuid));
            }
            Action::BuildVolume { guest, .. } => {
                self.volumes_seen.insert(guest.root.uuid);
            }
            Action::FetchVolume { arriving, .. } => {
                self.volumes_arrived.insert(arriving.volume_uuid);
                // Once it is the guest's disk here, a missing one is an alarm.
                self.volumes_seen.insert(arriving.volume_uuid);
            }
            Action::InitPool(pool) => {
                self.pools_seen.insert(pool.uuid);
            }
            _ => {}
        }
    }
}

impl GuestMemory {
    fn noticed(self, guest: &GuestWanted, domain: Option<&DomainSeen>, boot_id: &str, now: Moment) -> Self {
        match domain.and_then(|domain| domain.mark) {
            Some(mark) => {
                let since = match &self.run {
                    Some(run)
                        if run.epoch == mark.epoch && run.boots == mark.boots && run.boot_id == boot_id =>
                    {
                        run.since
                    }
                    _ => now,
                };
                let run = Run { epoch: mark.epoch, boots: mark.boots, boot_id: boot_id.to_owned(), since };
                let as_wanted = guest.power == Power::Running
                    && guest.epoch == mark.epoch
                    && !boot_is_due(guest, mark.boots);
                let stop = self.stop.map(|stop| Stop { withdrawn: stop.withdrawn || as_wanted, ..stop });
                // Not stuck when the pause is over: it got on, so that the next pause is the first again.
                let stuck = domain.is_some_and(|domain| domain.stuck.is_some());
                let lasts =
                    |resumed: &Resumed| stuck || resumed.pause.ends(boot_id).is_some_and(|end| now < end);
                let resumed = self.resumed.filter(lasts);
                GuestMemory { run: Some(run), stop, resumed, ..self }
            }
            None => self.noticed_off(guest, boot_id, now),
        }
    }

    fn noticed_off(mut self, guest: &GuestWanted, boot_id: &str, now: Moment) -> Self {
        self.resumed = None;
        let Some(run) = self.run.take() else { return self };
        let told = self.stop.as_ref().is_some_and(|stop| {
            stop.boot_id == boot_id && (!stop.withdrawn || now.since(stop.last) <= SOFT_STOP)
        });
        let as_wanted =
            guest.power == Power::Stopped || boot_is_due(guest, run.boots) || guest.epoch != run.epoch;
        if told || as_wanted || run.boot_id != boot_id {
            return GuestMemory { streak: 0, restart: None, ..self };
        }
        let streak = if now.since(run.since) >= RECOVERED { 1 } else { self.streak.saturating_add(1) };
        let milliseconds = millis(growing(RESTART_PAUSE, streak, RESTART_PAUSE_MOST));
        let pause = Pause { boot_id: boot_id.to_owned(), from: now, milliseconds };
        let restart = Restart { epoch: run.epoch, boots: run.boots, pause };
        GuestMemory {
            streak,
            unexpected_stops: self.unexpected_stops.saturating_add(1),
            restart: Some(restart),
            ..self
        }
    }
}

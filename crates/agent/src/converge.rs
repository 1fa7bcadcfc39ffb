//! Decides what to do: the manifest against what was observed and what is remembered.
//!
//! Pure: no clock, no I/O. It is asked again after every step, every change and every new manifest, so a plan is
//! never carried out to its end; only its ready steps are started, and the rest is there to be seen.
//!
//! Rules that hold here, whatever is wanted:
//!
//! - Absence is no instruction. Only what [`Manifest::absent`] lists is removed, and nothing that is also wanted.
//! - A volume or pool that was once seen is never made again; a missing one is said, not mended.
//! - On a pool that is not what it should be there are no steps, and its guests run on as they are.
//! - What does not carry our brain's mark is not touched; what does and is unaccounted for is kept as an orphan.
//! - While the host is frozen, and after its boot until the brain has answered, a guest may be stopped because it is
//!   wanted stopped (which starting it again undoes), and nothing else is done; save, in the second case, that guests
//!   marked `start_alone` are started.
//! - A guest of whose disk an image is made is not started until that has ended.
//! - A guest that is being moved starts neither where it leaves nor where it arrives ([`crate::converge_moves`]).
//! - While the brain is unaccepted, because it was restored from a backup, there is no step at all.

use crate::clock::Moment;
use crate::converge_guest;
use crate::drivers::{DomainSeen, PoolSeen, bridge_name};
use crate::journal::Journal;
use crate::observed::Observed;
use crate::plan::{Action, Plan, Resource, Step};
use honcho_model::guest::Power;
use honcho_model::{Epoch, Generation, GuestId, InterfaceId, NetworkId, PoolId};
use honcho_wire::{
    Absent, Existence, Gone, GuestWanted, Manifest, NetworkWanted, Orphan, PoolState, PoolWanted,
    VolumeAbsent,
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// How much may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Latitude {
    /// Everything that is wanted.
    Full,
    /// The host booted and the brain has not answered since: only guests marked `start_alone` are started.
    StartAlone,
    /// Nothing starts or is deleted.
    Frozen,
    /// Nothing at all: the brain is another than it was, and nobody has looked yet at what differs.
    None,
}

/// Compares what is wanted with what is, and returns what to do about it and what to say.
pub fn converge(manifest: &Manifest, observed: &Observed, journal: &Journal, now: Moment) -> Plan {
    let mut planner = Planner::new(manifest, observed, journal, now);
    planner.pools();
    planner.networks();
    if let Ok(domains) = &observed.domains {
        for guest in &manifest.guests {
            let verdict = converge_guest::guest(&mut planner, guest, domains);
            planner.plan.guests.insert(guest.id, verdict);
        }
        for absent in &manifest.absent {
            if let Absent::Guest { id, uuid, epoch, generation, volumes, interfaces } = absent {
                let going = GoingGuest { id: *id, uuid: *uuid, epoch: *epoch, generation: *generation };
                planner.absent_guest(&going, volumes, interfaces, domains);
            }
        }
        planner.arrivals();
        planner.absent_networks(domains);
        planner.orphans(domains);
    }
    planner.finish()
}

struct GoingGuest {
    id: GuestId,
    uuid: Uuid,
    epoch: Epoch,
    generation: Generation,
}

/// A plan in the making.
pub(crate) struct Planner<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) observed: &'a Observed,
    pub(crate) journal: &'a Journal,
    pub(crate) now: Moment,
    pub(crate) latitude: Latitude,
    pub(crate) plan: Plan,
    /// Index of the step on a resource that others wait for.
    steps_by_resource: BTreeMap<Resource, usize>,
    pools: BTreeMap<PoolId, &'a PoolWanted>,
}

impl<'a> Planner<'a> {
    fn new(manifest: &'a Manifest, observed: &'a Observed, journal: &'a Journal, now: Moment) -> Self {
        let answered = journal.answered_in_boot.as_ref() == Some(&observed.boot_id);
        let latitude = match (&manifest.unaccepted, &manifest.frozen, answered) {
            (Some(_), ..) => Latitude::None,
            (None, Some(_), _) => Latitude::Frozen,
            (None, None, false) => Latitude::StartAlone,
            (None, None, true) => Latitude::Full,
        };
        Planner {
            manifest,
            observed,
            journal,
            now,
            latitude,
            plan: Plan::default(),
            steps_by_resource: BTreeMap::new(),
            pools: manifest.pools.iter().map(|pool| (pool.id, pool)).collect(),
        }
    }

    /// Adds a step and returns its index. Pauses after failures of this very step are taken into account.
    pub(crate) fn step(
        &mut self,
        resource: Resource,
        action: Action,
        wanted_by: String,
        after: Vec<usize>,
    ) -> usize {
        let memory = self.journal.failure(resource, action.name(), &wanted_by);
        let not_before = memory.and_then(|memory| memory.pause.as_ref()?.ends(&self.observed.boot_id));
        let step = Step {
            resource,
            action,
            wanted_by,
            after,
            not_before,
            hopeless: memory.is_some_and(|memory| memory.pause.is_none()),
            failure: memory.map(crate::journal::FailureMemory::shown),
        };
        self.plan.steps.push(step);
        let index = self.plan.steps.len() - 1;
        self.steps_by_resource.insert(resource, index);
        index
    }

    /// The step that others of this resource's users wait for, if there is one.
    pub(crate) fn step_on(&self, resource: Resource) -> Option<usize> {
        self.steps_by_resource.get(&resource).copied()
    }

    /// A wanted pool.
    pub(crate) fn pool(&self, id: PoolId) -> Option<&'a PoolWanted> {
        self.pools.get(&id).copied()
    }

    /// A pool that may be worked on, with what is in it.
    pub(crate) fn ready_pool(&self, id: PoolId) -> Option<(&'a PoolWanted, &'a PoolSeen)> {
        let seen = self.observed.pools.get(&id).filter(|seen| seen.state == PoolState::Ready)?;
        Some((self.pool(id)?, seen))
    }

    fn pools(&mut self) {
        for pool in &self.manifest.pools {
            let blank = self.observed.pools.get(&pool.id).is_some_and(|seen| seen.state == PoolState::Blank);
            if self.latitude == Latitude::Full && blank && may_be_initialised(pool, self.journal) {
                let wanted_by = pool.generation.to_string();
                self.step(Resource::Pool(pool.id), Action::InitPool(pool.clone()), wanted_by, Vec::new());
            }
        }
    }

    fn networks(&mut self) {
        let needed_alone: BTreeSet<NetworkId> = self
            .manifest
            .guests
            .iter()
            .filter(|guest| guest.start_alone && guest.power == Power::Running)
            .flat_map(|guest| guest.interfaces.iter().map(|interface| interface.network))
            .collect();
        for network in &self.manifest.networks {
            let may = match self.latitude {
                Latitude::Full => true,
                Latitude::StartAlone => needed_alone.contains(&network.id),
                Latitude::Frozen | Latitude::None => false,
            };
            if may && self.observed.bridges.is_ok() && !self.network_is_ready(network) {
                let wanted_by = network.generation.to_string();
                let interfaces = interfaces_wanted(self.manifest).into_iter();
                let interfaces = interfaces.filter(|(_, of)| *of == network.id).map(|(id, _)| id).collect();
                let action = Action::EnsureNetwork { network: network.clone(), interfaces };
                self.step(Resource::Network(network.id), action, wanted_by, Vec::new());
            }
        }
    }

    /// Whether bridge, address and NAT of a wanted network are as they should be.
    pub(crate) fn network_is_ready(&self, network: &NetworkWanted) -> bool {
        network_is_ready(self.manifest, self.observed, network)
    }

    fn absent_guest(
        &mut self,
        going: &GoingGuest,
        volumes: &[VolumeAbsent],
        interfaces: &[InterfaceId],
        domains: &[DomainSeen],
    ) {
        let wanted =
            self.manifest.guests.iter().find(|guest| guest.id == going.id || guest.uuid == going.uuid);
        let mut own = domains.iter().filter(|domain| {
            domain.uuid == going.uuid
                && domain.mark.is_some_and(|mark| mark.brain == self.manifest.brain && mark.guest == going.id)
        });
        let is_newer = |domain: &DomainSeen| domain.mark.is_some_and(|mark| mark.epoch > going.epoch);
        let running = own.clone().find(|domain| !is_newer(domain));
        if wanted.is_none() && own.any(is_newer) {
            // It came back with a later epoch than the one that was to go: an orphan until the brain knows of it.
            return;
        }
        let resource = Resource::Guest(going.id);
        let wanted_by = format!("absent {}", going.generation);
        let mut after = Vec::new();
        if wanted.is_none() && running.is_some() && self.latitude == Latitude::Full {
            after.push(self.step(resource, Action::Destroy(going.uuid), wanted_by.clone(), Vec::new()));
        }
        let to_go: Vec<&VolumeAbsent> = volumes.iter().filter(|volume| !self.is_wanted(volume)).collect();
        let left: Vec<&VolumeAbsent> =
            to_go.iter().copied().filter(|volume| !self.volume_is_gone(volume)).collect();
        let reachable: Vec<(PoolWanted, VolumeAbsent)> = left
            .iter()
            .filter_map(|volume| Some((self.ready_pool(volume.pool)?.0.clone(), (*volume).clone())))
            .collect();
        // A wanted guest of the same id has the resource; what was left of its earlier life goes when it rests.
        let free = self.step_on(resource).is_none() || wanted.is_none();
        if self.latitude == Latitude::Full && !reachable.is_empty() && free {
            self.step(resource, Action::DeleteVolumes(reachable), wanted_by, after);
        }
        let taps_left = interfaces.iter().any(|id| {
            wanted.is_none_or(|guest| guest.interfaces.iter().all(|interface| interface.id != *id))
                && domains.iter().any(|domain| domain.interfaces.contains(id))
        });
        if running.is_none() && left.is_empty() && !taps_left {
            self.plan.gone.push(Gone::Guest {
                id: going.id,
                epoch: going.epoch,
                generation: going.generation,
            });
        }
    }

    fn is_wanted(&self, volume: &VolumeAbsent) -> bool {
        let arrives = self.manifest.arrivals.iter().any(|arriving| arriving.volume_uuid == volume.uuid);
        arrives
            || self
                .manifest
                .guests
                .iter()
                .any(|guest| guest.root.id == volume.id || guest.root.uuid == volume.uuid)
    }

    /// Deleted by us, so that no half-made one is left either, and not seen.
    fn volume_is_gone(&self, volume: &VolumeAbsent) -> bool {
        self.journal.volumes_deleted.contains(&volume.uuid)
            && self
                .ready_pool(volume.pool)
                .is_some_and(|(_, seen)| seen.volumes.iter().all(|there| there.uuid != volume.uuid))
    }

    fn absent_networks(&mut self, domains: &[DomainSeen]) {
        let Ok(bridges) = &self.observed.bridges else { return };
        for absent in &self.manifest.absent {
            let Absent::Network { id, uuid, generation } = absent else { continue };
            if self.manifest.networks.iter().any(|network| network.id == *id || network.uuid == *uuid) {
                continue;
            }
            let mark = Some((self.manifest.brain, *uuid));
            let stands = bridges.iter().any(|bridge| bridge.id == *id && bridge.mark == mark);
            if !stands {
                self.plan.gone.push(Gone::Network { id: *id, generation: *generation });
            } else if self.latitude == Latitude::Full && !self.may_be_in_use(*id, domains) {
                let action = Action::RemoveNetwork { id: *id, uuid: *uuid };
                self.step(Resource::Network(*id), action, format!("absent {generation}"), Vec::new());
            }
        }
    }

    /// Whether a guest wants the network, or a domain of ours holds a card of which nobody says where it is plugged in.
    fn may_be_in_use(&self, id: NetworkId, domains: &[DomainSeen]) -> bool {
        let plugged: BTreeMap<InterfaceId, NetworkId> = self
            .manifest
            .guests
            .iter()
            .flat_map(|guest| guest.interfaces.iter().map(|interface| (interface.id, interface.network)))
            .collect();
        let held = domains
            .iter()
            .filter(|domain| domain.mark.is_some())
            .flat_map(|domain| &domain.interfaces)
            .any(|interface| plugged.get(interface).is_none_or(|network| *network == id));
        held || plugged.values().any(|network| *network == id)
    }

    fn orphans(&mut self, domains: &[DomainSeen]) {
        let brain = self.manifest.brain;
        let mut orphans = Vec::new();
        for domain in domains {
            let Some(mark) = domain.mark.filter(|mark| mark.brain == brain) else { continue };
            // One of a later epoch than is wanted is another than the wanted one.
            let wanted = self.manifest.guests.iter().any(|guest| {
                guest.id == mark.guest && guest.uuid == domain.uuid && mark.epoch <= guest.epoch
            });
            let going = self.manifest.absent.iter().any(|absent| {
                matches!(absent, Absent::Guest { id, uuid, epoch, .. }
                    if *id == mark.guest && *uuid == domain.uuid && mark.epoch <= *epoch)
            });
            if !wanted && !going {
                orphans.push(Orphan {
                    epoch: Some(mark.epoch),
                    boots: Some(mark.boots),
                    interfaces: domain.interfaces.clone(),
                    ..orphan("domain", domain.name.clone(), domain.uuid, mark.guest.0)
                });
            }
        }
        for (pool, seen) in self.observed.pools.iter().filter(|(_, seen)| seen.state == PoolState::Ready) {
            for volume in &seen.volumes {
                let wanted = self.manifest.guests.iter().any(|guest| guest.root.uuid == volume.uuid)
                    || self.manifest.arrivals.iter().any(|arriving| arriving.volume_uuid == volume.uuid);
                let going = self.manifest.absent.iter().any(|absent| {
                    matches!(absent, Absent::Guest { volumes, .. } if volumes.iter().any(|v| v.uuid == volume.uuid))
                });
                if !wanted && !going {
                    let name = format!("volume {} in pool {pool}", volume.id);
                    orphans.push(orphan("volume", name, volume.uuid, volume.id.0));
                }
            }
        }
        for bridge in self.observed.bridges.iter().flatten() {
            let Some((_, uuid)) = bridge.mark.filter(|(of, _)| *of == brain) else { continue };
            let wanted = self.manifest.networks.iter().any(|network| network.uuid == uuid);
            let going = self
                .manifest
                .absent
                .iter()
                .any(|absent| matches!(absent, Absent::Network { uuid: of, .. } if *of == uuid));
            if !wanted && !going {
                orphans.push(orphan("bridge", bridge_name(bridge.id), uuid, bridge.id.0));
            }
        }
        self.plan.orphans = orphans;
    }

    fn finish(mut self) -> Plan {
        let waiting = self.plan.steps.iter().filter(|step| step.after.is_empty() && !step.hopeless);
        let moments = waiting.filter_map(|step| step.not_before.filter(|moment| *moment > self.now));
        self.plan.look_again = moments.chain(self.plan.look_again).min();
        self.plan
    }

    /// Asks for another look at a moment, if it is to come.
    pub(crate) fn look_again_at(&mut self, moment: Moment) {
        if moment > self.now {
            self.plan.look_again = Some(self.plan.look_again.map_or(moment, |other| other.min(moment)));
        }
    }

    /// What wants an image: the guests whose volumes it is for, each with its generation.
    pub(crate) fn who_wants_image(&self, guest: &GuestWanted) -> String {
        let same = |other: &&GuestWanted| {
            other.root.pool == guest.root.pool && other.root.image.digest == guest.root.image.digest
        };
        let names: Vec<String> =
            self.manifest.guests.iter().filter(same).map(|g| format!("{}@{}", g.id, g.generation)).collect();
        names.join(",")
    }
}

fn orphan(kind: &str, name: String, uuid: Uuid, id: i64) -> Orphan {
    Orphan { kind: kind.to_owned(), name, uuid: Some(uuid), id, ..Orphan::default() }
}

/// The interfaces of wanted guests, each with the network it belongs in.
pub(crate) fn interfaces_wanted(manifest: &Manifest) -> Vec<(InterfaceId, NetworkId)> {
    let interfaces = manifest.guests.iter().flat_map(|guest| &guest.interfaces);
    interfaces.map(|interface| (interface.id, interface.network)).collect()
}

/// Whether bridge, address and NAT of a wanted network are as they should be.
pub(crate) fn network_is_ready(manifest: &Manifest, observed: &Observed, network: &NetworkWanted) -> bool {
    let mark = Some((manifest.brain, network.uuid));
    observed
        .bridges
        .iter()
        .flatten()
        .any(|bridge| bridge.id == network.id && bridge.mark == mark && bridge.ready)
}

/// Whether an empty directory may become this pool: only one that was never in use.
pub(crate) fn may_be_initialised(pool: &PoolWanted, journal: &Journal) -> bool {
    pool.existence == Existence::Make && !journal.pools_seen.contains(&pool.uuid)
}

//! The agent's hands in that host: what each step does, what it may die in, and what must hold whatever it does.

use super::{BRAIN, Died, World, boot_is_missing, uuid};
use honcho_agent_lib::converge::converge;
use honcho_agent_lib::drivers::{BridgeSeen, DomainSeen, DriverError, Mark, VolumeSeen};
use honcho_agent_lib::observed::Observed;
use honcho_agent_lib::plan::{Action, Step};
use honcho_model::Bytes;
use honcho_model::guest::Power;
use honcho_wire::{
    Absent, Arriving, Existence, Gone, GuestWanted, PoolState, PoolWanted, VolumeAbsent, VolumeState,
};
use rand::Rng as _;
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

impl World {
    /// One round of the agent: looks, decides, carries out every ready step, and maybe dies in the middle.
    pub(crate) fn round(&mut self) {
        if self.try_round().is_err() {
            self.die();
        }
    }

    fn try_round(&mut self) -> Result<(), Died> {
        let observed = self.look();
        self.mind.notice(&observed, self.now);
        let Some(manifest) = self.mind.manifest.clone() else { return Ok(()) };
        self.plan = converge(&manifest, &observed, &self.mind, self.now);
        self.disk = self.mind.clone();
        self.report(&observed);
        let mut ready: Vec<Step> =
            self.plan.steps.iter().filter(|step| step.is_ready(self.now)).cloned().collect();
        let resources: BTreeSet<_> = ready.iter().map(|step| step.resource).collect();
        assert_eq!(resources.len(), ready.len(), "two ready steps on one resource: {ready:?}");
        while !ready.is_empty() {
            let step = ready.swap_remove(self.rng.random_range(0..ready.len()));
            self.mind.step_begins(&step, &observed.boot_id, self.now);
            self.disk = self.mind.clone();
            self.may_die()?;
            let result = if self.fail_one_in > 0 && self.rng.random_ratio(1, self.fail_one_in) {
                Err(DriverError::Later("injected".into()))
            } else {
                self.act(&step.action)?
            };
            self.may_die()?;
            let boot_id = self.boot_id();
            self.mind.step_ended(&step, &result, &boot_id, self.now);
        }
        self.may_die()
    }

    fn may_die(&mut self) -> Result<(), Died> {
        let dies = self.crash_one_in > 0 && self.rng.random_ratio(1, self.crash_one_in);
        if dies { Err(Died) } else { Ok(()) }
    }

    /// The brain takes in what it is told; now and then a report is lost.
    fn report(&mut self, observed: &Observed) {
        if self.crash_one_in > 0 && self.rng.random_ratio(1, 3) {
            return;
        }
        for guest in &mut self.wanted.guests {
            let present =
                |verdict: &honcho_agent_lib::plan::Verdict| verdict.volume.state == VolumeState::Present;
            if self.plan.guests.get(&guest.id).is_some_and(present) {
                guest.root.existence = Existence::Existing;
            }
        }
        for pool in &mut self.wanted.pools {
            if observed.pools.get(&pool.id).is_some_and(|seen| seen.state == PoolState::Ready) {
                pool.existence = Existence::Existing;
            }
        }
        for gone in &self.plan.gone {
            self.wanted.absent.retain(|absent| match (absent, gone) {
                (
                    Absent::Guest { id, uuid, volumes, generation, interfaces, .. },
                    Gone::Guest { id: gone, generation: at, .. },
                ) => {
                    let matches = id == gone && generation == at;
                    if matches {
                        assert!(
                            self.domains.iter().all(|domain| domain.uuid != *uuid),
                            "reported gone, and runs"
                        );
                        let mut cards = self.domains.iter().flat_map(|domain| &domain.interfaces);
                        assert!(
                            cards.all(|card| !interfaces.contains(card)),
                            "reported gone, and a tap is left"
                        );
                        for volume in volumes {
                            let real = &self.pools[&volume.pool];
                            assert!(!real.volumes.contains_key(&volume.uuid), "reported gone, volume there");
                            assert!(!real.partials.contains(&volume.uuid), "reported gone, half of it there");
                        }
                    }
                    !matches
                }
                (Absent::Network { id, generation, .. }, Gone::Network { id: gone, generation: at }) => {
                    !(id == gone && generation == at)
                }
                _ => true,
            });
        }
    }

    fn act(&mut self, action: &Action) -> Result<Result<(), DriverError>, Died> {
        match action {
            Action::InitPool(pool) => {
                let real = self.pools.get_mut(&pool.id).unwrap();
                assert!(real.mounted, "initialised a pool that is not mounted");
                assert!(real.made.is_none(), "initialised a pool twice");
                real.made = Some(pool.uuid);
            }
            Action::EnsureNetwork { network, .. } => {
                let mark = Some((BRAIN, network.uuid));
                self.bridges.retain(|bridge| bridge.id != network.id);
                self.bridges.push(BridgeSeen { id: network.id, mark, ready: false });
                self.may_die()?;
                self.bridges
                    .iter_mut()
                    .filter(|bridge| bridge.mark == mark)
                    .for_each(|bridge| bridge.ready = true);
                self.made_for.insert(network.id, network.kind.clone());
            }
            Action::RemoveNetwork { id, uuid } => {
                let wanted = self.wanted.networks.iter().any(|network| network.id == *id);
                assert!(!wanted, "removed network {id}, which is wanted");
                let mut cards = self.domains.iter().flat_map(|domain| &domain.interfaces);
                assert!(
                    cards.all(|card| self.plugged[card] != *id),
                    "removed network {id} under a running guest"
                );
                self.bridges.retain(|bridge| !(bridge.id == *id && bridge.mark == Some((BRAIN, *uuid))));
            }
            Action::FetchImage { pool, image } => {
                self.may_die()?;
                self.pools.get_mut(&pool.id).unwrap().images.insert(image.digest);
            }
            Action::BuildVolume { pool, guest } => return self.build(pool, guest),
            Action::GrowVolume { pool, guest } => {
                assert!(
                    self.domains.iter().all(|domain| domain.uuid != guest.uuid),
                    "grew the disk of a running guest"
                );
                self.may_die()?;
                let real = self.pools.get_mut(&pool.id).unwrap();
                let volume = real.volumes.get_mut(&guest.root.uuid).expect("grew a volume that is not there");
                volume.size = volume.size.max(guest.root.size);
            }
            Action::FetchVolume { pool, arriving } => self.fetch(pool, arriving)?,
            Action::Capture { pool, guest, upload } => {
                let alive = self.domains.iter().any(|domain| domain.uuid == guest.uuid && domain.alive);
                assert!(!alive, "read the disk of a running guest");
                let there = self.pools[&pool.id].volumes.contains_key(&guest.root.uuid);
                assert!(there, "read a disk that is not there");
                self.may_die()?;
                // The brain has it, and wants no more of it.
                let mut guests = self.wanted.guests.iter_mut();
                if let Some(wanted) =
                    guests.find(|wanted| wanted.capture.is_some_and(|it| it.upload == *upload))
                {
                    wanted.capture = None;
                    self.tell();
                }
            }
            Action::DeleteVolumes(volumes) => self.delete(volumes)?,
            Action::AskToStop(uuid) => {
                self.assert_may_stop(*uuid);
                // A booting guest does not listen.
                if self.rng.random_bool(0.5) {
                    self.stop(*uuid);
                }
            }
            Action::Destroy(uuid) => {
                self.assert_may_stop(*uuid);
                self.stop(*uuid);
            }
            Action::Resume(uuid) => {
                assert!(self.wanted.frozen.is_none(), "resumed on a frozen host");
                for domain in self.domains.iter_mut().filter(|domain| domain.uuid == *uuid) {
                    let mark = domain.mark.expect("resumed somebody else's domain");
                    assert_eq!(mark.brain, BRAIN, "resumed another brain's domain");
                    domain.stuck = None;
                }
            }
            Action::Start { pool, guest } => return Ok(self.start(pool, guest)),
        }
        Ok(Ok(()))
    }

    fn build(&mut self, pool: &PoolWanted, guest: &GuestWanted) -> Result<Result<(), DriverError>, Died> {
        let wanted = self.wanted.guests.iter().find(|wanted| wanted.uuid == guest.uuid);
        assert!(wanted.is_none_or(|wanted| !wanted.root.given_up), "made what somebody gave up on");
        let uuid = guest.root.uuid;
        let real = self.pools.get_mut(&pool.id).unwrap();
        assert!(
            real.mounted && real.made == Some(pool.uuid),
            "built on a pool that is not what it should be"
        );
        if !real.images.contains(&guest.root.image.digest) {
            return Ok(Err(DriverError::Later("the image is not in the cache".into())));
        }
        real.partials.insert(uuid);
        self.may_die()?;
        let real = self.pools.get_mut(&pool.id).unwrap();
        if let std::collections::btree_map::Entry::Vacant(place) = real.volumes.entry(uuid) {
            assert!(self.ever_built.insert(uuid), "volume {uuid} was made twice");
            let ssh_host_key = Some("key".to_owned());
            place.insert(VolumeSeen { id: guest.root.id, uuid, size: guest.root.size, ssh_host_key });
        }
        // It was the half-made one, renamed.
        real.partials.remove(&uuid);
        Ok(Ok(()))
    }

    /// A volume comes from another host, which holds it still.
    fn fetch(&mut self, pool: &PoolWanted, arriving: &Arriving) -> Result<(), Died> {
        let wanted = self.wanted.arrivals.iter().any(|known| known.volume_uuid == arriving.volume_uuid);
        let listed = |absent: &Absent| matches!(absent, Absent::Guest { volumes, .. } if volumes.iter().any(|v| v.uuid == arriving.volume_uuid));
        assert!(wanted || self.wanted.absent.iter().any(listed), "fetched what nobody sends here");
        let uuid = arriving.volume_uuid;
        let real = self.pools.get_mut(&pool.id).unwrap();
        assert!(
            real.mounted && real.made == Some(pool.uuid),
            "fetched into a pool that is not what it should be"
        );
        if real.volumes.contains_key(&uuid) {
            return Ok(());
        }
        real.partials.insert(uuid);
        self.may_die()?;
        let real = self.pools.get_mut(&pool.id).unwrap();
        let ssh_host_key = Some("key".to_owned());
        real.volumes.insert(uuid, VolumeSeen { id: arriving.volume, uuid, size: Bytes(100), ssh_host_key });
        real.partials.remove(&uuid);
        self.may_die()
    }

    fn delete(&mut self, volumes: &[(PoolWanted, VolumeAbsent)]) -> Result<(), Died> {
        for (pool, volume) in volumes {
            let wanted = self.wanted.guests.iter().any(|guest| guest.root.uuid == volume.uuid);
            assert!(!wanted, "deleted volume {}, which is wanted", volume.id);
            let guest = uuid(3, volume.id.0);
            assert!(
                self.domains.iter().all(|domain| domain.uuid != guest),
                "deleted the disk of a running guest"
            );
            self.may_die()?;
            let real = self.pools.get_mut(&pool.id).unwrap();
            real.volumes.remove(&volume.uuid);
            real.partials.remove(&volume.uuid);
        }
        Ok(())
    }

    fn start(&mut self, pool: &PoolWanted, guest: &GuestWanted) -> Result<(), DriverError> {
        if self.domains.iter().any(|domain| domain.uuid == guest.uuid) {
            return Err(DriverError::Later("a domain of that name exists".into()));
        }
        assert!(self.wanted.frozen.is_none(), "started on a frozen host");
        let answered = self.mind.answered_in_boot.as_ref() == Some(&self.boot_id());
        assert!(guest.capture.is_none() || !answered, "started while its disk was to be read");
        assert!(answered || guest.start_alone, "started before the brain had answered in this boot");
        assert!(self.pools[&pool.id].volumes.contains_key(&guest.root.uuid), "started without a disk");
        for card in &guest.interfaces {
            let mut bridges = self.bridges.iter();
            let stands =
                bridges.any(|bridge| bridge.id == card.network && bridge.mark.is_some() && bridge.ready);
            assert!(stands, "started before network {} stood", card.network);
        }
        let which = (guest.id, guest.epoch, guest.boots_wanted);
        assert!(
            self.starts.insert(which) || self.excused.remove(&which),
            "started twice for one reason: {which:?}"
        );
        let mark = Mark { brain: BRAIN, guest: guest.id, epoch: guest.epoch, boots: guest.boots_wanted };
        self.domains.push(DomainSeen {
            name: format!("honcho-g{}", guest.id),
            uuid: guest.uuid,
            alive: true,
            mark: Some(mark),
            interfaces: guest.interfaces.iter().map(|interface| interface.id).collect(),
            stuck: None,
        });
        Ok(())
    }

    fn stop(&mut self, uuid: Uuid) {
        self.domains.retain(|domain| domain.uuid != uuid);
    }

    /// Only what the brain truly wants stopped, started anew or gone is ever stopped.
    fn assert_may_stop(&self, uuid: Uuid) {
        let Some(domain) = self.domains.iter().find(|domain| domain.uuid == uuid) else { return };
        let mark = domain.mark.expect("stopped somebody else's domain");
        assert_eq!(mark.brain, BRAIN, "stopped another brain's domain");
        if let Some(guest) = self.wanted.guests.iter().find(|guest| guest.uuid == uuid) {
            let wanted = guest.power == Power::Stopped
                || guest.epoch > mark.epoch
                || boot_is_missing(guest, mark.boots);
            assert!(wanted, "stopped guest {}, which is wanted as it is", guest.id);
        } else {
            let listed =
                self.wanted.absent.iter().any(|a| matches!(a, Absent::Guest { uuid: of, .. } if *of == uuid));
            assert!(listed, "stopped a guest that nobody listed as absent");
        }
    }

    /// Time passes until the plan asks for another look (a second if it does not).
    pub(crate) fn wait(&mut self) {
        let until = self.plan.look_again.unwrap_or(self.now.plus(Duration::from_secs(1)));
        self.now = until.max(self.now.plus(Duration::from_millis(10)));
    }

    /// All is well again, and the agent gets the time it needs. Returns whether it came to rest. Everything is rebooted,
    /// for disks grow only while their guest is off.
    pub(crate) fn settle(&mut self) -> bool {
        self.wanted.guests.iter_mut().for_each(|guest| guest.boots_wanted += 1);
        self.crash_one_in = 0;
        self.fail_one_in = 0;
        self.wanted.frozen = None;
        self.pools.values_mut().for_each(|pool| pool.mounted = true);
        for _ in 0..400 {
            self.tell();
            self.round();
            let settled = self.plan.guests.values().all(|verdict| verdict.settled);
            if self.plan.steps.is_empty() && settled && self.wanted.absent.is_empty() {
                return true;
            }
            self.wait();
        }
        false
    }
}

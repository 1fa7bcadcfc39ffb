//! A small host in memory, an honest brain beside it, and an agent that may die between any two steps and within one.
//!
//! Every effect on the host checks what must always hold, against what the brain truly wants.

use honcho_agent_lib::clock::Moment;
use honcho_agent_lib::converge::converge;
use honcho_agent_lib::drivers::{BridgeSeen, DomainSeen, DriverError, Mark, PoolSeen, Stuck, VolumeSeen};
use honcho_agent_lib::journal::Journal;
use honcho_agent_lib::observed::Observed;
use honcho_agent_lib::plan::{Action, Plan, Step};
use honcho_model::guest::Power;
use honcho_model::{
    AccountId, Bytes, Digest, Epoch, Generation, GuestId, HostId, Incarnation, InterfaceId, Mac, Name,
    NetworkId, PoolId, VolumeId,
};
use honcho_wire::{
    Absent, AddressWanted, Existence, Gone, GuestWanted, ImageWanted, InterfaceWanted, Manifest, NetworkKind,
    NetworkWanted, PROTOCOL, PoolKind, PoolState, PoolWanted, StopMode, SubnetWanted, VolumeAbsent,
    VolumeState, VolumeWanted,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use uuid::Uuid;

pub(crate) const BRAIN: Uuid = Uuid::from_u128(0xb4a1);

pub(crate) fn uuid(kind: u128, id: i64) -> Uuid {
    Uuid::from_u128(kind << 64 | u128::from(id.unsigned_abs()))
}

fn ipv4_alone() -> NetworkKind {
    let ipv4 = SubnetWanted { gateway: Ipv4Addr::new(10, 0, 0, 1), prefix: 16 };
    NetworkKind::Local { ipv4: Some(ipv4), ipv6: None }
}

fn both_families() -> NetworkKind {
    let NetworkKind::Local { ipv4, .. } = ipv4_alone();
    let gateway = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);
    NetworkKind::Local { ipv4, ipv6: Some(SubnetWanted { gateway, prefix: 64 }) }
}

/// A pool as it really is.
#[derive(Default)]
pub(crate) struct PoolReal {
    pub(crate) made: Option<Uuid>,
    pub(crate) mounted: bool,
    pub(crate) volumes: BTreeMap<Uuid, VolumeSeen>,
    pub(crate) partials: BTreeSet<Uuid>,
    pub(crate) images: BTreeSet<Digest>,
}

/// Host, brain and agent.
pub(crate) struct World {
    rng: StdRng,
    pub(crate) now: Moment,
    pub(crate) boot: u32,
    // The host.
    pub(crate) domains: Vec<DomainSeen>,
    pub(crate) pools: BTreeMap<PoolId, PoolReal>,
    pub(crate) bridges: Vec<BridgeSeen>,
    ever_built: BTreeSet<Uuid>,
    starts: BTreeSet<(GuestId, Epoch, u64)>,
    excused: BTreeSet<(GuestId, Epoch, u64)>,
    // The brain: what it truly wants.
    pub(crate) wanted: Manifest,
    next_id: i64,
    plugged: BTreeMap<InterfaceId, NetworkId>,
    /// What each bridge was last made for.
    pub(crate) made_for: BTreeMap<NetworkId, NetworkKind>,
    // The agent: what is on disk, and what it has in mind.
    disk: Journal,
    manifest_on_disk: Option<Manifest>,
    pub(crate) mind: Journal,
    pub(crate) crash_one_in: u32,
    pub(crate) fail_one_in: u32,
    pub(crate) plan: Plan,
}

/// The agent died.
struct Died;

/// Whether a boot is missing that nobody gave up on.
fn boot_is_missing(guest: &GuestWanted, boots: u64) -> bool {
    guest.boots_wanted > boots && guest.boots_wanted > guest.boots_waived
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let pool = |id| PoolWanted {
            id: PoolId(id),
            uuid: uuid(1, id),
            generation: Generation(1),
            existence: Existence::Make,
            kind: PoolKind::Directory { path: format!("/pool/{id}") },
        };
        let network = |id| NetworkWanted {
            id: NetworkId(id),
            uuid: uuid(2, id),
            generation: Generation(1),
            kind: if id == 1 { ipv4_alone() } else { both_families() },
        };
        let wanted = Manifest {
            protocol: PROTOCOL,
            brain: BRAIN,
            incarnation: Incarnation(1),
            generation: Generation(1),
            host: HostId(1),
            frozen: None,
            unaccepted: None,
            pools: vec![pool(1), pool(2)],
            networks: vec![network(1), network(2)],
            guests: Vec::new(),
            absent: Vec::new(),
        };
        let mounted = || PoolReal { mounted: true, ..PoolReal::default() };
        let foreign_mark = Mark { brain: uuid(9, 9), guest: GuestId(1), epoch: Epoch(1), boots: 1 };
        let foreign = |name: &str, id, mark| DomainSeen {
            name: name.to_owned(),
            uuid: uuid(9, id),
            alive: true,
            mark,
            interfaces: vec![],
            stuck: None,
        };
        let mut world = World {
            rng: StdRng::seed_from_u64(seed),
            now: Moment(1_000),
            boot: 1,
            domains: vec![foreign("somebody", 1, None), foreign("other-brain", 2, Some(foreign_mark))],
            pools: BTreeMap::from([(PoolId(1), mounted()), (PoolId(2), mounted())]),
            bridges: vec![BridgeSeen { id: NetworkId(77), mark: None, ready: false }],
            ever_built: BTreeSet::new(),
            starts: BTreeSet::new(),
            excused: BTreeSet::new(),
            wanted,
            next_id: 0,
            plugged: BTreeMap::new(),
            made_for: BTreeMap::new(),
            disk: Journal::default(),
            manifest_on_disk: None,
            mind: Journal::default(),
            crash_one_in: 0,
            fail_one_in: 0,
            plan: Plan::default(),
        };
        world.tell();
        world
    }

    pub(crate) fn boot_id(&self) -> String {
        format!("boot-{}", self.boot)
    }

    /// The brain answers with the whole of what it wants.
    pub(crate) fn tell(&mut self) {
        self.wanted.generation = self.wanted.generation.next();
        self.give(self.wanted.clone());
    }

    /// The agent is given a manifest, whatever it holds.
    pub(crate) fn give(&mut self, manifest: Manifest) {
        self.manifest_on_disk = Some(manifest.clone());
        self.mind.manifest = Some(manifest);
        self.mind.answered_in_boot = Some(self.boot_id());
    }

    /// A guest with a card in each of these networks, in this order.
    pub(crate) fn add_guest(&mut self, pool: i64, networks: &[i64], power: Power) -> GuestId {
        self.next_id += 1;
        let id = self.next_id;
        let image = ImageWanted {
            digest: Digest([u8::try_from(id % 2).unwrap(); 32]),
            compressed: Bytes(1),
            unpacked: Bytes(1),
        };
        let interfaces: Vec<_> =
            (0..).zip(networks).map(|(card, network)| self.card(id, card, *network)).collect();
        self.plugged.extend(interfaces.iter().map(|card| (card.id, card.network)));
        self.wanted.guests.push(GuestWanted {
            id: GuestId(id),
            uuid: uuid(3, id),
            name: Name::new("g").unwrap(),
            account: AccountId(1),
            epoch: Epoch(1),
            generation: Generation(1),
            power,
            start_alone: false,
            boots_wanted: 1,
            boots_waived: 0,
            boot_mode: StopMode::Soft,
            stop_mode: StopMode::Soft,
            memory: Bytes(1),
            vcpus: 1,
            root: VolumeWanted {
                id: VolumeId(id),
                uuid: uuid(4, id),
                pool: PoolId(pool),
                size: Bytes(100),
                existence: Existence::Make,
                given_up: false,
                image,
            },
            interfaces,
            ssh_keys: vec![],
        });
        self.tell();
        GuestId(id)
    }

    /// A guest's card, with an address of each family that its network has.
    fn card(&self, guest: i64, number: i64, network: i64) -> InterfaceWanted {
        let id = InterfaceId(number * 1_000 + guest);
        let wanted = self.wanted.networks.iter().find(|wanted| wanted.id.0 == network).unwrap();
        let NetworkKind::Local { ipv4, ipv6 } = wanted.kind;
        let address = |address: IpAddr, prefix, gateway: IpAddr| AddressWanted {
            address,
            prefix,
            gateway: (number == 0).then_some(gateway),
        };
        let low = u16::try_from(guest + 1).unwrap();
        let ipv4 = ipv4.map(|subnet| {
            let own = u32::from(subnet.gateway) + u32::from(low);
            address(Ipv4Addr::from(own).into(), subnet.prefix, subnet.gateway.into())
        });
        let ipv6 = ipv6.map(|subnet| {
            let own = u128::from(subnet.gateway) + u128::from(low);
            address(Ipv6Addr::from(own).into(), subnet.prefix, subnet.gateway.into())
        });
        let addresses = ipv4.into_iter().chain(ipv6).collect();
        InterfaceWanted { id, network: NetworkId(network), mac: Mac::of_interface(id), addresses }
    }

    /// A network gets or loses a family: IPv4 alone, both, IPv6 alone, and round again.
    pub(crate) fn change_network(&mut self, id: i64) {
        if let Some(network) = self.wanted.networks.iter_mut().find(|network| network.id.0 == id) {
            network.kind = match network.kind {
                NetworkKind::Local { ipv6: None, .. } => both_families(),
                NetworkKind::Local { ipv4: Some(_), ipv6 } => NetworkKind::Local { ipv4: None, ipv6 },
                NetworkKind::Local { ipv4: None, .. } => ipv4_alone(),
            };
            network.generation = network.generation.next();
            self.tell();
        }
    }

    /// Changes a wanted guest, chosen by `which` among those there are, and tells the agent.
    pub(crate) fn change(&mut self, which: usize, change: impl FnOnce(&mut GuestWanted)) {
        let count = self.wanted.guests.len();
        if count > 0 {
            let guest = &mut self.wanted.guests[which % count];
            change(guest);
            guest.generation = guest.generation.next();
            self.tell();
        }
    }

    /// Somebody gives up on whatever a guest has open: from then on what there is is what is wanted.
    pub(crate) fn give_up(&mut self, which: usize) {
        let running: BTreeSet<Uuid> = self.domains.iter().map(|domain| domain.uuid).collect();
        let volumes = self.pools.values().flat_map(|pool| &pool.volumes);
        let sizes: BTreeMap<Uuid, Bytes> = volumes.map(|(uuid, volume)| (*uuid, volume.size)).collect();
        self.change(which, |guest| {
            guest.boots_waived = guest.boots_wanted;
            if let Some(size) = sizes.get(&guest.root.uuid) {
                guest.root.size = guest.root.size.min(*size);
            }
            guest.root.given_up = guest.root.existence == Existence::Make;
            let runs = !guest.root.given_up && running.contains(&guest.uuid);
            guest.power = if runs { Power::Running } else { Power::Stopped };
        });
    }

    pub(crate) fn delete_guest(&mut self, which: usize) {
        let count = self.wanted.guests.len();
        if count > 0 {
            let guest = self.wanted.guests.remove(which % count);
            self.wanted.absent.push(Absent::Guest {
                id: guest.id,
                uuid: guest.uuid,
                epoch: guest.epoch,
                generation: guest.generation.next(),
                volumes: vec![VolumeAbsent {
                    id: guest.root.id,
                    uuid: guest.root.uuid,
                    pool: guest.root.pool,
                }],
                interfaces: guest.interfaces.iter().map(|interface| interface.id).collect(),
            });
            self.tell();
        }
    }

    /// A broken brain lists a guest as absent that it also wants.
    pub(crate) fn contradict(&mut self, which: usize) {
        let wanted = self.wanted.clone();
        self.delete_guest(which);
        let contradictory = Manifest { absent: self.wanted.absent.clone(), ..wanted.clone() };
        self.wanted = wanted;
        self.give(contradictory);
    }

    pub(crate) fn delete_network(&mut self, id: i64) {
        let id = NetworkId(id);
        let used = self.wanted.guests.iter().any(|guest| guest.interfaces.iter().any(|i| i.network == id));
        if let Some(at) = self.wanted.networks.iter().position(|network| network.id == id && !used) {
            let network = self.wanted.networks.remove(at);
            let generation = network.generation.next();
            self.wanted.absent.push(Absent::Network { id, uuid: network.uuid, generation });
            self.tell();
        }
    }

    /// A guest powers itself off.
    pub(crate) fn stops_itself(&mut self, which: usize) {
        let count = self.domains.len();
        self.end_domain(which % count.max(1));
    }

    /// Its disk fails a guest, so that it is paused.
    pub(crate) fn gets_stuck(&mut self, which: usize, stuck: Stuck) {
        let count = self.domains.len();
        let domain = self.domains.get_mut(which % count.max(1));
        if let Some(domain) = domain.filter(|domain| domain.mark.is_some_and(|mark| mark.brain == BRAIN)) {
            domain.stuck = Some(stuck);
        }
    }

    fn end_domain(&mut self, at: usize) {
        let ours = self.domains.get(at).and_then(|domain| domain.mark).filter(|mark| mark.brain == BRAIN);
        if let Some(mark) = ours {
            self.domains.remove(at);
            self.excused.insert((mark.guest, mark.epoch, mark.boots));
        }
    }

    /// The machine boots, and the brain is not there yet.
    pub(crate) fn host_reboots(&mut self) {
        while let Some(at) =
            self.domains.iter().position(|domain| domain.mark.is_some_and(|mark| mark.brain == BRAIN))
        {
            self.end_domain(at);
        }
        self.boot += 1;
        self.now = Moment(1_000);
        self.bridges.retain(|bridge| bridge.mark.is_none());
        self.die();
    }

    /// Whether the agent's journal has a pool as once seen.
    pub(crate) fn is_known(&self, pool: PoolId) -> bool {
        self.disk.pools_seen.contains(&uuid(1, pool.0))
    }

    fn die(&mut self) {
        self.mind = self.disk.clone();
        self.mind.manifest = self.manifest_on_disk.clone();
    }

    pub(crate) fn look(&self) -> Observed {
        let manifest = self.mind.manifest.as_ref();
        let pools = manifest.iter().flat_map(|manifest| &manifest.pools).map(|pool| {
            let real = &self.pools[&pool.id];
            let state = match real.made {
                _ if !real.mounted => PoolState::Blank,
                Some(made) if made == pool.uuid => PoolState::Ready,
                Some(_) => PoolState::Wrong,
                None => PoolState::Blank,
            };
            let volumes =
                if state == PoolState::Ready { real.volumes.values().cloned().collect() } else { vec![] };
            let size = Bytes(1_000);
            (pool.id, PoolSeen { state, problem: None, size, free: size, reflink: true, volumes })
        });
        let wanted = |bridge: &BridgeSeen| {
            let mut networks = manifest.iter().flat_map(|manifest| &manifest.networks);
            let network = networks.find(|network| network.id == bridge.id);
            network.is_some_and(|network| self.made_for.get(&bridge.id) == Some(&network.kind))
        };
        let bridges = self.bridges.iter().cloned();
        let bridges = bridges.map(|bridge| BridgeSeen { ready: bridge.ready && wanted(&bridge), ..bridge });
        let images = self.pools.iter().flat_map(|(id, real)| real.images.iter().map(|digest| (*id, *digest)));
        Observed {
            boot_id: self.boot_id(),
            domains: Ok(self.domains.clone()),
            pools: pools.collect(),
            bridges: Ok(bridges.collect()),
            images: images.collect(),
        }
    }

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
        assert!(
            self.mind.answered_in_boot.as_ref() == Some(&self.boot_id()) || guest.start_alone,
            "started before the brain had answered in this boot"
        );
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

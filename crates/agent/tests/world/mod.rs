//! A small host in memory, an honest brain beside it, and an agent that may die between any two steps and within one.
//!
//! Every effect on the host checks what must always hold, against what the brain truly wants.

mod acting;

use honcho_agent_lib::clock::Moment;
use honcho_agent_lib::drivers::{BridgeSeen, DomainSeen, Mark, PoolSeen, Stuck, VolumeSeen};
use honcho_agent_lib::journal::Journal;
use honcho_agent_lib::observed::Observed;
use honcho_agent_lib::plan::Plan;
use honcho_model::guest::Power;
use honcho_model::{
    AccountId, Bytes, Digest, Epoch, Generation, GuestId, HostId, Incarnation, InterfaceId, Mac, Name,
    NetworkId, PoolId, VolumeId,
};
use honcho_wire::{
    Absent, AddressWanted, Existence, GuestWanted, ImageWanted, InterfaceWanted, Manifest, NetworkKind,
    NetworkWanted, PROTOCOL, PoolKind, PoolState, PoolWanted, StopMode, SubnetWanted, VolumeAbsent,
    VolumeWanted,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
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
            arrivals: Vec::new(),
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
            leaving: None,
            capture: None,
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
}

//! Rows as the fleet that placing looks at.

use super::{ARCHITECTURE, FEATURE, HOST_RESERVE, needed};
use honcho_model::cpu::ARCHITECTURES;
use honcho_model::{AccountId, Bytes, HostId, PoolId};
use honcho_placement::{
    Alike, Capability, ClusterId, ClusterRole, Draining, Fleet, Guest, Holds, Host, HostLoad, Pool, Reach,
    Request, Rules, Sums,
};
use honcho_store::rooms::{Claims, Counts, PlacedGuest, Room};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What a guest is said to do of which nothing was seen: what its host does is, with all of them.
pub(super) const UNSEEN: f64 = 0.0;

/// Of a processor's time, how much a vCPU is expected to take where none is placed yet that could tell.
const USUAL_OF_A_VCPU: f64 = 0.1;

/// How busy hosts are, as far as that was seen.
#[derive(Clone, Copy)]
pub(super) struct Busy {
    /// What counts of a host that has not told.
    usual: f64,
    /// How many processors a vCPU keeps busy; 0 where no host has told anything, so that none is preferred for it.
    of_a_vcpu: f64,
}

impl Busy {
    pub(super) fn of(rooms: &[Room]) -> Busy {
        let told: Vec<(f64, &Room)> =
            rooms.iter().filter_map(|room| room.load.map(|load| (load, room))).collect();
        if told.is_empty() {
            return Busy { usual: 0.0, of_a_vcpu: 0.0 };
        }
        #[expect(clippy::cast_precision_loss, reason = "no fleet has 2^52 hosts or vCPUs")]
        let (hosts, vcpus) =
            (told.len() as f64, told.iter().map(|(_, room)| room.vcpus_placed()).sum::<i64>() as f64);
        let usual = told.iter().map(|(load, _)| load).sum::<f64>() / hosts;
        let busy = told.iter().map(|(load, room)| load * f64::from(room.cpus)).sum::<f64>();
        Busy { usual, of_a_vcpu: if vcpus > 0.0 { (busy / vcpus).min(1.0) } else { USUAL_OF_A_VCPU } }
    }

    /// How many processors a guest with so many vCPUs is expected to keep busy.
    pub(super) fn expected(self, vcpus: u32) -> f64 {
        self.of_a_vcpu * f64::from(vcpus)
    }
}

/// What else the account of new guests has: how many guests on which hosts, and how many of the same cluster and roles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kin {
    pub(crate) account: AccountId,
    pub(crate) of_account: Counts,
    /// The roles that the new guests have, and where others have them.
    pub(crate) apart: Vec<(ClusterRole, Counts)>,
}

impl Kin {
    /// The role of a guest in a cluster of its own account. A word names a cluster within its account alone, and no other
    /// account's guests are told apart here.
    pub(crate) fn role(role: &str) -> ClusterRole {
        ClusterRole { cluster: ClusterId(0), role: role.to_owned() }
    }
}

/// What hosts have, once for all of a kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds(HashMap<Kind, Arc<BTreeSet<Capability>>>);

/// What tells hosts of different kinds apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    capabilities: BTreeSet<&'static str>,
    architecture: Option<String>,
    features: Arc<str>,
}

/// So many kinds are known; when there are more, all are forgotten.
const MOST_KINDS: usize = 256;

impl Kinds {
    fn of(&mut self, room: &Room) -> Arc<BTreeSet<Capability>> {
        let kind = Kind {
            capabilities: room.capabilities.clone(),
            architecture: room.architecture.clone(),
            features: room.features.clone(),
        };
        if self.0.len() >= MOST_KINDS && !self.0.contains_key(&kind) {
            self.0.clear();
        }
        self.0.entry(kind).or_insert_with(|| Arc::new(capabilities_of(room))).clone()
    }
}

/// What a host has that guests may need. One whose agent does not say what its processors are is taken for any kind, for only a
/// newer agent would know.
fn capabilities_of(room: &Room) -> BTreeSet<Capability> {
    let mut has: BTreeSet<Capability> =
        room.capabilities.iter().map(|word| Capability((*word).to_owned())).collect();
    match &room.architecture {
        Some(word) => {
            has.insert(Capability(format!("{ARCHITECTURE}{word}")));
        }
        None => has.extend(ARCHITECTURES.map(|word| Capability(format!("{ARCHITECTURE}{word}")))),
    }
    has.extend(room.features.split_whitespace().map(|word| Capability(format!("{FEATURE}{word}"))));
    has
}

/// What a host does, as far as that was seen.
pub(super) fn load_of(room: &Room, busy: Busy) -> HostLoad {
    HostLoad { seen: room.load.unwrap_or(busy.usual), of_one: 1.0 / f64::from(room.cpus.max(1)) }
}

/// The guests of a host, those of one size together.
pub(super) fn alike(room: &Room) -> impl Iterator<Item = Alike> {
    room.claimed.iter().map(|size| Alike {
        host: room.host,
        memory: Bytes(u64::try_from(size.memory).unwrap_or(0)),
        guests: usize::try_from(size.guests).unwrap_or(0),
        vcpus: size.vcpus,
    })
}

/// A host without its guests.
pub(super) fn host(room: &Room, busy: Busy, kinds: &mut Kinds, taken: impl Fn(PoolId, i64) -> Bytes) -> Host {
    let bytes = |bytes: i64| Bytes(u64::try_from(bytes).unwrap_or(0));
    let pool = |pool: &honcho_store::rooms::PoolRoom| Pool {
        id: pool.pool,
        name: pool.name.clone(),
        size: bytes(pool.size),
        taken: taken(pool.pool, pool.placed),
    };
    Host {
        id: room.host,
        name: room.host_name.clone(),
        site: room.site,
        rack: room.rack,
        status: room.status,
        duties: room.duties.clone(),
        draining: if room.draining_since.is_some() { Draining::Yes } else { Draining::No },
        capabilities: kinds.of(room),
        memory: bytes(room.memory),
        memory_reserved: HOST_RESERVE,
        cpus: room.cpus,
        load: load_of(room, busy),
        pools: room.pools.iter().map(pool).collect(),
        networks: Reach::All,
    }
}

/// The fleet for one decision, out of sums: how much is taken of each host, and where the account's guests and those of the
/// roles are.
pub(super) fn summed(rooms: &[Room], kin: &Kin, rules: Rules) -> Fleet {
    let (busy, mut kinds) = (Busy::of(rooms), Kinds::default());
    let taken = |_, placed: i64| Bytes(u64::try_from(placed).unwrap_or(0));
    let hosts = rooms.iter().map(|room| host(room, busy, &mut kinds, taken));
    let alike = rooms.iter().flat_map(alike);
    let count = |guests: i64| u32::try_from(guests).unwrap_or(0);
    let of_account = kin.of_account.iter().map(|(host, guests)| (kin.account, *host, count(*guests)));
    let of_roles = kin
        .apart
        .iter()
        .flat_map(|(role, counts)| counts.iter().map(|(host, guests)| (role.clone(), *host, count(*guests))));
    let sums = Sums { alike: alike.collect(), accounts: of_account.collect(), roles: of_roles.collect() };
    Fleet::of_sums(hosts.collect(), &sums, rules)
}

/// The fleet with every guest by its id, for plans.
pub(crate) fn whole(rooms: &[Room], placed: &[PlacedGuest], rules: Rules) -> Fleet {
    let mut disks: HashMap<PoolId, u64> = HashMap::new();
    for guest in placed {
        *disks.entry(guest.pool).or_default() += guest.disk.0;
    }
    let taken = |pool: PoolId, placed: i64| {
        let known = disks.get(&pool).copied().unwrap_or(0);
        Bytes(u64::try_from(placed).unwrap_or(0).saturating_sub(known))
    };
    let busy = Busy::of(rooms);
    let mut by_guests: HashMap<HostId, f64> = HashMap::new();
    for guest in placed.iter().filter(|guest| guest.claims == Claims::All) {
        *by_guests.entry(guest.host).or_default() += guest.busy.unwrap_or(UNSEEN);
    }
    // What its guests are said to do goes with them.
    let beside = |mut host: Host| {
        let by_guests = by_guests.get(&host.id).copied().unwrap_or(0.0) * host.load.of_one;
        host.load.seen = (host.load.seen - by_guests).max(0.0);
        host
    };
    let mut kinds = Kinds::default();
    let hosts = rooms.iter().map(|room| beside(host(room, busy, &mut kinds, taken))).collect();
    let mut clusters: HashMap<(AccountId, &str), i64> = HashMap::new();
    let guests = placed.iter().map(|guest| {
        let apart = guest.apart.as_ref().map(|(cluster, role)| {
            let next = i64::try_from(clusters.len()).unwrap_or(i64::MAX);
            let cluster = *clusters.entry((guest.account, cluster.as_str())).or_insert(next);
            ClusterRole { cluster: ClusterId(cluster), role: role.clone() }
        });
        told_apart(guest, apart)
    });
    Fleet::new(hosts, guests.collect(), rules)
}

/// A guest that plans name and move.
pub(super) fn told_apart(guest: &PlacedGuest, apart: Option<ClusterRole>) -> Guest {
    Guest {
        id: guest.id,
        host: guest.host,
        pool: guest.pool,
        holds: match guest.claims {
            Claims::All => Holds::All,
            Claims::DiskOnly => Holds::DiskOnly,
        },
        load: guest.busy.unwrap_or(UNSEEN),
        needs: Request {
            account: guest.account,
            apart,
            capabilities: needed(&guest.kinds, guest.architecture.as_deref(), &guest.features),
            load: guest.busy.unwrap_or(UNSEEN),
            ..Request::of_size(guest.memory, guest.vcpus, guest.disk)
        },
    }
}

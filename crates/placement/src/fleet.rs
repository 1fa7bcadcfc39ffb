//! What placing looks at: hosts with their pools, the guests on them, and what is wanted.

use crate::tallies::Tallies;
use honcho_model::host::{Duty, HostStatus};
use honcho_model::{AccountId, Bytes, ClusterId, GuestId, HostId, NetworkId, PoolId, RackId, SiteId};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// What a host must have and not every host has: `kvm`, `cpu:avx512f`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Capability(pub String);

/// A role in a cluster: guests of the same one are kept apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterRole {
    /// Which cluster.
    pub cluster: ClusterId,
    /// `front`, `app`, `database`.
    pub role: String,
}

/// A physical machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Which.
    pub id: HostId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub site: Option<SiteId>,
    /// What it is screwed into.
    pub rack: Option<RackId>,
    /// Whether its agent speaks.
    pub status: HostStatus,
    /// What it is there for.
    pub duties: Vec<Duty>,
    /// Whether it is being emptied.
    pub draining: Draining,
    /// What it has that not every host has. Hosts that have the same share it in a fleet, and are asked once.
    pub capabilities: Arc<BTreeSet<Capability>>,
    /// All of its memory.
    pub memory: Bytes,
    /// Memory that guests never get: of its kernel, its agent, its hypervisor.
    pub memory_reserved: Bytes,
    /// Its CPUs; 0 if unknown.
    pub cpus: u32,
    /// What it does.
    pub load: HostLoad,
    /// Its storage.
    pub pools: Vec<Pool>,
    /// The networks that it can reach.
    pub networks: Reach,
}

/// What a host does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostLoad {
    /// What was seen of it, beside what its guests of the fleet are said to do.
    pub seen: f64,
    /// What part of the host a load of 1 is: of one with 8 CPUs an eighth, where loads are in CPUs kept busy.
    pub of_one: f64,
}

impl Default for HostLoad {
    /// Nothing was seen, and loads are added up as they are.
    fn default() -> Self {
        HostLoad { seen: 0.0, of_one: 1.0 }
    }
}

/// Whether a host is being emptied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Draining {
    /// Its guests go, and none comes.
    Yes,
    /// All at once: it is thought lost, by a plan that asks what would be then.
    Lost,
    /// It takes guests.
    #[default]
    No,
}

/// Which networks a host reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every one.
    All,
    /// These.
    Only(BTreeSet<NetworkId>),
}

/// Storage of a host, ready to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Which.
    pub id: PoolId,
    /// Its name.
    pub name: String,
    /// What fits into it.
    pub size: Bytes,
    /// What is taken beside the guests of the fleet.
    pub taken: Bytes,
}

/// A guest that is placed.
#[derive(Clone, Debug, PartialEq)]
pub struct Guest {
    /// Which.
    pub id: GuestId,
    /// Where.
    pub host: HostId,
    /// Where its disk is.
    pub pool: PoolId,
    /// What it takes of its host.
    pub holds: Holds,
    /// How much it does, in the unit of [`HostLoad::of_one`].
    pub load: f64,
    /// What it needs.
    pub needs: Request,
}

/// Guests of one size on one host, which need not be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alike {
    /// Where.
    pub host: HostId,
    /// Memory of each.
    pub memory: Bytes,
    /// How many.
    pub guests: usize,
    /// vCPUs of all of them.
    pub vcpus: i64,
}

/// What a fleet's guests come to, where none has to be named: enough to place others, and all that an order reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    /// Memory and vCPUs. Disk counts as taken of its pool ([`Pool::taken`]).
    pub alike: Vec<Alike>,
    /// How many guests of an account are on a host, of the accounts that matter.
    pub accounts: Vec<(AccountId, HostId, u32)>,
    /// How many guests of a role are on a host, of the roles that matter.
    pub roles: Vec<(ClusterRole, HostId, u32)>,
}

/// A host that is not what it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// It, as it is.
    pub host: Host,
    /// What its guests came to.
    pub before: Sums,
    /// What they come to.
    pub now: Sums,
}

/// What a guest takes of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Memory, vCPUs and disk: also while it is stopped, for it may start.
    All,
    /// Its disk alone: it is cancelled, and may be restored.
    DiskOnly,
}

/// What a guest needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Who owns it.
    pub account: AccountId,
    /// With whom it must not share a host.
    pub apart: Option<ClusterRole>,
    /// Memory.
    pub memory: Bytes,
    /// Disk.
    pub disk: Bytes,
    /// vCPUs.
    pub vcpus: u32,
    /// How much it is expected to do, in the unit of [`HostLoad::of_one`].
    pub load: f64,
    /// What its host must have.
    pub capabilities: BTreeSet<Capability>,
    /// What its host must reach.
    pub networks: BTreeSet<NetworkId>,
    /// Only this host will do.
    pub host: Option<HostId>,
    /// Only this site will do.
    pub site: Option<SiteId>,
}

impl Request {
    /// A guest of this size that needs nothing else.
    pub fn of_size(memory: Bytes, vcpus: u32, disk: Bytes) -> Self {
        Request {
            account: AccountId(0),
            apart: None,
            memory,
            disk,
            vcpus,
            load: 1.0,
            capabilities: BTreeSet::new(),
            networks: BTreeSet::new(),
            host: None,
            site: None,
        }
    }
}

/// What is held to beside what each guest needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// vCPUs for each CPU, at most; `None` is no limit.
    pub vcpus_per_cpu: Option<f64>,
    /// Whether every host's guests must stay restartable elsewhere.
    pub n_plus_one: NPlusOne,
}

/// Whether every host's guests must stay restartable elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NPlusOne {
    /// A placement that ends it is refused.
    Keep,
    /// A placement that ends it is taken only if there is no other.
    Prefer,
    /// Nobody looks.
    Ignore,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { vcpus_per_cpu: None, n_plus_one: NPlusOne::Prefer }
    }
}

/// Hosts and guests, with what they come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    pub(crate) hosts: Vec<Host>,
    pub(crate) guests: Vec<Guest>,
    pub(crate) rules: Rules,
    pub(crate) tallies: Tallies,
}

/// Lets hosts that have the same share it.
fn share(hosts: &mut [Host]) {
    let mut known: HashSet<Arc<BTreeSet<Capability>>> = HashSet::new();
    for host in hosts {
        match known.get(&host.capabilities) {
            Some(one) => host.capabilities = one.clone(),
            None => drop(known.insert(host.capabilities.clone())),
        }
    }
}

impl Fleet {
    /// A fleet. Guests on hosts that are not in it are left out.
    pub fn new(mut hosts: Vec<Host>, guests: Vec<Guest>, rules: Rules) -> Self {
        share(&mut hosts);
        let tallies = Tallies::new(&hosts, &guests);
        Fleet { hosts, guests, rules, tallies }
    }

    /// A fleet whose guests are not told apart: it has none to be named or moved. What is on hosts that are not in it is left out.
    pub fn of_sums(mut hosts: Vec<Host>, sums: &Sums, rules: Rules) -> Self {
        share(&mut hosts);
        let tallies = Tallies::of_sums(&hosts, sums);
        Fleet { hosts, guests: Vec::new(), rules, tallies }
    }

    /// A fleet of sums, with some guests told apart that are in its sums: all those of a host whose guests are to be rehoused.
    #[must_use]
    pub fn with_guests(&self, guests: Vec<Guest>) -> Self {
        Fleet { guests, ..self.clone() }
    }

    /// Takes what is told of some hosts of a fleet of sums in place of what was told before, and what is seen of all: the
    /// fleet is then what [`Fleet::of_sums`] would make of all of it.
    pub fn renew(&mut self, told: Vec<Told>, seen: impl Fn(usize) -> (HostStatus, HostLoad)) {
        let mut changed = vec![false; self.hosts.len()];
        for Told { mut host, before, now } in told {
            if let Some(position) = self.position(host.id) {
                self.tallies.renew(position, &host, &before, &now);
                let old = &mut self.hosts[position];
                if host.capabilities == old.capabilities {
                    host.capabilities = old.capabilities.clone();
                }
                *old = host;
                changed[position] = true;
            }
        }
        for (position, (host, tally)) in self.hosts.iter_mut().zip(&mut self.tallies.hosts).enumerate() {
            let now = seen(position);
            if changed[position] || now != (host.status, host.load) {
                (host.status, host.load) = now;
                tally.load = host.load.seen;
                tally.look_at(host);
            }
        }
        self.tallies.recompute();
    }

    /// Holds to other rules.
    pub fn hold_to(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// The hosts.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The guests.
    pub fn guests(&self) -> &[Guest] {
        &self.guests
    }

    /// The rules.
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// The place of a host among the hosts.
    pub fn position(&self, id: HostId) -> Option<usize> {
        self.tallies.position(id)
    }
}

//! The hard filters, and what each says when it refuses. A refusal holds numbers; its text is made when it is read.

use crate::fleet::{Capability, Draining, Host, Reach, Request, Rules};
use crate::tallies::{Tally, signed};
use honcho_model::host::{Duty, HostStatus};
use honcho_model::{Bytes, HostId, NetworkId};
use std::collections::BTreeSet;

/// The filters, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Filter {
    /// It is the host, or in the site, that is wanted.
    Wanted,
    /// Its agent speaks.
    Enabled,
    /// It runs guests.
    Duty,
    /// It is not being emptied.
    Draining,
    /// It has what the guest needs of hypervisor and CPU.
    Capability,
    /// It reaches the guest's networks.
    Network,
    /// Memory, beside the host's reserve.
    Memory,
    /// Disk in one of its pools.
    Disk,
    /// vCPUs for its CPUs.
    Vcpus,
    /// No other guest of the same cluster and role is there.
    AntiAffinity,
    /// No other guest of the same cluster and role is in its rack, or site.
    FailureDomain,
    /// Every host's guests could still be restarted elsewhere.
    NPlusOne,
}

impl Filter {
    /// The word for it, used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Filter::Wanted => "wanted",
            Filter::Enabled => "enabled",
            Filter::Duty => "duty",
            Filter::Draining => "draining",
            Filter::Capability => "capability",
            Filter::Network => "network",
            Filter::Memory => "memory",
            Filter::Disk => "disk",
            Filter::Vcpus => "vcpus",
            Filter::AntiAffinity => "anti_affinity",
            Filter::FailureDomain => "failure_domain",
            Filter::NPlusOne => "n_plus_one",
        }
    }
}

/// What fails as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Hosts on one power strip and one switch.
    Rack,
    /// Racks in one building.
    Site,
}

impl Domain {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Domain::Rack => "rack",
            Domain::Site => "site",
        }
    }
}

/// Why a host was refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refusal {
    /// Another host or site is wanted.
    NotWanted,
    /// Its agent does not speak.
    NotUp(HostStatus),
    /// A plan asks what would be without it.
    ThoughtLost,
    /// It is not there to run guests.
    NotHypervisor,
    /// It is being emptied.
    Draining,
    /// It lacks one of the capabilities: the one at this place of the request's.
    Lacks(usize),
    /// It does not reach a network.
    Network(NetworkId),
    /// Memory is short.
    Memory {
        /// Bytes free.
        free: i64,
        /// Bytes needed.
        needed: i64,
    },
    /// It has no pool that is ready.
    NoPool,
    /// Disk is short.
    Disk {
        /// The roomiest of the host's pools.
        pool: usize,
        /// Bytes not promised there.
        free: i64,
        /// Bytes needed.
        needed: i64,
    },
    /// vCPUs are short.
    Vcpus {
        /// How many more may be given.
        free: i64,
        /// How many are needed.
        needed: i64,
    },
    /// Guests of the same cluster and role are there, and another host can take it.
    Crowded(u32),
    /// Guests of the same cluster and role are in its rack or site, and one elsewhere can take it.
    SameDomain(Domain),
    /// Guests of this host could not be restarted elsewhere any more.
    Strands(HostId),
}

impl Refusal {
    /// Which filter refused.
    pub fn filter(&self) -> Filter {
        match self {
            Refusal::NotWanted => Filter::Wanted,
            Refusal::NotUp(_) | Refusal::ThoughtLost => Filter::Enabled,
            Refusal::NotHypervisor => Filter::Duty,
            Refusal::Draining => Filter::Draining,
            Refusal::Lacks(_) => Filter::Capability,
            Refusal::Network(_) => Filter::Network,
            Refusal::Memory { .. } => Filter::Memory,
            Refusal::NoPool | Refusal::Disk { .. } => Filter::Disk,
            Refusal::Vcpus { .. } => Filter::Vcpus,
            Refusal::Crowded(_) => Filter::AntiAffinity,
            Refusal::SameDomain(_) => Filter::FailureDomain,
            Refusal::Strands(_) => Filter::NPlusOne,
        }
    }

    /// Why, as a person reads it behind the host's name.
    pub fn text(&self, host: &Host, request: &Request, name_of: impl Fn(HostId) -> String) -> String {
        match self {
            Refusal::NotWanted => "another is wanted".to_owned(),
            Refusal::NotUp(status) => format!("is {}", status.as_str()),
            Refusal::ThoughtLost => "is thought lost".to_owned(),
            Refusal::NotHypervisor => "has not the duty hypervisor".to_owned(),
            Refusal::Draining => "is draining".to_owned(),
            Refusal::Lacks(at) => {
                let lacking = request.capabilities.iter().nth(*at).map_or("?", |one| one.0.as_str());
                format!("lacks {lacking}")
            }
            Refusal::Network(network) => format!("does not reach network {network}"),
            Refusal::Memory { free, needed } => {
                format!("{} of memory free, {} needed", show(*free), show(*needed))
            }
            Refusal::NoPool => "has no ready pool".to_owned(),
            Refusal::Disk { pool, free, needed } => {
                let pool = host.pools.get(*pool).map_or("?", |pool| pool.name.as_str());
                format!("{} of disk not yet promised in pool {pool}, {} needed", show(*free), show(*needed))
            }
            Refusal::Vcpus { free, needed } => format!("{} vCPUs free, {needed} needed", (*free).max(0)),
            Refusal::Crowded(1) => "has one of the same cluster and role".to_owned(),
            Refusal::Crowded(count) => format!("has {count} of the same cluster and role"),
            Refusal::SameDomain(domain) => {
                format!("its {} has one of the same cluster and role", domain.as_str())
            }
            Refusal::Strands(lost) => {
                format!("if {} were lost, its guests would not all fit elsewhere", name_of(*lost))
            }
        }
    }
}

fn show(bytes: i64) -> Bytes {
    Bytes(u64::try_from(bytes).unwrap_or(0))
}

/// The filters that look at one host alone, for one request and many hosts.
pub(crate) struct Filters<'a> {
    request: &'a Request,
    rules: &'a Rules,
    /// What was found out of the last few kinds of hosts: which of the capabilities they lack, if one.
    kinds: Vec<(&'a BTreeSet<Capability>, Option<usize>)>,
}

/// So many kinds of hosts are remembered. A fleet has few, and a list is found through at a glance.
const KINDS: usize = 8;

impl<'a> Filters<'a> {
    pub(crate) fn new(request: &'a Request, rules: &'a Rules) -> Self {
        Filters { request, rules, kinds: Vec::new() }
    }

    /// Asks all of them. Says which pool takes the guest.
    pub(crate) fn fit(&mut self, host: &'a Host, tally: &Tally) -> Result<Option<usize>, Refusal> {
        let request = self.request;
        let wanted = request.host.is_none_or(|wanted| wanted == host.id)
            && request.site.is_none_or(|wanted| host.site == Some(wanted));
        if !wanted {
            return Err(Refusal::NotWanted);
        }
        if !tally.open {
            taking(host)?;
        }
        if let Some(at) = self.lacked(&host.capabilities) {
            return Err(Refusal::Lacks(at));
        }
        reached(host, request)?;
        let needed = signed(request.memory);
        if tally.memory_free < needed {
            return Err(Refusal::Memory { free: tally.memory_free, needed });
        }
        let pool = disk(tally, request)?;
        if let Some(ratio) = self.rules.vcpus_per_cpu {
            let needed = i64::from(request.vcpus);
            #[expect(clippy::cast_possible_truncation, reason = "a ratio of CPUs is far below 2^63")]
            let limit = (ratio * f64::from(host.cpus)).floor() as i64;
            if needed > 0 && tally.vcpus + needed > limit {
                return Err(Refusal::Vcpus { free: limit - tally.vcpus, needed });
            }
        }
        Ok(pool)
    }

    fn lacked(&mut self, has: &'a BTreeSet<Capability>) -> Option<usize> {
        if self.request.capabilities.is_empty() {
            return None;
        }
        // Hosts of one kind share what they have: it is the same place in memory.
        if let Some((_, lacked)) = self.kinds.iter().find(|(known, _)| std::ptr::eq(*known, has)) {
            return *lacked;
        }
        let lacked = lacked(has, self.request);
        if self.kinds.len() == KINDS {
            self.kinds.remove(0);
        }
        self.kinds.push((has, lacked));
        lacked
    }
}

/// Why a host takes no guest like this one whatever is on it; `None` if that is a question of room.
pub fn unfit(host: &Host, request: &Request) -> Option<Refusal> {
    fixed(host, request).err()
}

/// What no other guest can change.
pub(crate) fn fixed(host: &Host, request: &Request) -> Result<(), Refusal> {
    taking(host)?;
    lacked(&host.capabilities, request).map_or(Ok(()), |at| Err(Refusal::Lacks(at)))?;
    reached(host, request)
}

/// Whether it takes any guest.
fn taking(host: &Host) -> Result<(), Refusal> {
    if host.draining == Draining::Lost {
        return Err(Refusal::ThoughtLost);
    }
    if host.status != HostStatus::Up {
        return Err(Refusal::NotUp(host.status));
    }
    if !host.duties.contains(&Duty::Hypervisor) {
        return Err(Refusal::NotHypervisor);
    }
    if host.draining == Draining::Yes {
        return Err(Refusal::Draining);
    }
    Ok(())
}

/// The place of the first capability that is not there.
fn lacked(has: &BTreeSet<Capability>, request: &Request) -> Option<usize> {
    request.capabilities.iter().position(|needed| !has.contains(needed))
}

fn reached(host: &Host, request: &Request) -> Result<(), Refusal> {
    if let Reach::Only(reached) = &host.networks
        && let Some(missing) = request.networks.iter().find(|network| !reached.contains(network))
    {
        return Err(Refusal::Network(*missing));
    }
    Ok(())
}

/// The roomiest pool, if it has room; none, for a guest without a disk.
fn disk(tally: &Tally, request: &Request) -> Result<Option<usize>, Refusal> {
    let needed = signed(request.disk);
    if needed == 0 {
        return Ok(None);
    }
    match tally.roomiest {
        None => Err(Refusal::NoPool),
        Some((pool, free)) if free >= needed => Ok(Some(pool)),
        Some((pool, free)) => Err(Refusal::Disk { pool, free, needed }),
    }
}

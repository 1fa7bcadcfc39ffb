//! N+1: whether each host's guests could be restarted elsewhere if it died.
//!
//! Reckoned in memory, over the hosts that take guests, the largest guest first, onto the first host that has room. That
//! is what can be promised at once; disks are restored or moved, and features and networks are placing's to look at.
//! Most hosts need no reckoning: first fit fails only once every host has less left than the largest guest needs, so
//! where the rest of the fleet has more than that to spare, it succeeds.

use crate::fleet::{Fleet, Host};
use crate::tallies::Tallies;
use honcho_model::HostId;
use std::collections::BTreeMap;

/// The hosts whose guests could not all be restarted elsewhere.
pub fn stranded(fleet: &Fleet) -> Vec<HostId> {
    let survival = Survival::new(&fleet.hosts, &fleet.tallies, 0);
    (0..fleet.hosts.len()).filter(|host| survival.short(*host) > 0).map(|host| fleet.hosts[host].id).collect()
}

/// The first host of which, if it were lost, more memory would fit nowhere afterwards than before. Both are the same hosts.
pub fn stranded_more(before: &Fleet, after: &Fleet) -> Option<HostId> {
    let then = Survival::new(&before.hosts, &before.tallies, 0);
    let now = Survival::new(&after.hosts, &after.tallies, 0);
    let more = |host: usize| {
        let short = now.short(host);
        short > 0 && short > then.short(host)
    };
    (0..after.hosts.len()).find(|host| more(*host)).map(|host| after.hosts[host].id)
}

/// What is known of a fleet before a guest comes.
pub(crate) struct Survival<'a> {
    hosts: &'a [Host],
    tallies: &'a Tallies,
    largest: i64,
    /// What each host surely takes of others' guests.
    spare: Vec<i64>,
    spare_of_all: i64,
    /// The two hosts that ask most of the others, with what they ask.
    hardest: [(i64, usize); 2],
    /// The memory of the guest that comes.
    coming: i64,
    /// The hosts that are not plainly safe wherever it goes, if somebody asked.
    doubtful: std::cell::OnceCell<Vec<Doubtful>>,
}

/// A host that has to be reckoned with, and what would be if it were lost now.
struct Doubtful {
    host: usize,
    /// On a host that takes none of its guests a guest that comes changes nothing for it: first fit passed that host
    /// over, and does so again.
    now: Restart,
}

/// What would be if a host were lost.
struct Restart {
    /// The hosts that would take its guests, in order.
    taking: Vec<usize>,
    /// Memory of the guests that fit nowhere.
    short: i64,
}

/// A guest that comes to a host.
#[derive(Clone, Copy)]
pub(crate) struct Coming {
    pub(crate) host: usize,
    pub(crate) memory: i64,
}

impl<'a> Survival<'a> {
    pub(crate) fn new(hosts: &'a [Host], tallies: &'a Tallies, coming: i64) -> Self {
        let largest = tallies.hosts.iter().map(|tally| tally.largest).max().unwrap_or(0).max(coming);
        let spare: Vec<i64> = hosts
            .iter()
            .zip(&tallies.hosts)
            .map(|(_, tally)| if tally.open { (tally.memory_free - largest).max(0) } else { 0 })
            .collect();
        let mut hardest = [(i64::MIN, usize::MAX); 2];
        for (host, tally) in tallies.hosts.iter().enumerate() {
            let asks = (tally.memory_placed + spare[host], host);
            if asks.0 > hardest[0].0 {
                hardest = [asks, hardest[0]];
            } else if asks.0 > hardest[1].0 {
                hardest[1] = asks;
            }
        }
        let spare_of_all = spare.iter().sum();
        Survival {
            hosts,
            tallies,
            largest,
            spare,
            spare_of_all,
            hardest,
            coming,
            doubtful: std::cell::OnceCell::new(),
        }
    }

    /// Whether it is plain that every host survives this guest.
    pub(crate) fn plainly_kept(&self, coming: Coming) -> bool {
        let spare = self.spare_with(coming);
        let all = self.spare_of_all - self.spare[coming.host] + spare;
        let (asked, host) = if self.hardest[0].1 == coming.host { self.hardest[1] } else { self.hardest[0] };
        let others = host == usize::MAX || asked <= all;
        let own = self.tallies.hosts[coming.host].memory_placed + coming.memory;
        others && own <= all - spare
    }

    fn spare_with(&self, coming: Coming) -> i64 {
        if self.tallies.hosts[coming.host].open {
            (self.tallies.hosts[coming.host].memory_free - coming.memory - self.largest).max(0)
        } else {
            0
        }
    }

    /// The first host of which, if it were lost, more would fit nowhere because of this guest.
    pub(crate) fn strands(&self, coming: Coming) -> Option<HostId> {
        if self.plainly_kept(coming) {
            return None;
        }
        let doubtful = self.doubtful.get_or_init(|| self.find_doubtful());
        let at = doubtful.partition_point(|one| one.host < coming.host);
        let (before, rest) = doubtful.split_at(at);
        let short_with = |host: usize| reckon(self.hosts, self.tallies, host, Some(coming)).short;
        let strands = |one: &Doubtful| {
            let touched = one.now.taking.binary_search(&coming.host).is_ok();
            (touched && short_with(one.host) > one.now.short).then_some(one.host)
        };
        let strands_own = || {
            let now = rest.first().filter(|one| one.host == coming.host).map_or(0, |one| one.now.short);
            (short_with(coming.host) > now).then_some(coming.host)
        };
        let others = |part: &[Doubtful]| part.iter().filter(|one| one.host != coming.host).find_map(strands);
        others(before).or_else(strands_own).or_else(|| others(rest)).map(|host| self.hosts[host].id)
    }

    /// Wherever the guest goes, it takes no more than its memory of what the others have to spare.
    fn find_doubtful(&self) -> Vec<Doubtful> {
        let asks = |host: usize| self.tallies.hosts[host].memory_placed + self.spare[host];
        (0..self.hosts.len())
            .filter(|host| asks(*host) > self.spare_of_all - self.coming)
            .map(|host| Doubtful { host, now: reckon(self.hosts, self.tallies, host, None) })
            .collect()
    }

    /// Memory of the guests of this host that would fit nowhere if it were lost.
    pub(crate) fn short(&self, lost: usize) -> i64 {
        let plain = self.tallies.hosts[lost].memory_placed <= self.spare_of_all - self.spare[lost];
        if plain { 0 } else { reckon(self.hosts, self.tallies, lost, None).short }
    }
}

fn reckon(hosts: &[Host], tallies: &Tallies, lost: usize, coming: Option<Coming>) -> Restart {
    let mut guests = tallies.hosts[lost].guests.clone();
    let mut free: Vec<i64> = hosts
        .iter()
        .zip(&tallies.hosts)
        .map(|(_, tally)| if tally.open { tally.memory_free } else { 0 })
        .collect();
    if let Some(coming) = coming {
        free[coming.host] -= coming.memory;
        if coming.host == lost {
            guests.push(coming.memory);
        }
    }
    free[lost] = 0;
    guests.retain(|memory| *memory > 0);
    guests.sort_unstable_by(|one, other| other.cmp(one));
    let mut restart = Restart { taking: Vec::with_capacity(guests.len()), short: 0 };
    for memory in guests {
        match free.iter().position(|free| *free >= memory) {
            Some(host) => {
                free[host] -= memory;
                restart.taking.push(host);
            }
            None => restart.short += memory,
        }
    }
    restart.taking.sort_unstable();
    restart.taking.dedup();
    restart
}

/// N+1 while guests move one by one. What is plain is seen in constant time a move, as a rule: the moves of a large
/// fleet are many, and its hosts as well.
pub(crate) struct Watch {
    largest: i64,
    spare: Vec<i64>,
    spare_of_all: i64,
    /// No host asks more of the others than this.
    asked_at_most: i64,
    reckonings_left: usize,
}

/// So often a host's loss may be reckoned in one balancing. Where even that does not do (a large fleet that is nearly
/// full), what is not plain counts as not kept.
const RECKONINGS: usize = 50_000;

impl Watch {
    pub(crate) fn new(hosts: &[Host], tallies: &Tallies) -> Self {
        let largest = tallies.hosts.iter().map(|tally| tally.largest).max().unwrap_or(0);
        let mut watch = Watch {
            largest,
            spare: vec![0; hosts.len()],
            spare_of_all: 0,
            asked_at_most: 0,
            reckonings_left: RECKONINGS,
        };
        for host in 0..hosts.len() {
            watch.changed(tallies, host);
        }
        watch
    }

    /// A guest has come to this host, or left it.
    pub(crate) fn changed(&mut self, tallies: &Tallies, host: usize) {
        let tally = &tallies.hosts[host];
        let spare = if tally.open { (tally.memory_free - self.largest).max(0) } else { 0 };
        self.spare_of_all += spare - std::mem::replace(&mut self.spare[host], spare);
        self.asked_at_most = self.asked_at_most.max(tally.memory_placed + spare);
    }

    /// The hosts whose guests could not all be restarted elsewhere, with how much memory fits nowhere; `None` where it
    /// would take too long to find out.
    pub(crate) fn short(&mut self, hosts: &[Host], tallies: &Tallies) -> Option<BTreeMap<usize, i64>> {
        if self.asked_at_most <= self.spare_of_all {
            return Some(BTreeMap::new());
        }
        let asks = |host: usize| tallies.hosts[host].memory_placed + self.spare[host];
        self.asked_at_most = (0..hosts.len()).map(asks).max().unwrap_or(0);
        let doubtful: Vec<usize> = (0..hosts.len()).filter(|host| asks(*host) > self.spare_of_all).collect();
        self.reckonings_left = self.reckonings_left.checked_sub(doubtful.len())?;
        let short = doubtful.into_iter().map(|host| (host, reckon(hosts, tallies, host, None).short));
        Some(short.filter(|(_, short)| *short > 0).collect())
    }
}

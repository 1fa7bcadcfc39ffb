//! N+1: whether each host's guests could be restarted elsewhere if it died.
//!
//! Reckoned in memory, over the hosts that take guests, the largest guest first, onto the first host that has room. That
//! is what can be promised at once; disks are restored or moved, and features and networks are placing's to look at.
//! Most hosts need no reckoning: first fit fails only once every host has less left than the largest guest needs, so
//! where the rest of the fleet has more than that to spare, it succeeds.

use crate::fleet::{Fleet, Host};
use crate::tallies::{Tallies, is_open};
use honcho_model::HostId;

/// The hosts whose guests could not all be restarted elsewhere.
pub fn stranded(fleet: &Fleet) -> Vec<HostId> {
    let survival = Survival::new(&fleet.hosts, &fleet.tallies, 0);
    (0..fleet.hosts.len())
        .filter(|host| !survival.survives(*host, None))
        .map(|host| fleet.hosts[host].id)
        .collect()
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
    /// Hosts that are stranded already, if somebody asked.
    already: std::cell::OnceCell<Vec<bool>>,
}

/// A guest that comes to a host.
#[derive(Clone, Copy)]
pub(crate) struct Coming {
    pub(crate) host: usize,
    pub(crate) memory: i64,
}

impl<'a> Survival<'a> {
    pub(crate) fn new(hosts: &'a [Host], tallies: &'a Tallies, coming: i64) -> Self {
        let guests = tallies.hosts.iter().flat_map(|tally| tally.guests.iter().copied());
        let largest = guests.max().unwrap_or(0).max(coming);
        let spare: Vec<i64> = hosts
            .iter()
            .zip(&tallies.hosts)
            .map(|(host, tally)| if is_open(host) { (tally.memory_free - largest).max(0) } else { 0 })
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
            already: std::cell::OnceCell::new(),
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
        if is_open(&self.hosts[coming.host]) {
            (self.tallies.hosts[coming.host].memory_free - coming.memory - self.largest).max(0)
        } else {
            0
        }
    }

    /// The first host that this guest would strand, of those that are not stranded already.
    pub(crate) fn strands(&self, coming: Coming) -> Option<HostId> {
        if self.plainly_kept(coming) {
            return None;
        }
        let already = self
            .already
            .get_or_init(|| (0..self.hosts.len()).map(|host| !self.survives(host, None)).collect());
        (0..self.hosts.len())
            .find(|host| !already[*host] && !self.survives(*host, Some(coming)))
            .map(|host| self.hosts[host].id)
    }

    /// Whether this host's guests could be restarted elsewhere.
    pub(crate) fn survives(&self, lost: usize, coming: Option<Coming>) -> bool {
        let mut all = self.spare_of_all;
        let mut spare = self.spare[lost];
        let mut needed = self.tallies.hosts[lost].memory_placed;
        if let Some(coming) = coming {
            all += self.spare_with(coming) - self.spare[coming.host];
            if coming.host == lost {
                needed += coming.memory;
                spare = self.spare_with(coming);
            }
        }
        needed <= all - spare || reckon(self.hosts, self.tallies, lost, coming)
    }
}

fn reckon(hosts: &[Host], tallies: &Tallies, lost: usize, coming: Option<Coming>) -> bool {
    let mut guests = tallies.hosts[lost].guests.clone();
    let mut free: Vec<i64> = hosts
        .iter()
        .zip(&tallies.hosts)
        .map(|(host, tally)| if is_open(host) { tally.memory_free } else { 0 })
        .collect();
    if let Some(coming) = coming {
        free[coming.host] -= coming.memory;
        if coming.host == lost {
            guests.push(coming.memory);
        }
    }
    free[lost] = 0;
    guests.sort_unstable_by(|one, other| other.cmp(one));
    guests.into_iter().all(|memory| match free.iter_mut().find(|free| **free >= memory) {
        Some(free) => {
            *free -= memory;
            true
        }
        None => memory == 0,
    })
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
        let largest = tallies.hosts.iter().flat_map(|tally| tally.guests.iter().copied()).max().unwrap_or(0);
        let mut watch = Watch {
            largest,
            spare: vec![0; hosts.len()],
            spare_of_all: 0,
            asked_at_most: 0,
            reckonings_left: RECKONINGS,
        };
        for host in 0..hosts.len() {
            watch.changed(hosts, tallies, host);
        }
        watch
    }

    /// A guest has come to this host, or left it.
    pub(crate) fn changed(&mut self, hosts: &[Host], tallies: &Tallies, host: usize) {
        let tally = &tallies.hosts[host];
        let spare = if is_open(&hosts[host]) { (tally.memory_free - self.largest).max(0) } else { 0 };
        self.spare_of_all += spare - std::mem::replace(&mut self.spare[host], spare);
        self.asked_at_most = self.asked_at_most.max(tally.memory_placed + spare);
    }

    /// The hosts whose guests could not be restarted elsewhere; `None` where it would take too long to find out.
    pub(crate) fn stranded(&mut self, hosts: &[Host], tallies: &Tallies) -> Option<Vec<usize>> {
        if self.asked_at_most <= self.spare_of_all {
            return Some(Vec::new());
        }
        let asks = |host: usize| tallies.hosts[host].memory_placed + self.spare[host];
        self.asked_at_most = (0..hosts.len()).map(asks).max().unwrap_or(0);
        let doubtful: Vec<usize> = (0..hosts.len()).filter(|host| asks(*host) > self.spare_of_all).collect();
        self.reckonings_left = self.reckonings_left.checked_sub(doubtful.len())?;
        Some(doubtful.into_iter().filter(|host| !reckon(hosts, tallies, *host, None)).collect())
    }
}

//! What the guests of each host come to, kept up to date as guests are placed and moved.

use crate::fleet::{ClusterRole, Draining, Guest, Holds, Host, Request, Sums};
use crate::spread::Moments;
use honcho_model::host::{Duty, HostStatus};
use honcho_model::{AccountId, HostId};
use std::collections::HashMap;

/// What is spread: free memory, free disk, vCPUs per CPU, load.
pub(crate) const SPREAD: usize = 4;

/// One host.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tally {
    /// Bytes of memory not promised; below 0 where too much is.
    pub(crate) memory_free: i64,
    /// Bytes of memory that its guests have.
    pub(crate) memory_placed: i64,
    /// Bytes not promised in each of its pools.
    pub(crate) pools_free: Vec<i64>,
    /// The roomiest of them and what is free there; of equals the first. It lies here for whoever asks every host: what is free in each
    /// pool lies elsewhere in memory.
    pub(crate) roomiest: Option<(usize, i64)>,
    pub(crate) vcpus: i64,
    pub(crate) load: f64,
    /// Memory of each guest that would have to be restarted elsewhere.
    pub(crate) guests: Vec<i64>,
    /// The most of these.
    pub(crate) largest: i64,
    /// What the deviations are taken of.
    pub(crate) values: [f64; SPREAD],
    /// Bytes of all its pools.
    pub(crate) disk: f64,
    /// Whether it takes guests at all: [`is_open`], looked up once.
    pub(crate) open: bool,
}

impl Tally {
    /// Of a host on which nothing is.
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52 where precision matters")]
    fn empty(host: &Host) -> Self {
        let disk: u64 = host.pools.iter().map(|pool| pool.size.0).sum();
        Tally {
            memory_free: signed(host.memory) - signed(host.memory_reserved),
            memory_placed: 0,
            pools_free: host.pools.iter().map(|pool| signed(pool.size) - signed(pool.taken)).collect(),
            roomiest: None,
            vcpus: 0,
            load: host.load.seen,
            guests: Vec::new(),
            largest: 0,
            values: [0.0; SPREAD],
            disk: disk as f64,
            open: is_open(host),
        }
    }

    /// Notes again what depends on more than its guests.
    pub(crate) fn look_at(&mut self, host: &Host) {
        self.open = is_open(host);
        self.values = values(host, self);
        self.roomiest = self.roomiest_now();
    }

    fn roomiest_now(&self) -> Option<(usize, i64)> {
        self.pools_free.iter().copied().enumerate().rev().max_by_key(|(_, free)| *free)
    }
}

/// Counts nothing on a host any more, nor what is nowhere then.
fn forget<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, HashMap<usize, u32>>, of: &K, position: usize) {
    if let Some(there) = counts.get_mut(of) {
        there.remove(&position);
        if there.is_empty() {
            counts.remove(of);
        }
    }
}

/// All of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tallies {
    pub(crate) hosts: Vec<Tally>,
    positions: HashMap<HostId, usize>,
    /// How many guests of a role are on which hosts.
    pub(crate) roles: HashMap<ClusterRole, HashMap<usize, u32>>,
    /// How many guests of an account are on which hosts.
    pub(crate) accounts: HashMap<AccountId, HashMap<usize, u32>>,
    pub(crate) moments: [Moments; SPREAD],
    /// How many hosts take guests.
    pub(crate) open: f64,
}

/// Whether a host takes guests at all: only these are spread over, and only these count as somewhere to restart.
pub(crate) fn is_open(host: &Host) -> bool {
    host.status == HostStatus::Up && host.draining == Draining::No && host.duties.contains(&Duty::Hypervisor)
}

pub(crate) fn signed(bytes: honcho_model::Bytes) -> i64 {
    i64::try_from(bytes.0).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

impl Tallies {
    pub(crate) fn new(hosts: &[Host], guests: &[Guest]) -> Self {
        let mut tallies = Tallies::empty(hosts);
        for guest in guests {
            tallies.put(hosts, guest);
        }
        tallies.look_at(hosts);
        tallies
    }

    pub(crate) fn of_sums(hosts: &[Host], sums: &Sums) -> Self {
        let mut tallies = Tallies::empty(hosts);
        tallies.add_sums(sums);
        tallies.look_at(hosts);
        tallies
    }

    fn add_sums(&mut self, sums: &Sums) {
        for alike in &sums.alike {
            let Some(position) = self.position(alike.host).filter(|_| alike.guests > 0) else { continue };
            let (tally, memory) = (&mut self.hosts[position], signed(alike.memory));
            let all = memory.saturating_mul(i64::try_from(alike.guests).unwrap_or(i64::MAX));
            tally.memory_free = tally.memory_free.saturating_sub(all);
            tally.memory_placed = tally.memory_placed.saturating_add(all);
            tally.vcpus += alike.vcpus;
            tally.guests.extend(std::iter::repeat_n(memory, alike.guests));
            tally.largest = tally.largest.max(memory);
        }
        for (account, host, count) in &sums.accounts {
            if let Some(position) = self.position(*host).filter(|_| *count > 0) {
                *self.accounts.entry(*account).or_default().entry(position).or_default() += count;
            }
        }
        for (role, host, count) in &sums.roles {
            if let Some(position) = self.position(*host).filter(|_| *count > 0) {
                *self.roles.entry(role.clone()).or_default().entry(position).or_default() += count;
            }
        }
    }

    /// Takes what is told of one host in place of what was told before; [`Tally::look_at`] and `recompute` are to follow.
    pub(crate) fn renew(&mut self, position: usize, host: &Host, before: &Sums, now: &Sums) {
        for (account, ..) in &before.accounts {
            forget(&mut self.accounts, account, position);
        }
        for (role, ..) in &before.roles {
            forget(&mut self.roles, role, position);
        }
        self.hosts[position] = Tally::empty(host);
        self.add_sums(now);
    }

    /// Of hosts on which nothing is.
    fn empty(hosts: &[Host]) -> Self {
        Tallies {
            hosts: hosts.iter().map(Tally::empty).collect(),
            positions: hosts.iter().map(|host| host.id).zip(0..).collect(),
            roles: HashMap::new(),
            accounts: HashMap::new(),
            moments: [Moments::default(); SPREAD],
            open: 0.0,
        }
    }

    pub(crate) fn position(&self, id: HostId) -> Option<usize> {
        self.positions.get(&id).copied()
    }

    pub(crate) fn look_at(&mut self, hosts: &[Host]) {
        for (host, tally) in hosts.iter().zip(&mut self.hosts) {
            tally.look_at(host);
        }
        self.recompute();
    }

    /// Adds up anew what the deviations are computed of.
    pub(crate) fn recompute(&mut self) {
        let open = || self.hosts.iter().filter(|tally| tally.open).map(|tally| tally.values);
        let (mut sums, mut hosts) = ([0.0; SPREAD], 0_usize);
        for values in open() {
            hosts += 1;
            for component in 0..SPREAD {
                sums[component] += values[component];
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "no fleet has 2^52 hosts")]
        let count = hosts.max(1) as f64;
        let mut moments = sums.map(|sum| Moments { around: sum / count, ..Moments::default() });
        for values in open() {
            for component in 0..SPREAD {
                moments[component].add(values[component]);
            }
        }
        (self.open, self.moments) = (count, moments);
    }

    /// Counts a guest where it is; `look_at` is to follow.
    pub(crate) fn put(&mut self, hosts: &[Host], guest: &Guest) {
        let Some(position) = self.position(guest.host) else { return };
        let pool = hosts[position].pools.iter().position(|pool| pool.id == guest.pool);
        let load = guest.load * hosts[position].load.of_one;
        self.count(position, pool, &guest.needs, guest.holds, load);
    }

    fn count(&mut self, position: usize, pool: Option<usize>, needs: &Request, holds: Holds, load: f64) {
        let tally = &mut self.hosts[position];
        if let Some(free) = pool.and_then(|pool| tally.pools_free.get_mut(pool)) {
            *free -= signed(needs.disk);
        }
        if holds == Holds::DiskOnly {
            return;
        }
        tally.memory_free -= signed(needs.memory);
        tally.memory_placed += signed(needs.memory);
        tally.vcpus += i64::from(needs.vcpus);
        tally.load += load;
        tally.guests.push(signed(needs.memory));
        tally.largest = tally.largest.max(signed(needs.memory));
        if let Some(role) = &needs.apart {
            *self.roles.entry(role.clone()).or_default().entry(position).or_default() += 1;
        }
        *self.accounts.entry(needs.account).or_default().entry(position).or_default() += 1;
    }

    /// Puts a guest onto a host.
    pub(crate) fn add(
        &mut self,
        hosts: &[Host],
        position: usize,
        pool: Option<usize>,
        needs: &Request,
        load: f64,
    ) {
        self.count(position, pool, needs, Holds::All, load * hosts[position].load.of_one);
        self.replace(hosts, position);
    }

    /// Takes a guest off a host.
    pub(crate) fn remove(&mut self, hosts: &[Host], position: usize, guest: &Guest) {
        let needs = &guest.needs;
        let pool = hosts[position].pools.iter().position(|pool| pool.id == guest.pool);
        let tally = &mut self.hosts[position];
        if let Some(pool) = pool {
            tally.pools_free[pool] += signed(needs.disk);
        }
        if guest.holds == Holds::All {
            let memory = signed(needs.memory);
            tally.memory_free += memory;
            tally.memory_placed -= memory;
            tally.vcpus -= i64::from(needs.vcpus);
            tally.load -= guest.load * hosts[position].load.of_one;
            if let Some(at) = tally.guests.iter().position(|known| *known == memory) {
                tally.guests.swap_remove(at);
            }
            if memory == tally.largest {
                tally.largest = tally.guests.iter().copied().max().unwrap_or(0);
            }
            let counted = |counts: Option<&mut HashMap<usize, u32>>| {
                if let Some(counts) = counts
                    && let Some(count) = counts.get_mut(&position)
                {
                    *count -= 1;
                    if *count == 0 {
                        counts.remove(&position);
                    }
                }
            };
            counted(needs.apart.as_ref().and_then(|role| self.roles.get_mut(role)));
            counted(self.accounts.get_mut(&needs.account));
        }
        self.replace(hosts, position);
    }

    fn replace(&mut self, hosts: &[Host], position: usize) {
        let after = values(&hosts[position], &self.hosts[position]);
        self.hosts[position].roomiest = self.hosts[position].roomiest_now();
        let before = std::mem::replace(&mut self.hosts[position].values, after);
        if self.hosts[position].open {
            for component in 0..SPREAD {
                self.moments[component].replace(before[component], after[component]);
            }
        }
    }
}

/// What the deviations are taken of.
#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52 where precision matters")]
fn values(host: &Host, tally: &Tally) -> [f64; SPREAD] {
    let disk_free: i64 = tally.pools_free.iter().sum();
    [
        share(tally.memory_free as f64, host.memory.0 as f64),
        share(disk_free as f64, tally.disk),
        share(tally.vcpus as f64, f64::from(host.cpus)),
        tally.load,
    ]
}

/// Part of a whole; 0 where there is no whole.
pub(crate) fn share(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

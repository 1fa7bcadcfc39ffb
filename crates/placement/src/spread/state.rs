//! A fleet and its score, kept up to date move by move.

use super::members::{JustEnough, Online, SpreadGuest, SpreadHost, add_tags, remove_tags};
use super::score::{DEVIATIONS, Moments, Shares, Sums, WEIGHTS, is_unsafe, sums_of, values};
use super::{GuestIndex, HostIndex, Place};
use std::collections::HashMap;

/// How a limit of memory or disk is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// A guest may take the last byte (Honcho).
    MayFill,
    /// Something must remain (Ganeti).
    MustRemain,
}

/// A fleet whose guests are to be spread.
#[derive(Clone, Debug)]
pub struct Spread {
    pub(super) hosts: Vec<SpreadHost>,
    pub(super) guests: Vec<SpreadGuest>,
    pub(super) classes: Vec<Vec<bool>>,
    pub(super) compare: Compare,
    /// What [`SpreadHost::just_enough`] becomes where a guest comes or goes.
    pub(super) just_enough_once_moved: JustEnough,
    pub(super) moments: [Moments; DEVIATIONS],
    /// The weighted deviation of each component, and the values of each host: so that what a move leaves alone costs
    /// nothing to judge.
    pub(super) parts: [f64; DEVIATIONS],
    /// Of each component the mean, and how steeply the score changes with a host's distance from it.
    pub(super) means: [f64; DEVIATIONS],
    pub(super) slopes: [f64; DEVIATIONS],
    /// The score.
    pub(super) total: f64,
    /// What one of each thing is of each host.
    pub(super) shares: Vec<Shares>,
    pub(super) values: Vec<[f64; DEVIATIONS]>,
    pub(super) sums: Sums,
    pub(super) online: f64,
    pub(super) domain_tags: HashMap<(u32, u32), u32>,
    /// The guests of each host, primaries first known first.
    pub(super) on_host: Vec<Vec<GuestIndex>>,
}

impl Spread {
    /// Puts guests onto hosts whose free memory, memory if all ran, and free disk say already what remains **beside**
    /// them; every other tally of the hosts begins at what the host itself takes.
    pub fn new(
        hosts: Vec<SpreadHost>,
        guests: Vec<SpreadGuest>,
        classes: Vec<Vec<bool>>,
        compare: Compare,
    ) -> Self {
        let mut spread = Spread {
            on_host: vec![Vec::new(); hosts.len()],
            hosts,
            guests,
            classes,
            compare,
            just_enough_once_moved: JustEnough::IsSafe,
            moments: [Moments::default(); DEVIATIONS],
            parts: [0.0; DEVIATIONS],
            means: [0.0; DEVIATIONS],
            slopes: [0.0; DEVIATIONS],
            total: 0.0,
            shares: Vec::new(),
            values: Vec::new(),
            sums: Sums::default(),
            online: 0.0,
            domain_tags: HashMap::new(),
        };
        for index in 0..spread.guests.len() {
            spread.tally(index);
        }
        spread.recompute();
        spread
    }

    /// The hosts.
    pub fn hosts(&self) -> &[SpreadHost] {
        &self.hosts
    }

    /// The guests, each with its place.
    pub fn guests(&self) -> &[SpreadGuest] {
        &self.guests
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "no fleet has 2^32 guests: GuestIndex is its index type"
    )]
    fn tally(&mut self, index: usize) {
        let guest = &self.guests[index];
        let place = guest.place;
        let host = &mut self.hosts[place.primary as usize];
        host.vcpus += guest.vcpus;
        host.spindles += guest.spindles;
        host.load += guest.load;
        host.disk_load += guest.load;
        host.primaries += 1;
        add_tags(&mut host.tags, &guest.tags);
        let domain = host.domain;
        for tag in &guest.domain_tags {
            *self.domain_tags.entry((*tag, domain)).or_default() += 1;
        }
        self.on_host[place.primary as usize].push(index as GuestIndex);
        if let Some(secondary) = place.secondary {
            let host = &mut self.hosts[secondary as usize];
            host.spindles += guest.spindles;
            host.disk_load += guest.load;
            host.secondaries += 1;
            *host.peers.entry(place.primary).or_default() += guest.memory_mirrored;
            host.reserved = host.peers.values().copied().max().unwrap_or(0);
        }
    }

    /// Computes all that is kept up to date otherwise.
    pub(super) fn recompute(&mut self) {
        let online: Vec<[f64; DEVIATIONS]> =
            self.hosts.iter().filter(|host| host.online == Online::Yes).map(values).collect();
        #[expect(clippy::cast_precision_loss, reason = "no fleet has 2^52 hosts")]
        let count = online.len() as f64;
        self.online = count;
        for component in 0..DEVIATIONS {
            let around = online.iter().map(|values| values[component]).sum::<f64>() / count.max(1.0);
            let mut moments = Moments { around, sum: 0.0, squares: 0.0 };
            for values in &online {
                moments.add(values[component]);
            }
            self.moments[component] = moments;
        }
        self.values = self.hosts.iter().map(values).collect();
        self.shares = self.hosts.iter().map(Shares::of).collect();
        self.sums = Sums::default();
        for host in &self.hosts {
            let part = sums_of(host);
            self.sums.unsafe_guests += part.unsafe_guests;
            self.sums.on_offline += part.on_offline;
            self.sums.run_on_offline += part.run_on_offline;
            self.sums.crowded += part.crowded;
            self.sums.reserved += part.reserved;
        }
        self.weigh();
    }

    /// The score: 0 is perfect. So is a fleet of which no host is online, as Ganeti has it.
    pub fn score(&self) -> f64 {
        self.total
    }

    fn weigh(&mut self) {
        let count = self.online.max(1.0);
        for (component, weight) in WEIGHTS.into_iter().enumerate() {
            let moments = &self.moments[component];
            let deviation = moments.deviation(count);
            self.parts[component] = weight * deviation;
            self.means[component] = moments.around + moments.sum / count;
            self.slopes[component] = if deviation > 0.0 { weight / (count * deviation) } else { 0.0 };
        }
        self.total =
            if self.online == 0.0 { 0.0 } else { self.sums.score() + self.parts.iter().sum::<f64>() };
    }

    /// Moves a guest. The host that it leaves may be anything; whether it may go is [`Spread::fits`]'s to say.
    pub fn apply(&mut self, guest: GuestIndex, to: Place) {
        let from = self.guests[guest as usize].place;
        if from == to {
            return;
        }
        let mut touched = [Some(from.primary), from.secondary, Some(to.primary), to.secondary];
        for later in 1..touched.len() {
            if touched[..later].contains(&touched[later]) {
                touched[later] = None;
            }
        }
        for host in touched.into_iter().flatten() {
            self.take_sums(host, -1.0);
        }
        self.lift(guest, from);
        self.put(guest, to);
        for host in touched.into_iter().flatten() {
            self.hosts[host as usize].just_enough = self.just_enough_once_moved;
        }
        for host in touched.into_iter().flatten() {
            let new = values(&self.hosts[host as usize]);
            let old = std::mem::replace(&mut self.values[host as usize], new);
            if self.hosts[host as usize].online == Online::Yes {
                for component in 0..DEVIATIONS {
                    self.moments[component].replace(old[component], new[component]);
                }
            }
        }
        for host in touched.into_iter().flatten() {
            self.take_sums(host, 1.0);
        }
        self.weigh();
    }

    fn take_sums(&mut self, host: HostIndex, sign: f64) {
        let part = sums_of(&self.hosts[host as usize]);
        self.sums.unsafe_guests += sign * part.unsafe_guests;
        self.sums.on_offline += sign * part.on_offline;
        self.sums.run_on_offline += sign * part.run_on_offline;
        self.sums.crowded += sign * part.crowded;
        self.sums.reserved += sign * part.reserved;
    }

    fn lift(&mut self, index: GuestIndex, from: Place) {
        let guest = &self.guests[index as usize];
        let host = &mut self.hosts[from.primary as usize];
        host.memory_free += guest.memory_now;
        host.memory_free_if_all_ran += guest.memory;
        host.memory_reported += guest.memory_now;
        host.disk_free += guest.disk;
        host.vcpus -= guest.vcpus;
        host.spindles -= guest.spindles;
        host.load -= guest.load;
        host.disk_load -= guest.load;
        host.primaries -= 1;
        remove_tags(&mut host.tags, &guest.tags);
        for tag in &guest.domain_tags {
            if let Some(count) = self.domain_tags.get_mut(&(*tag, host.domain)) {
                *count -= 1;
            }
        }
        let list = &mut self.on_host[from.primary as usize];
        if let Some(at) = list.iter().position(|known| *known == index) {
            list.swap_remove(at);
        }
        if let Some(secondary) = from.secondary {
            let host = &mut self.hosts[secondary as usize];
            host.disk_free += guest.disk;
            host.spindles -= guest.spindles;
            host.disk_load -= guest.load;
            host.secondaries -= 1;
            if let Some(need) = host.peers.get_mut(&from.primary) {
                *need -= guest.memory_mirrored;
                if *need <= 0 {
                    host.peers.remove(&from.primary);
                }
            }
            host.reserved = host.peers.values().copied().max().unwrap_or(0);
        }
    }

    fn put(&mut self, index: GuestIndex, to: Place) {
        self.guests[index as usize].place = to;
        let guest = &self.guests[index as usize];
        let host = &mut self.hosts[to.primary as usize];
        host.memory_free -= guest.memory_now;
        host.memory_free_if_all_ran -= guest.memory;
        host.memory_reported -= guest.memory_now;
        host.disk_free -= guest.disk;
        if let Some(secondary) = to.secondary {
            self.hosts[secondary as usize].disk_free -= guest.disk;
        }
        self.tally(index as usize);
    }
}

impl Spread {
    /// How many hosts could not start all guests that are mirrored there, if the wrong other host died (N+1).
    pub fn hosts_without_n_plus_one(&self) -> usize {
        self.hosts.iter().filter(|host| host.online == Online::Yes && is_unsafe(host)).count()
    }

    /// How many guests share a host with another that has the same exclusion tag.
    pub fn crowded_guests(&self) -> usize {
        let online = |guest: &&SpreadGuest| self.hosts[guest.place.primary as usize].online == Online::Yes;
        let crowded = |guest: &&SpreadGuest| {
            let host = &self.hosts[guest.place.primary as usize];
            guest.tags.iter().any(|tag| host.has_tag(*tag) > 1)
        };
        self.guests.iter().filter(online).filter(crowded).count()
    }

    /// What the score is made of: each component's name, weight and value.
    pub fn components(&self) -> Vec<(&'static str, f64)> {
        let names = [
            "free memory",
            "free memory if all ran",
            "free disk",
            "vCPUs",
            "spindles",
            "reserved memory",
            "load",
            "load with mirrors",
        ];
        let mut parts: Vec<(&'static str, f64)> = names
            .into_iter()
            .zip(&self.moments)
            .map(|(name, moments)| (name, moments.deviation(self.online)))
            .collect();
        parts.push(("unsafe guests", self.sums.unsafe_guests));
        parts.push(("crowded guests", self.sums.crowded));
        parts.push(("reserved memory, sum", self.sums.reserved));
        parts
    }
}

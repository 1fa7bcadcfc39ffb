//! Hosts, guests, and what the score is made of.

use super::{GuestIndex, HostIndex, Place};
use std::collections::{BTreeMap, HashMap};

/// How many components are standard deviations.
pub(super) const DEVIATIONS: usize = 8;

/// Free memory; the same as if stopped guests ran; free disk; vCPUs per CPU; spindles; memory reserved for mirrors;
/// load of what runs; load of what runs or is mirrored. The weights are Ganeti's, where equal components are added up:
/// free disk, vCPUs and spindles count twice there ("forthcoming"), and the load thrice (CPU, memory, network).
pub(super) const WEIGHTS: [f64; DEVIATIONS] = [0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0];
const WEIGHT_UNSAFE: f64 = 1.0;
const WEIGHT_ON_OFFLINE: f64 = 4.0;
const WEIGHT_RUNS_ON_OFFLINE: f64 = 16.0;
const WEIGHT_CROWDED: f64 = 2.0;
const WEIGHT_RESERVED: f64 = 0.25;

/// A host and what is on it. Sizes are in MiB.
#[derive(Clone, Debug, PartialEq)]
pub struct SpreadHost {
    /// Memory, of which shares are computed.
    pub memory: f64,
    /// Disk, likewise; 0 where there is none.
    pub disk: f64,
    /// Physical CPUs, likewise.
    pub cpus: f64,
    /// How many spindles guests may use.
    pub spindles_limit: f64,
    /// vCPUs that guests may use; `None` is no limit.
    pub vcpus_limit: Option<f64>,
    /// Whether it takes part: counted in the deviations, and open to guests.
    pub online: Online,
    /// A rack, say: what [`SpreadGuest::domain_tags`] are counted in.
    pub domain: u32,
    /// Memory not taken by guests that run.
    pub memory_free: i64,
    /// Memory not taken if every guest ran.
    pub memory_free_if_all_ran: i64,
    /// Memory that the host itself says is free: what mirrored guests could be started in.
    pub memory_reported: i64,
    /// Disk not taken.
    pub disk_free: i64,
    /// vCPUs taken.
    pub vcpus: i64,
    /// Spindles taken.
    pub spindles: f64,
    /// Load of the guests that run here.
    pub load: f64,
    /// Load of the guests that run or are mirrored here.
    pub disk_load: f64,
    /// What a load of 1 counts here.
    pub load_of_one: f64,
    /// Guests that run here.
    pub primaries: u32,
    /// Guests mirrored here.
    pub secondaries: u32,
    /// The most memory that is needed here if one other host dies.
    pub reserved: i64,
    /// Memory that is needed here if that host dies.
    pub(super) peers: BTreeMap<HostIndex, i64>,
    /// Exclusion tags here, and how many guests have each.
    pub(super) tags: Vec<(u32, u32)>,
    /// Whether free memory that is just what mirrors need is enough.
    pub(super) just_enough: JustEnough,
}

/// Whether a host that has just as much memory free as mirrors may need counts as safe. Ganeti says that it does when it reads
/// a file, and that it does not once a guest has come or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JustEnough {
    /// It does.
    IsSafe,
    /// It does not.
    IsUnsafe,
}

/// Whether a host takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Online {
    /// Counted, and open to guests.
    Yes,
    /// Its guests should go.
    No,
    /// It is not of this fleet: a guest of the fleet is mirrored there, or one of its guests here. It is left alone.
    Outside,
}

impl SpreadHost {
    /// An empty host.
    pub fn new(memory: f64, disk: f64, cpus: f64) -> Self {
        SpreadHost {
            memory,
            disk,
            cpus,
            spindles_limit: f64::INFINITY,
            vcpus_limit: None,
            online: Online::Yes,
            domain: 0,
            memory_free: 0,
            memory_free_if_all_ran: 0,
            memory_reported: 0,
            disk_free: 0,
            vcpus: 0,
            spindles: 0.0,
            load: 0.0,
            disk_load: 0.0,
            load_of_one: 1.0,
            primaries: 0,
            secondaries: 0,
            reserved: 0,
            peers: BTreeMap::new(),
            tags: Vec::new(),
            just_enough: JustEnough::IsSafe,
        }
    }

    pub(super) fn has_tag(&self, tag: u32) -> u32 {
        self.tags.iter().find(|(known, _)| *known == tag).map_or(0, |(_, count)| *count)
    }
}

/// A guest. Sizes are in MiB.
#[derive(Clone, Debug, PartialEq)]
pub struct SpreadGuest {
    /// Memory.
    pub memory: i64,
    /// Memory it takes now: none while it is stopped.
    pub memory_now: i64,
    /// Memory a mirror's host must keep for it.
    pub memory_mirrored: i64,
    /// Disk it takes of its host's own; 0 if it lies elsewhere.
    pub disk: i64,
    /// What copying it costs, in MiB.
    pub cost: i64,
    /// vCPUs it takes now.
    pub vcpus: i64,
    /// Spindles.
    pub spindles: f64,
    /// How much it does; 1 where nothing was measured.
    pub load: f64,
    /// No two guests that share one of these should be on one host.
    pub tags: Vec<u32>,
    /// No two guests that share one of these should be in one domain.
    pub domain_tags: Vec<u32>,
    /// Which hosts may run it: a place in [`Spread::classes`].
    pub class: u32,
    /// Whether it may be moved at all.
    pub movable: Movable,
    /// Where it is.
    pub place: Place,
}

/// Whether a guest may be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movable {
    /// It may.
    Yes,
    /// It stays.
    No,
}

/// How a limit of memory or disk is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// A guest may take the last byte (Honcho).
    MayFill,
    /// Something must remain (Ganeti).
    MustRemain,
}

/// Sum and sum of squares, around a fixed value near the mean, so that no precision is lost in large fleets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Moments {
    pub(crate) around: f64,
    pub(crate) sum: f64,
    pub(crate) squares: f64,
}

impl Moments {
    pub(crate) fn add(&mut self, value: f64) {
        let value = value - self.around;
        self.sum += value;
        self.squares += value * value;
    }

    #[inline]
    pub(crate) fn replace(&mut self, old: f64, new: f64) {
        let (old, new) = (old - self.around, new - self.around);
        self.sum += new - old;
        self.squares += new * new - old * old;
    }

    #[inline]
    pub(crate) fn deviation(&self, count: f64) -> f64 {
        let count = count.max(1.0);
        let mean = self.sum / count;
        let variance = self.squares / count - mean * mean;
        // Less is what rounding leaves where all are equal.
        if variance < 1e-14 { 0.0 } else { variance.sqrt() }
    }
}

/// The components that are sums.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) unsafe_guests: f64,
    pub(super) on_offline: f64,
    pub(super) run_on_offline: f64,
    pub(super) crowded: f64,
    pub(super) reserved: f64,
}

impl Sums {
    #[inline]
    pub(super) fn score(&self) -> f64 {
        self.unsafe_guests * WEIGHT_UNSAFE
            + self.on_offline * WEIGHT_ON_OFFLINE
            + self.run_on_offline * WEIGHT_RUNS_ON_OFFLINE
            + self.crowded * WEIGHT_CROWDED
            + self.reserved * WEIGHT_RESERVED
    }
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

/// What one of each thing is of a host: divided once, for it is asked for often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares {
    pub(super) memory: f64,
    pub(super) disk: f64,
    pub(super) vcpus: f64,
    pub(super) spindles: f64,
    pub(super) load: f64,
}

impl Shares {
    /// Nothing of a host that is not counted.
    fn of(host: &SpreadHost) -> Self {
        if host.online != Online::Yes {
            return Shares { memory: 0.0, disk: 0.0, vcpus: 0.0, spindles: 0.0, load: 0.0 };
        }
        let one_of = |whole: f64| if whole == 0.0 { 0.0 } else { 1.0 / whole };
        Shares {
            memory: one_of(host.memory),
            disk: one_of(host.disk),
            vcpus: one_of(host.cpus),
            spindles: one_of(host.spindles_limit),
            load: host.load_of_one,
        }
    }
}

/// What the deviations are taken of.
#[inline]
pub(super) fn values(host: &SpreadHost) -> [f64; DEVIATIONS] {
    [
        share(host.memory_free, host.memory),
        share(host.memory_free_if_all_ran, host.memory),
        if host.disk == 0.0 { 1.0 } else { share(host.disk_free, host.disk) },
        share(host.vcpus, host.cpus),
        if host.spindles == 0.0 || host.spindles_limit == 0.0 {
            0.0
        } else {
            host.spindles / host.spindles_limit
        },
        share(host.reserved, host.memory),
        host.load * host.load_of_one,
        host.disk_load * host.load_of_one,
    ]
}

#[inline]
#[expect(clippy::cast_precision_loss, reason = "sizes in MiB are far below 2^52")]
fn share(part: i64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part as f64 / whole }
}

/// What a host adds to the sums.
pub(super) fn sums_of(host: &SpreadHost) -> Sums {
    let mut sums = Sums::default();
    let (primaries, secondaries) = (f64::from(host.primaries), f64::from(host.secondaries));
    match host.online {
        Online::Yes => {}
        Online::No => {
            sums.on_offline = primaries + secondaries;
            sums.run_on_offline = primaries;
            return sums;
        }
        Online::Outside => return sums,
    }
    if is_unsafe(host) {
        sums.unsafe_guests = primaries + secondaries;
    }
    sums.crowded = f64::from(host.tags.iter().map(|(_, count)| count - 1).sum::<u32>());
    sums.reserved = share(host.reserved, host.memory);
    sums
}

/// Whether the guests mirrored here could not all be started if the wrong host died.
pub(super) fn is_unsafe(host: &SpreadHost) -> bool {
    is_short(host.memory_reported, host.reserved, host.just_enough)
}

/// The same of a host with so much memory free, and so much reserved.
pub(super) fn is_short(free: i64, reserved: i64, just_enough: JustEnough) -> bool {
    free < reserved || just_enough == JustEnough::IsUnsafe && free == reserved
}

fn add_tags(counts: &mut Vec<(u32, u32)>, tags: &[u32]) {
    for tag in tags {
        match counts.iter_mut().find(|(known, _)| known == tag) {
            Some((_, count)) => *count += 1,
            None => counts.push((*tag, 1)),
        }
    }
}

fn remove_tags(counts: &mut Vec<(u32, u32)>, tags: &[u32]) {
    for tag in tags {
        if let Some(at) = counts.iter().position(|(known, _)| known == tag) {
            counts[at].1 -= 1;
            if counts[at].1 == 0 {
                counts.swap_remove(at);
            }
        }
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

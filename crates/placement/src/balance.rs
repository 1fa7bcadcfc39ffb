//! Balancing a fleet: [`spread`](crate::spread) finds the moves, and each is tried here once more against N+1.

use crate::filter::fixed;
use crate::fleet::{Draining, Fleet, Holds, NPlusOne};
use crate::spread::{self, Compare, Limits, Movable, Online, Place, Spread, SpreadGuest, SpreadHost};
use crate::survive::Watch;
use crate::tallies::{Tallies, is_open, signed};
use honcho_model::{Bytes, GuestId, HostId};
use std::collections::{BTreeMap, HashMap};

/// One move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Move {
    /// Which guest.
    pub guest: GuestId,
    /// Where it is.
    pub from: HostId,
    /// Where it goes.
    pub to: HostId,
    /// The score once it is there.
    pub score_after: f64,
    /// What is copied.
    pub cost: Bytes,
}

/// What balancing comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    /// The score as it is.
    pub score_before: f64,
    /// The score after the last move.
    pub score_after: f64,
    /// The moves, in an order each of whose steps is legal.
    pub moves: Vec<Move>,
}

/// Finds moves that spread the guests of a fleet better. Each is legal when its turn comes: its host fits, no two
/// guests of one cluster and role meet on a host or in a rack where they did not before, and no host is stranded that
/// was not.
pub fn balance(fleet: &Fleet, limits: &Limits) -> Balance {
    let (mut spread, guests) = spread_of(fleet);
    let start = spread.clone();
    let outcome = spread::balance(&mut spread, limits);
    let mut replay = start;
    let mut placed = Placed::new(fleet);
    let mut moves = Vec::new();
    for step in outcome.steps {
        let guest = &fleet.guests[guests[step.guest as usize]];
        let (from, to) = (step.from.primary as usize, step.to.primary as usize);
        // A step left out may have been what made room for this one.
        if !replay.fits(step.guest, step.to) || !placed.go(guest, from, to) {
            continue;
        }
        replay.apply(step.guest, step.to);
        moves.push(Move {
            guest: guest.id,
            from: fleet.hosts[from].id,
            to: fleet.hosts[to].id,
            score_after: replay.score(),
            cost: guest.needs.disk,
        });
    }
    // What was left out may have been what the last ones were for.
    let scores = std::iter::once(outcome.score_before).chain(moves.iter().map(|one: &Move| one.score_after));
    let (best, score_after) = spread::lowest(scores);
    moves.truncate(best);
    Balance { score_before: outcome.score_before, score_after, moves }
}

/// A fleet as far as its moves are made.
struct Placed<'a> {
    fleet: &'a Fleet,
    tallies: Tallies,
    /// What N+1 is watched by, and what fits nowhere if which host is lost; none where nobody looks.
    watch: Option<(Watch, BTreeMap<usize, i64>)>,
}

impl<'a> Placed<'a> {
    fn new(fleet: &'a Fleet) -> Self {
        let tallies = fleet.tallies.clone();
        let watch = (fleet.rules.n_plus_one != NPlusOne::Ignore).then(|| {
            let mut watch = Watch::new(&fleet.hosts, &tallies);
            let short = watch.short(&fleet.hosts, &tallies);
            // Where nobody can say, no host counts as stranded already.
            (watch, short.unwrap_or_default())
        });
        Placed { fleet, tallies, watch }
    }

    /// Moves a guest, if its disk has room and no host is stranded that was not.
    fn go(&mut self, guest: &crate::Guest, from: usize, to: usize) -> bool {
        let hosts = &self.fleet.hosts;
        let pools = &self.tallies.hosts[to].pools_free;
        let pool = (0..pools.len()).rev().max_by_key(|pool| pools[*pool]);
        let room =
            pool.is_some_and(|pool| pools[pool] >= signed(guest.needs.disk)) || guest.needs.disk.0 == 0;
        if !room {
            return false;
        }
        self.tallies.remove(hosts, from, guest);
        self.tallies.add(hosts, to, pool, &guest.needs, guest.load);
        let Some((watch, short)) = &mut self.watch else { return true };
        watch.changed(&self.tallies, from);
        watch.changed(&self.tallies, to);
        if let Some(now) = watch.short(hosts, &self.tallies)
            && now.iter().all(|(host, less)| short.get(host).is_some_and(|before| less <= before))
        {
            *short = now;
            return true;
        }
        let mut moved = guest.clone();
        if let Some(pool) = pool {
            moved.pool = hosts[to].pools[pool].id;
        }
        self.tallies.remove(hosts, to, &moved);
        let pool = hosts[from].pools.iter().position(|pool| pool.id == guest.pool);
        self.tallies.add(hosts, from, pool, &guest.needs, guest.load);
        watch.changed(&self.tallies, from);
        watch.changed(&self.tallies, to);
        false
    }
}

const MIB: i64 = 1 << 20;

/// The fleet as a [`Spread`], and the place of each of its guests in the fleet.
#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52 where precision matters")]
fn spread_of(fleet: &Fleet) -> (Spread, Vec<usize>) {
    let host = |(index, host): (usize, &crate::Host)| {
        let tally = &fleet.tallies.hosts[index];
        let disk: u64 = host.pools.iter().map(|pool| pool.size.0).sum();
        let mut spread =
            SpreadHost::new((host.memory.0 >> 20) as f64, (disk >> 20) as f64, f64::from(host.cpus));
        // A host that drains loses its guests; one that is silent keeps them, for nothing can be moved off it.
        spread.online = if is_open(host) || host.draining == Draining::No { Online::Yes } else { Online::No };
        spread.domain = host.rack.map_or(u32::MAX - u32::try_from(index).unwrap_or(0), |rack| {
            u32::try_from(rack.0).unwrap_or(u32::MAX)
        });
        spread.memory_free = tally.memory_free.div_euclid(MIB);
        spread.memory_free_if_all_ran = spread.memory_free;
        spread.memory_reported = spread.memory_free;
        spread.disk_free = tally.pools_free.iter().map(|free| free.div_euclid(MIB)).sum();
        // Ganeti adds up four loads, of which one is known here: each of the four is a quarter of it.
        spread.load_of_one = host.load.of_one / 4.0;
        let beside = host.load.seen / host.load.of_one;
        (spread.load, spread.disk_load) = (beside, beside);
        spread.vcpus_limit = fleet.rules.vcpus_per_cpu.map(|ratio| ratio * f64::from(host.cpus));
        spread
    };
    let hosts: Vec<SpreadHost> = fleet.hosts.iter().enumerate().map(host).collect();
    let mut classes = Classes { known: HashMap::new(), same: HashMap::new(), rows: Vec::new() };
    let mut roles = HashMap::new();
    let (mut guests, mut places) = (Vec::new(), Vec::new());
    for (index, guest) in fleet.guests.iter().enumerate() {
        let Some(position) = fleet.position(guest.host) else { continue };
        if guest.holds == Holds::DiskOnly {
            continue;
        }
        let tags: Vec<u32> = guest
            .needs
            .apart
            .iter()
            .map(|role| {
                let next = u32::try_from(roles.len()).unwrap_or(u32::MAX);
                *roles.entry(role.clone()).or_insert(next)
            })
            .collect();
        let up = fleet.hosts[position].status == honcho_model::host::HostStatus::Up;
        let memory = up_to_mib(guest.needs.memory);
        guests.push(SpreadGuest {
            memory,
            memory_now: memory,
            memory_mirrored: 0,
            disk: up_to_mib(guest.needs.disk),
            cost: up_to_mib(guest.needs.disk),
            vcpus: i64::from(guest.needs.vcpus),
            spindles: 0.0,
            load: guest.load,
            domain_tags: tags.clone(),
            tags,
            class: classes.of(fleet, guest),
            movable: if up && guest.needs.host.is_none() { Movable::Yes } else { Movable::No },
            place: Place { primary: u32::try_from(position).unwrap_or(u32::MAX), secondary: None },
        });
        places.push(index);
    }
    (Spread::new(hosts, guests, classes.rows, Compare::MayFill), places)
}

fn up_to_mib(bytes: Bytes) -> i64 {
    i64::try_from(bytes.0.div_ceil(1 << 20)).unwrap_or(i64::MAX / 4)
}

/// Guests with the same wants may run on the same hosts.
struct Classes {
    known: HashMap<String, u32>,
    /// Many wants come to the same hosts.
    same: HashMap<Vec<bool>, u32>,
    rows: Vec<Vec<bool>>,
}

impl Classes {
    fn of(&mut self, fleet: &Fleet, guest: &crate::Guest) -> u32 {
        let needs = &guest.needs;
        let wants = format!("{:?} {:?} {:?}", needs.capabilities, needs.networks, needs.site);
        if let Some(known) = self.known.get(&wants) {
            return *known;
        }
        let allowed = |host: &crate::Host| {
            fixed(host, needs).is_ok() && needs.site.is_none_or(|site| host.site == Some(site))
        };
        let row: Vec<bool> = fleet.hosts.iter().map(allowed).collect();
        let next = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let class = *self.same.entry(row).or_insert_with_key(|row| {
            self.rows.push(row.clone());
            next
        });
        self.known.insert(wants, class);
        class
    }
}

//! The search for better places: down the steepest way first, then exchanges that cost no further move.
//!
//! What is made small is the score plus a price for each guest that is not where it was. The price is why a guest is
//! not sent round for nothing, and why of two plans that are as good the shorter one is found. The same input gives
//! the same plan: where a sample stands for the whole, the same sample is drawn each time.

use super::order::{Step, in_legal_order};
use super::state::{Movable, Online, Spread, WEIGHTS};
use super::{GuestIndex, HostIndex, Place};

/// How far balancing may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// At most this many guests are moved.
    pub max_moves: Option<usize>,
    /// At most this much is copied, in MiB.
    pub max_cost: Option<i64>,
    /// By how much a move must lower the score to be worth its trouble; `None` is [`Limits::usual_gain`].
    pub min_gain: Option<f64>,
}

impl Limits {
    /// No limits.
    pub const NONE: Limits = Limits { max_moves: None, max_cost: None, min_gain: None };

    /// In a fleet twice as large a move changes the score half as much, and the fleet takes twice as many.
    #[expect(clippy::cast_precision_loss, reason = "no fleet has 2^52 hosts")]
    pub fn usual_gain(hosts: usize) -> f64 {
        let hosts = hosts.max(1) as f64;
        GAIN_OF_ONE_HOST / (hosts * hosts)
    }
}

/// Found by trying: at 20 hosts (0.03 a move) plans stay shorter than hbal's and end lower.
const GAIN_OF_ONE_HOST: f64 = 12.0;

/// What balancing came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The score as it was.
    pub score_before: f64,
    /// The score after the last step.
    pub score_after: f64,
    /// The moves, in an order each of whose steps is legal.
    pub steps: Vec<Step>,
}

/// Finds moves that spread the guests better, and makes them in `spread`.
pub fn balance(spread: &mut Spread, limits: &Limits) -> Outcome {
    let start = spread.clone();
    let mut search = Search::new(spread, limits);
    search.descend();
    search.polish();
    let targets: Vec<Place> = search.spread.guests.iter().map(|guest| guest.place).collect();
    let score_before = start.score();
    *spread = start;
    let steps = in_legal_order(spread, &targets);
    Outcome { score_before, score_after: spread.score(), steps }
}

/// Fleets up to this many hosts are searched host by host; larger ones by the hosts that matter most.
const SMALL_FLEET: usize = 40;
/// In larger ones, how many of the emptiest hosts are looked at for each guest.
const EMPTIEST: usize = 8;
/// No sense in going on for less.
const TINY: f64 = 1e-9;
/// Rounds of polishing; hardly anything was ever found later.
const PASSES: usize = 3;

struct Search<'a> {
    spread: &'a mut Spread,
    origins: Vec<Place>,
    price: f64,
    moves_left: usize,
    cost_left: i64,
    sample: u64,
}

impl<'a> Search<'a> {
    fn new(spread: &'a mut Spread, limits: &Limits) -> Self {
        let origins = spread.guests.iter().map(|guest| guest.place).collect();
        let price = limits.min_gain.unwrap_or_else(|| Limits::usual_gain(spread.hosts.len()));
        Search {
            spread,
            origins,
            price,
            moves_left: limits.max_moves.unwrap_or(usize::MAX),
            cost_left: limits.max_cost.unwrap_or(i64::MAX),
            sample: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// How many more guests are away from where they were, if this one went there.
    fn more_moves(&self, guest: GuestIndex, to: Place) -> i32 {
        let origin = self.origins[guest as usize];
        i32::from(to != origin) - i32::from(self.spread.guests[guest as usize].place != origin)
    }

    fn affordable(&self, more: i32, cost: i64) -> bool {
        more <= 0 || (self.moves_left >= more.unsigned_abs() as usize && self.cost_left >= cost)
    }

    fn go(&mut self, guest: GuestIndex, to: Place) {
        let more = self.more_moves(guest, to);
        let cost = self.spread.guests[guest as usize].cost;
        match more {
            1 => {
                self.moves_left -= 1;
                self.cost_left -= cost;
            }
            -1 => {
                self.moves_left = self.moves_left.saturating_add(1);
                self.cost_left = self.cost_left.saturating_add(cost);
            }
            _ => {}
        }
        self.spread.apply(guest, to);
    }

    /// The best of these places, if going there is worth more than its price.
    fn best_place(&mut self, guest: GuestIndex, hosts: &[HostIndex], score: f64) -> Option<(f64, Place)> {
        let current = self.spread.guests[guest as usize].place;
        let cost = self.spread.guests[guest as usize].cost;
        let mut best: Option<(f64, Place)> = None;
        let mut consider = |search: &mut Self, to: Place| {
            let more = search.more_moves(guest, to);
            if search.affordable(more, cost) && search.spread.fits(guest, to) {
                let after = search.spread.score_after(guest, to) + f64::from(more) * search.price;
                if after < best.map_or(score - TINY, |(known, _)| known) {
                    best = Some((after, to));
                }
            }
        };
        let origin = self.origins[guest as usize];
        if current != origin {
            consider(self, origin);
        }
        match current.secondary {
            None => {
                for host in hosts {
                    consider(self, Place { primary: *host, secondary: None });
                }
            }
            Some(secondary) => {
                consider(self, Place { primary: secondary, secondary: Some(current.primary) });
                for host in hosts {
                    for (primary, mirror) in [
                        (current.primary, *host),
                        (*host, current.primary),
                        (secondary, *host),
                        (*host, secondary),
                    ] {
                        consider(self, Place { primary, secondary: Some(mirror) });
                    }
                }
            }
        }
        best
    }

    /// The hosts from the fullest to the emptiest: by how much the score changes when a usual guest comes.
    fn by_fullness(&self) -> Vec<HostIndex> {
        let usual = self.usual_guest();
        let slopes: Vec<f64> = self
            .spread
            .moments
            .iter()
            .zip(WEIGHTS)
            .map(|(moments, weight)| weight / moments.deviation(self.spread.online).max(1e-6))
            .collect();
        let fullness = |index: HostIndex, host: &super::SpreadHost| {
            if host.online == Online::No {
                return f64::INFINITY;
            }
            let of = |part: f64, whole: f64| if whole == 0.0 { 0.0 } else { part / whole };
            let steps = [
                -of(usual[0], host.memory),
                -of(usual[0], host.memory),
                -of(usual[1], host.disk),
                of(usual[2], host.cpus),
                0.0,
                0.0,
                usual[3],
                usual[3],
            ];
            let values = &self.spread.values[index as usize];
            (0..steps.len())
                .map(|component| {
                    let moments = &self.spread.moments[component];
                    let mean = moments.around + moments.sum / self.spread.online;
                    slopes[component] * (values[component] - mean) * steps[component]
                })
                .sum()
        };
        let mut hosts: Vec<(f64, HostIndex)> =
            (0..).zip(&self.spread.hosts).map(|(index, host)| (fullness(index, host), index)).collect();
        hosts.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        hosts.into_iter().map(|(_, host)| host).collect()
    }

    /// Memory, disk, vCPUs and load of an average guest.
    #[expect(clippy::cast_precision_loss, reason = "sizes in MiB are far below 2^52")]
    fn usual_guest(&self) -> [f64; 4] {
        let mut sums = [0.0; 4];
        for guest in &self.spread.guests {
            sums[0] += guest.memory as f64;
            sums[1] += guest.disk as f64;
            sums[2] += guest.vcpus as f64;
            sums[3] += guest.load;
        }
        sums.map(|sum| sum / self.spread.guests.len().max(1) as f64)
    }

    /// From the fullest hosts to the emptiest, the best guest each time, until none is worth it.
    fn descend(&mut self) {
        loop {
            let order = self.by_fullness();
            let batch = (order.len() / 24).max(1);
            let mut moved = self.relieve(&order, batch);
            if moved == 0 {
                // Where the very fullest cannot be relieved, the others may be.
                moved = self.relieve(&order, order.len().div_ceil(2));
            }
            if moved == 0 || self.moves_left == 0 {
                return;
            }
        }
    }

    fn relieve(&mut self, order: &[HostIndex], sources: usize) -> usize {
        let mut moved = 0;
        for source in order.iter().take(sources) {
            let score = self.spread.score();
            let targets: Vec<HostIndex> =
                order.iter().rev().skip(moved % order.len()).take(EMPTIEST).copied().collect();
            let mut best: Option<(f64, GuestIndex, Place)> = None;
            for guest in self.spread.on_host[*source as usize].clone() {
                if self.spread.guests[guest as usize].movable == Movable::No {
                    continue;
                }
                if let Some((after, to)) = self.best_place(guest, &targets, score)
                    && best.is_none_or(|(known, ..)| after < known)
                {
                    best = Some((after, guest, to));
                }
            }
            if let Some((_, guest, to)) = best {
                self.go(guest, to);
                moved += 1;
            }
        }
        moved
    }

    /// Better places one by one, and exchanges, until a round brings little.
    fn polish(&mut self) {
        let mut before = f64::INFINITY;
        for _ in 0..PASSES {
            self.replace_each();
            self.exchange();
            let after = self.spread.score();
            if before - after < self.price {
                return;
            }
            before = after;
        }
    }

    fn replace_each(&mut self) {
        let guests = u32::try_from(self.spread.guests.len()).unwrap_or(u32::MAX);
        let refresh = (self.spread.hosts.len() / 64).max(4);
        let mut order = self.by_fullness();
        let mut went = 0;
        for guest in 0..guests {
            if self.spread.guests[guest as usize].movable == Movable::No {
                continue;
            }
            let looked_at = if order.len() <= SMALL_FLEET { order.len() } else { EMPTIEST };
            let targets: Vec<HostIndex> = order.iter().rev().take(looked_at).copied().collect();
            let score = self.spread.score();
            if let Some((_, to)) = self.best_place(guest, &targets, score) {
                self.go(guest, to);
                went += 1;
                if went % refresh == 0 {
                    order = self.by_fullness();
                }
            }
        }
    }

    /// Two guests change places. In a small fleet every pair is looked at, else each guest and a sample of others.
    fn exchange(&mut self) {
        let unmirrored: Vec<GuestIndex> = (0..)
            .zip(&self.spread.guests)
            .filter(|(_, guest)| guest.movable == Movable::Yes && guest.place.secondary.is_none())
            .map(|(index, _)| index)
            .collect();
        let mut score = self.spread.score();
        if self.spread.hosts.len() <= SMALL_FLEET {
            for (position, one) in unmirrored.iter().enumerate() {
                for other in &unmirrored[position + 1..] {
                    self.exchange_pair(*one, *other, &mut score);
                }
            }
            return;
        }
        for one in &unmirrored {
            for _ in 0..SAMPLED {
                let other = unmirrored[self.draw(unmirrored.len())];
                self.exchange_pair(*one, other, &mut score);
            }
        }
    }

    fn exchange_pair(&mut self, one: GuestIndex, other: GuestIndex, score: &mut f64) {
        let (at_one, at_other) =
            (self.spread.guests[one as usize].place, self.spread.guests[other as usize].place);
        if at_one == at_other {
            return;
        }
        let (more_one, more_other) = (self.more_moves(one, at_other), self.more_moves(other, at_one));
        let more = more_one + more_other;
        // Two that stay so far are better moved one by one.
        if more > 1 {
            return;
        }
        let price = f64::from(more) * self.price;
        if self.spread.score_swapped(one, other) + price >= *score - TINY {
            return;
        }
        let cost = |guest: GuestIndex, more: i32| self.spread.guests[guest as usize].cost * i64::from(more);
        let cost = cost(one, more_one) + cost(other, more_other);
        let affordable = (more <= 0 || self.moves_left >= more.unsigned_abs() as usize)
            && (cost <= 0 || self.cost_left >= cost);
        if affordable && self.spread.swap_fits(one, other) {
            // The one that comes back first makes room in both tallies.
            let (first, second) = if more_one <= more_other { (one, other) } else { (other, one) };
            let (to_first, to_second) = if first == one { (at_other, at_one) } else { (at_one, at_other) };
            self.go(first, to_first);
            self.go(second, to_second);
            *score = self.spread.score();
        }
    }

    /// A number below `limit`: xorshift, the same sequence each time.
    fn draw(&mut self, limit: usize) -> usize {
        self.sample ^= self.sample << 13;
        self.sample ^= self.sample >> 7;
        self.sample ^= self.sample << 17;
        usize::try_from(self.sample >> 33).unwrap_or(0) % limit.max(1)
    }
}

/// How many partners each guest is tried with in a large fleet.
const SAMPLED: usize = 12;

//! The search for better places: down the steepest way first, then exchanges that cost no further move.
//!
//! What is made small is the score plus a price for each guest that is not where it was. The price is why a guest is
//! not sent round for nothing, and why of two plans that are as good the shorter one is found. The same input gives
//! the same plan: where a sample stands for the whole, the same sample is drawn each time.

use super::members::{JustEnough, Movable, Online};
use super::order::{Step, in_legal_order, step};
use super::score::WEIGHTS;
use super::state::Spread;
use super::{GuestIndex, HostIndex, Place, SpreadGuest};

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
    let (mut outcome, mut end) = attempt(&start, start.clone(), limits);
    if start.hosts.len() <= SMALL_FLEET && start.hosts_without_n_plus_one() > 0 {
        // Where N+1 is broken, what counts as mended leads a descent elsewhere, and hbal is stricter about it while it moves.
        let mut stricter = start.clone();
        stricter.just_enough_once_moved = JustEnough::IsUnsafe;
        let (other, other_end) = attempt(&start, stricter, limits);
        if other.is_better_than(&outcome) {
            (outcome, end) = (other, other_end);
        }
    }
    *spread = end;
    outcome
}

impl Outcome {
    fn is_better_than(&self, other: &Outcome) -> bool {
        self.score_after < other.score_after - TINY
            || self.score_after < other.score_after + TINY && self.steps.len() < other.steps.len()
    }
}

/// Searches from `searched`, which is `start` but for how it judges, and carries out in `start` what was found.
fn attempt(start: &Spread, mut searched: Spread, limits: &Limits) -> (Outcome, Spread) {
    let mut search = Search::new(&mut searched, limits);
    let descent = if search.spread.hosts.len() <= SMALL_FLEET {
        Some(search.search_small())
    } else {
        search.descend();
        search.polish();
        None
    };
    let targets: Vec<Place> = searched.guests.iter().map(|guest| guest.place).collect();
    let mut end = start.clone();
    let outcome = carry_out(&mut end, start.clone(), &targets);
    match descent {
        // What was found later cannot be reached by legal steps; the descent was made of such.
        Some(descent) if outcome.score_after > descent.score + TINY => {
            let (walked, walked_end) = walk(start, descent.path, limits);
            if walked.is_better_than(&outcome) { (walked, walked_end) } else { (outcome, end) }
        }
        _ => (outcome, end),
    }
}

/// Makes these moves one after the other, as far as they are legal and for as long as the score falls in the end.
fn walk(start: &Spread, path: Vec<(GuestIndex, Place)>, limits: &Limits) -> (Outcome, Spread) {
    let mut spread = start.clone();
    let mut steps = Vec::new();
    let mut cost_left = limits.max_cost.unwrap_or(i64::MAX);
    for (guest, to) in path.into_iter().take(limits.max_moves.unwrap_or(usize::MAX)) {
        // Whoever moved twice is copied twice.
        cost_left = cost_left.saturating_sub(spread.guests[guest as usize].cost);
        if cost_left < 0 || !spread.fits(guest, to) {
            break;
        }
        steps.push(step(&mut spread, guest, to));
    }
    let outcome = cut(&mut spread, start.clone(), steps);
    (outcome, spread)
}

fn carry_out(spread: &mut Spread, start: Spread, targets: &[Place]) -> Outcome {
    spread.clone_from(&start);
    let steps = in_legal_order(spread, targets);
    cut(spread, start, steps)
}

/// Takes back what follows the lowest score: where a step could never be made legally, the last ones may have been made for
/// nothing.
fn cut(spread: &mut Spread, start: Spread, mut steps: Vec<Step>) -> Outcome {
    let score_before = start.score();
    let scores = std::iter::once(score_before).chain(steps.iter().map(|step| step.score_after));
    let (best, score_after) = lowest(scores);
    if best < steps.len() {
        steps.truncate(best);
        *spread = start;
        for step in &steps {
            spread.apply(step.guest, step.to);
        }
    }
    Outcome { score_before, score_after, steps }
}

/// The first of the lowest scores, and its place.
pub(crate) fn lowest(scores: impl Iterator<Item = f64>) -> (usize, f64) {
    scores.enumerate().min_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or((0, 0.0))
}

/// Fleets up to this many hosts are searched host by host; larger ones by the hosts that matter most.
const SMALL_FLEET: usize = 40;
/// In larger ones, how many of the emptiest hosts that could take a guest are tried for it, and among how many they
/// are looked for.
const EMPTIEST: usize = 8;
const LOOKED_AT: usize = 64;
/// Beside these, how many of all hosts.
const ANYWHERE: usize = 8;
/// Up to this many guests every pair is tried in each other's place; of more, each with so many others, in so many
/// parts: what an exchange makes room for is used before the next ones are sought.
const FEW_GUESTS: usize = 600;
const PARTNERS: usize = 12;
const PARTS: usize = 16;
/// No sense in going on for less.
pub(super) const TINY: f64 = 1e-9;
/// Rounds of polishing, and what part of the score a round must bring for there to be another one.
const ROUNDS: usize = 4;
const WORTH_A_ROUND: f64 = 0.02;

pub(super) struct Search<'a> {
    pub(super) spread: &'a mut Spread,
    pub(super) origins: Vec<Place>,
    pub(super) price: f64,
    /// What the caller wants a move to gain, if anything.
    pub(super) wanted_gain: Option<f64>,
    pub(super) moves_left: usize,
    /// Every move made so far, in order.
    pub(super) path: Vec<(GuestIndex, Place)>,
    cost_left: i64,
    /// Memory, disk, vCPUs and load of an average guest.
    usual: [f64; 4],
    sample: u64,
}

impl<'a> Search<'a> {
    fn new(spread: &'a mut Spread, limits: &Limits) -> Self {
        let origins = spread.guests.iter().map(|guest| guest.place).collect();
        let price = limits.min_gain.unwrap_or_else(|| Limits::usual_gain(spread.hosts.len()));
        let usual = usual_guest(&spread.guests);
        Search {
            spread,
            origins,
            price,
            wanted_gain: limits.min_gain,
            path: Vec::new(),
            moves_left: limits.max_moves.unwrap_or(usize::MAX),
            cost_left: limits.max_cost.unwrap_or(i64::MAX),
            usual,
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

    pub(super) fn go(&mut self, guest: GuestIndex, to: Place) {
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
        self.path.push((guest, to));
    }

    /// The best of these places, if going there is worth more than its price.
    pub(super) fn best_place(
        &mut self,
        guest: GuestIndex,
        hosts: &[HostIndex],
        score: f64,
    ) -> Option<(f64, Place)> {
        let current = self.spread.guests[guest as usize].place;
        let cost = self.spread.guests[guest as usize].cost;
        let mut best: Option<(f64, Place)> = None;
        let mut consider = |search: &mut Self, to: Place| {
            let more = search.more_moves(guest, to);
            let paid = f64::from(more) * search.price;
            // Of what is as good the first counts, whatever rounding makes of it.
            let to_beat = best.map_or(score, |(known, _)| known) - TINY;
            if search.affordable(more, cost)
                && search.spread.score_at_least(guest, to) + paid < to_beat
                && search.spread.fits(guest, to)
            {
                let after = search.spread.score_after(guest, to) + paid;
                if after < to_beat {
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
                        (*host, secondary),
                        (secondary, *host),
                    ] {
                        consider(self, Place { primary, secondary: Some(mirror) });
                    }
                }
            }
        }
        best
    }

    /// The hosts from the fullest to the emptiest: by how much the score changes when a usual guest comes.
    pub(super) fn by_fullness(&self) -> Vec<HostIndex> {
        let usual = self.usual;
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
                usual[3] * host.load_of_one,
                usual[3] * host.load_of_one,
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

    /// From the fullest hosts to the emptiest, the best guest each time, until none is worth it.
    fn descend(&mut self) {
        loop {
            self.descend_from_the_fullest();
            // Where the very fullest cannot be relieved, the others may be.
            let order = self.by_fullness();
            if self.moves_left == 0 || self.relieve(&order, order.len().div_ceil(2)) == 0 {
                return;
            }
        }
    }

    fn descend_from_the_fullest(&mut self) {
        loop {
            let order = self.by_fullness();
            if self.moves_left == 0 || self.relieve(&order, (order.len() / 24).max(1)) == 0 {
                return;
            }
        }
    }

    /// Takes the best guest off each of the first hosts. Says how many went.
    fn relieve(&mut self, order: &[HostIndex], sources: usize) -> usize {
        let mut moved = 0;
        let open = self.open(order);
        let mut targets = Vec::with_capacity(EMPTIEST);
        for source in order.iter().take(sources) {
            let score = self.spread.score();
            let mut best: Option<(f64, GuestIndex, Place)> = None;
            for position in 0..self.spread.on_host[*source as usize].len() {
                let guest = self.spread.on_host[*source as usize][position];
                if self.spread.guests[guest as usize].movable == Movable::No {
                    continue;
                }
                self.emptiest(&open, guest, moved, &mut targets);
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

    /// Hosts that could take a usual guest, the emptiest first; all that are online, where none could.
    #[expect(clippy::cast_precision_loss, reason = "sizes in MiB are far below 2^52")]
    pub(super) fn open(&self, order: &[HostIndex]) -> Vec<HostIndex> {
        let [memory, disk, vcpus, _] = self.usual;
        let online = |index: &HostIndex| self.spread.hosts[*index as usize].online == Online::Yes;
        let takes = |index: &HostIndex| {
            let host = &self.spread.hosts[*index as usize];
            host.memory_free.min(host.memory_free_if_all_ran) as f64 > memory
                && (disk == 0.0 || host.disk_free as f64 > disk)
                && host.vcpus_limit.is_none_or(|limit| host.vcpus as f64 + vcpus <= limit)
        };
        let emptiest_first = || order.iter().rev().copied().filter(online);
        if order.len() <= SMALL_FLEET {
            return emptiest_first().collect();
        }
        let open: Vec<HostIndex> = emptiest_first().filter(takes).collect();
        if open.is_empty() { emptiest_first().collect() } else { open }
    }

    /// The emptiest hosts that could take a guest, after some that others are sent to.
    fn emptiest(&self, open: &[HostIndex], guest: GuestIndex, skipped: usize, found: &mut Vec<HostIndex>) {
        found.clear();
        let mirrored = self.spread.guests[guest as usize].place.secondary.is_some();
        let takes =
            |host: &HostIndex| mirrored || self.spread.fits(guest, Place { primary: *host, secondary: None });
        let looked_at = open.iter().skip(skipped % open.len().max(1)).take(LOOKED_AT).copied();
        found.extend(looked_at.filter(takes).take(EMPTIEST));
    }

    /// Better places one by one, and exchanges, until a round brings little.
    pub(super) fn polish(&mut self) {
        let mut before = f64::INFINITY;
        for _ in 0..ROUNDS {
            self.replace_each();
            self.exchange();
            let after = self.spread.score();
            if before - after < self.price.max(after * WORTH_A_ROUND) {
                return;
            }
            before = after;
        }
    }

    fn replace_each(&mut self) {
        let guests = u32::try_from(self.spread.guests.len()).unwrap_or(u32::MAX);
        let refresh = (self.spread.hosts.len() / 64).max(4);
        let mut open = self.open(&self.by_fullness());
        let mut targets = Vec::new();
        let mut went = 0;
        for guest in 0..guests {
            let no_move_left = self.moves_left == 0 && !self.is_away(guest);
            if no_move_left || self.spread.guests[guest as usize].movable == Movable::No {
                continue;
            }
            if self.spread.hosts.len() <= SMALL_FLEET {
                targets.clone_from(&open);
            } else {
                self.emptiest(&open, guest, 0, &mut targets);
                for _ in 0..ANYWHERE {
                    let host = self.draw(self.spread.hosts.len());
                    targets.push(HostIndex::try_from(host).unwrap_or(0));
                }
            }
            let score = self.spread.score();
            if let Some((_, to)) = self.best_place(guest, &targets, score) {
                self.go(guest, to);
                went += 1;
                if went % refresh == 0 {
                    open = self.open(&self.by_fullness());
                }
            }
        }
    }

    /// Two guests change places. Of few every pair is tried, else each guest with a sample of others.
    fn exchange(&mut self) {
        let unmirrored: Vec<GuestIndex> = (0..)
            .zip(&self.spread.guests)
            .filter(|(_, guest)| guest.movable == Movable::Yes && guest.place.secondary.is_none())
            .map(|(index, _)| index)
            .collect();
        if unmirrored.len() <= FEW_GUESTS {
            return self.exchange_few(&unmirrored);
        }
        let mut score = self.spread.score();
        for part in unmirrored.chunks(unmirrored.len().div_ceil(PARTS)) {
            for one in part {
                for _ in 0..PARTNERS {
                    let other = unmirrored[self.draw(unmirrored.len())];
                    self.exchange_pair(*one, other, &mut score);
                }
            }
            self.descend_from_the_fullest();
            score = self.spread.score();
        }
    }

    /// Every pair is tried of which one is away already. Where no further guest may go, that is two which are away, or
    /// one with those that are where it was.
    fn exchange_few(&mut self, unmirrored: &[GuestIndex]) {
        let mut score = self.spread.score();
        let (away, staying): (Vec<GuestIndex>, Vec<GuestIndex>) =
            unmirrored.iter().partition(|guest| self.is_away(**guest));
        for (position, one) in away.iter().enumerate() {
            for other in &away[position + 1..] {
                self.exchange_pair(*one, *other, &mut score);
            }
            for other in &staying {
                let was = self.origins[*one as usize];
                if self.moves_left > 0 || self.spread.guests[*other as usize].place == was {
                    self.exchange_pair(*one, *other, &mut score);
                }
            }
        }
    }

    fn is_away(&self, guest: GuestIndex) -> bool {
        self.spread.guests[guest as usize].place != self.origins[guest as usize]
    }

    fn exchange_pair(&mut self, one: GuestIndex, other: GuestIndex, score: &mut f64) {
        let (at_one, at_other) =
            (self.spread.guests[one as usize].place, self.spread.guests[other as usize].place);
        if at_one == at_other {
            return;
        }
        let (more_one, more_other) = (self.more_moves(one, at_other), self.more_moves(other, at_one));
        let more = more_one + more_other;
        // In a small fleet two that stay so far are better moved one by one. In a large one full hosts get room so.
        if more > 1 && self.spread.hosts.len() <= SMALL_FLEET {
            return;
        }
        let price = f64::from(more) * self.price;
        if self.spread.score_swapped_at_least(one, other) + price >= *score - TINY
            || self.spread.score_swapped(one, other) + price >= *score - TINY
        {
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

/// Memory, disk, vCPUs and load of an average guest.
#[expect(clippy::cast_precision_loss, reason = "sizes in MiB are far below 2^52")]
fn usual_guest(guests: &[SpreadGuest]) -> [f64; 4] {
    let mut sums = [0.0; 4];
    for guest in guests {
        sums[0] += guest.memory as f64;
        sums[1] += guest.disk as f64;
        sums[2] += guest.vcpus as f64;
        sums[3] += guest.load;
    }
    sums.map(|sum| sum / guests.len().max(1) as f64)
}

//! Small fleets: of all moves the best each time, as hbal makes them, then the same number of moves put to better use.
//!
//! hbal goes on for as long as any move gains anything. So many moves are taken here as well, and no more: guests change
//! places with others where that costs no further move, and the few moves that bring least are taken back, as long as
//! the score stays well below where the descent ended. So it ends lower than hbal, and not later.

use super::members::{Movable, Online};
use super::search::{Search, TINY};
use super::{GuestIndex, HostIndex, Place};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A move that gains less is not made: hbal's `--min-gain`, which holds once the score is below `--min-gain-limit`.
const MIN_GAIN: f64 = 0.01;
const MIN_GAIN_LIMIT: f64 = 0.1;
/// Above that limit hbal makes any move that gains something, for it may open the way to a better one.
const NOTICEABLE: f64 = 1e-6;
/// Up to so many guests times hosts every guest is asked for each move; more of mirrored ones, whose gains also grow
/// while others move.
const ASK_ALL: usize = 1000;
const ASK_ALL_MIRRORED: usize = 10_000;
/// One move in so many is taken back, if it brings little.
const TAKEN_BACK: usize = 32;
/// What part of the gain over the descent may be spent on that.
const SPENT: f64 = 0.5;

/// Where the descent ended.
#[derive(Clone, Debug)]
pub(super) struct Descent {
    pub(super) score: f64,
    /// The moves, each legal when its turn came.
    pub(super) path: Vec<(GuestIndex, Place)>,
}

struct Waiting {
    gain: f64,
    guest: GuestIndex,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    /// The greatest gains most.
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain.total_cmp(&other.gain).then(other.guest.cmp(&self.guest))
    }
}

impl Search<'_> {
    /// Descends, and puts the moves that it took to better use. Says where the descent ended.
    pub(super) fn search_small(&mut self) -> Descent {
        let moves_allowed = self.moves_left;
        let price = std::mem::replace(&mut self.price, 0.0);
        self.descend_steepest(price);
        self.price = price;
        let descent = Descent { score: self.spread.score(), path: self.path.clone() };
        let moves = moves_allowed - self.moves_left;
        self.moves_left = 0;
        self.polish();
        if moves < moves_allowed {
            self.take_back(moves.div_ceil(TAKEN_BACK), descent.score);
            self.moves_left = 0;
            self.polish();
        }
        descent
    }

    /// The best of all moves, until none is worth it. Gains only shrink while others move, as a rule: so the guest that
    /// promised most is asked again, and goes if it still does; what the rule left out the next round finds.
    fn descend_steepest(&mut self, price: f64) {
        let hosts: Vec<HostIndex> = (0..)
            .zip(&self.spread.hosts)
            .filter(|(_, host)| host.online == Online::Yes)
            .map(|(index, _)| index)
            .collect();
        let work = hosts.len() * self.spread.guests.len();
        let mirrored = self.spread.guests.iter().any(|guest| guest.place.secondary.is_some());
        if work <= if mirrored { ASK_ALL_MIRRORED } else { ASK_ALL } {
            while self.moves_left > 0 && self.move_best(&hosts, price) {}
        } else {
            // The emptiest first: where the best comes early, the others are dismissed at once.
            while self.moves_left > 0 && self.descend_lazily(&self.open(&self.by_fullness()), price) {}
        }
    }

    /// Asks every guest.
    fn move_best(&mut self, hosts: &[HostIndex], price: f64) -> bool {
        let mut best: Option<(f64, GuestIndex, Place)> = None;
        for guest in self.movable() {
            if let Some((gain, to)) = self.gain(guest, hosts)
                && best.is_none_or(|(known, ..)| gain > known + TINY)
            {
                best = Some((gain, guest, to));
            }
        }
        match best {
            Some((gain, guest, to)) if self.is_worth(gain, price) => {
                self.go(guest, to);
                true
            }
            _ => false,
        }
    }

    /// Asks those again that promised most.
    fn descend_lazily(&mut self, hosts: &[HostIndex], price: f64) -> bool {
        let mut waiting = BinaryHeap::new();
        for guest in self.movable() {
            if let Some((gain, _)) = self.gain(guest, hosts) {
                waiting.push(Waiting { gain, guest });
            }
        }
        let mut went = false;
        while let Some(Waiting { guest, .. }) = waiting.pop() {
            let Some((gain, to)) = self.gain(guest, hosts) else { continue };
            if waiting.peek().is_some_and(|next| next.gain > gain + TINY) {
                waiting.push(Waiting { gain, guest });
                continue;
            }
            if !self.is_worth(gain, price) {
                return went;
            }
            self.go(guest, to);
            went = true;
        }
        went
    }

    fn gain(&mut self, guest: GuestIndex, hosts: &[HostIndex]) -> Option<(f64, Place)> {
        let score = self.spread.score();
        self.best_place(guest, hosts, score).map(|(after, to)| (score - after, to))
    }

    fn is_worth(&self, gain: f64, price: f64) -> bool {
        match self.wanted_gain {
            Some(_) => gain >= price,
            None if self.spread.score() > MIN_GAIN_LIMIT => gain >= NOTICEABLE,
            None => gain >= MIN_GAIN,
        }
    }

    fn movable(&self) -> Vec<GuestIndex> {
        (0..)
            .zip(&self.spread.guests)
            .filter(|(_, guest)| guest.movable == Movable::Yes)
            .map(|(index, _)| index)
            .collect()
    }

    /// Sends back those that brought least.
    fn take_back(&mut self, most: usize, descended_to: f64) {
        let score = self.spread.score();
        let bearable = score + (descended_to - score) * SPENT;
        for _ in 0..most {
            let mut best: Option<(f64, GuestIndex)> = None;
            for guest in self.movable() {
                let origin = self.origins[guest as usize];
                if self.spread.guests[guest as usize].place != origin && self.spread.fits(guest, origin) {
                    let after = self.spread.score_after(guest, origin);
                    if after < best.map_or(bearable, |(known, _)| known) {
                        best = Some((after, guest));
                    }
                }
            }
            let Some((_, guest)) = best else { return };
            self.go(guest, self.origins[guest as usize]);
        }
    }
}

//! An order for moves in which each step is legal when its turn comes, and the best ones come first: whoever stops
//! half-way has most of the good.

use super::{GuestIndex, Place, Spread};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// One move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Which guest.
    pub guest: GuestIndex,
    /// Where it was.
    pub from: Place,
    /// Where it goes.
    pub to: Place,
    /// The score once it is there.
    pub score_after: f64,
    /// What is copied, in MiB.
    pub cost: i64,
}

/// Makes a move.
pub(super) fn step(spread: &mut Spread, guest: GuestIndex, to: Place) -> Step {
    let moved = &spread.guests[guest as usize];
    let (from, cost) = (moved.place, moved.cost);
    spread.apply(guest, to);
    Step { guest, from, to, score_after: spread.score(), cost }
}

struct Waiting {
    score: f64,
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
    /// The greatest is the one that leads to the lowest score.
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(other.guest.cmp(&self.guest))
    }
}

/// Makes the moves that lead to `targets` in `spread`. Gains only shrink while others move, as a rule: so the one that
/// promised most is asked again, and goes if it still does. What can never go legally (two guests that each wait for
/// the other's room) stays where it is.
pub(super) fn in_legal_order(spread: &mut Spread, targets: &[Place]) -> Vec<Step> {
    let moving = (0..).zip(targets).filter(|(guest, to)| spread.guests[*guest as usize].place != **to);
    let mut blocked: Vec<GuestIndex> = moving.map(|(guest, _)| guest).collect();
    let mut steps = Vec::with_capacity(blocked.len());
    loop {
        let before = steps.len();
        // Scores of different rounds do not compare; what a move gains does.
        let score = spread.score();
        let mut waiting: BinaryHeap<Waiting> = std::mem::take(&mut blocked)
            .into_iter()
            .map(|guest| Waiting { score: spread.score_after(guest, targets[guest as usize]) - score, guest })
            .collect();
        while let Some(Waiting { guest, .. }) = waiting.pop() {
            let to = targets[guest as usize];
            if !spread.fits(guest, to) {
                blocked.push(guest);
                continue;
            }
            let now = spread.score_after(guest, to) - spread.score();
            if waiting.peek().is_some_and(|next| now > next.score + 1e-12) {
                waiting.push(Waiting { score: now, guest });
                continue;
            }
            steps.push(step(spread, guest, to));
        }
        if blocked.is_empty() || steps.len() == before {
            return steps;
        }
    }
}

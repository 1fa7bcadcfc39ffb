//! How many connections there may be, and who gives way when there are too many.
//!
//! ```text
//!   accepted --> waits (a handshake, the head of a request, the next request) <--> works (a request is answered)
//!                  |
//!                  '-- too many wait: the one that has waited longest is closed. Whoever means it waits for moments;
//!                      half-open connections wait for ever, so it is they who go
//! ```
//!
//! Nothing that is being answered is ever closed for another: when all that is open is at work, new ones are refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// How many connections a listener holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// In all.
    pub(crate) open: usize,
    /// Of these, how many may wait.
    pub(crate) waiting: usize,
}

#[derive(Default)]
struct Inner {
    /// Rises with everyone who begins to wait, so that the first is who has waited longest.
    next: u64,
    waiting: BTreeMap<u64, CancellationToken>,
    working: usize,
}

/// Everyone who is connected to a listener.
pub(crate) struct Lobby {
    limits: Limits,
    inner: Mutex<Inner>,
}

/// One connection's place; dropping it gives it up.
pub(crate) struct Seat {
    lobby: Arc<Lobby>,
    state: Mutex<State>,
    /// Cancelled when this one has to give way.
    pub(crate) gives_way: CancellationToken,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting(u64),
    Working,
    GaveWay,
}

impl Lobby {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Lobby { limits, inner: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection, which waits; `None` when all that is open is at work.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Seat> {
        let mut inner = self.lock();
        if inner.waiting.len() + inner.working >= self.limits.open && !inner.one_gives_way() {
            return None;
        }
        let gives_way = CancellationToken::new();
        let number = inner.begin_to_wait(gives_way.clone(), self.limits.waiting);
        drop(inner);
        Some(Seat { lobby: self.clone(), state: Mutex::new(State::Waiting(number)), gives_way })
    }
}

impl Inner {
    fn one_gives_way(&mut self) -> bool {
        let Some((_, longest)) = self.waiting.pop_first() else { return false };
        longest.cancel();
        true
    }

    fn begin_to_wait(&mut self, gives_way: CancellationToken, most: usize) -> u64 {
        while self.waiting.len() >= most.max(1) && self.one_gives_way() {}
        self.next += 1;
        self.waiting.insert(self.next, gives_way);
        self.next
    }
}

impl Seat {
    fn change(&self, change: impl FnOnce(&mut Inner, State) -> State) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = change(&mut self.lobby.lock(), *state);
    }

    /// A request has come: until [`Seat::waits`], this one gives way to nobody.
    pub(crate) fn works(&self) {
        self.change(|inner, state| match state {
            State::Waiting(number) if inner.waiting.remove(&number).is_some() => {
                inner.working += 1;
                State::Working
            }
            State::Waiting(_) | State::GaveWay => State::GaveWay,
            State::Working => State::Working,
        });
    }

    /// It has been answered.
    pub(crate) fn waits(&self) {
        self.change(|inner, state| {
            if state != State::Working {
                return state;
            }
            inner.working -= 1;
            State::Waiting(inner.begin_to_wait(self.gives_way.clone(), self.lobby.limits.waiting))
        });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.change(|inner, state| {
            match state {
                State::Waiting(number) => drop(inner.waiting.remove(&number)),
                State::Working => inner.working -= 1,
                State::GaveWay => {}
            }
            State::GaveWay
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(lobby: &Lobby) -> (usize, usize) {
        let inner = lobby.lock();
        (inner.waiting.len(), inner.working)
    }

    #[test]
    fn who_has_waited_longest_gives_way() {
        let lobby = Lobby::new(Limits { open: 10, waiting: 2 });
        let first = lobby.admit().unwrap();
        let second = lobby.admit().unwrap();
        // Whoever was answered meanwhile has waited less long.
        first.works();
        first.waits();
        let third = lobby.admit().unwrap();
        assert!(second.gives_way.is_cancelled());
        assert!(!first.gives_way.is_cancelled() && !third.gives_way.is_cancelled());
        assert_eq!(counted(&lobby), (2, 0));
    }

    #[test]
    fn who_is_answered_gives_way_to_nobody() {
        let lobby = Lobby::new(Limits { open: 2, waiting: 2 });
        let working = [lobby.admit().unwrap(), lobby.admit().unwrap()];
        working.iter().for_each(Seat::works);
        assert!(lobby.admit().is_none());
        drop(working);
        assert_eq!(counted(&lobby), (0, 0));
        assert!(lobby.admit().is_some());
    }

    proptest! {
        /// Whatever they do, no bound is passed, and when all have gone nobody is counted.
        #[test]
        fn nobody_is_counted_twice_or_forgotten(acts in proptest::collection::vec((0..4_u8, 0..8_usize), 0..200)) {
            let lobby = Lobby::new(Limits { open: 6, waiting: 3 });
            let mut seats: Vec<Seat> = Vec::new();
            for (act, which) in acts {
                match act {
                    0 => seats.extend(lobby.admit()),
                    1 => if let Some(seat) = seats.get(which) { seat.works() },
                    2 => if let Some(seat) = seats.get(which) { seat.waits() },
                    _ => if which < seats.len() { drop(seats.swap_remove(which)) },
                }
                let (waiting, working) = counted(&lobby);
                prop_assert!(waiting <= 3 && waiting + working <= 6);
                let open = seats.iter().filter(|seat| !seat.gives_way.is_cancelled()).count();
                prop_assert_eq!(open, waiting + working);
            }
            drop(seats);
            prop_assert_eq!(counted(&lobby), (0, 0));
        }
    }
}

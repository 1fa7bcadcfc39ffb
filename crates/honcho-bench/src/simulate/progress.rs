//! Tells whoever waits how far it is: a line every few seconds, on standard error.

use crate::figures::note;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The least time between two lines about the same thing.
const GAP: Duration = Duration::from_secs(5);

/// Who tells.
pub(crate) struct Progress {
    begun: Instant,
    state: Mutex<State>,
}

struct State {
    phase: String,
    phase_begun: Instant,
    told: Instant,
}

impl Progress {
    /// Nothing was told yet.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let state = State { phase: String::new(), phase_begun: now, told: now };
        Progress { begun: now, state: Mutex::new(state) }
    }

    /// Says that something begins, or what came of it.
    pub(crate) fn say(&self, text: &str) {
        note(&format!("[{:>6.1} s] {text}", self.begun.elapsed().as_secs_f64()));
    }

    /// Says how far something is, if it was not said just now: `done` of `total`.
    pub(crate) fn tell(&self, phase: &str, done: usize, total: Option<usize>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.phase != phase {
            let now = Instant::now();
            *state = State { phase: phase.to_owned(), phase_begun: now, told: now };
            return;
        }
        if state.told.elapsed() < GAP {
            return;
        }
        state.told = Instant::now();
        let took = state.phase_begun.elapsed().as_secs_f64();
        drop(state);
        let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^52 here")]
        let rate = done as f64 / took;
        self.say(&format!("{phase}: {done}{of} ({rate:.0}/s)"));
    }
}

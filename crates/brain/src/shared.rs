//! One computation for all who look.
//!
//! What costs as much as the house is large (counting all guests, what needs attention, what fits still) is not made anew for each
//! page and each viewer: whoever asks first makes it, whoever asks meanwhile waits for that, and for a stated time everybody is
//! given the same. A page may thus be that much behind what was written, and no more; what is live asks for what is newer than a
//! change that it was told of.

use crate::placing::{Lost, Size};
use honcho_model::{HostId, Timestamp};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// So many different things are kept; when there are more, all are forgotten.
const MOST: usize = 256;

/// So many of those that are as large as the fleet.
const MOST_FLEETS: usize = 8;

/// What pages share.
pub(crate) struct Looks {
    /// The live part of the overview, which every operator sees alike.
    pub(crate) overview: Shared<(), String>,
    /// How many guests have which status, by who sees them.
    pub(crate) guests_counted: Shared<String, Arc<[(String, i64)]>>,
    /// How many guests there are of each image, by who sees them.
    pub(crate) guests_by_image: Shared<String, Arc<HashMap<i64, i64>>>,
    /// What the loss of a host would mean.
    pub(crate) losses: Shared<HostId, Arc<Lost>>,
    /// What fits still, by size and by the host that is thought lost.
    pub(crate) capacities: Shared<Wanted, Arc<[honcho_api::Capacity]>>,
    /// What guests have of what suites of the archive serve.
    pub(crate) installed: crate::installed::Counts,
}

/// Sizes, and which host is thought lost.
type Wanted = (Vec<Size>, Option<HostId>);

/// So far behind what was written may counts be that pages show.
pub(crate) const COUNTS: Duration = age(Duration::from_secs(1));

/// So far behind may be what fits still.
pub(crate) const CAPACITIES: Duration = age(Duration::from_secs(5));

/// A page waits so long for what was never counted, and is there without it then.
pub(crate) const WAIT: Duration = Duration::from_millis(if cfg!(test) { 10_000 } else { 50 });

/// Time stands still in tests, which want to see what they did.
pub(crate) const fn age(age: Duration) -> Duration {
    if cfg!(test) { Duration::ZERO } else { age }
}

/// From when on something must be that is to be no older than `age` now.
pub(crate) fn since(now: Timestamp, age: Duration) -> Timestamp {
    let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    // What is to be no older than now is made now.
    Timestamp(if age.is_zero() { i64::MAX } else { now.0.saturating_sub(micros) })
}

/// Values by what was asked.
pub(crate) struct Shared<K, V> {
    most: usize,
    cells: Mutex<HashMap<K, Arc<Cell<V>>>>,
}

/// What is kept of one thing.
struct Cell<V> {
    /// Made by one, while the others wait for it.
    turn: tokio::sync::Mutex<()>,
    /// When the last one was begun, and what came of it.
    made: Mutex<Option<(Timestamp, V)>>,
}

impl<V> Default for Cell<V> {
    fn default() -> Self {
        Cell { turn: tokio::sync::Mutex::default(), made: Mutex::default() }
    }
}

impl<V: Clone> Cell<V> {
    fn made(&self) -> Option<(Timestamp, V)> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<K, V> Default for Shared<K, V> {
    fn default() -> Self {
        Shared { most: MOST, cells: Mutex::default() }
    }
}

impl Default for Looks {
    fn default() -> Self {
        Looks {
            overview: Shared::default(),
            guests_counted: Shared::default(),
            guests_by_image: Shared::default(),
            losses: Shared { most: MOST_FLEETS, ..Shared::default() },
            capacities: Shared::default(),
            installed: crate::installed::Counts::default(),
        }
    }
}

impl<K: Eq + Hash, V: Clone> Shared<K, V> {
    /// What was made for this at `since` or later, or what `make` makes now.
    pub(crate) async fn get<E>(
        &self,
        asked: K,
        since: Timestamp,
        now: impl Fn() -> Timestamp,
        make: impl AsyncFnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        let cell = self.cell(asked);
        let _turn = cell.turn.lock().await;
        // A clock that was put back makes what was made "later" of unknown age.
        if let Some((made, value)) = cell.made()
            && (since..=now()).contains(&made)
        {
            return Ok(value);
        }
        // What is written while it is made may not be in it.
        let begun = now();
        let value = make().await?;
        *cell.made.lock().unwrap_or_else(PoisonError::into_inner) = Some((begun, value.clone()));
        Ok(value)
    }

    /// What was made last, however long ago; also while it is made anew.
    pub(crate) fn last(&self, asked: K) -> Option<(Timestamp, V)> {
        self.cell(asked).made()
    }

    /// The same, made within the last `age`.
    pub(crate) async fn recent<E>(
        &self,
        asked: K,
        age: Duration,
        now: impl Fn() -> Timestamp,
        make: impl AsyncFnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        let since = since(now(), age);
        self.get(asked, since, now, make).await
    }

    fn cell(&self, asked: K) -> Arc<Cell<V>> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= self.most && !cells.contains_key(&asked) {
            cells.clear();
        }
        cells.entry(asked).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicI64, Ordering};

    #[tokio::test]
    async fn whoever_looks_at_the_same_moment_is_given_the_same() {
        let shared: Shared<&str, i64> = Shared::default();
        let (clock, so_far) = (AtomicI64::new(1_000_000), AtomicI64::new(0));
        let now = || Timestamp(clock.load(Ordering::Relaxed));
        let make = async || {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(so_far.fetch_add(1, Ordering::Relaxed))
        };
        let second = Duration::from_secs(1);
        let (one, other) = tokio::join!(
            shared.recent("guests", second, now, make),
            shared.recent("guests", second, now, make)
        );
        assert_eq!((one, other), (Ok(0), Ok(0)), "made once for both");
        assert_eq!(shared.recent("hosts", second, now, make).await, Ok(1), "another thing is another");
        clock.fetch_add(900_000, Ordering::Relaxed);
        assert_eq!(shared.recent("guests", second, now, make).await, Ok(0));
        // Who was told of a change is given nothing older.
        assert_eq!(shared.get("guests", Timestamp(1_000_001), now, make).await, Ok(2));
        clock.fetch_add(1_000_001, Ordering::Relaxed);
        assert_eq!(shared.recent("guests", second, now, make).await, Ok(3));
    }

    #[tokio::test]
    async fn a_clock_that_was_put_back_makes_it_anew() {
        let shared: Shared<&str, i64> = Shared::default();
        let clock = AtomicI64::new(5_000_000);
        let now = || Timestamp(clock.load(Ordering::Relaxed));
        let (age, two) = (Duration::from_secs(1), ["acme", "other"]);
        let get = async |account, value| {
            shared.recent(account, age, now, async || Ok::<_, Infallible>(value)).await
        };
        for (value, account) in two.into_iter().enumerate() {
            let value = i64::try_from(value).unwrap();
            assert_eq!(get(account, value).await, Ok(value), "each account is given its own");
        }
        clock.store(2_000_000, Ordering::Relaxed);
        assert_eq!((get("acme", 7).await, get("other", 8).await), (Ok(7), Ok(8)));
        clock.store(3_000_000, Ordering::Relaxed);
        assert_eq!(
            (get("acme", 9).await, get("other", 9).await),
            (Ok(7), Ok(8)),
            "a second old, and not older"
        );
        clock.store(3_000_001, Ordering::Relaxed);
        assert_eq!((get("acme", 9).await, get("other", 9).await), (Ok(9), Ok(9)));
    }

    #[tokio::test]
    async fn what_failed_is_made_again() {
        let shared: Shared<(), i64> = Shared::default();
        let now = || Timestamp(1);
        let age = Duration::from_secs(1);
        assert_eq!(shared.recent((), age, now, async || Err::<i64, _>("away")).await, Err("away"));
        assert_eq!(shared.recent((), age, now, async || Ok::<_, &str>(7)).await, Ok(7));
    }
}

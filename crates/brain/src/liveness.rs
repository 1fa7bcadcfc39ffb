//! When each host was last heard, and how busy it said it is: held in memory, written in batches by a controller.

use honcho_model::{HostId, Timestamp};
use honcho_store::hosts::Seen;
use honcho_wire::LoadObserved;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Hosts heard since the last batch.
#[derive(Clone, Default)]
pub(crate) struct Liveness {
    heard: Arc<Mutex<HashMap<HostId, Heard>>>,
}

#[derive(Clone, Copy)]
struct Heard {
    at: Timestamp,
    load: Option<LoadObserved>,
}

impl Liveness {
    /// Notes that a host spoke.
    pub(crate) fn heard(&self, host: HostId, now: Timestamp) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.entry(host).or_insert(Heard { at: now, load: None }).at = now;
    }

    /// Notes how busy a host says it is.
    pub(crate) fn is_busy(&self, host: HostId, load: LoadObserved, now: Timestamp) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.entry(host).or_insert(Heard { at: now, load: None }).load = Some(load);
    }

    /// Takes a batch back that could not be written.
    pub(crate) fn give_back(&self, batch: Vec<Seen>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        for Seen { host, at, load } in batch {
            let newer = heard.entry(host).or_insert(Heard { at, load });
            newer.load = newer.load.or(load);
        }
    }

    /// Takes the batch.
    pub(crate) fn take(&self) -> Vec<Seen> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch: Vec<Seen> =
            heard.drain().map(|(host, Heard { at, load })| Seen { host, at, load }).collect();
        batch.sort_by_key(|seen| seen.host);
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_written_is_not_lost_and_not_older_than_what_came_since() {
        let (liveness, host) = (Liveness::default(), HostId(1));
        let load = |busy_percent| LoadObserved { busy_percent, io_wait_percent: 0, window_seconds: 60 };
        liveness.heard(host, Timestamp(1));
        liveness.is_busy(host, load(10), Timestamp(1));
        let batch = liveness.take();
        liveness.heard(host, Timestamp(2));
        liveness.give_back(batch);
        assert_eq!(liveness.take(), [Seen { host, at: Timestamp(2), load: Some(load(10)) }]);
        liveness.is_busy(host, load(20), Timestamp(3));
        liveness.give_back(vec![Seen { host, at: Timestamp(1), load: Some(load(10)) }]);
        assert_eq!(liveness.take(), [Seen { host, at: Timestamp(3), load: Some(load(20)) }]);
        assert!(liveness.take().is_empty());
    }
}

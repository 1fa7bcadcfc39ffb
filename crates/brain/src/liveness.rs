//! When each host was last heard: held in memory, written in batches by a controller.

use honcho_model::{HostId, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Hosts heard since the last batch.
#[derive(Clone, Default)]
pub(crate) struct Liveness {
    heard: Arc<Mutex<HashMap<HostId, Timestamp>>>,
}

impl Liveness {
    /// Notes that a host spoke.
    pub(crate) fn heard(&self, host: HostId, now: Timestamp) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(host, now);
    }

    /// Takes a batch back that could not be written.
    pub(crate) fn give_back(&self, batch: Vec<(HostId, Timestamp)>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        for (host, at) in batch {
            heard.entry(host).or_insert(at);
        }
    }

    /// Takes the batch.
    pub(crate) fn take(&self) -> Vec<(HostId, Timestamp)> {
        let mut batch: Vec<_> = self.heard.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        batch.sort_by_key(|(host, _)| *host);
        batch
    }
}

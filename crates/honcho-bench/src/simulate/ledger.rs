//! What happened on the simulated machines, written down by the machines themselves and by nobody else: what the brain
//! believes is compared with it at the end.

use honcho_model::{Bytes, Epoch, GuestId, HostId, Mac, NetworkId};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// One thing that happened on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// How long after the simulation began.
    pub(crate) at: Duration,
    /// On which machine.
    pub(crate) host: HostId,
    /// What.
    pub(crate) deed: Deed,
}

/// What can happen on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It was switched on; its agent runs.
    PoweredOn,
    /// It lost its power, and with it everything that ran.
    PoweredOff,
    /// A guest was started.
    Started {
        /// Which.
        guest: GuestId,
        /// At which epoch.
        epoch: Epoch,
        /// Which boot this fulfils.
        boots: u64,
        /// Memory that it takes.
        memory: Bytes,
        /// Its cards.
        macs: Vec<Mac>,
    },
    /// A guest ended.
    Ended {
        /// Which.
        guest: GuestId,
        /// Why.
        why: End,
    },
    /// A volume was made, complete.
    Made {
        /// Its uuid.
        volume: Uuid,
        /// The name that was written into it: its guest's.
        name: String,
        /// Its size.
        size: Bytes,
        /// What was written into it: the addresses that its guest speaks from.
        addresses: Vec<(NetworkId, IpAddr)>,
    },
    /// A volume was grown.
    Grown {
        /// Its uuid.
        volume: Uuid,
        /// Its new size.
        size: Bytes,
    },
    /// A volume was deleted.
    Deleted {
        /// Its uuid.
        volume: Uuid,
    },
}

/// Why a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was asked to stop, and did.
    Asked,
    /// Its plug was pulled.
    Destroyed,
    /// Its machine lost power.
    PowerLost,
}

/// The history of all machines, in the order in which it happened.
pub(crate) struct Ledger {
    begun: Instant,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: Vec<Entry>,
    first_starts: HashMap<GuestId, Duration>,
    running: usize,
}

impl Ledger {
    /// An empty one, whose time begins now.
    pub(crate) fn new() -> Self {
        Ledger { begun: Instant::now(), kept: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the simulation has gone on.
    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Writes down what has just happened. Whoever calls this holds the machine, so that the order is the true one.
    pub(crate) fn note(&self, host: HostId, deed: Deed) {
        let mut kept = self.lock();
        // Under the lock: entries are in the order of their times.
        let at = self.begun.elapsed();
        match &deed {
            Deed::Started { guest, .. } => {
                kept.running += 1;
                kept.first_starts.entry(*guest).or_insert(at);
            }
            Deed::Ended { .. } => kept.running = kept.running.saturating_sub(1),
            _ => {}
        }
        kept.entries.push(Entry { at, host, deed });
    }

    /// How many guests run just now, on all machines.
    pub(crate) fn running(&self) -> usize {
        self.lock().running
    }

    /// When a guest first ran.
    pub(crate) fn first_start(&self, guest: GuestId) -> Option<Duration> {
        self.lock().first_starts.get(&guest).copied()
    }

    /// All of it.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }
}

//! Who is woken by a commit. A wake-up only wakes: whoever is woken reads again, and nobody relies on being woken.

use honcho_model::HostId;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::{mpsc, watch};

/// The waiting room of one brain. Subscribe before reading, then read, then wait.
#[derive(Clone, Default)]
pub struct Wakeups {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    hosts: Mutex<HashMap<HostId, watch::Sender<()>>>,
    anything: watch::Sender<()>,
    /// Where other brains are told of it, if there are any.
    others: OnceLock<mpsc::UnboundedSender<BTreeSet<HostId>>>,
}

impl Wakeups {
    /// Changes when something desired on `host` changed, or somebody called [`Wakeups::wake_host`].
    pub fn host(&self, host: HostId) -> watch::Receiver<()> {
        let mut hosts = self.inner.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.entry(host).or_default().subscribe()
    }

    /// Changes with every commit.
    pub fn anything(&self) -> watch::Receiver<()> {
        self.inner.anything.subscribe()
    }

    /// Wakes whoever waits for `host`.
    pub fn wake_host(&self, host: HostId) {
        let hosts = self.inner.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = hosts.get(&host) {
            sender.send_replace(());
        }
    }

    /// Whether anybody waits for `host` here: its agent is connected to this brain.
    pub fn is_awaited(&self, host: HostId) -> bool {
        let hosts = self.inner.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.get(&host).is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// Wakes those who wait for `touched` or for anything: those here, and other brains.
    pub(crate) fn wake(&self, touched: BTreeSet<HostId>) {
        self.wake_here(&touched);
        if let Some(others) = self.inner.others.get() {
            // Whoever sends these on ends only with the store itself.
            let _ = others.send(touched);
        }
    }

    pub(crate) fn wake_here(&self, touched: &BTreeSet<HostId>) {
        for host in touched {
            self.wake_host(*host);
        }
        self.inner.anything.send_replace(());
    }

    /// Wakes everybody here, for what may have been missed.
    pub(crate) fn wake_everybody(&self) {
        let hosts = self.inner.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in hosts.values() {
            sender.send_replace(());
        }
        self.inner.anything.send_replace(());
    }

    /// What other brains are to be told from now on. Once only.
    pub(crate) fn for_others(&self) -> Option<mpsc::UnboundedReceiver<BTreeSet<HostId>>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.inner.others.set(sender).ok().map(|()| receiver)
    }
}

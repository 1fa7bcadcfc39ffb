//! Who is woken by a commit. A wake-up only wakes: whoever is woken reads again, and nobody relies on being woken.

use honcho_model::HostId;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The waiting room of one brain. Subscribe before reading, then read, then wait.
#[derive(Clone, Default)]
pub struct Wakeups {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    hosts: Mutex<HashMap<HostId, watch::Sender<()>>>,
    anything: watch::Sender<()>,
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

    pub(crate) fn wake(&self, touched: &BTreeSet<HostId>) {
        for host in touched {
            self.wake_host(*host);
        }
        self.inner.anything.send_replace(());
    }
}

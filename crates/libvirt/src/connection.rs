//! One connection to libvirtd, and the threads that wait for it.
//!
//! ```text
//!   call() ── job ──> queue ──> worker threads ──> Connect ──> libvirtd
//!     ^ deadline                                     ^
//!     └─ gives up, says so                keeper: looks each second, reopens, subscribes to events
//! ```
//!
//! libvirt's calls block for as long as libvirtd pleases, so they run on threads of their own and every caller has a
//! deadline. A worker whose call hangs is lost until keepalive cuts the connection (15 s of silence); callers meanwhile
//! hear that libvirtd does not answer. What a caller gave up on before a worker took it is never begun.

use crate::events::{Subscription, start_event_loop};
use crate::explain::{explain, explain_open};
use honcho_agent_lib::drivers::{DriverError, DriverResult};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use virt::connect::Connect;
use virt::error::Error;

/// How many calls may wait for libvirtd at once. Starting a guest takes one for a second or so.
const WORKERS: usize = 4;
/// libvirtd is asked for a sign of life at this interval, in seconds…
const KEEPALIVE_SECONDS: i32 = 5;
/// …and the connection is cut after so many unanswered ones.
const KEEPALIVE_COUNT: u32 = 3;
/// How often the keeper looks whether the connection stands.
const KEEPER_INTERVAL: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce() + Send>;

/// A connection that mends itself.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    jobs: Sender<Job>,
}

struct Shared {
    uri: String,
    held: Mutex<Option<Held>>,
    // Whether a connection has been asked for; from then on the keeper sees to it that there is one.
    wanted: AtomicBool,
    changes: watch::Sender<u64>,
}

struct Held {
    // Dropped first: it takes its callback out of the connection.
    _subscription: Option<Subscription>,
    connect: Connect,
}

impl Connection {
    /// Starts the threads. No connection is opened yet, so that an agent can start before libvirtd.
    pub(crate) fn new(uri: &str) -> DriverResult<Self> {
        start_event_loop().map_err(DriverError::Later)?;
        let shared = Arc::new(Shared {
            uri: uri.to_owned(),
            held: Mutex::new(None),
            wanted: AtomicBool::new(false),
            changes: watch::Sender::new(0),
        });
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..WORKERS {
            let queue = Arc::clone(&queue);
            thread(&format!("libvirt-{number}"), move || work(&queue))?;
        }
        let weak = Arc::downgrade(&shared);
        thread("libvirt-keeper", move || keep(&weak))?;
        Ok(Connection { shared, jobs })
    }

    /// Changes whenever a domain or the connection may have changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Does `work` on a worker thread, and waits for it until `deadline` has passed. `doing` begins the error.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        doing: String,
        deadline: Duration,
        work: impl FnOnce(&Connect) -> Result<T, CallError> + Send + 'static,
    ) -> DriverResult<T> {
        let (reply, answer) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let late = format!(
            "{doing}: libvirtd at {} has not answered for {} s; `virsh list` shows whether it answers at all, \
             `systemctl restart libvirtd` mends it (guests live on)",
            shared.uri,
            deadline.as_secs()
        );
        let job = move || {
            if reply.is_closed() {
                return;
            }
            let result = shared.connect().and_then(|connect| {
                work(&connect).map_err(|error| match error {
                    CallError::Libvirt(error) => explain(&doing, &error),
                    CallError::Said(error) => error,
                })
            });
            // The caller may have given up meanwhile; what happened is seen at its next look.
            drop(reply.send(result));
        };
        let ended = || DriverError::Later("the threads that speak with libvirtd have ended".to_owned());
        self.jobs.send(Box::new(job)).map_err(|_| ended())?;
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(ended()),
            Err(_) => Err(DriverError::Later(late)),
        }
    }
}

/// How a call failed.
pub(crate) enum CallError {
    /// libvirt said no.
    Libvirt(Error),
    /// We did, in words of our own.
    Said(DriverError),
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        CallError::Libvirt(error)
    }
}

impl Shared {
    /// The connection, opened anew if it broke.
    fn connect(&self) -> DriverResult<Connect> {
        self.wanted.store(true, Ordering::Relaxed);
        let mut held = lock(&self.held);
        if let Some(held) = held.as_ref().filter(|held| stands(&held.connect)) {
            return Ok(held.connect.clone());
        }
        if held.take().is_some() {
            tracing::warn!(uri = self.uri, "libvirtd went away; guests live on, reconnecting");
            self.changed();
        }
        let connect = Connect::open(Some(&self.uri)).map_err(|error| explain_open(&self.uri, &error))?;
        if let Err(error) = connect.set_keep_alive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT) {
            tracing::debug!(%error, uri = self.uri, "this libvirt driver has no keepalive");
        }
        let subscription = match Subscription::new(&connect, &self.changes) {
            Ok(subscription) => Some(subscription),
            Err(error) => {
                tracing::warn!(%error, "libvirt sends no events; guests are still seen at every look");
                None
            }
        };
        tracing::info!(uri = self.uri, "connected to libvirtd");
        *held = Some(Held { _subscription: subscription, connect: connect.clone() });
        self.changed();
        Ok(connect)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

fn stands(connect: &Connect) -> bool {
    connect.is_alive().unwrap_or(false)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> DriverResult<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map(drop)
        .map_err(|error| DriverError::Later(format!("thread {name} could not start: {error}")))
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let Ok(job) = lock(queue).recv() else { return };
        if std::panic::catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a call to libvirt panicked; its caller has been told that it ended");
        }
    }
}

/// Notices that the connection broke, and reopens it as soon as libvirtd is back, so that events flow again.
fn keep(shared: &Weak<Shared>) {
    loop {
        std::thread::sleep(KEEPER_INTERVAL);
        let Some(shared) = shared.upgrade() else { return };
        if shared.wanted.load(Ordering::Relaxed)
            && let Err(error) = shared.connect()
        {
            tracing::debug!(%error, "still no connection");
        }
    }
}

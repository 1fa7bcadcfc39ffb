//! Connections to libvirtd, and the threads that wait for it.
//!
//! ```text
//!   call() ── job ──> queue ──> worker threads, each with a Connect of its own ──> libvirtd
//!     ^ deadline                keeper, with one more: subscribed to events, looks each second, reopens
//!     └─ gives up, says so
//! ```
//!
//! libvirt's calls block for as long as libvirtd pleases, so they run on threads of their own and every caller has a
//! deadline. A worker whose call hangs is lost until libvirtd goes on or is restarted; callers meanwhile hear that it
//! does not answer. What a caller gave up on before a worker took it is never begun.
//!
//! **No connection is ever used by two threads, and keepalive is left off.** libvirt's client before 10.3 (Debian 12 has
//! 9.0) reads freed stack when a call that waits is woken by another thread's call or by a keepalive message on the same
//! connection (CVE-2024-4418); seen here as a crash once libvirtd hung for longer than the keepalive's interval. On a
//! local socket keepalive gives nothing that deadlines do not: a libvirtd that dies closes the socket.

use crate::events::{Subscription, start_event_loop};
use crate::explain::{explain, explain_open};
use honcho_agent_lib::drivers::{DriverError, DriverResult};
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use virt::connect::Connect;
use virt::error::Error;

/// How many calls may wait for libvirtd at once. Starting a guest takes one for a second or so.
const WORKERS: usize = 4;
/// How often the keeper looks whether its connection stands.
const KEEPER_INTERVAL: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce(&mut Line) + Send>;

/// The way to libvirtd. It mends itself.
pub(crate) struct Connection {
    uri: String,
    changes: Arc<watch::Sender<u64>>,
    jobs: Sender<Job>,
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

impl Connection {
    /// Starts the threads. No connection is opened yet, so that an agent can start before libvirtd.
    pub(crate) fn new(uri: &str) -> DriverResult<Self> {
        start_event_loop().map_err(DriverError::Later)?;
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..WORKERS {
            let queue = Arc::clone(&queue);
            let line = Line::new(uri);
            thread(&format!("libvirt-{number}"), move || work(&queue, line))?;
        }
        let changes = Arc::new(watch::Sender::new(0));
        let weak = Arc::downgrade(&changes);
        let line = Line::new(uri);
        thread("libvirt-keeper", move || keep(&weak, line))?;
        Ok(Connection { uri: uri.to_owned(), changes, jobs })
    }

    /// Changes whenever a domain or the connection may have changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Does `work` on a worker thread, and waits for it until `deadline` has passed. `doing` begins the error.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        doing: String,
        deadline: Duration,
        work: impl FnOnce(&Connect) -> Result<T, CallError> + Send + 'static,
    ) -> DriverResult<T> {
        let (reply, answer) = oneshot::channel();
        let late = format!(
            "{doing}: libvirtd at {} has not answered for {} s; `virsh list` shows whether it answers at all, \
             `systemctl restart libvirtd` mends it (guests live on)",
            self.uri,
            deadline.as_secs()
        );
        let job = move |line: &mut Line| {
            if reply.is_closed() {
                return;
            }
            let result = line.connect().and_then(|connect| {
                work(connect).map_err(|error| match error {
                    CallError::Libvirt(error) => explain(&doing, &error),
                    CallError::Said(error) => error,
                })
            });
            // The caller may have given up meanwhile; what happened is seen at its next look.
            drop(reply.send(result));
        };
        let ended = || DriverError::Later("the thread that spoke with libvirtd has ended".to_owned());
        self.jobs.send(Box::new(job)).map_err(|_| ended())?;
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(ended()),
            Err(_) => Err(DriverError::Later(late)),
        }
    }
}

/// One thread's connection.
struct Line {
    uri: String,
    connect: Option<Connect>,
}

impl Line {
    fn new(uri: &str) -> Self {
        Line { uri: uri.to_owned(), connect: None }
    }

    /// Whether it is open and was not cut. Asks nobody.
    fn stands(&self) -> bool {
        self.connect.as_ref().is_some_and(|connect| connect.is_alive().unwrap_or(false))
    }

    /// The connection, opened anew if it was cut.
    fn connect(&mut self) -> DriverResult<&Connect> {
        let standing = if self.stands() { self.connect.take() } else { None };
        let connect = match standing {
            Some(connect) => connect,
            None => Connect::open(Some(&self.uri)).map_err(|error| explain_open(&self.uri, &error))?,
        };
        Ok(self.connect.insert(connect))
    }
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> DriverResult<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map(drop)
        .map_err(|error| DriverError::Later(format!("thread {name} could not start: {error}")))
}

fn work(queue: &Mutex<Receiver<Job>>, mut line: Line) {
    loop {
        let Ok(job) = queue.lock().unwrap_or_else(PoisonError::into_inner).recv() else { return };
        if std::panic::catch_unwind(AssertUnwindSafe(|| job(&mut line))).is_err() {
            tracing::error!("a call to libvirt panicked; its caller has been told that it ended");
        }
    }
}

/// Holds the connection that brings events: notices that it broke, and reopens it as soon as libvirtd is back.
fn keep(changes: &Weak<watch::Sender<u64>>, mut line: Line) {
    let mut subscription: Option<Subscription> = None;
    let mut connected = false;
    loop {
        let Some(changes) = changes.upgrade() else { return };
        if connected && !line.stands() {
            tracing::warn!(uri = line.uri, "libvirtd went away; guests live on, reconnecting");
            connected = false;
            drop(subscription.take());
            changed(&changes);
        }
        if !connected {
            connected = match line.connect() {
                Ok(connect) => {
                    subscription = subscribe(connect, &changes);
                    changed(&changes);
                    true
                }
                Err(error) => {
                    tracing::debug!(%error, "still no connection for events");
                    false
                }
            };
        }
        drop(changes);
        std::thread::sleep(KEEPER_INTERVAL);
    }
}

fn subscribe(connect: &Connect, changes: &watch::Sender<u64>) -> Option<Subscription> {
    match Subscription::new(connect, changes) {
        Ok(subscription) => {
            tracing::info!("connected to libvirtd");
            Some(subscription)
        }
        Err(error) => {
            tracing::warn!(%error, "libvirt sends no events; guests are still seen at every look");
            None
        }
    }
}

fn changed(changes: &watch::Sender<u64>) {
    changes.send_modify(|count| *count = count.wrapping_add(1));
}

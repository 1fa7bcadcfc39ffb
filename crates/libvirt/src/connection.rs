//! Connections to libvirtd, and the threads that wait for it.
//!
//! ```text
//!             ┌─> looking ───┐
//!             ├─> counting ──┤
//!   call() ───┼─> starting ──┼─> worker threads, each with a Connect of its own ──> libvirtd
//!     ^       └─> acting ────┘   keeper, with one more: subscribed to events, looks each second, reopens
//!     └─ deadline: gives up, says so
//! ```
//!
//! libvirt's calls block for as long as libvirtd pleases, so they run on threads of their own and every caller has a
//! deadline. A worker whose call hangs is lost until libvirtd goes on or is restarted; callers meanwhile hear that it
//! does not answer. What a caller gave up on before libvirtd was asked for it is never begun.
//!
//! Each kind of work has a queue and threads of its own ([`Lane`]): guests that take minutes to start must not keep the
//! agent from seeing, or from stopping, the others.
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

/// How often the keeper looks whether its connection stands.
const KEEPER_INTERVAL: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce(&mut Line) + Send>;

/// What waits for what: work of one kind waits only for work of the same kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lane {
    /// What only asks.
    Looking,
    /// What guests have taken: libvirt asks their QEMUs, of which one that hangs may keep it waiting for ever.
    Counting,
    /// Starting guests, which takes a second or so each, and minutes on a host that is short of something.
    Starting,
    /// Everything else that changes something: stopping, ending, consoles.
    Acting,
}

impl Lane {
    /// Its name, and how many calls of it may wait for libvirtd at once.
    fn name_and_workers(self) -> (&'static str, usize) {
        match self {
            Lane::Looking => ("looking", 2),
            Lane::Counting => ("counting", 1),
            Lane::Starting => ("starting", 4),
            Lane::Acting => ("acting", 2),
        }
    }
}

/// The way to libvirtd. It mends itself.
pub(crate) struct Connection {
    uri: String,
    changes: Arc<watch::Sender<u64>>,
    looking: Sender<Job>,
    counting: Sender<Job>,
    starting: Sender<Job>,
    acting: Sender<Job>,
}

/// Whether the caller still waits for a call that has been begun. To be asked before anything is changed that would
/// take its caller by surprise minutes later.
pub(crate) type StillAwaited<'a> = &'a dyn Fn() -> bool;

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
        let changes = Arc::new(watch::Sender::new(0));
        let weak = Arc::downgrade(&changes);
        let line = Line::new(uri);
        thread("libvirt-keeper", move || keep(&weak, line))?;
        Ok(Connection {
            uri: uri.to_owned(),
            changes,
            looking: start_lane(uri, Lane::Looking)?,
            counting: start_lane(uri, Lane::Counting)?,
            starting: start_lane(uri, Lane::Starting)?,
            acting: start_lane(uri, Lane::Acting)?,
        })
    }

    /// Changes whenever a domain or the connection may have changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Does `work` on a thread of the lane, and waits for it until `deadline` has passed. `doing` begins the error.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        lane: Lane,
        doing: String,
        deadline: Duration,
        work: impl FnOnce(&Connect, StillAwaited) -> Result<T, CallError> + Send + 'static,
    ) -> DriverResult<T> {
        let (reply, answer) = oneshot::channel();
        let unanswered = format!(
            "{doing}: libvirtd at {} has not answered for {} s; `virsh list` shows whether it answers at all, \
             `systemctl restart libvirtd` mends it (guests live on)",
            self.uri,
            deadline.as_secs()
        );
        let job = move |line: &mut Line| {
            if reply.is_closed() {
                return;
            }
            let connect = line.connect();
            // Connecting to a libvirtd that hangs takes until it goes on.
            if reply.is_closed() {
                return;
            }
            let result = connect.and_then(|connect| {
                work(connect, &|| !reply.is_closed()).map_err(|error| match error {
                    CallError::Libvirt(error) => explain(&doing, &error),
                    CallError::Said(error) => error,
                })
            });
            // The caller may have given up meanwhile; what happened is seen at its next look.
            drop(reply.send(result));
        };
        let queue = match lane {
            Lane::Looking => &self.looking,
            Lane::Counting => &self.counting,
            Lane::Starting => &self.starting,
            Lane::Acting => &self.acting,
        };
        let ended = || DriverError::Later("the thread that spoke with libvirtd has ended".to_owned());
        queue.send(Box::new(job)).map_err(|_| ended())?;
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(ended()),
            Err(_) => Err(DriverError::Later(unanswered)),
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

/// Starts the threads of a lane and returns the way into its queue.
fn start_lane(uri: &str, lane: Lane) -> DriverResult<Sender<Job>> {
    let (jobs, queue) = channel::<Job>();
    let queue = Arc::new(Mutex::new(queue));
    let (name, workers) = lane.name_and_workers();
    for number in 0..workers {
        let queue = Arc::clone(&queue);
        let connection = Line::new(uri);
        thread(&format!("virt-{name}-{number}"), move || work(&queue, connection))?;
    }
    Ok(jobs)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// libvirt's own mock, in this process's memory.
    fn mock() -> Connection {
        Connection::new("test:///default").unwrap()
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn guests_that_start_slowly_keep_nobody_from_looking_and_stopping() {
        let connection = mock();
        let (finish, finished) = channel::<()>();
        let finished = Arc::new(Mutex::new(finished));
        // More than there are threads for starting.
        let starts = (0..6).map(|_| {
            let finished = Arc::clone(&finished);
            connection.call(Lane::Starting, "starting".to_owned(), LONG, move |_, _| {
                let _ = finished.lock().unwrap_or_else(PoisonError::into_inner).recv();
                Ok(())
            })
        });
        let mut starts: Vec<_> = starts.map(Box::pin).collect();
        for start in &mut starts {
            assert!(tokio::time::timeout(Duration::from_millis(10), start).await.is_err());
        }
        for lane in [Lane::Looking, Lane::Acting] {
            let answered = connection.call(lane, "asking".to_owned(), LONG, |_, _| Ok(())).await;
            assert!(answered.is_ok(), "{lane:?}: {answered:?}");
        }
        drop(finish);
        for start in starts {
            start.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_call_hears_that_its_caller_gave_up() {
        let connection = mock();
        let (tell, told) = channel();
        let (go_on, wait) = channel::<()>();
        let late = connection
            .call(Lane::Starting, "starting".to_owned(), Duration::from_millis(50), move |_, awaited| {
                assert!(awaited());
                let _ = wait.recv();
                tell.send(awaited()).unwrap();
                Ok(())
            })
            .await;
        assert!(
            matches!(&late, Err(DriverError::Later(text)) if text.contains("has not answered")),
            "{late:?}"
        );
        drop(go_on);
        assert!(!told.recv_timeout(LONG).unwrap());
    }
}

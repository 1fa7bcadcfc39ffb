//! Several brains on one PostgreSQL: who tells whom that something changed, and which one runs the controllers.
//!
//! A wake-up only wakes. It is sent after the commit that it tells of, and not with it (NOTIFY inside a transaction makes
//! all commits of the database wait for each other); whatever is lost on the way is made good by everybody being woken
//! when the connection comes back, and every [`REREAD`] in any case.

use crate::{Engine, StoreError, StoreResult, Wakeups};
use honcho_model::HostId;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use sea_orm::sqlx::{self, Connection as _, PgConnection};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::task::AbortHandle;

/// How long a waiter may sleep through a change that nobody told this brain of.
const REREAD: Duration = Duration::from_secs(30);

/// Between two attempts to reach a database that is away.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

const CHANNEL: &str = "honcho_wake";

/// PostgreSQL carries 8,000 bytes with a notification.
const LONGEST_NOTICE: usize = 7_000;

/// The advisory lock of the brain that runs the controllers. Any number that nothing else in the database uses.
const CONTROLLERS_LOCK: i64 = 0x686f_6e63_686f_0002;

/// How long the lock's connection may take to say that it is there.
const PROOF_OF_LIFE: Duration = Duration::from_secs(5);

/// The tasks of a store, and their connections; they end with it.
#[derive(Default)]
pub(crate) struct Across {
    tasks: Vec<AbortHandle>,
    pool: Option<PgPool>,
}

impl Across {
    /// Ends them, and waits until their connections are closed.
    pub(crate) async fn close(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        if let Some(pool) = &self.pool {
            pool.close().await;
        }
    }
}

impl Drop for Across {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::from(sea_orm::DbErr::Conn(sea_orm::RuntimeErr::SqlxError(error.into())))
}

fn options(url: &str, name: &str) -> StoreResult<PgConnectOptions> {
    let options: PgConnectOptions = url.parse().map_err(unavailable)?;
    Ok(options.application_name(name))
}

/// Begins to tell other brains of our changes, and to hear of theirs.
pub(crate) async fn start(engine: &Engine, wakeups: &Wakeups) -> StoreResult<Across> {
    let (Engine::Postgres(url), Some(ours)) = (engine, wakeups.for_others()) else {
        return Ok(Across::default());
    };
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect_with(options(url, "honcho waking")?)
        .await
        .map_err(unavailable)?;
    // What says that a notice is our own, which need wake nobody twice.
    let ourselves: String = sqlx::query_scalar("SELECT CAST(gen_random_uuid() AS TEXT)")
        .fetch_one(&pool)
        .await
        .map_err(unavailable)?;
    let mut listener = PgListener::connect_with(&pool).await.map_err(unavailable)?;
    listener.listen(CHANNEL).await.map_err(unavailable)?;
    let tasks = vec![
        tokio::spawn(tell(pool.clone(), ourselves.clone(), ours)).abort_handle(),
        tokio::spawn(hear(pool.clone(), listener, ourselves, wakeups.clone())).abort_handle(),
    ];
    Ok(Across { tasks, pool: Some(pool) })
}

/// `*` when there are more hosts than a notice holds.
fn notice(ourselves: &str, hosts: &BTreeSet<HostId>) -> String {
    let mut text = ourselves.to_owned();
    for host in hosts {
        text.extend([" ", &host.0.to_string()]);
    }
    if text.len() > LONGEST_NOTICE { format!("{ourselves} *") } else { text }
}

/// Tells others: many changes at once, if many came while the last ones were told.
async fn tell(pool: PgPool, ourselves: String, mut changes: mpsc::UnboundedReceiver<BTreeSet<HostId>>) {
    while let Some(mut hosts) = changes.recv().await {
        while let Ok(more) = changes.try_recv() {
            hosts.extend(more);
        }
        let sent = sqlx::query("SELECT pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(notice(&ourselves, &hosts))
            .execute(&pool)
            .await;
        if let Err(error) = sent {
            tracing::warn!(%error, "other brains could not be told of a change; they look for themselves within 30 s");
        }
    }
}

async fn hear(pool: PgPool, mut listener: PgListener, ourselves: String, wakeups: Wakeups) {
    loop {
        match tokio::time::timeout(REREAD, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => heed(notification.payload(), &ourselves, &wakeups),
            // The connection was lost, and what was sent meanwhile with it.
            Ok(Ok(None)) | Err(_) => wakeups.wake_everybody(),
            Ok(Err(error)) => {
                tracing::warn!(%error, "other brains cannot be heard; trying again");
                tokio::time::sleep(RECONNECT_PAUSE).await;
                if let Ok(mut fresh) = PgListener::connect_with(&pool).await
                    && fresh.listen(CHANNEL).await.is_ok()
                {
                    listener = fresh;
                }
                wakeups.wake_everybody();
            }
        }
    }
}

fn heed(notice: &str, ourselves: &str, wakeups: &Wakeups) {
    let (sender, hosts) = notice.split_once(' ').unwrap_or((notice, ""));
    if sender == ourselves {
        return;
    }
    if hosts == "*" {
        return wakeups.wake_everybody();
    }
    wakeups.wake_here(&hosts.split(' ').filter_map(|host| host.parse().ok().map(HostId)).collect());
}

/// Whether this brain is the one that runs the controllers. A SQLite database has one brain, which does.
///
/// On PostgreSQL it is the one that holds an advisory lock. The lock belongs to a connection that is used for nothing else,
/// so it is lost exactly when that connection is.
pub struct Lead {
    /// `None` on SQLite.
    url: Option<String>,
    /// The connection that holds the lock, or that could not get it yet.
    session: Mutex<Option<(PgConnection, Held)>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Yes,
    No,
}

impl Lead {
    pub(crate) fn new(engine: &Engine) -> Lead {
        let url = match engine {
            Engine::Sqlite(_) => None,
            Engine::Postgres(url) => Some(url.clone()),
        };
        Lead { url, session: Mutex::new(None) }
    }

    /// Takes the lead if nobody has it, and gives whether this brain has it now. To be asked before each step: it is
    /// asked of the database, not remembered.
    pub async fn is_ours(&self) -> bool {
        let Some(url) = &self.url else { return true };
        let mut session = self.session.lock().await;
        let had = session.as_ref().is_some_and(|(_, held)| *held == Held::Yes);
        // Whatever is left half-done is dropped, lock and all.
        let outcome = tokio::time::timeout(PROOF_OF_LIFE, ask(url, session.take())).await;
        let (ours, why) = match outcome {
            Ok(Ok(asked)) => {
                let ours = asked.1 == Held::Yes;
                *session = Some(asked);
                (ours, String::new())
            }
            Ok(Err(error)) => (false, error.to_string()),
            Err(_) => (false, "the database does not answer".to_owned()),
        };
        match (had, ours) {
            (false, true) => tracing::info!("this brain runs the controllers from now on"),
            (true, false) => tracing::warn!(why, "this brain runs the controllers no longer"),
            _ => {}
        }
        ours
    }
}

async fn ask(url: &str, session: Option<(PgConnection, Held)>) -> Result<(PgConnection, Held), sqlx::Error> {
    let (mut connection, held) = if let Some(session) = session {
        session
    } else {
        let options: PgConnectOptions = url.parse()?;
        // A brain whose machine vanished must not keep the lock for the two hours that are usual.
        let options = options.application_name("honcho controllers").options([
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
        ]);
        (PgConnection::connect_with(&options).await?, Held::No)
    };
    if held == Held::Yes {
        sqlx::query("SELECT 1").execute(&mut connection).await?;
        return Ok((connection, held));
    }
    let got: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(CONTROLLERS_LOCK)
        .fetch_one(&mut connection)
        .await?;
    Ok((connection, if got { Held::Yes } else { Held::No }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_names_hosts_or_all_of_them() {
        let wakeups = Wakeups::default();
        let (mut one, mut two) = (wakeups.host(HostId(1)), wakeups.host(HostId(2)));
        let mut check = |hosts: BTreeSet<HostId>, sender: &str, expected: (bool, bool)| {
            heed(&notice(sender, &hosts), "me", &wakeups);
            assert_eq!((one.has_changed().unwrap(), two.has_changed().unwrap()), expected);
            one.mark_unchanged();
            two.mark_unchanged();
        };
        check(BTreeSet::from([HostId(1), HostId(7)]), "you", (true, false));
        check(BTreeSet::from([HostId(1)]), "me", (false, false));
        check(BTreeSet::new(), "you", (false, false));
        check((100..3000).map(HostId).collect(), "you", (true, true));
    }
}

//! What those who watch the brain count: a few grouped statements, however much there is.

use crate::cursor::Cursor;
use crate::sql::{Connection, is_postgres, number, row, rows, values};
use crate::{Engine, Scope, Store, StoreResult, guests, webhooks};
use honcho_model::Timestamp;
use honcho_model::host::HostStatus;
use sea_orm::FromQueryResult;
use std::sync::atomic::Ordering;

/// How many there are under each word.
pub type Counted = Vec<(String, i64)>;

/// A host, as somebody watches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedHost {
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: HostStatus,
    /// When its agent last spoke.
    pub heard_at: Option<Timestamp>,
    /// Generations of what is desired that its agent has not acted on yet.
    pub behind: i64,
}

/// Webhooks together.
#[derive(Clone, Copy, Debug, Default, FromQueryResult, PartialEq, Eq)]
pub struct WatchedWebhooks {
    /// Delivering.
    pub working: i64,
    /// Trying again.
    pub failing: i64,
    /// Switched off.
    pub off: i64,
    /// Since when the one fails that has failed longest.
    pub failing_since: Option<i64>,
}

/// Operations that are not done.
#[derive(Clone, Copy, Debug, Default, FromQueryResult, PartialEq, Eq)]
pub struct OpenOperations {
    /// Of which a step failed.
    pub failing: i64,
    /// When the oldest was asked for.
    pub oldest: Option<i64>,
}

/// All of it at one moment.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Guests by status; those that are deleted are not counted.
    pub guests: Counted,
    /// Operations by state, ever.
    pub operations: Counted,
    /// Those that are open.
    pub open: OpenOperations,
    /// Hosts, the longest unheard first.
    pub hosts: Vec<WatchedHost>,
    /// The size of the database, where it is PostgreSQL's.
    pub database_bytes: Option<i64>,
    /// Webhooks.
    pub webhooks: WatchedWebhooks,
    /// Events by severity, after the one that was given.
    pub events: Counted,
    /// The place after the newest event that was counted.
    pub place: Cursor,
}

#[derive(FromQueryResult)]
struct WordRow {
    word: String,
    n: i64,
}

async fn counted(
    connection: &impl Connection,
    sql: &str,
    values: Vec<sea_orm::Value>,
) -> StoreResult<Counted> {
    let found: Vec<WordRow> = rows(connection, sql, values).await?;
    Ok(found.into_iter().map(|row| (row.word, row.n)).collect())
}

async fn hosts(connection: &impl Connection, now: Timestamp) -> StoreResult<Vec<WatchedHost>> {
    #[derive(FromQueryResult)]
    struct HostRow {
        name: String,
        generation: i64,
        seen: Option<i64>,
        joined_at: Option<i64>,
        frozen: bool,
        last_seen_at: Option<i64>,
    }
    let sql = "SELECT h.name, h.generation, o.manifest_generation AS seen, h.joined_at, \
               (h.frozen_at IS NOT NULL OR h.unaccepted_since IS NOT NULL) AS frozen, o.last_seen_at \
               FROM hosts h LEFT JOIN host_observed o ON o.host_id = h.id WHERE h.deleted_at IS NULL \
               ORDER BY o.last_seen_at, h.id";
    let found: Vec<HostRow> = rows(connection, sql, values![]).await?;
    let to_watched = |row: HostRow| {
        let heard_at = row.last_seen_at.map(Timestamp);
        WatchedHost {
            status: HostStatus::of(row.joined_at.is_some(), row.frozen, heard_at, now),
            heard_at,
            behind: row.seen.map_or(0, |seen| row.generation.saturating_sub(seen).max(0)),
            name: row.name,
        }
    };
    Ok(found.into_iter().map(to_watched).collect())
}

/// Counts everything; events only after that place.
pub async fn read(connection: &impl Connection, now: Timestamp, after: &Cursor) -> StoreResult<Watched> {
    let webhooks = "SELECT \
        COALESCE(SUM(CASE WHEN enabled AND failing_since IS NULL THEN 1 ELSE 0 END), 0) AS working, \
        COALESCE(SUM(CASE WHEN enabled AND failing_since IS NOT NULL THEN 1 ELSE 0 END), 0) AS failing, \
        COALESCE(SUM(CASE WHEN enabled THEN 0 ELSE 1 END), 0) AS off, \
        MIN(CASE WHEN enabled THEN failing_since END) AS failing_since FROM webhooks WHERE deleted_at IS NULL";
    let open = "SELECT COUNT(o.failure) AS failing, MIN(p.created_at) AS oldest FROM operations p \
        LEFT JOIN guest_observed o ON o.guest_id = p.guest_id WHERE p.state = 'open'";
    let events = "SELECT severity AS word, COUNT(*) AS n FROM events \
        WHERE (xid, id) > ($1, $2) AND (xid, id) <= ($3, $4) GROUP BY severity";
    let operations = "SELECT state AS word, COUNT(*) AS n FROM operations GROUP BY state";
    // SQLite's files are looked at where they are.
    let size = if is_postgres(connection) {
        number(connection, "SELECT pg_database_size(current_database()) AS n", values![]).await?
    } else {
        None
    };
    let newest = webhooks::newest(connection).await?;
    let between = values![after.xid, after.id, newest.xid, newest.id];
    Ok(Watched {
        guests: guests::counted(connection, Scope::System, now).await?,
        operations: counted(connection, operations, values![]).await?,
        open: row(connection, open, values![]).await?.unwrap_or_default(),
        hosts: hosts(connection, now).await?,
        webhooks: row(connection, webhooks, values![]).await?.unwrap_or_default(),
        events: counted(connection, events, between).await?,
        database_bytes: size,
        place: newest,
    })
}

/// A pool of connections to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// `reading` or `writing`.
    pub purpose: &'static str,
    /// Connections that are open.
    pub open: u32,
    /// Of these, how many somebody uses.
    pub used: u32,
}

impl Store {
    /// Its connections.
    pub fn pools(&self) -> [Pool; 2] {
        let sizes = |connection: &sea_orm::DatabaseConnection| {
            if connection.get_database_backend() == sea_orm::DbBackend::Postgres {
                let pool = connection.get_postgres_connection_pool();
                (pool.size(), pool.num_idle())
            } else {
                let pool = connection.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
        };
        let pool = |purpose, connection| {
            let (open, idle) = sizes(connection);
            Pool { purpose, open, used: open.saturating_sub(u32::try_from(idle).unwrap_or(u32::MAX)) }
        };
        [pool("reading", &self.reader.connections), pool("writing", &self.writer)]
    }

    /// How often a change was run again because another came first.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Whether the database answers, and holds the schema that this program knows.
    pub async fn check(&self) -> StoreResult<()> {
        crate::brain::get(self.reader()).await?;
        crate::migrations::check(&self.reader.connections).await
    }
}

impl Engine {
    /// The files of the database, and what each is: none, unless this is SQLite.
    pub fn files(&self) -> Vec<(&'static str, std::path::PathBuf)> {
        match self {
            Engine::Sqlite(path) => {
                let mut log = path.clone().into_os_string();
                log.push("-wal");
                vec![("database", path.clone()), ("wal", log.into())]
            }
            Engine::Postgres(_) => Vec::new(),
        }
    }
}

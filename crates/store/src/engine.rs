//! The two engines: which database there is, how it is connected to, and what each is told besides.

use crate::{StoreError, StoreResult};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which database a brain remembers in.
#[derive(Clone, PartialEq, Eq)]
pub enum Engine {
    /// A file, for one brain.
    Sqlite(PathBuf),
    /// The URL of a database (`postgres://user@host/name`), for one brain or several.
    Postgres(String),
}

/// Why a text names no database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no database: give postgres://USER@HOST/NAME, or sqlite:///PATH")]
pub struct NotADatabase;

impl std::str::FromStr for Engine {
    type Err = NotADatabase;
    fn from_str(text: &str) -> Result<Engine, NotADatabase> {
        match text.split_once("://") {
            Some(("postgres" | "postgresql", rest)) if !rest.is_empty() => {
                Ok(Engine::Postgres(text.to_owned()))
            }
            Some(("sqlite", path)) if !path.is_empty() => Ok(Engine::Sqlite(path.into())),
            _ => Err(NotADatabase),
        }
    }
}

impl From<&Path> for Engine {
    fn from(path: &Path) -> Engine {
        Engine::Sqlite(path.to_owned())
    }
}
impl From<&PathBuf> for Engine {
    fn from(path: &PathBuf) -> Engine {
        Engine::Sqlite(path.clone())
    }
}
impl From<&Engine> for Engine {
    fn from(engine: &Engine) -> Engine {
        engine.clone()
    }
}

/// Without the password, for logs and people.
impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Engine::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Engine::Postgres(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
                // What stands behind the `?` may hold a password as well.
                let (place, _) = rest.split_once('?').unwrap_or((rest, ""));
                match place.rsplit_once('@') {
                    Some((user, place)) => {
                        let user = user.split_once(':').map_or(user, |(user, _)| user);
                        write!(f, "{scheme}://{user}@{place}")
                    }
                    None => write!(f, "{scheme}://{place}"),
                }
            }
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({self})")
    }
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Bringing the schema up, copying all of it: one connection, and as long as it takes.
    Schema,
    /// Changes. SQLite has one writer, and whoever waits for it waits in order.
    Writing,
    /// Looking.
    Reading,
}

/// So many connections of each kind does a brain hold to PostgreSQL, whose default is a hundred for all.
const POSTGRES_CONNECTIONS: u32 = 8;
const SQLITE_READERS: u32 = 4;

/// How long one statement may take, how long it may wait for a lock, and how long a transaction may do nothing: a brain
/// that hangs or a network that swallows must not hold up the others.
const STATEMENT_TIMEOUT: &str = "60s";
const LOCK_TIMEOUT: &str = "20s";
const IDLE_TIMEOUT: &str = "60s";

/// What is read are pages: a hundred rows in the order of an index, and a few by their keys for each. PostgreSQL takes the
/// status of a guest to hold for one in two hundred, and would read all of every table to hash, merge or sort them, or
/// start processes that share the work. A page that is looked up by keys is as quick from a disk as from memory
/// (`random_page_cost`), where the database is on anything that does not turn.
const PAGES: [(&str, &str); 6] = [
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_seqscan", "off"),
    ("random_page_cost", "1.1"),
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
];

impl Engine {
    pub(crate) async fn connect(&self, purpose: Purpose) -> StoreResult<DatabaseConnection> {
        let mut options = match self {
            Engine::Sqlite(path) => sqlite(path, purpose),
            Engine::Postgres(url) => postgres(url, purpose),
        };
        // A file does not hang up.
        options.test_before_acquire(matches!(self, Engine::Postgres(_)));
        options.min_connections(1).acquire_timeout(Duration::from_secs(30)).sqlx_logging(false);
        let connection = Database::connect(options).await.map_err(StoreError::Unavailable)?;
        connection.execute_unprepared("SELECT 1").await?;
        Ok(connection)
    }
}

fn sqlite(path: &Path, purpose: Purpose) -> ConnectOptions {
    let mut options = ConnectOptions::new("sqlite://");
    let path = path.to_owned();
    options
        .max_connections(if purpose == Purpose::Reading { SQLITE_READERS } else { 1 })
        // A path is no URL: one with a question mark in it is a path all the same.
        .map_sqlx_sqlite_opts(move |options| {
            options
                .filename(&path)
                .create_if_missing(true)
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(20))
                .pragma("journal_mode", "WAL")
                // An acknowledged write survives a power cut.
                .pragma("synchronous", "FULL")
                .pragma("cache_size", "-4096")
                // What is deleted is overwritten: somebody wants it gone.
                .pragma("secure_delete", "ON")
        });
    options
}

fn postgres(url: &str, purpose: Purpose) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(if purpose == Purpose::Schema { 1 } else { POSTGRES_CONNECTIONS })
        .idle_timeout(Duration::from_mins(5))
        .connect_timeout(Duration::from_secs(10))
        .map_sqlx_postgres_opts(move |options| match purpose {
            Purpose::Schema => options.application_name("honcho schema"),
            Purpose::Writing => options
                .application_name("honcho")
                .options(limits())
                .options([("default_transaction_isolation", "serializable")]),
            // Several statements of one moment; nothing that only looks can fail for what others write.
            Purpose::Reading => options
                .application_name("honcho reading")
                .options(limits())
                .options(PAGES)
                .options([("default_transaction_isolation", "repeatable read")])
                .options([("default_transaction_read_only", "on")]),
        });
    options
}

fn limits() -> [(&'static str, &'static str); 3] {
    [
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("lock_timeout", LOCK_TIMEOUT),
        ("idle_in_transaction_session_timeout", IDLE_TIMEOUT),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_an_engine_and_its_password_is_never_shown() {
        for (text, shown) in [
            ("postgres://ann:secret@db.example/honcho?sslmode=require", "postgres://ann@db.example/honcho"),
            ("postgresql://db/honcho", "postgresql://db/honcho"),
            ("postgres://ann:p@ss:w@db/honcho", "postgres://ann@db/honcho"),
            ("postgres://db/honcho?user=ann&password=secret", "postgres://db/honcho"),
            ("sqlite:///var/lib/honcho/honcho.sqlite", "sqlite:///var/lib/honcho/honcho.sqlite"),
        ] {
            assert_eq!(text.parse::<Engine>().unwrap().to_string(), shown);
        }
        for bad in ["", "postgres://", "mysql://db/honcho", "/var/lib/honcho", "sqlite://"] {
            assert!(bad.parse::<Engine>().is_err(), "{bad}");
        }
    }
}

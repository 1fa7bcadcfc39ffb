//! All SQL and nothing but.
//!
//! One file per table family; row structs stay inside. Lists answer with the API's own shapes, each in one statement;
//! `status` and the other derived facts are expressions in it. Statements are written for both engines (`$1`
//! placeholders, `RETURNING`). Writing goes through [`Store::write`] alone:
//!
//! ```text
//!   Store::write(change) -> BEGIN IMMEDIATE -> change.run(&tx) -> generations of touched hosts rise, in id order
//!                        -> COMMIT -> whoever waits for those hosts, or for events, is woken
//! ```
//!
//! The clock is never read here: every time comes in as an argument.
#![forbid(unsafe_code)]

mod error;
mod list;
mod migrations;
mod scope;
mod sql;
mod wakeups;

pub mod accounts;
pub mod addresses;
pub mod brain;
pub mod events;
pub mod guests;
pub mod guests_desired;
pub mod hosts;
pub mod images;
pub mod manifests;
pub mod networks;
pub mod operations;
pub mod pools;
pub mod quotas;
pub mod reports;
pub mod tokens;

pub use error::{Refusal, StoreError};
pub use list::{Filters, ListError};
pub use scope::{Actor, Scope};
pub use sql::Connection;
pub use wakeups::Wakeups;

use honcho_model::{HostId, Timestamp};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

/// What a call gives.
pub type StoreResult<T> = Result<T, StoreError>;

/// The brain's memory.
#[derive(Clone)]
pub struct Store {
    /// One connection: SQLite has one writer, and whoever waits here waits in order.
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    wakeups: Wakeups,
}

/// A change under way. All of it happens or none.
pub struct Tx {
    inner: DatabaseTransaction,
    /// Hosts of which something desired changed; their generations rise just before the commit.
    touched: Mutex<BTreeSet<HostId>>,
    /// When this change happens, by the brain's clock.
    pub now: Timestamp,
    /// Who changes it.
    pub actor: Actor,
}

impl Tx {
    /// Notes that something desired on `host` changed.
    pub fn touch(&self, host: HostId) {
        self.touched.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(host);
    }
}

/// One thing that can be done to the store: one operation, one file. `run` has no effect outside the transaction, so
/// it may be run again from the start.
pub trait Change: Sync {
    /// What it gives.
    type Out: Send;
    /// Does it.
    fn run<'a>(&'a self, tx: &'a Tx) -> impl Future<Output = StoreResult<Self::Out>> + Send + 'a;
}

impl Store {
    /// Opens or makes the SQLite database at `path` and brings its schema up.
    pub async fn open(path: &Path) -> StoreResult<Store> {
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let writer = connect(&url, 1).await?;
        migrations::Migrator::up(&writer, None).await?;
        let reader = connect(&url, 4).await?;
        Ok(Store { writer, reader, wakeups: Wakeups::default() })
    }

    /// For reading one statement at a time.
    pub fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// For reading several statements of one moment.
    pub async fn snapshot(&self) -> StoreResult<DatabaseTransaction> {
        Ok(self.reader.begin().await?)
    }

    /// Whoever waits for changes.
    pub fn wakeups(&self) -> &Wakeups {
        &self.wakeups
    }

    /// Makes a change, or nothing.
    pub async fn write<C: Change>(&self, actor: Actor, now: Timestamp, change: &C) -> StoreResult<C::Out> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let inner = self.writer.begin_with_options(options).await?;
        let tx = Tx { inner, touched: Mutex::default(), now, actor };
        match change.run(&tx).await {
            Ok(out) => {
                let Tx { inner, touched, .. } = tx;
                let touched = touched.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
                for host in &touched {
                    hosts::raise_generation(&inner, *host).await?;
                }
                self.commit(inner, touched).await?;
                Ok(out)
            }
            Err(error) => {
                tx.inner.rollback().await?;
                Err(error)
            }
        }
    }

    /// Commits and wakes, in a task of its own: whoever asked for the change may hang up while it is being committed,
    /// and those who wait for it must be woken all the same.
    async fn commit(&self, inner: DatabaseTransaction, touched: BTreeSet<HostId>) -> StoreResult<()> {
        let wakeups = self.wakeups.clone();
        let commit = tokio::spawn(async move {
            inner.commit().await?;
            wakeups.wake(&touched);
            Ok(())
        });
        commit.await.map_err(|error| StoreError::Database(DbErr::Custom(error.to_string())))?
    }
}

async fn connect(url: &str, connections: u32) -> StoreResult<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(30))
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|options| {
            options
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(20))
                .pragma("journal_mode", "WAL")
                // An acknowledged write survives a power cut.
                .pragma("synchronous", "FULL")
                .pragma("cache_size", "-4096")
        });
    let connection = Database::connect(options).await?;
    connection.execute_unprepared("SELECT 1").await?;
    Ok(connection)
}

//! All SQL and nothing but.
//!
//! One file per table family; row structs stay inside. Lists answer with the API's own shapes, each in one statement;
//! `status` and the other derived facts are expressions in it. Statements are the same for both engines (`$1`
//! placeholders, `RETURNING`), and every test runs on both. Writing goes through [`Store::write`] alone.
//!
//! The clock is never read here: every time comes in as an argument.
#![forbid(unsafe_code)]

mod across;
mod cells;
mod cursor;
mod engine;
mod error;
mod list;
mod migrations;
mod scope;
mod shortcut;
mod sql;
mod wakeups;
mod writing;

pub mod accounts;
pub mod addresses;
pub mod attention;
pub mod blobs;
pub mod brain;
pub mod clusters;
pub mod copying;
pub mod emptying;
pub mod events;
pub mod guest_moves;
pub mod guest_packages;
pub mod guests;
pub mod guests_desired;
pub mod host_places;
pub mod hosts;
pub mod image_keys;
pub mod image_uploads;
pub mod images;
pub mod load;
pub mod manifests;
pub mod moving;
pub mod multiplying;
pub mod names;
pub mod networks;
pub mod operations;
pub mod outgoing_mails;
pub mod people;
pub mod placements;
pub mod pools;
pub mod quotas;
pub mod racks;
pub mod reports;
pub mod restoring;
pub mod reviewing;
pub mod rooms;
pub mod sans;
pub mod saved_views;
pub mod search;
pub mod sessions;
pub mod sites;
pub mod slow;
pub mod tokens;
pub mod usage;
pub mod watching;
pub mod webhooks;

pub use across::Lead;
pub use cursor::Cursor;
pub use engine::{Engine, NotADatabase};
pub use error::{Refusal, StoreError};
pub use list::{Filters, Having, ListError};
pub use scope::{Actor, Scope};
pub use sql::{Connection, Reader};
pub use wakeups::Wakeups;

use engine::Purpose;
use honcho_model::{HostId, Timestamp};
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait as _};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a call gives.
pub type StoreResult<T> = Result<T, StoreError>;

/// The brain's memory.
#[derive(Clone)]
pub struct Store {
    writer: DatabaseConnection,
    reader: Arc<Reader>,
    /// A shorter way for changes that have not written yet, if there is one.
    for_changes: Option<shortcut::Shortcut>,
    wakeups: Wakeups,
    engine: Engine,
    /// What goes on besides while there is a store.
    across: Arc<across::Across>,
    /// How often a change was run again.
    retries: Arc<AtomicU64>,
}

/// A change under way. All of it happens or none.
pub struct Tx {
    inner: DatabaseTransaction,
    /// Hosts of which something desired changed; their generations rise just before the commit.
    touched: Mutex<BTreeSet<HostId>>,
    /// The first statement of it that failed.
    failure: Mutex<Option<DbErr>>,
    /// A shorter way to what was committed before it, on SQLite.
    shortcut: Option<shortcut::Shortcut>,
    /// Whether it has sent anything but a `SELECT`.
    changed: AtomicBool,
    /// When this change happens, by the brain's clock.
    pub now: Timestamp,
    /// Who changes it.
    pub actor: Actor,
}

impl Tx {
    pub(crate) fn new(
        inner: DatabaseTransaction,
        shortcut: Option<shortcut::Shortcut>,
        now: Timestamp,
        actor: Actor,
    ) -> Tx {
        let (touched, failure, changed) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Tx { inner, touched, failure, shortcut, changed, now, actor }
    }

    pub(crate) fn note_statement(&self, sql: &str) {
        if !sql.starts_with("SELECT") {
            self.changed.store(true, Ordering::Relaxed);
        }
    }

    /// The shorter way, as long as this change has changed nothing: SQLite has one writer, so that while it goes on nobody else
    /// commits, and what was committed before it is what it would see itself.
    pub(crate) fn shortcut_while_unchanged(&self) -> Option<&shortcut::Shortcut> {
        self.shortcut.as_ref().filter(|_| !self.changed.load(Ordering::Relaxed))
    }

    /// Whether it has changed nothing yet, so that what it sees is what was committed before it.
    pub fn is_unchanged(&self) -> bool {
        !self.changed.load(Ordering::Relaxed)
    }

    /// Notes that something desired on `host` changed.
    pub fn touch(&self, host: HostId) {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).insert(host);
    }

    pub(crate) fn note_failure(&self, error: &DbErr) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert_with(|| error.clone());
    }

    /// The first statement of it that failed, if one did.
    pub(crate) fn failure(&self) -> Option<DbErr> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a change waits for before it looks at anything. It changes nothing on SQLite, which has one writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    None,
    /// Whoever else gives out addresses. All of them want the same few rows, the next to be given: side by side all but
    /// one would have done their work in vain.
    Addresses,
    /// Whoever else claims room on hosts, or takes some away, and whoever gives out addresses: a new guest does both.
    Room,
}

/// One thing that can be done to the store: one operation, one file. `run` has no effect outside the transaction, so
/// it may be run again from the start.
pub trait Change: Sync {
    /// What it gives.
    type Out: Send;
    /// What it waits for before it begins.
    const TURN: Turn = Turn::None;
    /// Does it.
    fn run<'a>(&'a self, tx: &'a Tx) -> impl Future<Output = StoreResult<Self::Out>> + Send + 'a;
}

impl Store {
    /// Opens a database, makes it if it is a file that is not there, and brings its schema up.
    pub async fn open(engine: impl Into<Engine>) -> StoreResult<Store> {
        let engine = engine.into();
        migrations::bring_up(&engine).await?;
        let writer = engine.connect(Purpose::Writing).await?;
        let shortcut = || match &engine {
            Engine::Sqlite(path) => Some(shortcut::Shortcut::new(path)),
            Engine::Postgres(_) => None,
        };
        // A change holds everybody else's writing up: it does not queue behind those who read lists.
        let (shortcut, for_changes) = (shortcut(), shortcut());
        let reader = Arc::new(Reader { connections: engine.connect(Purpose::Reading).await?, shortcut });
        let wakeups = Wakeups::default();
        let across = Arc::new(across::start(&engine, &wakeups).await?);
        Ok(Store { writer, reader, for_changes, wakeups, engine, across, retries: Arc::default() })
    }

    /// Whether other brains may serve from the same database.
    pub fn is_shared(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    /// How this brain comes to know whether it runs the controllers.
    pub fn lead(&self) -> Lead {
        Lead::new(&self.engine)
    }

    /// Lets go of the database; whatever is under way ends first.
    pub async fn close(self) -> StoreResult<()> {
        self.across.close().await;
        self.writer.close().await?;
        for shortcut in [&self.reader.shortcut, &self.for_changes].into_iter().flatten() {
            shortcut.close().await;
        }
        self.reader.connections.close_by_ref().await?;
        Ok(())
    }

    /// For reading one statement at a time.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// For reading several statements of one moment.
    pub async fn snapshot(&self) -> StoreResult<DatabaseTransaction> {
        Ok(self.reader.connections.begin().await?)
    }

    /// Whoever waits for changes.
    pub fn wakeups(&self) -> &Wakeups {
        &self.wakeups
    }
}

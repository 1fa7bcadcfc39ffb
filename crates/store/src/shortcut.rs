//! The shortcut: reading a SQLite file without `SeaORM` and `sqlx` in between.
//!
//! ```text
//!   sqlx      take a connection -> to its thread and back: is it alive? -> to its thread, and each row back through a
//!             channel, each value of it copied -> to its thread and back: is it alive still?
//!   shortcut  take a connection -> to a thread, and all rows back at once, read where SQLite has them; not even that for
//!             a row that is found by its key
//! ```
//!
//! It only reads, outside of transactions or in a change that has not written yet (SQLite has one writer, so that what it sees is
//! what the change would see), and gives what the long way gives (docs/design/0006-reading-sqlite-directly.md).

mod answers;

use crate::sql::Reach;
use crate::{StoreError, StoreResult};
use answers::Answers;
pub use answers::Page;
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, Rows};
use sea_orm::{DbErr, RuntimeErr, Value};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many read at once; the others wait in order.
const MOST: usize = 4;

/// How long to wait for whoever restores the file after a crash. Nothing else keeps a reader waiting.
const PATIENCE: Duration = Duration::from_secs(20);

/// So much of the file does a connection keep in memory, in KiB: a page that it does not hold costs a system call.
const CACHE_KIB: i64 = 16 * 1024;

/// So many statements does a connection keep ready.
const STATEMENTS: usize = 64;

/// Connections that read a SQLite file; cheap to clone.
#[derive(Clone)]
pub struct Shortcut(Arc<Inner>);

struct Inner {
    path: PathBuf,
    seats: Arc<Semaphore>,
    idle: Mutex<Vec<Reading>>,
}

/// A connection, and what it remembers.
struct Reading {
    connection: Connection,
    answers: Answers,
}

impl Shortcut {
    /// Connections are opened when they are needed.
    pub(crate) fn new(path: &Path) -> Self {
        let (path, seats) = (path.to_owned(), Arc::new(Semaphore::new(MOST)));
        Shortcut(Arc::new(Inner { path, seats, idle: Mutex::default() }))
    }

    /// Lends a connection to whoever reads: on the caller's thread or on one that may be kept busy.
    pub(crate) async fn lend<T: Send + 'static>(
        &self,
        reach: Reach,
        reader: impl FnOnce(&Lent<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let seat = self.seat().await?;
        self.lend_on(seat, reach, reader).await
    }

    /// The page that `reader` gives, or what it gave when it was asked the same and nothing has changed since. `question` says all
    /// that the page depends on but the database.
    pub(crate) async fn page(
        &self,
        reach: Reach,
        question: String,
        reader: impl FnOnce(&Lent<'_>) -> StoreResult<Page> + Send + 'static,
    ) -> StoreResult<Page> {
        let seat = self.seat().await?;
        // On the caller's thread, whatever is asked: nothing is read.
        if let Some(page) = self.0.lend(|lent| lent.known(&question))? {
            return Ok(page);
        }
        let read = move |lent: &Lent<'_>| {
            // It may be another connection, or a moment later.
            if let Some(page) = lent.known(&question)? {
                return Ok(page);
            }
            let page = reader(lent)?;
            lent.0.answers.keep(question, &page);
            Ok(page)
        };
        self.lend_on(seat, reach, read).await
    }

    async fn seat(&self) -> StoreResult<OwnedSemaphorePermit> {
        let closed =
            |_| StoreError::Unavailable(DbErr::Conn(RuntimeErr::Internal("it was closed".to_owned())));
        self.0.seats.clone().acquire_owned().await.map_err(closed)
    }

    async fn lend_on<T: Send + 'static>(
        &self,
        seat: OwnedSemaphorePermit,
        reach: Reach,
        reader: impl FnOnce(&Lent<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        if reach == Reach::Few {
            return self.0.lend(reader);
        }
        let inner = self.0.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let read = inner.lend(reader);
            drop(seat);
            read
        });
        reading.await.map_err(|error| StoreError::Database(DbErr::Custom(error.to_string())))?
    }

    /// Lets go of the file, once whoever reads is done.
    pub(crate) async fn close(&self) {
        // Nobody else closes it, so that there will be that many.
        let everybody = u32::try_from(MOST).unwrap_or(u32::MAX);
        let _seats = self.0.seats.acquire_many(everybody).await;
        self.0.seats.close();
        self.0.idle().clear();
    }
}

impl Inner {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Reading>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lend<T>(&self, reader: impl FnOnce(&Lent<'_>) -> StoreResult<T>) -> StoreResult<T> {
        let reading = self.take()?;
        let read = reader(&Lent(&reading));
        // One that failed may be worth nothing any more.
        if read.is_ok() {
            self.idle().push(reading);
        }
        read
    }

    fn take(&self) -> StoreResult<Reading> {
        let idle = self.idle().pop();
        Ok(match idle {
            Some(reading) => reading,
            None => Reading { connection: self.open()?, answers: Answers::default() },
        })
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "query_only", true)?;
        // Else a statement that is kept ready is planned anew whenever other values are bound to it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    }
}

/// A connection that is lent to a reader.
pub(crate) struct Lent<'c>(&'c Reading);

impl<'c> Lent<'c> {
    /// A statement, kept ready for the next one who asks the same.
    pub(crate) fn statement(&self, sql: &str) -> StoreResult<Ready<'c>> {
        // `?1` is the first value; `$1` would be a name, which SQLite looks for among all others.
        Ok(Ready(self.0.connection.prepare_cached(&sql.replace('$', "?"))?))
    }

    fn known(&self, question: &str) -> StoreResult<Option<Page>> {
        self.0.answers.known(&self.0.connection, question)
    }
}

/// A statement that can be run again and again.
pub(crate) struct Ready<'c>(CachedStatement<'c>);

impl Ready<'_> {
    /// Runs it with these values for `$1`, `$2` …
    pub(crate) fn rows(&mut self, values: &[Value]) -> StoreResult<Rows<'_>> {
        if self.0.parameter_count() != values.len() {
            let error = rusqlite::Error::InvalidParameterCount(values.len(), self.0.parameter_count());
            return Err(error.into());
        }
        for (value, index) in values.iter().zip(1..) {
            self.0.raw_bind_parameter(index, Bound(value))?;
        }
        Ok(self.0.raw_query())
    }
}

struct Bound<'v>(&'v Value);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self.0 {
            Value::Bool(value) => value.map(|value| ValueRef::Integer(value.into())),
            Value::BigInt(value) => value.map(ValueRef::Integer),
            Value::String(value) => value.as_ref().map(|text| ValueRef::Text(text.as_bytes())),
            Value::Bytes(value) => value.as_ref().map(|bytes| ValueRef::Blob(bytes)),
            other => {
                let error = format!("values of this kind are not bound here: {other:?}");
                return Err(rusqlite::Error::ToSqlConversionFailure(error.into()));
            }
        };
        Ok(ToSqlOutput::Borrowed(value.unwrap_or(ValueRef::Null)))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let words = DbErr::Query(RuntimeErr::Internal(error.to_string()));
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy(words),
            Some(ErrorCode::CannotOpen) => StoreError::Unavailable(words),
            _ => StoreError::Database(words),
        }
    }
}

//! The few calls through which every statement goes.

use crate::shortcut::Shortcut;
use crate::{StoreError, StoreResult, Tx};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, QueryResult, Statement, Value};

/// A value to bind. Ids and counters are all `i64`.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$(sea_orm::Value::from($value)),*] };
}
pub(crate) use values;

/// Where statements can be sent: the reader, a snapshot, or a change.
pub trait Connection: Sync {
    /// The connection underneath.
    type Inner: ConnectionTrait;
    /// Gives it.
    fn inner(&self) -> &Self::Inner;
    /// Is told of every statement that failed.
    fn note_failure(&self, _: &DbErr) {}
    /// A shorter way to the same rows, if there is one.
    #[doc(hidden)]
    fn shortcut(&self) -> Option<&Shortcut> {
        None
    }
}

/// For reading one statement at a time, each of a moment of its own.
pub struct Reader {
    pub(crate) connections: sea_orm::DatabaseConnection,
    /// A shorter way to the same rows, if there is one.
    pub(crate) shortcut: Option<Shortcut>,
}

impl Connection for Reader {
    type Inner = sea_orm::DatabaseConnection;
    fn inner(&self) -> &Self::Inner {
        &self.connections
    }
    fn shortcut(&self) -> Option<&Shortcut> {
        self.shortcut.as_ref()
    }
}
impl Connection for Tx {
    type Inner = sea_orm::DatabaseTransaction;
    fn inner(&self) -> &Self::Inner {
        &self.inner
    }
    fn note_failure(&self, error: &DbErr) {
        Tx::note_failure(self, error);
    }
}
impl Connection for sea_orm::DatabaseTransaction {
    type Inner = sea_orm::DatabaseTransaction;
    fn inner(&self) -> &Self::Inner {
        self
    }
}
impl Connection for sea_orm::DatabaseConnection {
    type Inner = sea_orm::DatabaseConnection;
    fn inner(&self) -> &Self::Inner {
        self
    }
}

fn statement(backend: DbBackend, sql: &str, values: Vec<Value>) -> Statement {
    Statement::from_sql_and_values(backend, sql, values)
}

/// Tells whoever holds the connection if this failed.
fn noted<T>(connection: &impl Connection, outcome: Result<T, DbErr>) -> StoreResult<T> {
    outcome.map_err(|error| {
        connection.note_failure(&error);
        StoreError::from(error)
    })
}

pub(crate) async fn rows<T: FromQueryResult>(
    connection: &impl Connection,
    sql: &str,
    values: Vec<Value>,
) -> StoreResult<Vec<T>> {
    let inner = connection.inner();
    let statement = statement(inner.get_database_backend(), sql, values);
    noted(connection, T::find_by_statement(statement).all(inner).await)
}

pub(crate) async fn row<T: FromQueryResult>(
    connection: &impl Connection,
    sql: &str,
    values: Vec<Value>,
) -> StoreResult<Option<T>> {
    let inner = connection.inner();
    let statement = statement(inner.get_database_backend(), sql, values);
    noted(connection, T::find_by_statement(statement).one(inner).await)
}

/// How far a statement reaches, which says where the shortcut runs it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A few rows, found by their keys: on the caller's thread, for going to another takes longer than finding them.
    Few,
    /// Any number: on a thread that may be kept busy.
    Many,
}

/// Rows that are read by position.
pub(crate) async fn query(
    connection: &impl Connection,
    sql: &str,
    values: Vec<Value>,
) -> StoreResult<Vec<QueryResult>> {
    let inner = connection.inner();
    let statement = statement(inner.get_database_backend(), sql, values);
    noted(connection, inner.query_all_raw(statement).await)
}

/// One number, from a statement that gives one column named `n`: 64 bits, or the 32 that a literal has on PostgreSQL.
pub(crate) async fn number(
    connection: &impl Connection,
    sql: &str,
    values: Vec<Value>,
) -> StoreResult<Option<i64>> {
    let inner = connection.inner();
    let statement = statement(inner.get_database_backend(), sql, values);
    let Some(row) = noted(connection, inner.query_one_raw(statement).await)? else { return Ok(None) };
    match row.try_get::<i64>("", "n") {
        Ok(n) => Ok(Some(n)),
        Err(_) => Ok(Some(row.try_get::<i32>("", "n")?.into())),
    }
}

/// Runs a statement and gives how many rows it changed.
pub(crate) async fn execute(connection: &impl Connection, sql: &str, values: Vec<Value>) -> StoreResult<u64> {
    let inner = connection.inner();
    let statement = statement(inner.get_database_backend(), sql, values);
    Ok(noted(connection, inner.execute_raw(statement).await)?.rows_affected())
}

/// Runs an `INSERT … RETURNING id AS n`.
pub(crate) async fn insert(connection: &impl Connection, sql: &str, values: Vec<Value>) -> StoreResult<i64> {
    number(connection, sql, values).await?.ok_or_else(|| StoreError::Damaged {
        what: "id",
        why: "the database gave none for a new row".to_owned(),
    })
}

/// Whether it is PostgreSQL that is asked.
pub(crate) fn is_postgres(connection: &impl Connection) -> bool {
    connection.inner().get_database_backend() == DbBackend::Postgres
}

/// Writes JSON into a text column.
pub(crate) fn to_json(value: &impl serde::Serialize) -> StoreResult<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Damaged { what: "JSON", why: error.to_string() })
}

/// Reads JSON out of a text column; an empty one is `None`.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    text: Option<&str>,
) -> StoreResult<Option<T>> {
    text.map(|text| {
        serde_json::from_str(text).map_err(|error| StoreError::Damaged { what, why: error.to_string() })
    })
    .transpose()
}

/// A stored time, as the API shows it.
pub(crate) fn time(micros: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(micros).unwrap_or_default()
}

/// An unsigned number as a column holds it; nothing that is stored comes near 2^63.
pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The other way; nothing negative is stored where this is used.
pub(crate) fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

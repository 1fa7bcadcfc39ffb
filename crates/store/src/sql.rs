//! The few calls through which every statement goes.

use crate::cells::{Cells, FromCells};
use crate::shortcut::{Lent, Shortcut};
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
    /// Is told of every statement before it is sent.
    fn note_statement(&self, _: &str) {}
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
    fn note_statement(&self, sql: &str) {
        Tx::note_statement(self, sql);
    }
    fn shortcut(&self) -> Option<&Shortcut> {
        self.shortcut_while_unchanged()
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

fn statement(connection: &impl Connection, sql: &str, values: Vec<Value>) -> Statement {
    connection.note_statement(sql);
    Statement::from_sql_and_values(connection.inner().get_database_backend(), sql, values)
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
    let statement = statement(connection, sql, values);
    noted(connection, T::find_by_statement(statement).all(inner).await)
}

pub(crate) async fn row<T: FromQueryResult>(
    connection: &impl Connection,
    sql: &str,
    values: Vec<Value>,
) -> StoreResult<Option<T>> {
    let inner = connection.inner();
    let statement = statement(connection, sql, values);
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
    let statement = statement(connection, sql, values);
    noted(connection, inner.query_all_raw(statement).await)
}

/// Rows that are read by position and lend nothing, by the shortcut if there is one.
pub(crate) async fn read<T>(
    connection: &impl Connection,
    reach: Reach,
    sql: String,
    values: Vec<Value>,
) -> StoreResult<Vec<T>>
where
    T: for<'r> FromCells<'r> + Send + 'static,
{
    if let Some(shortcut) = connection.shortcut() {
        let reader = move |lent: &Lent<'_>| {
            let mut statement = lent.statement(&sql)?;
            let mut found = statement.rows(&values)?;
            let mut rows = Vec::new();
            while let Some(row) = found.next()? {
                rows.push(T::from_cells(&mut Cells::of_sqlite(row))?);
            }
            Ok(rows)
        };
        return shortcut.lend(reach, reader).await;
    }
    let found = query(connection, &sql, values).await?;
    found.iter().map(|row| T::from_cells(&mut Cells::of_orm(row))).collect()
}

/// One number, from a statement that gives one column named `n`: 64 bits, or the 32 that a literal has on PostgreSQL.
pub(crate) async fn number(
    connection: &impl Connection,
    sql: &str,
    values: Vec<Value>,
) -> StoreResult<Option<i64>> {
    let inner = connection.inner();
    let statement = statement(connection, sql, values);
    let Some(row) = noted(connection, inner.query_one_raw(statement).await)? else { return Ok(None) };
    match row.try_get::<i64>("", "n") {
        Ok(n) => Ok(Some(n)),
        Err(_) => Ok(Some(row.try_get::<i32>("", "n")?.into())),
    }
}

/// Runs a statement and gives how many rows it changed.
pub(crate) async fn execute(connection: &impl Connection, sql: &str, values: Vec<Value>) -> StoreResult<u64> {
    let inner = connection.inner();
    let statement = statement(connection, sql, values);
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

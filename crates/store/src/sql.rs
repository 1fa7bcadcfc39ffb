//! The few calls through which every statement goes.

use crate::{StoreError, StoreResult, Tx};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};

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
}
impl Connection for Tx {
    type Inner = sea_orm::DatabaseTransaction;
    fn inner(&self) -> &Self::Inner {
        &self.inner
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

pub(crate) async fn rows<T: FromQueryResult>(
    connection: &impl Connection,
    sql: &str,
    values: Vec<Value>,
) -> StoreResult<Vec<T>> {
    let connection = connection.inner();
    Ok(T::find_by_statement(statement(connection.get_database_backend(), sql, values))
        .all(connection)
        .await?)
}

pub(crate) async fn row<T: FromQueryResult>(
    connection: &impl Connection,
    sql: &str,
    values: Vec<Value>,
) -> StoreResult<Option<T>> {
    let connection = connection.inner();
    Ok(T::find_by_statement(statement(connection.get_database_backend(), sql, values))
        .one(connection)
        .await?)
}

/// One number, from a statement that gives one column named `n`.
pub(crate) async fn number(
    connection: &impl Connection,
    sql: &str,
    values: Vec<Value>,
) -> StoreResult<Option<i64>> {
    let connection = connection.inner();
    let statement = statement(connection.get_database_backend(), sql, values);
    Ok(match connection.query_one_raw(statement).await? {
        Some(row) => row.try_get("", "n")?,
        None => None,
    })
}

/// Runs a statement and gives how many rows it changed.
pub(crate) async fn execute(connection: &impl Connection, sql: &str, values: Vec<Value>) -> StoreResult<u64> {
    let connection = connection.inner();
    let statement = statement(connection.get_database_backend(), sql, values);
    Ok(connection.execute_raw(statement).await?.rows_affected())
}

/// Runs an `INSERT … RETURNING id AS n`.
pub(crate) async fn insert(connection: &impl Connection, sql: &str, values: Vec<Value>) -> StoreResult<i64> {
    number(connection, sql, values).await?.ok_or_else(|| StoreError::Damaged {
        what: "id",
        why: "the database gave none for a new row".to_owned(),
    })
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

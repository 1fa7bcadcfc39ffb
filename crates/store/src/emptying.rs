//! Emptying a database that somebody lent for a while: a simulation runs in an empty one and leaves it so.
//!
//! A brain never does this. Whoever does has found the database empty before ([`refuse_unless_empty`]), so that nothing in
//! it was ever anybody's.

use crate::engine::Purpose;
use crate::sql::{rows, values};
use crate::{Engine, Refusal, StoreResult};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, FromQueryResult};

#[derive(FromQueryResult)]
struct Table {
    name: String,
}

async fn tables(connection: &DatabaseConnection) -> StoreResult<Vec<String>> {
    let sql = "SELECT CAST(tablename AS TEXT) AS name FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename";
    let found: Vec<Table> = rows(connection, sql, values![]).await?;
    Ok(found.into_iter().map(|table| table.name).collect())
}

async fn connect(database: &Engine) -> StoreResult<DatabaseConnection> {
    if matches!(database, Engine::Sqlite(_)) {
        return Err(Refusal::invalid("database", "must be postgres://USER@HOST/NAME").into());
    }
    database.connect(Purpose::Schema).await
}

/// Refuses a PostgreSQL database that holds a table, whosever it is.
pub async fn refuse_unless_empty(database: &Engine) -> StoreResult<()> {
    let connection = connect(database).await?;
    let there = tables(&connection).await;
    connection.close().await?;
    let there = there?;
    if there.is_empty() {
        return Ok(());
    }
    let text = format!("is not empty, it holds {} tables: make one for this (createdb NAME)", there.len());
    Err(Refusal::invalid("database", text).into())
}

/// Removes every table of a PostgreSQL database, and what they hold.
pub async fn empty(database: &Engine) -> StoreResult<()> {
    let connection = connect(database).await?;
    let outcome = drop_all(&connection).await;
    connection.close().await?;
    outcome
}

async fn drop_all(connection: &DatabaseConnection) -> StoreResult<()> {
    for table in tables(connection).await? {
        connection.execute_unprepared(&format!("DROP TABLE IF EXISTS \"{table}\" CASCADE")).await?;
    }
    Ok(())
}

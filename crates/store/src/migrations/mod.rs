//! How the schema came to be. Migrations go forward only; a released one is never edited.

mod m0001_walking_skeleton;
mod m0005_people;
mod m0006_life_cycle;
mod m0008_lists;
mod schema;

use crate::engine::Purpose;
use crate::{Engine, StoreError, StoreResult};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement, TransactionTrait as _};
use sea_orm_migration::prelude::*;

/// Every migration, oldest first.
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_walking_skeleton::Migration),
            Box::new(m0005_people::Migration),
            Box::new(m0006_life_cycle::Migration),
            Box::new(m0008_lists::Migration),
        ]
    }
}

/// The advisory lock under which a schema is brought up on PostgreSQL: brains that start at the same time do it once.
/// Any number that nothing else in the database uses.
const SCHEMA_LOCK: i64 = 0x686f_6e63_686f_0001;

/// Brings a database to this program's schema: all that is missing of it in one transaction, or nothing.
pub(crate) async fn bring_up(engine: &Engine) -> StoreResult<()> {
    let connection = engine.connect(Purpose::Schema).await?;
    let outcome = bring_up_alone(&connection).await;
    // The lock goes with the session.
    connection.close().await?;
    outcome
}

async fn bring_up_alone(connection: &DatabaseConnection) -> StoreResult<()> {
    let postgres = connection.get_database_backend() == DbBackend::Postgres;
    if postgres {
        connection.execute_unprepared(&format!("SELECT pg_advisory_lock({SCHEMA_LOCK})")).await?;
    }
    refuse_newer(connection).await?;
    if Migrator::get_pending_migrations(connection).await?.is_empty() {
        return Ok(());
    }
    let transaction = connection.begin().await?;
    Migrator::up(&transaction, None).await?;
    if postgres {
        widen_texts(&transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Refuses a database that has a migration which this program does not know.
async fn refuse_newer(connection: &DatabaseConnection) -> StoreResult<()> {
    Migrator::install(connection).await?;
    let known = Migrator::migrations();
    let newer = Migrator::get_migration_models(connection)
        .await?
        .into_iter()
        .find(|applied| !known.iter().any(|migration| migration.name() == applied.version));
    match newer {
        Some(newer) => Err(StoreError::Newer(newer.version)),
        None => Ok(()),
    }
}

/// SQLite holds texts of any length; so does PostgreSQL, once its columns are of type text.
async fn widen_texts(connection: &impl sea_orm::ConnectionTrait) -> StoreResult<()> {
    let sql = "SELECT table_name, column_name FROM information_schema.columns \
               WHERE table_schema = current_schema() AND data_type = 'character varying' \
               AND table_name <> 'seaql_migrations'";
    let columns = connection.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    for column in columns {
        let (table, column): (String, String) =
            (column.try_get("", "table_name")?, column.try_get("", "column_name")?);
        let sql = format!("ALTER TABLE \"{table}\" ALTER COLUMN \"{column}\" TYPE text");
        connection.execute_unprepared(&sql).await?;
    }
    Ok(())
}

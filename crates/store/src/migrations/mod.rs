//! How the schema came to be. Migrations go forward only; a released one is never edited.

mod m0001_walking_skeleton;
mod m0002_engines;
mod m0003_inventory;
mod m0005_people;
mod m0006_life_cycle;
mod m0007_webhooks;
mod m0008_lists;
mod m0009_addresses;
mod m0010_restoring;
mod m0011_giving_up;
mod m0012_search;
mod m0013_covering;
mod m0014_placing;
mod m0015_moves;
mod m0016_slow_logs;
mod m0017_address_names;
mod m0018_clusters;
mod m0019_load;
mod m0020_cpu_features;
mod m0021_newest_operation;
mod m0022_certificates;
mod m0023_of_account;
mod m0024_living;
mod m0025_samples;
mod m0026_room_changes;
mod m0027_slow_queries;
mod m0028_slow_telling;
mod m0031_slow_logging;
mod m0032_mails_of_accounts;
mod m0033_image_uploads;
mod m0034_unnamed_blobs;
mod m0035_suites;
mod m0036_guest_packages;
mod m0037_saved_views;
mod m0038_load_over_time;
mod m0040_image_signatures;
mod m0041_room_features;
mod m0043_captures;
mod schema;

use crate::engine::Purpose;
use crate::{Engine, StoreError, StoreResult};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement, TransactionTrait as _};
use sea_orm_migration::prelude::*;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Every migration, oldest first.
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_walking_skeleton::Migration),
            Box::new(m0002_engines::Migration),
            Box::new(m0003_inventory::Migration),
            Box::new(m0005_people::Migration),
            Box::new(m0006_life_cycle::Migration),
            Box::new(m0007_webhooks::Migration),
            Box::new(m0008_lists::Migration),
            Box::new(m0009_addresses::Migration),
            Box::new(m0010_restoring::Migration),
            Box::new(m0011_giving_up::Migration),
            Box::new(m0012_search::Migration),
            Box::new(m0013_covering::Migration),
            Box::new(m0014_placing::Migration),
            Box::new(m0015_moves::Migration),
            Box::new(m0016_slow_logs::Migration),
            Box::new(m0017_address_names::Migration),
            Box::new(m0018_clusters::Migration),
            Box::new(m0019_load::Migration),
            Box::new(m0020_cpu_features::Migration),
            Box::new(m0021_newest_operation::Migration),
            Box::new(m0022_certificates::Migration),
            Box::new(m0023_of_account::Migration),
            Box::new(m0024_living::Migration),
            Box::new(m0025_samples::Migration),
            Box::new(m0026_room_changes::Migration),
            Box::new(m0027_slow_queries::Migration),
            Box::new(m0028_slow_telling::Migration),
            Box::new(m0031_slow_logging::Migration),
            Box::new(m0032_mails_of_accounts::Migration),
            Box::new(m0033_image_uploads::Migration),
            Box::new(m0034_unnamed_blobs::Migration),
            Box::new(m0035_suites::Migration),
            Box::new(m0036_guest_packages::Migration),
            Box::new(m0037_saved_views::Migration),
            Box::new(m0038_load_over_time::Migration),
            Box::new(m0040_image_signatures::Migration),
            Box::new(m0041_room_features::Migration),
            Box::new(m0043_captures::Migration),
        ]
    }
}

/// The advisory lock under which a schema is brought up on PostgreSQL: brains that start at the same time do it once.
/// Any number that nothing else in the database uses.
const SCHEMA_LOCK: i64 = 0x686f_6e63_686f_0001;

/// Brings a database to this program's schema: all that is missing of it in one transaction, or nothing.
pub(crate) async fn bring_up(engine: &Engine) -> StoreResult<()> {
    let connection = engine.connect(Purpose::Schema).await?;
    let outcome = bring_up_alone(engine, &connection).await;
    // The lock goes with the session.
    connection.close().await?;
    outcome
}

async fn bring_up_alone(engine: &Engine, connection: &DatabaseConnection) -> StoreResult<()> {
    let postgres = connection.get_database_backend() == DbBackend::Postgres;
    if postgres {
        connection.execute_unprepared(&format!("SELECT pg_advisory_lock({SCHEMA_LOCK})")).await?;
    }
    refuse_newer(connection).await?;
    let pending = Migrator::get_pending_migrations(connection).await?;
    let Some(first) = pending.first() else { return Ok(()) };
    if let Engine::Sqlite(path) = engine
        && pending.len() < Migrator::migrations().len()
    {
        keep_copy(connection, path, first.name()).await?;
    }
    let transaction = connection.begin().await?;
    Migrator::up(&transaction, None).await?;
    if postgres {
        widen_texts(&transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Keeps a copy of a database that is about to be changed: `honcho.sqlite.before-m0002`. One that a failed attempt left is
/// of the same contents, and replaced.
async fn keep_copy(connection: &DatabaseConnection, path: &Path, migration: &str) -> StoreResult<()> {
    let number = migration.split('_').next().unwrap_or(migration);
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let (copy, partial) = (with(&format!(".before-{number}")), with(".before.partial"));
    let failed = |error: std::io::Error| StoreError::Copy { path: copy.clone(), error };
    // It holds what the database holds: nobody else reads it. VACUUM fills a file that is empty.
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial);
    let file = file.map_err(failed)?;
    let sql = "VACUUM INTO $1";
    let place = partial.to_string_lossy().into_owned();
    connection.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, [place.into()])).await?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&partial, &copy).map_err(failed)?;
    if let Some(directory) = copy.parent() {
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    }
    tracing::info!(copy = %copy.display(), "the database is of an older Honcho: brought up, and a copy kept");
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

/// The names of every migration that this program knows, oldest first.
pub(crate) fn known() -> Vec<String> {
    Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect()
}

/// The triggers that a file has, as SQLite writes them down.
pub(crate) fn triggers() -> Vec<String> {
    m0026_room_changes::on_sqlite()
}

/// The names of those that a database has, which is not changed by asking.
pub(crate) async fn applied(connection: &impl sea_orm::ConnectionTrait) -> StoreResult<Vec<String>> {
    let sql = "SELECT version FROM seaql_migrations ORDER BY version";
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| Ok(row.try_get::<String>("", "version")?)).collect()
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

/// Whether the schema is this program's: another one may have brought it further, or begun anew.
pub(crate) async fn check(connection: &DatabaseConnection) -> StoreResult<()> {
    let sql = "SELECT version FROM seaql_migrations";
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let mut applied = std::collections::BTreeSet::new();
    for row in connection.query_all_raw(statement).await? {
        applied.insert(row.try_get::<String>("", "version")?);
    }
    let known = Migrator::migrations();
    if let Some(newer) = applied.iter().find(|version| !known.iter().any(|known| known.name() == *version)) {
        return Err(StoreError::Newer(newer.clone()));
    }
    match known.iter().find(|known| !applied.contains(known.name())) {
        Some(missing) => {
            let why = format!("{} has not been applied", missing.name());
            Err(StoreError::Damaged { what: "schema", why })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    async fn applied(engine: &Engine) -> usize {
        let connection = engine.connect(Purpose::Schema).await.unwrap();
        let applied = Migrator::get_migration_models(&connection).await.unwrap().len();
        connection.close().await.unwrap();
        applied
    }

    #[tokio::test]
    async fn an_older_file_is_brought_up_and_a_copy_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("it's a honcho?.sqlite");
        let engine = Engine::from(&path);
        let connection = engine.connect(Purpose::Schema).await.unwrap();
        Migrator::up(&connection, Some(1)).await.unwrap();
        connection.close().await.unwrap();
        bring_up(&engine).await.unwrap();
        assert_eq!(applied(&engine).await, Migrator::migrations().len());
        let copy = directory.path().join("it's a honcho?.sqlite.before-m0002");
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(applied(&Engine::from(&copy)).await, 1);
        // One that is up already, and a new one, are not copied.
        bring_up(&engine).await.unwrap();
        bring_up(&Engine::from(&directory.path().join("new.sqlite"))).await.unwrap();
        let copies = std::fs::read_dir(directory.path()).unwrap().flatten();
        let copies = copies.filter(|entry| entry.file_name().to_string_lossy().contains("before")).count();
        assert_eq!(copies, 1);
    }

    /// What an older brain gave out stays given out, to the account whose guest has it.
    #[tokio::test]
    async fn held_addresses_have_their_account_once_an_older_file_is_brought_up() {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::from(&directory.path().join("honcho.sqlite"));
        let connection = engine.connect(Purpose::Schema).await.unwrap();
        Migrator::up(&connection, Some(1)).await.unwrap();
        for sql in [
            "INSERT INTO accounts (id, uuid, name, grace_seconds, created_at, lock_version) VALUES (5, x'01', 'acme', 0, 0, 1)",
            "INSERT INTO images (id, uuid, name, digest, compressed, unpacked, packages_count, created_at, lock_version) \
             VALUES (1, x'02', 'debian-12', 'ab', 1, 1, 0, 0, 1)",
            "INSERT INTO networks (id, uuid, name, kind, subnet, generation, created_at, lock_version) \
             VALUES (3, x'03', 'office', 'local', '10.77.0.0/29', 1, 0, 1)",
            "INSERT INTO guests (id, uuid, account_id, name, image_id, power, start_alone, boots_wanted, boot_hard, stop_hard, \
             vcpus, memory, epoch, generation, lock_version, created_at) \
             VALUES (7, x'04', 5, 'web1', 1, 'running', FALSE, 1, FALSE, FALSE, 1, 1, 1, 1, 1, 42)",
            "INSERT INTO interfaces (id, guest_id, network_id) VALUES (9, 7, 3)",
            "INSERT INTO addresses (id, network_id, address, interface_id, freed_at) \
             VALUES (1, 3, zeroblob(16), 9, 0), (2, 3, x'00000000000000000000ffff0a4d0003', NULL, 0)",
        ] {
            connection.execute_unprepared(sql).await.unwrap();
        }
        connection.close().await.unwrap();
        bring_up(&engine).await.unwrap();
        let connection = engine.connect(Purpose::Schema).await.unwrap();
        let sql = "SELECT a.account_id, a.allocated_at, n.subnet FROM addresses a JOIN networks n ON n.id = a.network_id ORDER BY a.id";
        let rows =
            connection.query_all_raw(sea_orm::Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
        let found: Vec<(Option<i64>, Option<i64>, String)> = rows
            .iter()
            .map(|row| {
                let number = |column: &str| row.try_get::<Option<i64>>("", column).unwrap();
                (number("account_id"), number("allocated_at"), row.try_get("", "subnet").unwrap())
            })
            .collect();
        connection.close().await.unwrap();
        let subnet = || "10.77.0.0/29".to_owned();
        assert_eq!(found, [(Some(5), Some(42), subnet()), (None, None, subnet())]);
    }

    #[tokio::test]
    async fn a_newer_file_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::from(&directory.path().join("honcho.sqlite"));
        bring_up(&engine).await.unwrap();
        let connection = engine.connect(Purpose::Schema).await.unwrap();
        let sql = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_far_future', 0)";
        connection.execute_unprepared(sql).await.unwrap();
        connection.close().await.unwrap();
        let refused = bring_up(&engine).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Newer(version) if version == "m9999_far_future"), "{refused}");
    }
}

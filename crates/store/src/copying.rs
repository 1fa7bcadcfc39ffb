//! A copy of a brain's whole memory as of one moment, made while brains go on writing: what a backup holds.
//!
//! The copy is a SQLite file whichever engine it was made of, so that there is one kind of backup and it can be restored
//! to either. Of a file it is `VACUUM INTO`, which reads one snapshot; of PostgreSQL every table is read in one
//! read-only transaction (repeatable read) and written into a file of the same schema.

use crate::engine::Purpose;
use crate::moving::{
    Column, Kind, MIGRATIONS, Progress, ROOM_CHANGES, ROWS_PER_BATCH, VALUES_PER_INSERT, damaged, names,
    number, query, tables, value,
};
use crate::{Engine, StoreError, StoreResult, migrations};
use honcho_model::{Bytes, Digest};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, Statement, TransactionTrait as _,
};
use std::collections::BTreeMap;
use std::path::Path;
use uuid::Uuid;

/// What a copy holds, as far as those who keep it ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The brain whose memory it is.
    pub brain: Uuid,
    /// Which life of it.
    pub incarnation: i64,
    /// The certificate authority that the database belongs to.
    pub ca_fingerprint: Option<String>,
    /// The names of the schema's migrations, oldest first.
    pub schema: Vec<String>,
    /// How many rows each table has.
    pub tables: BTreeMap<String, i64>,
    /// The images that are not deleted, or that a guest was made from.
    pub images: Vec<ImageHeld>,
}

/// An image, whose bytes are a blob and not in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageHeld {
    /// Its name.
    pub name: String,
    /// Its blob.
    pub digest: Digest,
    /// The blob's size.
    pub size: Bytes,
}

/// The names of the migrations that this program knows, oldest first.
pub fn schema() -> Vec<String> {
    migrations::known()
}

/// Copies a database into a new SQLite file. Brains may use it meanwhile.
pub async fn copy_database(from: &Engine, to: &Path, progress: Progress<'_>) -> StoreResult<Contents> {
    match from {
        Engine::Sqlite(path) => {
            let source = Engine::Sqlite(path.clone()).connect(Purpose::Schema).await?;
            let copied = vacuum_into(&source, to).await;
            source.close().await?;
            copied?;
        }
        Engine::Postgres(_) => {
            let file = Engine::from(to);
            migrations::bring_up(&file).await?;
            let (source, target) =
                (from.connect(Purpose::Reading).await?, file.connect(Purpose::Schema).await?);
            let copied = out_of_postgres(&source, &target, progress).await;
            source.close().await?;
            target.close().await?;
            copied?;
        }
    }
    look_into(to).await
}

async fn vacuum_into(source: &DatabaseConnection, to: &Path) -> StoreResult<()> {
    refuse_newer(&migrations::applied(source).await?)?;
    let place = to.to_string_lossy().into_owned();
    let statement = Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO $1", [place.into()]);
    source.execute_raw(statement).await?;
    Ok(())
}

fn refuse_newer(applied: &[String]) -> StoreResult<()> {
    let known = migrations::known();
    match applied.iter().find(|version| !known.contains(version)) {
        Some(newer) => Err(StoreError::Newer(newer.clone())),
        None => Ok(()),
    }
}

async fn out_of_postgres(
    source: &DatabaseConnection,
    target: &DatabaseConnection,
    progress: Progress<'_>,
) -> StoreResult<()> {
    migrations::check(source).await?;
    let snapshot = source.begin().await?;
    let tables = tables(&snapshot).await?;
    let mut all = 0;
    for table in tables.keys() {
        all += number(&snapshot, &format!("SELECT COUNT(*) AS n FROM \"{table}\"")).await?;
    }
    let all = crate::sql::unsigned(all);
    // Tables may refer to each other in circles; whether all of it holds is asked at the end.
    target.execute_unprepared("PRAGMA foreign_keys = OFF").await?;
    let writing = target.begin().await?;
    let mut written = 0;
    for (table, columns) in &tables {
        progress(table, written, all);
        written += copy_table(&snapshot, &writing, table, columns, &|rows| {
            progress(table, written + rows, all);
        })
        .await?;
    }
    carry_sequences(&snapshot, &writing).await?;
    writing.commit().await?;
    Ok(())
}

/// A column as it is read: PostgreSQL has whole numbers of several widths, and a row is read as one.
fn widest(column: &Column) -> String {
    let name = &column.name;
    match column.kind {
        Kind::Integer => format!("CAST(\"{name}\" AS BIGINT) AS \"{name}\""),
        Kind::Float => format!("CAST(\"{name}\" AS DOUBLE PRECISION) AS \"{name}\""),
        _ => format!("\"{name}\""),
    }
}

/// Copies the rows of one table and gives how many there were.
async fn copy_table(
    source: &DatabaseTransaction,
    target: &DatabaseTransaction,
    table: &str,
    columns: &[Column],
    copied: &(dyn Fn(u64) + Sync),
) -> StoreResult<u64> {
    let names = names(columns);
    let batch = (VALUES_PER_INSERT / columns.len()).clamp(1, ROWS_PER_BATCH);
    let read: Vec<String> = columns.iter().map(widest).collect();
    let read = read.join(", ");
    // A name for each table: what a FETCH gives is remembered by its text, and tables differ.
    let cursor = format!("\"copying_{table}\"");
    source
        .execute_unprepared(&format!("DECLARE {cursor} NO SCROLL CURSOR FOR SELECT {read} FROM \"{table}\""))
        .await?;
    let mut all = 0;
    loop {
        let rows = query(source, &format!("FETCH {batch} FROM {cursor}")).await?;
        if rows.is_empty() {
            break;
        }
        let (mut tuples, mut values) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in &rows {
            let mut places = Vec::with_capacity(columns.len());
            for column in columns {
                values.push(value(row, column)?);
                places.push(format!("${}", values.len()));
            }
            tuples.push(format!("({})", places.join(", ")));
        }
        let write = format!("INSERT INTO \"{table}\" ({names}) VALUES {}", tuples.join(", "));
        target.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, write, values)).await?;
        all += rows.len() as u64;
        copied(all);
    }
    source.execute_unprepared(&format!("CLOSE {cursor}")).await?;
    Ok(all)
}

/// Notes in the file the highest id that each table ever had, also of rows that are gone.
async fn carry_sequences(source: &DatabaseTransaction, target: &DatabaseTransaction) -> StoreResult<()> {
    let sql = "SELECT CAST(table_name AS TEXT) AS name, \
               pg_get_serial_sequence(quote_ident(table_name), column_name) AS sequence \
               FROM information_schema.columns WHERE table_schema = current_schema() \
               AND pg_get_serial_sequence(quote_ident(table_name), column_name) IS NOT NULL";
    for row in query(source, sql).await? {
        let (table, sequence): (String, String) = (row.try_get("", "name")?, row.try_get("", "sequence")?);
        let sql = format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS n FROM {sequence}");
        let last = number(source, &sql).await?;
        let raise = [
            "DELETE FROM sqlite_sequence WHERE name = $1 AND seq < $2",
            "INSERT INTO sqlite_sequence (name, seq) SELECT $1, $2 \
             WHERE $2 > 0 AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = $1)",
        ];
        for sql in raise {
            let values = [table.as_str().into(), last.into()];
            target.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)).await?;
        }
    }
    Ok(())
}

/// What a copy holds. Refuses a file that is damaged, or that holds what no brain writes: triggers and views, which
/// would act on their own.
pub async fn look_into(file: &Path) -> StoreResult<Contents> {
    let connection = Engine::from(file).connect(Purpose::Schema).await?;
    let contents = contents(&connection).await;
    connection.close().await?;
    contents
}

async fn contents(connection: &DatabaseConnection) -> StoreResult<Contents> {
    refuse_what_acts(connection).await?;
    refuse_damage(connection).await?;
    let schema = migrations::applied(connection).await?;
    refuse_newer(&schema)?;
    let mut tables = BTreeMap::new();
    let sql = format!(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         AND name NOT IN ('{MIGRATIONS}', '{ROOM_CHANGES}')"
    );
    for row in query(connection, &sql).await? {
        let table: String = row.try_get("", "name")?;
        let quoted = table.replace('"', "\"\"");
        let rows = number(connection, &format!("SELECT COUNT(*) AS n FROM \"{quoted}\"")).await?;
        tables.insert(table, rows);
    }
    let brain = query(connection, "SELECT * FROM brain WHERE id = 1").await?;
    let brain = brain.first().ok_or_else(|| damaged("no brain has ever served from it"))?;
    Ok(Contents {
        brain: brain.try_get("", "uuid")?,
        incarnation: brain.try_get("", "incarnation")?,
        // An older schema has none.
        ca_fingerprint: if schema.iter().any(|name| name.starts_with("m0002")) {
            brain.try_get("", "ca_fingerprint")?
        } else {
            None
        },
        schema,
        tables,
        images: images(connection).await?,
    })
}

/// Refuses what would act by itself: triggers above all, except those that the schema has, to the letter.
async fn refuse_what_acts(connection: &DatabaseConnection) -> StoreResult<()> {
    let sql = "SELECT type || ' ' || name AS what, sql AS said FROM sqlite_master WHERE type NOT IN ('table', 'index') \
               OR (type = 'table' AND sql LIKE 'CREATE VIRTUAL%')";
    let own = migrations::triggers();
    for row in query(connection, sql).await? {
        if !own.contains(&row.try_get::<String>("", "said")?) {
            let what: String = row.try_get("", "what")?;
            return Err(damaged(format!("it holds a {what}, which no brain makes")));
        }
    }
    Ok(())
}

async fn refuse_damage(connection: &DatabaseConnection) -> StoreResult<()> {
    let check = query(connection, "PRAGMA integrity_check(1)").await?;
    let said: Option<String> = check.first().map(|row| row.try_get_by_index(0)).transpose()?;
    if said.as_deref() != Some("ok") {
        return Err(damaged(format!("SQLite says: {}", said.unwrap_or_default())));
    }
    match query(connection, "SELECT \"table\" AS name FROM pragma_foreign_key_check LIMIT 1").await?.first() {
        Some(row) => {
            let table: String = row.try_get("", "name")?;
            Err(damaged(format!("a row of {table} refers to one that is not there")))
        }
        None => Ok(()),
    }
}

async fn images(connection: &DatabaseConnection) -> StoreResult<Vec<ImageHeld>> {
    let sql = "SELECT m.name, m.digest, m.compressed FROM images m WHERE m.deleted_at IS NULL \
               OR EXISTS (SELECT 1 FROM guests g WHERE g.image_id = m.id AND g.deleted_at IS NULL) ORDER BY m.id";
    let mut images = Vec::new();
    for row in query(connection, sql).await? {
        let digest: String = row.try_get("", "digest")?;
        images.push(ImageHeld {
            name: row.try_get("", "name")?,
            digest: digest.parse().map_err(|_| damaged(format!("the digest {digest}")))?,
            size: Bytes(crate::sql::unsigned(row.try_get("", "compressed")?)),
        });
    }
    Ok(images)
}

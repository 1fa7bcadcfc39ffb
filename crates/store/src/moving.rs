//! Carrying a brain's whole memory from a SQLite file into an empty PostgreSQL database.
//!
//! Walks the schema, and knows no table by name: a later migration needs no word here. Everything is copied in one
//! transaction of the target, which is empty or complete. Foreign keys are taken off meanwhile, because tables may refer to
//! each other in circles, and put back, checked, before it commits. Ids stay; sequences begin above every id ever given.

use crate::engine::Purpose;
use crate::{Engine, Refusal, StoreError, StoreResult, migrations};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, QueryResult, Statement,
    TransactionTrait as _, Value,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The table that says which migrations were applied: the target has its own.
pub(crate) const MIGRATIONS: &str = "seaql_migrations";
/// What only the engine that wrote it can read: which hosts changed while a brain was there to read them anew. Nothing is lost
/// with it.
pub(crate) const ROOM_CHANGES: &str = "room_changes";

/// So many values are bound at most in one statement; PostgreSQL takes 65,535.
pub(crate) const VALUES_PER_INSERT: usize = 30_000;

/// So many rows are read and written at a time at most.
pub(crate) const ROWS_PER_BATCH: usize = 2_000;

/// A table that was carried over.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TableMoved {
    /// Its name.
    pub table: String,
    /// How many rows there were.
    pub rows_before: i64,
    /// How many there are in the new place.
    pub rows_after: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer,
    Boolean,
    Text,
    Bytes,
    Uuid,
    Float,
}

pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

pub(crate) fn damaged(why: impl Into<String>) -> StoreError {
    StoreError::Damaged { what: "schema", why: why.into() }
}

pub(crate) async fn query(connection: &impl ConnectionTrait, sql: &str) -> StoreResult<Vec<QueryResult>> {
    Ok(connection.query_all_raw(Statement::from_string(connection.get_database_backend(), sql)).await?)
}

pub(crate) async fn number(connection: &impl ConnectionTrait, sql: &str) -> StoreResult<i64> {
    let found = query(connection, sql).await?;
    Ok(found.first().ok_or_else(|| damaged(format!("nothing from {sql}")))?.try_get("", "n")?)
}

/// The tables of a database and their columns, as PostgreSQL has them.
pub(crate) async fn tables(target: &impl ConnectionTrait) -> StoreResult<BTreeMap<String, Vec<Column>>> {
    let sql = format!(
        "SELECT CAST(c.table_name AS TEXT) AS name, CAST(c.column_name AS TEXT) AS column_name, \
         CAST(c.data_type AS TEXT) AS data_type \
         FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name) \
         WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' AND c.table_name NOT IN ('{MIGRATIONS}', '{ROOM_CHANGES}') \
         ORDER BY c.table_name, c.ordinal_position"
    );
    let mut tables = BTreeMap::<String, Vec<Column>>::new();
    for row in query(target, &sql).await? {
        let (table, name): (String, String) = (row.try_get("", "name")?, row.try_get("", "column_name")?);
        let kind = match row.try_get::<String>("", "data_type")?.as_str() {
            "bigint" | "integer" | "smallint" => Kind::Integer,
            "boolean" => Kind::Boolean,
            "text" | "character varying" => Kind::Text,
            "bytea" => Kind::Bytes,
            "uuid" => Kind::Uuid,
            "double precision" | "real" => Kind::Float,
            other => {
                return Err(damaged(format!("{table}.{name} is of type {other}, which cannot be moved")));
            }
        };
        tables.entry(table).or_default().push(Column { name, kind });
    }
    Ok(tables)
}

/// Refuses to begin where the two schemas differ: what is only on one side would be lost.
async fn refuse_other_schema(
    source: &DatabaseConnection,
    tables: &BTreeMap<String, Vec<Column>>,
) -> StoreResult<()> {
    let sql = format!(
        "SELECT m.name AS name, c.name AS column_name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND m.name NOT IN ('{MIGRATIONS}', '{ROOM_CHANGES}')"
    );
    let mut there: Vec<(String, String)> = Vec::new();
    for row in query(source, &sql).await? {
        there.push((row.try_get("", "name")?, row.try_get("", "column_name")?));
    }
    there.sort();
    let mut here: Vec<(String, String)> = tables
        .iter()
        .flat_map(|(table, columns)| columns.iter().map(|column| (table.clone(), column.name.clone())))
        .collect();
    here.sort();
    if there == here {
        return Ok(());
    }
    let only = |these: &[(String, String)], those: &[(String, String)]| {
        let only = these.iter().filter(|column| !those.contains(column));
        only.map(|(table, column)| format!("{table}.{column}")).collect::<Vec<_>>().join(", ")
    };
    Err(damaged(format!(
        "the two databases differ: only in the file: [{}]; only in the target: [{}]",
        only(&there, &here),
        only(&here, &there)
    )))
}

async fn refuse_rows(
    target: &DatabaseTransaction,
    tables: &BTreeMap<String, Vec<Column>>,
) -> StoreResult<()> {
    for table in tables.keys() {
        let rows = number(target, &format!("SELECT COUNT(*) AS n FROM \"{table}\"")).await?;
        if rows > 0 {
            let text = format!("is not empty: table {table} has {rows} rows; give an empty database");
            return Err(Refusal::invalid("to", text).into());
        }
    }
    Ok(())
}

pub(crate) fn value(row: &QueryResult, column: &Column) -> StoreResult<Value> {
    let name = column.name.as_str();
    Ok(match column.kind {
        Kind::Integer => row.try_get::<Option<i64>>("", name)?.into(),
        Kind::Boolean => row.try_get::<Option<bool>>("", name)?.into(),
        Kind::Text => row.try_get::<Option<String>>("", name)?.into(),
        Kind::Bytes => row.try_get::<Option<Vec<u8>>>("", name)?.into(),
        Kind::Uuid => row.try_get::<Option<Uuid>>("", name)?.into(),
        Kind::Float => row.try_get::<Option<f64>>("", name)?.into(),
    })
}

pub(crate) fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
}

/// Copies the rows of one table, calling `moved` with how many were written after each batch.
async fn copy(
    source: &impl ConnectionTrait,
    target: &impl ConnectionTrait,
    table: &str,
    columns: &[Column],
    moved: &(dyn Fn(usize) + Sync),
) -> StoreResult<()> {
    let names = names(columns);
    let batch = (VALUES_PER_INSERT / columns.len()).clamp(1, ROWS_PER_BATCH);
    let read = format!(
        "SELECT rowid AS moving_rowid, {names} FROM \"{table}\" WHERE rowid > $1 ORDER BY rowid LIMIT {batch}"
    );
    let mut after = i64::MIN;
    loop {
        let statement = Statement::from_sql_and_values(DbBackend::Sqlite, &read, [after.into()]);
        let rows = source.query_all_raw(statement).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.try_get("", "moving_rowid")?;
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
        target.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, write, values)).await?;
        moved(rows.len());
    }
}

/// Takes foreign keys off, and gives what puts them back.
async fn take_keys_off(target: &DatabaseTransaction) -> StoreResult<Vec<String>> {
    let sql = "SELECT CAST(CAST(conrelid AS regclass) AS TEXT) AS name, CAST(conname AS TEXT) AS key, \
               pg_get_constraintdef(oid) AS definition FROM pg_constraint \
               WHERE contype = 'f' AND connamespace = CAST(current_schema() AS regnamespace) ORDER BY oid";
    let mut back = Vec::new();
    for row in query(target, sql).await? {
        let (table, key, definition): (String, String, String) =
            (row.try_get("", "name")?, row.try_get("", "key")?, row.try_get("", "definition")?);
        target.execute_unprepared(&format!("ALTER TABLE {table} DROP CONSTRAINT \"{key}\"")).await?;
        back.push(format!("ALTER TABLE {table} ADD CONSTRAINT \"{key}\" {definition}"));
    }
    Ok(back)
}

/// Sets every sequence above the highest id that its table ever had, also of rows that are gone.
async fn raise_sequences(source: &DatabaseConnection, target: &DatabaseTransaction) -> StoreResult<()> {
    let mut given = BTreeMap::<String, i64>::new();
    for row in query(source, "SELECT name, seq FROM sqlite_sequence").await? {
        given.insert(row.try_get("", "name")?, row.try_get("", "seq")?);
    }
    let sql = "SELECT CAST(table_name AS TEXT) AS name, CAST(column_name AS TEXT) AS column_name, \
               pg_get_serial_sequence(quote_ident(table_name), column_name) AS sequence \
               FROM information_schema.columns WHERE table_schema = current_schema() \
               AND pg_get_serial_sequence(quote_ident(table_name), column_name) IS NOT NULL";
    for row in query(target, sql).await? {
        let (table, column, sequence): (String, String, String) =
            (row.try_get("", "name")?, row.try_get("", "column_name")?, row.try_get("", "sequence")?);
        let highest = format!("SELECT CAST(COALESCE(MAX(\"{column}\"), 0) AS BIGINT) AS n FROM \"{table}\"");
        let last = number(target, &highest).await?.max(given.get(&table).copied().unwrap_or(0));
        let sql = format!("SELECT setval('{sequence}', {}, {})", last.max(1), last > 0);
        target.execute_unprepared(&sql).await?;
    }
    Ok(())
}

/// How far moving is: the table, and how many of how many rows of all tables are written.
pub type Progress<'a> = &'a (dyn Fn(&str, u64, u64) + Sync);

/// Carries everything from `file` to `to`, which must be an empty PostgreSQL database. No brain may use either meanwhile.
pub async fn move_everything(
    file: &std::path::Path,
    to: &Engine,
    progress: Progress<'_>,
) -> StoreResult<Vec<TableMoved>> {
    if !matches!(to, Engine::Postgres(_)) {
        return Err(Refusal::invalid("to", "must be a PostgreSQL database: postgres://USER@HOST/NAME").into());
    }
    let from = Engine::from(file);
    migrations::bring_up(&from).await?;
    migrations::bring_up(to).await?;
    let (source, target) = (from.connect(Purpose::Schema).await?, to.connect(Purpose::Schema).await?);
    let moved = between(&source, &target, progress).await;
    source.close().await?;
    target.close().await?;
    moved
}

async fn between(
    source: &DatabaseConnection,
    target: &DatabaseConnection,
    progress: Progress<'_>,
) -> StoreResult<Vec<TableMoved>> {
    let tables = tables(target).await?;
    refuse_other_schema(source, &tables).await?;
    let transaction = target.begin().await?;
    // Whoever else would write here waits, and finds that it is not empty.
    for table in tables.keys() {
        transaction.execute_unprepared(&format!("LOCK TABLE \"{table}\" IN ACCESS EXCLUSIVE MODE")).await?;
    }
    refuse_rows(&transaction, &tables).await?;
    let mut all = 0;
    for table in tables.keys() {
        all += number(source, &format!("SELECT COUNT(*) AS n FROM \"{table}\"")).await?;
    }
    let all = crate::sql::unsigned(all);
    let keys = take_keys_off(&transaction).await?;
    let written = std::sync::atomic::AtomicU64::new(0);
    let mut moved = Vec::new();
    for (table, columns) in &tables {
        let count = format!("SELECT COUNT(*) AS n FROM \"{table}\"");
        progress(table, written.load(std::sync::atomic::Ordering::Relaxed), all);
        copy(source, &transaction, table, columns, &|rows| {
            let before = written.fetch_add(rows as u64, std::sync::atomic::Ordering::Relaxed);
            progress(table, before + rows as u64, all);
        })
        .await?;
        let (rows_before, rows_after) = (number(source, &count).await?, number(&transaction, &count).await?);
        if rows_before != rows_after {
            let text = format!("of {rows_before} rows of {table}, {rows_after} arrived: nothing was moved");
            return Err(StoreError::Damaged { what: "move", why: text });
        }
        moved.push(TableMoved { table: table.clone(), rows_before, rows_after });
    }
    for key in keys {
        transaction.execute_unprepared(&key).await?;
    }
    raise_sequences(source, &transaction).await?;
    transaction.commit().await.map_err(StoreError::of_commit)?;
    // So that the first questions are planned by what is there now, and counting index entries does not look each row up.
    target.execute_unprepared("VACUUM (ANALYZE)").await?;
    Ok(moved)
}

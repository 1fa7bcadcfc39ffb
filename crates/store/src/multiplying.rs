//! Many guests out of few, for measurements: what a brain knows after years, written in seconds.
//!
//! The few were written as a brain writes them, and each copy is one of them but for its ids, uuid, name and address. It
//! walks the columns of the tables, so that a later migration needs no word here. SQLite alone: into PostgreSQL they are
//! carried by [`crate::moving`].

use crate::sql::{execute, rows, values};
use crate::{StoreResult, Tx};
use honcho_model::GuestId;
use sea_orm::FromQueryResult;

/// What a guest has one row of each in.
const TABLES: [&str; 5] = ["guests", "volumes", "interfaces", "guest_observed", "operations"];

/// Makes `copies` of each guest from `first` to `last`. These must be all there are, with one volume, interface and
/// operation each, and their networks must have room.
pub async fn multiply(tx: &Tx, first: GuestId, last: GuestId, copies: u32) -> StoreResult<()> {
    let count = last.0 - first.0 + 1;
    for table in TABLES {
        let columns = columns(tx, table).await?;
        let values: Vec<String> = columns.iter().map(|column| copied(column, count)).collect();
        let sql = format!(
            "WITH RECURSIVE copies (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM copies WHERE number < $1) \
             INSERT INTO {table} ({}) SELECT {} FROM {table} t CROSS JOIN copies",
            columns.join(", "),
            values.join(", ")
        );
        execute(tx, &sql, values![i64::from(copies)]).await?;
    }
    // Each network gives its addresses in their order, also to guests that were not multiplied.
    execute(
        tx,
        "WITH wanted AS (SELECT i.id, i.network_id, g.account_id, g.created_at, \
         ROW_NUMBER() OVER (PARTITION BY i.network_id ORDER BY i.id) AS number \
         FROM interfaces i JOIN guests g ON g.id = i.guest_id WHERE i.guest_id > $1), \
         free AS (SELECT id, network_id, ROW_NUMBER() OVER (PARTITION BY network_id ORDER BY id) AS number \
         FROM addresses WHERE account_id IS NULL AND NOT reserved) \
         UPDATE addresses SET interface_id = given.interface_id, account_id = given.account_id, \
         allocated_at = given.created_at FROM (SELECT f.id, w.id AS interface_id, w.account_id, w.created_at FROM wanted w \
         JOIN free f ON f.network_id = w.network_id AND f.number = w.number) AS given WHERE addresses.id = given.id",
        values![last.0],
    )
    .await?;
    Ok(())
}

/// A column of copy `number`.
fn copied(column: &str, count: i64) -> String {
    match column {
        "id" | "guest_id" => format!("t.{column} + number * {count}"),
        "uuid" => "randomblob(16)".to_owned(),
        "name" => "t.name || '-' || number".to_owned(),
        other => format!("t.{other}"),
    }
}

async fn columns(tx: &Tx, table: &str) -> StoreResult<Vec<String>> {
    #[derive(FromQueryResult)]
    struct Column {
        name: String,
    }
    let columns: Vec<Column> =
        rows(tx, &format!("SELECT name FROM pragma_table_info('{table}')"), values![]).await?;
    Ok(columns.into_iter().map(|column| column.name).collect())
}

//! Keys whose signatures of images are trusted. A key that is not trusted any more stays known, so that nobody trusts it again by
//! mistake.

use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, execute, insert, number, time, values};
use crate::{Refusal, StoreResult, Tx};
use honcho_api::ImageKey;
use honcho_model::{ImageKeyId, Name};
use sea_orm::FromQueryResult;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    uuid: Uuid,
    name: String,
    public_key: String,
    fingerprint: String,
    created_at: i64,
}

const COLUMNS: &[Column] = &[
    Column::Integer("id", "k.id"),
    Column::Text("name", "k.name"),
    Column::Text("fingerprint", "k.fingerprint"),
];

/// Those that are trusted.
pub async fn list(connection: &impl Connection, filters: &Filters) -> StoreResult<Vec<ImageKey>> {
    let mut select = Select::new(
        "SELECT k.id, k.uuid, k.name, k.public_key, k.fingerprint, k.created_at FROM image_keys k",
        values![],
    );
    select.only("k.deleted_at IS NULL");
    select.filter(filters, "k.id", COLUMNS)?;
    let rows: Vec<Row> = select.all(connection, "k.id", filters).await?;
    let key = |row: Row| ImageKey {
        id: row.id,
        uuid: row.uuid,
        name: row.name,
        public_key: row.public_key,
        fingerprint: row.fingerprint,
        created_at: time(row.created_at),
    };
    Ok(rows.into_iter().map(key).collect())
}

/// One of them.
pub async fn get(connection: &impl Connection, id: ImageKeyId) -> StoreResult<ImageKey> {
    let found = list(connection, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("key").into())
}

/// The trusted one with this fingerprint.
pub async fn trusted(connection: &impl Connection, fingerprint: &str) -> StoreResult<Option<ImageKey>> {
    let found = list(connection, &Filters::default().and("fingerprint", fingerprint)).await?;
    Ok(found.into_iter().next())
}

/// Whether one with this fingerprint was trusted once, and is not any more.
pub async fn was_trusted(connection: &impl Connection, fingerprint: &str) -> StoreResult<bool> {
    let sql = "SELECT 1 AS n FROM image_keys WHERE fingerprint = $1 AND deleted_at IS NOT NULL LIMIT 1";
    Ok(number(connection, sql, values![fingerprint]).await?.is_some())
}

/// Trusts one.
pub async fn create(
    tx: &Tx,
    uuid: Uuid,
    name: &Name,
    public_key: &str,
    fingerprint: &str,
) -> StoreResult<ImageKeyId> {
    let id = insert(
        tx,
        "INSERT INTO image_keys (uuid, name, public_key, fingerprint, created_at) VALUES ($1, $2, $3, $4, $5) RETURNING id AS n",
        values![uuid, name.as_str(), public_key, fingerprint, tx.now.0],
    )
    .await?;
    Ok(ImageKeyId(id))
}

/// Trusts one no more.
pub async fn delete(tx: &Tx, id: ImageKeyId) -> StoreResult<()> {
    execute(tx, "UPDATE image_keys SET deleted_at = $1 WHERE id = $2", values![tx.now.0, id.0]).await?;
    Ok(())
}

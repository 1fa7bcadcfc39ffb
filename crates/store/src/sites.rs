//! Sites: where racks stand.

use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, execute, insert, time, values};
use crate::{Refusal, StoreResult, Tx, racks};
use honcho_api::Site;
use honcho_model::{Name, SiteId};
use sea_orm::FromQueryResult;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    uuid: Uuid,
    name: String,
    location: Option<String>,
    racks_count: i64,
    hosts_count: i64,
    created_at: i64,
    lock_version: i64,
}

const SELECT: &str = "SELECT s.id, s.uuid, s.name, s.location, s.created_at, s.lock_version, \
    (SELECT COUNT(*) FROM racks r WHERE r.site_id = s.id AND r.deleted_at IS NULL) AS racks_count, \
    (SELECT COUNT(*) FROM hosts h LEFT JOIN racks r ON r.id = h.rack_id \
        WHERE COALESCE(r.site_id, h.site_id) = s.id AND h.deleted_at IS NULL) AS hosts_count \
    FROM sites s";
const COLUMNS: &[Column] = &[Column::Integer("id", "s.id"), Column::Text("name", "s.name")];

/// Every site that the filters let through.
pub async fn list(connection: &impl Connection, filters: &Filters) -> StoreResult<Vec<Site>> {
    let mut select = Select::new(SELECT, values![]);
    select.only("s.deleted_at IS NULL");
    select.filter(filters, "s.id", COLUMNS)?;
    let rows: Vec<Row> = select.all(connection, "s.id", filters).await?;
    let site = |row: Row| Site {
        id: row.id,
        uuid: row.uuid,
        name: row.name,
        location: row.location,
        racks_count: row.racks_count,
        hosts_count: row.hosts_count,
        created_at: time(row.created_at),
        lock_version: row.lock_version,
    };
    Ok(rows.into_iter().map(site).collect())
}

/// One site.
pub async fn get(connection: &impl Connection, id: SiteId) -> StoreResult<Site> {
    let found = list(connection, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("site").into())
}

/// Makes one.
pub async fn create(tx: &Tx, uuid: Uuid, name: &Name, location: Option<&str>) -> StoreResult<SiteId> {
    let id = insert(
        tx,
        "INSERT INTO sites (uuid, name, location, created_at, lock_version) VALUES ($1, $2, $3, $4, 1) RETURNING id AS n",
        values![uuid, name.as_str(), location, tx.now.0],
    )
    .await?;
    Ok(SiteId(id))
}

/// Changes one.
pub async fn update(tx: &Tx, id: SiteId, name: &Name, location: Option<&str>) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE sites SET name = $1, location = $2, lock_version = lock_version + 1 WHERE id = $3",
        values![name.as_str(), location, id.0],
    )
    .await?;
    Ok(())
}

/// Deletes one in which nothing is.
pub async fn delete(tx: &Tx, id: SiteId) -> StoreResult<()> {
    let held = racks::names(
        tx,
        "SELECT 'rack ' || r.name AS name FROM racks r WHERE r.site_id = $1 AND r.deleted_at IS NULL \
         UNION ALL SELECT 'host ' || h.name AS name FROM hosts h LEFT JOIN racks r ON r.id = h.rack_id \
         WHERE COALESCE(r.site_id, h.site_id) = $1 AND h.deleted_at IS NULL ORDER BY name",
        id.0,
    )
    .await?;
    racks::refuse_held(&held)?;
    execute(tx, "UPDATE sites SET deleted_at = $1 WHERE id = $2", values![tx.now.0, id.0]).await?;
    Ok(())
}

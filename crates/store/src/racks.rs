//! Racks: what hosts are screwed into.

use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, execute, insert, rows, time, values};
use crate::{Refusal, StoreResult, Tx};
use honcho_api::Rack;
use honcho_model::{Name, RackId, SiteId};
use sea_orm::FromQueryResult;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    uuid: Uuid,
    site_id: i64,
    name: String,
    height_units: i64,
    units_used: i64,
    hosts_count: i64,
    created_at: i64,
    lock_version: i64,
}

const SELECT: &str = "SELECT r.id, r.uuid, r.site_id, r.name, r.height_units, r.created_at, r.lock_version, \
    (SELECT COUNT(DISTINCT u.unit) FROM rack_units u WHERE u.rack_id = r.id) AS units_used, \
    (SELECT COUNT(*) FROM hosts h WHERE h.rack_id = r.id AND h.deleted_at IS NULL) AS hosts_count \
    FROM racks r";
const COLUMNS: &[Column] =
    &[Column::Integer("id", "r.id"), Column::Integer("site_id", "r.site_id"), Column::Text("name", "r.name")];

/// Every rack that the filters let through.
pub async fn list(connection: &impl Connection, filters: &Filters) -> StoreResult<Vec<Rack>> {
    let mut select = Select::new(SELECT, values![]);
    select.only("r.deleted_at IS NULL");
    select.filter(filters, "r.id", COLUMNS)?;
    let rows: Vec<Row> = select.all(connection, "r.id", filters).await?;
    let rack = |row: Row| Rack {
        id: row.id,
        uuid: row.uuid,
        site_id: row.site_id,
        name: row.name,
        height_units: row.height_units,
        units_used: row.units_used,
        hosts_count: row.hosts_count,
        created_at: time(row.created_at),
        lock_version: row.lock_version,
    };
    Ok(rows.into_iter().map(rack).collect())
}

/// One rack.
pub async fn get(connection: &impl Connection, id: RackId) -> StoreResult<Rack> {
    let found = list(connection, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("rack").into())
}

/// Makes one.
pub async fn create(tx: &Tx, uuid: Uuid, site: SiteId, name: &Name, height: i64) -> StoreResult<RackId> {
    let id = insert(
        tx,
        "INSERT INTO racks (uuid, site_id, name, height_units, created_at, lock_version) VALUES ($1, $2, $3, $4, $5, 1) \
         RETURNING id AS n",
        values![uuid, site.0, name.as_str(), height, tx.now.0],
    )
    .await?;
    Ok(RackId(id))
}

/// Changes one.
pub async fn update(tx: &Tx, id: RackId, site: SiteId, name: &Name, height: i64) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE racks SET site_id = $1, name = $2, height_units = $3, lock_version = lock_version + 1 WHERE id = $4",
        values![site.0, name.as_str(), height, id.0],
    )
    .await?;
    Ok(())
}

/// Deletes one in which nothing is.
pub async fn delete(tx: &Tx, id: RackId) -> StoreResult<()> {
    let held = names(
        tx,
        "SELECT 'host ' || name AS name FROM hosts WHERE rack_id = $1 AND deleted_at IS NULL ORDER BY name",
        id.0,
    )
    .await?;
    refuse_held(&held)?;
    execute(tx, "UPDATE racks SET deleted_at = $1 WHERE id = $2", values![tx.now.0, id.0]).await?;
    Ok(())
}

/// The names that a statement about one id gives.
pub(crate) async fn names(connection: &impl Connection, sql: &str, id: i64) -> StoreResult<Vec<String>> {
    #[derive(FromQueryResult)]
    struct Named {
        name: String,
    }
    let found: Vec<Named> = rows(connection, sql, values![id]).await?;
    Ok(found.into_iter().map(|row| row.name).collect())
}

/// Refuses to delete what holds something, and names that; of much, the beginning.
pub(crate) fn refuse_held(held: &[String]) -> StoreResult<()> {
    const SHOWN: usize = 10;
    if held.is_empty() {
        return Ok(());
    }
    let more = match held.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = held.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    Err(Refusal::invalid("base", format!("still holds {shown}{more}: move or delete those first")).into())
}

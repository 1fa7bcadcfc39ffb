//! SANs: storage that several hosts reach. Written down only: no manifest names one and placement knows none.

use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, execute, insert, time, values};
use crate::{Refusal, StoreError, StoreResult, Tx};
use honcho_api::San;
use honcho_model::{HostId, Name, SanId};
use sea_orm::FromQueryResult;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    uuid: Uuid,
    name: String,
    vendor: Option<String>,
    model: Option<String>,
    serial: Option<String>,
    target: String,
    size: Option<i64>,
    hosts: Option<String>,
    created_at: i64,
    lock_version: i64,
}

const SELECT: &str = "SELECT s.id, s.uuid, s.name, s.vendor, s.model, s.serial, s.target, s.size, s.created_at, \
    s.lock_version, (SELECT STRING_AGG(CAST(h.host_id AS TEXT), ',' ORDER BY h.host_id) FROM san_hosts h \
        WHERE h.san_id = s.id) AS hosts \
    FROM sans s";
const COLUMNS: &[Column] = &[Column::Integer("id", "s.id"), Column::Text("name", "s.name")];

/// Every SAN that the filters let through.
pub async fn list(connection: &impl Connection, filters: &Filters) -> StoreResult<Vec<San>> {
    let mut select = Select::new(SELECT, values![]);
    select.only("s.deleted_at IS NULL");
    select.filter(filters, "s.id", COLUMNS)?;
    let rows: Vec<Row> = select.all(connection, "s.id", filters).await?;
    rows.into_iter().map(to_api).collect()
}

fn to_api(row: Row) -> StoreResult<San> {
    let ids = row.hosts.as_deref().unwrap_or_default().split(',').filter(|id| !id.is_empty());
    let host_ids = ids
        .map(|id| id.parse().map_err(|_| StoreError::Damaged { what: "SAN's host", why: id.to_owned() }))
        .collect::<StoreResult<Vec<i64>>>()?;
    Ok(San {
        id: row.id,
        uuid: row.uuid,
        name: row.name,
        status: "recorded".to_owned(),
        status_reason: Some("no agent can use a SAN yet: no guest is placed on it".to_owned()),
        vendor: row.vendor,
        model: row.model,
        serial: row.serial,
        target: row.target,
        size_bytes: row.size,
        host_ids,
        created_at: time(row.created_at),
        lock_version: row.lock_version,
    })
}

/// One SAN.
pub async fn get(connection: &impl Connection, id: SanId) -> StoreResult<San> {
    let found = list(connection, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("SAN").into())
}

/// What a SAN is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Unique among the living.
    pub name: Name,
    /// Who made it.
    pub vendor: Option<String>,
    /// What its maker calls it.
    pub model: Option<String>,
    /// Its maker's number for it.
    pub serial: Option<String>,
    /// Where hosts reach it.
    pub target: String,
    /// Bytes.
    pub size: Option<i64>,
    /// Hosts that reach it, ascending, each once.
    pub hosts: Vec<HostId>,
}

/// Makes one.
pub async fn create(tx: &Tx, uuid: Uuid, new: &Attributes) -> StoreResult<SanId> {
    let id = insert(
        tx,
        "INSERT INTO sans (uuid, name, vendor, model, serial, target, size, created_at, lock_version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1) RETURNING id AS n",
        values![
            uuid,
            new.name.as_str(),
            new.vendor.clone(),
            new.model.clone(),
            new.serial.clone(),
            new.target.clone(),
            new.size,
            tx.now.0
        ],
    )
    .await?;
    reach(tx, SanId(id), &new.hosts).await?;
    Ok(SanId(id))
}

/// Changes one.
pub async fn update(tx: &Tx, id: SanId, new: &Attributes) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE sans SET name = $1, vendor = $2, model = $3, serial = $4, target = $5, size = $6, \
         lock_version = lock_version + 1 WHERE id = $7",
        values![
            new.name.as_str(),
            new.vendor.clone(),
            new.model.clone(),
            new.serial.clone(),
            new.target.clone(),
            new.size,
            id.0
        ],
    )
    .await?;
    reach(tx, id, &new.hosts).await
}

async fn reach(tx: &Tx, id: SanId, hosts: &[HostId]) -> StoreResult<()> {
    execute(tx, "DELETE FROM san_hosts WHERE san_id = $1", values![id.0]).await?;
    for host in hosts {
        execute(tx, "INSERT INTO san_hosts (san_id, host_id) VALUES ($1, $2)", values![id.0, host.0]).await?;
    }
    Ok(())
}

/// Deletes one.
pub async fn delete(tx: &Tx, id: SanId) -> StoreResult<()> {
    execute(tx, "DELETE FROM san_hosts WHERE san_id = $1", values![id.0]).await?;
    execute(tx, "UPDATE sans SET deleted_at = $1 WHERE id = $2", values![tx.now.0, id.0]).await?;
    Ok(())
}

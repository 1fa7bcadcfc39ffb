//! Pools: storage of hosts.

use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, execute, insert, number, time, values};
use crate::{Refusal, StoreResult, Tx, guest_moves};
use honcho_api::Pool;
use honcho_model::{HostId, Name, PoolId};
use sea_orm::FromQueryResult;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    uuid: Uuid,
    host_id: i64,
    name: String,
    kind: String,
    path: String,
    created_at: i64,
    state: Option<String>,
    problem: Option<String>,
    size: Option<i64>,
    free: Option<i64>,
    reflink: Option<bool>,
    placed: i64,
}

const SELECT: &str = "SELECT p.id, p.uuid, p.host_id, p.name, p.kind, p.path, p.created_at, \
    o.state, o.problem, o.size, o.free, o.reflink, \
    CAST(COALESCE((SELECT SUM(CASE WHEN v.growing_to > v.size THEN v.growing_to ELSE v.size END) FROM volumes v \
        WHERE v.pool_id = p.id), 0) AS BIGINT) + CAST(COALESCE((SELECT SUM(m.size) FROM moves m WHERE m.claims_pool_id = p.id), 0) AS BIGINT) AS placed \
    FROM pools p LEFT JOIN pool_observed o ON o.pool_id = p.id";
const COLUMNS: &[Column] = &[
    Column::Integer("id", "p.id"),
    Column::Integer("host_id", "p.host_id"),
    Column::Text("name", "p.name"),
    Column::Text("kind", "p.kind"),
    Column::Text("status", "COALESCE(o.state, 'unknown')"),
];

/// Every pool that the filters let through.
pub async fn list(connection: &impl Connection, filters: &Filters) -> StoreResult<Vec<Pool>> {
    let mut select = Select::new(SELECT, values![]);
    select.only("p.deleted_at IS NULL");
    select.filter(filters, "p.id", COLUMNS)?;
    let rows: Vec<Row> = select.all(connection, "p.id", filters).await?;
    let pool = |row: Row| Pool {
        id: row.id,
        uuid: row.uuid,
        host_id: row.host_id,
        name: row.name,
        kind: row.kind,
        path: row.path,
        status: row.state.unwrap_or_else(|| "unknown".to_owned()),
        status_reason: row.problem,
        size_bytes: row.size,
        free_bytes: row.free,
        placed_bytes: row.placed,
        reflink: row.reflink,
        created_at: time(row.created_at),
    };
    Ok(rows.into_iter().map(pool).collect())
}

/// One pool.
pub async fn get(connection: &impl Connection, id: PoolId) -> StoreResult<Pool> {
    let found = list(connection, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("pool").into())
}

/// Makes a directory pool on a host.
pub async fn create(tx: &Tx, uuid: Uuid, host: HostId, name: &Name, path: &str) -> StoreResult<PoolId> {
    let id = insert(
        tx,
        "INSERT INTO pools (uuid, host_id, name, kind, path, generation, existing, created_at) \
         VALUES ($1, $2, $3, 'directory', $4, 1, FALSE, $5) RETURNING id AS n",
        values![uuid, host.0, name.as_str(), path, tx.now.0],
    )
    .await?;
    tx.touch(host);
    Ok(PoolId(id))
}

/// Deletes one that holds no volume.
pub async fn delete(tx: &Tx, id: PoolId, host: HostId) -> StoreResult<()> {
    let volumes = number(tx, "SELECT COUNT(*) AS n FROM volumes WHERE pool_id = $1", values![id.0]).await?;
    if let Some(volumes @ 1..) = volumes {
        let text = format!("still holds {volumes} volumes: delete their guests first");
        return Err(Refusal::invalid("base", text).into());
    }
    if guest_moves::of_pool(tx, id).await? > 0 {
        let text = "a guest is on its way from it or to it, or left a copy in it that is still to be removed";
        return Err(Refusal::invalid("base", text).into());
    }
    execute(tx, "UPDATE pools SET deleted_at = $1 WHERE id = $2", values![tx.now.0, id.0]).await?;
    tx.touch(host);
    Ok(())
}

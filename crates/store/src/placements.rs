//! Why each guest is where it is: the decision, kept with it.

use crate::sql::{Connection, execute, from_json, is_postgres, number, row, to_json, values};
use crate::{StoreError, StoreResult, Tx, brain};
use honcho_api::Placement;
use honcho_model::GuestId;
use sea_orm::FromQueryResult;

#[derive(FromQueryResult)]
struct Row {
    decision: String,
}

/// Keeps the decision by which a guest came where it is.
pub async fn keep(tx: &Tx, guest: GuestId, decision: &Placement) -> StoreResult<()> {
    execute(
        tx,
        "INSERT INTO guest_placements (guest_id, decision) VALUES ($1, $2) \
         ON CONFLICT (guest_id) DO UPDATE SET decision = excluded.decision",
        values![guest.0, to_json(decision)?],
    )
    .await?;
    Ok(())
}

/// The decision that was kept; `None` for a guest that is older than their keeping.
pub async fn get(connection: &impl Connection, guest: GuestId) -> StoreResult<Option<Placement>> {
    let sql = "SELECT decision FROM guest_placements WHERE guest_id = $1";
    let found: Option<Row> = row(connection, sql, values![guest.0]).await?;
    from_json("placement", found.as_ref().map(|row| row.decision.as_str()))
}

/// What a change sees, in one word: the brain's life, and how far its books went. On PostgreSQL that is the
/// transaction's snapshot: to read the last event would make every two changes that write one get in each other's way.
pub async fn inputs(tx: &Tx) -> StoreResult<String> {
    let identity = brain::get(tx).await?;
    let incarnation = identity.map_or(0, |identity| identity.incarnation.0);
    if is_postgres(tx) {
        #[derive(FromQueryResult)]
        struct Snapshot {
            seen: String,
        }
        let sql = "SELECT CAST(pg_current_snapshot() AS TEXT) AS seen";
        let found: Option<Snapshot> = row(tx, sql, values![]).await?;
        let why = || "PostgreSQL told no snapshot".to_owned();
        let found = found.ok_or_else(|| StoreError::Damaged { what: "snapshot", why: why() })?;
        return Ok(format!("{incarnation}.{}", found.seen));
    }
    let last = number(tx, "SELECT COALESCE(MAX(id), 0) AS n FROM events", values![]).await?;
    Ok(format!("{incarnation}.{}", last.unwrap_or(0)))
}

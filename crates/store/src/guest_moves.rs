//! Moves of guests from host to host: desired rows, and what hosts say of them.
//!
//! ```text
//!   ordered --> begun ------> held ---------> moved ----------> ended
//!   (waits for  claims room   the source says (the guest's host (the source says that
//!    its turn)  there; epoch  it is off, and  changes, in one   its copy is gone)
//!               rises         holds still     transaction)
//!                  '------------'--> given up ----------------> ended
//!                                    (the guest stays)          (the target says that what it had is gone)
//! ```
//!
//! Each word is a column with the time of it, and none is ever taken back: a move is under way until it is moved or given
//! up. Until it is moved the guest is the source's, from then on the target's; there is no moment between.
//!
//! Here are the row and what asks about it; `hosts` has what the two hosts are told, and what follows from what they say.

mod hosts;

use crate::events::{self, NewEvent};
use crate::guests_desired::Desired;
use crate::rooms::Which;
use crate::sql::{Connection, execute, insert, number, row, rows, signed, to_json, values};
use crate::{Refusal, StoreResult, Tx, operations};
use honcho_api::Placement;
use honcho_model::event::ResourceKind;
use honcho_model::{Digest, GuestId, HostId, MoveId, OperationId, PoolId};
use sea_orm::FromQueryResult;
use uuid::Uuid;

pub use hosts::address_of;
pub(crate) use hosts::{
    Copy, Told, arrival, arriving, certificate_changed, copies_on, found, gone, held, leaving, reached_at,
};

/// A move that is neither there nor given up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// Which.
    pub id: MoveId,
    /// Of which guest.
    pub guest: GuestId,
    /// Its operation.
    pub operation: OperationId,
    /// Where the guest is.
    pub from: HostId,
    /// What that is called.
    pub from_name: String,
    /// Where it goes.
    pub to: HostId,
    /// What that is called.
    pub to_name: String,
    /// How far it is.
    pub stage: Stage,
}

/// How far a move is that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It waits for its turn, and nothing was done for it.
    Waiting,
    /// It has begun; the guest is being stopped.
    Begun,
    /// The guest is off, and its disk is on its way.
    Held,
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    guest_id: i64,
    operation_id: i64,
    from_host_id: i64,
    from_name: String,
    to_host_id: i64,
    to_name: String,
    begun: bool,
    held: bool,
}

impl From<Row> for UnderWay {
    fn from(row: Row) -> UnderWay {
        UnderWay {
            id: MoveId(row.id),
            guest: GuestId(row.guest_id),
            operation: OperationId(row.operation_id),
            from: HostId(row.from_host_id),
            from_name: row.from_name,
            to: HostId(row.to_host_id),
            to_name: row.to_name,
            stage: match (row.begun, row.held) {
                (false, _) => Stage::Waiting,
                (true, false) => Stage::Begun,
                (true, true) => Stage::Held,
            },
        }
    }
}

const SELECT: &str = "SELECT m.id, m.guest_id, m.operation_id, m.from_host_id, f.name AS from_name, m.to_host_id, t.name AS to_name, \
    (m.begun_at IS NOT NULL) AS begun, (m.held_at IS NOT NULL) AS held \
    FROM moves m JOIN hosts f ON f.id = m.from_host_id JOIN hosts t ON t.id = m.to_host_id \
    WHERE m.moved_at IS NULL AND m.given_up_at IS NULL";

/// The move of a guest that is under way.
pub async fn of_guest(connection: &impl Connection, guest: GuestId) -> StoreResult<Option<UnderWay>> {
    let sql = format!("{SELECT} AND m.guest_id = $1");
    Ok(row::<Row>(connection, &sql, values![guest.0]).await?.map(UnderWay::from))
}

/// Every move that is under way, in the order in which they were ordered.
pub async fn under_way(connection: &impl Connection) -> StoreResult<Vec<UnderWay>> {
    let found: Vec<Row> = rows(connection, &format!("{SELECT} ORDER BY m.id"), values![]).await?;
    Ok(found.into_iter().map(UnderWay::from).collect())
}

/// A move that has not ended, as those that wait look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Which.
    pub id: MoveId,
    /// Where its guest is, or was.
    pub from: HostId,
    /// Where it goes, or is.
    pub to: HostId,
    /// Where it stands.
    pub phase: Phase,
}

/// Where a move stands that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits for its turn.
    Waiting,
    /// It is under way.
    Begun,
    /// It is through, or was given up, and a copy is still to go.
    Leaving,
}

/// Every move that has not ended, in the order in which they were ordered.
pub async fn pending(connection: &impl Connection) -> StoreResult<Vec<Pending>> {
    #[derive(FromQueryResult)]
    struct PendingRow {
        id: i64,
        from_host_id: i64,
        to_host_id: i64,
        waiting: bool,
        leaving: bool,
    }
    let sql = "SELECT id, from_host_id, to_host_id, (begun_at IS NULL) AS waiting, \
        (moved_at IS NOT NULL OR given_up_at IS NOT NULL) AS leaving FROM moves WHERE ended_at IS NULL ORDER BY id";
    let found: Vec<PendingRow> = rows(connection, sql, values![]).await?;
    let pending = |row: PendingRow| Pending {
        id: MoveId(row.id),
        from: HostId(row.from_host_id),
        to: HostId(row.to_host_id),
        phase: match (row.waiting, row.leaving) {
            (true, _) => Phase::Waiting,
            (false, false) => Phase::Begun,
            (false, true) => Phase::Leaving,
        },
    };
    Ok(found.into_iter().map(pending).collect())
}

/// Whether a copy of a guest's disk is still to be removed from a host.
pub async fn leaves_a_copy(connection: &impl Connection, guest: GuestId, host: HostId) -> StoreResult<bool> {
    let sql = "SELECT 1 AS n FROM moves WHERE guest_id = $1 AND claims_host_id = $2 \
        AND (moved_at IS NOT NULL OR given_up_at IS NOT NULL)";
    Ok(number(connection, sql, values![guest.0, host.0]).await?.is_some())
}

/// How many moves that have not ended are about a host: under way from there or to there, or with a copy left on it.
pub async fn of_host(connection: &impl Connection, host: HostId) -> StoreResult<i64> {
    let sql =
        "SELECT COUNT(*) AS n FROM moves WHERE ended_at IS NULL AND (from_host_id = $1 OR to_host_id = $1)";
    Ok(number(connection, sql, values![host.0]).await?.unwrap_or(0))
}

/// The same of a pool.
pub async fn of_pool(connection: &impl Connection, pool: PoolId) -> StoreResult<i64> {
    let sql =
        "SELECT COUNT(*) AS n FROM moves WHERE ended_at IS NULL AND (from_pool_id = $1 OR to_pool_id = $1)";
    Ok(number(connection, sql, values![pool.0]).await?.unwrap_or(0))
}

/// Orders a move, which waits for its turn then.
pub async fn order(
    tx: &Tx,
    guest: &Desired,
    operation: OperationId,
    from: HostId,
    to: HostId,
) -> StoreResult<MoveId> {
    #[derive(FromQueryResult)]
    struct Volume {
        id: i64,
        uuid: Uuid,
        size: i64,
    }
    let sql = "SELECT id, uuid, size FROM volumes WHERE guest_id = $1";
    let volume: Option<Volume> = row(tx, sql, values![guest.id.0]).await?;
    let volume = volume.ok_or_else(|| Refusal::Conflict("it has no disk that could be moved".to_owned()))?;
    let id = insert(
        tx,
        "INSERT INTO moves (guest_id, operation_id, from_host_id, from_pool_id, to_host_id, volume_id, volume_uuid, size, ordered_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id AS n",
        values![
            guest.id.0,
            operation.0,
            from.0,
            guest.pool.0,
            to.0,
            volume.id,
            volume.uuid,
            volume.size,
            tx.now.0
        ],
    )
    .await?;
    Ok(MoveId(id))
}

/// How a move begins.
pub struct Beginning<'a> {
    /// The pool that the disk goes into.
    pub pool: PoolId,
    /// What is shown to the host that the guest leaves.
    pub ticket: &'a str,
    /// Its SHA-256, which that knows it by.
    pub ticket_hash: Digest,
    /// Where that is reached.
    pub address: &'a str,
    /// Why the guest goes there.
    pub decision: &'a Placement,
}

/// Begins a move: its guest's epoch has risen already, in this transaction. From now on it takes room there.
pub async fn begin(tx: &Tx, id: MoveId, guest: &Desired, beginning: &Beginning<'_>) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE moves SET begun_at = $1, to_pool_id = $2, claims_pool_id = $2, claims_host_id = to_host_id, epoch = $3, \
         ticket = $4, ticket_hash = $5, address = $6, decision = $7, size = $8 WHERE id = $9",
        values![
            tx.now.0,
            beginning.pool.0,
            guest.epoch.0,
            beginning.ticket,
            beginning.ticket_hash.to_string(),
            beginning.address,
            to_json(beginning.decision)?,
            signed(guest.disk.max(guest.growing_to.unwrap_or_default()).0),
            id.0
        ],
    )
    .await?;
    Ok(())
}

/// Gives a move up: the guest stays where it is. What the other host has of it is listed as absent there until it is gone.
pub async fn give_up(tx: &Tx, under_way: &UnderWay) -> StoreResult<()> {
    // A host that was never told of it has nothing to remove.
    let ends = (under_way.stage < Stage::Held).then_some(tx.now.0);
    execute(
        tx,
        "UPDATE moves SET given_up_at = $1, ended_at = $2, generation = 1, \
         claims_host_id = (CASE WHEN $3 THEN NULL ELSE claims_host_id END), \
         claims_pool_id = (CASE WHEN $3 THEN NULL ELSE claims_pool_id END) WHERE id = $4",
        values![tx.now.0, ends, ends.is_some(), under_way.id.0],
    )
    .await?;
    forget_observed(tx, under_way.id).await?;
    tx.touch(under_way.from);
    tx.touch(under_way.to);
    Ok(())
}

async fn forget_observed(tx: &Tx, id: MoveId) -> StoreResult<()> {
    execute(tx, "DELETE FROM move_observed WHERE move_id = $1", values![id.0]).await?;
    Ok(())
}

/// Writes an event of a guest's move, by the names of its hosts.
async fn tell(
    tx: &Tx,
    guest: GuestId,
    kind: &str,
    from: HostId,
    to: HostId,
    text: impl Fn(&str, &str) -> String,
) -> StoreResult<()> {
    #[derive(FromQueryResult)]
    struct Names {
        name: String,
        account_id: i64,
        from_name: String,
        to_name: String,
    }
    let sql = "SELECT g.name, g.account_id, f.name AS from_name, t.name AS to_name FROM guests g, hosts f, hosts t \
        WHERE g.id = $1 AND f.id = $2 AND t.id = $3";
    let names: Option<Names> = row(tx, sql, values![guest.0, from.0, to.0]).await?;
    let Some(names) = names else { return Ok(()) };
    let resource = (ResourceKind::Guest, guest.0, names.name.as_str());
    let event = NewEvent::info(kind, resource, text(&names.from_name, &names.to_name));
    let change = |host: HostId| Some(serde_json::json!({ "host_id": host.0 }));
    let event = event.of(Some(names.account_id.into()));
    let event = if kind == "guest.moved" { event.change(change(from), change(to)) } else { event };
    events::record(tx, event).await?;
    Ok(())
}

/// Room that a move takes besides that of the host that its guest is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Where.
    pub host: HostId,
    /// In which pool.
    pub pool: PoolId,
    /// Whose guest it is.
    pub account: i64,
    /// Its cluster and role, if it has both.
    pub apart: Option<(String, String)>,
    /// Memory in bytes; 0 where only the disk counts.
    pub memory: i64,
    /// Processors.
    pub vcpus: i64,
    /// Disk in bytes.
    pub disk: i64,
}

/// What moves take besides, everywhere or of some hosts.
pub(crate) async fn claims(connection: &impl Connection, which: Which<'_>) -> StoreResult<Vec<Claim>> {
    #[derive(FromQueryResult)]
    struct ClaimRow {
        host_id: i64,
        pool_id: i64,
        account_id: i64,
        cluster: Option<String>,
        role: Option<String>,
        memory: i64,
        vcpus: i64,
        size: i64,
        claims: bool,
    }
    let (those, values) = which.condition("m.claims_host_id");
    let sql = format!(
        "SELECT m.claims_host_id AS host_id, COALESCE(m.claims_pool_id, 0) AS pool_id, g.account_id, g.cluster, g.role, \
         g.memory, CAST(g.vcpus AS BIGINT) AS vcpus, m.size, \
         (m.given_up_at IS NULL AND g.cancelled_at IS NULL AND g.deleting_at IS NULL AND g.memory_claimed) AS claims \
         FROM moves m JOIN guests g ON g.id = m.guest_id WHERE m.claims_host_id IS NOT NULL AND {those} ORDER BY m.id"
    );
    let found: Vec<ClaimRow> = rows(connection, &sql, values).await?;
    let claim = |row: ClaimRow| Claim {
        host: HostId(row.host_id),
        pool: PoolId(row.pool_id),
        account: row.account_id,
        apart: row.cluster.zip(row.role),
        memory: if row.claims { row.memory } else { 0 },
        vcpus: if row.claims { row.vcpus } else { 0 },
        disk: row.size,
    };
    Ok(found.into_iter().map(claim).collect())
}

/// Where guests that are under way will be, and in which pool.
pub(crate) async fn destinations(
    connection: &impl Connection,
) -> StoreResult<std::collections::HashMap<i64, (HostId, PoolId)>> {
    #[derive(FromQueryResult)]
    struct Destination {
        guest: i64,
        to_host: i64,
        to_pool: i64,
    }
    let sql = "SELECT guest_id AS guest, to_host_id AS to_host, COALESCE(to_pool_id, 0) AS to_pool FROM moves \
        WHERE moved_at IS NULL AND given_up_at IS NULL AND begun_at IS NOT NULL";
    let found: Vec<Destination> = rows(connection, sql, values![]).await?;
    Ok(found.into_iter().map(|row| (row.guest, (HostId(row.to_host), PoolId(row.to_pool)))).collect())
}

/// Ends a move that waited for its turn and cannot be made then.
pub async fn refuse(tx: &Tx, under_way: &UnderWay, why: &str) -> StoreResult<()> {
    give_up(tx, under_way).await?;
    let state = honcho_model::operation::OperationState::Refused;
    operations::end(tx, under_way.operation, state, Some(why)).await?;
    tell(tx, under_way.guest, "guest.move_refused", under_way.from, under_way.to, |_, to| {
        format!("is not moved to {to}: {why}")
    })
    .await
}

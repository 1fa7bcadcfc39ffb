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

use crate::events::{self, NewEvent};
use crate::guests_desired::Desired;
use crate::sql::{Connection, execute, from_json, insert, number, row, rows, signed, to_json, values};
use crate::{Refusal, StoreError, StoreResult, Tx, networks, operations, placements};
use honcho_api::Placement;
use honcho_model::event::ResourceKind;
use honcho_model::{Digest, Epoch, GuestId, HostId, MoveId, OperationId, PoolId, VolumeId};
use honcho_wire::{ArrivalObserved, ArrivalState, Failure};
use sea_orm::FromQueryResult;
use uuid::Uuid;

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

/// The host that a guest leaves says that it is off at this epoch for good, and its disk held still.
pub(crate) async fn held(tx: &Tx, guest: GuestId, host: HostId, epoch: Epoch) -> StoreResult<()> {
    #[derive(FromQueryResult)]
    struct Held {
        to_host_id: i64,
    }
    let held: Option<Held> = row(
        tx,
        "UPDATE moves SET held_at = $1 WHERE guest_id = $2 AND from_host_id = $3 AND epoch = $4 AND begun_at IS NOT NULL \
         AND held_at IS NULL AND moved_at IS NULL AND given_up_at IS NULL RETURNING to_host_id",
        values![tx.now.0, guest.0, host.0, epoch.0],
    )
    .await?;
    if let Some(held) = held {
        tx.touch(HostId(held.to_host_id));
    }
    Ok(())
}

/// A host says how what is to arrive gets on. What is durable makes it the guest's holder, in this transaction.
pub(crate) async fn arrival(tx: &Tx, host: HostId, seen: &ArrivalObserved) -> StoreResult<()> {
    #[derive(FromQueryResult)]
    struct Known {
        id: i64,
        name: String,
        account_id: i64,
        progress: Option<String>,
        failure: Option<String>,
    }
    let known: Option<Known> = row(
        tx,
        "SELECT m.id, g.name, g.account_id, o.progress, o.failure FROM moves m JOIN guests g ON g.id = m.guest_id \
         LEFT JOIN move_observed o ON o.move_id = m.id WHERE m.guest_id = $1 AND m.to_host_id = $2 AND m.epoch = $3 \
         AND m.held_at IS NOT NULL AND m.moved_at IS NULL AND m.given_up_at IS NULL",
        values![seen.guest.0, host.0, seen.epoch.0],
    )
    .await?;
    let Some(known) = known else { return Ok(()) };
    if seen.state == ArrivalState::Durable {
        return arrived(tx, MoveId(known.id)).await;
    }
    let progress = seen.progress.as_ref().map(to_json).transpose()?;
    let failure = seen.failure.as_ref().map(to_json).transpose()?;
    if progress == known.progress && failure == known.failure {
        return Ok(());
    }
    let before: Option<Failure> = from_json("failure", known.failure.as_deref())?;
    if let Some(failure) = &seen.failure
        && before.as_ref().is_none_or(|before| before.step != failure.step || before.error != failure.error)
    {
        let text = crate::guests::describe_failure(failure);
        let resource = (ResourceKind::Guest, seen.guest.0, known.name.as_str());
        let event = NewEvent::info("guest.step_failed", resource, text);
        events::record(tx, event.of(Some(known.account_id.into()))).await?;
    }
    execute(
        tx,
        "INSERT INTO move_observed (move_id, progress, failure) VALUES ($1, $2, $3) \
         ON CONFLICT (move_id) DO UPDATE SET progress = $2, failure = $3",
        values![known.id, progress, failure],
    )
    .await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct Arrived {
    guest_id: i64,
    from_host_id: i64,
    from_pool_id: i64,
    to_host_id: i64,
    to_pool_id: Option<i64>,
    decision: Option<String>,
}

/// The guest is the target's from now on, and its copy on the source is to go.
async fn arrived(tx: &Tx, id: MoveId) -> StoreResult<()> {
    let found: Option<Arrived> = row(
        tx,
        "UPDATE moves SET moved_at = $1, generation = 1, claims_host_id = from_host_id, claims_pool_id = from_pool_id \
         WHERE id = $2 RETURNING guest_id, from_host_id, from_pool_id, to_host_id, to_pool_id, decision",
        values![tx.now.0, id.0],
    )
    .await?;
    let Some(arrived) = found else { return Ok(()) };
    let (guest, from, to) =
        (GuestId(arrived.guest_id), HostId(arrived.from_host_id), HostId(arrived.to_host_id));
    let pool = arrived.to_pool_id.unwrap_or(arrived.from_pool_id);
    execute(
        tx,
        "UPDATE guests SET host_id = $1, generation = generation + 1 WHERE id = $2",
        values![to.0, guest.0],
    )
    .await?;
    execute(
        tx,
        "UPDATE volumes SET pool_id = $1, existing = TRUE WHERE guest_id = $2",
        values![pool, guest.0],
    )
    .await?;
    // What its last host said of it says nothing of this one, but for the key, which came with the disk.
    execute(
        tx,
        "UPDATE guest_observed SET settled = FALSE, progress = NULL, failure = NULL, unexpected_stops = 0 WHERE guest_id = $1",
        values![guest.0],
    )
    .await?;
    forget_observed(tx, id).await?;
    for network in networks_of(tx, guest).await? {
        networks::want_on_host(tx, network.into(), to).await?;
    }
    networks::unwant_unused(tx, from).await?;
    if let Some(decision) = from_json::<Placement>("placement", arrived.decision.as_deref())? {
        placements::keep(tx, guest, &decision).await?;
    }
    tx.touch(from);
    tx.touch(to);
    tell(tx, guest, "guest.moved", from, to, |from, to| {
        format!("is {to}'s now: all of its disk is there; its copy on {from} is removed")
    })
    .await
}

async fn networks_of(tx: &Tx, guest: GuestId) -> StoreResult<Vec<i64>> {
    #[derive(FromQueryResult)]
    struct Network {
        network_id: i64,
    }
    let sql = "SELECT DISTINCT network_id FROM interfaces WHERE guest_id = $1 ORDER BY network_id";
    let found: Vec<Network> = rows(tx, sql, values![guest.0]).await?;
    Ok(found.into_iter().map(|row| row.network_id).collect())
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

/// A host says that what was listed as absent there is gone: what it had of a guest that moved away, or did not come.
pub(crate) async fn gone(tx: &Tx, guest: GuestId, host: HostId, epoch: Epoch) -> StoreResult<()> {
    #[derive(FromQueryResult)]
    struct Ended {
        from_host_id: i64,
        to_host_id: i64,
    }
    let ended: Option<Ended> = row(
        tx,
        "UPDATE moves SET ended_at = $1, claims_host_id = NULL, claims_pool_id = NULL WHERE guest_id = $2 AND epoch = $3 \
         AND ended_at IS NULL AND ((moved_at IS NOT NULL AND from_host_id = $4) OR (given_up_at IS NOT NULL AND to_host_id = $4)) \
         RETURNING from_host_id, to_host_id",
        values![tx.now.0, guest.0, epoch.0, host.0],
    )
    .await?;
    let Some(ended) = ended else { return Ok(()) };
    tx.touch(host);
    let (from, to) = (HostId(ended.from_host_id), HostId(ended.to_host_id));
    tell(tx, guest, "guest.copy_removed", from, to, |from, to| {
        let host = if ended.from_host_id == host.0 { from } else { to };
        format!("nothing of it is left on {host}")
    })
    .await
}

/// A host is reached by other agents at another address than before: whoever fetches from it is told.
pub(crate) async fn reached_at(tx: &Tx, host: HostId, address: Option<&str>) -> StoreResult<()> {
    let Some(address) = address else { return Ok(()) };
    let changed: Vec<Other> = rows(
        tx,
        "UPDATE moves SET address = $1 WHERE from_host_id = $2 AND begun_at IS NOT NULL AND moved_at IS NULL \
         AND given_up_at IS NULL AND address <> $1 RETURNING to_host_id AS host_id",
        values![address, host.0],
    )
    .await?;
    for other in changed {
        tx.touch(HostId(other.host_id));
    }
    Ok(())
}

#[derive(FromQueryResult)]
struct Other {
    host_id: i64,
}

/// A host shows another certificate from now on: those with whom it exchanges volumes are told.
pub(crate) async fn certificate_changed(tx: &Tx, host: HostId) -> StoreResult<()> {
    let others: Vec<Other> = rows(
        tx,
        "SELECT (CASE WHEN from_host_id = $1 THEN to_host_id ELSE from_host_id END) AS host_id FROM moves \
         WHERE begun_at IS NOT NULL AND moved_at IS NULL AND given_up_at IS NULL AND (from_host_id = $1 OR to_host_id = $1)",
        values![host.0],
    )
    .await?;
    for other in others {
        tx.touch(HostId(other.host_id));
    }
    Ok(())
}

/// A copy of a guest's disk that is to go from a host.
pub(crate) struct Copy {
    pub(crate) guest: GuestId,
    pub(crate) uuid: Uuid,
    pub(crate) epoch: Epoch,
    pub(crate) generation: i64,
    pub(crate) volume: VolumeId,
    pub(crate) volume_uuid: Uuid,
    pub(crate) pool: PoolId,
}

/// The copies that are to go from a host.
pub(crate) async fn copies_on(connection: &impl Connection, host: HostId) -> StoreResult<Vec<Copy>> {
    #[derive(FromQueryResult)]
    struct CopyRow {
        guest_id: i64,
        uuid: Uuid,
        epoch: Option<i64>,
        generation: Option<i64>,
        volume_id: i64,
        volume_uuid: Uuid,
        pool_id: Option<i64>,
    }
    let found: Vec<CopyRow> = rows(
        connection,
        "SELECT m.guest_id, g.uuid, m.epoch, m.generation, m.volume_id, m.volume_uuid, m.claims_pool_id AS pool_id \
         FROM moves m JOIN guests g ON g.id = m.guest_id WHERE m.claims_host_id = $1 \
         AND (m.moved_at IS NOT NULL OR m.given_up_at IS NOT NULL) ORDER BY m.id",
        values![host.0],
    )
    .await?;
    let copy = |row: CopyRow| Copy {
        guest: GuestId(row.guest_id),
        uuid: row.uuid,
        epoch: Epoch(row.epoch.unwrap_or(0)),
        generation: row.generation.unwrap_or(0),
        volume: VolumeId(row.volume_id),
        volume_uuid: row.volume_uuid,
        pool: PoolId(row.pool_id.unwrap_or(0)),
    };
    Ok(found.into_iter().map(copy).collect())
}

/// A move as one of its two hosts is told of it.
pub(crate) struct Told {
    pub(crate) guest: GuestId,
    pub(crate) uuid: Uuid,
    pub(crate) epoch: Epoch,
    pub(crate) volume: VolumeId,
    pub(crate) volume_uuid: Uuid,
    pub(crate) pool: PoolId,
    pub(crate) address: String,
    pub(crate) ticket: String,
    pub(crate) ticket_hash: Digest,
    /// What the other host may show.
    pub(crate) certificates: Vec<String>,
}

#[derive(FromQueryResult)]
struct ToldRow {
    guest_id: i64,
    uuid: Uuid,
    epoch: Option<i64>,
    volume_id: i64,
    volume_uuid: Uuid,
    to_pool_id: Option<i64>,
    address: Option<String>,
    ticket: Option<String>,
    ticket_hash: Option<String>,
    certificate: Option<String>,
    certificate_next: Option<String>,
}

const TOLD: &str = "SELECT m.guest_id, g.uuid, m.epoch, m.volume_id, m.volume_uuid, m.to_pool_id, m.address, m.ticket, m.ticket_hash, \
    h.certificate, h.certificate_next FROM moves m JOIN guests g ON g.id = m.guest_id JOIN hosts h ON h.id = OTHER \
    WHERE m.begun_at IS NOT NULL AND m.moved_at IS NULL AND m.given_up_at IS NULL AND OWN ORDER BY m.id";

async fn told(connection: &impl Connection, host: HostId, own: &str, other: &str) -> StoreResult<Vec<Told>> {
    let sql = TOLD.replace("OTHER", other).replace("OWN", own);
    let found: Vec<ToldRow> = rows(connection, &sql, values![host.0]).await?;
    let missing = |what| StoreError::Damaged { what, why: "a move that has begun lacks it".to_owned() };
    found
        .into_iter()
        .map(|row| {
            Ok(Told {
                guest: GuestId(row.guest_id),
                uuid: row.uuid,
                epoch: Epoch(row.epoch.ok_or_else(|| missing("epoch of a move"))?),
                volume: VolumeId(row.volume_id),
                volume_uuid: row.volume_uuid,
                pool: PoolId(row.to_pool_id.ok_or_else(|| missing("pool of a move"))?),
                address: row.address.ok_or_else(|| missing("address of a move"))?,
                ticket: row.ticket.ok_or_else(|| missing("ticket of a move"))?,
                ticket_hash: row
                    .ticket_hash
                    .and_then(|text| text.parse().ok())
                    .ok_or_else(|| missing("ticket's hash of a move"))?,
                certificates: row.certificate.into_iter().chain(row.certificate_next).collect(),
            })
        })
        .collect()
}

/// The moves that have begun and are to leave a host.
pub(crate) async fn leaving(connection: &impl Connection, host: HostId) -> StoreResult<Vec<Told>> {
    told(connection, host, "m.from_host_id = $1", "m.to_host_id").await
}

/// The moves whose guests are held still elsewhere and are to arrive at a host.
pub(crate) async fn arriving(connection: &impl Connection, host: HostId) -> StoreResult<Vec<Told>> {
    told(connection, host, "m.to_host_id = $1 AND m.held_at IS NOT NULL", "m.from_host_id").await
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

/// What moves take besides, everywhere or of one host.
pub(crate) async fn claims(connection: &impl Connection, only: Option<HostId>) -> StoreResult<Vec<Claim>> {
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
    let found: Vec<ClaimRow> = rows(
        connection,
        "SELECT m.claims_host_id AS host_id, COALESCE(m.claims_pool_id, 0) AS pool_id, g.account_id, g.cluster, g.role, \
         g.memory, CAST(g.vcpus AS BIGINT) AS vcpus, m.size, \
         (m.given_up_at IS NULL AND g.cancelled_at IS NULL AND g.deleting_at IS NULL AND g.memory_claimed) AS claims \
         FROM moves m JOIN guests g ON g.id = m.guest_id WHERE m.claims_host_id IS NOT NULL \
         AND ($1 = 0 OR m.claims_host_id = $1) ORDER BY m.id",
        values![only.map_or(0, |host| host.0)],
    )
    .await?;
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

/// Where a host's agent is reached by others, as it last said.
pub async fn address_of(connection: &impl Connection, host: HostId) -> StoreResult<Option<String>> {
    #[derive(FromQueryResult)]
    struct Machine {
        machine: Option<String>,
    }
    #[derive(serde::Deserialize)]
    struct Said {
        movers_address: Option<String>,
    }
    let sql = "SELECT machine FROM host_observed WHERE host_id = $1";
    let found: Option<Machine> = row(connection, sql, values![host.0]).await?;
    let machine = found.and_then(|found| found.machine);
    Ok(from_json::<Said>("host observation", machine.as_deref())?.and_then(|said| said.movers_address))
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

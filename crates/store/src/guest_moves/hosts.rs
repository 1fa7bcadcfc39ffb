//! A move's two hosts: what each is told of it by its manifest, and what follows from what each says.

use super::{forget_observed, tell};
use crate::events::{self, NewEvent};
use crate::sql::{Connection, execute, from_json, row, rows, to_json, values};
use crate::{StoreError, StoreResult, Tx, networks, placements};
use honcho_api::Placement;
use honcho_model::event::ResourceKind;
use honcho_model::{Digest, Epoch, GuestId, HostId, MoveId, PoolId, VolumeId};
use honcho_wire::{ArrivalObserved, ArrivalState, Failure};
use sea_orm::FromQueryResult;
use uuid::Uuid;

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
    hand_over(tx, guest, from, (to, PoolId(arrived.to_pool_id.unwrap_or(arrived.from_pool_id)))).await?;
    forget_observed(tx, id).await?;
    if let Some(decision) = from_json::<Placement>("placement", arrived.decision.as_deref())? {
        placements::keep(tx, guest, &decision).await?;
    }
    tell(tx, guest, "guest.moved", from, to, |from, to| {
        format!("is {to}'s now: all of its disk is there; its copy on {from} is removed")
    })
    .await
}

/// A guest is found on a host after a restore: it was moved there after the backup.
pub(crate) async fn found(tx: &Tx, guest: GuestId, to: HostId, pool: PoolId) -> StoreResult<()> {
    #[derive(FromQueryResult)]
    struct Begun {
        id: i64,
        to_host_id: i64,
        to_pool_id: Option<i64>,
    }
    #[derive(FromQueryResult)]
    struct Holder {
        host_id: i64,
    }
    let sql = "SELECT id, to_host_id, to_pool_id FROM moves WHERE guest_id = $1 AND begun_at IS NOT NULL AND moved_at IS NULL \
        AND given_up_at IS NULL";
    let begun: Option<Begun> = row(tx, sql, values![guest.0]).await?;
    if let Some(begun) = begun.filter(|begun| begun.to_host_id == to.0 && begun.to_pool_id == Some(pool.0)) {
        return arrived(tx, MoveId(begun.id)).await;
    }
    if let Some(under_way) = super::of_guest(tx, guest).await? {
        super::refuse(tx, &under_way, "the guest was moved elsewhere after the backup").await?;
    }
    let from: Option<Holder> = row(tx, "SELECT host_id FROM guests WHERE id = $1", values![guest.0]).await?;
    let Some(from) = from else { return Ok(()) };
    hand_over(tx, guest, HostId(from.host_id), (to, pool)).await
}

/// The guest is another host's from now on.
async fn hand_over(tx: &Tx, guest: GuestId, from: HostId, (to, pool): (HostId, PoolId)) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE guests SET host_id = $1, generation = generation + 1 WHERE id = $2",
        values![to.0, guest.0],
    )
    .await?;
    execute(
        tx,
        "UPDATE volumes SET pool_id = $1, existing = TRUE WHERE guest_id = $2",
        values![pool.0, guest.0],
    )
    .await?;
    // What its last host said of it says nothing of this one, but for the key, which came with the disk.
    execute(
        tx,
        "UPDATE guest_observed SET settled = FALSE, progress = NULL, failure = NULL, unexpected_stops = 0 WHERE guest_id = $1",
        values![guest.0],
    )
    .await?;
    for network in networks_of(tx, guest).await? {
        networks::want_on_host(tx, network.into(), to).await?;
    }
    networks::unwant_unused(tx, from).await?;
    tx.touch(from);
    tx.touch(to);
    Ok(())
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

//! Hosts: what they are, who they prove to be, and when they were last heard.

use crate::cells::cells;
use crate::events::{self, NewEvent};
use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, Reach, execute, from_json, insert, number, read, row, rows, time, values};
use crate::{Refusal, StoreResult, Tx, guest_moves, host_places, load};
use honcho_api::{Host, Nic};
use honcho_model::event::ResourceKind;
use honcho_model::host::HostStatus;
use honcho_model::{Generation, HostId, Incarnation, Name, Timestamp};
use honcho_wire::{HostObserved, LoadObserved, Orphan};
use sea_orm::FromQueryResult;
use std::collections::BTreeSet;
use uuid::Uuid;

/// So many hosts are noted as heard by one statement; PostgreSQL binds 65,535 values and SQLite 32,766.
const SEEN_AT_ONCE: usize = 500;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    uuid: Uuid,
    name: String,
    generation: i64,
    frozen_reason: Option<String>,
    created_at: i64,
    joined_at: Option<i64>,
    lock_version: i64,
    last_seen_at: Option<i64>,
    manifest_generation: Option<i64>,
    machine: Option<String>,
    orphans: Option<String>,
    refused: Option<String>,
    memory_placed: i64,
    guests_count: i64,
    site_id: Option<i64>,
    rack_id: Option<i64>,
    position: Option<i64>,
    height_units: i64,
    face: Option<String>,
    vendor: Option<String>,
    model: Option<String>,
    serial: Option<String>,
    cores: Option<i64>,
    memory_bought: Option<i64>,
    bmc_address: Option<String>,
    duties: String,
    draining_since: Option<i64>,
    busy_percent: Option<i64>,
    io_wait_percent: Option<i64>,
    load_seconds: Option<i64>,
    load_at: Option<i64>,
    nics: Option<String>,
}

/// Why a host of the brain's earlier life is left as it is; [`UNACCEPTED`] is the same.
macro_rules! unaccepted {
    () => {
        "the brain was restored from a backup: nothing is changed here until an operator has seen what differs and accepted \
         it (honcho restore status)"
    };
}

/// Why a host of the brain's earlier life is left as it is.
pub const UNACCEPTED: &str = unaccepted!();

/// Why a host `h` is frozen, as SQL; NULL if it is not.
pub(crate) const FROZEN_REASON: &str = concat!(
    "COALESCE(h.frozen_reason, CASE WHEN h.unaccepted_since IS NOT NULL THEN '",
    unaccepted!(),
    "' END)"
);

const SELECT: &str = "SELECT h.id, h.uuid, h.name, h.generation, FROZEN_REASON AS frozen_reason, h.created_at, h.joined_at, \
    h.lock_version, o.last_seen_at, o.manifest_generation, o.machine, o.orphans, o.refused, \
    CAST(COALESCE((SELECT SUM(g.memory) FROM guests g WHERE g.host_id = h.id AND g.cancelled_at IS NULL \
        AND g.deleting_at IS NULL AND g.memory_claimed), 0) AS BIGINT) AS memory_placed, \
    (SELECT COUNT(*) FROM guests g WHERE g.host_id = h.id AND g.deleted_at IS NULL) AS guests_count, \
    COALESCE(r.site_id, h.site_id) AS site_id, h.rack_id, h.position, h.height_units, h.face, h.vendor, h.model, h.serial, \
    h.cores, h.memory_bought, h.bmc_address, h.duties, h.draining_since, \
    o.busy_percent, o.io_wait_percent, o.load_seconds, o.load_at, \
    (SELECT STRING_AGG(n.name || ' ' || n.mac, ',' ORDER BY n.id) FROM host_nics n WHERE n.host_id = h.id) AS nics \
    FROM hosts h LEFT JOIN host_observed o ON o.host_id = h.id LEFT JOIN racks r ON r.id = h.rack_id";
const COLUMNS: &[Column] = &[
    Column::Integer("id", "h.id"),
    Column::Text("name", "h.name"),
    Column::Integer("site_id", "COALESCE(r.site_id, h.site_id)"),
    Column::Integer("rack_id", "h.rack_id"),
    Column::Text("vendor", "h.vendor"),
    Column::Text("model", "h.model"),
    Column::Text("serial", "h.serial"),
];

fn to_api(row: Row, now: Timestamp) -> StoreResult<Host> {
    let frozen = row.frozen_reason.is_some();
    let status = HostStatus::of(row.joined_at.is_some(), frozen, row.last_seen_at.map(Timestamp), now);
    let machine: Option<HostObserved> = from_json("host observation", row.machine.as_deref())?;
    let orphans: Vec<Orphan> = from_json("orphans", row.orphans.as_deref())?.unwrap_or_default();
    let complaint = machine.as_ref().and_then(|machine| machine.problem.clone()).or(row.refused);
    let virtualization = machine.as_ref().and_then(|machine| machine.virtualization.as_ref()).map(|found| {
        format!("{}: {}", if found.kvm { "KVM" } else { "software emulation (TCG)" }, found.reason)
    });
    let status_reason = match status {
        HostStatus::Frozen => row.frozen_reason,
        HostStatus::Waiting => Some("no agent has joined with its token yet".to_owned()),
        HostStatus::Silent => Some("its agent does not speak; its guests may well be running".to_owned()),
        HostStatus::Up => complaint,
    };
    Ok(Host {
        id: row.id,
        uuid: row.uuid,
        name: row.name,
        status,
        status_reason,
        cpus: machine.as_ref().map(|machine| i64::from(machine.cpus)),
        memory_bytes: machine.as_ref().map(|machine| crate::sql::signed(machine.memory.0)),
        memory_placed_bytes: row.memory_placed,
        guests_count: row.guests_count,
        hypervisor: machine.as_ref().map(|machine| machine.hypervisor.clone()),
        virtualization,
        architecture: machine.as_ref().and_then(|machine| Some(machine.cpu.as_ref()?.architecture.clone())),
        cpu_model: machine.as_ref().and_then(|machine| machine.cpu.as_ref()?.model.clone()),
        cpu_features: None,
        agent_version: machine.map(|machine| machine.agent_version),
        busy_percent: row.busy_percent,
        io_wait_percent: row.io_wait_percent,
        load_window_seconds: row.load_seconds,
        load_at: row.load_at.map(time),
        last_seen_at: row.last_seen_at.filter(|at| *at > 0).map(time),
        generation: row.generation,
        observed_generation: row.manifest_generation,
        orphans: orphans.into_iter().map(|orphan| format!("{} {}", orphan.kind, orphan.name)).collect(),
        site_id: row.site_id,
        rack_id: row.rack_id,
        position: row.position,
        height_units: row.height_units,
        face: row.face,
        vendor: row.vendor,
        model: row.model,
        serial: row.serial,
        cores: row.cores,
        memory_bought_bytes: row.memory_bought,
        bmc_address: row.bmc_address,
        duties: row.duties.split_whitespace().map(str::to_owned).collect(),
        draining_since: row.draining_since.map(time),
        nics: nics(row.nics.as_deref().unwrap_or_default()),
        created_at: time(row.created_at),
        lock_version: row.lock_version,
        join_token: None,
    })
}

/// Network cards as the statement gives them: `eth0 02:…,eth1 02:…`. Names hold neither comma nor space.
fn nics(text: &str) -> Vec<Nic> {
    let nic = |text: &str| {
        let (name, mac) = text.split_once(' ')?;
        Some(Nic { name: name.to_owned(), mac: mac.to_owned() })
    };
    text.split(',').filter_map(nic).collect()
}

/// Every host that the filters let through.
pub async fn list(connection: &impl Connection, filters: &Filters, now: Timestamp) -> StoreResult<Vec<Host>> {
    let sql = SELECT.replace("FROZEN_REASON", FROZEN_REASON);
    let mut select = Select::new(sql, values![]);
    select.only("h.deleted_at IS NULL");
    select.filter(filters, "h.id", COLUMNS)?;
    let rows: Vec<Row> = select.all(connection, "h.id", filters).await?;
    rows.into_iter().map(|row| to_api(row, now)).collect()
}

/// One host.
pub async fn get(connection: &impl Connection, id: HostId, now: Timestamp) -> StoreResult<Host> {
    #[derive(FromQueryResult)]
    struct Features {
        cpu_features: Option<String>,
    }
    let found = list(connection, &Filters::default().and("id", id), now).await?;
    let mut host = found.into_iter().next().ok_or(Refusal::NotFound("host"))?;
    // They are a long text, which lists leave out.
    let sql = "SELECT cpu_features FROM host_observed WHERE host_id = $1";
    let features: Option<Features> = row(connection, sql, values![id.0]).await?;
    let features = features.and_then(|found| found.cpu_features);
    host.cpu_features = features.map(|words| words.split_whitespace().map(str::to_owned).collect());
    Ok(host)
}

/// Adds one that waits for its agent.
pub async fn create(tx: &Tx, uuid: Uuid, name: &Name) -> StoreResult<HostId> {
    let id = insert(
        tx,
        "INSERT INTO hosts (uuid, name, generation, created_at, lock_version) VALUES ($1, $2, 1, $3, 1) RETURNING id AS n",
        values![uuid, name.as_str(), tx.now.0],
    )
    .await?;
    Ok(HostId(id))
}

/// Deletes one that holds nothing. Its certificate is good for nothing from then on.
pub async fn delete(tx: &Tx, id: HostId) -> StoreResult<()> {
    let guests = number(
        tx,
        "SELECT COUNT(*) AS n FROM guests WHERE host_id = $1 AND deleted_at IS NULL",
        values![id.0],
    )
    .await?;
    if let Some(guests @ 1..) = guests {
        return Err(
            Refusal::invalid("base", format!("still holds {guests} guests: delete those first")).into()
        );
    }
    if guest_moves::of_host(tx, id).await? > 0 {
        let text = "guests are on their way from it or to it, or left a copy on it that is still to be removed: wait until \
                    they are through, or give the moves up";
        return Err(Refusal::invalid("base", text).into());
    }
    execute(tx, "DELETE FROM network_placements WHERE host_id = $1", values![id.0]).await?;
    host_places::release(tx, id).await?;
    execute(tx, "DELETE FROM san_hosts WHERE host_id = $1", values![id.0]).await?;
    load::forget(tx, load::Kind::Host, id.0).await?;
    execute(tx, "UPDATE pools SET deleted_at = $1 WHERE host_id = $2", values![tx.now.0, id.0]).await?;
    execute(
        tx,
        "UPDATE hosts SET deleted_at = $1, certificate = NULL, certificate_next = NULL, join_hash = NULL WHERE id = $2",
        values![tx.now.0, id.0],
    )
    .await?;
    tx.touch(id);
    Ok(())
}

/// Begins to empty a host, or ends that: no new guest goes where `since` stands.
pub async fn set_draining(tx: &Tx, id: HostId, since: Option<Timestamp>) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE hosts SET draining_since = $1 WHERE id = $2",
        values![since.map(|since| since.0), id.0],
    )
    .await?;
    Ok(())
}

/// Gives a host a join token and ends the certificate it had. Also how a frozen host is thawed: once it has joined.
pub async fn offer_join(tx: &Tx, id: HostId, join_hash: &str, expires_at: Timestamp) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE hosts SET join_hash = $1, join_expires_at = $2, certificate = NULL, certificate_next = NULL WHERE id = $3",
        values![join_hash, expires_at.0, id.0],
    )
    .await?;
    // Polls that the old certificate holds end at once.
    tx.touch(id);
    guest_moves::certificate_changed(tx, id).await
}

/// A host that its join token stands for.
#[derive(Clone, Debug)]
pub struct Joining {
    /// Its id.
    pub id: HostId,
    /// Its name.
    pub name: String,
}

#[derive(FromQueryResult)]
struct JoiningRow {
    id: i64,
    name: String,
}

/// Uses a join token up: gives its host and binds that to a certificate. `None` when there is no such token, it was
/// used, or it has expired.
pub async fn join(
    tx: &Tx,
    id: HostId,
    join_hash: &str,
    dmi_uuid: Option<&str>,
    machine_id: Option<&str>,
) -> StoreResult<Option<Joining>> {
    let found: Option<JoiningRow> = row(
        tx,
        "UPDATE hosts SET join_hash = NULL, join_expires_at = NULL, frozen_at = NULL, frozen_reason = NULL, \
         joined_at = $1, dmi_uuid = $2, machine_id = $3 \
         WHERE id = $4 AND join_hash = $5 AND join_expires_at >= $1 AND deleted_at IS NULL RETURNING id, name",
        values![tx.now.0, dmi_uuid, machine_id, id.0, join_hash],
    )
    .await?;
    let Some(found) = found else { return Ok(None) };
    // Whoever joins starts a new history: reports of the earlier agent count for nothing.
    execute(tx, "DELETE FROM host_observed WHERE host_id = $1", values![id.0]).await?;
    tx.touch(id);
    Ok(Some(Joining { id: HostId(found.id), name: found.name }))
}

/// Binds a host to a certificate (hex SHA-256 of its DER).
pub async fn bind_certificate(tx: &Tx, id: HostId, fingerprint: &str) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE hosts SET certificate = $1, certificate_next = NULL WHERE id = $2",
        values![fingerprint, id.0],
    )
    .await?;
    guest_moves::certificate_changed(tx, id).await
}

/// Binds it to a renewed one as well, until that is first used. `shown` is the one it was asked for with: if that was
/// revoked meanwhile, nothing is bound, and `false` is given.
pub async fn bind_next_certificate(tx: &Tx, id: HostId, shown: &str, next: &str) -> StoreResult<bool> {
    let bound = execute(
        tx,
        "UPDATE hosts SET certificate_next = $1 WHERE id = $2 AND deleted_at IS NULL \
         AND (certificate = $3 OR certificate_next = $3)",
        values![next, id.0, shown],
    )
    .await?;
    guest_moves::certificate_changed(tx, id).await?;
    Ok(bound > 0)
}

/// Notes that a renewed certificate is in use: the one before it is good for nothing from now on. `false` when it was
/// revoked meanwhile.
pub async fn use_next_certificate(tx: &Tx, id: HostId, next: &str) -> StoreResult<bool> {
    execute(
        tx,
        "UPDATE hosts SET certificate = certificate_next, certificate_next = NULL WHERE id = $1 AND certificate_next = $2",
        values![id.0, next],
    )
    .await?;
    // Two first requests may come at once; the second finds it in use.
    Ok(by_certificate(tx, next).await?.is_some_and(|proven| proven.id == id))
}

/// The host that a certificate proves.
#[derive(Clone, Debug)]
pub struct Proven {
    /// Its id.
    pub id: HostId,
    /// Its name.
    pub name: String,
    /// Whether the certificate is a renewed one that was not used before.
    pub first_use: bool,
    /// The uuid that the firmware of the machine that joined told.
    pub dmi_uuid: Option<String>,
    /// The machine-id of the machine that joined.
    pub machine_id: Option<String>,
    /// Whether nothing may start or be deleted there.
    pub frozen: bool,
}

cells! {
    struct ProvenRow {
        id: i64 = "id",
        name: String = "name",
        certificate: Option<String> = "certificate",
        dmi_uuid: Option<String> = "dmi_uuid",
        machine_id: Option<String> = "machine_id",
        frozen: bool = "(frozen_at IS NOT NULL)",
    }
}

/// Who a certificate belongs to; `None` when it is revoked or never was given out. Asked with every request of an agent:
/// each half of it is found in an index of its own, however many hosts there are.
pub async fn by_certificate(connection: &impl Connection, fingerprint: &str) -> StoreResult<Option<Proven>> {
    let sql = format!(
        "SELECT {} FROM hosts WHERE (certificate = $1 OR certificate_next = $1) AND deleted_at IS NULL",
        ProvenRow::COLUMNS.join(", ")
    );
    let found: Vec<ProvenRow> = read(connection, Reach::Few, sql, values![fingerprint]).await?;
    Ok(found.into_iter().next().map(|row| Proven {
        id: HostId(row.id),
        name: row.name,
        first_use: row.certificate.as_deref() != Some(fingerprint),
        dmi_uuid: row.dmi_uuid,
        machine_id: row.machine_id,
        frozen: row.frozen,
    }))
}

/// Freezes a host: nothing starts or is deleted there until it has joined anew. Gives whether it was not frozen yet.
pub async fn freeze(tx: &Tx, id: HostId, reason: &str) -> StoreResult<bool> {
    let changed = execute(
        tx,
        "UPDATE hosts SET frozen_at = $1, frozen_reason = $2 WHERE id = $3 AND frozen_at IS NULL",
        values![tx.now.0, reason, id.0],
    )
    .await?;
    if changed > 0 {
        tx.touch(id);
    }
    Ok(changed > 0)
}

/// Whether the agent of a host said that it can do this.
pub async fn can(connection: &impl Connection, id: HostId, capability: &str) -> StoreResult<bool> {
    #[derive(FromQueryResult)]
    struct Said {
        capabilities: Option<String>,
    }
    let sql = "SELECT capabilities FROM host_observed WHERE host_id = $1";
    let said: Option<Said> = row(connection, sql, values![id.0]).await?;
    let said = said.and_then(|said| said.capabilities).unwrap_or_default();
    Ok(said.split(' ').any(|word| word == capability))
}

/// The generation of what is desired on a host.
pub async fn generation(connection: &impl Connection, id: HostId) -> StoreResult<Option<Generation>> {
    let n = number(connection, "SELECT generation AS n FROM hosts WHERE id = $1", values![id.0]).await?;
    Ok(n.map(Generation))
}

/// What a manifest of a host would be named by now: the brain's life, and the generation of what is desired there. One
/// statement, for it is asked by every agent that waits.
pub async fn version(
    connection: &impl Connection,
    id: HostId,
) -> StoreResult<Option<(Incarnation, Generation)>> {
    cells! {
        struct VersionRow {
            incarnation: i64 = "b.incarnation",
            generation: i64 = "h.generation",
        }
    }
    let sql = format!(
        "SELECT {} FROM hosts h JOIN brain b ON b.id = 1 WHERE h.id = $1",
        VersionRow::COLUMNS.join(", ")
    );
    let found: Vec<VersionRow> = read(connection, Reach::Few, sql, values![id.0]).await?;
    Ok(found.first().map(|row| (Incarnation(row.incarnation), Generation(row.generation))))
}

pub(crate) async fn raise_generation(connection: &impl Connection, id: HostId) -> StoreResult<()> {
    execute(connection, "UPDATE hosts SET generation = generation + 1 WHERE id = $1", values![id.0]).await?;
    Ok(())
}

/// When a host was heard, and how busy it said it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub host: HostId,
    /// When, by the brain's clock.
    pub at: Timestamp,
    /// How busy it is, if it said so.
    pub load: Option<LoadObserved>,
}

/// Notes when hosts were last heard; many at once, for liveness is written in batches: a statement for hundreds of them, and
/// one each for those alone that had been noted as silent. Nothing that is desired changes.
pub async fn note_seen(tx: &Tx, seen: &[Seen]) -> StoreResult<()> {
    #[derive(FromQueryResult)]
    struct Silent {
        host_id: i64,
    }
    let silent: Vec<Silent> =
        rows(tx, "SELECT host_id FROM host_observed WHERE silent_noted", values![]).await?;
    let silent: BTreeSet<i64> = silent.into_iter().map(|row| row.host_id).collect();
    for Seen { host, .. } in seen.iter().filter(|seen| silent.contains(&seen.host.0)) {
        note_return(tx, *host).await?;
    }
    for some in seen.chunks(SEEN_AT_ONCE) {
        let sql = format!(
            "UPDATE host_observed SET last_seen_at = seen.column2, silent_noted = FALSE FROM (VALUES {}) AS seen \
             WHERE host_observed.host_id = seen.column1 AND host_observed.last_seen_at < seen.column2",
            places(some.len(), 2)
        );
        let values = some.iter().flat_map(|seen| values![seen.host.0, seen.at.0]).collect();
        execute(tx, &sql, values).await?;
    }
    let loads: Vec<(&Seen, LoadObserved)> = seen.iter().filter_map(|seen| Some((seen, seen.load?))).collect();
    for some in loads.chunks(SEEN_AT_ONCE) {
        let sql = format!(
            "UPDATE host_observed SET load_at = seen.column2, busy_percent = seen.column3, io_wait_percent = seen.column4, \
             load_seconds = seen.column5 FROM (VALUES {}) AS seen WHERE host_observed.host_id = seen.column1",
            places(some.len(), 5)
        );
        let of = |(seen, load): &(&Seen, LoadObserved)| {
            let (busy, waits) = (i64::from(load.busy_percent), i64::from(load.io_wait_percent));
            values![seen.host.0, seen.at.0, busy, waits, i64::from(load.window_seconds)]
        };
        execute(tx, &sql, some.iter().flat_map(of).collect()).await?;
    }
    Ok(())
}

/// So many rows of so many numbers each, as `VALUES` has them.
fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let cells: Vec<String> =
            (1..=columns).map(|column| format!("CAST(${} AS BIGINT)", row * columns + column)).collect();
        format!("({})", cells.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// Writes an event if a host that was noted as silent speaks again.
pub(crate) async fn note_return(tx: &Tx, host: HostId) -> StoreResult<()> {
    let returned: Option<JoiningRow> = row(
        tx,
        "SELECT h.id, h.name FROM hosts h JOIN host_observed o ON o.host_id = h.id WHERE h.id = $1 AND o.silent_noted",
        values![host.0],
    )
    .await?;
    if let Some(returned) = returned {
        let resource = (ResourceKind::Host, returned.id, returned.name.as_str());
        events::record(tx, NewEvent::info("host.heard", resource, "its agent speaks again")).await?;
        execute(tx, "UPDATE host_observed SET silent_noted = FALSE WHERE host_id = $1", values![host.0])
            .await?;
    }
    Ok(())
}

/// Hosts that fell silent and were not noted so yet.
pub async fn fallen_silent(connection: &impl Connection, now: Timestamp) -> StoreResult<Vec<Joining>> {
    let limit = now.0 - i64::try_from(honcho_model::host::SILENT_AFTER.as_micros()).unwrap_or(i64::MAX);
    let fallen: Vec<JoiningRow> = rows(
        connection,
        "SELECT h.id, h.name FROM hosts h JOIN host_observed o ON o.host_id = h.id \
         WHERE h.deleted_at IS NULL AND o.last_seen_at < $1 AND NOT o.silent_noted",
        values![limit],
    )
    .await?;
    Ok(fallen.into_iter().map(|row| Joining { id: HostId(row.id), name: row.name }).collect())
}

/// The same; they are noted now.
pub async fn take_fallen_silent(tx: &Tx) -> StoreResult<Vec<Joining>> {
    let fallen = fallen_silent(tx, tx.now).await?;
    for host in &fallen {
        execute(tx, "UPDATE host_observed SET silent_noted = TRUE WHERE host_id = $1", values![host.id.0])
            .await?;
    }
    Ok(fallen)
}

//! What is desired of guests: the rows that operations change.

use crate::addresses::{Holder, Wish};
use crate::list::{Filters, Select};
use crate::sql::{Connection, execute, insert, number, row, rows, signed, to_json, unsigned, values};
use crate::{Refusal, Scope, StoreError, StoreResult, Tx};
use crate::{addresses, clusters, guest_packages, load, networks};
use honcho_model::guest::Power;
use honcho_model::{
    AccountId, Bytes, CpuFeature, Epoch, Family, Generation, GuestId, HostId, ImageId, InterfaceId, Name,
    NetworkId, OperationId, PoolId, Timestamp,
};
use sea_orm::FromQueryResult;
use std::net::IpAddr;
use uuid::Uuid;

/// What a new guest is made of, placement included.
pub struct NewGuest {
    /// Random; the domain's too.
    pub uuid: Uuid,
    /// Random; in the volume's name.
    pub volume_uuid: Uuid,
    /// Who owns it.
    pub account: AccountId,
    /// Unique in its account.
    pub name: Name,
    /// The creator's own key.
    pub reference: Option<String>,
    /// What its volume is made from.
    pub image: ImageId,
    /// Where it is placed.
    pub host: HostId,
    /// Where its volume is placed.
    pub pool: PoolId,
    /// Its cards, first to last.
    pub interfaces: Vec<NewInterface>,
    /// Whether it should run.
    pub power: Power,
    /// Whether it may start before the brain has answered.
    pub start_alone: bool,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory.
    pub memory: Bytes,
    /// Disk.
    pub disk: Bytes,
    /// Who may log in.
    pub ssh_keys: Vec<String>,
    /// With which of the account's guests it belongs together.
    pub cluster: Option<Name>,
    /// What it is there.
    pub role: Option<Name>,
    /// What its host's processors must be able to do.
    pub cpu_features: std::collections::BTreeSet<CpuFeature>,
}

/// A network card of a new guest.
#[derive(Clone)]
pub struct NewInterface {
    /// The network it is in.
    pub network: NetworkId,
    /// Addresses that it is to have; of families that are not named here, the longest-freed.
    pub named: Vec<IpAddr>,
}

impl NewInterface {
    /// One that takes what it is given.
    pub fn of(network: NetworkId) -> Self {
        NewInterface { network, named: Vec::new() }
    }
}

/// Makes one, with its volume, its interfaces and their addresses.
pub async fn create(tx: &Tx, new: &NewGuest) -> StoreResult<GuestId> {
    let boots = i64::from(new.power == Power::Running);
    let id = insert(
        tx,
        "INSERT INTO guests (uuid, account_id, name, reference, image_id, host_id, power, start_alone, boots_wanted, \
         boot_hard, stop_hard, vcpus, memory, ssh_keys, epoch, generation, lock_version, created_at, cluster, role, cpu_features) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, FALSE, FALSE, $10, $11, $12, 1, 1, 1, $13, $14, $15, $16) RETURNING id AS n",
        values![
            new.uuid,
            new.account.0,
            new.name.as_str(),
            new.reference.clone(),
            new.image.0,
            new.host.0,
            new.power.as_str(),
            new.start_alone,
            boots,
            i64::from(new.vcpus),
            signed(new.memory.0),
            to_json(&new.ssh_keys)?,
            tx.now.0,
            new.cluster.as_ref().map(Name::as_str),
            new.role.as_ref().map(Name::as_str),
            words(&new.cpu_features)
        ],
    )
    .await?;
    insert(
        tx,
        "INSERT INTO volumes (uuid, guest_id, pool_id, size, existing) VALUES ($1, $2, $3, $4, FALSE) RETURNING id AS n",
        values![new.volume_uuid, id, new.pool.0, signed(new.disk.0)],
    )
    .await?;
    for interface in &new.interfaces {
        plug_in(tx, GuestId(id), new.account, interface).await?;
        networks::want_on_host(tx, interface.network, new.host).await?;
    }
    tx.touch(new.host);
    Ok(GuestId(id))
}

/// Words as they are kept; nothing of none.
fn words(features: &std::collections::BTreeSet<CpuFeature>) -> Option<String> {
    let words: Vec<&str> = features.iter().map(CpuFeature::as_str).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Makes a card, and gives it an address of each family that its network has.
async fn plug_in(tx: &Tx, guest: GuestId, account: AccountId, new: &NewInterface) -> StoreResult<()> {
    let network = networks::addressing(tx, Scope::System, new.network).await?;
    let interface = insert(
        tx,
        "INSERT INTO interfaces (guest_id, network_id) VALUES ($1, $2) RETURNING id AS n",
        values![guest.0, new.network.0],
    )
    .await?;
    let holder = Holder::card(account, InterfaceId(interface));
    for address in &new.named {
        addresses::take(tx, &network, Wish::This(*address), &holder).await?;
    }
    for net in network.subnets.nets() {
        let family = Family::of(net.addr());
        if !new.named.iter().any(|named| Family::of(*named) == family) {
            addresses::take(tx, &network, Wish::Any(family), &holder).await?;
        }
    }
    Ok(())
}

/// What is desired of one guest: read, changed by an operation, saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Its id.
    pub id: GuestId,
    /// Who owns it.
    pub account: AccountId,
    /// What it is called.
    pub name: Name,
    /// Where it is placed.
    pub host: Option<HostId>,
    /// Where its volume is; 0 once that is gone.
    pub pool: PoolId,
    /// Whether it should run, were it not cancelled.
    pub power: Power,
    /// Whether it may start before the brain has answered.
    pub start_alone: bool,
    /// How many boots were asked for.
    pub boots_wanted: i64,
    /// Up to this number, boots that are missing are not made up for.
    pub boots_waived: i64,
    /// Whether the waiting boot may pull the plug.
    pub boot_hard: bool,
    /// Whether stopping may pull the plug.
    pub stop_hard: bool,
    /// The operation that was given up, until the next wish.
    pub given_up: Option<OperationId>,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory.
    pub memory: Bytes,
    /// Disk.
    pub disk: Bytes,
    /// What its disk may still become, where a growth was given up: it counts until its host has said what it is.
    pub growing_to: Option<Bytes>,
    /// Covers all of this.
    pub generation: Generation,
    /// Of this guest at its host.
    pub epoch: Epoch,
    /// Rises when a writable attribute changes.
    pub lock_version: i64,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// Whether its account's cancellation cancelled it.
    pub cancelled_with_account: bool,
    /// Since when its account is suspended.
    pub suspended_at: Option<Timestamp>,
    /// Whether its memory counts on its host; not after it was taken back where there was no room for it.
    pub memory_claimed: bool,
    /// When its grace period ends.
    pub deletes_at: Option<Timestamp>,
    /// Since when it is to go.
    pub deleting_at: Option<Timestamp>,
    /// When it was gone.
    pub deleted_at: Option<Timestamp>,
    /// Whether it was last seen running (observed, for the operations that ask).
    pub seen_running: bool,
    /// Whether its volume was ever seen whole, and its size then, if that is known (observed too).
    pub existing: bool,
    /// See `existing`.
    pub seen_disk: Option<Bytes>,
    /// Whether it is being moved to another host: stopped, and held still.
    pub moving: bool,
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    account_id: i64,
    name: String,
    host_id: Option<i64>,
    pool_id: i64,
    power: String,
    start_alone: bool,
    boots_wanted: i64,
    boots_waived: i64,
    given_up_operation: Option<i64>,
    existing: bool,
    volume_size: Option<i64>,
    boot_hard: bool,
    stop_hard: bool,
    vcpus: i64,
    memory: i64,
    disk: i64,
    growing_to: Option<i64>,
    generation: i64,
    epoch: i64,
    lock_version: i64,
    cancelled_at: Option<i64>,
    cancelled_with_account: bool,
    suspended_at: Option<i64>,
    memory_claimed: bool,
    deletes_at: Option<i64>,
    deleting_at: Option<i64>,
    deleted_at: Option<i64>,
    seen_running: bool,
    moving: bool,
}

impl TryFrom<Row> for Desired {
    type Error = StoreError;
    fn try_from(row: Row) -> StoreResult<Desired> {
        let damaged = |what, why: String| StoreError::Damaged { what, why };
        Ok(Desired {
            id: GuestId(row.id),
            account: AccountId(row.account_id),
            name: Name::new(&row.name).map_err(|error| damaged("name", error.to_string()))?,
            host: row.host_id.map(HostId),
            pool: PoolId(row.pool_id),
            power: Power::parse(&row.power).ok_or_else(|| damaged("power", row.power.clone()))?,
            start_alone: row.start_alone,
            boots_wanted: row.boots_wanted,
            boots_waived: row.boots_waived,
            given_up: row.given_up_operation.map(OperationId),
            existing: row.existing,
            seen_disk: row.volume_size.map(|size| Bytes(unsigned(size))),
            boot_hard: row.boot_hard,
            stop_hard: row.stop_hard,
            vcpus: u32::try_from(row.vcpus).map_err(|error| damaged("vcpus", error.to_string()))?,
            memory: Bytes(unsigned(row.memory)),
            disk: Bytes(unsigned(row.disk)),
            growing_to: row.growing_to.map(|size| Bytes(unsigned(size))),
            generation: Generation(row.generation),
            epoch: Epoch(row.epoch),
            lock_version: row.lock_version,
            cancelled_at: row.cancelled_at.map(Timestamp),
            cancelled_with_account: row.cancelled_with_account,
            suspended_at: row.suspended_at.map(Timestamp),
            memory_claimed: row.memory_claimed,
            deletes_at: row.deletes_at.map(Timestamp),
            deleting_at: row.deleting_at.map(Timestamp),
            deleted_at: row.deleted_at.map(Timestamp),
            seen_running: row.seen_running,
            moving: row.moving,
        })
    }
}

const SELECT: &str = "SELECT g.id, g.account_id, g.name, g.host_id, COALESCE(v.pool_id, 0) AS pool_id, g.power, g.start_alone, g.boots_wanted, \
    g.boot_hard, g.stop_hard, CAST(g.vcpus AS BIGINT) AS vcpus, g.memory, COALESCE(v.size, 0) AS disk, g.generation, g.epoch, \
    g.lock_version, g.cancelled_at, g.cancelled_with_account, g.suspended_at, g.memory_claimed, g.deletes_at, g.deleting_at, g.deleted_at, \
    COALESCE(o.power = 'running', FALSE) AS seen_running, COALESCE(v.existing, FALSE) AS existing, o.volume_size, \
    v.growing_to, g.boots_waived, g.given_up_operation, (m.id IS NOT NULL) AS moving \
    FROM guests g LEFT JOIN volumes v ON v.guest_id = g.id \
    LEFT JOIN guest_observed o ON o.guest_id = g.id AND o.epoch = g.epoch \
    LEFT JOIN moves m ON m.guest_id = g.id AND m.moved_at IS NULL AND m.given_up_at IS NULL AND m.begun_at IS NOT NULL";

/// Reads one in scope, also when it is cancelled or gone.
pub async fn get(tx: &Tx, scope: Scope, id: GuestId) -> StoreResult<Desired> {
    let mut select = Select::new(SELECT, values![]);
    select.only_with("g.id = ?", id.0);
    select.scope_of_machine(scope, "g.account_id", "g.id = ?");
    let found: Vec<Row> = select.all(tx, "g.id", &Filters::default()).await?;
    found.into_iter().next().ok_or_else(|| StoreError::from(Refusal::NotFound("guest")))?.try_into()
}

#[derive(FromQueryResult)]
struct Id {
    id: i64,
}

/// The guests of an account that are not being deleted, the cancelled ones included.
pub async fn of_account(connection: &impl Connection, account: AccountId) -> StoreResult<Vec<GuestId>> {
    let found: Vec<Id> = rows(
        connection,
        "SELECT id FROM guests WHERE account_id = $1 AND deleting_at IS NULL AND deleted_at IS NULL ORDER BY id",
        values![account.0],
    )
    .await?;
    Ok(found.into_iter().map(|row| GuestId(row.id)).collect())
}

/// Whether an account has a guest that is not gone.
pub async fn any_left(connection: &impl Connection, account: AccountId) -> StoreResult<bool> {
    let sql = "SELECT 1 AS n FROM guests WHERE account_id = $1 AND deleted_at IS NULL LIMIT 1";
    Ok(number(connection, sql, values![account.0]).await?.is_some())
}

/// The addresses that a guest holds, for people.
pub async fn addresses(connection: &impl Connection, id: GuestId) -> StoreResult<Vec<String>> {
    #[derive(FromQueryResult)]
    struct Held {
        address: Vec<u8>,
    }
    let held: Vec<Held> = rows(
        connection,
        "SELECT a.address FROM interfaces i JOIN addresses a ON a.interface_id = i.id WHERE i.guest_id = $1 ORDER BY a.id",
        values![id.0],
    )
    .await?;
    held.iter().map(|held| Ok(addresses::from_bytes(&held.address)?.to_string())).collect()
}

/// Guests whose grace period has ended and that are not being deleted yet. Those that their account's cancellation
/// cancelled go with the account: as long as that can be taken back, so can they.
pub async fn lapsed(connection: &impl Connection, now: Timestamp) -> StoreResult<Vec<GuestId>> {
    let found: Vec<Id> = rows(
        connection,
        "SELECT id FROM guests WHERE deletes_at <= $1 AND deleting_at IS NULL AND deleted_at IS NULL \
         AND NOT cancelled_with_account \
         AND NOT EXISTS (SELECT 1 FROM hosts h WHERE h.id = guests.host_id AND h.unaccepted_since IS NOT NULL)",
        values![now.0],
    )
    .await?;
    Ok(found.into_iter().map(|row| GuestId(row.id)).collect())
}

/// Saves what an operation changed: the generation rises, and so does its host's.
pub async fn save(tx: &Tx, guest: &mut Desired) -> StoreResult<()> {
    if let Some(host) = guest.host {
        crate::restoring::refuse_unaccepted(tx, host).await?;
    }
    guest.generation = guest.generation.next();
    execute(
        tx,
        "UPDATE guests SET name = $1, power = $2, start_alone = $3, boots_wanted = $4, boot_hard = $5, stop_hard = $6, \
         vcpus = $7, memory = $8, generation = $9, lock_version = $10, cancelled_at = $11, deletes_at = $12, \
         deleting_at = $13, cancelled_with_account = $14, suspended_at = $15, memory_claimed = $16, boots_waived = $17, \
         given_up_operation = $18, epoch = $19 WHERE id = $20",
        values![
            guest.name.as_str(),
            guest.power.as_str(),
            guest.start_alone,
            guest.boots_wanted,
            guest.boot_hard,
            guest.stop_hard,
            i64::from(guest.vcpus),
            signed(guest.memory.0),
            guest.generation.0,
            guest.lock_version,
            guest.cancelled_at.map(|at| at.0),
            guest.deletes_at.map(|at| at.0),
            guest.deleting_at.map(|at| at.0),
            guest.cancelled_with_account,
            guest.suspended_at.map(|at| at.0),
            guest.memory_claimed,
            guest.boots_waived,
            guest.given_up.map(|operation| operation.0),
            guest.epoch.0,
            guest.id.0
        ],
    )
    .await?;
    execute(
        tx,
        "UPDATE volumes SET size = $1, growing_to = $2 WHERE guest_id = $3",
        values![signed(guest.disk.0), guest.growing_to.map(|size| signed(size.0)), guest.id.0],
    )
    .await?;
    if let Some(host) = guest.host {
        tx.touch(host);
    }
    Ok(())
}

#[derive(FromQueryResult)]
struct Buried {
    name: String,
    account_id: i64,
    cluster: Option<String>,
}

/// A guest that is gone.
pub(crate) struct Gone {
    /// What it was called.
    pub(crate) name: String,
    /// Whose it was.
    pub(crate) account: AccountId,
    /// The addresses it had that stay its account's.
    pub(crate) kept: Vec<IpAddr>,
}

/// Ends a guest that its agent has reported gone: its addresses are free, its volume no longer counts, its name can be
/// given again. `None` when it was not to go, or not at that epoch and generation.
pub(crate) async fn bury(
    tx: &Tx,
    id: GuestId,
    host: HostId,
    epoch: Epoch,
    generation: Generation,
) -> StoreResult<Option<Gone>> {
    let buried: Option<Buried> = row(
        tx,
        "UPDATE guests SET deleted_at = $1 WHERE id = $2 AND host_id = $3 AND epoch = $4 AND generation <= $5 \
         AND deleting_at IS NOT NULL AND deleted_at IS NULL RETURNING name, account_id, cluster",
        values![tx.now.0, id.0, host.0, epoch.0, generation.0],
    )
    .await?;
    let Some(buried) = buried else { return Ok(None) };
    let kept = addresses::free_of_guest(tx, id).await?;
    execute(tx, "DELETE FROM volumes WHERE guest_id = $1", values![id.0]).await?;
    execute(tx, "DELETE FROM guest_observed WHERE guest_id = $1", values![id.0]).await?;
    load::forget(tx, load::Kind::Guest, id.0).await?;
    guest_packages::forget(tx, id).await?;
    networks::unwant_unused(tx, host).await?;
    if let Some(cluster) = &buried.cluster {
        clusters::end_without_guests(tx, AccountId(buried.account_id), cluster).await?;
    }
    tx.touch(host);
    Ok(Some(Gone { name: buried.name, account: AccountId(buried.account_id), kept }))
}

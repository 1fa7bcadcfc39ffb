//! What is looked at and changed when an operator accepts a restored brain: the rows that the backup had, beside what
//! agents report. Which follows from which is decided elsewhere.

use crate::addresses::{Holder, Wish};
use crate::sql::{Connection, execute, from_json, number, row, rows, signed, to_json, values};
use crate::{Refusal, Scope, StoreResult, Tx};
use crate::{addresses, guest_moves, guest_packages, networks, operations};
use honcho_model::guest::Power;
use honcho_model::operation::{OperationKind, OperationState};
use honcho_model::{AccountId, Epoch, Generation, GuestId, HostId, ImageId, Incarnation, NetworkId};
use honcho_wire::{GuestWanted, Manifest, Orphan, PoolKind, PoolWanted, StopMode};
use sea_orm::FromQueryResult;
use std::net::IpAddr;
use uuid::Uuid;

/// A host of the earlier life, which waits to be accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct HostReview {
    /// Its id.
    pub id: HostId,
    /// Its name.
    pub name: String,
    /// Its generation in the backup.
    pub generation: Generation,
    /// Whether an agent had joined for it.
    pub joined: bool,
    /// Whether its agent has reported in full, under this life's manifest.
    pub reported: bool,
    /// Why its agent refuses that manifest, if so.
    pub refused: Option<String>,
    /// The last manifest of the earlier life that it acted on.
    pub former: Option<Manifest>,
    /// What it has that this life does not know.
    pub orphans: Vec<Orphan>,
    /// What this life knows there.
    pub guests: Vec<GuestReview>,
}

/// A guest as the backup has it, and as its agent sees it.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct GuestReview {
    /// Its id.
    pub id: i64,
    /// Its uuid.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub account_id: i64,
    /// Its epoch.
    pub epoch: i64,
    /// Its generation.
    pub generation: i64,
    /// How many boots it was asked.
    pub boots_wanted: i64,
    /// Up to which of them they are waived.
    pub boots_waived: i64,
    /// Whether somebody gave up on it.
    pub given_up: bool,
    /// Its power, were it not cancelled or suspended.
    pub power: String,
    /// Whether it is not to run in spite of that.
    pub held_down: bool,
    /// Its processors.
    pub vcpus: i64,
    /// Its memory.
    pub memory: i64,
    /// Its disk.
    pub disk: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether its volume was ever seen.
    pub existing: bool,
    /// Its volume, as seen under this life.
    pub volume_state: Option<String>,
    /// The size of that, if it could be looked at.
    pub volume_size: Option<i64>,
    /// Whether it was seen running under this life.
    pub seen_running: bool,
    /// The boot count of its domain.
    pub boots_done: Option<i64>,
}

/// Every host that waits to be accepted, in the order of their ids.
pub async fn hosts(connection: &impl Connection, incarnation: Incarnation) -> StoreResult<Vec<HostReview>> {
    #[derive(FromQueryResult)]
    struct Row {
        id: i64,
        name: String,
        generation: i64,
        joined: bool,
        reported: bool,
        refused: Option<String>,
        former: Option<String>,
        orphans: Option<String>,
    }
    let found: Vec<Row> = rows(
        connection,
        "SELECT h.id, h.name, COALESCE(h.restored_generation, h.generation) AS generation, h.joined_at IS NOT NULL AS joined, \
         COALESCE(o.incarnation = $1, FALSE) AS reported, o.refused, o.former, o.orphans \
         FROM hosts h LEFT JOIN host_observed o ON o.host_id = h.id \
         WHERE h.unaccepted_since IS NOT NULL AND h.deleted_at IS NULL ORDER BY h.id",
        values![incarnation.0],
    )
    .await?;
    let mut reviews = Vec::with_capacity(found.len());
    for row in found {
        let id = HostId(row.id);
        reviews.push(HostReview {
            id,
            name: row.name,
            generation: Generation(row.generation),
            joined: row.joined,
            reported: row.reported,
            refused: row.refused,
            former: from_json("manifest", row.former.as_deref().filter(|_| row.reported))?,
            orphans: from_json("orphans", row.orphans.as_deref().filter(|_| row.reported))?
                .unwrap_or_default(),
            guests: guests(connection, id).await?,
        });
    }
    Ok(reviews)
}

const GUEST: &str = "SELECT g.id, g.uuid, g.name, g.account_id, g.epoch, g.generation, g.boots_wanted, g.boots_waived, \
         g.given_up_operation IS NOT NULL AS given_up, g.power, \
         (g.cancelled_at IS NOT NULL OR g.suspended_at IS NOT NULL) AS held_down, \
         CAST(g.vcpus AS BIGINT) AS vcpus, g.memory, v.size AS disk, g.deleting_at IS NOT NULL AS deleting, v.existing, \
         o.volume_state, o.volume_size, COALESCE(o.power = 'running', FALSE) AS seen_running, o.boots_done \
         FROM guests g JOIN volumes v ON v.guest_id = g.id LEFT JOIN guest_observed o ON o.guest_id = g.id";

async fn guests(connection: &impl Connection, host: HostId) -> StoreResult<Vec<GuestReview>> {
    let sql = format!("{GUEST} WHERE g.host_id = $1 AND g.deleted_at IS NULL ORDER BY g.id");
    rows(connection, &sql, values![host.0]).await
}

/// Where the backup has a guest that a host's last manifest has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// Nowhere: it was ordered afterwards.
    Nowhere,
    /// On the host of this name, where it is no more: it was moved afterwards.
    Moved(String, Box<GuestReview>),
    /// On another host, and this says why it is not taken from there.
    Held(String),
}

/// Looks for a guest that a host has, and the backup has not there.
pub async fn elsewhere(
    connection: &impl Connection,
    host: HostId,
    guest: &GuestWanted,
) -> StoreResult<Elsewhere> {
    #[derive(FromQueryResult)]
    struct There {
        name: String,
        unaccepted: bool,
        reported: bool,
    }
    let root = &guest.root;
    let sql = "SELECT h.name, h.unaccepted_since IS NOT NULL AS unaccepted, \
        COALESCE(o.incarnation = (SELECT incarnation FROM brain), FALSE) AS reported \
        FROM guests g JOIN volumes v ON v.guest_id = g.id JOIN hosts h ON h.id = g.host_id \
        LEFT JOIN host_observed o ON o.host_id = h.id \
        WHERE g.id = $1 AND g.uuid = $2 AND v.id = $3 AND v.uuid = $4 AND g.host_id <> $5 AND g.deleted_at IS NULL";
    let bound = values![guest.id.0, guest.uuid, root.id.0, root.uuid, host.0];
    let there: Option<There> = row(connection, sql, bound).await?;
    let Some(there) = there else { return Ok(Elsewhere::Nowhere) };
    let name = there.name;
    let known: Option<GuestReview> =
        row(connection, &format!("{GUEST} WHERE g.id = $1"), values![guest.id.0]).await?;
    let Some(known) = known else { return Ok(Elsewhere::Nowhere) };
    if known.generation >= guest.generation.0 && there.unaccepted {
        return Ok(Elsewhere::Held(format!("the backup has it on {name}, by a later wish")));
    }
    // Whoever holds a guest is told before it goes on: one that was not told holds it, whatever the other host would say.
    if !there.reported && guest.leaving.is_some() {
        let text = "it was leaving, and the backup has it on";
        return Ok(Elsewhere::Held(format!("{text} {name}, which has not been looked at")));
    }
    let is_gone = !known.seen_running
        && known.volume_state.as_deref().is_none_or(|state| ["missing", "unmade"].contains(&state));
    if !there.unaccepted && !is_gone {
        return Ok(Elsewhere::Held(format!("it is on {name}, which was accepted before")));
    }
    let pool = "SELECT 1 AS n FROM pools WHERE id = $1 AND host_id = $2 AND deleted_at IS NULL";
    if number(connection, pool, values![root.pool.0, host.0]).await?.is_none() {
        // One that the backup does not have at all is written down first.
        let known = "SELECT 1 AS n FROM pools WHERE id = $1";
        if number(connection, known, values![root.pool.0]).await?.is_some() {
            return Ok(Elsewhere::Held(format!(
                "its pool {} is another host's in the backup, or deleted",
                root.pool
            )));
        }
    }
    Ok(Elsewhere::Moved(name, Box::new(known)))
}

/// Writes down that a guest is on this host: it was moved here after the backup.
pub async fn move_here(tx: &Tx, host: HostId, guest: &GuestWanted) -> StoreResult<()> {
    guest_moves::found(tx, guest.id, host, guest.root.pool).await
}

/// Why a guest that a host has cannot become one of this brain's again. `None` when it can.
pub async fn why_not_adoptable(
    connection: &impl Connection,
    host: HostId,
    guest: &GuestWanted,
) -> StoreResult<Option<String>> {
    let there = async |sql: &str, bound: Vec<sea_orm::Value>| -> StoreResult<bool> {
        Ok(number(connection, sql, bound).await?.is_some())
    };
    let taken = "SELECT 1 AS n FROM guests WHERE id = $1 OR uuid = $2";
    if there(taken, values![guest.id.0, guest.uuid]).await? {
        return Ok(Some("its id or uuid is another guest's".to_owned()));
    }
    let account = "SELECT 1 AS n FROM accounts WHERE id = $1 AND deleted_at IS NULL";
    if !there(account, values![guest.account.0]).await? {
        return Ok(Some(format!("its account {} is not in the backup", guest.account)));
    }
    if image_of(connection, guest).await?.is_none() {
        return Ok(Some(format!("its image {} is not in the backup", guest.root.image.digest)));
    }
    // One that the backup does not have at all is written down as well.
    let pool = "SELECT 1 AS n FROM pools WHERE id = $1 AND (host_id <> $2 OR deleted_at IS NOT NULL)";
    if there(pool, values![guest.root.pool.0, host.0]).await? {
        return Ok(Some(format!("its pool {} is another host's in the backup, or deleted", guest.root.pool)));
    }
    let volume = "SELECT 1 AS n FROM volumes WHERE id = $1 OR uuid = $2";
    if there(volume, values![guest.root.id.0, guest.root.uuid]).await? {
        return Ok(Some("its volume's id or uuid is another's".to_owned()));
    }
    for interface in &guest.interfaces {
        let card = "SELECT 1 AS n FROM interfaces WHERE id = $1";
        if there(card, values![interface.id.0]).await? {
            return Ok(Some(format!("the id of its network card {} is another's", interface.id)));
        }
        let network = "SELECT 1 AS n FROM networks WHERE id = $1 AND deleted_at IS NULL";
        if !there(network, values![interface.network.0]).await? {
            return Ok(Some(format!("its network {} is not in the backup", interface.network)));
        }
        for wanted in &interface.addresses {
            if !is_free(connection, interface.network, guest.account, wanted.address).await? {
                return Ok(Some(format!("its address {} is another's in the backup", wanted.address)));
            }
        }
    }
    Ok(None)
}

/// Whether a guest of `account` may have this address: nobody has it, or the account holds it and no guest does.
async fn is_free(
    connection: &impl Connection,
    network: NetworkId,
    account: AccountId,
    address: IpAddr,
) -> StoreResult<bool> {
    let sql = "SELECT CASE WHEN account_id IS NULL OR (account_id = $3 AND interface_id IS NULL) THEN 1 ELSE 0 END AS n \
               FROM addresses WHERE network_id = $1 AND address = $2";
    let known = number(connection, sql, values![network.0, addresses::to_bytes(address), account.0]).await?;
    // An address of IPv6 is written down when it is held for the first time.
    Ok(known.map_or(address.is_ipv6(), |free| free == 1))
}

async fn image_of(connection: &impl Connection, guest: &GuestWanted) -> StoreResult<Option<ImageId>> {
    // The account's own before everybody's, and a living one before one that was deleted.
    let sql = "SELECT id AS n FROM images WHERE digest = $1 AND (account_id = $2 OR account_id IS NULL) \
               ORDER BY CASE WHEN deleted_at IS NULL THEN 0 ELSE 1 END, CASE WHEN account_id IS NULL THEN 1 ELSE 0 END, id LIMIT 1";
    let digest = guest.root.image.digest.to_string();
    Ok(number(connection, sql, values![digest, guest.account.0]).await?.map(ImageId))
}

/// A name that no living guest of the account has: its own, or its own with its id.
async fn free_name(tx: &Tx, guest: &GuestWanted) -> StoreResult<String> {
    let sql =
        "SELECT 1 AS n FROM guests WHERE account_id = $1 AND name = $2 AND deleted_at IS NULL AND id <> $3";
    let taken = number(tx, sql, values![guest.account.0, guest.name.as_str(), guest.id.0]).await?.is_some();
    if !taken {
        return Ok(guest.name.as_str().to_owned());
    }
    // A name is 63 characters long at most.
    let ending = format!("-{}", guest.id);
    let kept: String = guest.name.as_str().chars().take(63 - ending.len()).collect();
    Ok(format!("{}{ending}", kept.trim_end_matches('-')))
}

/// Whether a volume is on its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeFound {
    /// It was seen, now or earlier: it is never made again.
    Once,
    /// It was never made.
    Never,
}

/// The operation that was given up, where only the guest's host knows that one was.
const OF_AN_EARLIER_LIFE: i64 = 0;

/// Writes a guest down that only its host knows of. Nothing about it is changed there.
pub async fn adopt(tx: &Tx, host: HostId, guest: &GuestWanted, volume: VolumeFound) -> StoreResult<()> {
    let image = image_of(tx, guest).await?.ok_or(Refusal::NotFound("image"))?;
    let name = free_name(tx, guest).await?;
    let hard = |mode: StopMode| mode == StopMode::Hard;
    execute(
        tx,
        "INSERT INTO guests (id, uuid, account_id, name, image_id, host_id, power, start_alone, boots_wanted, boot_hard, \
         stop_hard, vcpus, memory, ssh_keys, epoch, generation, lock_version, created_at, boots_waived, given_up_operation) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 1, $17, $18, $19)",
        values![
            guest.id.0,
            guest.uuid,
            guest.account.0,
            name,
            image.0,
            host.0,
            guest.power.as_str(),
            guest.start_alone,
            signed(guest.boots_wanted),
            hard(guest.boot_mode),
            hard(guest.stop_mode),
            i64::from(guest.vcpus),
            signed(guest.memory.0),
            to_json(&guest.ssh_keys)?,
            guest.epoch.0,
            guest.generation.next().0,
            tx.now.0,
            signed(guest.boots_waived),
            guest.root.given_up.then_some(OF_AN_EARLIER_LIFE)
        ],
    )
    .await?;
    let root = &guest.root;
    execute(
        tx,
        "INSERT INTO volumes (id, uuid, guest_id, pool_id, size, existing) VALUES ($1, $2, $3, $4, $5, $6)",
        values![
            root.id.0,
            root.uuid,
            guest.id.0,
            root.pool.0,
            signed(root.size.0),
            volume == VolumeFound::Once
        ],
    )
    .await?;
    for interface in &guest.interfaces {
        execute(
            tx,
            "INSERT INTO interfaces (id, guest_id, network_id) VALUES ($1, $2, $3)",
            values![interface.id.0, guest.id.0, interface.network.0],
        )
        .await?;
        let network = networks::addressing(tx, Scope::System, interface.network).await?;
        for wanted in &interface.addresses {
            let wish = Wish::This(wanted.address);
            addresses::take(tx, &network, wish, &Holder::card(guest.account, interface.id)).await?;
        }
        networks::want_on_host(tx, interface.network, host).await?;
    }
    Ok(())
}

/// Writes a pool down that only its host knows of.
pub async fn adopt_pool(tx: &Tx, host: HostId, pool: &PoolWanted) -> StoreResult<()> {
    let PoolKind::Directory { path } = &pool.kind;
    execute(
        tx,
        "INSERT INTO pools (id, uuid, host_id, name, kind, path, generation, existing, created_at) \
         VALUES ($1, $2, $3, $4, 'directory', $5, $6, TRUE, $7)",
        values![
            pool.id.0,
            pool.uuid,
            host.0,
            format!("restored-{}", pool.id),
            path.as_str(),
            pool.generation.next().0,
            tx.now.0
        ],
    )
    .await?;
    Ok(())
}

/// Whether a pool of that id or uuid is known.
pub async fn pool_is_known(connection: &impl Connection, pool: &PoolWanted) -> StoreResult<bool> {
    let sql = "SELECT 1 AS n FROM pools WHERE id = $1 OR uuid = $2";
    Ok(number(connection, sql, values![pool.id.0, pool.uuid]).await?.is_some())
}

/// Takes over what was wanted of a guest after the backup: its host's last manifest says it.
pub async fn take_over(tx: &Tx, guest: &GuestReview, later: &GuestWanted) -> StoreResult<()> {
    let hard = |mode: StopMode| mode == StopMode::Hard;
    // What the backup has as cancelled or suspended is stopped for that reason, whatever was wanted besides; but one that is
    // not to be made is not to run either.
    let is_unmade = later.root.given_up && !guest.existing;
    let power = if guest.held_down && !is_unmade { guest.power.as_str() } else { later.power.as_str() };
    let name =
        if later.name.as_str() == guest.name { guest.name.clone() } else { free_name(tx, later).await? };
    let given_up = end_given_up(tx, guest, later).await?;
    execute(
        tx,
        "UPDATE guests SET name = $1, power = $2, start_alone = $3, boot_hard = $4, stop_hard = $5, vcpus = $6, memory = $7, \
         ssh_keys = $8, boots_waived = CASE WHEN boots_waived > $9 THEN boots_waived ELSE $9 END, given_up_operation = $10, \
         lock_version = lock_version + 1 WHERE id = $11",
        values![
            name,
            power,
            later.start_alone,
            hard(later.boot_mode),
            hard(later.stop_mode),
            i64::from(later.vcpus),
            signed(later.memory.0),
            to_json(&later.ssh_keys)?,
            signed(later.boots_waived),
            given_up,
            guest.id
        ],
    )
    .await?;
    // Less than the backup has, where somebody gave up on its growth since. What is there stays what it is all the same.
    let seen = guest.volume_size.filter(|_| guest.volume_state.as_deref() == Some("present"));
    let size = signed(later.root.size.0).max(seen.unwrap_or(0));
    let growing_to = Some(guest.disk).filter(|before| *before > size);
    let sql = "UPDATE volumes SET size = $1, growing_to = COALESCE($2, growing_to) WHERE guest_id = $3";
    execute(tx, sql, values![size, growing_to, guest.id]).await?;
    Ok(())
}

/// Ends what was given up after the backup, where the backup has it as open. Gives the operation by which what is seen
/// of the guest is explained.
async fn end_given_up(tx: &Tx, guest: &GuestReview, later: &GuestWanted) -> StoreResult<Option<i64>> {
    let shrunk = signed(later.root.size.0) < guest.disk;
    let mut given_up = None;
    for (id, kind) in operations::open_kinds(tx, GuestId(guest.id)).await? {
        if (later.root.given_up && kind.wants_power()) || (shrunk && kind == OperationKind::Resize) {
            let text = "given up after the backup that the brain was restored from";
            operations::end(tx, id, OperationState::Abandoned, Some(text)).await?;
            given_up = Some(id.0);
        }
    }
    let sql = "SELECT given_up_operation AS n FROM guests WHERE id = $1 AND given_up_operation IS NOT NULL";
    let known = number(tx, sql, values![guest.id]).await?;
    Ok(later.root.given_up.then(|| given_up.or(known).unwrap_or(OF_AN_EARLIER_LIFE)))
}

/// What a guest's counters are at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Of the wishes for it.
    pub generation: Generation,
    /// At its host. The same as the running domain's, or that would have to be replaced.
    pub epoch: Epoch,
    /// Of boots: as many as were asked for, or one would be repeated.
    pub boots: u64,
}

/// Raises a guest's counters: its generation above what was reported, the others to it.
pub async fn raise(tx: &Tx, id: GuestId, reported: Counters) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE guests SET generation = 1 + CASE WHEN generation > $1 THEN generation ELSE $1 END, \
         epoch = CASE WHEN epoch > $2 THEN epoch ELSE $2 END, \
         boots_wanted = CASE WHEN boots_wanted > $3 THEN boots_wanted ELSE $3 END WHERE id = $4",
        values![reported.generation.0, reported.epoch.0, signed(reported.boots), id.0],
    )
    .await?;
    // A move goes on at the epoch that its guest has now, at which nobody has said yet that it is off.
    execute(
        tx,
        "UPDATE moves SET epoch = (SELECT epoch FROM guests WHERE id = $1), held_at = NULL WHERE guest_id = $1 \
         AND begun_at IS NOT NULL AND moved_at IS NULL AND given_up_at IS NULL \
         AND epoch < (SELECT epoch FROM guests WHERE id = $1)",
        values![id.0],
    )
    .await?;
    Ok(())
}

/// Notes that a guest's volume was there once, so that it is never made again.
pub async fn note_volume_made(tx: &Tx, id: GuestId) -> StoreResult<()> {
    execute(tx, "UPDATE volumes SET existing = TRUE WHERE guest_id = $1", values![id.0]).await?;
    Ok(())
}

/// Stops a guest whose deletion was under way.
pub async fn stop(tx: &Tx, id: GuestId) -> StoreResult<()> {
    let sql =
        "UPDATE guests SET power = $1, stop_hard = FALSE, lock_version = lock_version + 1 WHERE id = $2";
    execute(tx, sql, values![Power::Stopped.as_str(), id.0]).await?;
    Ok(())
}

/// Ends a guest of which its host has nothing any more: its name and its addresses are free.
pub async fn forget(tx: &Tx, host: HostId, id: GuestId) -> StoreResult<()> {
    if let Some(under_way) = guest_moves::of_guest(tx, id).await? {
        guest_moves::give_up(tx, &under_way).await?;
    }
    execute(
        tx,
        "UPDATE guests SET cancelled_at = COALESCE(cancelled_at, $1), deleting_at = COALESCE(deleting_at, $1), \
         deleted_at = $1 WHERE id = $2 AND deleted_at IS NULL",
        values![tx.now.0, id.0],
    )
    .await?;
    addresses::free_of_guest(tx, id).await?;
    execute(tx, "DELETE FROM volumes WHERE guest_id = $1", values![id.0]).await?;
    execute(tx, "DELETE FROM guest_observed WHERE guest_id = $1", values![id.0]).await?;
    guest_packages::forget(tx, id).await?;
    networks::unwant_unused(tx, host).await?;
    Ok(())
}

/// Ids above which new ones are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// Of accounts.
    pub accounts: i64,
    /// Of pools.
    pub pools: i64,
    /// Of networks.
    pub networks: i64,
    /// Of guests.
    pub guests: i64,
    /// Of volumes.
    pub volumes: i64,
    /// Of interfaces.
    pub interfaces: i64,
}

/// Has new ids given above these.
pub async fn raise_ids(tx: &Tx, reported: Ids) -> StoreResult<()> {
    let Ids { accounts, pools, networks, guests, volumes, interfaces } = reported;
    for (table, id) in [
        ("accounts", accounts),
        ("pools", pools),
        ("networks", networks),
        ("guests", guests),
        ("volumes", volumes),
        ("interfaces", interfaces),
    ] {
        if id <= 0 {
            continue;
        }
        if crate::sql::is_postgres(tx) {
            let sequence = format!("pg_get_serial_sequence('{table}', 'id')");
            let sql = format!("SELECT setval({sequence}, GREATEST(nextval({sequence}), $1)) AS n");
            number(tx, &sql, values![id]).await?;
        } else {
            let sql = "UPDATE sqlite_sequence SET seq = $1 WHERE name = $2 AND seq < $1";
            execute(tx, sql, values![id, table]).await?;
        }
    }
    Ok(())
}

/// The generation that a host's agent has seen, of any life.
pub async fn generation_seen(connection: &impl Connection, host: HostId) -> StoreResult<Generation> {
    #[derive(FromQueryResult)]
    struct Row {
        manifest_generation: i64,
    }
    let sql = "SELECT manifest_generation FROM host_observed WHERE host_id = $1";
    let found: Option<Row> = row(connection, sql, values![host.0]).await?;
    Ok(Generation(found.map_or(0, |row| row.manifest_generation)))
}

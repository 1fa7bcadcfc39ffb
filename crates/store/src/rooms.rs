//! What is taken of each host, and what there is of it: what placing looks at.
//!
//! An order needs no row of each guest: how many guests of which size a host has is added up by the database. Plans that
//! move guests name them, and read them all ([`guests`]).

mod busy;
mod kept;

pub use busy::{look_at_the_day, look_at_the_day_of};
pub use kept::{HostKin, KeptRooms, Loads, Renewal, Renewed, forget_changes};

use crate::cells::FromCells;
use crate::cells::cells;
use crate::sql::{Connection, Reach, from_json, read, rows, unsigned, values};
use crate::{StoreResult, guest_moves, hosts};
use honcho_model::host::{Duty, HostStatus};
use honcho_model::{
    AccountId, Bytes, CpuFeature, GuestId, HostId, Name, NetworkKind, PoolId, RackId, SiteId, Timestamp,
};
use sea_orm::{FromQueryResult, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// A host, and what is taken of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Room {
    /// The host.
    pub host: HostId,
    /// Its name.
    pub host_name: String,
    /// The site it is in: its rack's, if it is in one.
    pub site: Option<SiteId>,
    /// The rack it is in.
    pub rack: Option<RackId>,
    /// Its status.
    pub status: HostStatus,
    /// When its agent last spoke.
    pub last_seen_at: Option<Timestamp>,
    /// What it is there for.
    pub duties: Vec<Duty>,
    /// Since when it is being emptied.
    pub draining_since: Option<Timestamp>,
    /// What its agent says it can do, of what this program knows: what only a newer one knows cannot be asked for.
    pub capabilities: BTreeSet<&'static str>,
    /// Memory of the machine in bytes.
    pub memory: i64,
    /// Its processors.
    pub cpus: u32,
    /// Of their time, how much they worked or waited for disks when its agent last told: 0 to 1.
    pub load: Option<f64>,
    /// `x86_64`, `aarch64`, if its agent says so.
    pub architecture: Option<String>,
    /// What its processors can, as its agent says it: words, with a space before and behind each; nothing, where it does not say.
    pub features: Arc<str>,
    /// The guests that claim memory and processors, those of one size together.
    pub claimed: Vec<Claimed>,
    /// Its ready pools.
    pub pools: Vec<PoolRoom>,
}

impl Room {
    /// Memory that its guests have, in bytes.
    pub fn memory_placed(&self) -> i64 {
        self.claimed.iter().map(|size| size.memory.saturating_mul(size.guests)).sum()
    }

    /// Processors that its guests have.
    pub fn vcpus_placed(&self) -> i64 {
        self.claimed.iter().map(|size| size.vcpus).sum()
    }
}

/// Guests of one size on one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Memory of each in bytes.
    pub memory: i64,
    /// Processors of all of them.
    pub vcpus: i64,
    /// How many.
    pub guests: i64,
}

/// What a pool could still take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRoom {
    /// The pool.
    pub pool: PoolId,
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: i64,
    /// Disk placed on it in bytes.
    pub placed: i64,
}

cells! {
    struct HostRow {
        id: i64 = "h.id",
        name: String = "h.name",
        joined_at: Option<i64> = "h.joined_at",
        frozen: bool = "(FROZEN_REASON IS NOT NULL)",
        last_seen_at: Option<i64> = "o.last_seen_at",
        machine: Option<String> = "o.machine",
        capabilities: Option<String> = "o.capabilities",
        cpu_features: Option<String> = "o.cpu_features",
        busy_percent: Option<i64> = "o.busy_percent",
        io_wait_percent: Option<i64> = "o.io_wait_percent",
        site_id: Option<i64> = "COALESCE(r.site_id, h.site_id)",
        rack_id: Option<i64> = "h.rack_id",
        duties: String = "h.duties",
        draining_since: Option<i64> = "h.draining_since",
    }
}

/// What is read of a host's observation.
#[derive(Default, serde::Deserialize)]
struct Machine {
    cpus: u32,
    memory: Bytes,
    #[serde(default)]
    cpu: Option<honcho_wire::CpuObserved>,
}

cells! {
    struct ClaimedRow {
        host_id: i64 = "g.host_id",
        memory: i64 = "g.memory",
        vcpus: i64 = "CAST(SUM(g.vcpus) AS BIGINT)",
        guests: i64 = "COUNT(*)",
    }
}

cells! {
    struct PoolRow {
        id: i64 = "p.id",
        host_id: i64 = "p.host_id",
        name: String = "p.name",
        size: i64 = "COALESCE(o.size, 0)",
        placed: i64 = "CAST(COALESCE((SELECT SUM(CASE WHEN v.growing_to > v.size THEN v.growing_to ELSE v.size END) \
            FROM volumes v WHERE v.pool_id = p.id), 0) AS BIGINT) + \
            CAST(COALESCE((SELECT SUM(m.size) FROM moves m WHERE m.claims_pool_id = p.id), 0) AS BIGINT)",
    }
}

const HOSTS: &str = "FROM hosts h LEFT JOIN host_observed o ON o.host_id = h.id LEFT JOIN racks r ON r.id = h.rack_id \
    WHERE h.deleted_at IS NULL AND THOSE ORDER BY h.id";

/// Its condition is the one of the index `guests_claiming`.
const CLAIMED: &str = "FROM guests g WHERE g.cancelled_at IS NULL AND g.deleting_at IS NULL AND g.memory_claimed AND THOSE \
    GROUP BY g.host_id, g.memory ORDER BY g.host_id, g.memory";

const POOLS: &str = "FROM pools p JOIN pool_observed o ON o.pool_id = p.id \
    WHERE p.deleted_at IS NULL AND o.state = 'ready' AND THOSE ORDER BY p.id";

/// Which hosts are read.
#[derive(Clone, Copy)]
pub(crate) enum Which<'a> {
    /// Every one.
    All,
    /// These.
    These(&'a [HostId]),
}

/// So many hosts are read by one statement.
const AT_ONCE: usize = 64;

impl Which<'_> {
    /// The condition that a host's id is one of those. One that may be about all would hide the index from those that are
    /// about few, and one for each number of hosts would have to be planned anew each time: the last one is repeated.
    pub(crate) fn condition(&self, column: &str) -> (String, Vec<Value>) {
        match self {
            Which::All => (format!("{column} > 0"), Vec::new()),
            Which::These(hosts) => {
                let asked =
                    [1, 8, AT_ONCE].into_iter().find(|most| hosts.len() <= *most).unwrap_or(hosts.len());
                let places = (1..=asked).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
                let last = hosts.last().map_or(0, |host| host.0);
                let ids = hosts.iter().map(|host| host.0).chain(std::iter::repeat(last)).take(asked);
                (format!("{column} IN ({places})"), ids.map(Value::from).collect())
            }
        }
    }

    // They are many, and an order waits for them while nobody else can change anything: they are read the shortest way.
    fn reach(&self) -> Reach {
        if matches!(self, Which::All) { Reach::Many } else { Reach::Few }
    }

    /// A statement about them, whose `THOSE` is a condition on this column.
    async fn read<T>(
        &self,
        connection: &impl Connection,
        columns: &[&str],
        from: &str,
        host: &str,
    ) -> StoreResult<Vec<T>>
    where
        T: for<'r> FromCells<'r> + Send + 'static,
    {
        let (condition, values) = self.condition(host);
        let sql = format!("SELECT {} {}", columns.join(", "), from.replace("THOSE", &condition));
        read(connection, self.reach(), sql.replace("FROZEN_REASON", hosts::FROZEN_REASON), values).await
    }
}

/// Every host with what is taken of it, or one.
pub async fn list(
    connection: &impl Connection,
    only: Option<HostId>,
    now: Timestamp,
) -> StoreResult<Vec<Room>> {
    let which = only.as_ref().map_or(Which::All, |host| Which::These(std::slice::from_ref(host)));
    let claims = guest_moves::claims(connection, which).await?;
    list_of(connection, which, &claims, now).await
}

async fn list_of(
    connection: &impl Connection,
    which: Which<'_>,
    moving: &[guest_moves::Claim],
    now: Timestamp,
) -> StoreResult<Vec<Room>> {
    let found: Vec<HostRow> = which.read(connection, HostRow::COLUMNS, HOSTS, "h.id").await?;
    let claimed: Vec<ClaimedRow> = which.read(connection, ClaimedRow::COLUMNS, CLAIMED, "g.host_id").await?;
    let mut claims: HashMap<i64, Vec<Claimed>> = HashMap::new();
    for row in claimed {
        let size = Claimed { memory: row.memory, vcpus: row.vcpus, guests: row.guests };
        claims.entry(row.host_id).or_default().push(size);
    }
    for claim in moving {
        if claim.memory > 0 {
            let size = Claimed { memory: claim.memory, vcpus: claim.vcpus, guests: 1 };
            claims.entry(claim.host.0).or_default().push(size);
        }
    }
    let pool_rows: Vec<PoolRow> = which.read(connection, PoolRow::COLUMNS, POOLS, "p.host_id").await?;
    let mut pools: HashMap<i64, Vec<PoolRoom>> = HashMap::new();
    for row in pool_rows {
        let pool = PoolRoom { pool: PoolId(row.id), name: row.name, size: row.size, placed: row.placed };
        pools.entry(row.host_id).or_default().push(pool);
    }
    let mut features = HashSet::new();
    found.into_iter().map(|row| room(row, &mut claims, &mut pools, &mut features, now)).collect()
}

fn room(
    row: HostRow,
    claims: &mut HashMap<i64, Vec<Claimed>>,
    pools: &mut HashMap<i64, Vec<PoolRoom>>,
    features: &mut HashSet<Arc<str>>,
    now: Timestamp,
) -> StoreResult<Room> {
    let machine: Machine = from_json("host observation", row.machine.as_deref())?.unwrap_or_default();
    let said = row.capabilities.unwrap_or_default();
    let said: BTreeSet<&str> = said.split(' ').collect();
    Ok(Room {
        host: HostId(row.id),
        host_name: row.name,
        site: row.site_id.map(SiteId),
        rack: row.rack_id.map(RackId),
        status: HostStatus::of(row.joined_at.is_some(), row.frozen, row.last_seen_at.map(Timestamp), now),
        last_seen_at: row.last_seen_at.map(Timestamp),
        duties: row.duties.split_whitespace().filter_map(Duty::parse).collect(),
        draining_since: row.draining_since.map(Timestamp),
        capabilities: honcho_wire::CAPABILITIES.iter().copied().filter(|name| said.contains(name)).collect(),
        memory: crate::sql::signed(machine.memory.0),
        cpus: machine.cpus,
        load: load_of(row.busy_percent, row.io_wait_percent),
        architecture: machine.cpu.map(|cpu| cpu.architecture),
        features: known_features(features, row.cpu_features.unwrap_or_default()),
        claimed: claims.remove(&row.id).unwrap_or_default(),
        pools: pools.remove(&row.id).unwrap_or_default(),
    })
}

/// The same text once for all hosts of a kind.
fn known_features(known: &mut HashSet<Arc<str>>, said: String) -> Arc<str> {
    if let Some(one) = known.get(said.as_str()) {
        return one.clone();
    }
    let one: Arc<str> = said.into();
    known.insert(one.clone());
    one
}

/// The features that guests need, as they are kept.
pub(crate) fn features_of(text: Option<&str>) -> BTreeSet<CpuFeature> {
    text.unwrap_or_default().split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Of a host's processors' time, how much they worked or waited for disks, as a share of the whole.
fn load_of(busy_percent: Option<i64>, io_wait_percent: Option<i64>) -> Option<f64> {
    let percent = busy_percent? + io_wait_percent.unwrap_or(0);
    Some(f64::from(i32::try_from(percent.clamp(0, 100)).unwrap_or(100)) / 100.0)
}

/// How many guests that claim memory are on which hosts.
pub type Counts = BTreeMap<HostId, i64>;

#[derive(FromQueryResult)]
struct CountRow {
    host_id: i64,
    guests: i64,
}

fn counts(found: Vec<CountRow>) -> Counts {
    found.into_iter().map(|row| (HostId(row.host_id), row.guests)).collect()
}

/// Counts those that are under way where they go, too.
async fn add_moving(
    connection: &impl Connection,
    account: AccountId,
    apart: Option<(&str, &str)>,
    counts: &mut Counts,
) -> StoreResult<()> {
    for claim in guest_moves::claims(connection, Which::All).await? {
        let own = claim.apart.as_ref().map(|(cluster, role)| (cluster.as_str(), role.as_str()));
        if claim.memory > 0 && claim.account == account.0 && (apart.is_none() || apart == own) {
            *counts.entry(claim.host).or_default() += 1;
        }
    }
    Ok(())
}

/// Where an account's guests are.
pub async fn of_account(connection: &impl Connection, account: AccountId) -> StoreResult<Counts> {
    let sql = "SELECT g.host_id, COUNT(*) AS guests FROM guests g WHERE g.account_id = $1 AND g.host_id > 0 \
        AND g.cancelled_at IS NULL AND g.deleting_at IS NULL AND g.memory_claimed GROUP BY g.host_id";
    let mut counts = counts(rows(connection, sql, values![account.0]).await?);
    add_moving(connection, account, None, &mut counts).await?;
    Ok(counts)
}

/// Where an account's guests of one cluster and role are.
pub async fn of_role(
    connection: &impl Connection,
    account: AccountId,
    cluster: &Name,
    role: &Name,
) -> StoreResult<Counts> {
    let sql = "SELECT g.host_id, COUNT(*) AS guests FROM guests g WHERE g.account_id = $1 AND g.cluster = $2 AND g.role = $3 \
        AND g.host_id > 0 AND g.cancelled_at IS NULL AND g.deleting_at IS NULL AND g.memory_claimed GROUP BY g.host_id";
    let found = rows(connection, sql, values![account.0, cluster.as_str(), role.as_str()]).await?;
    let mut counts = counts(found);
    add_moving(connection, account, Some((cluster.as_str(), role.as_str())), &mut counts).await?;
    Ok(counts)
}

/// What placing asks of a guest besides its size.
pub struct KinOf {
    /// Its cluster and role, if it has both.
    pub apart: Option<(Name, Name)>,
    /// The kinds of networks that it is in.
    pub kinds: Vec<NetworkKind>,
    /// What its image's packages are built for.
    pub architecture: Option<String>,
    /// What processors must be able to do for it.
    pub features: BTreeSet<CpuFeature>,
}

/// What placing asks of a guest besides its size.
pub async fn kin_of(connection: &impl Connection, guest: GuestId) -> StoreResult<KinOf> {
    #[derive(FromQueryResult)]
    struct Words {
        cluster: Option<String>,
        role: Option<String>,
        architecture: Option<String>,
        cpu_features: Option<String>,
    }
    let name = |word: &str| {
        Name::new(word)
            .map_err(|error| crate::StoreError::Damaged { what: "cluster or role", why: error.to_string() })
    };
    let sql = "SELECT g.cluster, g.role, m.architecture, g.cpu_features FROM guests g JOIN images m ON m.id = g.image_id \
        WHERE g.id = $1";
    let words: Option<Words> = crate::sql::row(connection, sql, values![guest.0]).await?;
    let words = words.ok_or(crate::Refusal::NotFound("guest"))?;
    let apart = match words.cluster.zip(words.role) {
        Some((cluster, role)) => Some((name(&cluster)?, name(&role)?)),
        None => None,
    };
    let sql = "SELECT DISTINCT i.guest_id, n.kind FROM interfaces i JOIN networks n ON n.id = i.network_id WHERE i.guest_id = $1";
    let kinds: Vec<KindRow> = rows(connection, sql, values![guest.0]).await?;
    Ok(KinOf {
        apart,
        kinds: kinds.iter().filter_map(|row| NetworkKind::parse(&row.kind)).collect(),
        architecture: words.architecture,
        features: features_of(words.cpu_features.as_deref()),
    })
}

/// A guest with what it takes and needs of its host.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedGuest {
    /// Which.
    pub id: GuestId,
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub account: AccountId,
    /// Where it is.
    pub host: HostId,
    /// Where its disk is; 0 where it has none.
    pub pool: PoolId,
    /// Memory in bytes.
    pub memory: Bytes,
    /// Virtual processors.
    pub vcpus: u32,
    /// Disk in bytes.
    pub disk: Bytes,
    /// What it takes of its host.
    pub claims: Claims,
    /// Its cluster and role, if it has both.
    pub apart: Option<(String, String)>,
    /// The kinds of networks that it is in.
    pub kinds: Vec<NetworkKind>,
    /// Whose processors its programs are made for, if that is known.
    pub architecture: Option<String>,
    /// What its processors must be able to do.
    pub features: BTreeSet<CpuFeature>,
    /// How many processors it keeps busy, if that was seen.
    pub busy: Option<f64>,
}

/// What a guest takes of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claims {
    /// Memory, processors and disk.
    All,
    /// Its disk alone: it is cancelled, is going, or was taken back where there was no room for more.
    DiskOnly,
}

#[derive(FromQueryResult)]
struct GuestRow {
    id: i64,
    name: String,
    account_id: i64,
    host_id: i64,
    pool_id: i64,
    memory: i64,
    vcpus: i64,
    disk: i64,
    claims: bool,
    cluster: Option<String>,
    role: Option<String>,
    architecture: Option<String>,
    cpu_features: Option<String>,
}

#[derive(FromQueryResult)]
struct KindRow {
    guest_id: i64,
    kind: String,
}

/// Every guest that is not gone, or those of one host, for plans that name the guests they move.
pub async fn guests(connection: &impl Connection, only: Option<HostId>) -> StoreResult<Vec<PlacedGuest>> {
    // Plans are about what will be: a guest that is under way is where it goes.
    let under_way = guest_moves::destinations(connection).await?;
    let (narrowed, host) = match only {
        None => ("", values![]),
        // One that comes is of this host too, wherever it is yet; of the others those that go are left out below.
        Some(host) => (
            " AND (g.host_id = $1 OR g.id IN (SELECT m.guest_id FROM moves m WHERE m.to_host_id = $1 \
                AND m.moved_at IS NULL AND m.given_up_at IS NULL AND m.begun_at IS NOT NULL))",
            values![host.0],
        ),
    };
    let sql = format!(
        "SELECT DISTINCT i.guest_id, n.kind FROM interfaces i JOIN networks n ON n.id = i.network_id \
        JOIN guests g ON g.id = i.guest_id WHERE g.deleted_at IS NULL{narrowed}"
    );
    let mut kinds: HashMap<i64, Vec<NetworkKind>> = HashMap::new();
    for row in rows::<KindRow>(connection, &sql, host.clone()).await? {
        kinds.entry(row.guest_id).or_default().extend(NetworkKind::parse(&row.kind));
    }
    let sql = format!(
        "SELECT g.id, g.name, g.account_id, g.host_id, COALESCE(v.pool_id, 0) AS pool_id, g.memory, \
        CAST(g.vcpus AS BIGINT) AS vcpus, COALESCE(CASE WHEN v.growing_to > v.size THEN v.growing_to ELSE v.size END, 0) AS disk, g.cluster, g.role, \
        m.architecture, g.cpu_features, \
        (g.cancelled_at IS NULL AND g.deleting_at IS NULL AND g.memory_claimed) AS claims \
        FROM guests g JOIN images m ON m.id = g.image_id LEFT JOIN volumes v ON v.guest_id = g.id \
        WHERE g.deleted_at IS NULL AND g.host_id > 0{narrowed} ORDER BY g.id"
    );
    let found: Vec<GuestRow> = rows(connection, &sql, host).await?;
    let place = |row: &GuestRow| {
        under_way.get(&row.id).copied().unwrap_or((HostId(row.host_id), PoolId(row.pool_id)))
    };
    let guest = |row: GuestRow| {
        let (host, pool) = place(&row);
        PlacedGuest {
            id: GuestId(row.id),
            name: row.name,
            account: AccountId(row.account_id),
            host,
            pool,
            memory: Bytes(unsigned(row.memory)),
            vcpus: u32::try_from(row.vcpus).unwrap_or(u32::MAX),
            disk: Bytes(unsigned(row.disk)),
            claims: if row.claims { Claims::All } else { Claims::DiskOnly },
            apart: row.cluster.zip(row.role),
            kinds: kinds.remove(&row.id).unwrap_or_default(),
            architecture: row.architecture,
            features: features_of(row.cpu_features.as_deref()),
            busy: None,
        }
    };
    let of_host = |guest: &PlacedGuest| only.is_none_or(|only| guest.host == only);
    Ok(found.into_iter().map(guest).filter(of_host).collect())
}

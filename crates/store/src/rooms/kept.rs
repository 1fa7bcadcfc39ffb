//! What is taken of each host, kept in memory by a brain and renewed by what changed.
//!
//! ```text
//!   any statement of any brain --trigger--> room_changes: "host 7"
//!   an order --> which hosts since the place that is held? --> those alone are read anew, in the order's own transaction
//! ```
//!
//! What is held is what one snapshot showed, and never more: nothing that a transaction wrote itself gets in here before it is
//! committed, so that one that is taken back leaves nothing behind. On SQLite a place is a number, for there is one writer.
//! On PostgreSQL it is the snapshot: a row counts if the transaction that wrote it is seen now and was not seen then, in
//! whatever order they began and ended. A serializable transaction that reads the changes since its place has, for the
//! database, read what anybody is about to add there, as it would by reading every host.
//!
//! When hosts were heard is no change, for that is all the time. It only ever grows, so that a host that was up by what is
//! held is up; before one is called silent it is looked up; and one that returns is a change.

use super::{AT_ONCE, Room, Which, list, list_of, load_of};
use crate::cells::cells;
use crate::sql::{Connection, Reach, execute, is_postgres, number, read, row, values};
use crate::{StoreError, StoreResult, Tx, guest_moves};
use honcho_model::host::HostStatus;
use honcho_model::{AccountId, HostId, Timestamp};
use sea_orm::FromQueryResult;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// How old what hosts said of their load may be. Nothing depends on it but which of several good hosts is taken.
const LOADS_LAST: Duration = Duration::from_secs(5);

/// Of how large a part of the fleet it is as quick to read all.
const A_LARGE_PART: usize = 4;

/// Whose guests, and in which cluster and role, are on a host: how many of them claim memory.
pub type HostKin = BTreeMap<(AccountId, Option<(String, String)>), i64>;

/// Every host with what is taken of it and by whom, as a snapshot showed it.
#[derive(Clone, Debug)]
pub struct KeptRooms {
    rooms: Vec<Room>,
    kin: Vec<HostKin>,
    place: Place,
    loads_at: Timestamp,
}

/// What has been seen.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// SQLite: every change up to this one.
    Upto(i64),
    /// PostgreSQL: what this snapshot shows, by the server that was started then.
    Seen { snapshot: String, server: i64 },
}

/// Whether hosts are known to have told their load since it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loads {
    /// They have.
    Told,
    /// Other brains may have heard some.
    Unknown,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// There are other hosts than before, or everything was read.
    Anew,
    /// The same hosts, and these are not what they were.
    Hosts(Vec<Renewal>),
}

/// A host that was read anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Its place among the rooms.
    pub position: usize,
    /// Whose guests were on it before.
    pub before: HostKin,
}

/// What is not as it was.
struct News {
    /// Hosts as they are now, where they still are, and whose guests are on them.
    hosts: Vec<(HostId, Option<Room>, HostKin)>,
    place: Place,
    heard: Option<Vec<PulseRow>>,
}

cells! {
    struct ChangeRow {
        place: i64 = "id",
        host_id: i64 = "host_id",
    }
}

cells! {
    struct KinRow {
        host_id: i64 = "g.host_id",
        account_id: i64 = "g.account_id",
        cluster: Option<String> = "g.cluster",
        role: Option<String> = "g.role",
        guests: i64 = "COUNT(*)",
    }
}

cells! {
    struct PulseRow {
        host_id: i64 = "host_id",
        last_seen_at: Option<i64> = "last_seen_at",
        busy_percent: Option<i64> = "busy_percent",
        io_wait_percent: Option<i64> = "io_wait_percent",
    }
}

const KIN: &str = "FROM guests g WHERE g.cancelled_at IS NULL AND g.deleting_at IS NULL AND g.memory_claimed AND THOSE \
    GROUP BY g.host_id, g.account_id, g.cluster, g.role";

impl KeptRooms {
    /// Reads all of it. Whoever keeps it reads it by one snapshot, before writing anything.
    pub async fn read(connection: &impl Connection, now: Timestamp) -> StoreResult<KeptRooms> {
        let place = Place::of(connection).await?;
        let rooms = list(connection, None, now).await?;
        let claims = guest_moves::claims(connection, Which::All).await?;
        let mut kin = kin_of(connection, Which::All, &claims).await?;
        let kin = rooms.iter().map(|room| kin.remove(&room.host.0).unwrap_or_default()).collect();
        Ok(KeptRooms { rooms, kin, place, loads_at: now })
    }

    /// Every host with what is taken of it.
    pub fn rooms(&self) -> &[Room] {
        &self.rooms
    }

    /// By whom it is taken, in the order of the rooms.
    pub fn kin(&self) -> &[HostKin] {
        &self.kin
    }

    /// Brings it to what this snapshot shows. What fails leaves it as it was.
    pub async fn renew(
        &mut self,
        connection: &impl Connection,
        now: Timestamp,
        loads: Loads,
    ) -> StoreResult<Renewed> {
        let Some(news) = self.news(connection, now, loads).await? else {
            *self = KeptRooms::read(connection, now).await?;
            return Ok(Renewed::Anew);
        };
        let mut renewed = Renewed::Hosts(Vec::new());
        for (host, room, whose) in news.hosts {
            self.replace(host, room, whose, &mut renewed);
        }
        self.place = news.place;
        if let Some(heard) = news.heard {
            self.hear(heard);
            self.loads_at = now;
        }
        for room in &mut self.rooms {
            room.status = status_of(room, now);
        }
        Ok(renewed)
    }

    /// Reads what is new; `None` where it is as well to read all of it.
    async fn news(
        &self,
        connection: &impl Connection,
        now: Timestamp,
        loads: Loads,
    ) -> StoreResult<Option<News>> {
        let Some((changed, place)) = self.changed(connection).await? else { return Ok(None) };
        if changed.len() > self.rooms.len() / A_LARGE_PART + AT_ONCE {
            return Ok(None);
        }
        let mut hosts = Vec::with_capacity(changed.len());
        for some in changed.chunks(AT_ONCE) {
            let which = Which::These(some);
            let claims = guest_moves::claims(connection, which).await?;
            let rooms = list_of(connection, which, &claims, now).await?;
            let mut found: HashMap<HostId, Room> = rooms.into_iter().map(|room| (room.host, room)).collect();
            let mut kin = kin_of(connection, which, &claims).await?;
            hosts.extend(
                some.iter().map(|host| (*host, found.remove(host), kin.remove(&host.0).unwrap_or_default())),
            );
        }
        let age = now.0.checked_sub(self.loads_at.0).and_then(|age| u64::try_from(age).ok());
        let old = age.is_none_or(|age| Duration::from_micros(age) >= LOADS_LAST);
        let heard = if loads == Loads::Told || old || self.is_any_silent_now(now) {
            Some(heard(connection).await?)
        } else {
            None
        };
        Ok(Some(News { hosts, place, heard }))
    }

    fn replace(&mut self, host: HostId, room: Option<Room>, whose: HostKin, renewed: &mut Renewed) {
        match (self.rooms.binary_search_by_key(&host, |known| known.host), room) {
            (Ok(position), Some(mut room)) => {
                let known = &mut self.rooms[position];
                if room.features == known.features {
                    room.features = known.features.clone();
                }
                *known = room;
                let before = std::mem::replace(&mut self.kin[position], whose);
                if let Renewed::Hosts(hosts) = renewed {
                    hosts.push(Renewal { position, before });
                }
            }
            (Ok(position), None) => {
                self.rooms.remove(position);
                self.kin.remove(position);
                *renewed = Renewed::Anew;
            }
            (Err(position), Some(room)) => {
                self.rooms.insert(position, room);
                self.kin.insert(position, whose);
                *renewed = Renewed::Anew;
            }
            (Err(_), None) => {}
        }
    }

    /// Whether a host that was up would be silent by when it was heard as far as is known here.
    fn is_any_silent_now(&self, now: Timestamp) -> bool {
        let fell = |room: &Room| room.status == HostStatus::Up && status_of(room, now) == HostStatus::Silent;
        self.rooms.iter().any(fell)
    }

    /// Notes when hosts were heard, and what they said of their load.
    fn hear(&mut self, heard: Vec<PulseRow>) {
        let mut rooms = self.rooms.iter_mut().peekable();
        for pulse in heard {
            while rooms.next_if(|room| room.host.0 < pulse.host_id).is_some() {}
            let Some(room) = rooms.next_if(|room| room.host.0 == pulse.host_id) else { continue };
            room.last_seen_at = pulse.last_seen_at.map(Timestamp);
            room.load = load_of(pulse.busy_percent, pulse.io_wait_percent);
        }
    }

    /// The hosts that changed since, and the place after that; `None` if that cannot be told any more.
    async fn changed(&self, connection: &impl Connection) -> StoreResult<Option<(Vec<HostId>, Place)>> {
        match &self.place {
            Place::Upto(place) => {
                let sql = format!(
                    "SELECT {} FROM room_changes WHERE id > $1 ORDER BY id",
                    ChangeRow::COLUMNS.join(", ")
                );
                let found: Vec<ChangeRow> = read(connection, Reach::Few, sql, values![*place]).await?;
                let place = found.last().map_or(*place, |last| last.place);
                let hosts: BTreeSet<HostId> = found.iter().map(|row| HostId(row.host_id)).collect();
                Ok(Some((hosts.into_iter().collect(), Place::Upto(place))))
            }
            Place::Seen { snapshot, server } => {
                let place = Place::of(connection).await?;
                if !matches!(&place, Place::Seen { server: now, .. } if now == server) {
                    return Ok(None);
                }
                let hosts = changed_since(connection, snapshot).await?;
                // Some of the changes since are not noted any more.
                if hosts.first() == Some(&HostId(0)) {
                    return Ok(None);
                }
                Ok(Some((hosts, place)))
            }
        }
    }

    /// Where two differ that are to be the same, in words. When hosts were heard, and their load, is read now and then.
    pub fn difference(&self, other: &KeptRooms) -> Option<String> {
        let still = |rooms: &[Room]| -> Vec<Room> {
            rooms.iter().map(|room| Room { last_seen_at: None, load: None, ..room.clone() }).collect()
        };
        let (one, two) = (still(&self.rooms), still(&other.rooms));
        if one.len() != two.len() {
            return Some(format!("{} hosts are {} by now", one.len(), two.len()));
        }
        let rooms = one.iter().zip(&two).find(|(one, two)| one != two);
        if let Some((one, two)) = rooms {
            return Some(format!("{one:?} is {two:?} by now"));
        }
        let kin = self.kin.iter().zip(&other.kin).zip(&one).find(|((one, two), _)| one != two);
        kin.map(|((one, two), room)| format!("on {} {one:?} is {two:?} by now", room.host_name))
    }
}

/// When hosts were heard, and what they said of their load, by id.
async fn heard(connection: &impl Connection) -> StoreResult<Vec<PulseRow>> {
    let sql = format!("SELECT {} FROM host_observed ORDER BY host_id", PulseRow::COLUMNS.join(", "));
    read(connection, Reach::Many, sql, values![]).await
}

fn status_of(room: &Room, now: Timestamp) -> HostStatus {
    match room.status {
        known @ (HostStatus::Waiting | HostStatus::Frozen) => known,
        HostStatus::Up | HostStatus::Silent => HostStatus::of(true, false, room.last_seen_at, now),
    }
}

async fn kin_of(
    connection: &impl Connection,
    which: Which<'_>,
    moving: &[guest_moves::Claim],
) -> StoreResult<HashMap<i64, HostKin>> {
    let found: Vec<KinRow> = which.read(connection, KinRow::COLUMNS, KIN, "g.host_id").await?;
    let mut kin: HashMap<i64, HostKin> = HashMap::new();
    let mut add = |host: i64, account: i64, apart: Option<(String, String)>, guests: i64| {
        *kin.entry(host).or_default().entry((AccountId(account), apart)).or_default() += guests;
    };
    for row in found {
        add(row.host_id, row.account_id, row.cluster.zip(row.role), row.guests);
    }
    for claim in moving.iter().filter(|claim| claim.memory > 0) {
        add(claim.host.0, claim.account, claim.apart.clone(), 1);
    }
    Ok(kin)
}

#[derive(FromQueryResult)]
struct Snapshot {
    snapshot: String,
    server: i64,
}

impl Place {
    /// Where this snapshot is.
    async fn of(connection: &impl Connection) -> StoreResult<Place> {
        if !is_postgres(connection) {
            let newest = "SELECT COALESCE(MAX(id), 0) AS n FROM room_changes";
            return Ok(Place::Upto(number(connection, newest, values![]).await?.unwrap_or(0)));
        }
        let sql = "SELECT CAST(pg_current_snapshot() AS TEXT) AS snapshot, \
            CAST(EXTRACT(EPOCH FROM pg_postmaster_start_time()) * 1000000 AS BIGINT) AS server";
        let found: Option<Snapshot> = row(connection, sql, values![]).await?;
        let why = || "PostgreSQL told no snapshot".to_owned();
        let found = found.ok_or_else(|| StoreError::Damaged { what: "snapshot", why: why() })?;
        Ok(Place::Seen { snapshot: found.snapshot, server: found.server })
    }
}

/// The hosts of which a change is seen that this snapshot did not show; host 0 first, where some are not noted any more.
async fn changed_since(connection: &impl Connection, snapshot: &str) -> StoreResult<Vec<HostId>> {
    #[derive(FromQueryResult)]
    struct Changed {
        host_id: i64,
    }
    let sql = "SELECT DISTINCT host_id FROM room_changes \
        WHERE xid >= CAST(CAST(pg_snapshot_xmin(CAST($1 AS pg_snapshot)) AS TEXT) AS BIGINT) \
        AND CASE WHEN host_id = 0 THEN xid > CAST(CAST(pg_snapshot_xmin(CAST($1 AS pg_snapshot)) AS TEXT) AS BIGINT) \
        ELSE NOT pg_visible_in_snapshot(CAST(CAST(xid AS TEXT) AS xid8), CAST($1 AS pg_snapshot)) END ORDER BY host_id";
    // Of what is not noted any more all was written before the marker's transaction: whoever's oldest is that one has seen it,
    // however long somebody else's transaction keeps it the oldest.
    let found: Vec<Changed> = crate::sql::rows(connection, sql, values![snapshot]).await?;
    Ok(found.into_iter().map(|row| HostId(row.host_id)).collect())
}

/// Takes away the notes of changes that every transaction before this one wrote, and gives the first that may be missing after
/// the next time; `before` is what was given the last time, so that whoever has renewed since then misses none. SQLite
/// has one row for each host, which need no clearing away.
pub async fn forget_changes(tx: &Tx, before: Option<i64>) -> StoreResult<Option<i64>> {
    if !is_postgres(tx) {
        return Ok(None);
    }
    // What can be seen was written before what this snapshot shows begins; unless it was restored from another server's backup, whose
    // numbers say nothing here.
    let foreign = "DELETE FROM room_changes WHERE xid >= CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS TEXT) AS BIGINT)";
    execute(tx, foreign, values![]).await?;
    if let Some(before) = before {
        execute(tx, "DELETE FROM room_changes WHERE xid < $1", values![before]).await?;
        let note = "INSERT INTO room_changes (xid, host_id) VALUES ($1, 0) ON CONFLICT DO NOTHING";
        execute(tx, note, values![before]).await?;
    }
    let oldest = "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT) AS n";
    number(tx, oldest, values![]).await
}

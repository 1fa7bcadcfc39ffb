//! What hosts are and where they stand: the part of a host that people write down.
//!
//! A host's place is a row for each side of each unit, under a unique index: two hosts in one place cannot be stored,
//! whoever comes at the same time. What is looked up before only makes the refusal say more.

use crate::sql::{Connection, execute, row, rows, values};
use crate::{StoreResult, Tx};
use honcho_model::host::Duty;
use honcho_model::rack::Place;
use honcho_model::{HostId, Mac, Name, RackId, SiteId};
use sea_orm::{FromQueryResult, Value};
use std::collections::BTreeSet;

/// What people write down about a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Unique among the living.
    pub name: Name,
    /// The site; its rack's, if it is in one.
    pub site: Option<SiteId>,
    /// The rack.
    pub rack: Option<RackId>,
    /// The lowest unit.
    pub position: Option<i64>,
    /// How many units it fills.
    pub height: i64,
    /// The side, if it leaves the other one free.
    pub face: Option<honcho_model::rack::Face>,
    /// Who made it.
    pub vendor: Option<String>,
    /// What its maker calls it.
    pub model: Option<String>,
    /// Its maker's number for it.
    pub serial: Option<String>,
    /// Cores as bought.
    pub cores: Option<i64>,
    /// Memory as bought, in bytes.
    pub memory_bought: Option<i64>,
    /// Where its management controller answers.
    pub bmc_address: Option<String>,
    /// What it is there for.
    pub duties: BTreeSet<Duty>,
    /// Names and addresses of its network cards.
    pub nics: Vec<(String, Mac)>,
}

impl Attributes {
    /// The units it fills, if it is known where.
    pub fn place(&self) -> Option<Place> {
        Some(Place { position: self.position?, height: self.height, face: self.face })
    }
}

/// How duties are stored: words with spaces between them.
pub(crate) fn duties_text(duties: &BTreeSet<Duty>) -> String {
    duties.iter().map(|duty| duty.as_str()).collect::<Vec<_>>().join(" ")
}

/// Writes all of it down, units and network cards too.
pub async fn update(tx: &Tx, id: HostId, new: &Attributes) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE hosts SET name = $1, site_id = $2, rack_id = $3, position = $4, height_units = $5, face = $6, vendor = $7, \
         model = $8, serial = $9, cores = $10, memory_bought = $11, bmc_address = $12, duties = $13 WHERE id = $14",
        values![
            new.name.as_str(),
            new.site.map(|site| site.0),
            new.rack.map(|rack| rack.0),
            new.position,
            new.height,
            new.face.map(honcho_model::rack::Face::as_str),
            new.vendor.clone(),
            new.model.clone(),
            new.serial.clone(),
            new.cores,
            new.memory_bought,
            new.bmc_address.clone(),
            duties_text(&new.duties),
            id.0
        ],
    )
    .await?;
    release(tx, id).await?;
    if let (Some(rack), Some(place)) = (new.rack, new.place()) {
        let mut bound: Vec<Value> = values![rack.0, id.0];
        let mut tuples = Vec::new();
        for (unit, side) in place.claims() {
            bound.push(unit.into());
            bound.push(side.as_str().into());
            tuples.push(format!("($1, ${}, ${}, $2)", bound.len() - 1, bound.len()));
        }
        let sql =
            format!("INSERT INTO rack_units (rack_id, unit, side, host_id) VALUES {}", tuples.join(", "));
        execute(tx, &sql, bound).await?;
    }
    for (name, mac) in &new.nics {
        execute(
            tx,
            "INSERT INTO host_nics (host_id, name, mac) VALUES ($1, $2, $3)",
            values![id.0, name.as_str(), mac.to_string()],
        )
        .await?;
    }
    Ok(())
}

/// Notes that a writable attribute changed.
pub async fn raise_lock_version(tx: &Tx, id: HostId) -> StoreResult<()> {
    execute(tx, "UPDATE hosts SET lock_version = lock_version + 1 WHERE id = $1", values![id.0]).await?;
    Ok(())
}

/// Lets go of a host's units and of its MAC addresses.
pub async fn release(tx: &Tx, id: HostId) -> StoreResult<()> {
    execute(tx, "DELETE FROM rack_units WHERE host_id = $1", values![id.0]).await?;
    execute(tx, "DELETE FROM host_nics WHERE host_id = $1", values![id.0]).await?;
    Ok(())
}

/// Who stands in the way of a host at a place.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Neighbour {
    /// Its name.
    pub name: String,
    /// Its lowest unit.
    pub position: i64,
    /// How many units it fills.
    pub height_units: i64,
}

/// Hosts in a rack whose units `place` would share, from the lowest.
pub async fn in_the_way(
    connection: &impl Connection,
    rack: RackId,
    place: Place,
    host: Option<HostId>,
) -> StoreResult<Vec<Neighbour>> {
    rows(
        connection,
        "SELECT h.name, h.position, h.height_units FROM hosts h WHERE h.id IN (SELECT u.host_id FROM rack_units u \
         WHERE u.rack_id = $1 AND u.unit >= $2 AND u.unit <= $3 AND ($4 = '' OR u.side = $4)) AND h.id <> $5 \
         ORDER BY h.position",
        values![
            rack.0,
            place.position,
            place.top(),
            place.face.map_or("", honcho_model::rack::Face::as_str),
            host.map_or(0, |host| host.0)
        ],
    )
    .await
}

/// The highest unit that is filled in a rack, with the name of the host that fills it.
pub async fn highest(connection: &impl Connection, rack: RackId) -> StoreResult<Option<Neighbour>> {
    row(
        connection,
        "SELECT name, position, height_units FROM hosts WHERE rack_id = $1 AND position IS NOT NULL \
         AND deleted_at IS NULL ORDER BY position + height_units DESC LIMIT 1",
        values![rack.0],
    )
    .await
}

/// The name of the living host that has a MAC address.
pub async fn with_mac(connection: &impl Connection, mac: Mac) -> StoreResult<Option<(HostId, String)>> {
    #[derive(FromQueryResult)]
    struct Row {
        id: i64,
        name: String,
    }
    let found: Option<Row> = row(
        connection,
        "SELECT h.id, h.name FROM host_nics n JOIN hosts h ON h.id = n.host_id WHERE n.mac = $1",
        values![mac.to_string()],
    )
    .await?;
    Ok(found.map(|row| (HostId(row.id), row.name)))
}

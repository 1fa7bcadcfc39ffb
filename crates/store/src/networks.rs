//! Networks, and on which hosts they stand.

use crate::list::{Column, Filters, Select, Shared};
use crate::sql::{Connection, execute, insert, number, time, values};
use crate::{Refusal, Scope, StoreError, StoreResult, Tx, addresses};
use honcho_api::Network;
use honcho_model::{AccountId, HostId, Name, NetworkId, subnet};
use sea_orm::FromQueryResult;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    uuid: Uuid,
    account_id: Option<i64>,
    name: String,
    reference: Option<String>,
    kind: String,
    subnet: String,
    created_at: i64,
    lock_version: i64,
    addresses_count: i64,
    addresses_free: i64,
}

const SELECT: &str = "SELECT n.id, n.uuid, n.account_id, n.name, n.reference, n.kind, n.subnet, n.created_at, \
    n.lock_version, \
    (SELECT COUNT(*) FROM addresses a WHERE a.network_id = n.id) AS addresses_count, \
    (SELECT COUNT(*) FROM addresses a WHERE a.network_id = n.id AND a.interface_id IS NULL) AS addresses_free \
    FROM networks n";
const COLUMNS: &[Column] = &[
    Column::Integer("id", "n.id"),
    Column::Text("name", "n.name"),
    Column::Integer("account_id", "n.account_id"),
    Column::Text("reference", "n.reference"),
    Column::Text("kind", "n.kind"),
    Column::Text("subnet", "n.subnet"),
];

/// Networks in scope; those without an account are everybody's.
pub async fn list(
    connection: &impl Connection,
    scope: Scope,
    filters: &Filters,
) -> StoreResult<Vec<Network>> {
    let mut select = Select::new(SELECT, values![]);
    select.only("n.deleted_at IS NULL");
    select.scope(scope, "n.account_id", Shared::Yes);
    select.filter(filters, "n.id", COLUMNS)?;
    let rows: Vec<Row> = select.all(connection, "n.id", filters).await?;
    rows.into_iter()
        .map(|row| {
            let net = subnet::parse(&row.subnet)
                .map_err(|error| StoreError::Damaged { what: "subnet", why: error.to_string() })?;
            Ok(Network {
                id: row.id,
                uuid: row.uuid,
                account_id: row.account_id,
                name: row.name,
                reference: row.reference,
                kind: row.kind,
                subnet: row.subnet,
                gateway: subnet::gateway(net).to_string(),
                addresses_count: row.addresses_count,
                addresses_free: row.addresses_free,
                created_at: time(row.created_at),
                lock_version: row.lock_version,
            })
        })
        .collect()
}

/// One network.
pub async fn get(connection: &impl Connection, scope: Scope, id: NetworkId) -> StoreResult<Network> {
    let found = list(connection, scope, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("network").into())
}

/// What a new network is made of.
pub struct NewNetwork {
    /// Random.
    pub uuid: Uuid,
    /// Unique among the living.
    pub name: Name,
    /// The creator's own key.
    pub reference: Option<String>,
    /// Whose it is; everybody's, when `None`.
    pub account: Option<AccountId>,
    /// Its addresses.
    pub subnet: ipnet::Ipv4Net,
}

/// Makes a local network with a row for every address.
pub async fn create(tx: &Tx, new: &NewNetwork) -> StoreResult<NetworkId> {
    let id = insert(
        tx,
        "INSERT INTO networks (uuid, account_id, name, reference, kind, subnet, generation, created_at, lock_version) \
         VALUES ($1, $2, $3, $4, 'local', $5, 1, $6, 1) RETURNING id AS n",
        values![
            new.uuid,
            new.account.map(|account| account.0),
            new.name.as_str(),
            new.reference.clone(),
            new.subnet.to_string(),
            tx.now.0
        ],
    )
    .await?;
    addresses::create_all(tx, NetworkId(id), new.subnet).await?;
    Ok(NetworkId(id))
}

/// Renames one.
pub async fn rename(tx: &Tx, id: NetworkId, name: &Name) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE networks SET name = $1, lock_version = lock_version + 1 WHERE id = $2",
        values![name.as_str(), id.0],
    )
    .await?;
    Ok(())
}

/// Deletes one that nothing uses and that stands nowhere any more.
pub async fn delete(tx: &Tx, id: NetworkId) -> StoreResult<()> {
    let held = number(
        tx,
        "SELECT COUNT(*) AS n FROM addresses WHERE network_id = $1 AND interface_id IS NOT NULL",
        values![id.0],
    )
    .await?;
    if let Some(held @ 1..) = held {
        let text = format!("{held} of its addresses are held by guests: delete those first");
        return Err(Refusal::invalid("base", text).into());
    }
    let stands =
        number(tx, "SELECT COUNT(*) AS n FROM network_placements WHERE network_id = $1", values![id.0])
            .await?;
    if let Some(stands @ 1..) = stands {
        let text =
            format!("still stands on {stands} hosts, whose agents are about to remove it: try again shortly");
        return Err(Refusal::invalid("base", text).into());
    }
    execute(tx, "UPDATE networks SET deleted_at = $1 WHERE id = $2", values![tx.now.0, id.0]).await?;
    Ok(())
}

/// Notes that `network` is wanted on `host`.
pub async fn want_on_host(tx: &Tx, network: NetworkId, host: HostId) -> StoreResult<()> {
    execute(
        tx,
        "INSERT INTO network_placements (network_id, host_id, generation, absent) VALUES ($1, $2, 1, FALSE) \
         ON CONFLICT (network_id, host_id) DO UPDATE SET absent = FALSE, \
         generation = network_placements.generation + (CASE WHEN network_placements.absent THEN 1 ELSE 0 END)",
        values![network.0, host.0],
    )
    .await?;
    Ok(())
}

/// Lists as absent every network on `host` that no guest there uses any more.
pub async fn unwant_unused(tx: &Tx, host: HostId) -> StoreResult<()> {
    let changed = execute(
        tx,
        "UPDATE network_placements SET absent = TRUE, generation = generation + 1 \
         WHERE host_id = $1 AND NOT absent AND NOT EXISTS (SELECT 1 FROM interfaces i JOIN guests g ON g.id = i.guest_id \
         WHERE i.network_id = network_placements.network_id AND g.host_id = $1 AND g.deleted_at IS NULL)",
        values![host.0],
    )
    .await?;
    if changed > 0 {
        tx.touch(host);
    }
    Ok(())
}

/// Forgets that a network stands on `host`, if it still is to be gone at that generation.
pub async fn gone_from_host(tx: &Tx, network: NetworkId, host: HostId, generation: i64) -> StoreResult<bool> {
    let gone = execute(
        tx,
        "DELETE FROM network_placements WHERE network_id = $1 AND host_id = $2 AND absent AND generation <= $3",
        values![network.0, host.0, generation],
    )
    .await?;
    if gone > 0 {
        tx.touch(host);
    }
    Ok(gone > 0)
}

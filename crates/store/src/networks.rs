//! Networks, and on which hosts they stand.

use crate::list::{Column, Filters, Select, Shared};
use crate::sql::{Connection, execute, insert, number, rows, time, values};
use crate::{Refusal, Scope, StoreError, StoreResult, Tx, addresses};
use honcho_api::Network;
use honcho_model::{AccountId, AddressRange, HostId, Name, NetworkId, NetworkKind, subnet};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sea_orm::FromQueryResult;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    uuid: Uuid,
    account_id: Option<i64>,
    name: String,
    reference: Option<String>,
    kind: String,
    vlan_id: Option<i64>,
    vxlan_id: Option<i64>,
    subnet: Option<String>,
    subnet6: Option<String>,
    gateway: Option<String>,
    gateway6: Option<String>,
    reserved_ranges: Option<String>,
    created_at: i64,
    lock_version: i64,
    addresses_free: i64,
    addresses6_held: i64,
}

const SELECT: &str = "SELECT n.id, n.uuid, n.account_id, n.name, n.reference, n.kind, n.vlan_id, n.vxlan_id, n.subnet, \
    n.subnet6, n.gateway, n.gateway6, n.reserved_ranges, n.created_at, n.lock_version, \
    (SELECT COUNT(*) FROM addresses a WHERE a.network_id = n.id AND a.family = 4 AND a.account_id IS NULL \
        AND NOT a.reserved) AS addresses_free, \
    (SELECT COUNT(*) FROM addresses a WHERE a.network_id = n.id AND a.family = 6 AND a.account_id IS NOT NULL) \
        AS addresses6_held FROM networks n";
const COLUMNS: &[Column] = &[
    Column::Integer("id", "n.id"),
    Column::Text("name", "n.name"),
    Column::Integer("account_id", "n.account_id"),
    Column::Text("reference", "n.reference"),
    Column::Text("kind", "n.kind"),
    Column::Integer("vlan_id", "n.vlan_id"),
    Column::Integer("vxlan_id", "n.vxlan_id"),
    Column::Text("subnet", "n.subnet"),
    Column::Text("subnet6", "n.subnet6"),
];

/// A subnet and the way out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side<N, A> {
    /// The subnet.
    pub net: N,
    /// The way out of it.
    pub gateway: A,
}

/// The subnets of a network: one of each family at most, one at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnets {
    /// Its IPv4 addresses.
    pub ipv4: Option<Side<Ipv4Net, Ipv4Addr>>,
    /// Its IPv6 addresses.
    pub ipv6: Option<Side<Ipv6Net, Ipv6Addr>>,
}

fn damaged(what: &'static str, why: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged { what, why: why.to_string() }
}

impl Subnets {
    /// As the columns hold them.
    pub(crate) fn read(
        (net, gateway): (Option<&str>, Option<&str>),
        (net6, gateway6): (Option<&str>, Option<&str>),
    ) -> StoreResult<Self> {
        let wrong = |error: subnet::SubnetError| damaged("subnet", error);
        let net = net.map(subnet::parse).transpose().map_err(wrong)?;
        let net6 = net6.map(subnet::parse6).transpose().map_err(wrong)?;
        let gateway = gateway.map(str::parse).transpose().map_err(|error| damaged("gateway", error))?;
        let gateway6 = gateway6.map(str::parse).transpose().map_err(|error| damaged("gateway", error))?;
        Ok(Subnets {
            ipv4: net.map(|net| Side { net, gateway: gateway.unwrap_or(subnet::gateway(net)) }),
            ipv6: net6.map(|net| Side { net, gateway: gateway6.unwrap_or(subnet::gateway6(net)) }),
        })
    }

    /// Each of them.
    pub fn nets(&self) -> impl Iterator<Item = IpNet> {
        let ipv4 = self.ipv4.map(|side| IpNet::from(side.net));
        ipv4.into_iter().chain(self.ipv6.map(|side| IpNet::from(side.net)))
    }

    /// The subnet and the gateway of an address's family.
    pub fn side_of(&self, address: IpAddr) -> Option<(IpNet, IpAddr)> {
        match address {
            IpAddr::V4(_) => self.ipv4.map(|side| (side.net.into(), side.gateway.into())),
            IpAddr::V6(_) => self.ipv6.map(|side| (side.net.into(), side.gateway.into())),
        }
    }

    /// Whether an address is one of theirs that a guest can have.
    pub fn can_give(&self, address: IpAddr) -> bool {
        let given = |(net, gateway)| subnet::is_usable(net, address) && gateway != address;
        self.side_of(address).is_some_and(given)
    }
}

/// For people: `10.77.0.0/24 and 2001:db8:77::/64`.
impl std::fmt::Display for Subnets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nets: Vec<String> = self.nets().map(|net| net.to_string()).collect();
        f.write_str(&nets.join(" and "))
    }
}

fn to_api(row: Row) -> StoreResult<Network> {
    let subnets = Subnets::read(
        (row.subnet.as_deref(), row.gateway.as_deref()),
        (row.subnet6.as_deref(), row.gateway6.as_deref()),
    )?;
    let (ipv4, ipv6) = (subnets.ipv4, subnets.ipv6);
    // Network, gateway and broadcast address are nobody else's.
    let count = ipv4.map_or(0, |side| (1_i64 << (32 - side.net.prefix_len())) - 3);
    let ranges = row.reserved_ranges.unwrap_or_default();
    Ok(Network {
        id: row.id,
        uuid: row.uuid,
        account_id: row.account_id,
        name: row.name,
        reference: row.reference,
        kind: row.kind,
        vlan_id: row.vlan_id,
        vxlan_id: row.vxlan_id,
        subnet: ipv4.map(|side| side.net.to_string()),
        subnet6: ipv6.map(|side| side.net.to_string()),
        gateway: ipv4.map(|side| side.gateway.to_string()),
        gateway6: ipv6.map(|side| side.gateway.to_string()),
        reserved_ranges: ranges.split_whitespace().map(str::to_owned).collect(),
        addresses_count: count,
        addresses_free: row.addresses_free,
        addresses6_held: row.addresses6_held,
        created_at: time(row.created_at),
        lock_version: row.lock_version,
    })
}

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
    rows.into_iter().map(to_api).collect()
}

/// One network.
pub async fn get(connection: &impl Connection, scope: Scope, id: NetworkId) -> StoreResult<Network> {
    let found = list(connection, scope, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("network").into())
}

/// What a network takes for itself. For whoever makes another one: nothing of it is counted.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Claim {
    /// What people call it.
    pub name: String,
    /// How its frames travel.
    pub kind: String,
    /// Its number as a VLAN.
    pub vlan_id: Option<i64>,
    /// Its number as a VXLAN.
    pub vxlan_id: Option<i64>,
    /// Its IPv4 addresses.
    pub subnet: Option<String>,
    /// Its IPv6 addresses.
    pub subnet6: Option<String>,
}

/// What the living networks of all accounts have taken.
pub async fn claims(connection: &impl Connection) -> StoreResult<Vec<Claim>> {
    let sql = "SELECT n.name, n.kind, n.vlan_id, n.vxlan_id, n.subnet, n.subnet6 FROM networks n \
        WHERE n.deleted_at IS NULL ORDER BY n.id";
    rows(connection, sql, values![]).await
}

/// What there is to know of a network for whoever gives out its addresses; nothing of it is counted.
#[derive(Clone, Debug)]
pub struct Addressing {
    /// Its id.
    pub id: NetworkId,
    /// What people call it.
    pub name: String,
    /// Whose it is; everybody's, when `None`.
    pub account: Option<AccountId>,
    /// How its frames travel.
    pub kind: NetworkKind,
    /// Its addresses.
    pub subnets: Subnets,
    /// Those of them that are not given out by themselves.
    pub reserved: Vec<AddressRange>,
    /// The last IPv6 address that was given out for the first time without having been named.
    pub(crate) last6: Option<Ipv6Addr>,
}

/// Reads it of a network in scope.
pub async fn addressing(
    connection: &impl Connection,
    scope: Scope,
    id: NetworkId,
) -> StoreResult<Addressing> {
    #[derive(FromQueryResult)]
    struct Row {
        name: String,
        account_id: Option<i64>,
        kind: String,
        subnet: Option<String>,
        subnet6: Option<String>,
        gateway: Option<String>,
        gateway6: Option<String>,
        reserved_ranges: Option<String>,
        last6: Option<Vec<u8>>,
    }
    let mut select = Select::new(
        "SELECT n.name, n.account_id, n.kind, n.subnet, n.subnet6, n.gateway, n.gateway6, n.reserved_ranges, n.last6 \
         FROM networks n",
        values![],
    );
    select.only("n.deleted_at IS NULL");
    select.only_with("n.id = ?", id.0);
    select.scope(scope, "n.account_id", Shared::Yes);
    let found: Vec<Row> = select.all(connection, "n.id", &Filters::default()).await?;
    let row = found.into_iter().next().ok_or(Refusal::NotFound("network"))?;
    let ranges = row.reserved_ranges.unwrap_or_default();
    let ranges = ranges.split_whitespace().map(|range| range.parse().map_err(|why| damaged("range", why)));
    let last6 = match row.last6.as_deref().map(addresses::from_bytes).transpose()? {
        Some(IpAddr::V6(last)) => Some(last),
        _ => None,
    };
    Ok(Addressing {
        id,
        name: row.name,
        account: row.account_id.map(AccountId),
        kind: NetworkKind::parse(&row.kind).ok_or_else(|| damaged("kind", &row.kind))?,
        subnets: Subnets::read(
            (row.subnet.as_deref(), row.gateway.as_deref()),
            (row.subnet6.as_deref(), row.gateway6.as_deref()),
        )?,
        reserved: ranges.collect::<StoreResult<_>>()?,
        last6,
    })
}

/// How frames of a new network travel, with the number by which it is known there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Travel {
    /// On one host.
    Local,
    /// With this VLAN id.
    Vlan(i64),
    /// With this VXLAN network identifier.
    Vxlan(i64),
}

impl Travel {
    fn columns(self) -> (NetworkKind, Option<i64>, Option<i64>) {
        match self {
            Travel::Local => (NetworkKind::Local, None, None),
            Travel::Vlan(id) => (NetworkKind::Vlan, Some(id), None),
            Travel::Vxlan(id) => (NetworkKind::Vxlan, None, Some(id)),
        }
    }
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
    /// How its frames travel.
    pub travel: Travel,
    /// Its addresses.
    pub subnets: Subnets,
    /// Those of them that are not given out by themselves.
    pub reserved: Vec<AddressRange>,
}

impl NewNetwork {
    /// A local network of IPv4 alone, of which everything may be given out.
    pub fn local(uuid: Uuid, name: Name, account: Option<AccountId>, net: Ipv4Net) -> Self {
        let ipv4 = Some(Side { net, gateway: subnet::gateway(net) });
        let subnets = Subnets { ipv4, ipv6: None };
        NewNetwork { uuid, name, reference: None, account, travel: Travel::Local, subnets, reserved: vec![] }
    }
}

fn text(ranges: &[AddressRange]) -> String {
    ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Makes a network, with a row for every IPv4 address.
pub async fn create(tx: &Tx, new: &NewNetwork) -> StoreResult<NetworkId> {
    let (kind, vlan, tunnel) = new.travel.columns();
    let (ipv4, ipv6) = (new.subnets.ipv4, new.subnets.ipv6);
    let id = insert(
        tx,
        "INSERT INTO networks (uuid, account_id, name, reference, kind, vlan_id, vxlan_id, subnet, gateway, subnet6, gateway6, \
         reserved_ranges, generation, created_at, lock_version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, 1) RETURNING id AS n",
        values![
            new.uuid,
            new.account.map(|account| account.0),
            new.name.as_str(),
            new.reference.clone(),
            kind.as_str(),
            vlan,
            tunnel,
            ipv4.map(|side| side.net.to_string()),
            ipv4.map(|side| side.gateway.to_string()),
            ipv6.map(|side| side.net.to_string()),
            ipv6.map(|side| side.gateway.to_string()),
            text(&new.reserved),
            tx.now.0
        ],
    )
    .await?;
    if let Some(side) = ipv4 {
        addresses::create_all(tx, NetworkId(id), side, &new.reserved).await?;
    }
    Ok(NetworkId(id))
}

/// Changes what can change of one: its name, and which of its addresses are not given out by themselves.
pub async fn update(tx: &Tx, id: NetworkId, name: &Name, reserved: &[AddressRange]) -> StoreResult<()> {
    execute(
        tx,
        // What is not held back any more may lie before the place where the search goes on.
        "UPDATE networks SET name = $1, reserved_ranges = $2, last6 = NULL, lock_version = lock_version + 1 WHERE id = $3",
        values![name.as_str(), text(reserved), id.0],
    )
    .await?;
    addresses::reserve(tx, id, reserved).await
}

/// Deletes one that nothing uses and that stands nowhere any more.
pub async fn delete(tx: &Tx, id: NetworkId) -> StoreResult<()> {
    let count = async |condition: &str| {
        let sql = format!("SELECT COUNT(*) AS n FROM addresses WHERE network_id = $1 AND {condition}");
        Ok::<_, StoreError>(number(tx, &sql, values![id.0]).await?.unwrap_or(0))
    };
    if let held @ 1.. = count("interface_id IS NOT NULL").await? {
        let text = format!("{held} of its addresses are held by guests: delete those first");
        return Err(Refusal::invalid("base", text).into());
    }
    if let held @ 1.. = count("account_id IS NOT NULL").await? {
        let text = format!("{held} of its addresses are allocated to accounts: release those first");
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

//! Addresses. Of IPv4 every one that a guest can have is a row from the start; of IPv6, those that were ever held. The
//! holder is a column, so an address cannot be given twice. It is free while it has no account.
//!
//! The longest-freed is given out first; one never held counts as freed at the beginning of time. Whoever gives one out
//! runs in a change that waits for its turn (`Turn::Addresses`), so that on PostgreSQL, too, it sees which one that is.

use crate::list::{Column, Filters, Select, Shared};
use crate::networks::{Addressing, Side};
use crate::sql::{Connection, execute, insert, number, row, rows, time, values};
use crate::{Refusal, Scope, StoreError, StoreResult, Tx};
use honcho_api::Address;
use honcho_model::{
    AccountId, AddressId, AddressRange, DomainName, Family, GuestId, InterfaceId, NetworkId, address, range,
    subnet,
};
use ipnet::{Ipv4Net, Ipv6Net};
use sea_orm::{FromQueryResult, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How an address is stored: 16 bytes, IPv4 mapped into IPv6 (RFC 4291, section 2.5.5.2), so that one column sorts both.
pub(crate) fn to_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The other way.
pub(crate) fn from_bytes(bytes: &[u8]) -> StoreResult<IpAddr> {
    let damaged = || StoreError::Damaged { what: "address", why: format!("{} bytes", bytes.len()) };
    let octets: [u8; 16] = bytes.try_into().map_err(|_| damaged())?;
    Ok(Ipv6Addr::from(octets).to_canonical())
}

/// An address as its column holds it, read without an allocation.
#[derive(Clone, Copy)]
pub(crate) struct Octets([u8; 16]);

impl Octets {
    pub(crate) fn address(self) -> IpAddr {
        Ipv6Addr::from(self.0).to_canonical()
    }
}

impl rusqlite::types::FromSql for Octets {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        <[u8; 16]>::column_result(value).map(Octets)
    }
}

impl sea_orm::TryGetable for Octets {
    fn try_get_by<I: sea_orm::ColIdx>(
        row: &sea_orm::QueryResult,
        index: I,
    ) -> Result<Self, sea_orm::TryGetError> {
        let bytes: Vec<u8> = Vec::try_get_by(row, index)?;
        let octets = bytes.try_into().map_err(|bytes: Vec<u8>| {
            sea_orm::DbErr::Type(format!("an address has 16 bytes, and not {}", bytes.len()))
        })?;
        Ok(Octets(octets))
    }
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    network_id: i64,
    account_id: Option<i64>,
    family: i64,
    address: Vec<u8>,
    status: String,
    reserved: bool,
    kept: bool,
    name: Option<String>,
    reverse_name: Option<String>,
    reference: Option<String>,
    interface_id: Option<i64>,
    guest_id: Option<i64>,
    allocated_at: Option<i64>,
    freed_at: i64,
    lock_version: i64,
}

const STATUS: &str = "(CASE WHEN a.interface_id IS NOT NULL THEN 'used' WHEN a.account_id IS NOT NULL THEN 'allocated' \
    WHEN a.reserved THEN 'reserved' ELSE 'free' END)";

const COLUMNS: &[Column] = &[
    Column::Integer("id", "a.id"),
    Column::Integer("network_id", "a.network_id"),
    Column::Integer("account_id", "a.account_id"),
    Column::Integer("family", "a.family"),
    Column::Address("address", "a.address"),
    Column::Derived("status", STATUS),
    Column::Text("name", "a.name"),
    Column::Text("reverse_name", "a.reverse_name"),
    Column::Text("reference", "a.reference"),
    Column::Integer("guest_id", "i.guest_id"),
    Column::Integer("interface_id", "a.interface_id"),
];

fn to_api(row: Row) -> StoreResult<Address> {
    let held = from_bytes(&row.address)?;
    Ok(Address {
        id: row.id,
        network_id: row.network_id,
        account_id: row.account_id,
        family: row.family,
        address: held.to_string(),
        status: row.status,
        public: address::is_global(held),
        reserved: row.reserved,
        kept: row.kept,
        name: row.name,
        reverse_name: row.reverse_name,
        reference: row.reference,
        guest_id: row.guest_id,
        interface_id: row.interface_id,
        allocated_at: row.allocated_at.map(time),
        freed_at: (row.freed_at > 0).then(|| time(row.freed_at)),
        lock_version: row.lock_version,
    })
}

/// Addresses in scope: an account sees those that it holds.
pub async fn list(
    connection: &impl Connection,
    scope: Scope,
    filters: &Filters,
) -> StoreResult<Vec<Address>> {
    let mut select = Select::new(
        format!(
            "SELECT a.id, a.network_id, a.account_id, a.family, a.address, {STATUS} AS status, a.reserved, a.kept, a.name, \
             a.reverse_name, a.reference, a.interface_id, i.guest_id, a.allocated_at, a.freed_at, a.lock_version \
             FROM addresses a LEFT JOIN interfaces i ON i.id = a.interface_id"
        ),
        values![],
    );
    // Those of a network that is gone are gone with it.
    select.only("EXISTS (SELECT 1 FROM networks n WHERE n.id = a.network_id AND n.deleted_at IS NULL)");
    select.scope(scope, "a.account_id", Shared::No);
    select.filter(filters, "a.id", COLUMNS)?;
    let rows: Vec<Row> = select.all(connection, "a.id", filters).await?;
    rows.into_iter().map(to_api).collect()
}

/// One address.
pub async fn get(connection: &impl Connection, scope: Scope, id: AddressId) -> StoreResult<Address> {
    let found = list(connection, scope, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("address").into())
}

/// The address that this account was given with this reference.
pub async fn by_reference(
    connection: &impl Connection,
    account: AccountId,
    reference: &str,
) -> StoreResult<Option<Address>> {
    let filters = Filters::default().and("account_id", account).and("reference", reference);
    Ok(list(connection, Scope::System, &filters).await?.into_iter().next())
}

/// SQLite takes 32,766 bound values at most, PostgreSQL 65,535; one is bound for each row.
const ROWS_PER_INSERT: usize = 10_000;

/// Makes the rows of a new network.
pub(crate) async fn create_all(
    tx: &Tx,
    network: NetworkId,
    side: Side<Ipv4Net, Ipv4Addr>,
    reserved: &[AddressRange],
) -> StoreResult<()> {
    let addresses: Vec<Ipv4Addr> = subnet::guest_addresses(side.net, side.gateway).collect();
    for chunk in addresses.chunks(ROWS_PER_INSERT) {
        let mut bound: Vec<Value> = values![network.0];
        let mut tuples = Vec::with_capacity(chunk.len());
        for address in chunk {
            let address = IpAddr::from(*address);
            bound.push(to_bytes(address).into());
            let reserved = if range::holding(reserved, address).is_some() { "TRUE" } else { "FALSE" };
            tuples.push(format!("($1, 4, ${}, 0, {reserved})", bound.len()));
        }
        let sql = format!(
            "INSERT INTO addresses (network_id, family, address, freed_at, reserved) VALUES {}",
            tuples.join(", ")
        );
        execute(tx, &sql, bound).await?;
    }
    Ok(())
}

/// Holds back what lies in these ranges, and nothing else. Who holds an address goes on holding it.
pub(crate) async fn reserve(tx: &Tx, network: NetworkId, ranges: &[AddressRange]) -> StoreResult<()> {
    let none = "UPDATE addresses SET reserved = FALSE WHERE network_id = $1 AND reserved";
    execute(tx, none, values![network.0]).await?;
    for range in ranges {
        let sql = "UPDATE addresses SET reserved = TRUE WHERE network_id = $1 AND address BETWEEN $2 AND $3";
        execute(tx, sql, values![network.0, to_bytes(range.first()), to_bytes(range.last())]).await?;
    }
    Ok(())
}

/// Who is given an address.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The account.
    pub account: AccountId,
    /// The card of its guest. Without one the account keeps it until it gives it back.
    pub interface: Option<InterfaceId>,
    /// Its name in the DNS.
    pub name: Option<DomainName>,
    /// The name that the DNS gives for it.
    pub reverse_name: Option<DomainName>,
    /// The account's own key for it.
    pub reference: Option<String>,
}

impl Holder {
    /// The card of a guest.
    pub(crate) fn card(account: AccountId, interface: InterfaceId) -> Self {
        Holder { account, interface: Some(interface), name: None, reverse_name: None, reference: None }
    }

    /// The values of [`HELD`], in its order.
    fn values(&self, tx: &Tx) -> Vec<Value> {
        let text = |name: &Option<DomainName>| name.as_ref().map(|name| name.as_str().to_owned());
        values![
            self.account.0,
            self.interface.map(|interface| interface.0),
            self.interface.is_none(),
            tx.now.0,
            text(&self.name),
            text(&self.reverse_name),
            self.reference.clone()
        ]
    }
}

/// Which address is to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The longest-freed of a family.
    Any(Family),
    /// This one.
    This(IpAddr),
}

#[derive(FromQueryResult)]
struct Given {
    id: i64,
    address: Vec<u8>,
}

impl Given {
    fn read(self) -> StoreResult<(AddressId, IpAddr)> {
        Ok((AddressId(self.id), from_bytes(&self.address)?))
    }
}

/// What is set of an address that is given out; the values are [`Holder::values`].
const HELD: &str = "account_id = $1, interface_id = $2, kept = $3, allocated_at = $4, name = $5, reverse_name = $6, \
    reference = $7, lock_version = lock_version + 1";

/// What is set of an address that is free again, at `$1`.
const FREED: &str = "account_id = NULL, interface_id = NULL, kept = FALSE, allocated_at = NULL, name = NULL, \
    reverse_name = NULL, reference = NULL, freed_at = $1, lock_version = lock_version + 1";

/// Gives an address of `network` to `holder`. Call it from a change that waits for its turn.
pub async fn take(
    tx: &Tx,
    network: &Addressing,
    wish: Wish,
    holder: &Holder,
) -> StoreResult<(AddressId, IpAddr)> {
    let family = match wish {
        Wish::This(address) => return take_this(tx, network, address, holder).await,
        Wish::Any(family) => family,
    };
    if let (Family::V6, Some(side)) = (family, network.subnets.ipv6)
        && let Some(unused) = first_unused(tx, network, side).await?
    {
        let sql = "UPDATE networks SET last6 = $1 WHERE id = $2";
        execute(tx, sql, values![to_bytes(unused.into()), network.id.0]).await?;
        return write(tx, network, unused, holder).await;
    }
    let mut bound = holder.values(tx);
    bound.extend(values![network.id.0, family.number()]);
    let sql = format!(
        "UPDATE addresses SET {HELD} WHERE id = (SELECT id FROM addresses WHERE network_id = $8 AND family = $9 \
         AND account_id IS NULL AND NOT reserved ORDER BY freed_at, address LIMIT 1) RETURNING id, address"
    );
    match row::<Given>(tx, &sql, bound).await? {
        Some(given) => given.read(),
        None => Err(full(tx, network, family).await?.into()),
    }
}

/// So many rows are looked at a time where an unused address is searched for.
const ROWS_PER_LOOK: i64 = 500;

/// The first IPv6 address behind the last one found so that never was used and may be given.
async fn first_unused(
    tx: &Tx,
    network: &Addressing,
    side: Side<Ipv6Net, Ipv6Addr>,
) -> StoreResult<Option<Ipv6Addr>> {
    let mut next = subnet::next6(side.net, side.gateway, &network.reserved, network.last6);
    while let Some(from) = next {
        let sql = format!(
            "SELECT id, address FROM addresses WHERE network_id = $1 AND address >= $2 ORDER BY address \
             LIMIT {ROWS_PER_LOOK}"
        );
        // Those of IPv4 come before all of IPv6.
        let used: Vec<Given> = rows(tx, &sql, values![network.id.0, to_bytes(from.into())]).await?;
        let whole = used.len() < usize::try_from(ROWS_PER_LOOK).unwrap_or(usize::MAX);
        for used in used {
            match (used.read()?.1, next) {
                (IpAddr::V6(used), Some(free)) if used == free => {
                    next = subnet::next6(side.net, side.gateway, &network.reserved, Some(free));
                }
                (IpAddr::V6(used), Some(free)) if used > free => return Ok(Some(free)),
                _ => {}
            }
        }
        if whole {
            return Ok(next);
        }
    }
    Ok(None)
}

/// Writes down an IPv6 address that is held for the first time.
async fn write(
    tx: &Tx,
    network: &Addressing,
    address: Ipv6Addr,
    holder: &Holder,
) -> StoreResult<(AddressId, IpAddr)> {
    let address = IpAddr::from(address);
    let mut bound = holder.values(tx);
    let reserved = range::holding(&network.reserved, address).is_some();
    bound.extend(values![network.id.0, to_bytes(address), reserved]);
    let id = insert(
        tx,
        "INSERT INTO addresses (account_id, interface_id, kept, allocated_at, name, reverse_name, reference, network_id, \
         family, address, freed_at, reserved) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 6, $9, 0, $10) RETURNING id AS n",
        bound,
    )
    .await?;
    Ok((AddressId(id), address))
}

/// Gives one that was named: it is free, or the account's own and on no guest.
async fn take_this(
    tx: &Tx,
    network: &Addressing,
    address: IpAddr,
    holder: &Holder,
) -> StoreResult<(AddressId, IpAddr)> {
    #[derive(FromQueryResult)]
    struct Known {
        id: i64,
        account_id: Option<i64>,
        interface_id: Option<i64>,
    }
    let refusal = |text: String| StoreError::from(Refusal::invalid("address", text));
    let sql = "SELECT id, account_id, interface_id FROM addresses WHERE network_id = $1 AND address = $2";
    let known: Option<Known> = row(tx, sql, values![network.id.0, to_bytes(address)]).await?;
    let Some(known) = known else {
        return match address {
            IpAddr::V6(address) if network.subnets.can_give(address.into()) => {
                write(tx, network, address, holder).await
            }
            _ => Err(refusal(format!(
                "{address} is none that guests of network {} can have ({})",
                network.name, network.subnets
            ))),
        };
    };
    match (known.account_id, known.interface_id, holder.interface) {
        (None, ..) => {
            let mut bound = holder.values(tx);
            bound.push(known.id.into());
            execute(tx, &format!("UPDATE addresses SET {HELD} WHERE id = $8"), bound).await?;
        }
        (Some(account), None, Some(interface)) if account == holder.account.0 => {
            let sql = "UPDATE addresses SET interface_id = $1, lock_version = lock_version + 1 WHERE id = $2";
            execute(tx, sql, values![interface.0, known.id]).await?;
        }
        _ => return Err(refusal(format!("{address} of network {} is taken", network.name))),
    }
    Ok((AddressId(known.id), address))
}

/// Why none is given: which network it is, and how full.
async fn full(tx: &Tx, network: &Addressing, family: Family) -> StoreResult<Refusal> {
    let name = &network.name;
    let net = match family {
        Family::V4 => network.subnets.ipv4.map(|side| side.net.to_string()),
        Family::V6 => network.subnets.ipv6.map(|side| side.net.to_string()),
    };
    let Some(net) = net else {
        return Ok(Refusal::invalid("network_id", format!("has no {family} addresses: network {name}")));
    };
    let count = async |condition: &str| {
        let sql = format!(
            "SELECT COUNT(*) AS n FROM addresses WHERE network_id = $1 AND family = $2 AND {condition}"
        );
        Ok::<_, StoreError>(number(tx, &sql, values![network.id.0, family.number()]).await?.unwrap_or(0))
    };
    let taken = count("account_id IS NOT NULL").await?;
    let text = match count("account_id IS NULL").await? {
        0 => format!("has no free address: all {taken} of network {name} ({net}) are taken"),
        held_back => format!(
            "has no free address: of {} of network {name} ({net}) {taken} are taken and {held_back} reserved",
            taken + held_back
        ),
    };
    Ok(Refusal::invalid("network_id", text))
}

/// Changes an address's names.
pub async fn rename(
    tx: &Tx,
    id: AddressId,
    name: Option<&DomainName>,
    reverse_name: Option<&DomainName>,
) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE addresses SET name = $1, reverse_name = $2, lock_version = lock_version + 1 WHERE id = $3",
        values![name.map(DomainName::as_str), reverse_name.map(DomainName::as_str), id.0],
    )
    .await?;
    Ok(())
}

/// Gives one back that no guest has.
pub async fn release(tx: &Tx, id: AddressId) -> StoreResult<()> {
    let sql = format!("UPDATE addresses SET {FREED} WHERE id = $2 AND interface_id IS NULL");
    execute(tx, &sql, values![tx.now.0, id.0]).await?;
    Ok(())
}

/// Gives back what an account holds on no guest.
pub async fn release_of_account(tx: &Tx, account: AccountId) -> StoreResult<()> {
    let sql = format!("UPDATE addresses SET {FREED} WHERE account_id = $2 AND interface_id IS NULL");
    execute(tx, &sql, values![tx.now.0, account.0]).await?;
    Ok(())
}

/// Frees what a guest held, now that its interfaces are known to be gone. What its account allocated by itself stays the
/// account's; those are given.
pub(crate) async fn free_of_guest(tx: &Tx, guest: GuestId) -> StoreResult<Vec<IpAddr>> {
    let its = "interface_id IN (SELECT id FROM interfaces WHERE guest_id =";
    let sql = format!(
        "UPDATE addresses SET interface_id = NULL, lock_version = lock_version + 1 WHERE kept AND {its} $1) \
         RETURNING id, address"
    );
    let kept: Vec<Given> = rows(tx, &sql, values![guest.0]).await?;
    execute(tx, &format!("UPDATE addresses SET {FREED} WHERE {its} $2)"), values![tx.now.0, guest.0]).await?;
    kept.into_iter().map(|given| Ok(given.read()?.1)).collect()
}

//! Addresses: every one a guest can have is a row, whose holder is a column. One row, one holder: an address cannot
//! be given twice. The longest-freed is given out first; one never held counts as freed at the beginning of time.

use crate::list::{Column, Filters, Select, Shared};
use crate::sql::{Connection, execute, number, row, time, values};
use crate::{Refusal, Scope, StoreError, StoreResult, Tx};
use honcho_api::Address;
use honcho_model::{InterfaceId, NetworkId, subnet};
use sea_orm::{FromQueryResult, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How an address is stored: 16 bytes, IPv4 mapped into IPv6 (RFC 4291, section 2.5.5.2), so that one column sorts both.
pub(crate) fn to_bytes(address: Ipv4Addr) -> Vec<u8> {
    address.to_ipv6_mapped().octets().to_vec()
}

/// The other way.
pub(crate) fn from_bytes(bytes: &[u8]) -> StoreResult<Ipv4Addr> {
    let damaged = || StoreError::Damaged { what: "address", why: format!("{} bytes", bytes.len()) };
    let octets: [u8; 16] = bytes.try_into().map_err(|_| damaged())?;
    match Ipv6Addr::from(octets).to_canonical() {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(damaged()),
    }
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    network_id: i64,
    address: Vec<u8>,
    guest_id: Option<i64>,
    freed_at: i64,
}

const COLUMNS: &[Column] = &[
    Column::Integer("id", "a.id"),
    Column::Integer("network_id", "a.network_id"),
    Column::Integer("guest_id", "i.guest_id"),
];

/// Addresses in scope: an account sees those that its own guests hold.
pub async fn list(
    connection: &impl Connection,
    scope: Scope,
    filters: &Filters,
) -> StoreResult<Vec<Address>> {
    let mut select = Select::new(
        "SELECT a.id, a.network_id, a.address, i.guest_id, a.freed_at FROM addresses a \
         LEFT JOIN interfaces i ON i.id = a.interface_id LEFT JOIN guests g ON g.id = i.guest_id",
        values![],
    );
    select.scope(scope, "g.account_id", Shared::No);
    select.filter(filters, "a.id", COLUMNS)?;
    let rows: Vec<Row> = select.all(connection, "a.id", filters).await?;
    rows.into_iter()
        .map(|row| {
            Ok(Address {
                id: row.id,
                network_id: row.network_id,
                address: from_bytes(&row.address)?.to_string(),
                guest_id: row.guest_id,
                freed_at: (row.freed_at > 0).then(|| time(row.freed_at)),
            })
        })
        .collect()
}

/// SQLite takes 32,766 bound values at most, PostgreSQL 65,535; three are bound for each row.
const ROWS_PER_INSERT: usize = 5_000;

/// Makes the rows of a new network.
pub(crate) async fn create_all(tx: &Tx, network: NetworkId, net: ipnet::Ipv4Net) -> StoreResult<()> {
    let addresses: Vec<Ipv4Addr> = subnet::guest_addresses(net).collect();
    for chunk in addresses.chunks(ROWS_PER_INSERT) {
        let mut bound: Vec<Value> = values![network.0];
        let mut tuples = Vec::with_capacity(chunk.len());
        for address in chunk {
            bound.push(to_bytes(*address).into());
            tuples.push(format!("($1, ${}, 0)", bound.len()));
        }
        let sql =
            format!("INSERT INTO addresses (network_id, address, freed_at) VALUES {}", tuples.join(", "));
        execute(tx, &sql, bound).await?;
    }
    Ok(())
}

#[derive(FromQueryResult)]
struct Free {
    id: i64,
    address: Vec<u8>,
}

/// Gives the longest-freed address of `network` to `interface`.
pub async fn take(
    tx: &Tx,
    network: NetworkId,
    network_name: &str,
    interface: InterfaceId,
) -> StoreResult<Ipv4Addr> {
    let free: Option<Free> = row(
        tx,
        "SELECT id, address FROM addresses WHERE network_id = $1 AND interface_id IS NULL \
         ORDER BY freed_at, address LIMIT 1",
        values![network.0],
    )
    .await?;
    let Some(free) = free else {
        let all = number(tx, "SELECT COUNT(*) AS n FROM addresses WHERE network_id = $1", values![network.0])
            .await?;
        let all = all.unwrap_or(0);
        let text = format!("has no free address: all {all} of network {network_name} are taken");
        return Err(Refusal::invalid("network_id", text).into());
    };
    execute(tx, "UPDATE addresses SET interface_id = $1 WHERE id = $2", values![interface.0, free.id])
        .await?;
    from_bytes(&free.address)
}

/// Frees what a guest held, now that its interfaces are known to be gone.
pub(crate) async fn free_of_guest(tx: &Tx, guest: honcho_model::GuestId) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE addresses SET interface_id = NULL, freed_at = $1 \
         WHERE interface_id IN (SELECT id FROM interfaces WHERE guest_id = $2)",
        values![tx.now.0, guest.0],
    )
    .await?;
    Ok(())
}

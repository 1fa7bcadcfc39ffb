//! How much of what it may have an account has. See `honcho_model::quota` for what counts.

use crate::sql::{Connection, row, rows, values};
use crate::{Refusal, StoreError, StoreResult};
use honcho_model::quota::{Amounts, Limits};
use honcho_model::{AccountId, GuestId, address};
use sea_orm::FromQueryResult;
use std::net::Ipv6Addr;

#[derive(FromQueryResult)]
struct LimitsRow {
    name: String,
    limit_guests: Option<i64>,
    limit_vcpus: Option<i64>,
    limit_memory: Option<i64>,
    limit_disk: Option<i64>,
    limit_public_addresses: Option<i64>,
}

/// The limits of an account, and its name.
pub async fn limits(connection: &impl Connection, account: AccountId) -> StoreResult<(String, Limits)> {
    let found: Option<LimitsRow> = row(
        connection,
        "SELECT name, limit_guests, limit_vcpus, limit_memory, limit_disk, limit_public_addresses FROM accounts \
         WHERE id = $1",
        values![account.0],
    )
    .await?;
    let found = found.ok_or(Refusal::NotFound("account"))?;
    let limits = Limits {
        guests: found.limit_guests,
        vcpus: found.limit_vcpus,
        memory: found.limit_memory,
        disk: found.limit_disk,
        public_addresses: found.limit_public_addresses,
    };
    Ok((found.name, limits))
}

#[derive(FromQueryResult)]
struct UsedRow {
    guests: i64,
    vcpus: i64,
    memory: i64,
    disk: i64,
}

/// What an account has.
pub async fn used(connection: &impl Connection, account: AccountId) -> StoreResult<Amounts> {
    let kept = "g.cancelled_at IS NULL AND g.deleting_at IS NULL";
    let sql = format!(
        "SELECT CAST(COALESCE(SUM(CASE WHEN {kept} THEN 1 ELSE 0 END), 0) AS BIGINT) AS guests, \
         CAST(COALESCE(SUM(CASE WHEN {kept} THEN g.vcpus ELSE 0 END), 0) AS BIGINT) AS vcpus, \
         CAST(COALESCE(SUM(CASE WHEN {kept} THEN g.memory ELSE 0 END), 0) AS BIGINT) AS memory, \
         CAST(COALESCE(SUM((SELECT SUM(v.size) FROM volumes v WHERE v.guest_id = g.id)), 0) AS BIGINT) AS disk \
         FROM guests g WHERE g.account_id = $1 AND g.deleted_at IS NULL"
    );
    let found: Option<UsedRow> = row(connection, &sql, values![account.0]).await?;
    let found = found.unwrap_or(UsedRow { guests: 0, vcpus: 0, memory: 0, disk: 0 });
    let public = public_addresses(connection, "g.account_id", account.0).await?;
    Ok(Amounts {
        guests: found.guests,
        vcpus: found.vcpus,
        memory: found.memory,
        disk: found.disk,
        public_addresses: public,
    })
}

/// How many public addresses a guest holds.
pub async fn public_addresses_of_guest(connection: &impl Connection, guest: GuestId) -> StoreResult<i64> {
    public_addresses(connection, "g.id", guest.0).await
}

#[derive(FromQueryResult)]
struct AddressRow {
    address: Vec<u8>,
}

/// Counts here and not in SQL, so that what is public is written down once.
async fn public_addresses(connection: &impl Connection, column: &str, id: i64) -> StoreResult<i64> {
    let sql = format!(
        "SELECT a.address FROM guests g JOIN interfaces i ON i.guest_id = g.id \
         JOIN addresses a ON a.interface_id = i.id WHERE {column} = $1"
    );
    let held: Vec<AddressRow> = rows(connection, &sql, values![id]).await?;
    let mut count = 0;
    for row in held {
        let octets: [u8; 16] = row.address.as_slice().try_into().map_err(|_| StoreError::Damaged {
            what: "address",
            why: format!("{} bytes", row.address.len()),
        })?;
        count += i64::from(address::is_global(Ipv6Addr::from(octets).into()));
    }
    Ok(count)
}

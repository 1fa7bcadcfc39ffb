//! How much of what it may have an account has. See `honcho_model::quota` for what counts.

use crate::sql::{Connection, row, rows, values};
use crate::{Refusal, StoreResult, addresses};
use honcho_model::quota::{Amounts, Limits};
use honcho_model::{AccountId, GuestId, address};
use sea_orm::FromQueryResult;

#[derive(FromQueryResult)]
struct LimitsRow {
    name: String,
    limit_guests: Option<i64>,
    limit_vcpus: Option<i64>,
    limit_memory: Option<i64>,
    limit_disk: Option<i64>,
    limit_public_addresses: Option<i64>,
    limit_images: Option<i64>,
}

/// The limits of an account, and its name.
pub async fn limits(connection: &impl Connection, account: AccountId) -> StoreResult<(String, Limits)> {
    let found: Option<LimitsRow> = row(
        connection,
        "SELECT name, limit_guests, limit_vcpus, limit_memory, limit_disk, limit_public_addresses, limit_images FROM accounts \
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
        images: found.limit_images,
    };
    Ok((found.name, limits))
}

#[derive(FromQueryResult)]
struct UsedRow {
    guests: i64,
    vcpus: i64,
    memory: i64,
    disk: i64,
    images: i64,
}

/// What an account has.
pub async fn used(connection: &impl Connection, account: AccountId) -> StoreResult<Amounts> {
    let kept = "g.cancelled_at IS NULL AND g.deleting_at IS NULL";
    let sql = format!(
        "SELECT CAST(COALESCE(SUM(CASE WHEN {kept} THEN 1 ELSE 0 END), 0) AS BIGINT) AS guests, \
         CAST(COALESCE(SUM(CASE WHEN {kept} THEN g.vcpus ELSE 0 END), 0) AS BIGINT) AS vcpus, \
         CAST(COALESCE(SUM(CASE WHEN {kept} THEN g.memory ELSE 0 END), 0) AS BIGINT) AS memory, \
         CAST(COALESCE(SUM((SELECT SUM(CASE WHEN v.growing_to > v.size THEN v.growing_to ELSE v.size END) \
         FROM volumes v WHERE v.guest_id = g.id)), 0) AS BIGINT) AS disk, \
         CAST(COALESCE((SELECT SUM(m.compressed) FROM images m WHERE m.account_id = $1 AND m.deleted_at IS NULL), 0) \
         + COALESCE((SELECT SUM(u.size) FROM image_uploads u WHERE u.account_id = $1 AND u.ended_at IS NULL), 0) \
         AS BIGINT) AS images \
         FROM guests g WHERE g.account_id = $1 AND g.deleted_at IS NULL"
    );
    let found: Option<UsedRow> = row(connection, &sql, values![account.0]).await?;
    let found = found.unwrap_or(UsedRow { guests: 0, vcpus: 0, memory: 0, disk: 0, images: 0 });
    let public = counted(connection, "a.account_id = $1", account.0).await?;
    Ok(Amounts {
        guests: found.guests,
        vcpus: found.vcpus,
        memory: found.memory,
        disk: found.disk,
        public_addresses: public,
        images: found.images,
    })
}

/// How many public addresses a guest has that its account did not hold before.
pub async fn public_addresses_of_guest(connection: &impl Connection, guest: GuestId) -> StoreResult<i64> {
    let its = "NOT a.kept AND a.interface_id IN (SELECT i.id FROM interfaces i WHERE i.guest_id = $1)";
    counted(connection, its, guest.0).await
}

#[derive(FromQueryResult)]
struct AddressRow {
    address: Vec<u8>,
}

/// Counts here and not in SQL, so that what is public is written down once.
async fn counted(connection: &impl Connection, condition: &str, id: i64) -> StoreResult<i64> {
    let sql = format!("SELECT a.address FROM addresses a WHERE a.family = 4 AND {condition}");
    let held: Vec<AddressRow> = rows(connection, &sql, values![id]).await?;
    let mut count = 0;
    for row in held {
        count += i64::from(address::is_counted(addresses::from_bytes(&row.address)?));
    }
    Ok(count)
}

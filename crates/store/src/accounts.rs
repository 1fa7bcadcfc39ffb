//! Accounts.

use crate::list::{Column, Filters, Select, Shared};
use crate::sql::{Connection, execute, insert, number, row, rows, time, values};
use crate::{Refusal, Scope, StoreError, StoreResult, Tx, addresses, slow};
use honcho_api::Account;
use honcho_model::account::{AccountStatus, SampleValues};
use honcho_model::quota::Limits;
use honcho_model::{AccountId, Name, Timestamp};
use sea_orm::FromQueryResult;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    uuid: Uuid,
    name: String,
    reference: Option<String>,
    status: String,
    grace_seconds: i64,
    limit_guests: Option<i64>,
    limit_vcpus: Option<i64>,
    limit_memory: Option<i64>,
    limit_disk: Option<i64>,
    limit_public_addresses: Option<i64>,
    limit_images: Option<i64>,
    keeps_sample_values: bool,
    suspended_at: Option<i64>,
    suspended_reason: Option<String>,
    created_at: i64,
    cancelled_at: Option<i64>,
    deletes_at: Option<i64>,
    deleted_at: Option<i64>,
    lock_version: i64,
}

impl TryFrom<Row> for Account {
    type Error = StoreError;
    fn try_from(row: Row) -> StoreResult<Account> {
        let status = AccountStatus::parse(&row.status);
        Ok(Account {
            id: row.id,
            uuid: row.uuid,
            name: row.name,
            reference: row.reference,
            status: status
                .ok_or_else(|| StoreError::Damaged { what: "account status", why: row.status.clone() })?,
            grace_seconds: row.grace_seconds,
            limit_guests: row.limit_guests,
            limit_vcpus: row.limit_vcpus,
            limit_memory_bytes: row.limit_memory,
            limit_disk_bytes: row.limit_disk,
            limit_public_addresses: row.limit_public_addresses,
            limit_image_bytes: row.limit_images,
            sample_values: if row.keeps_sample_values { SampleValues::Kept } else { SampleValues::Redacted },
            suspended_at: row.suspended_at.map(time),
            suspended_reason: row.suspended_reason,
            created_at: time(row.created_at),
            cancelled_at: row.cancelled_at.map(time),
            deletes_at: row.deletes_at.map(time),
            deleted_at: row.deleted_at.map(time),
            lock_version: row.lock_version,
        })
    }
}

/// The one word for what an account is, as SQL over `accounts a`.
const STATUS: &str = "(CASE WHEN a.deleted_at IS NOT NULL THEN 'deleted' WHEN a.deleting_at IS NOT NULL THEN 'deleting' \
    WHEN a.cancelled_at IS NOT NULL THEN 'cancelled' WHEN a.suspended_at IS NOT NULL THEN 'suspended' ELSE 'active' END)";

const COLUMNS: &[Column] = &[
    Column::Integer("id", "a.id"),
    Column::Text("name", "a.name"),
    Column::Text("reference", "a.reference"),
    Column::Text("status", STATUS),
];

/// Accounts in scope. What is cancelled or deleted is left out unless the filters say otherwise.
pub async fn list(
    connection: &impl Connection,
    scope: Scope,
    filters: &Filters,
) -> StoreResult<Vec<Account>> {
    let mut select = Select::new(
        format!(
            "SELECT a.id, a.uuid, a.name, a.reference, {STATUS} AS status, a.grace_seconds, a.limit_guests, \
             a.limit_vcpus, a.limit_memory, a.limit_disk, a.limit_public_addresses, a.limit_images, a.keeps_sample_values, a.suspended_at, \
             a.suspended_reason, a.created_at, a.cancelled_at, a.deletes_at, a.deleted_at, a.lock_version \
             FROM accounts a"
        ),
        values![],
    );
    if !filters.with_cancelled {
        select.only("a.cancelled_at IS NULL AND a.deleted_at IS NULL");
    } else if filters.without_deleted {
        select.only("a.deleted_at IS NULL");
    }
    select.scope(scope, "a.id", Shared::No);
    select.filter(filters, "a.id", COLUMNS)?;
    select.all::<Row>(connection, "a.id", filters).await?.into_iter().map(Account::try_from).collect()
}

/// One account, also when it is cancelled or deleted.
pub async fn find(connection: &impl Connection, scope: Scope, id: AccountId) -> StoreResult<Account> {
    let filters = Filters { with_cancelled: true, ..Filters::default() }.and("id", id);
    let found = list(connection, scope, &filters).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("account").into())
}

/// One account that is not deleted; it may be cancelled.
pub async fn get(connection: &impl Connection, scope: Scope, id: AccountId) -> StoreResult<Account> {
    let account = find(connection, scope, id).await?;
    match account.deleted_at {
        None => Ok(account),
        Some(_) => Err(Refusal::NotFound("account").into()),
    }
}

/// What a new account is made of.
pub struct NewAccount {
    /// Random.
    pub uuid: Uuid,
    /// Unique among the living.
    pub name: Name,
    /// The creator's own key.
    pub reference: Option<String>,
    /// How long what is cancelled is kept.
    pub grace_seconds: i64,
    /// How much it may have.
    pub limits: Limits,
}

/// Makes one.
pub async fn create(tx: &Tx, new: &NewAccount) -> StoreResult<AccountId> {
    let limits = &new.limits;
    let id = insert(
        tx,
        "INSERT INTO accounts (uuid, name, reference, grace_seconds, limit_guests, limit_vcpus, limit_memory, limit_disk, \
         limit_public_addresses, created_at, limit_images, lock_version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1) \
         RETURNING id AS n",
        values![
            new.uuid,
            new.name.as_str(),
            new.reference.clone(),
            new.grace_seconds,
            limits.guests,
            limits.vcpus,
            limits.memory,
            limits.disk,
            limits.public_addresses,
            tx.now.0,
            limits.images
        ],
    )
    .await?;
    Ok(AccountId(id))
}

/// Changes name, grace period and limits.
pub async fn update(
    tx: &Tx,
    id: AccountId,
    name: &Name,
    grace_seconds: i64,
    limits: &Limits,
) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE accounts SET name = $1, grace_seconds = $2, limit_guests = $3, limit_vcpus = $4, limit_memory = $5, \
         limit_disk = $6, limit_public_addresses = $7, limit_images = $8, lock_version = lock_version + 1 WHERE id = $9",
        values![
            name.as_str(),
            grace_seconds,
            limits.guests,
            limits.vcpus,
            limits.memory,
            limits.disk,
            limits.public_addresses,
            limits.images,
            id.0
        ],
    )
    .await?;
    Ok(())
}

/// How far the end of an account has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// When its grace period ends.
    pub deletes_at: Option<Timestamp>,
    /// Since when it is to go.
    pub deleting_at: Option<Timestamp>,
}

/// How far the end of one has come.
pub async fn standing(connection: &impl Connection, id: AccountId) -> StoreResult<Standing> {
    #[expect(clippy::struct_field_names, reason = "columns are named for what happened")]
    #[derive(FromQueryResult)]
    struct Row {
        cancelled_at: Option<i64>,
        deletes_at: Option<i64>,
        deleting_at: Option<i64>,
    }
    let found: Option<Row> = row(
        connection,
        "SELECT cancelled_at, deletes_at, deleting_at FROM accounts WHERE id = $1",
        values![id.0],
    )
    .await?;
    let found = found.ok_or(Refusal::NotFound("account"))?;
    Ok(Standing {
        cancelled_at: found.cancelled_at.map(Timestamp),
        deletes_at: found.deletes_at.map(Timestamp),
        deleting_at: found.deleting_at.map(Timestamp),
    })
}

/// Cancels one, takes it back, or begins to delete it.
pub async fn stand(tx: &Tx, id: AccountId, standing: Standing) -> StoreResult<()> {
    let micros = |at: Option<Timestamp>| at.map(|at| at.0);
    execute(
        tx,
        "UPDATE accounts SET cancelled_at = $1, deletes_at = $2, deleting_at = $3 WHERE id = $4",
        values![
            micros(standing.cancelled_at),
            micros(standing.deletes_at),
            micros(standing.deleting_at),
            id.0
        ],
    )
    .await?;
    Ok(())
}

/// Suspends one, or ends that.
pub async fn suspend(
    tx: &Tx,
    id: AccountId,
    since: Option<Timestamp>,
    reason: Option<&str>,
) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE accounts SET suspended_at = $1, suspended_reason = $2 WHERE id = $3",
        values![since.map(|at| at.0), reason, id.0],
    )
    .await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct Id {
    id: i64,
}

/// Accounts whose grace period has ended and that are not being deleted yet.
pub async fn lapsed(connection: &impl Connection, now: Timestamp) -> StoreResult<Vec<AccountId>> {
    let found: Vec<Id> = rows(
        connection,
        "SELECT id FROM accounts WHERE deletes_at <= $1 AND deleting_at IS NULL AND deleted_at IS NULL ORDER BY id",
        values![now.0],
    )
    .await?;
    Ok(found.into_iter().map(|row| AccountId(row.id)).collect())
}

/// Accounts that are to go and are not gone.
pub async fn deleting(connection: &impl Connection) -> StoreResult<Vec<AccountId>> {
    let found: Vec<Id> = rows(
        connection,
        "SELECT id FROM accounts WHERE deletes_at IS NOT NULL AND deleting_at IS NOT NULL AND deleted_at IS NULL ORDER BY id",
        values![],
    )
    .await?;
    Ok(found.into_iter().map(|row| AccountId(row.id)).collect())
}

/// Deletes one that owns nothing.
pub async fn delete(tx: &Tx, id: AccountId) -> StoreResult<()> {
    if owned(tx, id).await? > 0 {
        return Err(
            Refusal::invalid("base", "still owns guests, networks or images: delete those first").into()
        );
    }
    addresses::release_of_account(tx, id).await?;
    slow::keep_sample_values(tx, id, SampleValues::Redacted).await?;
    execute(tx, "UPDATE accounts SET deleted_at = $1 WHERE id = $2", values![tx.now.0, id.0]).await?;
    execute(
        tx,
        "UPDATE tokens SET deleted_at = $1 WHERE account_id = $2 AND deleted_at IS NULL",
        values![tx.now.0, id.0],
    )
    .await?;
    execute(tx, "DELETE FROM grants WHERE account_id = $1", values![id.0]).await?;
    execute(
        tx,
        "UPDATE webhooks SET deleted_at = $1, secret = '', previous_secret = NULL \
         WHERE account_id = $2 AND deleted_at IS NULL",
        values![tx.now.0, id.0],
    )
    .await?;
    Ok(())
}

/// How many guests, networks and images of an account there still are.
pub async fn owned(connection: &impl Connection, id: AccountId) -> StoreResult<i64> {
    let owned = number(
        connection,
        "SELECT (SELECT COUNT(*) FROM guests WHERE account_id = $1 AND deleted_at IS NULL) \
              + (SELECT COUNT(*) FROM networks WHERE account_id = $1 AND deleted_at IS NULL) \
              + (SELECT COUNT(*) FROM images WHERE account_id = $1 AND deleted_at IS NULL) AS n",
        values![id.0],
    )
    .await?;
    Ok(owned.unwrap_or(0))
}

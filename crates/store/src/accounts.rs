//! Accounts.

use crate::list::{Column, Filters, Select, Shared};
use crate::sql::{Connection, execute, insert, number, time, values};
use crate::{Refusal, Scope, StoreResult, Tx};
use honcho_api::Account;
use honcho_model::{AccountId, Name};
use sea_orm::FromQueryResult;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    uuid: Uuid,
    name: String,
    reference: Option<String>,
    grace_seconds: i64,
    created_at: i64,
    lock_version: i64,
}

impl From<Row> for Account {
    fn from(row: Row) -> Account {
        Account {
            id: row.id,
            uuid: row.uuid,
            name: row.name,
            reference: row.reference,
            grace_seconds: row.grace_seconds,
            created_at: time(row.created_at),
            lock_version: row.lock_version,
        }
    }
}

const COLUMNS: &[Column] = &[
    Column::Integer("id", "a.id"),
    Column::Text("name", "a.name"),
    Column::Text("reference", "a.reference"),
];

/// Accounts in scope.
pub async fn list(
    connection: &impl Connection,
    scope: Scope,
    filters: &Filters,
) -> StoreResult<Vec<Account>> {
    let mut select = Select::new(
        "SELECT a.id, a.uuid, a.name, a.reference, a.grace_seconds, a.created_at, a.lock_version FROM accounts a",
        values![],
    );
    select.only("a.deleted_at IS NULL");
    select.scope(scope, "a.id", Shared::No);
    select.filter(filters, "a.id", COLUMNS)?;
    Ok(select.all::<Row>(connection, "a.id", filters).await?.into_iter().map(Account::from).collect())
}

/// One account.
pub async fn get(connection: &impl Connection, scope: Scope, id: AccountId) -> StoreResult<Account> {
    let found = list(connection, scope, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("account").into())
}

/// What a new account is made of.
pub struct NewAccount {
    /// Random.
    pub uuid: Uuid,
    /// Unique among the living.
    pub name: Name,
    /// The creator's own key.
    pub reference: Option<String>,
    /// How long a cancelled guest's disk is kept.
    pub grace_seconds: i64,
}

/// Makes one.
pub async fn create(tx: &Tx, new: &NewAccount) -> StoreResult<AccountId> {
    let id = insert(
        tx,
        "INSERT INTO accounts (uuid, name, reference, grace_seconds, created_at, lock_version) \
         VALUES ($1, $2, $3, $4, $5, 1) RETURNING id AS n",
        values![new.uuid, new.name.as_str(), new.reference.clone(), new.grace_seconds, tx.now.0],
    )
    .await?;
    Ok(AccountId(id))
}

/// Changes name and grace period.
pub async fn update(tx: &Tx, id: AccountId, name: &Name, grace_seconds: i64) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE accounts SET name = $1, grace_seconds = $2, lock_version = lock_version + 1 WHERE id = $3",
        values![name.as_str(), grace_seconds, id.0],
    )
    .await?;
    Ok(())
}

/// Deletes one that owns nothing.
pub async fn delete(tx: &Tx, id: AccountId) -> StoreResult<()> {
    let owned = number(
        tx,
        "SELECT (SELECT COUNT(*) FROM guests WHERE account_id = $1 AND deleted_at IS NULL) \
              + (SELECT COUNT(*) FROM networks WHERE account_id = $1 AND deleted_at IS NULL) \
              + (SELECT COUNT(*) FROM images WHERE account_id = $1 AND deleted_at IS NULL) AS n",
        values![id.0],
    )
    .await?;
    if owned.unwrap_or(0) > 0 {
        return Err(
            Refusal::invalid("base", "still owns guests, networks or images: delete those first").into()
        );
    }
    execute(tx, "UPDATE accounts SET deleted_at = $1 WHERE id = $2", values![tx.now.0, id.0]).await?;
    execute(tx, "UPDATE tokens SET deleted_at = $1 WHERE account_id = $2", values![tx.now.0, id.0]).await?;
    Ok(())
}

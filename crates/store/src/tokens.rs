//! Tokens: stored hashed, shown once.

use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, execute, insert, row, time, values};
use crate::{Refusal, Scope, StoreResult, Tx};
use honcho_api::Token;
use honcho_model::{AccountId, Timestamp, TokenId};
use sea_orm::FromQueryResult;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    name: String,
    scope: String,
    account_id: Option<i64>,
    created_at: i64,
    expires_at: Option<i64>,
}

impl From<Row> for Token {
    fn from(row: Row) -> Token {
        Token {
            id: row.id,
            name: row.name,
            scope: row.scope,
            account_id: row.account_id,
            created_at: time(row.created_at),
            expires_at: row.expires_at.map(time),
            secret: None,
        }
    }
}

const SELECT: &str = "SELECT t.id, t.name, t.scope, t.account_id, t.created_at, t.expires_at FROM tokens t";
const COLUMNS: &[Column] = &[
    Column::Integer("id", "t.id"),
    Column::Text("name", "t.name"),
    Column::Text("scope", "t.scope"),
    Column::Integer("account_id", "t.account_id"),
];

/// Living tokens.
pub async fn list(connection: &impl Connection, filters: &Filters) -> StoreResult<Vec<Token>> {
    let mut select = Select::new(SELECT, values![]);
    select.only("t.deleted_at IS NULL");
    select.filter(filters, "t.id", COLUMNS)?;
    Ok(select.all::<Row>(connection, "t.id", filters).await?.into_iter().map(Token::from).collect())
}

/// One token.
pub async fn get(connection: &impl Connection, id: TokenId) -> StoreResult<Token> {
    let found = list(connection, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("token").into())
}

/// A token as authentication needs it.
#[derive(Clone, Debug)]
pub struct KnownToken {
    /// Its id.
    pub id: TokenId,
    /// What it may do.
    pub scope: Scope,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

/// The living token with this hash (hex SHA-256 of the secret).
pub async fn find(connection: &impl Connection, secret_hash: &str) -> StoreResult<Option<KnownToken>> {
    let sql = format!("{SELECT} WHERE t.secret_hash = $1 AND t.deleted_at IS NULL");
    let row: Option<Row> = row(connection, &sql, values![secret_hash]).await?;
    Ok(row.and_then(|row| {
        let scope = match (row.scope.as_str(), row.account_id) {
            ("operator", None) => Scope::Operator,
            ("account", Some(account)) => Scope::Account(AccountId(account)),
            _ => return None,
        };
        Some(KnownToken { id: TokenId(row.id), scope, expires_at: row.expires_at.map(Timestamp) })
    }))
}

/// Whether there ever was a token.
pub async fn exists(connection: &impl Connection) -> StoreResult<bool> {
    Ok(crate::sql::number(connection, "SELECT 1 AS n FROM tokens LIMIT 1", values![]).await?.is_some())
}

/// Whether there is another living operator token that never expires.
pub async fn another_operator(connection: &impl Connection, than: TokenId) -> StoreResult<bool> {
    let sql = "SELECT 1 AS n FROM tokens WHERE id <> $1 AND scope = 'operator' AND deleted_at IS NULL \
               AND expires_at IS NULL LIMIT 1";
    Ok(crate::sql::number(connection, sql, values![than.0]).await?.is_some())
}

/// Makes one.
pub async fn create(
    tx: &Tx,
    name: &str,
    scope: Scope,
    secret_hash: &str,
    expires_at: Option<Timestamp>,
) -> StoreResult<TokenId> {
    let word = if scope.account().is_some() { "account" } else { "operator" };
    let id = insert(
        tx,
        "INSERT INTO tokens (name, scope, account_id, secret_hash, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING id AS n",
        values![
            name,
            word,
            scope.account().map(|account| account.0),
            secret_hash,
            tx.now.0,
            expires_at.map(|at| at.0)
        ],
    )
    .await?;
    Ok(TokenId(id))
}

/// Ends one.
pub async fn delete(tx: &Tx, id: TokenId) -> StoreResult<()> {
    execute(tx, "UPDATE tokens SET deleted_at = $1 WHERE id = $2", values![tx.now.0, id.0]).await?;
    Ok(())
}

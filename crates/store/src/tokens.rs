//! Tokens: stored hashed, shown once.

use crate::list::{Column, Filters, Select, Shared};
use crate::sql::{Connection, execute, insert, row, time, values};
use crate::{Refusal, Scope, StoreResult, Tx};
use honcho_api::Token;
use honcho_model::{AccountId, GuestId, Right, Timestamp, TokenId};
use sea_orm::FromQueryResult;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    name: String,
    scope: String,
    account_id: Option<i64>,
    guest_id: Option<i64>,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    receives_post: bool,
    suite: Option<String>,
    lock_version: i64,
}

impl From<Row> for Token {
    fn from(row: Row) -> Token {
        Token {
            id: row.id,
            name: row.name,
            scope: row.scope,
            account_id: row.account_id,
            guest_id: row.guest_id,
            created_at: time(row.created_at),
            expires_at: row.expires_at.map(time),
            last_used_at: row.last_used_at.map(time),
            receives_post: row.receives_post,
            suite: row.suite,
            lock_version: row.lock_version,
            secret: None,
        }
    }
}

const SELECT: &str = "SELECT t.id, t.name, t.scope, t.account_id, t.guest_id, t.created_at, t.expires_at, \
    t.last_used_at, t.receives_post, t.suite, t.lock_version FROM tokens t";
const COLUMNS: &[Column] = &[
    Column::Integer("id", "t.id"),
    Column::Text("name", "t.name"),
    Column::Text("scope", "t.scope"),
    Column::Integer("account_id", "t.account_id"),
    Column::Integer("guest_id", "t.guest_id"),
    Column::Text("suite", "t.suite"),
];

/// Living tokens in scope.
pub async fn list(connection: &impl Connection, scope: Scope, filters: &Filters) -> StoreResult<Vec<Token>> {
    let mut select = Select::new(SELECT, values![]);
    select.only("t.deleted_at IS NULL");
    select.scope(scope, "t.account_id", Shared::No);
    select.filter(filters, "t.id", COLUMNS)?;
    Ok(select.all::<Row>(connection, "t.id", filters).await?.into_iter().map(Token::from).collect())
}

/// One token.
pub async fn get(connection: &impl Connection, scope: Scope, id: TokenId) -> StoreResult<Token> {
    let found = list(connection, scope, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("token").into())
}

/// A token as authentication needs it.
#[derive(Clone, Debug)]
pub struct KnownToken {
    /// Its id.
    pub id: TokenId,
    /// What it may see.
    pub scope: Scope,
    /// What it may do with that.
    pub right: Right,
    /// Whether it may hand in the post of all servers.
    pub receives_post: bool,
    /// The suite of the archive that it may upload into.
    pub suite: Option<String>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

/// The living token with this hash (hex SHA-256 of the secret).
pub async fn find(connection: &impl Connection, secret_hash: &str) -> StoreResult<Option<KnownToken>> {
    let sql = format!("{SELECT} WHERE t.secret_hash = $1 AND t.deleted_at IS NULL");
    let row: Option<Row> = row(connection, &sql, values![secret_hash]).await?;
    Ok(row.and_then(|row| {
        let right = Right::parse(&row.scope)?;
        let scope = match (right, row.account_id, row.guest_id) {
            (Right::Operator, None, None) => Scope::Operator,
            (Right::Admin | Right::Viewer, Some(account), None) => Scope::Account(AccountId(account)),
            (Right::Machine, Some(account), Some(guest)) => {
                Scope::Machine(AccountId(account), GuestId(guest))
            }
            (Right::Suite, None, None) => Scope::Nothing,
            _ => return None,
        };
        let receives_post = row.receives_post;
        Some(KnownToken {
            id: TokenId(row.id),
            scope,
            right,
            receives_post,
            suite: row.suite,
            expires_at: row.expires_at.map(Timestamp),
        })
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

/// What a token may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenScope {
    /// Everything.
    Operator,
    /// Everything of one account.
    Admin(AccountId),
    /// Reading what one account owns.
    Viewer(AccountId),
    /// One guest, and the account that owns it.
    Machine(AccountId, GuestId),
    /// The same; and that guest may hand in the post of all servers.
    Receiver(AccountId, GuestId),
    /// Uploading into a suite of the archive.
    Suite(String),
}

impl TokenScope {
    /// The account it is about.
    pub fn account(&self) -> Option<AccountId> {
        match *self {
            TokenScope::Operator | TokenScope::Suite(_) => None,
            TokenScope::Admin(account)
            | TokenScope::Viewer(account)
            | TokenScope::Machine(account, _)
            | TokenScope::Receiver(account, _) => Some(account),
        }
    }

    fn right(&self) -> Right {
        match self {
            TokenScope::Operator => Right::Operator,
            TokenScope::Admin(_) => Right::Admin,
            TokenScope::Viewer(_) => Right::Viewer,
            TokenScope::Machine(..) | TokenScope::Receiver(..) => Right::Machine,
            TokenScope::Suite(_) => Right::Suite,
        }
    }

    fn suite(&self) -> Option<&str> {
        match self {
            TokenScope::Suite(suite) => Some(suite),
            _ => None,
        }
    }

    fn guest(&self) -> Option<GuestId> {
        match *self {
            TokenScope::Machine(_, guest) | TokenScope::Receiver(_, guest) => Some(guest),
            TokenScope::Operator | TokenScope::Admin(_) | TokenScope::Viewer(_) | TokenScope::Suite(_) => {
                None
            }
        }
    }
}

/// Makes one.
pub async fn create(
    tx: &Tx,
    name: &str,
    scope: TokenScope,
    secret_hash: &str,
    expires_at: Option<Timestamp>,
) -> StoreResult<TokenId> {
    let id = insert(
        tx,
        "INSERT INTO tokens (name, scope, account_id, guest_id, secret_hash, created_at, expires_at, receives_post, \
         suite, lock_version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1) RETURNING id AS n",
        values![
            name,
            scope.right().as_str(),
            scope.account().map(|account| account.0),
            scope.guest().map(|guest| guest.0),
            secret_hash,
            tx.now.0,
            expires_at.map(|at| at.0),
            matches!(scope, TokenScope::Receiver(..)),
            scope.suite()
        ],
    )
    .await?;
    Ok(TokenId(id))
}

/// Gives one another name.
pub async fn rename(tx: &Tx, id: TokenId, name: &str) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE tokens SET name = $1, lock_version = lock_version + 1 WHERE id = $2",
        values![name, id.0],
    )
    .await?;
    Ok(())
}

/// Writes down when tokens were last shown.
pub async fn note_used(tx: &Tx, used: &[(TokenId, Timestamp)]) -> StoreResult<()> {
    for (id, at) in used {
        execute(
            tx,
            "UPDATE tokens SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)",
            values![at.0, id.0],
        )
        .await?;
    }
    Ok(())
}

/// Ends one.
pub async fn delete(tx: &Tx, id: TokenId) -> StoreResult<()> {
    execute(tx, "UPDATE tokens SET deleted_at = $1 WHERE id = $2", values![tx.now.0, id.0]).await?;
    Ok(())
}

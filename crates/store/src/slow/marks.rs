//! Marks on the time line: a deploy, a new index. What was before one is compared with what came after.

use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, execute, insert, number, time, values};
use crate::{Actor, Refusal, Scope, StoreResult, Tx};
use honcho_api::SlowMark;
use honcho_model::{AccountId, SlowMarkId, SlowServerId};
use sea_orm::FromQueryResult;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    account_id: Option<i64>,
    slow_server_id: Option<i64>,
    at: i64,
    text: String,
    actor: String,
    created_at: i64,
}

const WHOSE: &str = "COALESCE(m.account_id, g.account_id)";
const COLUMNS: &[Column] = &[
    Column::Integer("id", "m.id"),
    Column::Derived("account_id", "CAST(COALESCE(m.account_id, g.account_id) AS TEXT)"),
    Column::Integer("slow_server_id", "m.slow_server_id"),
];

/// Of which servers a mark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkOf {
    /// All of an account.
    Account(AccountId),
    /// One.
    Server(SlowServerId),
}

/// The marks in scope.
pub async fn marks(
    connection: &impl Connection,
    scope: Scope,
    filters: &Filters,
) -> StoreResult<Vec<SlowMark>> {
    let sql = format!(
        "SELECT m.id, {WHOSE} AS account_id, m.slow_server_id, m.at, m.text, m.actor, m.created_at FROM slow_marks m \
         LEFT JOIN slow_servers s ON s.id = m.slow_server_id LEFT JOIN guests g ON g.id = s.guest_id"
    );
    let mut select = Select::new(sql, values![]);
    select.scope_of_machine(scope, WHOSE, "s.guest_id = ?");
    select.filter(filters, "m.id", COLUMNS)?;
    let found: Vec<Row> = select.all(connection, "m.id", filters).await?;
    Ok(found.into_iter().map(|row| shown(scope, row)).collect())
}

fn shown(scope: Scope, row: Row) -> SlowMark {
    SlowMark {
        id: row.id,
        account_id: row.account_id,
        slow_server_id: row.slow_server_id,
        at: time(row.at),
        text: row.text,
        actor: if scope.is_operator() || Actor::is_customer(&row.actor) {
            row.actor
        } else {
            "honcho".to_owned()
        },
        created_at: time(row.created_at),
    }
}

/// One of them.
pub async fn find_mark(connection: &impl Connection, scope: Scope, id: SlowMarkId) -> StoreResult<SlowMark> {
    let found = marks(connection, scope, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("slow mark").into())
}

/// Those that concern a server in a range of time, the oldest first.
pub(super) async fn marks_of(
    connection: &impl Connection,
    scope: Scope,
    server: SlowServerId,
    account: Option<AccountId>,
    range: (i64, i64),
) -> StoreResult<Vec<SlowMark>> {
    let sql = "SELECT m.id, COALESCE(m.account_id, $2) AS account_id, m.slow_server_id, m.at, m.text, m.actor, m.created_at \
        FROM slow_marks m WHERE (m.slow_server_id = $1 OR m.account_id = $2) AND m.at >= $3 AND m.at < $4 ORDER BY m.at, m.id LIMIT 1000";
    let bound = values![server.0, account.map(|account| account.0), range.0, range.1];
    let found: Vec<Row> = crate::sql::rows(connection, sql, bound).await?;
    Ok(found.into_iter().map(|row| shown(scope, row)).collect())
}

/// How many marks there are on one.
pub async fn marks_count(connection: &impl Connection, of: MarkOf) -> StoreResult<i64> {
    let (column, id) = column(of);
    let sql = format!("SELECT COUNT(*) AS n FROM slow_marks WHERE {column} = $1");
    Ok(number(connection, &sql, values![id]).await?.unwrap_or(0))
}

fn column(of: MarkOf) -> (&'static str, i64) {
    match of {
        MarkOf::Account(id) => ("account_id", id.0),
        MarkOf::Server(id) => ("slow_server_id", id.0),
    }
}

/// Deletes the one that is about the earliest moment.
pub async fn delete_oldest_mark(tx: &Tx, of: MarkOf) -> StoreResult<()> {
    let (column, id) = column(of);
    let sql = format!(
        "DELETE FROM slow_marks WHERE id IN (SELECT id FROM slow_marks WHERE {column} = $1 ORDER BY at, id LIMIT 1)"
    );
    execute(tx, &sql, values![id]).await.map(drop)
}

/// Makes one.
pub async fn create_mark(tx: &Tx, of: MarkOf, at: i64, text: &str, actor: &str) -> StoreResult<SlowMarkId> {
    let (account, server) = match of {
        MarkOf::Account(id) => (Some(id.0), None),
        MarkOf::Server(id) => (None, Some(id.0)),
    };
    let sql = "INSERT INTO slow_marks (account_id, slow_server_id, at, text, actor, created_at) VALUES ($1, $2, $3, $4, $5, $6) \
        RETURNING id AS n";
    Ok(SlowMarkId(insert(tx, sql, values![account, server, at, text, actor, tx.now.0]).await?))
}

/// Deletes one.
pub async fn delete_mark(tx: &Tx, id: SlowMarkId) -> StoreResult<()> {
    execute(tx, "DELETE FROM slow_marks WHERE id = $1", values![id.0]).await.map(drop)
}

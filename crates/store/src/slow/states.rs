//! What people have made of a query: its state, and their notes.

use super::one::Known;
use crate::sql::{Connection, execute, number, rows, time, values};
use crate::{Actor, Scope, StoreResult, Tx};
use honcho_api::SlowNote;
use honcho_model::SlowQueryId;
use honcho_model::slow::QueryState;
use sea_orm::FromQueryResult;

/// What somebody says of a query.
#[derive(Clone, Debug)]
pub struct Said {
    /// Who, as the event log calls them.
    pub actor: String,
    /// The state that it is in from now on, if that changes.
    pub state: Option<QueryState>,
    /// In a line.
    pub text: String,
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    actor: String,
    state: Option<String>,
    text: String,
    created_at: i64,
}

/// Writes down what somebody says of one.
pub async fn judge(tx: &Tx, query: &Known, said: &Said) -> StoreResult<()> {
    if let Some(state) = said.state {
        execute(tx, "UPDATE slow_classes SET state = $1 WHERE id = $2", values![state.as_str(), query.id.0])
            .await?;
    }
    let sql =
        "INSERT INTO slow_notes (slow_class_id, actor, state, text, created_at) VALUES ($1, $2, $3, $4, $5)";
    let state = said.state.map(QueryState::as_str);
    execute(tx, sql, values![query.id.0, said.actor.as_str(), state, said.text.as_str(), tx.now.0])
        .await
        .map(drop)
}

/// How many notes there are on one.
pub async fn notes_count(connection: &impl Connection, id: SlowQueryId) -> StoreResult<i64> {
    let sql = "SELECT COUNT(*) AS n FROM slow_notes WHERE slow_class_id = $1";
    Ok(number(connection, sql, values![id.0]).await?.unwrap_or(0))
}

/// What was said of one, the newest first. Customers are told of each other, and of operators only that it was one.
pub(super) async fn notes(
    connection: &impl Connection,
    scope: Scope,
    id: SlowQueryId,
) -> StoreResult<Vec<SlowNote>> {
    let sql =
        "SELECT id, actor, state, text, created_at FROM slow_notes WHERE slow_class_id = $1 ORDER BY id DESC";
    let found: Vec<Row> = rows(connection, sql, values![id.0]).await?;
    let note = |row: Row| SlowNote {
        id: row.id,
        actor: if scope.is_operator() || Actor::is_customer(&row.actor) {
            row.actor
        } else {
            "honcho".to_owned()
        },
        state: row.state,
        text: row.text,
        created_at: time(row.created_at),
    };
    Ok(found.into_iter().map(note).collect())
}

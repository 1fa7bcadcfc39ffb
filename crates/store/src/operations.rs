//! Operations: rows that end once.

use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, execute, from_json, insert, rows, time, values};
use crate::{Refusal, Scope, StoreError, StoreResult, Tx};
use honcho_api::Operation;
use honcho_model::operation::{OperationKind, OperationState};
use honcho_model::{AccountId, Generation, GuestId, OperationId};
use honcho_wire::{Failure, Progress};
use sea_orm::FromQueryResult;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    account_id: Option<i64>,
    kind: String,
    state: String,
    guest_id: i64,
    guest_name: String,
    generation: i64,
    outcome: Option<String>,
    superseded_by: Option<i64>,
    created_at: i64,
    ended_at: Option<i64>,
    progress: Option<String>,
    failure: Option<String>,
}

const SELECT: &str = "SELECT p.id, p.account_id, p.kind, p.state, p.guest_id, g.name AS guest_name, p.generation, \
    p.outcome, p.superseded_by, p.created_at, p.ended_at, COALESCE(mo.progress, o.progress) AS progress, \
    COALESCE(mo.failure, o.failure) AS failure \
    FROM operations p JOIN guests g ON g.id = p.guest_id LEFT JOIN guest_observed o ON o.guest_id = p.guest_id \
    LEFT JOIN moves m ON m.guest_id = p.guest_id AND m.moved_at IS NULL AND m.given_up_at IS NULL \
    LEFT JOIN move_observed mo ON mo.move_id = m.id";
const COLUMNS: &[Column] = &[
    Column::Integer("id", "p.id"),
    Column::Integer("account_id", "p.account_id"),
    Column::Integer("guest_id", "p.guest_id"),
    Column::Text("kind", "p.kind"),
    Column::Text("state", "p.state"),
];

/// Operations in scope.
pub async fn list(
    connection: &impl Connection,
    scope: Scope,
    filters: &Filters,
) -> StoreResult<Vec<Operation>> {
    let mut select = Select::new(SELECT, values![]);
    select.scope_of_machine(scope, "p.account_id", "p.guest_id = ?");
    select.filter(filters, "p.id", COLUMNS)?;
    let found: Vec<Row> = select.all(connection, "p.id", filters).await?;
    found.into_iter().map(|row| to_api(row, scope)).collect()
}

fn to_api(row: Row, scope: Scope) -> StoreResult<Operation> {
    let damaged = |what, why: &str| StoreError::Damaged { what, why: why.to_owned() };
    let state = OperationState::parse(&row.state).ok_or_else(|| damaged("operation state", &row.state))?;
    let open = state == OperationState::Open;
    let progress: Option<Progress> = from_json("progress", row.progress.as_deref().filter(|_| open))?;
    let failure: Option<Failure> = from_json("failure", row.failure.as_deref().filter(|_| open))?;
    let kind = OperationKind::parse(&row.kind).ok_or_else(|| damaged("operation kind", &row.kind))?;
    // Why a move was refused names hosts.
    let names_hosts = kind == OperationKind::Move && state == OperationState::Refused && !scope.is_operator();
    Ok(Operation {
        id: row.id,
        account_id: row.account_id,
        kind,
        state,
        guest_id: row.guest_id,
        guest_name: row.guest_name,
        generation: row.generation,
        percent: progress.as_ref().and_then(|progress| progress.percent).map(i64::from),
        step: progress.map(|progress| progress.step),
        problem: failure.as_ref().map(if scope.is_operator() {
            crate::guests::describe_failure
        } else {
            crate::guests::failure_for_customers
        }),
        outcome: if names_hosts { Some("it cannot be moved now".to_owned()) } else { row.outcome },
        superseded_by: row.superseded_by,
        created_at: time(row.created_at),
        ended_at: row.ended_at.map(time),
    })
}

/// Those in scope that are open and of which a step failed, the oldest first.
pub(crate) async fn held_up(
    connection: &impl Connection,
    scope: Scope,
    limit: i64,
) -> StoreResult<Vec<Operation>> {
    let mut select = Select::new(SELECT, values![]);
    select.scope_of_machine(scope, "p.account_id", "p.guest_id = ?");
    select.only("p.state = 'open' AND COALESCE(mo.failure, o.failure) IS NOT NULL");
    let filters = Filters { limit: Some(limit), ..Filters::default() };
    let found: Vec<Row> = select.all(connection, "p.id", &filters).await?;
    found.into_iter().map(|row| to_api(row, scope)).collect()
}

/// One operation.
pub async fn get(connection: &impl Connection, scope: Scope, id: OperationId) -> StoreResult<Operation> {
    let found = list(connection, scope, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("operation").into())
}

/// Begins one, and ends as superseded those that it makes pointless.
pub async fn begin(
    tx: &Tx,
    kind: OperationKind,
    guest: GuestId,
    account: AccountId,
    generation: Generation,
) -> StoreResult<OperationId> {
    let id = insert(
        tx,
        "INSERT INTO operations (account_id, kind, state, guest_id, generation, created_at) \
         VALUES ($1, $2, 'open', $3, $4, $5) RETURNING id AS n",
        values![account.0, kind.as_str(), guest.0, generation.0, tx.now.0],
    )
    .await?;
    // Lists of guests show it: looking each one's newest up takes as long as finding the guest.
    execute(tx, "UPDATE guests SET operation_id = $1 WHERE id = $2", values![id, guest.0]).await?;
    supersede(tx, OperationId(id), kind, guest).await?;
    Ok(OperationId(id))
}

/// Ends as superseded by `by` what a wish of this kind makes pointless. For a change that is several wishes at once.
pub async fn supersede(tx: &Tx, by: OperationId, kind: OperationKind, guest: GuestId) -> StoreResult<()> {
    for open in open_of_guest(tx, guest).await? {
        if open.id != by.0 && kind.supersedes(open.kind) {
            execute(
                tx,
                "UPDATE operations SET state = 'superseded', superseded_by = $1, ended_at = $2 WHERE id = $3",
                values![by.0, tx.now.0, open.id],
            )
            .await?;
        }
    }
    Ok(())
}

pub(crate) struct Open {
    pub(crate) id: i64,
    pub(crate) kind: OperationKind,
    pub(crate) generation: i64,
}

pub(crate) async fn open_of_guest(tx: &Tx, guest: GuestId) -> StoreResult<Vec<Open>> {
    #[derive(FromQueryResult)]
    struct OpenRow {
        id: i64,
        kind: String,
        generation: i64,
    }
    let found: Vec<OpenRow> = rows(
        tx,
        "SELECT id, kind, generation FROM operations WHERE guest_id = $1 AND state = 'open' ORDER BY id",
        values![guest.0],
    )
    .await?;
    found
        .into_iter()
        .map(|row| {
            let kind = OperationKind::parse(&row.kind)
                .ok_or_else(|| StoreError::Damaged { what: "operation kind", why: row.kind.clone() })?;
            Ok(Open { id: row.id, kind, generation: row.generation })
        })
        .collect()
}

/// The open operations of a guest, oldest first.
pub async fn open_kinds(tx: &Tx, guest: GuestId) -> StoreResult<Vec<(OperationId, OperationKind)>> {
    let open = open_of_guest(tx, guest).await?;
    Ok(open.into_iter().map(|open| (OperationId(open.id), open.kind)).collect())
}

/// Says which generation of its guest satisfies an operation that waited for its turn.
pub async fn satisfied_by(tx: &Tx, id: OperationId, generation: Generation) -> StoreResult<()> {
    execute(tx, "UPDATE operations SET generation = $1 WHERE id = $2", values![generation.0, id.0]).await?;
    Ok(())
}

/// Says in advance how one ends, where there is something to say.
pub async fn note(tx: &Tx, id: OperationId, outcome: &str) -> StoreResult<()> {
    execute(tx, "UPDATE operations SET outcome = $1 WHERE id = $2", values![outcome, id.0]).await?;
    Ok(())
}

/// Ends one that is open; an ended one stays as it ended. Without an outcome, what was noted stays.
pub async fn end(
    tx: &Tx,
    id: OperationId,
    state: OperationState,
    outcome: Option<&str>,
) -> StoreResult<bool> {
    let changed = execute(
        tx,
        "UPDATE operations SET state = $1, outcome = COALESCE($2, outcome), ended_at = $3 WHERE id = $4 AND state = 'open'",
        values![state.as_str(), outcome, tx.now.0, id.0],
    )
    .await?;
    Ok(changed > 0)
}

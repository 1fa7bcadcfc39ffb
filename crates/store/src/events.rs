//! The event log: every change, and everything an operator should hear of. Never edited.

use crate::cursor::{Cursor, horizon_sql};
use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, from_json, insert, number, row, time, to_json, values};
use crate::{Refusal, Scope, StoreResult, Tx, brain};
use honcho_api::Event;
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, EventId};
use sea_orm::{ConnectionTrait as _, FromQueryResult};
use serde_json::Value;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    account_id: Option<i64>,
    kind: String,
    severity: String,
    resource: String,
    resource_id: i64,
    resource_name: String,
    actor: String,
    source: Option<String>,
    message: Option<String>,
    before: Option<String>,
    after: Option<String>,
    created_at: i64,
    xid: i64,
    horizon: i64,
    incarnation: i64,
}

const COLUMNS: &[Column] = &[
    Column::Integer("id", "e.id"),
    Column::Integer("account_id", "e.account_id"),
    Column::Text("kind", "e.kind"),
    Column::Text("severity", "e.severity"),
    Column::Text("resource", "e.resource"),
    Column::Integer("resource_id", "e.resource_id"),
    Column::Text("resource_name", "e.resource_name"),
    Column::Text("actor", "e.actor"),
];

/// Where to go on reading.
enum Place {
    /// From the first event, or from the newest.
    End,
    /// After that transaction and id.
    After(i64, i64),
}

/// Works out where the filters say to go on: after a cursor, or after the event with that id (or the last one before it,
/// where there is none).
async fn place(connection: &impl Connection, filters: &Filters) -> StoreResult<Place> {
    #[derive(FromQueryResult)]
    struct Found {
        xid: i64,
        id: i64,
        horizon: i64,
    }
    if let Some(cursor) = filters.cursor {
        let current = brain::get(connection).await?.map(|identity| identity.incarnation.0);
        if current.is_some_and(|current| current != cursor.incarnation) {
            let text =
                "this cursor is of an earlier life of this brain, which was restored from a backup since";
            return Err(Refusal::Gone(text.to_owned()).into());
        }
        let (xid, id) = cursor.position(filters.descending);
        return Ok(Place::After(xid, id));
    }
    let Some(after) = filters.after else { return Ok(Place::End) };
    let horizon = horizon_sql(connection.inner().get_database_backend());
    let order = if filters.descending { "id >= $1 ORDER BY id" } else { "id <= $1 ORDER BY id DESC" };
    let sql = format!("SELECT xid, id, {horizon} AS horizon FROM events WHERE {order} LIMIT 1");
    let found: Option<Found> = row(connection, &sql, values![after]).await?;
    Ok(match found {
        None if filters.descending => Place::End,
        None => Place::After(0, 0),
        Some(found) if !filters.descending && found.xid >= found.horizon => Place::After(found.horizon, 0),
        Some(found) => Place::After(found.xid, found.id),
    })
}

/// Events in scope, in the order in which they were committed. After a cursor or an id, only those before which nothing
/// can come any more: whoever goes on from the last one misses none.
pub async fn list(connection: &impl Connection, scope: Scope, filters: &Filters) -> StoreResult<Vec<Event>> {
    let horizon = horizon_sql(connection.inner().get_database_backend());
    let sql = format!(
        "SELECT e.id, e.account_id, e.kind, e.severity, e.resource, e.resource_id, e.resource_name, e.actor, e.source, \
         e.message, e.before, e.after, e.created_at, e.xid, {horizon} AS horizon, \
         COALESCE((SELECT b.incarnation FROM brain b WHERE b.id = 1), 0) AS incarnation FROM events e"
    );
    let mut select = Select::new(sql, values![]).sorted_by("e.xid");
    if let Place::After(xid, id) = place(connection, filters).await? {
        select.beyond(["e.xid", "e.id"], (xid, id), filters.descending);
        if !filters.descending {
            select.only(&format!("e.xid < {horizon}"));
        }
    }
    let filters = &Filters { after: None, cursor: None, ..filters.clone() };
    select.scope_of_machine(scope, "e.account_id", "e.resource = 'guest' AND e.resource_id = ?");
    select.filter(filters, "e.id", COLUMNS)?;
    let rows: Vec<Row> = select.all(connection, "e.id", filters).await?;
    rows.into_iter()
        .map(|row| {
            let beyond = row.xid >= row.horizon;
            let cursor = Cursor {
                incarnation: row.incarnation,
                xid: row.xid,
                id: row.id,
                horizon: beyond.then_some(row.horizon),
            };
            Ok(Event {
                id: row.id,
                cursor: cursor.to_string(),
                account_id: row.account_id,
                severity: row.severity,
                resource: row.resource,
                resource_id: row.resource_id,
                resource_name: row.resource_name,
                // Customers are told what happened to their own, and neither by which machine nor from where.
                source: row.source.filter(|_| is_told(&row.actor, scope)),
                message: match for_customers(&row.kind) {
                    Some(message) if !scope.is_operator() => message.to_owned(),
                    _ => row.message.unwrap_or_default(),
                },
                kind: row.kind,
                actor: if is_told(&row.actor, scope) { row.actor } else { "honcho".to_owned() },
                before: from_json("event", row.before.as_deref())?,
                after: from_json("event", row.after.as_deref())?,
                created_at: time(row.created_at),
            })
        })
        .collect()
}

/// Whether events are written that are not told after a cursor yet, because what somebody has under way may come before
/// them.
pub async fn is_held_back(connection: &impl Connection) -> StoreResult<bool> {
    let horizon = horizon_sql(connection.inner().get_database_backend());
    let sql = format!("SELECT 1 AS n FROM events WHERE xid >= {horizon} LIMIT 1");
    Ok(number(connection, &sql, values![]).await?.is_some())
}

/// What customers are told in place of a message that names machines, or holds a driver's words.
fn for_customers(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "guest.step_failed" => "a step failed",
        "guest.move_ordered" => "is to go to another machine when its turn comes",
        "guest.move" => "goes to another machine",
        "guest.moved" => "is another machine's now: all of its disk is there",
        "guest.copy_removed" => "nothing of it is left on the machine that it is not on",
        "guest.move_refused" => "is not moved",
        _ => return None,
    })
}

/// Whether a caller may know who did it: an operator everybody, a customer other customers. Those can only be of the
/// same account, for they could not have done it otherwise.
fn is_told(actor: &str, scope: Scope) -> bool {
    scope.is_operator() || crate::Actor::is_customer(actor)
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It happened.
    Info,
    /// Somebody should look.
    Alarm,
}

/// An event to be written.
pub struct NewEvent<'a> {
    /// As in `guest.create`.
    pub kind: &'a str,
    /// How much it matters.
    pub severity: Severity,
    /// The account concerned.
    pub account: Option<AccountId>,
    /// What it is about.
    pub resource: (ResourceKind, i64, &'a str),
    /// For people.
    pub message: String,
    /// What was before, secrets left out.
    pub before: Option<Value>,
    /// What is after, secrets left out.
    pub after: Option<Value>,
}

impl<'a> NewEvent<'a> {
    /// Something that happened to `resource`.
    pub fn info(kind: &'a str, resource: (ResourceKind, i64, &'a str), message: impl Into<String>) -> Self {
        let message = message.into();
        NewEvent {
            kind,
            severity: Severity::Info,
            account: None,
            resource,
            message,
            before: None,
            after: None,
        }
    }
    /// Something somebody should look at.
    #[must_use]
    pub fn alarm(self) -> Self {
        NewEvent { severity: Severity::Alarm, ..self }
    }
    /// Whose account it concerns.
    #[must_use]
    pub fn of(self, account: Option<AccountId>) -> Self {
        NewEvent { account, ..self }
    }
    /// What changed.
    #[must_use]
    pub fn change(self, before: Option<Value>, after: Option<Value>) -> Self {
        NewEvent { before, after, ..self }
    }
}

/// Writes one, within the change that it tells of.
pub async fn record(tx: &Tx, event: NewEvent<'_>) -> StoreResult<EventId> {
    let (resource, resource_id, resource_name) = event.resource;
    let severity = match event.severity {
        Severity::Info => "info",
        Severity::Alarm => "alarm",
    };
    let id = insert(
        tx,
        "INSERT INTO events (account_id, kind, severity, resource, resource_id, resource_name, actor, source, message, \
         before, after, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id AS n",
        values![
            event.account.map(|account| account.0),
            event.kind,
            severity,
            resource.as_str(),
            resource_id,
            resource_name,
            tx.actor.who.as_str(),
            tx.actor.source.clone(),
            event.message,
            event.before.as_ref().map(to_json).transpose()?,
            event.after.as_ref().map(to_json).transpose()?,
            tx.now.0
        ],
    )
    .await?;
    Ok(EventId(id))
}

//! The event log: every change, and everything an operator should hear of. Never edited.

use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, from_json, insert, time, to_json, values};
use crate::{Scope, StoreResult, Tx};
use honcho_api::Event;
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, EventId};
use sea_orm::FromQueryResult;
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

/// Events in scope, oldest first.
pub async fn list(connection: &impl Connection, scope: Scope, filters: &Filters) -> StoreResult<Vec<Event>> {
    let mut select = Select::new(
        "SELECT e.id, e.account_id, e.kind, e.severity, e.resource, e.resource_id, e.resource_name, e.actor, e.source, \
         e.message, e.before, e.after, e.created_at FROM events e",
        values![],
    );
    select.scope_of_machine(scope, "e.account_id", "e.resource = 'guest' AND e.resource_id = ?");
    select.filter(filters, "e.id", COLUMNS)?;
    let rows: Vec<Row> = select.all(connection, "e.id", filters).await?;
    rows.into_iter()
        .map(|row| {
            Ok(Event {
                id: row.id,
                account_id: row.account_id,
                severity: row.severity,
                resource: row.resource,
                resource_id: row.resource_id,
                resource_name: row.resource_name,
                // Customers are told what happened to their own, and neither by which machine nor from where.
                source: row.source.filter(|_| is_told(&row.actor, scope)),
                message: if row.kind == "guest.step_failed" && !scope.is_operator() {
                    "a step failed".to_owned()
                } else {
                    row.message.unwrap_or_default()
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

//! Usage: read out of the event log, a few guests at a time.
//!
//! Of each guest that was there in the window, its events in it are read, and the last before it: the whole log never.

use crate::list::{Filters, Select, Shared};
use crate::sql::{Connection, from_json, rows, values};
use crate::{Scope, StoreResult};
use honcho_model::usage::{Entry, Size, State, Window};
use honcho_model::{AccountId, EventId, Timestamp, address};
use sea_orm::FromQueryResult;
use serde_json::Value;
use std::collections::HashMap;

/// A guest, and what its events say of it.
#[derive(Clone, Debug)]
pub struct GuestEntries {
    /// Its id.
    pub id: i64,
    /// Whose.
    pub account_id: i64,
    /// Its name now, or its last.
    pub name: String,
    /// Oldest first; from the last before the window on.
    pub entries: Vec<Entry>,
}

#[derive(FromQueryResult)]
struct GuestRow {
    id: i64,
    account_id: i64,
    name: String,
}

#[derive(FromQueryResult)]
struct EventRow {
    id: i64,
    resource_id: i64,
    created_at: i64,
    after: Option<String>,
}

/// The guests in scope that were there within `window`, of one account or of all, in the order of their ids: so many
/// at most, and only ids above `after`.
pub async fn entries(
    connection: &impl Connection,
    scope: Scope,
    account: Option<AccountId>,
    window: Window,
    after: i64,
    limit: i64,
) -> StoreResult<Vec<GuestEntries>> {
    let mut select = Select::new("SELECT g.id, g.account_id, g.name FROM guests g", values![]);
    select.only_with("g.created_at < ?", window.until.0);
    select.only_with("(g.deleting_at IS NULL OR g.deleting_at >= ?)", window.from.0);
    select.only_with("g.id > ?", after);
    if let Some(account) = account {
        select.only_with("g.account_id = ?", account.0);
    }
    select.scope(scope, "g.account_id", Shared::No);
    let filters = Filters { limit: Some(limit), ..Filters::default() };
    let guests: Vec<GuestRow> = select.all(connection, "g.id", &filters).await?;
    let (Some(first), Some(last)) = (guests.first(), guests.last()) else { return Ok(Vec::new()) };
    let mut entries: HashMap<i64, Vec<Entry>> = HashMap::new();
    for row in events(connection, (first.id, last.id), account, window).await? {
        let facts: Option<Value> = from_json("event", row.after.as_deref())?;
        if let Some(facts) = facts.filter(|facts| facts.get("vcpus").is_some()) {
            let (event, at) = (EventId(row.id), Timestamp(row.created_at));
            entries.entry(row.resource_id).or_default().push(Entry { event, at, is: read(&facts) });
        }
    }
    Ok(guests
        .into_iter()
        .map(|guest| GuestEntries {
            entries: entries.remove(&guest.id).unwrap_or_default(),
            id: guest.id,
            account_id: guest.account_id,
            name: guest.name,
        })
        .collect())
}

/// The events of the guests in a range of ids. What comes before the window, what lies in it and what comes after are
/// told apart by ids, for those have an order even where a clock was set back. Of one guest that is the order of commits,
/// on both engines: each of these events comes with a change of the guest's own row, and changes are serializable.
async fn events(
    connection: &impl Connection,
    (first, last): (i64, i64),
    account: Option<AccountId>,
    window: Window,
) -> StoreResult<Vec<EventRow>> {
    let mut bound = values![first, last, window.from.0, window.until.0];
    bound.extend(account.map(|account| account.0.into()));
    let own = if account.is_some() { " AND g.account_id = $5" } else { "" };
    let last_id = i64::MAX;
    // The conditions of the index that is made for this.
    let change = |alias: &str| {
        format!("{alias}.resource = 'guest' AND {alias}.after IS NOT NULL AND {alias}.resource_id = g.id")
    };
    let sql = format!(
        "SELECT e.id, e.resource_id, e.created_at, e.after FROM guests g JOIN events e ON {} \
         WHERE g.id BETWEEN $1 AND $2 AND g.created_at < $4 AND (g.deleting_at IS NULL OR g.deleting_at >= $3){own} \
         AND e.id < COALESCE((SELECT MIN(d.id) FROM events d WHERE {} AND d.created_at >= $4), {last_id}) \
         AND e.id >= COALESCE((SELECT MAX(b.id) FROM events b WHERE {} AND b.id < \
         COALESCE((SELECT MIN(c.id) FROM events c WHERE {} AND c.created_at >= $3), {last_id})), 0) \
         ORDER BY e.resource_id, e.id",
        change("e"),
        change("d"),
        change("b"),
        change("c"),
    );
    rows(connection, &sql, bound).await
}

/// What an event's facts say. That of an order is the whole guest, with its times; the others say yes or no.
fn read(facts: &Value) -> Option<(State, Size)> {
    let number = |attribute: &str| facts.get(attribute).and_then(Value::as_i64).unwrap_or(0);
    let yes = |attribute: &str| facts.get(attribute).and_then(Value::as_bool).unwrap_or(false);
    let is_set = |attribute: &str| facts.get(attribute).is_some_and(|value| !value.is_null());
    if yes("deleting") || is_set("deleted_at") {
        return None;
    }
    let state = if yes("cancelled") || is_set("cancelled_at") {
        State::Cancelled
    } else if yes("suspended") {
        State::Suspended
    } else if facts.get("power").and_then(Value::as_str) == Some("running") {
        State::Running
    } else {
        State::Stopped
    };
    let held: Vec<&str> = if let Some(held) = facts.get("addresses").and_then(Value::as_array) {
        held.iter().filter_map(Value::as_str).collect()
    } else {
        // An order from before events told addresses by themselves.
        let cards = facts.get("interfaces").and_then(Value::as_array).into_iter().flatten();
        cards.filter_map(|card| card.get("address").and_then(Value::as_str)).collect()
    };
    let public = |text: &&&str| text.parse().is_ok_and(address::is_counted);
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let size = Size {
        vcpus: number("vcpus"),
        memory: number("memory_bytes"),
        disk: number("disk_bytes"),
        addresses: count(held.len()),
        public_addresses: count(held.iter().filter(public).count()),
    };
    Some((state, size))
}

//! The event log: who did what, from where, and what was seen.

use super::failure::PanelResult;
use super::shell::{Section, Shell, page};
use super::shown::{self, Moment};
use super::visitor::{Asking, Guarded, Visitor};
use crate::app::App;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use honcho_api::Event;
use honcho_store::{Filters, events};
use serde::Deserialize;

/// How many a page has.
const ROWS: i64 = 100;

/// An event, as it is shown.
pub(super) struct EventRow {
    pub(super) at: Moment,
    pub(super) is_alarm: bool,
    pub(super) kind: String,
    pub(super) name: String,
    /// The page of what it is about, if there is one.
    pub(super) address: Option<String>,
    pub(super) message: String,
    pub(super) actor: String,
    pub(super) source: String,
    /// What changed: attribute, before, after.
    pub(super) changes: Vec<(String, String, String)>,
}

/// Where there is a page about it.
fn address(event: &Event, visitor: &Visitor) -> Option<String> {
    match event.resource.as_str() {
        "guest" => Some(format!("/guests/{}", event.resource_id)),
        "host" if visitor.is_operator() => Some(format!("/hosts/{}", event.resource_id)),
        "account" => Some(format!("/accounts/{}", event.resource_id)),
        "slow_query" => Some(format!("/slow_queries/{}", event.resource_id)),
        "slow_server" => Some(format!("/slow_servers/{}", event.resource_id)),
        "network" if visitor.is_operator() => Some(format!("/networks/{}", event.resource_id)),
        _ => None,
    }
}

fn written(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}

/// The attributes in which two states of a thing differ.
fn changes(
    before: Option<&serde_json::Value>,
    after: Option<&serde_json::Value>,
) -> Vec<(String, String, String)> {
    let (Some(before), Some(after)) =
        (before.and_then(serde_json::Value::as_object), after.and_then(serde_json::Value::as_object))
    else {
        return Vec::new();
    };
    let counts =
        |name: &str| !matches!(name, "generation" | "lock_version" | "operation_id" | "observed_generation");
    let differing = after.iter().filter(|(name, value)| {
        counts(name) && before.get(*name) != Some(value) && !value.is_array() && !value.is_object()
    });
    differing
        .map(|(name, value)| {
            let was = before.get(name).map(written).unwrap_or_default();
            (shown::words(name), was, written(value))
        })
        .collect()
}

/// An event as a row.
pub(super) fn row(event: Event, app: &App, visitor: &Visitor) -> EventRow {
    EventRow {
        at: shown::moment(event.created_at, app.now()),
        is_alarm: event.severity == "alarm",
        address: address(&event, visitor),
        changes: changes(event.before.as_ref(), event.after.as_ref()),
        kind: event.kind,
        name: event.resource_name,
        message: event.message,
        actor: event.actor,
        source: event.source.unwrap_or_default(),
    }
}

/// The newest events in a visitor's scope, the newest first.
pub(super) async fn newest(app: &App, visitor: &Visitor, count: i64) -> PanelResult<Vec<EventRow>> {
    let filters = Filters { limit: Some(count), descending: true, ..Filters::default() };
    let found = events::list(app.store.reader(), visitor.scope(), &filters).await?;
    Ok(found.into_iter().map(|event| row(event, app, visitor)).collect())
}

/// What the log is asked for. Empty fields of the form ask for nothing.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    kind: String,
    severity: String,
    resource: String,
    resource_name: String,
    after: String,
}

impl Asked {
    fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("kind", self.kind.trim()),
            ("severity", self.severity.trim()),
            ("resource", self.resource.trim()),
            ("resource_name", self.resource_name.trim()),
            ("after", self.after.trim()),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
    }

    fn address(&self, after: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.pairs().filter(|(name, _)| *name != "after"));
        query.append_pair("after", after);
        format!("/events?{}", query.finish())
    }
}

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    shell: Shell,
    asked: Asked,
    resources: Vec<(&'static str, String)>,
    rows: Vec<EventRow>,
    older: Option<String>,
}

/// What events are about.
const RESOURCES: &[&str] = &[
    "account",
    "address",
    "cluster",
    "guest",
    "host",
    "image",
    "network",
    "person",
    "pool",
    "rack",
    "san",
    "session",
    "site",
    "slow_server",
    "token",
    "webhook",
];

/// The log, the newest first.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let pairs = asked.pairs().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let filters = Filters { limit: Some(ROWS), descending: true, ..Filters::parse(pairs)? };
    let found = events::list(app.store.reader(), guarded.visitor.scope(), &filters).await?;
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count == ROWS);
    let older = found.last().filter(|_| is_full).map(|last| asked.address(&last.cursor));
    let rows = found.into_iter().map(|event| row(event, &app, &guarded.visitor)).collect();
    let resources = RESOURCES.iter().map(|word| (*word, shown::words(word))).collect();
    let shell = Shell::new(&app, &guarded.visit, Section::Events, "Events");
    page(&EventsPage { shell, asked, resources, rows, older })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_changed_is_told_and_nothing_else() {
        let before = json!({ "name": "a", "vcpus": 1, "host_id": null, "generation": 3 });
        let after = json!({ "name": "a", "vcpus": 2, "host_id": 7, "generation": 4 });
        let told = changes(Some(&before), Some(&after));
        let told: Vec<_> = told.iter().map(|(name, was, is)| format!("{name}: {was} -> {is}")).collect();
        assert_eq!(told, ["host id: – -> 7", "vcpus: 1 -> 2"]);
        assert!(changes(None, Some(&after)).is_empty());
    }

    #[test]
    fn older_events_are_asked_for_in_the_same_way() {
        let asked = Asked { severity: "alarm".into(), after: "9".into(), ..Asked::default() };
        assert_eq!(asked.address("1-2-3"), "/events?severity=alarm&after=1-2-3");
    }
}

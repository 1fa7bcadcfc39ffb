//! The machine room: the table of hosts, and racks drawn as they stand.

use super::failure::PanelResult;
use super::racked::{self, Drawn};
use super::shell::{Section, Shell, page};
use super::shown::{self, Badge};
use super::visitor::{Asking, Guarded};
use crate::app::App;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use honcho_api::Host;
use honcho_store::names::{self, Named};
use honcho_store::{Filters, hosts, racks};
use serde::Deserialize;

/// How many rows the table has.
const ROWS: i64 = 100;

/// How many racks are drawn on a page.
const RACKS: i64 = 12;

/// Something of which a part is used.
pub(super) struct Used {
    pub(super) percent: i64,
    pub(super) said: String,
}

/// How much of something is used, where both are known.
pub(super) fn used(part: i64, whole: Option<i64>) -> Option<Used> {
    let whole = whole.filter(|whole| *whole > 0)?;
    let percent = i64::try_from(i128::from(part) * 100 / i128::from(whole)).unwrap_or(100);
    Some(Used { percent, said: format!("{} of {}", shown::size(part), shown::size(whole)) })
}

/// A row of the table.
struct Row {
    id: i64,
    name: String,
    status: Badge,
    reason: String,
    is_draining: bool,
    rack: String,
    guests: i64,
    cpus: String,
    busy: Option<i64>,
    memory: Option<Used>,
    seen: String,
}

#[derive(Template)]
#[template(path = "hosts.html")]
struct HostsPage {
    shell: Shell,
    rows: Vec<Row>,
    has_racks: bool,
    more: Option<String>,
}

/// From where on a list is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    after: Option<i64>,
}

fn place(host: &Host, racks: &std::collections::HashMap<i64, String>) -> String {
    let rack = host.rack_id.and_then(|id| racks.get(&id));
    match (rack, host.position) {
        (Some(rack), Some(position)) => format!("{rack} · {position}"),
        (Some(rack), None) => rack.clone(),
        (None, _) => String::new(),
    }
}

/// The table.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    guarded.visitor.operator()?;
    let reader = app.store.reader();
    let filters = Filters { limit: Some(ROWS), after: asked.after, ..Filters::default() };
    let found = hosts::list(reader, &filters, app.now()).await?;
    let names = names::of(reader, Named::Rack, found.iter().filter_map(|host| host.rack_id)).await?;
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count == ROWS);
    let more = found.last().filter(|_| is_full).map(|last| format!("/hosts?after={}", last.id));
    let any_rack = racks::list(reader, &Filters { limit: Some(1), ..Filters::default() }).await?;
    let now = jiff::Timestamp::from_microsecond(app.now().0).unwrap_or_default();
    let row = |host: Host| Row {
        id: host.id,
        status: shown::host_status(host.status),
        is_draining: host.draining_since.is_some(),
        rack: place(&host, &names),
        guests: host.guests_count,
        cpus: host.cpus.map(|cpus| cpus.to_string()).unwrap_or_default(),
        busy: host.busy_percent,
        memory: used(host.memory_placed_bytes, host.memory_bytes),
        seen: host.last_seen_at.map(|at| format!("{} ago", shown::span(at, now))).unwrap_or_default(),
        reason: host.status_reason.unwrap_or_default(),
        name: host.name,
    };
    page(&HostsPage {
        shell: Shell::new(&app, &guarded.visit, Section::Hosts, "Hosts"),
        rows: found.into_iter().map(row).collect(),
        has_racks: !any_rack.is_empty(),
        more,
    })
}

#[derive(Template)]
#[template(path = "racks.html")]
struct RacksPage {
    shell: Shell,
    racks: Vec<Drawn>,
    more: Option<String>,
}

/// Racks as they stand.
pub(super) async fn racks(
    State(app): State<App>,
    guarded: Guarded,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    guarded.visitor.operator()?;
    let reader = app.store.reader();
    let filters = Filters { limit: Some(RACKS), after: asked.after, ..Filters::default() };
    let found = racks::list(reader, &filters).await?;
    let sites = names::of(reader, Named::Site, found.iter().map(|rack| rack.site_id)).await?;
    let mut standing = Vec::new();
    if !found.is_empty() {
        let equals = found.iter().map(|rack| ("rack_id".to_owned(), rack.id.to_string())).collect();
        standing = hosts::list(reader, &Filters { equals, ..Filters::default() }, app.now()).await?;
    }
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count == RACKS);
    let more = found.last().filter(|_| is_full).map(|last| format!("/racks?after={}", last.id));
    let drawn = found.into_iter().map(|rack| {
        let site = sites.get(&rack.site_id).cloned().unwrap_or_default();
        let own: Vec<&Host> = standing.iter().filter(|host| host.rack_id == Some(rack.id)).collect();
        racked::drawn(&rack, site, &own)
    });
    page(&RacksPage {
        shell: Shell::new(&app, &guarded.visit, Section::Hosts, "Racks"),
        racks: drawn.collect(),
        more,
    })
}

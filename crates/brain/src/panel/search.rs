//! What the box above every page finds.

use super::failure::PanelResult;
use super::shell::{Section, Shell, page};
use super::visitor::{Asking, Guarded, Visitor};
use crate::app::App;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use honcho_api::SearchHit;
use honcho_model::needle::Needle;
use honcho_store::search;
use serde::Deserialize;

/// How many of each kind are shown.
const MOST: u32 = 20;

struct Hit {
    name: String,
    /// Its page, if it has one.
    address: Option<String>,
    kind: String,
    /// By what it was found, where that is not its name.
    found_by: Option<(String, String)>,
    account: Option<String>,
    place: Option<String>,
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    shell: Shell,
    hits: Vec<Hit>,
    /// Why nothing could be looked for.
    problem: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Sought {
    q: Option<String>,
}

/// Where there is a page about it.
fn address(hit: &SearchHit, visitor: &Visitor) -> Option<String> {
    match (hit.kind.as_str(), hit.guest_id) {
        ("guest", _) => Some(format!("/guests/{}", hit.id)),
        ("host", _) => Some(format!("/hosts/{}", hit.id)),
        ("pool", _) => hit.host_id.map(|host| format!("/hosts/{host}")),
        ("account", _) => Some(format!("/accounts/{}", hit.id)),
        ("person", _) => Some(format!("/people/{}", hit.id)),
        ("network", _) if visitor.is_operator() => Some(format!("/networks/{}", hit.id)),
        ("address", Some(guest)) => Some(format!("/guests/{guest}")),
        _ => None,
    }
}

fn shown(hit: SearchHit, visitor: &Visitor) -> Hit {
    let place = hit.guest_name.clone().or(hit.network_name.clone()).or(hit.host_name.clone());
    Hit {
        address: address(&hit, visitor),
        found_by: (hit.attribute != "name" && hit.value != hit.name)
            .then(|| (hit.attribute.replace('_', " "), hit.value.clone())),
        name: hit.name,
        kind: hit.kind,
        account: hit.account_name,
        place,
    }
}

/// What is found.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    Asking(sought): Asking<Sought>,
) -> PanelResult<Response> {
    let q = sought.q.unwrap_or_default();
    let mut shell = Shell::new(&app, &guarded.visit, Section::Search, "Search");
    shell.sought.clone_from(&q);
    let (hits, problem) = match Needle::parse(&q) {
        Ok(needle) => {
            let found = search::search(app.store.reader(), guarded.visitor.scope(), &needle, MOST).await?;
            (found.into_iter().map(|hit| shown(hit, &guarded.visitor)).collect(), None)
        }
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    page(&SearchPage { shell, hits, problem })
}

//! The table of guests.

use super::failure::PanelResult;
use super::guest_views::{self, ViewLink};
use super::shell::{Section, Shell, page};
use super::shown::{self, Badge};
use super::slow;
use super::visitor::{Asking, Guarded};
use crate::app::App;
use crate::http::ApiError;
use crate::shared::COUNTS;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use honcho_api::Guest;
use honcho_model::guest::GuestStatus;
use honcho_store::names::{self, Named};
use honcho_store::{Filters, Scope, guests};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;

/// How many rows a page has.
const ROWS: i64 = 50;

/// What the table is asked for. Empty fields of a form ask for nothing.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    status: String,
    account_id: String,
    pub(super) host_id: String,
    image_id: String,
    pub(super) after: String,
    pub(super) before: String,
}

impl Asked {
    /// What stands behind the question mark of an address; what is no filter is left out.
    pub(super) fn of_query(query: &str) -> Asked {
        let mut asked = Asked::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let field = match &*name {
                "status" => &mut asked.status,
                "account_id" => &mut asked.account_id,
                "host_id" => &mut asked.host_id,
                "image_id" => &mut asked.image_id,
                _ => continue,
            };
            *field = value.into_owned();
        }
        asked
    }

    /// As an address of one of the two files, with the same filters.
    fn as_file(&self, kind: &str) -> String {
        self.with(|_| {}).replacen("/guests", &format!("/guests.{kind}"), 1)
    }

    /// As an address, with something else in place.
    pub(super) fn with(&self, change: impl FnOnce(&mut Asked)) -> String {
        let mut asked = Asked { after: String::new(), before: String::new(), ..self.clone() };
        change(&mut asked);
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in asked.pairs() {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { "/guests".to_owned() } else { format!("/guests?{query}") }
    }

    fn pairs(&self) -> [(&'static str, &str); 6] {
        [
            ("status", self.status.as_str()),
            ("account_id", self.account_id.as_str()),
            ("host_id", self.host_id.as_str()),
            ("image_id", self.image_id.as_str()),
            ("after", self.after.as_str()),
            ("before", self.before.as_str()),
        ]
    }

    pub(super) fn filters(&self) -> Result<Filters, ApiError> {
        let backwards = !self.before.is_empty();
        let asked = self.pairs().into_iter().filter(|(_, value)| !value.is_empty());
        let pairs = asked.map(|(name, value)| {
            (if name == "before" { "after" } else { name }.to_owned(), value.to_owned())
        });
        let filters = Filters::parse(pairs)?;
        Ok(Filters {
            // One more than is shown, to know whether there is more.
            limit: Some(ROWS + 1),
            descending: backwards,
            with_cancelled: GuestStatus::parse(&self.status).is_some_and(is_ended),
            ..filters
        })
    }
}

/// Whether guests of this status are left out of lists that do not ask for them.
fn is_ended(status: GuestStatus) -> bool {
    matches!(status, GuestStatus::Cancelled | GuestStatus::Deleting | GuestStatus::Deleted)
}

/// A row of the table.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) status: Badge,
    pub(super) reason: String,
    pub(super) account: String,
    pub(super) account_id: i64,
    pub(super) host: Option<(i64, String)>,
    pub(super) address: String,
    pub(super) vcpus: i64,
    pub(super) memory: String,
    pub(super) disk: String,
    pub(super) image: String,
}

/// Guests as rows, with the names of all that they are of.
pub(super) async fn rows(app: &App, guarded: &Guarded, found: Vec<Guest>) -> PanelResult<Vec<Row>> {
    let reader = app.store.reader();
    let accounts = names::of(reader, Named::Account, found.iter().map(|guest| guest.account_id)).await?;
    let images = names::of(reader, Named::Image, found.iter().map(|guest| guest.image_id)).await?;
    let hosts = if guarded.visitor.is_operator() {
        names::of(reader, Named::Host, found.iter().filter_map(|guest| guest.host_id)).await?
    } else {
        std::collections::HashMap::new()
    };
    let row = |guest: Guest| Row {
        id: guest.id,
        status: shown::guest_status(guest.status),
        reason: guest.status_reason.unwrap_or_default(),
        account: accounts.get(&guest.account_id).cloned().unwrap_or_default(),
        account_id: guest.account_id,
        host: guest.host_id.and_then(|id| Some((id, hosts.get(&id)?.clone()))),
        address: guest.address.unwrap_or_default(),
        vcpus: guest.vcpus,
        memory: shown::size(guest.memory_bytes),
        disk: shown::size(guest.disk_bytes),
        image: images.get(&guest.image_id).cloned().unwrap_or_default(),
        name: guest.name,
    };
    Ok(found.into_iter().map(row).collect())
}

/// A status to choose, and how many have it.
struct Choice {
    badge: Badge,
    count: i64,
    address: String,
    is_chosen: bool,
}

/// A filter that is on and can be taken off.
struct Chip {
    label: String,
    without: String,
}

#[derive(Template)]
#[template(path = "guests.html")]
struct GuestsPage {
    shell: Shell,
    rows: Vec<Row>,
    all: i64,
    choices: Vec<Choice>,
    chips: Vec<Chip>,
    is_operator: bool,
    shows_accounts: bool,
    shows_hosts: bool,
    everything: String,
    views: Vec<ViewLink>,
    /// What is filtered by, as the form of a view has it; nothing, if nothing is.
    query: String,
    csv: String,
    json: String,
    may_order: bool,
    /// How many of a customer's servers send slow logs.
    slow_servers: usize,
    before: Option<String>,
    after: Option<String>,
}

impl GuestsPage {
    /// Whether one status is shown.
    fn is_filtered(&self) -> bool {
        self.choices.iter().any(|choice| choice.is_chosen)
    }
}

async fn chips(app: &App, asked: &Asked) -> PanelResult<Vec<Chip>> {
    let mut chips = Vec::new();
    let id = |text: &str| text.parse::<i64>().ok();
    for (label, named, id, without) in [
        ("account", Named::Account, id(&asked.account_id), asked.with(|asked| asked.account_id.clear())),
        ("host", Named::Host, id(&asked.host_id), asked.with(|asked| asked.host_id.clear())),
        ("image", Named::Image, id(&asked.image_id), asked.with(|asked| asked.image_id.clear())),
    ] {
        if let Some(id) = id {
            let names = names::of(app.store.reader(), named, [id]).await?;
            let name = names.get(&id).cloned().unwrap_or_else(|| id.to_string());
            chips.push(Chip { label: format!("{label} {name}"), without });
        }
    }
    Ok(chips)
}

/// How many guests have which status: what a page says of them may be a second old, and costs no more than one count in a second.
async fn counted(app: &App, scope: Scope) -> PanelResult<Arc<[(String, i64)]>> {
    let count = async || PanelResult::Ok(guests::counted(app.store.reader(), scope, app.now()).await?.into());
    app.looks.guests_counted.recent(format!("{scope:?}"), COUNTS, || app.now(), count).await
}

/// The same by image.
pub(super) async fn counted_by_image(app: &App, scope: Scope) -> PanelResult<Arc<HashMap<i64, i64>>> {
    let count =
        async || PanelResult::Ok(Arc::new(guests::counted_by_image(app.store.reader(), scope).await?));
    app.looks.guests_by_image.recent(format!("{scope:?}"), COUNTS, || app.now(), count).await
}

/// The table.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    Asking(mut asked): Asking<Asked>,
) -> PanelResult<Response> {
    if !guarded.visitor.is_operator() {
        asked.host_id.clear();
    }
    let scope = guarded.visitor.scope();
    let mut found = guests::list(app.store.reader(), scope, &asked.filters()?, app.now()).await?;
    let backwards = !asked.before.is_empty();
    let more = found.len() > usize::try_from(ROWS).unwrap_or(usize::MAX);
    found.truncate(usize::try_from(ROWS).unwrap_or(usize::MAX));
    if backwards {
        found.reverse();
    }
    let (first, last) = (found.first().map(|guest| guest.id), found.last().map(|guest| guest.id));
    let is_behind = if backwards { more } else { !asked.after.is_empty() };
    let is_ahead = if backwards { true } else { more };
    let counted = counted(&app, scope).await?;
    let choices = GuestStatus::ALL.into_iter().filter_map(|status| {
        let count = counted.iter().find(|(word, _)| word == status.as_str()).map_or(0, |(_, count)| *count);
        let is_chosen = asked.status == status.as_str();
        (count > 0 || is_chosen).then(|| Choice {
            badge: shown::guest_status(status),
            count,
            address: asked.with(|asked| status.as_str().clone_into(&mut asked.status)),
            is_chosen,
        })
    });
    let slow_servers =
        if guarded.visitor.is_operator() { 0 } else { slow::servers_count(&app, &guarded.visitor).await? };
    let page_of = GuestsPage {
        slow_servers,
        shell: Shell::new(&app, &guarded.visit, Section::Guests, "Guests"),
        choices: choices.collect(),
        all: counted
            .iter()
            .filter(|(word, _)| !GuestStatus::parse(word).is_some_and(is_ended))
            .map(|(_, count)| count)
            .sum(),
        chips: if guarded.visitor.is_operator() { chips(&app, &asked).await? } else { Vec::new() },
        is_operator: guarded.visitor.is_operator(),
        shows_accounts: scope.sole_account().is_none(),
        shows_hosts: guarded.visitor.is_operator(),
        may_order: guarded.visitor.writer().is_ok(),
        everything: asked.with(|asked| asked.status.clear()),
        views: guest_views::links(&app, &guarded, &asked).await?,
        query: asked.with(|_| {}).split_once('?').map_or_else(String::new, |(_, query)| query.to_owned()),
        csv: asked.as_file("csv"),
        json: asked.as_file("json"),
        before: first.filter(|_| is_behind).map(|id| asked.with(|asked| asked.before = id.to_string())),
        after: last.filter(|_| is_ahead).map(|id| asked.with(|asked| asked.after = id.to_string())),
        rows: rows(&app, &guarded, found).await?,
    };
    page(&page_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_what_is_chosen_and_begins_anew() {
        let asked = Asked {
            status: "running".into(),
            account_id: "7".into(),
            after: "99".into(),
            ..Asked::default()
        };
        assert_eq!(asked.with(|asked| asked.status.clear()), "/guests?account_id=7");
        assert_eq!(
            asked.with(|asked| asked.before = "3".into()),
            "/guests?status=running&account_id=7&before=3"
        );
        assert_eq!(Asked::default().with(|_| {}), "/guests");
        let filters = asked.filters().unwrap();
        assert_eq!((filters.after, filters.limit, filters.descending), (Some(99), Some(51), false));
        assert!(Asked { before: "3".into(), ..Asked::default() }.filters().unwrap().descending);
        assert!(Asked { after: "x".into(), ..Asked::default() }.filters().is_err());
    }
}

//! Whose slow queries: all servers that send, for those who see more than one account.

use super::servers::{ServerRow, rows};
use crate::app::App;
use crate::panel::failure::PanelResult;
use crate::panel::shell::{Section, Shell, go, page};
use crate::panel::visitor::{Asking, Guarded, Visitor};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use honcho_store::{Filters, slow};
use serde::Deserialize;

/// How many servers a page has.
const ROWS: i64 = 100;

/// From where on the list is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::panel) struct After {
    after: Option<i64>,
}

#[derive(Template)]
#[template(path = "slow_servers.html")]
struct ServersPage {
    shell: Shell,
    rows: Vec<ServerRow>,
    more: Option<String>,
}

/// The list. Who is of one account is shown that.
pub(in crate::panel) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    Asking(asked): Asking<After>,
) -> PanelResult<Response> {
    let scope = guarded.visitor.scope();
    if let [grant] = guarded.visitor.session.grants.as_slice()
        && !guarded.visitor.is_operator()
    {
        let path = format!("/accounts/{}/slow_queries", grant.account_id);
        return Ok(go(&path, guarded.visit.flash.clone(), guarded.visit.transport));
    }
    let filters = Filters { limit: Some(ROWS), after: asked.after, ..Filters::default() };
    let found = slow::list(app.store.reader(), scope, &filters).await?;
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count == ROWS);
    let more = found.last().filter(|_| is_full).map(|last| format!("/slow_queries?after={}", last.id));
    let rows = rows(&app, &found).await?;
    page(&ServersPage {
        shell: Shell::new(&app, &guarded.visit, Section::SlowQueries, "Slow queries"),
        rows,
        more,
    })
}

/// How many servers of a visitor's send slow logs, as far as a word needs to know.
pub(in crate::panel) async fn count(app: &App, visitor: &Visitor) -> PanelResult<usize> {
    let filters = Filters { limit: Some(ROWS), ..Filters::default() };
    Ok(slow::list(app.store.reader(), visitor.scope(), &filters).await?.len())
}

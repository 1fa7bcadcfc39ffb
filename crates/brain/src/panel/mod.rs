//! The panel: pages for people, at `/`.
//!
//! ```text
//!   browser --GET /guests/7--> around     who is this (a session in a cookie), which theme, what was said last
//!                                |        a form: is its token good, is the brain accepted
//!                                v
//!                              guest.rs   reads by the visitor's `Scope`, a few statements however long the list
//!                                |        or makes the very changes of `operations/` that the API makes
//!                                v
//!                              templates  askama: what is shown is escaped, and checked when it is compiled
//!                                |
//!                                v
//!                              dress      errors as pages, headers, gzip
//! ```
//!
//! Where things are: this directory has a file for each page, or for pages that belong together; `panel/templates` of the
//! crate the markup, `panel/assets` the one style sheet and the scripts. All of it is in the program.
//!
//! What holds for every page:
//!
//! * It works without JavaScript. Scripts make parts live ([`live`]) and the keyboard quicker; a terminal ([`console`]) alone is nothing without.
//! * The Content-Security-Policy knows no inline script, no inline style and no other host. What depends on numbers is a
//!   `<meter>`, a `<progress>` or a cell of a table.
//! * A page shows what works. What somebody may not do has no button, and is refused all the same if it is asked for:
//!   it is the operation that refuses.
//! * What is shown of rows of other tables (names) is read for all rows at once, never row by row.
//!
//! The panel knows sessions alone, and the API no cookies: no other site's page can make a browser ask the API anything.

mod accounts;
mod archive;
mod archive_history;
mod around;
mod assets;
mod capacity;
mod console;
mod cookies;
mod event_log;
mod failure;
mod fields;
mod guest;
mod guest_acts;
mod guest_bulk;
mod guest_export;
mod guest_order;
mod guest_packages;
mod guest_views;
mod guests;
mod host;
mod hosts;
mod image_diff;
mod images;
mod live;
mod load;
mod login;
mod networks;
mod overview;
mod password;
mod people;
mod placement;
mod problems;
mod racked;
mod search;
mod shell;
mod shown;
mod slow;
mod tokens;
mod usage;
mod visitor;

#[cfg(test)]
mod tests;

pub(crate) use around::unknown_page;
pub(crate) use visitor::Transport;

use crate::app::App;
use crate::http::bodies;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

/// Every page.
pub(crate) fn routes(app: &App) -> Router<App> {
    Router::new()
        .route("/", get(overview::show))
        .route("/overview/live", get(overview::live))
        .route("/hosts", get(hosts::show))
        .route("/hosts/{id}", get(host::show))
        .route("/hosts/{id}/load/live", get(host::load_live))
        .route("/hosts/{id}/drain", get(host::plan).post(host::drain))
        .route("/networks", get(networks::show))
        .route("/networks/{id}", get(networks::one))
        .route("/accounts", get(accounts::show))
        .route("/accounts/{id}", get(accounts::one))
        .route("/accounts/{id}/tokens", post(accounts::make_token))
        .route("/accounts/{id}/tokens/end", post(accounts::end_token))
        .route("/accounts/{id}/usage", get(usage::show))
        .route("/accounts/{id}/usage.csv", get(usage::csv))
        .route("/archive", get(archive::show))
        .route("/archive/{suite}", get(archive::suite))
        .route("/archive/{suite}/history", get(archive_history::show))
        .route("/archive/{suite}/packages/{package}", get(archive::package))
        .route("/capacity", get(capacity::show))
        .route("/placement", get(placement::show))
        .route("/images", get(images::show))
        .route("/images/{id}", get(images::one))
        .route("/images/{id}/diff", get(image_diff::show))
        .route("/password", get(password::show).post(password::change))
        .route("/people", get(people::show).post(people::make))
        .route("/people/{id}", get(people::one))
        .route("/people/{id}/grant", post(people::grant))
        .route("/people/{id}/unlock", post(people::unlock))
        .route("/people/{id}/delete", post(people::delete))
        .route("/racks", get(hosts::racks))
        .route("/events", get(event_log::show))
        .route("/login", get(login::show).post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/theme", post(login::theme))
        .route("/search", get(search::show))
        .route("/guests", get(guests::show).post(guest_order::order))
        .route("/guests.csv", get(guest_export::csv))
        .route("/guests.json", get(guest_export::json))
        .route("/guests/views", post(guest_views::save))
        .route("/guests/views/forget", post(guest_views::forget))
        .route("/guests/bulk", post(guest_bulk::act))
        .route("/guests/new", get(guest_order::show))
        .route("/guests/{id}", get(guest::show))
        .route("/guests/{id}/console", get(console::show))
        .route("/guests/{id}/console/socket", get(console::socket))
        .route("/guests/{id}/live", get(guest::live))
        .route("/guests/{id}/log", get(console::log))
        .route("/guests/{id}/packages", get(guest_packages::show))
        .route("/guests/{id}/load/live", get(guest::load_live))
        .route("/guests/{id}/start", post(guest_acts::start))
        .route("/guests/{id}/stop", post(guest_acts::stop))
        .route("/guests/{id}/reboot", post(guest_acts::reboot))
        .route("/guests/{id}/resize", post(guest_acts::resize))
        .route("/guests/{id}/cancel", post(guest_acts::cancel))
        .route("/guests/{id}/restore", post(guest_acts::restore))
        .route("/operations/{id}/abandon", post(guest_acts::abandon))
        .merge(slow::routes())
        .method_not_allowed_fallback(around::no_forms)
        .layer(axum::middleware::from_fn_with_state(app.clone(), around::around))
        .layer(DefaultBodyLimit::max(bodies::LARGEST_OF_STRANGERS))
        .route("/assets/{digest}/{name}", get(assets::serve))
}

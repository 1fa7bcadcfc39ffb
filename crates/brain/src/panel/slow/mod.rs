//! Slow queries: which hurt most, since when, and what to do.
//!
//! ```text
//!   /slow_queries --------------- an account or a server is chosen; who has only one account is there already
//!     /accounts/5/slow_queries    its ranking (one server alone: ?server_id=3)
//!     /slow_servers/9             the ranking of a server that is nobody's guest
//!       /slow_queries/42          one query: advice first
//!       …/slow_marks, …/slow_settings
//! ```
//!
//! What is shown is what the API gives, read with the same scopes; what is changed goes through the same operations.

mod asked;
mod charts;
mod choose;
mod marks;
mod query;
mod ranking;
mod rows;
mod servers;
mod settings;
mod sheet;

#[cfg(test)]
mod tests;

use crate::app::App;
use axum::Router;
use axum::routing::{get, post};

pub(super) use choose::count as servers_count;

/// Their pages.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/slow_queries", get(choose::show))
        .route("/slow_queries/{id}", get(query::show))
        .route("/slow_queries/{id}/judge", post(query::judge))
        .route("/accounts/{id}/slow_queries", get(ranking::of_account))
        .route("/slow_servers/{id}", get(ranking::of_server))
        .route("/accounts/{id}/slow_marks", get(marks::of_account).post(marks::make_of_account))
        .route("/slow_servers/{id}/slow_marks", get(marks::of_server).post(marks::make_of_server))
        .route("/slow_marks/{id}/delete", post(marks::delete))
        .route("/accounts/{id}/slow_settings", get(settings::show).post(settings::change))
        .route("/accounts/{id}/slow_samples", post(settings::samples))
}

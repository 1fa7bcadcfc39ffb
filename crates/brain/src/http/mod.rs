//! The API for people and programs. Handlers extract, call one operation, convert.

mod account_life;
mod accounts;
mod addresses;
pub(crate) mod bodies;
mod clusters;
mod error;
mod events;
mod exports;
mod extract;
mod guest_packages;
mod guests;
mod health;
mod hosts;
mod image_keys;
mod image_uploads;
mod images;
mod imports;
mod join;
mod json;
pub(crate) mod listing;
mod load;
mod middleware;
mod networks;
mod openapi;
mod operations;
mod people;
mod placements;
mod pools;
mod racks;
mod restore;
mod sans;
mod search;
mod sessions;
mod sites;
mod slow;
mod slow_marks;
mod slow_queries;
pub(crate) mod streams;
mod strict_json;
mod suite_packages;
mod suites;
mod tokens;
mod usage;
mod webhooks;

#[cfg(test)]
pub(crate) mod people_tests;
#[cfg(test)]
mod route_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod suite_packages_tests;
#[cfg(test)]
pub(crate) mod suites_tests;

pub(crate) use bodies::pieces;
pub(crate) use error::{ApiError, ApiResult, request_id};
pub(crate) use events::followed_no_more;
pub(crate) use extract::{Arguments, Caller, Peer, Segment, Writer, filters, parse_body, token};
pub(crate) use image_uploads::not_added;
pub(crate) use json::Exactly;
pub(crate) use middleware::{archive_request, machine_request, without_json_suffix};
pub use openapi::openapi_json;
pub(crate) use people::{made as make_person, password_set};
pub(crate) use placements::{
    Moves, capacities, capacities_without, drain_ordered, lost, plan_of as drain_plan, undrained,
};
pub(crate) use restore::refuse_unaccepted;
pub(crate) use sessions::{refused as login_refused, try_password};
pub(crate) use slow_queries::ranking as slow_ranking;
pub(crate) use usage::{month_csv, month_window};

use crate::app::App;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Every route that stands in the OpenAPI document.
#[expect(clippy::too_many_lines, reason = "a line for each kind of thing")]
fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::document())
        .routes(routes!(accounts::list, accounts::create))
        .routes(routes!(accounts::show, accounts::replace, accounts::update, account_life::delete))
        .routes(routes!(account_life::suspend, account_life::suspend_by_post))
        .routes(routes!(account_life::unsuspend, account_life::unsuspend_by_post))
        .routes(routes!(account_life::restore, account_life::restore_by_post))
        .routes(routes!(account_life::keep_sample_values, account_life::keep_sample_values_by_post))
        .routes(routes!(account_life::redact_sample_values, account_life::redact_sample_values_by_post))
        .routes(routes!(accounts::quota))
        .routes(routes!(usage::account))
        .routes(routes!(usage::account_csv))
        .routes(routes!(usage::all))
        .routes(routes!(usage::all_csv))
        .routes(routes!(guests::list_of_account, guests::create_of_account))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::show, tokens::replace, tokens::update, tokens::delete))
        .routes(routes!(people::list, people::create))
        .routes(routes!(people::show, people::replace, people::update, people::delete))
        .routes(routes!(people::grant, people::grant_by_post))
        .routes(routes!(people::revoke, people::revoke_by_post))
        .routes(routes!(people::unlock, people::unlock_by_post))
        .routes(routes!(people::password, people::password_by_post))
        .routes(routes!(sessions::show, sessions::delete))
        .routes(routes!(sessions::whoami))
        .routes(routes!(search::search))
        .routes(routes!(exports::export_hosts))
        .routes(routes!(exports::export_networks))
        .routes(routes!(exports::export_addresses))
        .routes(routes!(hosts::list, hosts::create))
        .routes(routes!(hosts::show, hosts::replace, hosts::update, hosts::delete))
        .routes(routes!(hosts::rejoin, hosts::rejoin_by_post))
        .routes(routes!(load::of_host))
        .routes(routes!(placements::drain_plan, placements::drain, placements::drain_by_post))
        .routes(routes!(placements::undrain, placements::undrain_by_post))
        .routes(routes!(placements::capacity))
        .routes(routes!(placements::balance, placements::balance_by_moves))
        .routes(routes!(restore::show))
        .routes(routes!(restore::accept, restore::accept_by_post))
        .routes(routes!(sites::list, sites::create))
        .routes(routes!(sites::show, sites::replace, sites::update, sites::delete))
        .routes(routes!(racks::list, racks::create))
        .routes(routes!(racks::show, racks::replace, racks::update, racks::delete))
        .routes(routes!(sans::list, sans::create))
        .routes(routes!(sans::show, sans::replace, sans::update, sans::delete))
        .routes(routes!(pools::list, pools::create))
        .routes(routes!(pools::show, pools::delete))
        .routes(routes!(networks::list, networks::create))
        .routes(routes!(networks::show, networks::replace, networks::update, networks::delete))
        .routes(routes!(addresses::list, addresses::create))
        .routes(routes!(addresses::show, addresses::replace, addresses::update, addresses::delete))
        .routes(routes!(addresses::list_of_network, addresses::create_of_network))
        .routes(routes!(addresses::list_of_account, addresses::create_of_account))
        .routes(routes!(images::show, images::delete))
        .routes(routes!(images::packages))
        .routes(routes!(images::recipe))
        .routes(routes!(images::signature))
        .routes(routes!(image_keys::list, image_keys::create))
        .routes(routes!(image_keys::show, image_keys::delete))
        .routes(routes!(image_uploads::list, image_uploads::create))
        .routes(routes!(image_uploads::show, image_uploads::delete))
        .routes(routes!(image_uploads::finish, image_uploads::finish_by_post))
        .routes(routes!(guests::list, guests::create))
        .routes(routes!(guests::show, guests::replace, guests::update, guests::delete))
        .routes(routes!(guests::start, guests::start_by_post))
        .routes(routes!(guests::stop, guests::stop_by_post))
        .routes(routes!(guests::reboot, guests::reboot_by_post))
        .routes(routes!(guests::resize, guests::resize_by_post))
        .routes(routes!(guests::move_to, guests::move_by_post))
        .routes(routes!(guests::capture, guests::capture_by_post))
        .routes(routes!(guests::restore, guests::restore_by_post))
        .routes(routes!(placements::of_guest))
        .routes(routes!(load::of_guest))
        .routes(routes!(clusters::list, clusters::create))
        .routes(routes!(clusters::show, clusters::delete))
        .routes(routes!(clusters::restore, clusters::restore_by_post))
        .routes(routes!(streams::log))
        .routes(routes!(streams::console))
        .routes(routes!(operations::list))
        .routes(routes!(operations::show))
        .routes(routes!(operations::stream))
        .routes(routes!(operations::abandon, operations::abandon_by_post))
        .routes(routes!(slow::list))
        .routes(routes!(slow::show))
        .routes(routes!(slow_queries::of_server))
        .routes(routes!(slow_queries::of_account))
        .routes(routes!(slow_queries::show))
        .routes(routes!(slow_queries::judge, slow_queries::judge_by_post))
        .routes(routes!(slow_marks::list, slow_marks::create))
        .routes(routes!(slow_marks::show, slow_marks::delete))
        .routes(routes!(slow_marks::settings, slow_marks::replace_settings, slow_marks::update_settings))
        .routes(routes!(events::list))
        .routes(routes!(events::stream))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::show, webhooks::replace, webhooks::update, webhooks::delete))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(webhooks::test, webhooks::test_by_post))
        .routes(routes!(webhooks::rotate, webhooks::rotate_by_post))
        .routes(routes!(webhooks::enable, webhooks::enable_by_post))
        .routes(routes!(suite_packages::list))
        .routes(routes!(suite_packages::packages))
        .routes(routes!(suite_packages::guests))
        .routes(routes!(suite_packages::installed_packages))
        .routes(routes!(suites::upload_add, suites::upload_forget))
        .layer(DefaultBodyLimit::max(bodies::LARGEST))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(sessions::list, sessions::create))
                .layer(DefaultBodyLimit::max(bodies::LARGEST_OF_STRANGERS)),
        )
        // A blob is as large as it is; it is streamed and never held.
        .merge(
            OpenApiRouter::new()
                .routes(routes!(images::blob_put, images::blob_get, images::blob_head))
                .routes(routes!(image_uploads::content))
                .routes(routes!(suites::upload_file))
                .layer(DefaultBodyLimit::disable()),
        )
        .merge(
            OpenApiRouter::new()
                .routes(routes!(guest_packages::list, guest_packages::report))
                // Its manifest lists its packages.
                .routes(routes!(images::list, images::create))
                .layer(DefaultBodyLimit::max(guest_packages::LARGEST)),
        )
        // A mail is read whole: what it carries is compressed.
        .merge(
            OpenApiRouter::new()
                .routes(routes!(slow::mail))
                .layer(DefaultBodyLimit::max(honcho_post::LARGEST_MAIL)),
        )
        .merge(
            OpenApiRouter::new()
                .routes(routes!(imports::import_hosts))
                .routes(routes!(imports::import_networks))
                .routes(routes!(imports::import_addresses))
                .routes(routes!(imports::import_netbox))
                .layer(DefaultBodyLimit::max(imports::LARGEST)),
        )
}

/// The whole of what people and programs are served.
pub(crate) fn router(app: App) -> Router {
    let (described, document) = described().split_for_parts();
    // One copy of it for everybody who asks.
    let json = axum::body::Bytes::from(openapi::render(&document));
    described
        .route("/v1/join", post(join::join).layer(DefaultBodyLimit::max(bodies::LARGEST_OF_STRANGERS)))
        .route("/v1/openapi", get(move || async move { ([("content-type", "application/json")], json) }))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .merge(
            utoipa_swagger_ui::SwaggerUi::new("/docs")
                .config(utoipa_swagger_ui::Config::from("/v1/openapi.json")),
        )
        .merge(crate::panel::routes(&app))
        .merge(crate::apt::routes())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(axum::middleware::from_fn_with_state(app.clone(), restore::refuse_orders))
        .layer(axum::middleware::from_fn_with_state(app.clone(), middleware::request))
        .with_state(app)
}

async fn unknown_route(State(app): State<App>, request: Request) -> Response {
    let error = ApiError::not_found("route").hint("/v1/openapi.json lists what there is; /docs/ shows it");
    crate::panel::unknown_page(app, request, error).await
}

async fn wrong_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this route does not know that method",
    )
}

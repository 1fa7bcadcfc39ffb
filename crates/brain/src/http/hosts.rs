//! `/v1/hosts`. Operators only.

use super::accounts::{Created, created};
use super::error::ApiResult;
use super::extract::{Body, Caller, Id, ListQuery, Operator};
use super::listing::listed;
use crate::app::App;
use crate::operations::{HostAdd, HostDelete, HostOfferJoin, HostUpdate};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{ErrorBody, Host};
use honcho_model::HostId;
use honcho_store::{Filters, hosts};

/// Lists hosts.
#[utoipa::path(get, path = "/v1/hosts", tag = "hosts",
    params(("name" = Option<String>, Query, description = "Filterable"),
        ("site_id" = Option<i64>, Query, description = "Filterable"),
        ("rack_id" = Option<i64>, Query, description = "Filterable"),
        ("vendor" = Option<String>, Query, description = "Filterable"),
        ("model" = Option<String>, Query, description = "Filterable"),
        ("serial" = Option<String>, Query, description = "Filterable")),
    responses((status = 200, body = [Host]), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    _: Operator,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { hosts::list(app.store.reader(), &filters, app.now()).await }
    };
    listed(filters, read).await
}

/// Adds a host, which waits for its agent.
#[utoipa::path(post, path = "/v1/hosts", tag = "hosts", request_body = honcho_api::HostCreate,
    responses((status = 201, body = Host, description = "With `join_token`, which is never shown again"),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    Operator(caller): Operator,
    body: Body<honcho_api::HostCreate>,
) -> ApiResult<Created<Host>> {
    let change = HostAdd {
        scope: caller.scope,
        uuid: app.outside.uuid(),
        secret: app.outside.secret(),
        ca_fingerprint: app.authority.fingerprint(),
        body: body.value,
    };
    Ok(created(app.write(caller.actor, &change).await?))
}

/// Shows a host.
#[utoipa::path(get, path = "/v1/hosts/{id}", tag = "hosts", params(("id" = i64, Path)),
    responses((status = 200, body = Host), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, _: Operator, Id(id): Id) -> ApiResult<Json<Host>> {
    Ok(Json(hosts::get(app.store.reader(), HostId(id), app.now()).await?))
}

async fn change(
    app: App,
    caller: Caller,
    id: i64,
    body: Body<honcho_api::HostCreate>,
) -> ApiResult<Json<Host>> {
    body.refuse_null(&["name", "height_units", "duties", "nics"])?;
    let lock_version = body.object.get("lock_version").and_then(serde_json::Value::as_i64);
    let change = HostUpdate { scope: caller.scope, id: HostId(id), body: body.value, lock_version };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Changes what is written down about a host.
#[utoipa::path(put, path = "/v1/hosts/{id}", tag = "hosts", params(("id" = i64, Path)), request_body = Host,
    responses((status = 200, body = Host), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn replace(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
    body: Body<honcho_api::HostCreate>,
) -> ApiResult<Json<Host>> {
    change(app, caller, id, body).await
}

/// Changes some of what is written down about a host.
#[utoipa::path(patch, path = "/v1/hosts/{id}", tag = "hosts", params(("id" = i64, Path)),
    request_body = honcho_api::HostCreate,
    responses((status = 200, body = Host), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn update(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
    body: Body<honcho_api::HostCreate>,
) -> ApiResult<Json<Host>> {
    change(app, caller, id, body).await
}

/// Deletes a host that holds nothing.
#[utoipa::path(delete, path = "/v1/hosts/{id}", tag = "hosts", params(("id" = i64, Path)),
    responses((status = 200, body = Host), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn delete(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
) -> ApiResult<Json<Host>> {
    let change = HostDelete { scope: caller.scope, id: HostId(id) };
    Ok(Json(app.write(caller.actor, &change).await?))
}

async fn offer_join(app: App, caller: Caller, id: i64) -> ApiResult<Json<Host>> {
    let change = HostOfferJoin {
        scope: caller.scope,
        id: HostId(id),
        secret: app.outside.secret(),
        ca_fingerprint: app.authority.fingerprint(),
    };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Lets a host join anew.
#[utoipa::path(put, path = "/v1/hosts/{id}/rejoin", tag = "hosts", params(("id" = i64, Path)),
    description = "Ends the host's certificate and gives it a new join token; a frozen host thaws when it has joined.",
    responses((status = 200, body = Host), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn rejoin(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
) -> ApiResult<Json<Host>> {
    offer_join(app, caller, id).await
}

/// Lets a host join anew.
#[utoipa::path(post, path = "/v1/hosts/{id}/rejoin", tag = "hosts", params(("id" = i64, Path)),
    responses((status = 200, body = Host), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn rejoin_by_post(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
) -> ApiResult<Json<Host>> {
    offer_join(app, caller, id).await
}

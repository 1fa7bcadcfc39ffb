//! `/v1/networks`.

use super::accounts::{Created, created};
use super::error::ApiResult;
use super::extract::{Body, Caller, Id, ListQuery, Writer};
use super::listing::listed;
use crate::app::App;
use crate::operations::{NetworkCreate, NetworkDelete, NetworkUpdate};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{ErrorBody, Network};
use honcho_model::NetworkId;
use honcho_store::{Filters, networks};

/// Lists networks.
#[utoipa::path(get, path = "/v1/networks", tag = "networks",
    params(("name" = Option<String>, Query, description = "Filterable"),
        ("account_id" = Option<i64>, Query, description = "Filterable"),
        ("reference" = Option<String>, Query, description = "Filterable"),
        ("kind" = Option<String>, Query, description = "Filterable"),
        ("vlan_id" = Option<i64>, Query, description = "Filterable"),
        ("vxlan_id" = Option<i64>, Query, description = "Filterable"),
        ("subnet" = Option<String>, Query, description = "Filterable"),
        ("subnet6" = Option<String>, Query, description = "Filterable")),
    responses((status = 200, body = [Network]), (status = 401, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let scope = caller.scope;
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { networks::list(app.store.reader(), scope, &filters).await }
    };
    listed(filters, read).await
}

/// Makes a network.
#[utoipa::path(post, path = "/v1/networks", tag = "networks", request_body = honcho_api::NetworkCreate,
    responses((status = 201, body = Network), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Writer,
    body: Body<honcho_api::NetworkCreate>,
) -> ApiResult<Created<Network>> {
    let change = NetworkCreate { scope: caller.scope, uuid: app.outside.uuid(), body: body.value };
    Ok(created(app.write(caller.actor, &change).await?))
}

/// Shows a network.
#[utoipa::path(get, path = "/v1/networks/{id}", tag = "networks", params(("id" = i64, Path)),
    responses((status = 200, body = Network), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> ApiResult<Json<Network>> {
    Ok(Json(networks::get(app.store.reader(), caller.scope, NetworkId(id)).await?))
}

async fn change(
    app: App,
    caller: Writer,
    id: i64,
    body: Body<honcho_api::NetworkCreate>,
) -> ApiResult<Json<Network>> {
    let lock_version = body.object.get("lock_version").and_then(serde_json::Value::as_i64);
    let change = NetworkUpdate { scope: caller.scope, id: NetworkId(id), body: body.value, lock_version };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Changes a network.
#[utoipa::path(put, path = "/v1/networks/{id}", tag = "networks", params(("id" = i64, Path)), request_body = Network,
    description = "Name and reserved ranges can change, and nothing else.",
    responses((status = 200, body = Network), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn replace(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<honcho_api::NetworkCreate>,
) -> ApiResult<Json<Network>> {
    change(app, caller, id, body).await
}

/// Changes a network.
#[utoipa::path(patch, path = "/v1/networks/{id}", tag = "networks", params(("id" = i64, Path)),
    request_body = honcho_api::NetworkCreate, description = "Name and reserved ranges can change, and nothing else.",
    responses((status = 200, body = Network), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<honcho_api::NetworkCreate>,
) -> ApiResult<Json<Network>> {
    change(app, caller, id, body).await
}

/// Deletes a network that nothing uses.
#[utoipa::path(delete, path = "/v1/networks/{id}", tag = "networks", params(("id" = i64, Path)),
    responses((status = 200, body = Network), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn delete(State(app): State<App>, caller: Writer, Id(id): Id) -> ApiResult<Json<Network>> {
    let change = NetworkDelete { scope: caller.scope, id: NetworkId(id) };
    Ok(Json(app.write(caller.actor, &change).await?))
}

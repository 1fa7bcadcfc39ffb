//! `/v1/racks`. Operators only.

use super::accounts::{Created, created};
use super::error::ApiResult;
use super::extract::{Body, Caller, Id, ListQuery, Operator};
use super::listing::listed;
use crate::app::App;
use crate::operations::{RackCreate, RackDelete, RackUpdate};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{ErrorBody, Rack};
use honcho_model::RackId;
use honcho_store::{Filters, racks};

/// Lists racks.
#[utoipa::path(get, path = "/v1/racks", tag = "racks",
    params(("name" = Option<String>, Query, description = "Filterable"),
        ("site_id" = Option<i64>, Query, description = "Filterable")),
    responses((status = 200, body = [Rack]), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    _: Operator,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { racks::list(app.store.reader(), &filters).await }
    };
    listed(filters, read).await
}

/// Makes a rack.
#[utoipa::path(post, path = "/v1/racks", tag = "racks", request_body = honcho_api::RackCreate,
    responses((status = 201, body = Rack), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    Operator(caller): Operator,
    body: Body<honcho_api::RackCreate>,
) -> ApiResult<Created<Rack>> {
    let change = RackCreate { scope: caller.scope, uuid: app.outside.uuid(), body: body.value };
    Ok(created(app.write(caller.actor, &change).await?))
}

/// Shows a rack.
#[utoipa::path(get, path = "/v1/racks/{id}", tag = "racks", params(("id" = i64, Path)),
    responses((status = 200, body = Rack), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, _: Operator, Id(id): Id) -> ApiResult<Json<Rack>> {
    Ok(Json(racks::get(app.store.reader(), RackId(id)).await?))
}

async fn change(
    app: App,
    caller: Caller,
    id: i64,
    body: Body<honcho_api::RackCreate>,
) -> ApiResult<Json<Rack>> {
    body.refuse_null(&["name", "site_id", "height_units"])?;
    let lock_version = body.object.get("lock_version").and_then(serde_json::Value::as_i64);
    let change = RackUpdate { scope: caller.scope, id: RackId(id), body: body.value, lock_version };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Changes a rack.
#[utoipa::path(put, path = "/v1/racks/{id}", tag = "racks", params(("id" = i64, Path)), request_body = Rack,
    responses((status = 200, body = Rack), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn replace(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
    body: Body<honcho_api::RackCreate>,
) -> ApiResult<Json<Rack>> {
    change(app, caller, id, body).await
}

/// Changes some attributes of a rack.
#[utoipa::path(patch, path = "/v1/racks/{id}", tag = "racks", params(("id" = i64, Path)),
    request_body = honcho_api::RackCreate,
    responses((status = 200, body = Rack), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn update(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
    body: Body<honcho_api::RackCreate>,
) -> ApiResult<Json<Rack>> {
    change(app, caller, id, body).await
}

/// Deletes a rack in which nothing is.
#[utoipa::path(delete, path = "/v1/racks/{id}", tag = "racks", params(("id" = i64, Path)),
    responses((status = 200, body = Rack), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn delete(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
) -> ApiResult<Json<Rack>> {
    let change = RackDelete { scope: caller.scope, id: RackId(id) };
    Ok(Json(app.write(caller.actor, &change).await?))
}

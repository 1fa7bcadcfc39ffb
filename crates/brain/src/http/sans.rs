//! `/v1/sans`. Operators only.

use super::accounts::{Created, created};
use super::error::ApiResult;
use super::extract::{Body, Caller, Id, ListQuery, Operator};
use super::listing::listed;
use crate::app::App;
use crate::operations::{SanCreate, SanDelete, SanUpdate};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{ErrorBody, San};
use honcho_model::SanId;
use honcho_store::{Filters, sans};

/// Lists SANs.
#[utoipa::path(get, path = "/v1/sans", tag = "sans",
    params(("name" = Option<String>, Query, description = "Filterable")),
    responses((status = 200, body = [San]), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    _: Operator,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { sans::list(app.store.reader(), &filters).await }
    };
    listed(filters, read).await
}

/// Writes down a SAN.
#[utoipa::path(post, path = "/v1/sans", tag = "sans", request_body = honcho_api::SanCreate,
    responses((status = 201, body = San), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    Operator(caller): Operator,
    body: Body<honcho_api::SanCreate>,
) -> ApiResult<Created<San>> {
    let change = SanCreate { scope: caller.scope, uuid: app.outside.uuid(), body: body.value };
    Ok(created(app.write(caller.actor, &change).await?))
}

/// Shows a SAN.
#[utoipa::path(get, path = "/v1/sans/{id}", tag = "sans", params(("id" = i64, Path)),
    responses((status = 200, body = San), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, _: Operator, Id(id): Id) -> ApiResult<Json<San>> {
    Ok(Json(sans::get(app.store.reader(), SanId(id)).await?))
}

async fn change(
    app: App,
    caller: Caller,
    id: i64,
    body: Body<honcho_api::SanCreate>,
) -> ApiResult<Json<San>> {
    body.refuse_null(&["name", "target", "host_ids"])?;
    let lock_version = body.object.get("lock_version").and_then(serde_json::Value::as_i64);
    let change = SanUpdate { scope: caller.scope, id: SanId(id), body: body.value, lock_version };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Changes a SAN.
#[utoipa::path(put, path = "/v1/sans/{id}", tag = "sans", params(("id" = i64, Path)), request_body = San,
    responses((status = 200, body = San), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn replace(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
    body: Body<honcho_api::SanCreate>,
) -> ApiResult<Json<San>> {
    change(app, caller, id, body).await
}

/// Changes some attributes of a SAN.
#[utoipa::path(patch, path = "/v1/sans/{id}", tag = "sans", params(("id" = i64, Path)),
    request_body = honcho_api::SanCreate,
    responses((status = 200, body = San), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn update(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
    body: Body<honcho_api::SanCreate>,
) -> ApiResult<Json<San>> {
    change(app, caller, id, body).await
}

/// Deletes a SAN.
#[utoipa::path(delete, path = "/v1/sans/{id}", tag = "sans", params(("id" = i64, Path)),
    responses((status = 200, body = San), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn delete(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
) -> ApiResult<Json<San>> {
    let change = SanDelete { scope: caller.scope, id: SanId(id) };
    Ok(Json(app.write(caller.actor, &change).await?))
}

//! `/v1/sites`. Operators only.

use super::accounts::{Created, created};
use super::error::ApiResult;
use super::extract::{Body, Caller, Id, ListQuery, Operator};
use super::listing::listed;
use crate::app::App;
use crate::operations::{SiteCreate, SiteDelete, SiteUpdate};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{ErrorBody, Site};
use honcho_model::SiteId;
use honcho_store::{Filters, sites};

/// Lists sites.
#[utoipa::path(get, path = "/v1/sites", tag = "sites",
    params(("name" = Option<String>, Query, description = "Filterable")),
    responses((status = 200, body = [Site]), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    _: Operator,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { sites::list(app.store.reader(), &filters).await }
    };
    listed(filters, read).await
}

/// Makes a site.
#[utoipa::path(post, path = "/v1/sites", tag = "sites", request_body = honcho_api::SiteCreate,
    responses((status = 201, body = Site), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    Operator(caller): Operator,
    body: Body<honcho_api::SiteCreate>,
) -> ApiResult<Created<Site>> {
    let change = SiteCreate { scope: caller.scope, uuid: app.outside.uuid(), body: body.value };
    Ok(created(app.write(caller.actor, &change).await?))
}

/// Shows a site.
#[utoipa::path(get, path = "/v1/sites/{id}", tag = "sites", params(("id" = i64, Path)),
    responses((status = 200, body = Site), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, _: Operator, Id(id): Id) -> ApiResult<Json<Site>> {
    Ok(Json(sites::get(app.store.reader(), SiteId(id)).await?))
}

async fn change(
    app: App,
    caller: Caller,
    id: i64,
    body: Body<honcho_api::SiteCreate>,
) -> ApiResult<Json<Site>> {
    body.refuse_null(&["name"])?;
    let lock_version = body.object.get("lock_version").and_then(serde_json::Value::as_i64);
    let change = SiteUpdate { scope: caller.scope, id: SiteId(id), body: body.value, lock_version };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Changes a site.
#[utoipa::path(put, path = "/v1/sites/{id}", tag = "sites", params(("id" = i64, Path)), request_body = Site,
    responses((status = 200, body = Site), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn replace(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
    body: Body<honcho_api::SiteCreate>,
) -> ApiResult<Json<Site>> {
    change(app, caller, id, body).await
}

/// Changes some attributes of a site.
#[utoipa::path(patch, path = "/v1/sites/{id}", tag = "sites", params(("id" = i64, Path)),
    request_body = honcho_api::SiteCreate,
    responses((status = 200, body = Site), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn update(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
    body: Body<honcho_api::SiteCreate>,
) -> ApiResult<Json<Site>> {
    change(app, caller, id, body).await
}

/// Deletes a site in which nothing is.
#[utoipa::path(delete, path = "/v1/sites/{id}", tag = "sites", params(("id" = i64, Path)),
    responses((status = 200, body = Site), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn delete(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
) -> ApiResult<Json<Site>> {
    let change = SiteDelete { scope: caller.scope, id: SiteId(id) };
    Ok(Json(app.write(caller.actor, &change).await?))
}

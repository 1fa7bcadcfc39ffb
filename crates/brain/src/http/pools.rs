//! `/v1/pools`. Operators only.

use super::accounts::{Created, created};
use super::error::ApiResult;
use super::extract::{Body, Id, ListQuery, Operator};
use super::listing::listed;
use crate::app::App;
use crate::operations::{PoolCreate, PoolDelete};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{ErrorBody, Pool};
use honcho_model::PoolId;
use honcho_store::{Filters, pools};

/// Lists pools.
#[utoipa::path(get, path = "/v1/pools", tag = "pools",
    params(("host_id" = Option<i64>, Query, description = "Filterable"), ("name" = Option<String>, Query, description = "Filterable"),
        ("status" = Option<String>, Query, description = "Filterable")),
    responses((status = 200, body = [Pool]), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    _: Operator,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { pools::list(app.store.reader(), &filters).await }
    };
    listed(filters, read).await
}

/// Makes a pool on a host.
#[utoipa::path(post, path = "/v1/pools", tag = "pools", request_body = honcho_api::PoolCreate,
    responses((status = 201, body = Pool), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    Operator(caller): Operator,
    body: Body<honcho_api::PoolCreate>,
) -> ApiResult<Created<Pool>> {
    let change = PoolCreate { scope: caller.scope, uuid: app.outside.uuid(), body: body.value };
    Ok(created(app.write(caller.actor, &change).await?))
}

/// Shows a pool.
#[utoipa::path(get, path = "/v1/pools/{id}", tag = "pools", params(("id" = i64, Path)),
    responses((status = 200, body = Pool), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, _: Operator, Id(id): Id) -> ApiResult<Json<Pool>> {
    Ok(Json(pools::get(app.store.reader(), PoolId(id)).await?))
}

/// Deletes a pool that holds no volume.
#[utoipa::path(delete, path = "/v1/pools/{id}", tag = "pools", params(("id" = i64, Path)),
    description = "What is in its directory is left as it is.",
    responses((status = 200, body = Pool), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn delete(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
) -> ApiResult<Json<Pool>> {
    let change = PoolDelete { scope: caller.scope, id: PoolId(id) };
    Ok(Json(app.write(caller.actor, &change).await?))
}

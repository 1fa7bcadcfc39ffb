//! `/v1/image_keys`: whose signatures of images are trusted.

use super::accounts::{Created, created};
use super::error::ApiResult;
use super::extract::{Body, Id, ListQuery, Operator};
use super::listing::listed;
use crate::app::App;
use crate::operations::{ImageKeyCreate, ImageKeyDelete};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{ErrorBody, ImageKey};
use honcho_model::ImageKeyId;
use honcho_store::{Filters, image_keys};

/// Lists keys.
#[utoipa::path(get, path = "/v1/image_keys", tag = "images",
    params(("name" = Option<String>, Query, description = "Filterable"), ("fingerprint" = Option<String>, Query, description = "Filterable")),
    description = "Those that are trusted.",
    responses((status = 200, body = [ImageKey]), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    _: Operator,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { image_keys::list(app.store.reader(), &filters).await }
    };
    listed(filters, read).await
}

/// Trusts a key.
#[utoipa::path(post, path = "/v1/image_keys", tag = "images", request_body = honcho_api::ImageKeyCreate,
    responses((status = 201, body = ImageKey), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    Operator(caller): Operator,
    body: Body<honcho_api::ImageKeyCreate>,
) -> ApiResult<Created<ImageKey>> {
    let change = ImageKeyCreate { scope: caller.scope, uuid: app.outside.uuid(), body: body.value };
    Ok(created(app.write(caller.actor, &change).await?))
}

/// Shows a key.
#[utoipa::path(get, path = "/v1/image_keys/{id}", tag = "images", params(("id" = i64, Path)),
    responses((status = 200, body = ImageKey), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, _: Operator, Id(id): Id) -> ApiResult<Json<ImageKey>> {
    Ok(Json(image_keys::get(app.store.reader(), ImageKeyId(id)).await?))
}

/// Trusts a key no more.
#[utoipa::path(delete, path = "/v1/image_keys/{id}", tag = "images", params(("id" = i64, Path)),
    description = "What it has signed stays, and says that nobody vouches for it.",
    responses((status = 200, body = ImageKey), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn delete(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
) -> ApiResult<Json<ImageKey>> {
    let change = ImageKeyDelete { scope: caller.scope, id: ImageKeyId(id) };
    Ok(Json(app.write(caller.actor, &change).await?))
}

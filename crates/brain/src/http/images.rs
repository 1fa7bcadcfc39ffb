//! `/v1/images`, and `/v1/blobs`, through which their tarballs come.

use super::accounts::{Created, created};
use super::bodies;
use super::error::{ApiError, ApiResult};
use super::extract::{Body, Caller, Id, ListQuery, Operator, Segment, Writer};
use super::listing::listed;
use crate::app::App;
use crate::operations::{ImageCreate, ImageDelete, image_signature_check};
use axum::Json;
use axum::body::Body as Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use honcho_api::{Blob, ErrorBody, Image, ImagePackage, ImageRecipe, ImageSignature};
use honcho_model::{Digest, ImageId};
use honcho_store::{Filters, Scope, images};
use tokio_util::io::StreamReader;

/// Lists images.
#[utoipa::path(get, path = "/v1/images", tag = "images",
    params(("name" = Option<String>, Query, description = "Filterable"), ("digest" = Option<String>, Query, description = "Filterable")),
    responses((status = 200, body = [Image]), (status = 401, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let scope = caller.scope;
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { images::list(app.store.reader(), scope, &filters).await }
    };
    listed(filters, read).await
}

/// Registers an image.
#[utoipa::path(post, path = "/v1/images", tag = "images", request_body = honcho_api::ImageCreate,
    description = "Registers an image whose blob was sent before.",
    responses((status = 201, body = Image), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Writer,
    body: Body<honcho_api::ImageCreate>,
) -> ApiResult<Created<Image>> {
    let digest = body.value.digest.as_deref().and_then(|digest| digest.parse::<Digest>().ok());
    let blob_size = match digest {
        Some(digest) => app.blobs.size(digest).await?,
        None => None,
    };
    let change = ImageCreate { scope: caller.scope, uuid: app.outside.uuid(), blob_size, body: body.value };
    Ok(created(app.write(caller.actor, &change).await?))
}

/// Shows an image.
#[utoipa::path(get, path = "/v1/images/{id}", tag = "images", params(("id" = i64, Path)),
    responses((status = 200, body = Image), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> ApiResult<Json<Image>> {
    Ok(Json(images::get(app.store.reader(), caller.scope, ImageId(id)).await?))
}

/// Lists the packages in an image.
#[utoipa::path(get, path = "/v1/images/{id}/packages", tag = "images",
    params(("id" = i64, Path), ("name" = Option<String>, Query, description = "Filterable")),
    responses((status = 200, body = [ImagePackage]), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn packages(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    ListQuery(filters): ListQuery,
) -> ApiResult<Json<Vec<ImagePackage>>> {
    let image = images::get(app.store.reader(), caller.scope, ImageId(id)).await?;
    Ok(Json(images::packages(app.store.reader(), ImageId(image.id), &filters).await?))
}

/// Shows what an image was built from.
#[utoipa::path(get, path = "/v1/images/{id}/recipe", tag = "images", params(("id" = i64, Path)),
    description = "Shows what an image was built from. Recipes are operators' own: they may name what is nobody else's business.",
    responses((status = 200, body = ImageRecipe), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn recipe(State(app): State<App>, _: Operator, Id(id): Id) -> ApiResult<Json<ImageRecipe>> {
    let image = images::get(app.store.reader(), Scope::Operator, ImageId(id)).await?;
    let recipe = images::recipe(app.store.reader(), ImageId(image.id)).await?;
    Ok(Json(ImageRecipe { image_id: image.id, recipe }))
}

/// Shows who vouches for an image.
#[utoipa::path(get, path = "/v1/images/{id}/signature", tag = "images", params(("id" = i64, Path)),
    description = "Checks anew whether what is kept of the image is what somebody signed, and gives what whoever does not believe it needs: \
        manifest, signature and key. The blob itself is not read.",
    responses((status = 200, body = ImageSignature), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn signature(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> ApiResult<Json<ImageSignature>> {
    let image = images::get(app.store.reader(), caller.scope, ImageId(id)).await?;
    Ok(Json(image_signature_check(app.store.reader(), &image).await?))
}

/// Deletes an image.
#[utoipa::path(delete, path = "/v1/images/{id}", tag = "images", params(("id" = i64, Path)),
    description = "Hides an image from new guests; those made from it keep it.",
    responses((status = 200, body = Image), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn delete(State(app): State<App>, caller: Writer, Id(id): Id) -> ApiResult<Json<Image>> {
    let change = ImageDelete { scope: caller.scope, id: ImageId(id) };
    Ok(Json(app.write(caller.actor, &change).await?))
}

fn parse(digest: &str) -> ApiResult<Digest> {
    digest.parse().map_err(|_| ApiError::not_found("blob"))
}

/// Sends a blob.
#[utoipa::path(put, path = "/v1/blobs/{digest}", tag = "images", params(("digest" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    description = "Sends a blob. It is kept only if it is what the digest says.",
    responses((status = 201, body = Blob), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "That is no digest"),
        (status = 408, body = ErrorBody, description = "Nothing more of it came for 30 s"),
        (status = 409, body = ErrorBody, description = "It is just being deleted"), (status = 422, body = ErrorBody),
        (status = 507, body = ErrorBody, description = "It could not be written: most often the disk is full")))]
pub(super) async fn blob_put(
    State(app): State<App>,
    _: Operator,
    Segment(digest): Segment,
    body: Bytes,
) -> ApiResult<(StatusCode, Json<Blob>)> {
    let digest = parse(&digest)?;
    let source = StreamReader::new(bodies::pieces(body));
    let size = app.keep_blob(digest, source).await?;
    let size_bytes = i64::try_from(size).unwrap_or(i64::MAX);
    Ok((StatusCode::CREATED, Json(Blob { digest: digest.to_string(), size_bytes })))
}

/// Gives a blob.
#[utoipa::path(get, path = "/v1/blobs/{digest}", tag = "images", params(("digest" = String, Path)),
    description = "Gives the bytes of a blob, for whoever builds an image upon another. Its digest is not checked on the way.",
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn blob_get(
    State(app): State<App>,
    _: Operator,
    Segment(digest): Segment,
) -> ApiResult<Response> {
    let blob = app.blobs.get(parse(&digest)?).await?;
    let headers = [
        (header::CONTENT_LENGTH, blob.size.to_string()),
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
    ];
    Ok((headers, Bytes::from_stream(blob.bytes)).into_response())
}

/// Tells whether a blob is there.
#[utoipa::path(head, path = "/v1/blobs/{digest}", tag = "images", params(("digest" = String, Path)),
    responses((status = 200), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn blob_head(
    State(app): State<App>,
    _: Operator,
    Segment(digest): Segment,
) -> ApiResult<Response> {
    match app.blobs.size(parse(&digest)?).await? {
        Some(size) => Ok(([(header::CONTENT_LENGTH, size.to_string())], ()).into_response()),
        None => Err(ApiError::not_found("blob")),
    }
}

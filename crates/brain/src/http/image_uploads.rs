//! `/v1/image_uploads`: root filesystems come in pieces, and become images.

use super::accounts::{Created, created};
use super::bodies;
use super::error::{ApiError, ApiResult};
use super::extract::{Arguments, Body, Caller, Id, ListQuery, Writer};
use super::listing::listed;
use crate::app::App;
use crate::operations::{ImageUploadCreate, ImageUploadFinish, ImageUploadRefuse, ImageUploadTouch};
use crate::uploads::AppendError;
use axum::Json;
use axum::body::Body as Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use honcho_api::{ErrorBody, ImageUpload};
use honcho_images::BlobError;
use honcho_model::ImageUploadId;
use honcho_store::{Filters, Scope, StoreError, StoreResult, image_uploads};
use serde::Deserialize;

/// Files are looked at here, and not in the store.
fn seen(app: &App, upload: ImageUpload) -> ApiResult<ImageUpload> {
    Ok(app.uploads.seen(upload).map_err(BlobError::Write)?)
}

/// Lists uploads.
#[utoipa::path(get, path = "/v1/image_uploads", tag = "images",
    params(("account_id" = Option<i64>, Query, description = "Filterable"), ("name" = Option<String>, Query, description = "Filterable"),
        ("digest" = Option<String>, Query, description = "Filterable"), ("guest_id" = Option<i64>, Query, description = "Filterable"), ("status" = Option<String>, Query, description = "Filterable")),
    description = "Those under way, and those that ended in the last seven days.",
    responses((status = 200, body = [ImageUpload]), (status = 401, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let scope = caller.scope;
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { seen_all(&app, scope, &filters).await }
    };
    listed(filters, read).await
}

async fn seen_all(app: &App, scope: Scope, filters: &Filters) -> StoreResult<Vec<ImageUpload>> {
    let found = image_uploads::list(app.store.reader(), scope, filters).await?;
    let unreadable = |error: std::io::Error| StoreError::Damaged { what: "upload", why: error.to_string() };
    found.into_iter().map(|upload| app.uploads.seen(upload).map_err(unreadable)).collect()
}

/// Begins an upload.
#[utoipa::path(post, path = "/v1/image_uploads", tag = "images", request_body = honcho_api::ImageUploadCreate,
    description = "Begins to upload a root filesystem (.tar, .gz, .xz, .zst), or goes on with the same one that is under way. \
        What is sent next begins at `received_bytes`.",
    responses((status = 201, body = ImageUpload), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Writer,
    body: Body<honcho_api::ImageUploadCreate>,
) -> ApiResult<Created<ImageUpload>> {
    let (uuid, largest) = (app.outside.uuid(), app.uploads.largest);
    let change = ImageUploadCreate { scope: caller.scope, uuid, largest, body: body.value };
    let upload = app.write(caller.actor, &change).await?;
    Ok(created(seen(&app, upload)?))
}

/// Shows an upload.
#[utoipa::path(get, path = "/v1/image_uploads/{id}", tag = "images", params(("id" = i64, Path)),
    responses((status = 200, body = ImageUpload), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> ApiResult<Json<ImageUpload>> {
    let upload = image_uploads::get(app.store.reader(), caller.scope, ImageUploadId(id)).await?;
    Ok(Json(seen(&app, upload)?))
}

/// Gives an upload up.
#[utoipa::path(delete, path = "/v1/image_uploads/{id}", tag = "images", params(("id" = i64, Path)),
    description = "Gives an upload up, also while it is sealed. The image that it became stays.",
    responses((status = 200, body = ImageUpload), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
) -> ApiResult<Json<ImageUpload>> {
    let problem = format!("it was given up by {}", caller.actor.who);
    let change = ImageUploadRefuse { scope: caller.scope, id: ImageUploadId(id), problem };
    Ok(Json(seen(&app, app.write(caller.actor, &change).await?)?))
}

/// Where the bytes in a body begin.
#[derive(Deserialize)]
pub(super) struct Offset {
    offset: u64,
}

/// Sends a piece of an upload.
#[utoipa::path(put, path = "/v1/image_uploads/{id}/content", tag = "images",
    params(("id" = i64, Path), ("offset" = i64, Query, description = "Where these bytes begin: what `received_bytes` says")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    description = "Adds bytes to an upload, as many as one likes. Of a piece that breaks off, what came is kept: ask for \
        `received_bytes` and go on there.",
    responses((status = 200, body = ImageUpload), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 408, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "It goes on elsewhere, or somebody else sends it, or it takes nothing more"),
        (status = 422, body = ErrorBody), (status = 507, body = ErrorBody)))]
pub(super) async fn content(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    Arguments(Offset { offset }): Arguments<Offset>,
    body: Bytes,
) -> ApiResult<Json<ImageUpload>> {
    let id = ImageUploadId(id);
    let upload = image_uploads::get(app.store.reader(), caller.scope, id).await?;
    refuse_captured(&upload)?;
    if upload.status != "receiving" {
        let text = format!("it takes nothing more: its status is {}", upload.status);
        return Err(ApiError::conflict(text).closing());
    }
    let size = u64::try_from(upload.size_bytes).unwrap_or_default();
    let appended = app.uploads.append(upload.uuid, size, offset, bodies::pieces(body)).await;
    if matches!(appended, Ok(()) | Err(AppendError::Blob(_) | AppendError::NoRoom)) {
        app.write(caller.actor, &ImageUploadTouch(id)).await?;
    }
    // The rest of what comes is not read.
    appended.map_err(|error| not_added(&app, error).closing())?;
    let upload = image_uploads::get(app.store.reader(), caller.scope, id).await?;
    Ok(Json(seen(&app, upload)?))
}

/// Why nothing was added to an upload, as whoever sent it is told.
pub(crate) fn not_added(app: &App, error: AppendError) -> ApiError {
    match error {
        AppendError::Busy => {
            ApiError::conflict("somebody else is sending it just now").hint("ask again in a moment")
        }
        AppendError::Elsewhere(length) => {
            let text = format!("{length} bytes of it have come, and these begin elsewhere");
            ApiError::conflict(text).hint(format!("go on with offset={length}"))
        }
        AppendError::NoRoom => {
            let text = format!("less than {} are free on the brain's disk", app.uploads.reserve);
            ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "blob_store", text)
                .hint("what came is kept: go on once an operator has made room")
        }
        AppendError::TooMuch => ApiError::invalid("size_bytes", "is less than what came"),
        AppendError::Blob(error) => error.into(),
    }
}

/// What is read off a guest's disk nobody else sends.
fn refuse_captured(upload: &ImageUpload) -> ApiResult<()> {
    match upload.guest_id {
        None => Ok(()),
        Some(guest) => {
            Err(ApiError::conflict(format!("it is read off the disk of guest {guest}, by its host"))
                .closing())
        }
    }
}

async fn finished(app: App, caller: Writer, id: i64) -> ApiResult<(StatusCode, Json<ImageUpload>)> {
    let id = ImageUploadId(id);
    let upload = image_uploads::get(app.store.reader(), caller.scope, id).await?;
    refuse_captured(&upload)?;
    let received = app.uploads.received(upload.uuid).map_err(BlobError::Write)?;
    let change = ImageUploadFinish { scope: caller.scope, id, received };
    let upload = app.write(caller.actor, &change).await?;
    Ok((StatusCode::ACCEPTED, Json(seen(&app, upload)?)))
}

/// Says that all of it was sent.
#[utoipa::path(put, path = "/v1/image_uploads/{id}/finish", tag = "images", params(("id" = i64, Path)),
    description = "All of it was sent: it is checked, packed anew and becomes an image. `GET` tells how far that is.",
    responses((status = 202, body = ImageUpload), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody, description = "Something of it is missing")))]
pub(super) async fn finish(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
) -> ApiResult<(StatusCode, Json<ImageUpload>)> {
    finished(app, caller, id).await
}

/// Says that all of it was sent.
#[utoipa::path(post, path = "/v1/image_uploads/{id}/finish", tag = "images", params(("id" = i64, Path)),
    description = "The same as by PUT.",
    responses((status = 202, body = ImageUpload), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn finish_by_post(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
) -> ApiResult<(StatusCode, Json<ImageUpload>)> {
    finished(app, caller, id).await
}

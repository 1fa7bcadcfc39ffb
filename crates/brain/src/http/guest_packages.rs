//! `/v1/guests/{id}/packages`: what a guest has installed.

use super::bodies;
use super::error::{ApiError, ApiResult};
use super::extract::{Caller, Id, ListQuery, WriterOrMachine};
use crate::app::App;
use crate::operations::GuestPackagesReport;
use axum::Json;
use axum::extract::{Request, State};
use honcho_api::{ErrorBody, GuestPackages, ImagePackage};
use honcho_model::{GuestId, ImageId};
use honcho_store::{StoreError, guest_packages, guests, images};

/// The longest dpkg status; that of a desktop with everything has some 6 MB.
pub(super) const LARGEST: usize = 16 << 20;

/// Lists the packages in a guest.
#[utoipa::path(get, path = "/v1/guests/{id}/packages", tag = "guests",
    params(("id" = i64, Path), ("name" = Option<String>, Query, description = "Filterable")),
    description = "Lists what a guest said last that it has installed; of one that never did, what its image was made with.",
    responses((status = 200, body = [ImagePackage]), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    ListQuery(filters): ListQuery,
) -> ApiResult<Json<Vec<ImagePackage>>> {
    let reader = app.store.reader();
    let guest = guests::get(reader, caller.scope, GuestId(id), app.now()).await?;
    let packages = match guest_packages::of(reader, GuestId(guest.id)).await? {
        Some(reported) => images::filtered(reported.packages, &filters)?,
        None => images::packages(reader, ImageId(guest.image_id), &filters).await?,
    };
    Ok(Json(packages))
}

/// Takes down what a guest has installed.
#[utoipa::path(put, path = "/v1/guests/{id}/packages", tag = "guests", params(("id" = i64, Path)),
    request_body(content = String, content_type = "text/plain"),
    description = "Takes down what a guest has installed: its /var/lib/dpkg/status as it stands, at most 16 MiB. A guest says it with its own token; what it \
        says counts from then on, in place of what its image was made with.",
    responses((status = 200, body = GuestPackages), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 410, body = ErrorBody, description = "The guest is deleted"),
        (status = 413, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn report(
    State(app): State<App>,
    WriterOrMachine(caller): WriterOrMachine,
    Id(id): Id,
    request: Request,
) -> ApiResult<Json<GuestPackages>> {
    // Whoever may not say it is told so before all of it was read.
    guests::get(app.store.reader(), caller.scope, GuestId(id), app.now()).await?;
    let bytes = bodies::whole(request, &app).await?;
    let change = GuestPackagesReport::read(caller.scope, GuestId(id), &String::from_utf8_lossy(&bytes))
        .map_err(StoreError::from)?;
    drop(bytes);
    app.write(caller.actor, &change).await.map(Json).map_err(ApiError::from)
}

//! `/agent/captures/UUID`: what is on the disk of a guest that is placed on the host, and to be captured.

use super::Machine;
use crate::app::App;
use crate::http::{ApiError, ApiResult, Arguments, Exactly, Segment, not_added, pieces};
use crate::operations::{GuestCaptureEnd, ImageUploadProgress, ImageUploadRefuse, ImageUploadTouch};
use crate::uploads::AppendError;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use honcho_api::ImageUpload;
use honcho_images::BlobError;
use honcho_model::ImageUploadId;
use honcho_store::{Scope, image_uploads};
use honcho_wire::{CaptureEnd, CaptureState};
use serde::Deserialize;
use uuid::Uuid;

/// What people are told meanwhile.
const STAGE: &str = "read the disk";

async fn found(app: &App, machine: &Machine, uuid: &str) -> ApiResult<ImageUpload> {
    let unknown = || ApiError::not_found("capture");
    let uuid: Uuid = uuid.parse().map_err(|_| unknown())?;
    let found = image_uploads::captured_on(app.store.reader(), uuid, machine.id).await?;
    found.ok_or_else(unknown)
}

fn state(app: &App, upload: &ImageUpload) -> ApiResult<Json<CaptureState>> {
    let wanted = upload.status == "receiving";
    let received = if wanted { app.uploads.received(upload.uuid).map_err(BlobError::Write)? } else { 0 };
    Ok(Json(CaptureState { wanted, received }))
}

pub(super) async fn show(
    State(app): State<App>,
    machine: Machine,
    Segment(uuid): Segment,
) -> ApiResult<Json<CaptureState>> {
    state(&app, &found(&app, &machine, &uuid).await?)
}

/// Where the bytes in a body begin, and how far the disk has been read.
#[derive(Deserialize)]
pub(super) struct At {
    offset: u64,
    percent: u8,
}

pub(super) async fn content(
    State(app): State<App>,
    machine: Machine,
    Segment(uuid): Segment,
    Arguments(At { offset, percent }): Arguments<At>,
    body: Body,
) -> ApiResult<Json<CaptureState>> {
    let upload = found(&app, &machine, &uuid).await?;
    if upload.status != "receiving" {
        return state(&app, &upload);
    }
    let (id, largest) = (ImageUploadId(upload.id), app.uploads.largest);
    match app.uploads.append(upload.uuid, largest.0, offset, pieces(body)).await {
        Ok(()) => {
            app.write(machine.actor(), &ImageUploadTouch(id)).await?;
            let stage = STAGE.to_owned();
            app.write(machine.actor(), &ImageUploadProgress { id, stage, percent: percent.min(100) }).await?;
        }
        Err(AppendError::TooMuch) => {
            let problem = format!("what is on its disk has more than the {largest} that are taken here");
            app.write(machine.actor(), &ImageUploadRefuse { scope: Scope::System, id, problem }).await?;
        }
        Err(error) => return Err(not_added(&app, error).closing()),
    }
    state(&app, &found(&app, &machine, &uuid).await?)
}

pub(super) async fn end(
    State(app): State<App>,
    machine: Machine,
    Segment(uuid): Segment,
    Exactly(end): Exactly<CaptureEnd>,
) -> ApiResult<Json<CaptureState>> {
    let upload = found(&app, &machine, &uuid).await?;
    let received = app.uploads.received(upload.uuid).map_err(BlobError::Write)?;
    let change = GuestCaptureEnd { id: ImageUploadId(upload.id), received, end };
    let upload = app.write(machine.actor(), &change).await?;
    state(&app, &upload)
}

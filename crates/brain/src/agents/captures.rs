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
use honcho_model::{AccountId, Bytes, ImageUploadId};
use honcho_store::{Scope, image_uploads, quotas};
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

/// How much may come of a capture: what its account has left for images, besides what its other captures have come to.
async fn room_for(app: &App, upload: &ImageUpload) -> ApiResult<Bytes> {
    let (reader, most) = (app.store.reader(), app.uploads.largest);
    let Some(account) = upload.account_id.map(AccountId) else { return Ok(most) };
    let (_, limits) = quotas::limits(reader, account).await?;
    let Some(limit) = limits.images else { return Ok(most) };
    let used = quotas::used(reader, account).await?.images;
    let mut left = u64::try_from(limit.saturating_sub(used)).unwrap_or(0);
    let of_account = image_uploads::open().and("account_id", account);
    for other in image_uploads::list(reader, Scope::System, &of_account).await? {
        // How large it is stands in the books once it has come whole.
        if other.guest_id.is_some() && other.status == "receiving" && other.id != upload.id {
            left = left.saturating_sub(app.uploads.received(other.uuid).map_err(BlobError::Write)?);
        }
    }
    Ok(most.min(Bytes(left)))
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
    let id = ImageUploadId(upload.id);
    let largest = room_for(&app, &upload).await?;
    match app.uploads.append(upload.uuid, largest.0, offset, pieces(body)).await {
        Ok(()) => {
            app.write(machine.actor(), &ImageUploadTouch(id)).await?;
            let stage = STAGE.to_owned();
            app.write(machine.actor(), &ImageUploadProgress { id, stage, percent: percent.min(100) }).await?;
        }
        Err(AppendError::TooMuch) => {
            let whose = if largest < app.uploads.largest { "its account may have" } else { "are taken here" };
            let problem = format!("what is on its disk has more than the {largest} that {whose}");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::tests::World;
    use crate::operations::{AccountUpdate, GuestCapture, PowerAction};

    #[tokio::test]
    async fn what_comes_of_all_captures_of_an_account_stays_within_its_limit() {
        let world = World::new().await;
        let mut uploads = Vec::new();
        for name in ["one", "two"] {
            let guest = world.order(name).await;
            world.settle(guest.id).await;
            world.power(guest.id, PowerAction::Stop { hard: false }).await.unwrap();
            world.settle(guest.id).await;
            let (id, uuid) = (guest.id.into(), world.app.outside.uuid());
            let capture = GuestCapture { scope: Scope::System, id, uuid, name: Some(name.to_owned()) };
            uploads.push(world.ask(&capture).await.unwrap());
        }
        let room = async |at: usize| room_for(&world.app, &uploads[at]).await.ok().unwrap();
        assert_eq!(room(0).await, world.app.uploads.largest);
        let body = honcho_api::AccountCreate { limit_image_bytes: Some(Some(1000)), ..Default::default() };
        let id = AccountId(world.account.id);
        world.ask(&AccountUpdate { scope: Scope::Operator, id, body, lock_version: None }).await.unwrap();
        assert_eq!((room(0).await, room(1).await), (Bytes(1000), Bytes(1000)));
        let piece = axum::body::Bytes::from_static(&[7; 300]);
        let pieces = futures::stream::iter([Ok(piece)]);
        world.app.uploads.append(uploads[0].uuid, 1000, 0, pieces).await.unwrap();
        assert_eq!((room(0).await, room(1).await), (Bytes(1000), Bytes(700)));
    }
}

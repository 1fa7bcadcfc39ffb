//! `GET /agent/blobs/DIGEST`: a blob that the host's manifest names, and no other.

use super::Machine;
use crate::app::App;
use crate::http::{ApiError, ApiResult, Segment};
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use honcho_model::Digest;
use honcho_store::images;

pub(super) async fn blob(
    State(app): State<App>,
    machine: Machine,
    Segment(digest): Segment,
) -> ApiResult<Response> {
    let digest: Digest = digest.parse().map_err(|_| ApiError::not_found("blob"))?;
    if !images::is_wanted_on(app.store.reader(), digest, machine.id).await? {
        return Err(ApiError::not_found("blob"));
    }
    let blob = app.blobs.get(digest).await?;
    let headers = [(header::CONTENT_LENGTH, blob.size.to_string())];
    Ok((headers, Body::from_stream(blob.bytes)).into_response())
}

//! `POST /agent/streams/ID`: the agent's end of a console or log, by an HTTP/1.1 upgrade.

use super::Machine;
use crate::app::App;
use crate::http::{ApiError, ApiResult, Segment, streams};
use axum::extract::{Request, State};
use axum::http::{StatusCode, Version};
use axum::response::Response;
use uuid::Uuid;

pub(super) async fn stream(
    State(app): State<App>,
    machine: Machine,
    Segment(id): Segment,
    mut request: Request,
) -> ApiResult<Response> {
    if request.version() == Version::HTTP_2 {
        let text = "a stream is opened by HTTP/1.1's upgrade";
        return Err(ApiError::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", text));
    }
    let id = id.parse::<Uuid>().ok();
    let meet = id.and_then(|id| app.streams.meet(machine.id, id));
    let meet = meet.ok_or_else(|| ApiError::not_found("stream"))?;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            // Whoever waited may have left meanwhile; then the connection just closes.
            Ok(upgraded) => drop(meet.send(upgraded)),
            Err(error) => tracing::debug!(%error, "an agent's stream was not upgraded"),
        }
    });
    Ok(streams::switching())
}

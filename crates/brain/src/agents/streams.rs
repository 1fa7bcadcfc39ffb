//! `POST /agent/streams/ID`: the agent's end of a console or log, by an HTTP/1.1 upgrade.

use super::Machine;
use crate::app::App;
use crate::http::{ApiError, ApiResult, streams};
use axum::extract::{Path, Request, State};
use axum::response::Response;
use uuid::Uuid;

pub(super) async fn stream(
    State(app): State<App>,
    machine: Machine,
    Path(id): Path<Uuid>,
    mut request: Request,
) -> ApiResult<Response> {
    let meet = app.streams.meet(machine.id, id).ok_or_else(|| ApiError::not_found("stream"))?;
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

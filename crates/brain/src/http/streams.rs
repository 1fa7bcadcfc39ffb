//! `/v1/guests/ID/log` and `/v1/guests/ID/console`: bytes that an agent sends through us.

use super::error::{ApiError, ApiResult};
use super::extract::{Arguments, Caller, Id, WriterOrMachine};
use crate::app::App;
use crate::operations::GuestConsoleOpened;
use crate::streams::Place;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use honcho_api::ErrorBody;
use honcho_model::host::HostStatus;
use honcho_model::{GuestId, HostId};
use honcho_store::{Actor, Scope, guests, hosts};
use honcho_wire::StreamKind;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::time::Duration;
use tokio_util::io::ReaderStream;

/// How long an agent may take to come.
const ARRIVAL: Duration = Duration::from_secs(20);

/// The protocol name in `Upgrade`.
pub(crate) const UPGRADE: &str = "honcho-stream";

/// Asks the agent of a guest's host for a stream.
pub(crate) async fn open(app: &App, scope: Scope, id: i64, kind: StreamKind) -> ApiResult<Place> {
    let guest = guests::get(app.store.reader(), scope, GuestId(id), app.now()).await?;
    let host = guest.host_id.ok_or_else(|| ApiError::conflict("it has no host yet"))?;
    let host = hosts::get(app.store.reader(), HostId(host), app.now()).await?;
    if host.status != HostStatus::Up {
        let text = format!("its host is {}, so its console cannot be reached", host.status.as_str());
        return Err(ApiError::conflict(text));
    }
    if app.store.is_shared() {
        is_connected_here(app, HostId(host.id)).await?;
    }
    let place = app.streams.open(app.outside.uuid(), HostId(host.id), GuestId(id), kind);
    app.store.wakeups().wake_host(HostId(host.id));
    Ok(place)
}

/// Refuses if the host's agent asks another brain: bytes are handed over in this process.
async fn is_connected_here(app: &App, host: HostId) -> ApiResult<()> {
    // Between one poll and the next an agent is away for a moment.
    for _ in 0..20 {
        if app.store.wakeups().is_awaited(host) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(ApiError::conflict("its host's agent is connected to another brain of this database")
        .hint("ask the brain whose address the agent has (--brain of honcho-agent)"))
}

/// Waits until the agent has come.
pub(crate) async fn arrival(mut place: Place) -> ApiResult<Upgraded> {
    let late = || {
        ApiError::conflict("its host's agent did not open the console within 20 s")
            .hint("see whether the guest runs, and the agent's own log on the host")
    };
    match tokio::time::timeout(ARRIVAL, &mut place.arrival).await {
        Ok(Ok(upgraded)) => Ok(upgraded),
        Ok(Err(_)) | Err(_) => Err(late()),
    }
}

/// Writes down who sits at a guest's console. Somebody who has to look there is let in also when that fails: the disk that is full
/// may be ours.
pub(crate) async fn note_console(app: &App, actor: Actor, scope: Scope, id: i64) {
    if let Err(error) = app.write(actor, &GuestConsoleOpened { scope, id: GuestId(id) }).await {
        tracing::error!(%error, guest = id, "that a console was opened is not in the event log");
    }
}

/// How much of a log.
#[derive(Deserialize)]
pub(super) struct Log {
    tail: Option<u64>,
    follow: Option<bool>,
}

/// Reads a guest's console log.
#[utoipa::path(get, path = "/v1/guests/{id}/log", tag = "guests",
    params(("id" = i64, Path), ("tail" = Option<u64>, Query, description = "At most so many bytes; 65,536 when absent"),
        ("follow" = Option<bool>, Query, description = "Go on with what is printed from now on")),
    description = "What the guest's serial console printed, as it is. One that is followed is cut when the token that opened it ends.",
    responses((status = 200, content_type = "text/plain", body = String), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn log(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Arguments(log): Arguments<Log>,
) -> ApiResult<Response> {
    let kind = StreamKind::Log { tail: log.tail.unwrap_or(64 << 10), follow: log.follow == Some(true) };
    let place = open(&app, caller.scope, id, kind).await?;
    let upgraded = arrival(place).await?;
    // One that is cut says so: a whole log ends otherwise.
    let cut = caller.standing.ends(app);
    let cut = async {
        cut.await;
        Err(std::io::Error::other("the token that opened this is good no more"))
    };
    let bytes = ReaderStream::new(TokioIo::new(upgraded)).map(Some).chain(futures::stream::iter([None]));
    let ends = futures::stream::once(cut).map(Some);
    let both = futures::stream::select(bytes, ends);
    let body = Body::from_stream(
        both.take_while(|piece| std::future::ready(piece.is_some())).filter_map(std::future::ready),
    );
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response())
}

/// Opens a guest's console.
#[utoipa::path(get, path = "/v1/guests/{id}/console", tag = "guests", params(("id" = i64, Path)),
    description = "The serial console, both ways: an HTTP/1.1 upgrade to `honcho-stream`, then raw bytes. It ends with the token that opened it.",
    responses((status = 101, description = "Raw bytes follow"), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 426, body = ErrorBody)))]
pub(super) async fn console(
    State(app): State<App>,
    WriterOrMachine(caller): WriterOrMachine,
    Id(id): Id,
    mut request: Request,
) -> ApiResult<Response> {
    if request.headers().get(header::UPGRADE).is_none_or(|name| name != UPGRADE) {
        let text = "a console is reached by an upgrade to honcho-stream";
        return Err(ApiError::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", text));
    }
    let place = open(&app, caller.scope, id, StreamKind::Console).await?;
    let agent = arrival(place).await?;
    note_console(&app, caller.actor, caller.scope, id).await;
    let seat = app.streams.sit(GuestId(id), app.outside.uuid());
    let person = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // Whose console this was in a page is told that it is taken; here the agent ends the stream of whoever loses it.
        let _seat = seat;
        let joined = async {
            let person = person.await.map_err(std::io::Error::other)?;
            tokio::io::copy_bidirectional(&mut TokioIo::new(person), &mut TokioIo::new(agent)).await
        };
        tokio::select! {
            joined = joined => if let Err(error) = joined {
                tracing::debug!(%error, guest = id, "a console was cut");
            },
            () = caller.standing.ends(app) => {
                tracing::info!(guest = id, "a console ended with the token that opened it");
            }
        }
    });
    Ok(switching())
}

/// The answer that begins an upgrade.
pub(crate) fn switching() -> Response {
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(UPGRADE));
    response
}

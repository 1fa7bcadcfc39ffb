//! Bodies of requests: how long they may take, how large they may be, how much of them is held at a time.

use super::error::{ApiError, ApiResult};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Request};
use axum::http::{HeaderMap, StatusCode, header};
use futures::{Stream, StreamExt as _};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The largest body of people and programs that is no blob.
pub(super) const LARGEST: usize = 1 << 20;

/// The largest body that is read of somebody who has not shown who they are.
pub(crate) const LARGEST_OF_STRANGERS: usize = 16 << 10;

/// How long the whole of a body may take.
const WHOLE: Duration = Duration::from_secs(30);

/// How long may pass between two pieces of a blob, which is as large as it is.
const BETWEEN: Duration = Duration::from_secs(30);

/// What is held of bodies at a time is counted in pieces of this size; up to one piece is not counted.
const PIECE: usize = 64 << 10;

/// 64 MiB.
static PIECES: Semaphore = Semaphore::const_new(1024);

/// The most that one body takes of them: a report of an agent may have 16 MiB.
const MOST_PIECES: usize = 256;

fn too_slow(text: &str) -> ApiError {
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", text).closing()
}

/// Room for a body; `None` for one that needs none.
async fn room(headers: &HeaderMap) -> ApiResult<Option<SemaphorePermit<'static>>> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    // One that does not say how long it is may be as long as it may be.
    let length: usize =
        length.unwrap_or(if headers.contains_key(header::TRANSFER_ENCODING) { LARGEST } else { 0 });
    if length <= PIECE {
        return Ok(None);
    }
    let pieces = length.div_ceil(PIECE).min(MOST_PIECES);
    let busy = || {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many large bodies come at once")
            .hint("ask again in a moment")
    };
    let permit = PIECES.acquire_many(u32::try_from(pieces).unwrap_or(u32::MAX));
    match tokio::time::timeout(WHOLE, permit).await {
        Ok(Ok(permit)) => Ok(Some(permit)),
        Ok(Err(_)) | Err(_) => Err(busy().closing()),
    }
}

/// The bytes of a body, up to the route's limit.
pub(crate) async fn whole(request: Request, state: &(impl Send + Sync)) -> ApiResult<Bytes> {
    let _room = room(request.headers()).await?;
    let Ok(read) = tokio::time::timeout(WHOLE, Bytes::from_request(request, state)).await else {
        return Err(too_slow(&format!("the body did not come within {} s", WHOLE.as_secs())));
    };
    read.map_err(|error| {
        let code = if error.status() == StatusCode::PAYLOAD_TOO_LARGE { "too_large" } else { "bad_body" };
        ApiError::new(error.status(), code, error.body_text()).closing()
    })
}

/// The bytes of a body that is JSON, or says nothing of what it is.
pub(super) async fn json(request: Request, state: &(impl Send + Sync)) -> ApiResult<Bytes> {
    let kind = request.headers().get(header::CONTENT_TYPE).cloned();
    let bytes = whole(request, state).await?;
    let is_json = kind.is_none_or(|kind| kind.to_str().is_ok_and(is_json));
    if !is_json && !bytes.is_empty() {
        let text = "the body must be JSON, and its content-type application/json";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", text));
    }
    Ok(bytes)
}

fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The pieces of a blob, of which none may let us wait too long.
pub(crate) fn pieces(body: Body) -> impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin {
    let pieces = futures::stream::unfold(Some(body.into_data_stream()), |state| async move {
        let mut stream = state?;
        match tokio::time::timeout(BETWEEN, stream.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some(stream))),
            Ok(Some(Err(error))) => Some((Err(std::io::Error::other(error)), None)),
            Err(_) => Some((Err(std::io::ErrorKind::TimedOut.into()), None)),
        }
    });
    Box::pin(pieces)
}

/// How a blob is refused of which no more came.
pub(super) fn broke_off() -> ApiError {
    too_slow(&format!("nothing more of the blob came for {} s", BETWEEN.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_that_it_is() {
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
            assert!(is_json(good), "{good}");
        }
        for bad in ["", "text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonp"] {
            assert!(!is_json(bad), "{bad}");
        }
    }
}

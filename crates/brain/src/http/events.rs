//! `/v1/events`: the log, read from a cursor or followed.

use super::error::ApiResult;
use super::extract::{Caller, ListQuery};
use crate::app::App;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Sse, KeepAlive};
use futures::{Stream, StreamExt as _};
use honcho_api::{ErrorBody, Event};
use honcho_store::{Filters, StoreError, events};

/// How many events are read at a time while following.
const BATCH: i64 = 500;

/// Reads the event log.
#[utoipa::path(get, path = "/v1/events", tag = "events",
    params(("after" = Option<i64>, Query, description = "The cursor: only ids above this one"),
        ("limit" = Option<i64>, Query, description = "At most so many"),
        ("order" = Option<String>, Query, description = "`descending`: the newest first; `after` then means ids below it"),
        ("kind" = Option<String>, Query, description = "Filterable"), ("severity" = Option<String>, Query, description = "Filterable"),
        ("resource" = Option<String>, Query, description = "Filterable"), ("resource_id" = Option<i64>, Query, description = "Filterable"),
        ("account_id" = Option<i64>, Query, description = "Filterable")),
    responses((status = 200, body = [Event]), (status = 401, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    ListQuery(filters): ListQuery,
) -> ApiResult<Json<Vec<Event>>> {
    Ok(Json(events::list(app.store.reader(), caller.scope, &filters).await?))
}

/// Follows the event log.
#[utoipa::path(get, path = "/v1/events/stream", tag = "events",
    params(("after" = Option<i64>, Query, description = "The cursor; the header Last-Event-ID goes before it")),
    description = "Server-sent events: each event of the log, from the cursor on, and then as they come.",
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 401, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn stream(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ListQuery(mut filters): ListQuery,
) -> ApiResult<axum::response::Sse<impl Stream<Item = Result<Sse, StoreError>>>> {
    let resumed =
        headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|id| id.parse().ok());
    filters.after = resumed.or(filters.after).or(Some(0));
    filters.limit = Some(BATCH);
    filters.descending = false;
    filters.offset = None;
    let mut changes = app.store.wakeups().anything();
    changes.mark_unchanged();
    // A first read, so that a filter that is none is refused before the stream begins.
    events::list(app.store.reader(), caller.scope, &Filters { limit: Some(0), ..filters.clone() }).await?;
    let ending = app.ending.clone().cancelled_owned();
    let state = (app, caller, changes, filters, true);
    let batches =
        futures::stream::unfold(state, |(app, caller, mut changes, mut filters, at_once)| async move {
            if !at_once {
                changes.changed().await.ok()?;
            }
            let found = match events::list(app.store.reader(), caller.scope, &filters).await {
                Ok(found) => found,
                Err(error) => return Some((vec![Err(error)], (app, caller, changes, filters, false))),
            };
            filters.after = found.last().map(|event| event.id).or(filters.after);
            let more = i64::try_from(found.len()).is_ok_and(|n| n == BATCH);
            let told = found.iter().map(|event| {
                Ok(Sse::default().id(event.id.to_string()).json_data(event).unwrap_or_default())
            });
            Some((told.collect::<Vec<_>>(), (app, caller, changes, filters, more)))
        });
    let stream = batches.flat_map(futures::stream::iter).take_until(ending);
    Ok(axum::response::Sse::new(stream).keep_alive(KeepAlive::default()))
}

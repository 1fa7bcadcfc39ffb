//! `/v1/events`: the log, read from a cursor or followed.

use super::error::{ApiError, ApiResult};
use super::extract::{Caller, ListQuery};
use super::listing::listed;
use crate::app::App;
use crate::credentials::Standing;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::{Event as Sse, KeepAlive};
use futures::{Stream, StreamExt as _};
use honcho_api::{ErrorBody, Event};
use honcho_store::{Cursor, Filters, StoreError, events};
use std::time::Duration;

/// How many events are read at a time while following.
const BATCH: i64 = 500;

/// How soon to look again for events that are written and not to be told yet.
const HELD_BACK: Duration = Duration::from_millis(100);

/// Reads the event log.
#[utoipa::path(get, path = "/v1/events", tag = "events",
    params(("after" = Option<String>, Query, description = "A cursor, or the id of an event: only what came after it, and only as far as nothing can come in between any more"),
        ("limit" = Option<i64>, Query, description = "At most so many"),
        ("order" = Option<String>, Query, description = "`descending`: the newest first; `after` then means what came before it"),
        ("kind" = Option<String>, Query, description = "Filterable"), ("severity" = Option<String>, Query, description = "Filterable"),
        ("resource" = Option<String>, Query, description = "Filterable"), ("resource_id" = Option<i64>, Query, description = "Filterable"),
        ("account_id" = Option<i64>, Query, description = "Filterable")),
    responses((status = 200, body = [Event]), (status = 401, body = ErrorBody),
        (status = 410, body = ErrorBody, description = "The cursor is of an earlier life of this brain"),
        (status = 422, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let scope = caller.scope;
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { events::list(app.store.reader(), scope, &filters).await }
    };
    listed(filters, read).await
}

/// Follows the event log.
#[utoipa::path(get, path = "/v1/events/stream", tag = "events",
    params(("after" = Option<String>, Query, description = "A cursor or the id of an event; the header Last-Event-ID goes before it")),
    description = "Server-sent events: each event of the log, from the cursor on, and then as they come. The id of each is its cursor. It ends with the token that opened it.",
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 401, body = ErrorBody),
        (status = 410, body = ErrorBody, description = "The cursor is of an earlier life of this brain"),
        (status = 422, body = ErrorBody)))]
pub(super) async fn stream(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ListQuery(mut filters): ListQuery,
) -> ApiResult<axum::response::Sse<impl Stream<Item = Result<Sse, StoreError>>>> {
    if let Some(resumed) = headers.get("last-event-id") {
        resume(&mut filters, resumed.to_str().unwrap_or_default())?;
    }
    if filters.cursor.is_none() {
        filters.after = filters.after.or(Some(0));
    }
    filters.limit = Some(BATCH);
    filters.descending = false;
    filters.offset = None;
    let mut changes = app.store.wakeups().anything();
    changes.mark_unchanged();
    // A first read, so that a filter that is none is refused before the stream begins.
    events::list(app.store.reader(), caller.scope, &Filters { limit: Some(0), ..filters.clone() }).await?;
    let ending = followed_no_more(&app, caller.standing.clone());
    let state = (app, caller, changes, filters, true);
    let batches =
        futures::stream::unfold(state, |(app, caller, mut changes, mut filters, at_once)| async move {
            if !at_once && !wait(&app, &mut changes).await {
                return None;
            }
            let found = match events::list(app.store.reader(), caller.scope, &filters).await {
                Ok(found) => found,
                Err(error) => return Some((vec![Err(error)], (app, caller, changes, filters, false))),
            };
            // What happened after the secret ended is not told, however long it takes to notice its end.
            if !found.is_empty() {
                match caller.standing.holds(&app).await {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => return Some((vec![Err(error)], (app, caller, changes, filters, false))),
                }
            }
            if let Some(last) = found.last() {
                (filters.cursor, filters.after) = (last.cursor.parse().ok(), None);
            }
            let more = i64::try_from(found.len()).is_ok_and(|n| n == BATCH);
            let told = found
                .iter()
                .map(|event| Ok(Sse::default().id(&event.cursor).json_data(event).unwrap_or_default()));
            Some((told.collect::<Vec<_>>(), (app, caller, changes, filters, more)))
        });
    let stream = batches.flat_map(futures::stream::iter).take_until(ending);
    Ok(axum::response::Sse::new(stream).keep_alive(KeepAlive::default()))
}

/// Resolves when nothing may be followed any more: the secret that opened it is good no more, or the brain ends.
pub(crate) fn followed_no_more(app: &App, standing: Standing) -> impl Future<Output = ()> + Send + use<> {
    let (ending, app) = (app.ending.clone().cancelled_owned(), app.clone());
    Box::pin(async move {
        tokio::select! {
            () = ending => {}
            () = standing.ends(app) => {}
        }
    })
}

/// Goes on where a client says that it stands.
fn resume(filters: &mut Filters, last_event_id: &str) -> ApiResult<()> {
    (filters.cursor, filters.after) = match (last_event_id.parse::<Cursor>(), last_event_id.parse::<i64>()) {
        (Ok(cursor), _) => (Some(cursor), None),
        (Err(_), Ok(id)) if id >= 0 => (None, Some(id)),
        _ => return Err(ApiError::invalid("after", "is no cursor and no id (it came as Last-Event-ID)")),
    };
    Ok(())
}

/// Waits until there may be more to tell; `false` when there never will be. What is held back behind somebody's open
/// transaction may be let go without any commit that would wake us.
async fn wait(app: &App, changes: &mut tokio::sync::watch::Receiver<()>) -> bool {
    match events::is_held_back(app.store.reader()).await {
        Ok(false) => changes.changed().await.is_ok(),
        Ok(true) | Err(_) => !matches!(tokio::time::timeout(HELD_BACK, changes.changed()).await, Ok(Err(_))),
    }
}

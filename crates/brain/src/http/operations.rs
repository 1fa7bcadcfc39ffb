//! `/v1/operations`.

use super::error::ApiResult;
use super::events::followed_no_more;
use super::extract::{Caller, Id, ListQuery, Writer};
use super::listing::listed;
use crate::app::App;
use crate::operations::OperationAbandon;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::response::sse::{Event as Sse, KeepAlive};
use futures::{Stream, StreamExt as _};
use honcho_api::{ErrorBody, Operation};
use honcho_model::OperationId;
use honcho_model::operation::OperationState;
use honcho_store::{Filters, StoreError, operations};

/// Lists operations.
#[utoipa::path(get, path = "/v1/operations", tag = "operations",
    params(("guest_id" = Option<i64>, Query, description = "Filterable"), ("state" = Option<String>, Query, description = "Filterable"),
        ("kind" = Option<String>, Query, description = "Filterable"), ("account_id" = Option<i64>, Query, description = "Filterable")),
    responses((status = 200, body = [Operation]), (status = 401, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let scope = caller.scope;
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { operations::list(app.store.reader(), scope, &filters).await }
    };
    listed(filters, read).await
}

/// Shows an operation.
#[utoipa::path(get, path = "/v1/operations/{id}", tag = "operations", params(("id" = i64, Path)),
    responses((status = 200, body = Operation), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> ApiResult<Json<Operation>> {
    Ok(Json(operations::get(app.store.reader(), caller.scope, OperationId(id)).await?))
}

/// Follows an operation.
#[utoipa::path(get, path = "/v1/operations/{id}/stream", tag = "operations", params(("id" = i64, Path)),
    description = "Server-sent events: the operation whenever it changes, until it has ended, or the token that opened the stream.",
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn stream(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> ApiResult<axum::response::Sse<impl Stream<Item = Result<Sse, StoreError>>>> {
    let mut changes = app.store.wakeups().anything();
    changes.mark_unchanged();
    let first = operations::get(app.store.reader(), caller.scope, OperationId(id)).await?;
    let ending = followed_no_more(&app, caller.standing.clone());
    let state = (app, caller, changes, Some(first), None::<Operation>);
    let stream =
        futures::stream::unfold(state, move |(app, caller, mut changes, next, mut last)| async move {
            if last.as_ref().is_some_and(|last| last.state != OperationState::Open) {
                return None;
            }
            let mut next = next;
            loop {
                let current = if let Some(first) = next.take() {
                    first
                } else {
                    changes.changed().await.ok()?;
                    let read = operations::get(app.store.reader(), caller.scope, OperationId(id)).await;
                    // What came of it after the secret ended is not told.
                    match (read, caller.standing.holds(&app).await) {
                        (Ok(current), Ok(true)) => current,
                        (Ok(_), Ok(false)) => return None,
                        (Err(error), _) | (_, Err(error)) => {
                            return Some((Err(error), (app, caller, changes, None, last)));
                        }
                    }
                };
                if last.as_ref() != Some(&current) {
                    let event = Sse::default().json_data(&current).unwrap_or_default();
                    last = Some(current);
                    return Some((Ok(event), (app, caller, changes, None, last)));
                }
            }
        });
    Ok(axum::response::Sse::new(stream.take_until(ending)).keep_alive(KeepAlive::default()))
}

async fn given_up(app: App, caller: Writer, id: i64) -> ApiResult<(StatusCode, Json<Operation>)> {
    let change = OperationAbandon { scope: caller.scope, id: OperationId(id), rules: app.rules };
    Ok((StatusCode::ACCEPTED, Json(app.write(caller.actor, &change).await?)))
}

/// Gives up on an operation.
#[utoipa::path(put, path = "/v1/operations/{id}/abandon", tag = "operations", params(("id" = i64, Path)),
    description = "From then on what was last seen is what is desired, so that nothing more is tried until something else is asked for. \
        A guest that was not made is not made; one that is off stays off; one that runs runs on. Deleting, cancelling and suspending \
        are not given up (409).",
    responses((status = 202, body = Operation), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody)))]
pub(super) async fn abandon(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
) -> ApiResult<(StatusCode, Json<Operation>)> {
    given_up(app, caller, id).await
}

/// Gives up on an operation.
#[utoipa::path(post, path = "/v1/operations/{id}/abandon", tag = "operations", params(("id" = i64, Path)),
    responses((status = 202, body = Operation), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody)))]
pub(super) async fn abandon_by_post(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
) -> ApiResult<(StatusCode, Json<Operation>)> {
    given_up(app, caller, id).await
}

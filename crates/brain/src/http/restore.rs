//! `/v1/restore`: what a restored brain's agents report, and accepting it. Operators only.

use super::error::{ApiError, ApiResult};
use super::extract::{Arguments, Caller, Operator};
use crate::app::App;
use crate::operations::{RestoreAccept, restore_show};
use crate::reviewing::Missing;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use honcho_api::{ErrorBody, Restore};
use honcho_store::restoring;
use serde::Deserialize;
use std::sync::atomic::Ordering;

/// Shows how the brain's present life began, and what its agents report that the backup does not say.
#[utoipa::path(get, path = "/v1/restore", tag = "restore",
    responses((status = 200, body = Restore), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, _: Operator) -> ApiResult<Json<Restore>> {
    let snapshot = app.store.snapshot().await?;
    Ok(Json(restore_show(&snapshot).await?))
}

#[derive(Deserialize)]
pub(super) struct AcceptArguments {
    without: Option<String>,
    forget_missing: Option<bool>,
}

async fn change(app: App, caller: Caller, arguments: AcceptArguments) -> ApiResult<Json<Restore>> {
    let words = arguments.without.unwrap_or_default();
    let words = words.split(',').map(str::trim).filter(|word| !word.is_empty());
    let missing = if arguments.forget_missing == Some(true) { Missing::Forgotten } else { Missing::Kept };
    let change = RestoreAccept { scope: caller.scope, without: words.map(str::to_owned).collect(), missing };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Accepts what agents reported after a restore.
#[utoipa::path(put, path = "/v1/restore/accept", tag = "restore",
    description = "Raises ids, generations, epochs and counters above all that was reported, writes guests down again that \
        were ordered after the backup, and lets hosts be changed again. Refused while a host has not reported that is not left out.",
    params(("without" = Option<String>, Query, description = "Names or ids of hosts that are left as they are, with commas between them"),
        ("forget_missing" = Option<bool>, Query, description = "Deletes guests that were deleted after the backup and whose disks are gone")),
    responses((status = 200, body = Restore), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn accept(
    State(app): State<App>,
    Operator(caller): Operator,
    Arguments(arguments): Arguments<AcceptArguments>,
) -> ApiResult<Json<Restore>> {
    change(app, caller, arguments).await
}

/// Accepts what agents reported after a restore.
#[utoipa::path(post, path = "/v1/restore/accept", tag = "restore",
    params(("without" = Option<String>, Query), ("forget_missing" = Option<bool>, Query)),
    responses((status = 200, body = Restore), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn accept_by_post(
    State(app): State<App>,
    Operator(caller): Operator,
    Arguments(arguments): Arguments<AcceptArguments>,
) -> ApiResult<Json<Restore>> {
    change(app, caller, arguments).await
}

/// What may be changed although nobody has accepted the present life: who is let in, which agents are, and blobs.
fn is_harmless(method: &Method, path: &str) -> bool {
    let begins =
        |with: &str| path.strip_prefix(with).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
        || [
            "/v1/restore",
            "/v1/sessions",
            "/v1/tokens",
            "/v1/people",
            "/v1/join",
            "/v1/blobs",
            "/v1/webhooks",
        ]
        .into_iter()
        .any(begins)
        || (begins("/v1/hosts") && path.ends_with("/rejoin"))
        || !begins("/v1")
}

/// Refuses orders while the brain is restored and not accepted.
pub(super) async fn refuse_orders(State(app): State<App>, request: Request, next: Next) -> Response {
    if !is_harmless(request.method(), request.uri().path())
        && let Err(error) = refuse_unaccepted(&app).await
    {
        return error.into_response();
    }
    next.run(request).await
}

/// Refuses while the brain is restored and not accepted.
pub(crate) async fn refuse_unaccepted(app: &App) -> ApiResult<()> {
    if app.accepted.load(Ordering::Relaxed) {
        return Ok(());
    }
    if restoring::life(app.store.reader()).await?.is_unaccepted() {
        let text =
            "the brain was restored from a backup, and nothing is changed until an operator has accepted it";
        let hint = "\"honcho restore status\" shows what differs, \"honcho restore accept\" accepts it";
        return Err(ApiError::new(StatusCode::CONFLICT, "unaccepted", text).hint(hint));
    }
    // Once it is accepted it stays so as long as this process lives.
    app.accepted.store(true, Ordering::Relaxed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_wait_and_keys_do_not() {
        for (method, path, harmless) in [
            (Method::GET, "/v1/guests", true),
            (Method::POST, "/v1/guests", false),
            (Method::DELETE, "/v1/guests/7", false),
            (Method::PUT, "/v1/hosts/7", false),
            (Method::PUT, "/v1/hosts/7/rejoin", true),
            (Method::PUT, "/v1/restore/accept", true),
            (Method::POST, "/v1/restorexyz", false),
            (Method::DELETE, "/v1/tokens/7", true),
            (Method::POST, "/v1/join", true),
            (Method::POST, "/v1/accounts", false),
        ] {
            assert_eq!(is_harmless(&method, path), harmless, "{method} {path}");
        }
    }
}

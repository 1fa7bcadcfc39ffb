//! `/healthz`, `/readyz`, `/metrics`: for those who watch the brain. Not under `/v1`, and not in its document.

use super::error::{ApiError, ApiResult};
use super::extract::{Operator, token};
use crate::app::{App, hash_secret};
use crate::watching::scrape;
use axum::Json;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::time::Duration;

/// How long the database may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether this process lives: it answers. The database is not asked, for another process would not mend it.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// What has to be so before requests are sent here.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    /// `ok`, or what is wrong.
    database: String,
    /// `ok`, or `the brain is ending`.
    process: &'static str,
}

/// Whether requests may be sent here: the database answers and holds the schema of this program, and the brain is not
/// about to end.
pub(super) async fn readyz(State(app): State<App>) -> Response {
    let database = match tokio::time::timeout(PATIENCE, app.store.check()).await {
        Ok(Ok(())) => "ok".to_owned(),
        Ok(Err(error)) => {
            // Strangers are told which check failed; what the database said may name its place.
            tracing::warn!(%error, "not ready: the database");
            match error {
                honcho_store::StoreError::Newer(_) => "its schema is newer than this program".to_owned(),
                honcho_store::StoreError::Damaged { .. } => "its schema is not this program's".to_owned(),
                _ => "it does not answer".to_owned(),
            }
        }
        Err(_) => format!("it did not answer within {} s", PATIENCE.as_secs()),
    };
    let process = if app.ending.is_cancelled() { "the brain is ending" } else { "ok" };
    let ready = database == "ok" && process == "ok";
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Readiness { ready, database, process })).into_response()
}

/// Everything that is counted, for Prometheus: for operators, and for who shows the secret in DATA/metrics.token.
pub(super) async fn metrics(State(app): State<App>, request: Request) -> ApiResult<Response> {
    let (mut parts, _) = request.into_parts();
    let shown = token(&parts.headers).ok_or_else(ApiError::unauthorized)?;
    // Hashes are compared: how long that takes says nothing about the secret.
    if hash_secret(&shown) != *app.metrics_token_hash {
        Operator::from_request_parts(&mut parts, &app).await?;
    }
    let text = scrape(&app).await;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text.to_string()).into_response())
}

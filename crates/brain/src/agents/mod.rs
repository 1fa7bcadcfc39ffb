//! What agents are served, over mutual TLS and nothing else.
//!
//! A machine does only what its own certificate entitles it to: it reads its own manifest, reports on itself, fetches
//! blobs that its manifest names, and meets streams that were opened for it.

mod blobs;
mod manifest;
mod renew;
mod report;
mod streams;

use crate::app::App;
use crate::http::{ApiError, ApiResult};
use crate::operations::HostUseCertificate;
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{get, post};
use honcho_model::HostId;
use honcho_store::{Actor, hosts};

/// The largest report; one guest takes about 600 bytes in it.
const REPORT_LIMIT: usize = 16 << 20;

/// The fingerprint of the certificate that a connection showed; put into every request by the listener.
#[derive(Clone, Debug)]
pub(crate) struct PeerCertificate(pub(crate) String);

/// The host whose certificate was shown.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) id: HostId,
    pub(crate) name: String,
    /// Of the certificate that it showed.
    pub(crate) fingerprint: String,
}

fn refused() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "certificate_refused",
        "this certificate is revoked or not of this brain",
    )
    .hint("an operator makes a new join token with \"honcho host rejoin NAME\"")
}

impl Machine {
    /// Refuses if the certificate was revoked since the request came: a poll is held for long, and a report may wait.
    async fn still_proven(&self, connection: &impl honcho_store::Connection) -> ApiResult<()> {
        match hosts::by_certificate(connection, &self.fingerprint).await? {
            Some(proven) if proven.id == self.id => Ok(()),
            _ => Err(refused()),
        }
    }

    fn actor(&self) -> Actor {
        Actor { who: format!("host:{} ({})", self.id, self.name), source: None }
    }
}

impl FromRequestParts<App> for Machine {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        let PeerCertificate(fingerprint) = parts.extensions.get().cloned().ok_or_else(refused)?;
        let proven = hosts::by_certificate(app.store.reader(), &fingerprint).await?.ok_or_else(refused)?;
        let machine = Machine { id: proven.id, name: proven.name, fingerprint };
        if proven.first_use {
            let change = HostUseCertificate { id: machine.id, shown: machine.fingerprint.clone() };
            if !app.write(machine.actor(), &change).await? {
                return Err(refused());
            }
        }
        app.liveness.heard(machine.id, app.now());
        Ok(machine)
    }
}

/// The agents' routes.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/agent/manifest", get(manifest::manifest))
        .route("/agent/report", post(report::report))
        .route("/agent/blobs/{digest}", get(blobs::blob))
        .route("/agent/renew", post(renew::renew))
        .route("/agent/streams/{id}", post(streams::stream))
        .fallback(|| async { ApiError::not_found("route") })
        .layer(DefaultBodyLimit::max(REPORT_LIMIT))
        .layer(axum::middleware::from_fn_with_state(app.clone(), crate::http::machine_request))
        .with_state(app)
}

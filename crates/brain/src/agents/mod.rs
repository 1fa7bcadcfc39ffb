//! What agents are served, over mutual TLS and nothing else.
//!
//! A machine does only what its own certificate entitles it to: it reads its own manifest, reports on itself, fetches
//! blobs that its manifest names, sends what is on the disks that it is to read, and meets streams that were opened for it.

mod blobs;
mod captures;
mod double;
mod load;
mod manifest;
mod renew;
mod report;
mod streams;

use crate::app::App;
use crate::http::{ApiError, ApiResult};
use crate::operations::{HostFreeze, HostUseCertificate};
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{get, post, put};
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

/// A certificate was shown: by the machine that joined with it, or by another one.
pub(super) enum Shown {
    /// By the one that joined.
    Rightly(Machine),
    /// By another: the host is frozen now. It may read in its manifest that it is, and do nothing else.
    ByAnother(Machine, String),
}

impl FromRequestParts<App> for Machine {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        match Shown::from_request_parts(parts, app).await? {
            Shown::Rightly(machine) => Ok(machine),
            Shown::ByAnother(machine, difference) => {
                let text =
                    format!("this is not the machine that joined as host {}: {difference}", machine.name);
                let hint = format!(
                    "if it is to be that host from now on, an operator makes a new join token with \"honcho host rejoin \
                     {}\"; if its disk was cloned, delete the agent's data directory here",
                    machine.name
                );
                Err(ApiError::new(StatusCode::FORBIDDEN, "another_machine", text).hint(hint))
            }
        }
    }
}

impl FromRequestParts<App> for Shown {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        let PeerCertificate(fingerprint) = parts.extensions.get().cloned().ok_or_else(refused)?;
        let proven = hosts::by_certificate(app.store.reader(), &fingerprint).await?.ok_or_else(refused)?;
        let difference = double::difference(&proven, &parts.headers);
        let machine = Machine { id: proven.id, name: proven.name, fingerprint };
        if let Some(difference) = difference {
            if !proven.frozen {
                freeze_for_another(app, &machine, &difference).await?;
            }
            return Ok(Shown::ByAnother(machine, difference));
        }
        if proven.first_use {
            let change = HostUseCertificate { id: machine.id, shown: machine.fingerprint.clone() };
            if !app.write(machine.actor(), &change).await? {
                return Err(refused());
            }
        }
        app.liveness.heard(machine.id, app.now());
        Ok(Shown::Rightly(machine))
    }
}

async fn freeze_for_another(app: &App, machine: &Machine, difference: &str) -> ApiResult<()> {
    let reason = format!(
        "another machine uses its certificate ({difference}): was its disk cloned, or put into another machine? Nothing \
         starts or is deleted on it until it has joined anew (honcho host rejoin {})",
        machine.name
    );
    let (name, certificate) = (machine.name.clone(), machine.fingerprint.clone());
    let change = HostFreeze { id: machine.id, name, certificate, reason };
    Ok(app.write(machine.actor(), &change).await?)
}

/// The agents' routes.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/agent/manifest", get(manifest::manifest))
        .route("/agent/report", post(report::report))
        .route("/agent/load", post(load::load))
        .route("/agent/blobs/{digest}", get(blobs::blob))
        .route("/agent/captures/{uuid}", get(captures::show).post(captures::end))
        .route("/agent/captures/{uuid}/content", put(captures::content))
        .route("/agent/renew", post(renew::renew))
        .route("/agent/streams/{id}", post(streams::stream))
        .fallback(|| async { ApiError::not_found("route") })
        .layer(DefaultBodyLimit::max(REPORT_LIMIT))
        .layer(axum::middleware::from_fn_with_state(app.clone(), crate::http::machine_request))
        .with_state(app)
}

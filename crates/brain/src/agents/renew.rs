//! `POST /agent/renew`: a new certificate for the same host. The old one stays good until the new one is first used.

use super::Machine;
use crate::app::App;
use crate::http::{ApiError, ApiResult};
use crate::operations::HostRenew;
use axum::Json;
use axum::extract::State;
use honcho_wire::{RenewAnswer, RenewRequest};

pub(super) async fn renew(
    State(app): State<App>,
    machine: Machine,
    Json(request): Json<RenewRequest>,
) -> ApiResult<Json<RenewAnswer>> {
    let certificate = app
        .authority
        .certify_host(&request.certificate_request, machine.id, crate::serve::date(app.now()))
        .map_err(|error| ApiError::invalid("certificate_request", format!("cannot be used: {error}")))?;
    let change = HostRenew { id: machine.id, fingerprint: certificate.fingerprint, first_use: false };
    app.write(machine.actor(), &change).await?;
    Ok(Json(RenewAnswer { certificate: certificate.pem }))
}

//! `POST /agent/renew`: a new certificate for the same host. The old one stays good until the new one is first used.

use super::{Machine, refused};
use crate::app::App;
use crate::http::{ApiError, ApiResult, Exactly};
use crate::operations::HostRenewCertificate;
use axum::Json;
use axum::extract::State;
use honcho_wire::{RenewAnswer, RenewRequest};

pub(super) async fn renew(
    State(app): State<App>,
    machine: Machine,
    Exactly(request): Exactly<RenewRequest>,
) -> ApiResult<Json<RenewAnswer>> {
    let certificate = app
        .authority
        .certify_host(&request.certificate_request, machine.id, crate::serve::date(app.now()))
        .map_err(|error| ApiError::invalid("certificate_request", format!("cannot be used: {error}")))?;
    let (shown, next) = (machine.fingerprint.clone(), certificate.fingerprint);
    let change = HostRenewCertificate { id: machine.id, shown, next };
    if !app.write(machine.actor(), &change).await? {
        return Err(refused());
    }
    Ok(Json(RenewAnswer { certificate: certificate.pem }))
}

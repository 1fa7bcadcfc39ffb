//! `/v1/join`: a machine becomes a host. Shows no token of a person, but a join token in its body.

use super::error::{ApiError, ApiResult};
use super::extract::Peer;
use super::json::Exactly;
use crate::app::App;
use crate::operations::{HostJoin, JoinToken};
use axum::extract::State;
use axum::{Extension, Json};
use honcho_store::Actor;
use honcho_wire::{JoinAnswer, JoinRequest};

pub(super) async fn join(
    State(app): State<App>,
    peer: Option<Extension<Peer>>,
    Exactly(request): Exactly<JoinRequest>,
) -> ApiResult<Json<JoinAnswer>> {
    let refused = || {
        ApiError::new(
            axum::http::StatusCode::FORBIDDEN,
            "join_refused",
            "this join token is good for nothing",
        )
        .hint("it works once and for a day: make a new one with \"honcho host rejoin NAME\"")
    };
    let token = JoinToken::parse(&request.token).ok_or_else(refused)?;
    let host = token.host;
    let certificate = app
        .authority
        .certify_host(&request.certificate_request, host, crate::serve::date(app.now()))
        .map_err(|error| ApiError::invalid("certificate_request", format!("cannot be used: {error}")))?;
    let actor =
        Actor { who: format!("host:{host}"), source: peer.map(|Extension(peer)| peer.0.ip().to_string()) };
    let short =
        |text: Option<String>| text.filter(|text| text.len() <= 128 && !text.chars().any(char::is_control));
    let change = HostJoin {
        token,
        fingerprint: certificate.fingerprint,
        dmi_uuid: short(request.dmi_uuid),
        machine_id: short(request.machine_id),
    };
    let host_name = app.write(actor, &change).await?.ok_or_else(refused)?;
    app.runs.forget(host);
    let brain = honcho_store::brain::get(app.store.reader()).await?;
    let brain = brain.ok_or_else(|| ApiError::conflict("this brain has no identity yet"))?;
    Ok(Json(JoinAnswer {
        host_id: host,
        host_name,
        brain: brain.uuid,
        certificate: certificate.pem,
        ca_certificate: app.authority.certificate_pem().to_owned(),
        agents_address: app.agents_address.to_string(),
    }))
}

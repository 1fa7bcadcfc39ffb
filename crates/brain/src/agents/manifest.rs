//! `GET /agent/manifest?after=INCARNATION,GENERATION`: held until there is something newer.

use super::{Machine, Shown};
use crate::app::App;
use crate::http::{ApiError, ApiResult};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use honcho_model::{Generation, Incarnation};
use honcho_store::{hosts, manifests};
use honcho_wire::{Manifest, ManifestAnswer, PROTOCOL};
use serde::Deserialize;
use std::time::Duration;

/// How long the answer is held, give or take a fifth, so that agents that came together do not come together ever after.
/// They give up at 45 s.
const HOLD: Duration = Duration::from_secs(25);

#[derive(Deserialize)]
pub(super) struct After {
    after: Option<String>,
}

impl After {
    fn parse(&self) -> Option<(Incarnation, Generation)> {
        let (incarnation, generation) = self.after.as_deref()?.split_once(',')?;
        Some((incarnation.parse().ok()?, generation.parse().ok()?))
    }
}

pub(super) async fn manifest(
    State(app): State<App>,
    shown: Shown,
    Query(query): Query<After>,
    headers: HeaderMap,
) -> ApiResult<Json<ManifestAnswer>> {
    let protocol = headers
        .get("honcho-protocol")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    if protocol != Some(PROTOCOL) {
        let text = format!("speaks protocol {protocol:?}, and this brain speaks {PROTOCOL}");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "protocol", text)
            .hint("bring agent and brain to one version"));
    }
    let (machine, is_double) = match shown {
        Shown::Rightly(machine) => (machine, false),
        Shown::ByAnother(machine, _) => (machine, true),
    };
    // Registered before the first read: what happens in between wakes us.
    let mut changes = app.store.wakeups().host(machine.id);
    changes.mark_unchanged();
    let known = query.parse();
    let deadline = tokio::time::Instant::now() + app.outside.about(HOLD);
    loop {
        // Whoever waits for a guest's console waits for the right machine's.
        let streams = if is_double { Vec::new() } else { app.streams.tell(machine.id) };
        let manifest = newer(&app, &machine, known).await?;
        if manifest.is_some() || !streams.is_empty() {
            return Ok(Json(ManifestAnswer { manifest, streams }));
        }
        let woken = tokio::select! {
            woken = tokio::time::timeout_at(deadline, changes.changed()) => woken.is_ok(),
            () = app.ending.cancelled() => false,
        };
        if !woken {
            return Ok(Json(ManifestAnswer { manifest: None, streams: Vec::new() }));
        }
    }
}

/// The manifest, if it is newer than what the agent has. It is rendered only then.
async fn newer(
    app: &App,
    machine: &Machine,
    known: Option<(Incarnation, Generation)>,
) -> ApiResult<Option<Manifest>> {
    if let Some((incarnation, generation)) = known {
        let current = hosts::version(app.store.reader(), machine.id).await?;
        if current.is_some_and(|(life, current)| life == incarnation && current <= generation) {
            return Ok(None);
        }
    }
    let snapshot = app.store.snapshot().await?;
    machine.still_proven(&snapshot).await?;
    let manifest = manifests::render(&snapshot, machine.id).await?;
    // A snapshot that only read has nothing to lose; what its end says does not change what was read.
    drop(snapshot);
    Ok(manifest)
}

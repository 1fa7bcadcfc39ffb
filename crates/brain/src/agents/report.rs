//! `POST /agent/report`: what the agent saw.

use super::Machine;
use crate::app::App;
use crate::http::{ApiError, ApiResult, Exactly};
use crate::operations::{HostFreeze, HostReport};
use crate::runs::Speaks;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use honcho_store::reports::{self, ApplyReport};
use honcho_wire::{PROTOCOL, Report, ReportAnswer};
use uuid::Uuid;

pub(super) async fn report(
    State(app): State<App>,
    machine: Machine,
    Exactly(report): Exactly<Report>,
) -> ApiResult<Json<ReportAnswer>> {
    if report.protocol != PROTOCOL {
        let text = format!("speaks protocol {}, and this brain speaks {PROTOCOL}", report.protocol);
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "protocol", text)
            .hint("bring agent and brain to one version"));
    }
    if !rightly(&app, &machine, report.run_id).await? {
        return Ok(Json(ReportAnswer::Stale));
    }
    if let Some(load) = report.load {
        app.liveness.is_busy(machine.id, load, app.now());
    }
    // A heartbeat that says what is known writes nothing: liveness goes by batches.
    if report.observation.is_none() && is_held(&app, &machine, &report).await? {
        return Ok(Json(ReportAnswer::Applied));
    }
    let (run, digest) = (report.run_id, report.digest.clone());
    let report = ApplyReport { host: machine.id, host_name: machine.name.clone(), report };
    let change = HostReport { certificate: machine.fingerprint.clone(), report };
    let answer = app.write(machine.actor(), &change).await?;
    if answer == ReportAnswer::Applied {
        app.runs.holds(machine.id, run, &digest);
    }
    Ok(Json(answer))
}

/// Whether a run speaks for its host. Where two do, the host is frozen.
pub(super) async fn rightly(app: &App, machine: &Machine, run: Uuid) -> ApiResult<bool> {
    match app.runs.speaks(machine.id, run, app.now()) {
        Speaks::Rightly => Ok(true),
        Speaks::Late => Ok(false),
        Speaks::Doubly(other) => {
            let reason = format!(
                "two agents use its certificate (runs {other} and {run}): was its disk cloned? Nothing starts or is deleted \
                 on it until it has joined anew (honcho host rejoin {})",
                machine.name
            );
            let (name, certificate) = (machine.name.clone(), machine.fingerprint.clone());
            let change = HostFreeze { id: machine.id, name, certificate, reason };
            app.write(machine.actor(), &change).await?;
            Ok(false)
        }
    }
}

/// Whether the store holds what a heartbeat speaks of. What this process remembers of that is enough, unless another brain may
/// have been told something newer; what it does not remember it looks up, for after its own start every agent comes at once.
async fn is_held(app: &App, machine: &Machine, report: &Report) -> ApiResult<bool> {
    let remembered = app.runs.is_held(machine.id, report.run_id, &report.digest);
    if remembered && !app.store.is_shared() {
        return Ok(true);
    }
    let held = reports::holds(app.store.reader(), machine.id, report).await?;
    if held && !remembered {
        app.runs.holds(machine.id, report.run_id, &report.digest);
    }
    Ok(held)
}

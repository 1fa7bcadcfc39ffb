//! `POST /agent/load`: what guests and the machine took.

use super::Machine;
use super::report::rightly;
use crate::app::App;
use crate::http::{ApiResult, Exactly};
use axum::Json;
use axum::extract::State;
use honcho_store::load::kept;
use honcho_wire::{LoadAnswer, LoadReport};

pub(super) async fn load(
    State(app): State<App>,
    machine: Machine,
    Exactly(report): Exactly<LoadReport>,
) -> ApiResult<Json<LoadAnswer>> {
    if !rightly(&app, &machine, report.run_id).await? {
        return Ok(Json(LoadAnswer { kept: 0 }));
    }
    let kept = kept(app.store.reader(), machine.id, report.run_id).await?;
    app.loads.hear(machine.id, report, kept, app.now());
    Ok(Json(LoadAnswer { kept }))
}

//! What can be done with a guest: each is the operation that the API has.

use super::failure::PanelResult;
use super::fields::Fields;
use super::guest::{SizeForm, shown_with};
use super::problems::{Problems, sentence};
use super::shell::{Flash, go};
use super::visitor::{Guarded, PageId};
use crate::app::App;
use crate::http::{ApiError, ApiResult};
use crate::operations::{
    GuestCancel, GuestPower, GuestRestore, GuestUpdate, OperationAbandon, PowerAction, Restart,
};
use axum::extract::State;
use axum::response::Response;
use honcho_api::Operation;
use honcho_model::load::Span;
use honcho_model::{GuestId, OperationId};

/// Back to the guest's page, which says what came of it. What is no matter of this guest's state is a page of its own.
fn answered(guarded: &Guarded, id: i64, done: ApiResult<String>) -> PanelResult<Response> {
    let flash = match done {
        Ok(text) => Flash::done(text),
        Err(error) if matches!(error.status().as_u16(), 409 | 422) => Flash::failed(sentence(&error)),
        Err(error) => return Err(error.into()),
    };
    Ok(go(&format!("/guests/{id}"), Some(flash), guarded.visit.transport))
}

async fn power(app: &App, guarded: &Guarded, id: i64, action: PowerAction) -> ApiResult<Operation> {
    let writer = guarded.visitor.writer()?;
    let change = GuestPower { scope: writer.scope, id: GuestId(id), action, rules: app.rules };
    Ok(app.write(writer.actor, &change).await?)
}

/// Starts it.
pub(super) async fn start(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
) -> PanelResult<Response> {
    let done = power(&app, &guarded, id, PowerAction::Start).await;
    answered(&guarded, id, done.map(|done| format!("{} is being started.", done.guest_name)))
}

/// Stops it; with `hard` at once.
pub(super) async fn stop(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    fields: Fields,
) -> PanelResult<Response> {
    let done = power(&app, &guarded, id, PowerAction::Stop { hard: fields.is_ticked("hard") }).await;
    answered(&guarded, id, done.map(|done| format!("{} is being stopped.", done.guest_name)))
}

/// Reboots it; with `hard` without asking it.
pub(super) async fn reboot(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    fields: Fields,
) -> PanelResult<Response> {
    let done = power(&app, &guarded, id, PowerAction::Reboot { hard: fields.is_ticked("hard") }).await;
    answered(&guarded, id, done.map(|done| format!("{} is being rebooted.", done.guest_name)))
}

async fn resized(app: &App, guarded: &Guarded, id: i64, fields: &Fields) -> ApiResult<Option<Operation>> {
    let writer = guarded.visitor.writer()?;
    let body = honcho_api::GuestUpdate {
        vcpus: fields.number("vcpus")?,
        memory_bytes: fields.size("memory_bytes")?,
        disk_bytes: fields.size("disk_bytes")?,
        ..honcho_api::GuestUpdate::default()
    };
    let restart = if fields.is_ticked("restart") { Restart::Allowed } else { Restart::Refused };
    let change = GuestUpdate { scope: writer.scope, id: GuestId(id), body, restart, rules: app.rules };
    Ok(app.write(writer.actor, &change).await?)
}

/// Gives it another size.
pub(super) async fn resize(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    fields: Fields,
) -> PanelResult<Response> {
    match resized(&app, &guarded, id, &fields).await {
        Ok(Some(done)) => answered(&guarded, id, Ok(format!("{} is being resized.", done.guest_name))),
        Ok(None) => answered(&guarded, id, Ok("It has that size already.".to_owned())),
        Err(error) => {
            let form = SizeForm {
                vcpus: fields.raw("vcpus").to_owned(),
                memory: fields.raw("memory_bytes").to_owned(),
                disk: fields.raw("disk_bytes").to_owned(),
                restart: fields.is_ticked("restart"),
                problems: Problems::of(error)?,
            };
            shown_with(&app, &guarded, id, Some(form), Span::Minutes).await
        }
    }
}

/// Cancels it.
pub(super) async fn cancel(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
) -> PanelResult<Response> {
    let writer = guarded.visitor.writer()?;
    let done = app.write(writer.actor, &GuestCancel { scope: writer.scope, id: GuestId(id) }).await;
    let said = |done: Operation| {
        format!("{} is cancelled. Until it is deleted that can be undone.", done.guest_name)
    };
    answered(&guarded, id, done.map(said).map_err(ApiError::from))
}

/// Takes it back.
pub(super) async fn restore(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
) -> PanelResult<Response> {
    let writer = guarded.visitor.writer()?;
    let change = GuestRestore { scope: writer.scope, id: GuestId(id), rules: app.rules };
    let done = app.write(writer.actor, &change).await;
    answered(
        &guarded,
        id,
        done.map(|done| format!("{} is taken back.", done.guest_name)).map_err(ApiError::from),
    )
}

/// Gives up on an operation.
pub(super) async fn abandon(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    fields: Fields,
) -> PanelResult<Response> {
    let writer = guarded.visitor.writer()?;
    let change = OperationAbandon { scope: writer.scope, id: OperationId(id), rules: app.rules };
    let done = app.write(writer.actor, &change).await;
    let guest = match (&done, fields.number("guest_id")?) {
        (Ok(done), _) => done.guest_id,
        (Err(_), Some(guest)) => guest,
        (Err(_), None) => 0,
    };
    let said = done.map(|done| format!("The {} of {} is given up.", done.kind.as_str(), done.guest_name));
    answered(&guarded, guest, said.map_err(ApiError::from))
}

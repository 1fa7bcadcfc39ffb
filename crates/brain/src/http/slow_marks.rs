//! `/v1/slow_marks`, and what of slow queries an account is told.

use super::accounts::{Created, created};
use super::error::ApiResult;
use super::extract::{Body, Caller, Id, ListQuery, Writer};
use super::listing::listed;
use crate::app::App;
use crate::operations::{SlowMarkCreate, SlowMarkDelete, SlowSettingsChange};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{ErrorBody, SlowMark, SlowSettings, SlowSettingsUpdate};
use honcho_model::{AccountId, SlowMarkId};
use honcho_store::{Filters, accounts, slow};

/// Lists marks on the time line of slow queries.
#[utoipa::path(get, path = "/v1/slow_marks", tag = "slow logs",
    params(("account_id" = Option<i64>, Query, description = "Filterable"),
        ("slow_server_id" = Option<i64>, Query, description = "Filterable")),
    responses((status = 200, body = [SlowMark]), (status = 401, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { slow::marks(app.store.reader(), caller.scope, &filters).await }
    };
    listed(filters, read).await
}

/// Makes a mark: a deploy, a new index.
#[utoipa::path(post, path = "/v1/slow_marks", tag = "slow logs",
    description = "Of one server, or of all of an account. Queries are shown with marks, and what is after one can be compared with what was \
        before it (`mark_id`).",
    request_body = honcho_api::SlowMarkCreate,
    responses((status = 201, body = SlowMark), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Writer,
    body: Body<honcho_api::SlowMarkCreate>,
) -> ApiResult<Created<SlowMark>> {
    let change = SlowMarkCreate { scope: caller.scope, who: caller.actor.who.clone(), body: body.value };
    Ok(created(app.write(caller.actor, &change).await?))
}

/// Shows a mark.
#[utoipa::path(get, path = "/v1/slow_marks/{id}", tag = "slow logs", params(("id" = i64, Path)),
    responses((status = 200, body = SlowMark), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> ApiResult<Json<SlowMark>> {
    Ok(Json(slow::find_mark(app.store.reader(), caller.scope, SlowMarkId(id)).await?))
}

/// Deletes a mark.
#[utoipa::path(delete, path = "/v1/slow_marks/{id}", tag = "slow logs", params(("id" = i64, Path)),
    responses((status = 200, body = SlowMark), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn delete(State(app): State<App>, caller: Writer, Id(id): Id) -> ApiResult<Json<SlowMark>> {
    let change = SlowMarkDelete { scope: caller.scope, id: SlowMarkId(id) };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Shows what of slow queries an account is told, and where.
#[utoipa::path(get, path = "/v1/accounts/{id}/slow_settings", tag = "slow logs", params(("id" = i64, Path)),
    responses((status = 200, body = SlowSettings), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn settings(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> ApiResult<Json<SlowSettings>> {
    let account = accounts::get(app.store.reader(), caller.scope, AccountId(id)).await?;
    Ok(Json(slow::settings(app.store.reader(), AccountId(account.id)).await?))
}

async fn changed(
    app: App,
    caller: Writer,
    id: i64,
    body: Body<SlowSettingsUpdate>,
) -> ApiResult<Json<SlowSettings>> {
    let change = SlowSettingsChange { scope: caller.scope, id: AccountId(id), body: body.value };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Changes what of slow queries an account is told, and where.
#[utoipa::path(put, path = "/v1/accounts/{id}/slow_settings", tag = "slow logs", params(("id" = i64, Path)),
    request_body = SlowSettings,
    responses((status = 200, body = SlowSettings), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn replace_settings(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<SlowSettingsUpdate>,
) -> ApiResult<Json<SlowSettings>> {
    changed(app, caller, id, body).await
}

/// Changes some of what of slow queries an account is told, and where.
#[utoipa::path(patch, path = "/v1/accounts/{id}/slow_settings", tag = "slow logs", params(("id" = i64, Path)),
    request_body = SlowSettingsUpdate,
    responses((status = 200, body = SlowSettings), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn update_settings(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<SlowSettingsUpdate>,
) -> ApiResult<Json<SlowSettings>> {
    changed(app, caller, id, body).await
}

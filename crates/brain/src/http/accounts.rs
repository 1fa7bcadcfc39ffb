//! `/v1/accounts`.

use super::error::ApiResult;
use super::extract::{Arguments, Body, Caller, Id, ListQuery, Writer};
use super::listing::listed;
use crate::app::App;
use crate::operations::{AccountCreate, AccountUpdate};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use honcho_api::{Account, ErrorBody, Quota};
use honcho_model::AccountId;
use honcho_store::{Filters, accounts, quotas};
use serde::Deserialize;

/// What a creation answers with: 201, where the new thing is, and the thing.
pub(crate) type Created<T> = (StatusCode, [(HeaderName, String); 1], Json<T>);

pub(crate) fn created<T: honcho_api::Resource>(thing: T) -> Created<T> {
    let location = format!("/v1/{}/{}", T::PATH, thing.id());
    (StatusCode::CREATED, [(header::LOCATION, location)], Json(thing))
}

/// Lists accounts.
#[utoipa::path(get, path = "/v1/accounts", tag = "accounts",
    params(("name" = Option<String>, Query, description = "Filterable"),
        ("reference" = Option<String>, Query, description = "Filterable"),
        ("status" = Option<String>, Query, description = "Filterable"),
        ("cancelled" = Option<bool>, Query, description = "Also what is cancelled or deleted"),
        ("limit" = Option<i64>, Query, description = "At most so many"),
        ("offset" = Option<i64>, Query, description = "Leave out so many first"),
        ("after" = Option<i64>, Query, description = "Only ids above this one")),
    responses((status = 200, body = [Account]), (status = 401, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let scope = caller.scope;
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { accounts::list(app.store.reader(), scope, &filters).await }
    };
    listed(filters, read).await
}

/// Makes an account.
#[utoipa::path(post, path = "/v1/accounts", tag = "accounts", request_body = honcho_api::AccountCreate,
    responses((status = 201, body = Account), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Writer,
    body: Body<honcho_api::AccountCreate>,
) -> ApiResult<Created<Account>> {
    let change = AccountCreate { scope: caller.scope, uuid: app.outside.uuid(), body: body.value };
    Ok(created(app.write(caller.actor, &change).await?))
}

/// What a look at one account may say.
#[derive(Deserialize)]
pub(super) struct Show {
    cancelled: Option<bool>,
}

/// Shows an account.
#[utoipa::path(get, path = "/v1/accounts/{id}", tag = "accounts",
    params(("id" = i64, Path), ("cancelled" = Option<bool>, Query, description = "Answer 200 also when it is cancelled")),
    responses((status = 200, body = Account), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 410, body = Account, description = "It is cancelled or deleted"), (status = 422, body = ErrorBody)))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Arguments(query): Arguments<Show>,
) -> ApiResult<Response> {
    let account = accounts::find(app.store.reader(), caller.scope, AccountId(id)).await?;
    let ended = account.cancelled_at.is_some() || account.deleted_at.is_some();
    let status = if ended && query.cancelled != Some(true) { StatusCode::GONE } else { StatusCode::OK };
    Ok((status, Json(account)).into_response())
}

async fn change(
    app: App,
    caller: Writer,
    id: i64,
    body: Body<honcho_api::AccountCreate>,
) -> ApiResult<Json<Account>> {
    let lock_version = body.object.get("lock_version").and_then(serde_json::Value::as_i64);
    let change = AccountUpdate { scope: caller.scope, id: AccountId(id), body: body.value, lock_version };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Changes an account.
#[utoipa::path(put, path = "/v1/accounts/{id}", tag = "accounts", params(("id" = i64, Path)), request_body = Account,
    responses((status = 200, body = Account), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn replace(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<honcho_api::AccountCreate>,
) -> ApiResult<Json<Account>> {
    change(app, caller, id, body).await
}

/// Changes some attributes of an account.
#[utoipa::path(patch, path = "/v1/accounts/{id}", tag = "accounts", params(("id" = i64, Path)),
    request_body = honcho_api::AccountCreate,
    responses((status = 200, body = Account), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<honcho_api::AccountCreate>,
) -> ApiResult<Json<Account>> {
    change(app, caller, id, body).await
}

/// Shows what an account may have and what it has.
#[utoipa::path(get, path = "/v1/accounts/{id}/quota", tag = "accounts", params(("id" = i64, Path)),
    responses((status = 200, body = Quota), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn quota(State(app): State<App>, caller: Caller, Id(id): Id) -> ApiResult<Json<Quota>> {
    let id = AccountId(id);
    let snapshot = app.store.snapshot().await?;
    let account = accounts::find(&snapshot, caller.scope, id).await?;
    let used = quotas::used(&snapshot, id).await?;
    Ok(Json(Quota {
        account_id: account.id,
        guests_used: used.guests,
        guests_limit: account.limit_guests,
        vcpus_used: used.vcpus,
        vcpus_limit: account.limit_vcpus,
        memory_used_bytes: used.memory,
        memory_limit_bytes: account.limit_memory_bytes,
        disk_used_bytes: used.disk,
        disk_limit_bytes: account.limit_disk_bytes,
        public_addresses_used: used.public_addresses,
        public_addresses_limit: account.limit_public_addresses,
        images_used_bytes: used.images,
        images_limit_bytes: account.limit_image_bytes,
    }))
}

//! `/v1/webhooks`: receivers that are told events.

use super::accounts::{Created, created};
use super::error::ApiResult;
use super::extract::{Arguments, Body, Caller, Id, ListQuery, Writer};
use super::listing::listed;
use crate::app::App;
use crate::operations::{
    WebhookCreate, WebhookDelete, WebhookEnable, WebhookNote, WebhookRotate, WebhookUpdate,
};
use crate::webhooks::{Message, secret};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{ErrorBody, Webhook, WebhookDelivery};
use honcho_model::WebhookId;
use honcho_store::webhooks::{self, Attempt, From};
use honcho_store::{Filters, Refusal};
use serde::Deserialize;

/// Lists webhooks, without their secrets.
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks",
    params(("account_id" = Option<i64>, Query, description = "Filterable"), ("status" = Option<String>, Query, description = "Filterable"),
        ("url" = Option<String>, Query, description = "Filterable"), ("description" = Option<String>, Query, description = "Filterable")),
    responses((status = 200, body = [Webhook]), (status = 401, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let scope = caller.scope;
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { webhooks::list(app.store.reader(), scope, &filters).await }
    };
    listed(filters, read).await
}

/// Makes a webhook and shows its secret, once.
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks", request_body = honcho_api::WebhookCreate,
    responses((status = 201, body = Webhook), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Writer,
    body: Body<honcho_api::WebhookCreate>,
) -> ApiResult<Created<Webhook>> {
    let secret = secret(&app.outside.secret());
    let change = WebhookCreate { scope: caller.scope, secret, body: body.value };
    Ok(created(app.write(caller.actor, &change).await?))
}

/// Shows a webhook, without its secret.
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "webhooks", params(("id" = i64, Path)),
    responses((status = 200, body = Webhook), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> ApiResult<Json<Webhook>> {
    Ok(Json(webhooks::get(app.store.reader(), caller.scope, WebhookId(id)).await?))
}

async fn change(
    app: App,
    caller: Writer,
    id: i64,
    body: Body<honcho_api::WebhookCreate>,
) -> ApiResult<Json<Webhook>> {
    let lock_version = body.object.get("lock_version").and_then(serde_json::Value::as_i64);
    let change = WebhookUpdate { scope: caller.scope, id: WebhookId(id), body: body.value, lock_version };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Changes a webhook.
#[utoipa::path(put, path = "/v1/webhooks/{id}", tag = "webhooks", params(("id" = i64, Path)), request_body = Webhook,
    responses((status = 200, body = Webhook), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn replace(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<honcho_api::WebhookCreate>,
) -> ApiResult<Json<Webhook>> {
    change(app, caller, id, body).await
}

/// Changes some attributes of a webhook.
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "webhooks", params(("id" = i64, Path)),
    request_body = honcho_api::WebhookCreate,
    responses((status = 200, body = Webhook), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<honcho_api::WebhookCreate>,
) -> ApiResult<Json<Webhook>> {
    change(app, caller, id, body).await
}

/// Deletes a webhook.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "webhooks", params(("id" = i64, Path)),
    responses((status = 200, body = Webhook), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn delete(State(app): State<App>, caller: Writer, Id(id): Id) -> ApiResult<Json<Webhook>> {
    let change = WebhookDelete { scope: caller.scope, id: WebhookId(id) };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Lists the attempts to deliver to a webhook.
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", tag = "webhooks",
    params(("id" = i64, Path), ("event_id" = Option<i64>, Query, description = "Filterable"),
        ("event_kind" = Option<String>, Query, description = "Filterable"), ("status" = Option<i64>, Query, description = "Filterable"),
        ("order" = Option<String>, Query, description = "`descending`: the newest first"),
        ("limit" = Option<i64>, Query, description = "At most so many")),
    description = "Of the last 30 days.",
    responses((status = 200, body = [WebhookDelivery]), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn deliveries(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    webhooks::get(app.store.reader(), caller.scope, WebhookId(id)).await?;
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { webhooks::deliveries(app.store.reader(), WebhookId(id), &filters).await }
    };
    listed(filters, read).await
}

async fn ping(app: App, caller: Writer, id: i64) -> ApiResult<Json<WebhookDelivery>> {
    let hook = webhooks::get(app.store.reader(), caller.scope, WebhookId(id)).await?;
    let body =
        serde_json::json!({ "kind": "ping", "webhook_id": id, "message": "Honcho can reach this webhook" });
    let message = Message { id: format!("ping-{}", app.outside.uuid()), body: body.to_string().into_bytes() };
    let attempted = app.webhooks.attempt(&hook, &message).await;
    let attempt = Attempt {
        webhook: WebhookId(id),
        event: None,
        kind: "ping".to_owned(),
        status: attempted.status,
        latency: attempted.latency,
        error: attempted.error,
        next_try_at: None,
    };
    app.write(caller.actor, &WebhookNote { attempt }).await?;
    let newest = Filters { descending: true, limit: Some(1), ..Filters::default() }.and("event_kind", "ping");
    let found = webhooks::deliveries(app.store.reader(), WebhookId(id), &newest).await?;
    Ok(Json(found.into_iter().next().ok_or(Refusal::NotFound("delivery"))?))
}

/// Sends a ping and says what came of it.
#[utoipa::path(put, path = "/v1/webhooks/{id}/test", tag = "webhooks", params(("id" = i64, Path)),
    description = "One attempt, at once, also while it is switched off; 15 s at most.",
    responses((status = 200, body = WebhookDelivery), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn test(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
) -> ApiResult<Json<WebhookDelivery>> {
    ping(app, caller, id).await
}

/// Sends a ping and says what came of it.
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", tag = "webhooks", params(("id" = i64, Path)),
    responses((status = 200, body = WebhookDelivery), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn test_by_post(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
) -> ApiResult<Json<WebhookDelivery>> {
    ping(app, caller, id).await
}

async fn rotated(app: App, caller: Writer, id: i64) -> ApiResult<Json<Webhook>> {
    let secret = secret(&app.outside.secret());
    let change = WebhookRotate { scope: caller.scope, id: WebhookId(id), secret };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Gives a webhook another secret and shows it, once.
#[utoipa::path(put, path = "/v1/webhooks/{id}/rotate", tag = "webhooks", params(("id" = i64, Path)),
    description = "For 24 hours deliveries are signed with the secret before it, too.",
    responses((status = 200, body = Webhook), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn rotate(State(app): State<App>, caller: Writer, Id(id): Id) -> ApiResult<Json<Webhook>> {
    rotated(app, caller, id).await
}

/// Gives a webhook another secret and shows it, once.
#[utoipa::path(post, path = "/v1/webhooks/{id}/rotate", tag = "webhooks", params(("id" = i64, Path)),
    responses((status = 200, body = Webhook), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn rotate_by_post(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
) -> ApiResult<Json<Webhook>> {
    rotated(app, caller, id).await
}

/// Where to go on.
#[derive(Deserialize)]
pub(super) struct Enabling {
    skip: Option<bool>,
}

async fn enabled(app: App, caller: Writer, id: i64, how: Enabling) -> ApiResult<Json<Webhook>> {
    let from = if how.skip == Some(true) { From::Now } else { From::WhereItStopped };
    let change = WebhookEnable { scope: caller.scope, id: WebhookId(id), from };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Switches a webhook on, or has what failed tried again at once.
#[utoipa::path(put, path = "/v1/webhooks/{id}/enable", tag = "webhooks",
    params(("id" = i64, Path), ("skip" = Option<bool>, Query, description = "Pass over what happened until now")),
    description = "It goes on with the event at which it stopped.",
    responses((status = 200, body = Webhook), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn enable(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    Arguments(how): Arguments<Enabling>,
) -> ApiResult<Json<Webhook>> {
    enabled(app, caller, id, how).await
}

/// Switches a webhook on, or has what failed tried again at once.
#[utoipa::path(post, path = "/v1/webhooks/{id}/enable", tag = "webhooks",
    params(("id" = i64, Path), ("skip" = Option<bool>, Query, description = "Pass over what happened until now")),
    responses((status = 200, body = Webhook), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn enable_by_post(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    Arguments(how): Arguments<Enabling>,
) -> ApiResult<Json<Webhook>> {
    enabled(app, caller, id, how).await
}

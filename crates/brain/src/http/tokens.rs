//! `/v1/tokens`. For operators, and for admins within their account.

use super::accounts::{Created, created};
use super::error::ApiResult;
use super::extract::{Body, Id, ListQuery, Writer};
use super::listing::listed;
use crate::app::App;
use crate::operations::{TokenCreate, TokenDelete, TokenUpdate};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{ErrorBody, Token};
use honcho_model::TokenId;
use honcho_store::{Filters, tokens};

/// Lists tokens, without their secrets.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens",
    params(("name" = Option<String>, Query, description = "Filterable"), ("scope" = Option<String>, Query, description = "Filterable"),
        ("account_id" = Option<i64>, Query, description = "Filterable"), ("guest_id" = Option<i64>, Query, description = "Filterable")),
    responses((status = 200, body = [Token]), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Writer,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let scope = caller.scope;
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { tokens::list(app.store.reader(), scope, &filters).await }
    };
    listed(filters, read).await
}

/// Makes a token and shows its secret, once.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = honcho_api::TokenCreate,
    responses((status = 201, body = Token), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Writer,
    body: Body<honcho_api::TokenCreate>,
) -> ApiResult<Created<Token>> {
    let change = TokenCreate {
        scope: caller.scope,
        secret: app.outside.secret(),
        ends_with: caller.expires_at,
        body: body.value,
    };
    Ok(created(app.write(caller.actor, &change).await?))
}

/// Shows a token, without its secret.
#[utoipa::path(get, path = "/v1/tokens/{id}", tag = "tokens", params(("id" = i64, Path)),
    responses((status = 200, body = Token), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, caller: Writer, Id(id): Id) -> ApiResult<Json<Token>> {
    Ok(Json(tokens::get(app.store.reader(), caller.scope, TokenId(id)).await?))
}

async fn change(
    app: App,
    caller: Writer,
    id: i64,
    body: Body<honcho_api::TokenUpdate>,
) -> ApiResult<Json<Token>> {
    body.refuse_null(&["name"])?;
    let change = TokenUpdate { scope: caller.scope, id: TokenId(id), body: body.value };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Renames a token.
#[utoipa::path(put, path = "/v1/tokens/{id}", tag = "tokens", params(("id" = i64, Path)), request_body = Token,
    description = "Only the name can change.",
    responses((status = 200, body = Token), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn replace(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<honcho_api::TokenUpdate>,
) -> ApiResult<Json<Token>> {
    change(app, caller, id, body).await
}

/// Renames a token.
#[utoipa::path(patch, path = "/v1/tokens/{id}", tag = "tokens", params(("id" = i64, Path)),
    request_body = honcho_api::TokenUpdate, description = "Only the name can change.",
    responses((status = 200, body = Token), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<honcho_api::TokenUpdate>,
) -> ApiResult<Json<Token>> {
    change(app, caller, id, body).await
}

/// Ends a token.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", params(("id" = i64, Path)),
    responses((status = 200, body = Token), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody, description = "It is the last of an operator")))]
pub(super) async fn delete(State(app): State<App>, caller: Writer, Id(id): Id) -> ApiResult<Json<Token>> {
    let change = TokenDelete { scope: caller.scope, id: TokenId(id) };
    Ok(Json(app.write_taking_away(caller.actor, &change).await?))
}

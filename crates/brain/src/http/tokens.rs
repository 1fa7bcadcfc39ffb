//! `/v1/tokens`. Operators only.

use super::accounts::{Created, created};
use super::error::ApiResult;
use super::extract::{Body, Id, ListQuery, Operator};
use super::listing::listed;
use crate::app::App;
use crate::operations::{TokenCreate, TokenDelete};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{ErrorBody, Token};
use honcho_model::TokenId;
use honcho_store::{Filters, tokens};

/// Lists tokens, without their secrets.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens",
    responses((status = 200, body = [Token]), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    _: Operator,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { tokens::list(app.store.reader(), &filters).await }
    };
    listed(filters, read).await
}

/// Makes a token and shows its secret, once.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = honcho_api::TokenCreate,
    responses((status = 201, body = Token), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    Operator(caller): Operator,
    body: Body<honcho_api::TokenCreate>,
) -> ApiResult<Created<Token>> {
    let change = TokenCreate { scope: caller.scope, secret: app.outside.secret(), body: body.value };
    Ok(created(app.write(caller.actor, &change).await?))
}

/// Shows a token, without its secret.
#[utoipa::path(get, path = "/v1/tokens/{id}", tag = "tokens", params(("id" = i64, Path)),
    responses((status = 200, body = Token), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, _: Operator, Id(id): Id) -> ApiResult<Json<Token>> {
    Ok(Json(tokens::get(app.store.reader(), TokenId(id)).await?))
}

/// Ends a token.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", params(("id" = i64, Path)),
    responses((status = 200, body = Token), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn delete(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
) -> ApiResult<Json<Token>> {
    let change = TokenDelete { scope: caller.scope, id: TokenId(id) };
    Ok(Json(app.write(caller.actor, &change).await?))
}

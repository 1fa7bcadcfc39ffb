//! How accounts are cancelled, taken back, suspended: `DELETE /v1/accounts/5`, `PUT /v1/accounts/5/suspend`, …
//!
//! An operation is about one guest, so these answer 202 with the account; each of its guests has its own operation.

use super::error::ApiResult;
use super::extract::{Arguments, Id, Writer};
use crate::app::App;
use crate::operations::{
    AccountCancel, AccountRestore, AccountSampleValues, AccountSuspend, AccountUnsuspend, Grace,
};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use honcho_api::{Account, ErrorBody};
use honcho_model::AccountId;
use honcho_model::account::SampleValues;
use serde::Deserialize;

type Accepted = (StatusCode, Json<Account>);

/// How an account is to be ended.
#[derive(Deserialize)]
pub(super) struct Delete {
    now: Option<bool>,
}

/// Cancels or deletes an account.
#[utoipa::path(delete, path = "/v1/accounts/{id}", tag = "accounts",
    params(("id" = i64, Path), ("now" = Option<bool>, Query, description = "Without the grace period")),
    description = "Cancels an account: its guests stop, and all it owns is deleted when its grace period ends.",
    responses((status = 202, body = Account), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    Arguments(query): Arguments<Delete>,
) -> ApiResult<Accepted> {
    let grace = if query.now == Some(true) { Grace::None } else { Grace::Kept };
    let change = AccountCancel { scope: caller.scope, id: AccountId(id), grace };
    Ok((StatusCode::ACCEPTED, Json(app.write(caller.actor, &change).await?)))
}

/// Why an account is suspended.
#[derive(Deserialize)]
pub(super) struct Reason {
    reason: Option<String>,
}

/// No arguments.
#[derive(Deserialize)]
pub(super) struct Nothing {}

async fn suspended(app: App, caller: Writer, id: i64, reason: Reason) -> ApiResult<Accepted> {
    let change = AccountSuspend { scope: caller.scope, id: AccountId(id), reason: reason.reason };
    Ok((StatusCode::ACCEPTED, Json(app.write(caller.actor, &change).await?)))
}

async fn unsuspended(app: App, caller: Writer, id: i64, _: Nothing) -> ApiResult<Accepted> {
    let change = AccountUnsuspend { scope: caller.scope, id: AccountId(id) };
    Ok((StatusCode::ACCEPTED, Json(app.write(caller.actor, &change).await?)))
}

async fn restored(app: App, caller: Writer, id: i64, _: Nothing) -> ApiResult<Accepted> {
    let change = AccountRestore { scope: caller.scope, id: AccountId(id), rules: app.rules };
    Ok((StatusCode::ACCEPTED, Json(app.write(caller.actor, &change).await?)))
}

async fn keeps_sample_values(app: App, caller: Writer, id: i64, _: Nothing) -> ApiResult<Accepted> {
    sample_values(app, caller, id, SampleValues::Kept).await
}

async fn redacts_sample_values(app: App, caller: Writer, id: i64, _: Nothing) -> ApiResult<Accepted> {
    sample_values(app, caller, id, SampleValues::Redacted).await
}

async fn sample_values(
    app: App,
    caller: Writer,
    id: i64,
    sample_values: SampleValues,
) -> ApiResult<Accepted> {
    let change = AccountSampleValues { scope: caller.scope, id: AccountId(id), sample_values };
    Ok((StatusCode::ACCEPTED, Json(app.write(caller.actor, &change).await?)))
}

/// A member action under PUT, as a stock ActiveResource client calls it, and under POST, with any body.
macro_rules! action {
    ($summary:literal, $path:literal, $put:ident, $post:ident, $arguments:ty, [$($parameter:tt)*], $run:expr) => {
        #[doc = $summary]
        #[utoipa::path(put, path = $path, summary = $summary, tag = "accounts", params(("id" = i64, Path), $($parameter)*),
            responses((status = 202, body = Account), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
                (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
        pub(super) async fn $put(
            State(app): State<App>,
            caller: Writer,
            Id(id): Id,
            Arguments(arguments): Arguments<$arguments>,
        ) -> ApiResult<Accepted> {
            $run(app, caller, id, arguments).await
        }

        #[doc = $summary]
        #[utoipa::path(post, path = $path, summary = $summary, tag = "accounts", params(("id" = i64, Path), $($parameter)*),
            responses((status = 202, body = Account), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
                (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
        pub(super) async fn $post(
            state: State<App>,
            caller: Writer,
            id: Id,
            arguments: Arguments<$arguments>,
        ) -> ApiResult<Accepted> {
            $put(state, caller, id, arguments).await
        }
    };
}

action!("Suspends an account: its guests stop and may not start.", "/v1/accounts/{id}/suspend", suspend, suspend_by_post,
    Reason, [("reason" = Option<String>, Query, description = "Why, for people")], suspended);
action!(
    "Ends an account's suspension: those of its guests start that should run.",
    "/v1/accounts/{id}/unsuspend",
    unsuspend,
    unsuspend_by_post,
    Nothing,
    [],
    unsuspended
);
action!(
    "Takes a cancelled account back, with the guests that its cancellation cancelled.",
    "/v1/accounts/{id}/restore",
    restore,
    restore_by_post,
    Nothing,
    [],
    restored
);
action!(
    "Keeps the values in samples of the account's slow queries, from now on. They are personal data.",
    "/v1/accounts/{id}/keep_sample_values",
    keep_sample_values,
    keep_sample_values_by_post,
    Nothing,
    [],
    keeps_sample_values
);
action!(
    "Keeps no values in samples of the account's slow queries, and removes those that were kept.",
    "/v1/accounts/{id}/redact_sample_values",
    redact_sample_values,
    redact_sample_values_by_post,
    Nothing,
    [],
    redacts_sample_values
);

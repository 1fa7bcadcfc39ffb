//! `/v1/people`. Operators only, but for one's own password.

use super::accounts::{Created, created};
use super::error::{ApiError, ApiResult};
use super::extract::{Arguments, Body, Caller, Id, ListQuery, Operator, Peer};
use super::listing::listed;
use super::sessions::{refused, try_password};
use crate::app::App;
use crate::credentials::Known;
use crate::operations::{
    PersonCreate, PersonDelete, PersonGrant, PersonPassword, PersonUnlock, PersonUpdate, Tried,
};
use crate::passwords::normalized;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use honcho_api::{ErrorBody, PasswordChange, Person};
use honcho_model::{PersonId, Right};
use honcho_store::{Filters, people};
use serde::Deserialize;

/// Hashes a new password, if it will do for whoever logs in so.
async fn hashed(app: &App, given: &str, login: &str) -> ApiResult<String> {
    let given = normalized(given);
    honcho_model::password::check(&given, login)
        .map_err(|error| ApiError::invalid("password", error.to_string()))?;
    let salt = app.outside.uuid().into_bytes();
    app.passwords.hash(given, salt).await
}

/// Lists people.
#[utoipa::path(get, path = "/v1/people", tag = "people",
    params(("name" = Option<String>, Query, description = "Filterable")),
    responses((status = 200, body = [Person]), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    _: Operator,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { people::list(app.store.reader(), &filters, app.now()).await }
    };
    listed(filters, read).await
}

/// Makes a person known: the one place where that is done, for a password is hashed before the change begins.
pub(crate) async fn made(app: &App, caller: Caller, mut body: honcho_api::PersonCreate) -> ApiResult<Person> {
    let password_hash = match body.password.take() {
        Some(given) => Some(hashed(app, &given, body.name.as_deref().unwrap_or_default()).await?),
        None => None,
    };
    let change = PersonCreate { scope: caller.scope, uuid: app.outside.uuid(), body, password_hash };
    Ok(app.write(caller.actor, &change).await?)
}

/// Makes a person known.
#[utoipa::path(post, path = "/v1/people", tag = "people", request_body = honcho_api::PersonCreate,
    responses((status = 201, body = Person), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    Operator(caller): Operator,
    body: Body<honcho_api::PersonCreate>,
) -> ApiResult<Created<Person>> {
    Ok(created(made(&app, caller, body.value).await?))
}

/// Shows a person.
#[utoipa::path(get, path = "/v1/people/{id}", tag = "people", params(("id" = i64, Path)),
    responses((status = 200, body = Person), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, _: Operator, Id(id): Id) -> ApiResult<Json<Person>> {
    Ok(Json(people::get(app.store.reader(), PersonId(id), app.now()).await?))
}

async fn change(
    app: App,
    caller: Caller,
    id: i64,
    body: Body<honcho_api::PersonUpdate>,
) -> ApiResult<Json<Person>> {
    body.refuse_null(&["name", "operator"])?;
    let full_name_given = body.object.contains_key("full_name");
    let change = PersonUpdate { scope: caller.scope, id: PersonId(id), body: body.value, full_name_given };
    Ok(Json(app.write_taking_away(caller.actor, &change).await?))
}

/// Changes a person.
#[utoipa::path(put, path = "/v1/people/{id}", tag = "people", params(("id" = i64, Path)), request_body = Person,
    description = "Read-only and unknown attributes are ignored.",
    responses((status = 200, body = Person), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn replace(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
    body: Body<honcho_api::PersonUpdate>,
) -> ApiResult<Json<Person>> {
    change(app, caller, id, body).await
}

/// Changes some attributes of a person.
#[utoipa::path(patch, path = "/v1/people/{id}", tag = "people", params(("id" = i64, Path)),
    request_body = honcho_api::PersonUpdate, description = "Absent attributes stay as they are.",
    responses((status = 200, body = Person), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn update(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
    body: Body<honcho_api::PersonUpdate>,
) -> ApiResult<Json<Person>> {
    change(app, caller, id, body).await
}

/// Deletes a person, with all that they might and every session.
#[utoipa::path(delete, path = "/v1/people/{id}", tag = "people", params(("id" = i64, Path)),
    responses((status = 200, body = Person), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn delete(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
) -> ApiResult<Json<Person>> {
    let change = PersonDelete { scope: caller.scope, id: PersonId(id) };
    Ok(Json(app.write_taking_away(caller.actor, &change).await?))
}

/// In which account, and what.
#[derive(Deserialize)]
pub(super) struct Granting {
    account_id: Option<i64>,
    scope: Option<String>,
}

async fn granted(app: App, caller: Caller, id: i64, granting: Granting) -> ApiResult<Json<Person>> {
    let wanted = granting.scope.as_deref().and_then(Right::parse);
    let Some(right @ (Right::Admin | Right::Viewer)) = wanted else {
        return Err(ApiError::invalid("scope", "must be admin or viewer"));
    };
    let (account, right) = (granting.account_id, Some(right));
    let change = PersonGrant { scope: caller.scope, id: PersonId(id), account, right };
    Ok(Json(app.write_taking_away(caller.actor, &change).await?))
}

async fn revoked(app: App, caller: Caller, id: i64, granting: Granting) -> ApiResult<Json<Person>> {
    let account = granting.account_id;
    let change = PersonGrant { scope: caller.scope, id: PersonId(id), account, right: None };
    Ok(Json(app.write_taking_away(caller.actor, &change).await?))
}

async fn unlocked(app: App, caller: Caller, id: i64, _: Granting) -> ApiResult<Json<Person>> {
    let change = PersonUnlock { scope: caller.scope, id: PersonId(id) };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// A member action under PUT, and under POST with any body.
macro_rules! action {
    ($summary:literal, $path:literal, $put:ident, $post:ident, [$($parameter:tt)*], $run:ident) => {
        #[doc = $summary]
        #[utoipa::path(put, path = $path, summary = $summary, tag = "people", params(("id" = i64, Path), $($parameter)*),
            responses((status = 200, body = Person), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
                (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
        pub(super) async fn $put(
            State(app): State<App>,
            Operator(caller): Operator,
            Id(id): Id,
            Arguments(granting): Arguments<Granting>,
        ) -> ApiResult<Json<Person>> {
            $run(app, caller, id, granting).await
        }

        #[doc = $summary]
        #[utoipa::path(post, path = $path, summary = $summary, tag = "people", params(("id" = i64, Path), $($parameter)*),
            responses((status = 200, body = Person), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
                (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
        pub(super) async fn $post(
            State(app): State<App>,
            Operator(caller): Operator,
            Id(id): Id,
            Arguments(granting): Arguments<Granting>,
        ) -> ApiResult<Json<Person>> {
            $run(app, caller, id, granting).await
        }
    };
}

action!(
    "Lets a person do something in an account, instead of what they might there before.",
    "/v1/people/{id}/grant",
    grant,
    grant_by_post,
    [("account_id" = i64, Query), ("scope" = String, Query, description = "`admin` or `viewer`")],
    granted
);
action!(
    "Takes back what a person may in an account.",
    "/v1/people/{id}/revoke",
    revoke,
    revoke_by_post,
    [("account_id" = i64, Query)],
    revoked
);
action!(
    "Unlocks a person who sent too many wrong passwords.",
    "/v1/people/{id}/unlock",
    unlock,
    unlock_by_post,
    [],
    unlocked
);

/// Gives a person another password: operators anybody, others themselves.
pub(crate) async fn password_set(
    app: App,
    caller: Caller,
    peer: Option<Extension<Peer>>,
    id: i64,
    body: PasswordChange,
) -> ApiResult<Json<Person>> {
    let own = match &*caller.known {
        Known::Session(session) if session.person.0 == id => Some(session),
        Known::Session(_) | Known::Token(_) => None,
    };
    if own.is_none() && !caller.scope.is_operator() {
        let text = "only operators may do this, and people for themselves";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", text));
    }
    let given = body.password.ok_or_else(|| ApiError::invalid("password", "can't be blank"))?;
    let person = people::get(app.store.reader(), PersonId(id), app.now()).await?;
    if own.is_some() {
        // Whoever found a session open must not make it their own.
        let current = body.current_password;
        let current = current.ok_or_else(|| ApiError::invalid("current_password", "can't be blank"))?;
        let source = peer.map(|Extension(peer)| peer.0.ip());
        match try_password(&app, person.name.clone(), current, source, None).await? {
            Tried::Right => {}
            Tried::Refused | Tried::Begun(_) => return Err(refused()),
        }
    }
    let password_hash = hashed(&app, &given, &person.name).await?;
    let change = PersonPassword { id: PersonId(id), password_hash, keeping: own.map(|session| session.id) };
    Ok(Json(app.write_taking_away(caller.actor, &change).await?))
}

/// Gives a person another password.
#[utoipa::path(put, path = "/v1/people/{id}/password", tag = "people", params(("id" = i64, Path)), request_body = PasswordChange,
    description = "For operators, and for people themselves, who show the one until now. The person's other sessions end.",
    responses((status = 200, body = Person), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn password(
    State(app): State<App>,
    caller: Caller,
    peer: Option<Extension<Peer>>,
    Id(id): Id,
    body: Body<PasswordChange>,
) -> ApiResult<Json<Person>> {
    password_set(app, caller, peer, id, body.value).await
}

/// Gives a person another password.
#[utoipa::path(post, path = "/v1/people/{id}/password", tag = "people", params(("id" = i64, Path)), request_body = PasswordChange,
    responses((status = 200, body = Person), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn password_by_post(
    State(app): State<App>,
    caller: Caller,
    peer: Option<Extension<Peer>>,
    Id(id): Id,
    body: Body<PasswordChange>,
) -> ApiResult<Json<Person>> {
    password_set(app, caller, peer, id, body.value).await
}

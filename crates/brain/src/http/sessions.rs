//! `/v1/sessions` and `/v1/whoami`: logging in, out, and who one is.

use super::accounts::{Created, created};
use super::error::{ApiError, ApiResult};
use super::extract::{Body, Caller, Id, ListQuery, Peer};
use super::listing::listed;
use crate::app::App;
use crate::credentials::{Known, SESSION_PREFIX};
use crate::operations::{PasswordTry, SessionDelete, Tried};
use crate::passwords::{busy, normalized};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use honcho_api::{ErrorBody, Session, SessionCreate, Whoami};
use honcho_model::{PersonId, SessionId};
use honcho_store::{Actor, Filters, people, sessions};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// A refusal takes at least so long, so that its time does not tell whether there is such a person.
const REFUSAL_TAKES: Duration = Duration::from_millis(400);

/// Tries a password: the one place where that is done. The try goes on when whoever sent it hangs up.
pub(crate) async fn try_password(
    app: &App,
    login: String,
    password: String,
    source: Option<IpAddr>,
    secret: Option<String>,
) -> ApiResult<Tried> {
    let app = app.clone();
    let trying = tokio::spawn(async move {
        let refusal_time = tokio::time::sleep(REFUSAL_TAKES);
        let from = source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        app.passwords.admit(from, app.now()).map_err(busy)?;
        let known = people::by_login(app.store.reader(), &login).await?;
        let (name, checked) = match known {
            Some(known) => (format!("person:{} ({})", known.id, known.login), known.password_hash),
            None => ("nobody".to_owned(), None),
        };
        let right = app.passwords.verify(normalized(&password), checked.clone()).await?;
        let source = source.map(|ip| ip.to_string());
        let actor = Actor { who: if right { name } else { "honcho".to_owned() }, source: source.clone() };
        let tried = app.write(actor, &PasswordTry { login, checked, right, secret, source }).await?;
        match tried {
            Tried::Refused => refusal_time.await,
            Tried::Right | Tried::Begun(_) => app.passwords.forgiven(from),
        }
        Ok(tried)
    });
    trying.await.map_err(|error| {
        tracing::error!(%error, "a login was not finished");
        ApiError::internal("the login was not finished")
    })?
}

/// The one answer to everything that is wrong with a login.
pub(crate) fn refused() -> ApiError {
    let text = "name or password is wrong, or the person is locked after too many wrong passwords";
    ApiError::new(StatusCode::UNAUTHORIZED, "login_refused", text)
        .hint("a locked person is let in again after 15 minutes, or when an operator unlocks them")
}

/// Logs in.
#[utoipa::path(post, path = "/v1/sessions", tag = "people", request_body = SessionCreate, security(()),
    description = "Needs no token. The secret is shown once, and is sent as Bearer from then on.",
    responses((status = 201, body = Session), (status = 401, body = ErrorBody, description = "Also when there is no such person, or they are locked"),
        (status = 422, body = ErrorBody), (status = 429, body = ErrorBody, description = "After a pause, which `Retry-After` tells")))]
pub(super) async fn create(
    State(app): State<App>,
    peer: Option<Extension<Peer>>,
    body: Body<SessionCreate>,
) -> ApiResult<Created<Session>> {
    let login = body.value.login.filter(|login| !login.is_empty());
    let login = login.ok_or_else(|| ApiError::invalid("login", "can't be blank"))?;
    let password = body.value.password.ok_or_else(|| ApiError::invalid("password", "can't be blank"))?;
    let source = peer.map(|Extension(peer)| peer.0.ip());
    let secret = format!("{SESSION_PREFIX}{}", app.outside.secret());
    match try_password(&app, login.to_lowercase(), password, source, Some(secret)).await? {
        Tried::Begun(session) => Ok(created(*session)),
        Tried::Refused | Tried::Right => Err(refused()),
    }
}

/// Whose sessions a caller may see: an operator everybody's, others their own.
fn whose(caller: &Caller) -> Option<PersonId> {
    if caller.scope.is_operator() {
        return None;
    }
    // A program has none; and there is nobody with this id.
    Some(caller.known.person().unwrap_or(PersonId(0)))
}

/// Lists sessions.
#[utoipa::path(get, path = "/v1/sessions", tag = "people",
    description = "One's own; an operator sees everybody's.",
    params(("person_id" = Option<i64>, Query, description = "Filterable")),
    responses((status = 200, body = [Session]), (status = 401, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let of = whose(&caller);
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { sessions::list(app.store.reader(), of, &filters, app.now()).await }
    };
    listed(filters, read).await
}

/// Shows a session.
#[utoipa::path(get, path = "/v1/sessions/{id}", tag = "people", params(("id" = i64, Path)),
    responses((status = 200, body = Session), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> ApiResult<Json<Session>> {
    Ok(Json(sessions::get(app.store.reader(), whose(&caller), SessionId(id), app.now()).await?))
}

/// Logs out.
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = "people", params(("id" = i64, Path)),
    responses((status = 200, body = Session), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn delete(State(app): State<App>, caller: Caller, Id(id): Id) -> ApiResult<Json<Session>> {
    let change = SessionDelete { of: whose(&caller), id: SessionId(id) };
    Ok(Json(app.write_taking_away(caller.actor, &change).await?))
}

/// Tells who asks, and what they may.
#[utoipa::path(get, path = "/v1/whoami", tag = "people",
    responses((status = 200, body = Whoami), (status = 401, body = ErrorBody)))]
pub(super) async fn whoami(caller: Caller) -> Json<Whoami> {
    let time = |at: honcho_model::Timestamp| jiff::Timestamp::from_microsecond(at.0).unwrap_or_default();
    let account_id = caller.scope.sole_account().map(|account| account.0);
    let (actor, scope) = (caller.actor.who, caller.right.as_str().to_owned());
    Json(match &*caller.known {
        Known::Token(token) => Whoami {
            actor,
            scope,
            person_id: None,
            person_name: None,
            session_id: None,
            token_id: Some(token.id.0),
            account_id,
            guest_id: match token.scope {
                honcho_store::Scope::Machine(_, guest) => Some(guest.0),
                _ => None,
            },
            grants: Vec::new(),
            expires_at: token.expires_at.map(time),
        },
        Known::Session(session) => Whoami {
            actor,
            scope,
            person_id: Some(session.person.0),
            person_name: Some(session.person_name.clone()),
            session_id: Some(session.id.0),
            token_id: None,
            account_id,
            guest_id: None,
            grants: session.grants.clone(),
            expires_at: Some(time(session.expires_at)),
        },
    })
}

//! Logging in and out, and how pages look.

use super::cookies::{self, Kept};
use super::failure::PanelResult;
use super::fields::Fields;
use super::problems::Problems;
use super::shell::{Flash, Section, Shell, go, own_address, page_with};
use super::visitor::{Asking, Guarded, Theme, Visit, Visitor};
use crate::app::App;
use crate::credentials::SESSION_PREFIX;
use crate::http::{ApiError, Peer, login_refused, try_password};
use crate::operations::{SessionDelete, Tried};
use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    shell: Shell,
    next: String,
    name: String,
    problems: Problems,
}

/// Where somebody goes once they are logged in.
#[derive(Deserialize)]
pub(super) struct Going {
    next: Option<String>,
}

/// The form.
pub(super) async fn show(
    State(app): State<App>,
    visit: Visit,
    Asking(going): Asking<Going>,
) -> PanelResult<Response> {
    let next = going.next.as_deref().map_or("/", own_address).to_owned();
    if visit.visitor.is_some() {
        return Ok(go(&next, None, visit.transport));
    }
    let shell = Shell::new(&app, &visit, Section::Elsewhere, "Log in");
    page_with(StatusCode::OK, &LoginPage { shell, next, name: String::new(), problems: Problems::default() })
}

/// Tries a password, as the API does.
pub(super) async fn log_in(
    State(app): State<App>,
    visit: Visit,
    peer: Option<Extension<Peer>>,
    fields: Fields,
) -> PanelResult<Response> {
    let next = own_address(fields.raw("next")).to_owned();
    let (name, password) = (fields.text("login").unwrap_or_default(), fields.raw("password").to_owned());
    let error = if name.is_empty() {
        ApiError::invalid("login", "can't be blank")
    } else if password.is_empty() {
        ApiError::invalid("password", "can't be blank")
    } else {
        let source = peer.map(|Extension(peer)| peer.0.ip());
        let secret = format!("{SESSION_PREFIX}{}", app.outside.secret());
        match try_password(&app, name.to_lowercase(), password, source, Some(secret.clone())).await {
            Ok(Tried::Begun(_)) => {
                if let Some(before) = &visit.visitor {
                    end(&app, before).await;
                }
                let mut response = go(&next, None, visit.transport);
                let cookie = cookies::set(cookies::SESSION, &secret, Kept::Open, visit.transport);
                response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
                return Ok(response);
            }
            Ok(Tried::Refused | Tried::Right) => login_refused(),
            Err(error) => error,
        }
    };
    let status = error.status();
    let problems = Problems::of(error)?;
    let shell = Shell::new(&app, &visit, Section::Elsewhere, "Log in");
    page_with(status, &LoginPage { shell, next, name, problems })
}

/// Ends the session that another one takes the place of. Should that fail, it ends by itself.
async fn end(app: &App, before: &Visitor) {
    let change = SessionDelete { of: Some(before.session.person), id: before.session.id };
    if let Err(error) = app.write_taking_away(before.caller.actor.clone(), &change).await {
        tracing::warn!(%error, "a session was not ended in whose place another began");
    }
}

/// Ends the session.
pub(super) async fn log_out(State(app): State<App>, guarded: Guarded) -> PanelResult<Response> {
    let session = &guarded.visitor.session;
    let change = SessionDelete { of: Some(session.person), id: session.id };
    app.write_taking_away(guarded.visitor.caller.actor.clone(), &change).await?;
    let transport = guarded.visit.transport;
    let mut response = go("/login", Some(Flash::done("You are logged out.")), transport);
    let cookie = cookies::set(cookies::SESSION, "", Kept::Never, transport);
    response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    Ok(response)
}

/// A year, in seconds.
const YEAR: u64 = 365 * 86_400;

/// Chooses how pages look.
pub(super) async fn theme(visit: Visit, fields: Fields) -> Response {
    let theme = Theme::parse(fields.raw("theme"));
    let mut response = go(own_address(fields.raw("here")), None, visit.transport);
    let kept = if theme == Theme::System { Kept::Never } else { Kept::Seconds(YEAR) };
    let cookie = cookies::set(cookies::THEME, theme.word(), kept, visit.transport);
    response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

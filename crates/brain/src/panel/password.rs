//! One's own password. Whoever changes it shows the one until now, and is logged in nowhere else any more.

use super::failure::PanelResult;
use super::fields::Fields;
use super::problems::{Problem, Problems};
use super::shell::{Flash, Section, Shell, go, page_with};
use super::visitor::Guarded;
use crate::app::App;
use crate::http::{ApiError, ApiResult, Peer, password_set};
use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use honcho_api::PasswordChange;

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    shell: Shell,
    problems: Problems,
}

fn form(app: &App, guarded: &Guarded, problems: Problems) -> PanelResult<Response> {
    let status = if problems.0.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let shell = Shell::new(app, &guarded.visit, Section::Elsewhere, "Your password");
    page_with(status, &PasswordPage { shell, problems })
}

/// The form.
pub(super) async fn show(State(app): State<App>, guarded: Guarded) -> PanelResult<Response> {
    form(&app, &guarded, Problems::default())
}

async fn changed(
    app: &App,
    guarded: &Guarded,
    peer: Option<Extension<Peer>>,
    fields: &Fields,
) -> ApiResult<()> {
    let filled = |name: &str| Some(fields.raw(name).to_owned()).filter(|text| !text.is_empty());
    if fields.raw("password") != fields.raw("again") {
        return Err(ApiError::invalid("again", "is not the same"));
    }
    let body = PasswordChange { current_password: filled("current_password"), password: filled("password") };
    let visitor = &guarded.visitor;
    password_set(app.clone(), visitor.caller.clone(), peer, visitor.session.person.0, body).await.map(drop)
}

/// Changes it.
pub(super) async fn change(
    State(app): State<App>,
    guarded: Guarded,
    peer: Option<Extension<Peer>>,
    fields: Fields,
) -> PanelResult<Response> {
    match changed(&app, &guarded, peer, &fields).await {
        Ok(()) => {
            let flash = Flash::done(
                "Your password is changed. Wherever else you were logged in, you are not any more.",
            );
            Ok(go("/", Some(flash), guarded.visit.transport))
        }
        // The session is good: it is the password until now that is not.
        Err(error) if error.status() == StatusCode::UNAUTHORIZED => {
            let problem = Problem {
                field: "current_password".to_owned(),
                label: "The password until now".to_owned(),
                text: "is wrong, or you are locked after too many wrong ones".to_owned(),
            };
            form(&app, &guarded, Problems(vec![problem]))
        }
        Err(error) => form(&app, &guarded, Problems::of(error)?),
    }
}

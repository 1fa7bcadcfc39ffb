//! People: who logs in, and what each may.

use super::failure::PanelResult;
use super::fields::Fields;
use super::problems::{Problems, sentence};
use super::shell::{Flash, Section, Shell, go, page, page_with};
use super::shown::{self, Moment};
use super::visitor::{Asking, Guarded, PageId};
use crate::app::App;
use crate::http::{ApiError, ApiResult, make_person};
use crate::operations::{PersonDelete, PersonGrant, PersonUnlock};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use honcho_api::Person;
use honcho_model::{PersonId, Right};
use honcho_store::{Filters, accounts, people};
use serde::Deserialize;

/// How many rows the table has.
const ROWS: i64 = 100;

/// How many accounts there are to choose from.
const ACCOUNTS: i64 = 500;

struct Row {
    id: i64,
    name: String,
    full_name: String,
    may: String,
    state: &'static str,
    made: Moment,
}

/// What somebody filled in.
#[derive(Default)]
struct PersonForm {
    name: String,
    full_name: String,
    operator: bool,
    problems: Problems,
}

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    shell: Shell,
    rows: Vec<Row>,
    more: Option<String>,
    form: PersonForm,
}

/// From where on a list is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    after: Option<i64>,
}

fn may(person: &Person) -> String {
    if person.operator {
        return "everything".to_owned();
    }
    let words = person.grants.iter().map(|grant| format!("{} of {}", grant.scope, grant.account_name));
    words.collect::<Vec<_>>().join(", ")
}

fn state(person: &Person) -> &'static str {
    match (person.locked_until.is_some(), person.password_set) {
        (true, _) => "locked",
        (false, false) => "has no password",
        (false, true) => "",
    }
}

async fn table(app: &App, guarded: &Guarded, after: Option<i64>, form: PersonForm) -> PanelResult<Response> {
    guarded.visitor.operator()?;
    let filters = Filters { limit: Some(ROWS), after, ..Filters::default() };
    let found = people::list(app.store.reader(), &filters, app.now()).await?;
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count == ROWS);
    let more = found.last().filter(|_| is_full).map(|last| format!("/people?after={}", last.id));
    let row = |person: Person| Row {
        id: person.id,
        may: may(&person),
        state: state(&person),
        made: shown::moment(person.created_at, app.now()),
        full_name: person.full_name.unwrap_or_default(),
        name: person.name,
    };
    let status = if form.problems.0.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let rows = found.into_iter().map(row).collect();
    let shell = Shell::new(app, &guarded.visit, Section::People, "People");
    page_with(status, &PeoplePage { shell, rows, more, form })
}

/// The table.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    table(&app, &guarded, asked.after, PersonForm::default()).await
}

/// Makes somebody known.
pub(super) async fn make(State(app): State<App>, guarded: Guarded, fields: Fields) -> PanelResult<Response> {
    guarded.visitor.operator()?;
    let body = honcho_api::PersonCreate {
        name: fields.text("name"),
        full_name: fields.text("full_name"),
        operator: Some(fields.is_ticked("operator")),
        password: Some(fields.raw("password").to_owned()).filter(|password| !password.is_empty()),
    };
    match make_person(&app, guarded.visitor.caller.clone(), body).await {
        Ok(person) => {
            let flash = Flash::done(format!("{} is known.", person.name));
            Ok(go(&format!("/people/{}", person.id), Some(flash), guarded.visit.transport))
        }
        Err(error) => {
            let form = PersonForm {
                name: fields.raw("name").to_owned(),
                full_name: fields.raw("full_name").to_owned(),
                operator: fields.is_ticked("operator"),
                problems: Problems::of(error)?,
            };
            table(&app, &guarded, None, form).await
        }
    }
}

#[derive(Template)]
#[template(path = "person.html")]
struct PersonPage {
    shell: Shell,
    person: Person,
    made: Moment,
    locked: Option<Moment>,
    accounts: Vec<(i64, String)>,
    is_own: bool,
}

/// The page of one.
pub(super) async fn one(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
) -> PanelResult<Response> {
    guarded.visitor.operator()?;
    let reader = app.store.reader();
    let person = people::get(reader, PersonId(id), app.now()).await?;
    let filters = Filters { limit: Some(ACCOUNTS), ..Filters::default() };
    let all = accounts::list(reader, guarded.visitor.scope(), &filters).await?;
    page(&PersonPage {
        shell: Shell::new(&app, &guarded.visit, Section::People, person.name.clone()),
        made: shown::moment(person.created_at, app.now()),
        locked: person.locked_until.map(|until| shown::moment(until, app.now())),
        accounts: all.into_iter().map(|account| (account.id, account.name)).collect(),
        is_own: guarded.visitor.session.person == PersonId(id),
        person,
    })
}

/// Back to a person's page, which says what came of it.
fn answered(guarded: &Guarded, to: &str, done: ApiResult<String>) -> PanelResult<Response> {
    let flash = match done {
        Ok(text) => Flash::done(text),
        Err(error) if matches!(error.status().as_u16(), 409 | 422) => Flash::failed(sentence(&error)),
        Err(error) => return Err(error.into()),
    };
    Ok(go(to, Some(flash), guarded.visit.transport))
}

async fn granted(app: &App, guarded: &Guarded, id: i64, fields: &Fields) -> ApiResult<String> {
    let right = match fields.raw("scope") {
        "admin" => Some(Right::Admin),
        "viewer" => Some(Right::Viewer),
        "none" => None,
        _ => return Err(ApiError::invalid("scope", "must be admin or viewer")),
    };
    let caller = guarded.visitor.caller.clone();
    let account = fields.number("account_id")?;
    let change = PersonGrant { scope: caller.scope, id: PersonId(id), account, right };
    let person = app.write_taking_away(caller.actor, &change).await?;
    Ok(format!(
        "{} may now: {}.",
        person.name,
        Some(may(&person)).filter(|may| !may.is_empty()).unwrap_or("nothing".to_owned())
    ))
}

/// Lets somebody look, or do everything, in an account; or takes that back.
pub(super) async fn grant(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    fields: Fields,
) -> PanelResult<Response> {
    guarded.visitor.operator()?;
    let done = granted(&app, &guarded, id, &fields).await;
    answered(&guarded, &format!("/people/{id}"), done)
}

/// Lets somebody in at once who was locked.
pub(super) async fn unlock(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
) -> PanelResult<Response> {
    guarded.visitor.operator()?;
    let caller = guarded.visitor.caller.clone();
    let done = app.write(caller.actor, &PersonUnlock { scope: caller.scope, id: PersonId(id) }).await;
    let said = done.map(|person| format!("{} may log in again.", person.name)).map_err(ApiError::from);
    answered(&guarded, &format!("/people/{id}"), said)
}

/// Deletes somebody; their sessions end at once.
pub(super) async fn delete(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
) -> PanelResult<Response> {
    guarded.visitor.operator()?;
    let caller = guarded.visitor.caller.clone();
    let change = PersonDelete { scope: caller.scope, id: PersonId(id) };
    let done = app.write_taking_away(caller.actor, &change).await;
    let said = done.map(|person| format!("{} is deleted.", person.name)).map_err(ApiError::from);
    answered(&guarded, "/people", said)
}

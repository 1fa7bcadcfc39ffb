//! Marks on the time line: a deploy, a new index. They are listed, made and deleted here, and drawn on every chart.

use super::asked::Asked;
use super::servers::{self, ServerRow, Whose};
use crate::app::App;
use crate::http::ApiResult;
use crate::operations::{SlowMarkCreate, SlowMarkDelete};
use crate::panel::failure::PanelResult;
use crate::panel::fields::Fields;
use crate::panel::problems::Problems;
use crate::panel::shell::{Flash, Section, Shell, go, own_address, page_with};
use crate::panel::shown::{self, Moment};
use crate::panel::visitor::{Guarded, PageId};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use honcho_api::SlowMark;
use honcho_model::SlowMarkId;

/// So many are listed: more than that nobody may have of an account.
const MOST: i64 = 1_000;

struct Row {
    id: i64,
    at: Moment,
    text: String,
    of: String,
    actor: String,
    compare: String,
}

/// What somebody filled in.
#[derive(Default)]
struct MarkForm {
    text: String,
    at: String,
    server_id: String,
    problems: Problems,
}

#[derive(Template)]
#[template(path = "slow_marks.html")]
struct MarksPage {
    shell: Shell,
    whose: String,
    whose_path: String,
    path: String,
    rows: Vec<Row>,
    servers: Vec<ServerRow>,
    may_change: bool,
    form: MarkForm,
}

async fn list(app: &App, guarded: &Guarded, whose: Whose, form: MarkForm) -> PanelResult<Response> {
    let marks = whose.marks(app, &guarded.visitor, MOST).await?;
    let servers = servers::rows(app, &whose.all).await?;
    let row = |mark: SlowMark| {
        let server = mark.slow_server_id.and_then(|id| servers.iter().find(|row| row.id == id));
        let asked = Asked { mark_id: mark.id.to_string(), ..Asked::default() };
        Row {
            id: mark.id,
            at: shown::moment(mark.at, app.now()),
            of: server.map_or_else(|| "all servers".to_owned(), |row| row.name.clone()),
            compare: asked.with(&whose.path, |asked| {
                let own = mark.slow_server_id.filter(|_| whose.account.is_some());
                asked.server_id = own.map(|id| id.to_string()).unwrap_or_default();
            }),
            text: mark.text,
            actor: mark.actor,
        }
    };
    let status = if form.problems.0.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = MarksPage {
        shell: Shell::new(app, &guarded.visit, Section::SlowQueries, format!("Marks of {}", whose.name())),
        whose: whose.name(),
        whose_path: whose.path.clone(),
        path: whose.marks_path(),
        rows: marks.into_iter().map(row).collect(),
        may_change: whose.may_change(&guarded.visitor),
        // A server that is nobody's is the only one that its marks are of.
        servers: if whose.account.is_some() { servers } else { Vec::new() },
        form,
    };
    page_with(status, &page)
}

/// Those of an account and of its servers.
pub(in crate::panel) async fn of_account(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
) -> PanelResult<Response> {
    let whose = Whose::account(&app, &guarded.visitor, id).await?;
    list(&app, &guarded, whose, MarkForm::default()).await
}

/// Those of a server that is nobody's.
pub(in crate::panel) async fn of_server(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
) -> PanelResult<Response> {
    let whose = Whose::server(&app, &guarded.visitor, id).await?;
    if whose.account.is_some() {
        return Ok(go(&whose.marks_path(), None, guarded.visit.transport));
    }
    list(&app, &guarded, whose, MarkForm::default()).await
}

async fn made(app: &App, guarded: &Guarded, whose: &Whose, fields: &Fields) -> ApiResult<SlowMark> {
    let writer = guarded.visitor.writer()?;
    let server = match &whose.account {
        Some(_) => fields.number("slow_server_id")?,
        None => whose.all.first().map(|server| server.id),
    };
    let body = honcho_api::SlowMarkCreate {
        account_id: whose.account.as_ref().map(|(id, _)| *id).filter(|_| server.is_none()),
        slow_server_id: server,
        // The field has no zone: all times are UTC.
        at: fields.text("at").map(|at| if at.ends_with('Z') { at } else { format!("{at}Z") }),
        text: fields.text("text"),
    };
    let change = SlowMarkCreate { scope: writer.scope, who: writer.actor.who.clone(), body };
    Ok(app.write(writer.actor, &change).await?)
}

async fn make(app: &App, guarded: &Guarded, whose: Whose, fields: &Fields) -> PanelResult<Response> {
    match made(app, guarded, &whose, fields).await {
        Ok(mark) => {
            let flash = Flash::done(format!("\u{201c}{}\u{201d} is marked.", mark.text));
            Ok(go(&whose.marks_path(), Some(flash), guarded.visit.transport))
        }
        Err(error) => {
            let form = MarkForm {
                text: fields.raw("text").to_owned(),
                at: fields.raw("at").to_owned(),
                server_id: fields.raw("slow_server_id").to_owned(),
                problems: Problems::of(error)?,
            };
            list(app, guarded, whose, form).await
        }
    }
}

/// Makes one, of all servers of an account or of one of them.
pub(in crate::panel) async fn make_of_account(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    fields: Fields,
) -> PanelResult<Response> {
    let whose = Whose::account(&app, &guarded.visitor, id).await?;
    make(&app, &guarded, whose, &fields).await
}

/// Makes one of a server that is nobody's.
pub(in crate::panel) async fn make_of_server(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    fields: Fields,
) -> PanelResult<Response> {
    let whose = Whose::server(&app, &guarded.visitor, id).await?;
    make(&app, &guarded, whose, &fields).await
}

/// Deletes one.
pub(in crate::panel) async fn delete(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    fields: Fields,
) -> PanelResult<Response> {
    let writer = guarded.visitor.writer()?;
    let change = SlowMarkDelete { scope: writer.scope, id: SlowMarkId(id) };
    let mark = app.write(writer.actor, &change).await?;
    let flash = Flash::done(format!("The mark \u{201c}{}\u{201d} is deleted.", mark.text));
    Ok(go(own_address(fields.raw("back")), Some(flash), guarded.visit.transport))
}

//! Views of the table of guests: filters that somebody has named. They are the person's own.

use super::failure::PanelResult;
use super::fields::Fields;
use super::guests::Asked;
use super::problems::sentence;
use super::shell::{Flash, go};
use super::visitor::Guarded;
use crate::app::App;
use crate::http::{ApiError, ApiResult};
use crate::operations::{ViewForget, ViewSave};
use axum::extract::State;
use axum::response::Response;
use honcho_store::saved_views;

/// A view, as the table has it.
pub(super) struct ViewLink {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) address: String,
    pub(super) is_chosen: bool,
}

/// The person's views; the one that is looked at is told.
pub(super) async fn links(app: &App, guarded: &Guarded, asked: &Asked) -> PanelResult<Vec<ViewLink>> {
    let here = asked.with(|_| {});
    let own = saved_views::of_person(app.store.reader(), guarded.visitor.session.person).await?;
    let link = |view: saved_views::SavedView| {
        let address = Asked::of_query(&view.query).with(|_| {});
        ViewLink { id: view.id, name: view.name, is_chosen: address == here, address }
    };
    Ok(own.into_iter().map(link).collect())
}

fn answered(guarded: &Guarded, to: &str, done: ApiResult<Flash>) -> PanelResult<Response> {
    let flash = match done {
        Ok(flash) => flash,
        Err(error) if error.status().as_u16() == 422 => Flash::failed(sentence(&error)),
        Err(error) => return Err(error.into()),
    };
    Ok(go(to, Some(flash), guarded.visit.transport))
}

/// Keeps what is filtered by under a name.
pub(super) async fn save(State(app): State<App>, guarded: Guarded, fields: Fields) -> PanelResult<Response> {
    let asked = Asked::of_query(fields.raw("query"));
    let to = asked.with(|_| {});
    let name = fields.raw("name").trim().to_owned();
    let saved = async {
        // What is no filter is not kept.
        asked.filters()?;
        let query = to.split_once('?').map_or("", |(_, query)| query).to_owned();
        if query.is_empty() {
            return Err(ApiError::invalid(
                "base",
                "nothing is filtered: choose what the view is to show first",
            ));
        }
        let change = ViewSave { person: guarded.visitor.session.person, name: name.clone(), query };
        app.write(guarded.visitor.caller.actor.clone(), &change).await?;
        Ok(Flash::done(format!("The view {name} is saved.")))
    };
    answered(&guarded, &to, saved.await)
}

/// Forgets a view.
pub(super) async fn forget(
    State(app): State<App>,
    guarded: Guarded,
    fields: Fields,
) -> PanelResult<Response> {
    let forgotten = async {
        let change =
            ViewForget { person: guarded.visitor.session.person, id: fields.number("view")?.unwrap_or(0) };
        app.write(guarded.visitor.caller.actor.clone(), &change).await?;
        Ok(Flash::done("The view is forgotten."))
    };
    answered(&guarded, "/guests", forgotten.await)
}

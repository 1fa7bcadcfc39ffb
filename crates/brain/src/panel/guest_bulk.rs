//! The same for several guests at once. Which they are is shown before anything is done; each is an operation of its own, so
//! that one that cannot be done keeps no other back.

use super::failure::PanelResult;
use super::fields::Fields;
use super::guests::{Row, rows};
use super::problems::sentence;
use super::shell::{Flash, Section, Shell, go, page};
use super::visitor::Guarded;
use crate::app::App;
use crate::http::{ApiError, ApiResult, Writer};
use crate::operations::{GuestCancel, GuestPower, PowerAction};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use honcho_api::Operation;
use honcho_model::GuestId;
use honcho_store::{Filters, guests};

/// How many guests may be chosen at once: as many as a page of the table shows.
const MOST: usize = 100;

/// How many refusals are told.
const TOLD: usize = 3;

/// What is done with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Start,
    Stop,
    Reboot,
    Cancel,
}

impl Act {
    const ALL: [Act; 4] = [Act::Start, Act::Stop, Act::Reboot, Act::Cancel];

    fn word(self) -> &'static str {
        match self {
            Act::Start => "start",
            Act::Stop => "stop",
            Act::Reboot => "reboot",
            Act::Cancel => "cancel",
        }
    }

    /// What is said of one while it is done.
    fn done(self) -> &'static str {
        match self {
            Act::Start => "being started",
            Act::Stop => "being stopped",
            Act::Reboot => "being rebooted",
            Act::Cancel => "cancelled",
        }
    }

    fn said(self) -> &'static str {
        match self {
            Act::Start => "Those that run already are left as they are.",
            Act::Stop => "They are asked to stop, and forced after a while.",
            Act::Reboot => "They are asked to stop, forced after a while, and started again.",
            Act::Cancel => {
                "They stop. Disks, names and addresses are kept until their accounts' grace periods end; until then it can be undone."
            }
        }
    }
}

#[derive(Template)]
#[template(path = "guest_bulk.html")]
struct BulkPage {
    shell: Shell,
    word: &'static str,
    said: &'static str,
    rows: Vec<Row>,
}

async fn done(app: &App, writer: &Writer, id: i64, act: Act) -> ApiResult<Operation> {
    let (scope, id) = (writer.scope, GuestId(id));
    let power = |action| GuestPower { scope, id, action, rules: app.rules };
    let actor = writer.actor.clone();
    let outcome = match act {
        Act::Start => app.write(actor, &power(PowerAction::Start)).await,
        Act::Stop => app.write(actor, &power(PowerAction::Stop { hard: false })).await,
        Act::Reboot => app.write(actor, &power(PowerAction::Reboot { hard: false })).await,
        Act::Cancel => app.write(actor, &GuestCancel { scope, id }).await,
    };
    Ok(outcome?)
}

/// What came of all of them.
fn told(act: Act, count: usize, refused: &[String]) -> Flash {
    let verb = if count == 1 { "guest is" } else { "guests are" };
    let first = format!("{count} {verb} {}.", act.done());
    if refused.is_empty() {
        return Flash::done(first);
    }
    let mut said = vec![first];
    said.extend(refused.iter().take(TOLD).map(|one| format!("{one}.")));
    said.extend((refused.len() > TOLD).then(|| format!("Nor are {} more.", refused.len() - TOLD)));
    Flash::failed(said.join(" "))
}

/// Shows what would be done, and does it once that was seen.
pub(super) async fn act(State(app): State<App>, guarded: Guarded, fields: Fields) -> PanelResult<Response> {
    let writer = guarded.visitor.writer()?;
    let act = Act::ALL.into_iter().find(|act| act.word() == fields.raw("act"));
    let act = act.ok_or_else(|| ApiError::invalid("act", "is none that can be done with guests"))?;
    let chosen: Vec<&str> = fields.all("guest").take(MOST).collect();
    if chosen.is_empty() {
        let flash = Flash::failed("Choose guests first: tick the boxes at the beginning of their rows.");
        return Ok(go("/guests", Some(flash), guarded.visit.transport));
    }
    let equals = chosen.iter().map(|id| ("id".to_owned(), (*id).to_owned())).collect();
    let filters = Filters { equals, ..Filters::default() };
    let found = guests::list(app.store.reader(), writer.scope, &filters, app.now()).await?;
    if !fields.is_ticked("confirmed") {
        let shell = Shell::new(&app, &guarded.visit, Section::Guests, format!("{} guests", act.word()));
        let rows = rows(&app, &guarded, found).await?;
        return page(&BulkPage { shell, word: act.word(), said: act.said(), rows });
    }
    let (mut count, mut refused) = (0, Vec::new());
    for guest in found {
        match done(&app, &writer, guest.id, act).await {
            Ok(_) => count += 1,
            Err(error) if error.status().is_client_error() => {
                refused.push(format!("{} is not: {}", guest.name, sentence(&error)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(go("/guests", Some(told(act, count, &refused)), guarded.visit.transport))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_is_told() {
        assert_eq!(told(Act::Stop, 1, &[]), Flash::done("1 guest is being stopped."));
        let refused: Vec<String> = (1..=5).map(|n| format!("g{n} is not: it is gone")).collect();
        let flash = told(Act::Cancel, 2, &refused);
        assert_eq!(flash.tone, "failed");
        assert!(flash.text.starts_with("2 guests are cancelled. g1 is not: it is gone."), "{}", flash.text);
        assert!(flash.text.ends_with("Nor are 2 more."), "{}", flash.text);
    }
}

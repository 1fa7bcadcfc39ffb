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

/// A guest with which it was not done.
struct Refused {
    id: i64,
    name: String,
    why: String,
}

#[derive(Template)]
#[template(path = "guest_bulk_done.html")]
struct DonePage {
    shell: Shell,
    done: String,
    word: &'static str,
    refused: Vec<Refused>,
    /// Those that were chosen and are not there any more.
    gone: usize,
}

/// With how many it was done.
fn told(act: Act, count: usize) -> String {
    let verb = if count == 1 { "guest is" } else { "guests are" };
    format!("{count} {verb} {}.", act.done())
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
    let gone = chosen.len().saturating_sub(found.len());
    let (mut count, mut refused, mut has_failed) = (0, Vec::new(), false);
    for guest in found {
        let (id, name) = (guest.id, guest.name);
        if has_failed {
            refused.push(Refused { id, name, why: "it was not tried any more".to_owned() });
            continue;
        }
        match done(&app, &writer, id, act).await {
            Ok(_) => count += 1,
            Err(error) => {
                // What the brain itself fails at fails for the next one, too; what was done before is done all the same.
                has_failed = !error.status().is_client_error();
                refused.push(Refused { id, name, why: sentence(&error) });
            }
        }
    }
    let done = told(act, count);
    if refused.is_empty() && gone == 0 {
        return Ok(go("/guests", Some(Flash::done(done)), guarded.visit.transport));
    }
    let shell = Shell::new(&app, &guarded.visit, Section::Guests, format!("{} guests", act.word()));
    page(&DonePage { shell, done, word: act.word(), refused, gone })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_is_told() {
        assert_eq!(told(Act::Stop, 1), "1 guest is being stopped.");
        assert_eq!(told(Act::Cancel, 2), "2 guests are cancelled.");
    }
}

//! `honcho session`: who is logged in.

use crate::age::age;
use crate::clean::clean;
use crate::command_error::CommandError;
use crate::completion::people;
use crate::connection::{self, Credential};
use crate::context::Context;
use crate::kept_session;
use crate::listing::{self, ListArguments};
use crate::question::{Answer, ConfirmArguments};
use crate::resolve;
use crate::table::{Cell, details};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Person, Session};

const LIST_EXAMPLES: &str = "\
One's own; an operator sees everybody's.

Examples:
  honcho sessions list
  honcho sessions list --person ann@example.com";

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum SessionCommand {
    /// List sessions that have not ended
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Only those of this person
        #[arg(long, value_name = "PERSON", add = ArgValueCandidates::new(people))]
        person: Option<String>,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Show one
    Show {
        /// Its id
        #[arg(value_name = "SESSION")]
        id: i64,
    },
    /// End one: whoever is in it has to log in again
    #[command(after_help = "Example:\n  honcho session end 12")]
    End {
        /// Its id
        #[arg(value_name = "SESSION")]
        id: i64,
        #[command(flatten)]
        confirm: ConfirmArguments,
    },
}

pub(crate) async fn run(context: &Context, command: SessionCommand) -> Result<(), CommandError> {
    match command {
        SessionCommand::List { person, list } => {
            let mut filters = vec![];
            if let Some(id) = resolve::optional_id::<Person>(context, person.as_deref()).await? {
                filters.push(("person_id", id.to_string()));
            }
            let sessions: Vec<Session> = list.fetch(context, filters).await?;
            let own = own_id(context)?;
            let headings = ["ID", "PERSON", "FROM", "BEGAN", "LAST USED", "ENDS", ""];
            let now = context.output.now();
            listing::show(context, &sessions, "Nobody is logged in.", &headings, |session| {
                vec![
                    Cell::number(session.id),
                    Cell::text(&session.person_name),
                    Cell::maybe(session.source.as_ref()),
                    Cell::text(age(session.created_at, now)),
                    Cell::text(age(session.last_used_at, now)),
                    Cell::text(age(session.expires_at, now)),
                    Cell::text(if Some(session.id) == own { "this one" } else { "" }),
                ]
            })
        }
        SessionCommand::Show { id } => show(context, &context.client()?.get::<Session>(id).await?),
        SessionCommand::End { id, confirm } => end(context, id, &confirm).await,
    }
}

/// The session that this command runs in.
fn own_id(context: &Context) -> Result<Option<i64>, CommandError> {
    Ok(match context.credential()? {
        Credential::Session(kept) => Some(kept.session_id),
        Credential::Token | Credential::TokenFile(_) => None,
    })
}

async fn end(context: &Context, id: i64, confirm: &ConfirmArguments) -> Result<(), CommandError> {
    let client = context.client()?;
    let session: Session = client.get(id).await?;
    let person = clean(&session.person_name);
    let own = own_id(context)? == Some(id);
    let whose = if own { "your own, here" } else { "whoever is in it has to log in again" };
    if confirm.ask(context, &format!("end session {id} of {person}: {whose}."))? == Answer::Stop {
        return Ok(());
    }
    let ended: Session = client.delete::<Session, Session>(id, &[]).await?;
    if own {
        kept_session::forget(&connection::address(&context.global)?)?;
    }
    if context.output.json {
        return context.output.json(&ended);
    }
    context.output.print(&format!("session {id} of {person} has ended"))
}

fn show(context: &Context, session: &Session) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(session);
    }
    let at = |at: jiff::Timestamp| Cell::text(age(at, output.now()));
    let rows = vec![
        ("person", Cell::text(&session.person_name)),
        ("from", Cell::maybe(session.source.as_ref())),
        ("began", at(session.created_at)),
        ("last used", at(session.last_used_at)),
        ("ends", at(session.expires_at)),
    ];
    output.print(&details(output, &format!("session {}", session.id), rows))
}

//! `honcho logout`: ends the session that `honcho login` kept.

use crate::clean::clean;
use crate::command_error::CommandError;
use crate::connection;
use crate::context::Context;
use crate::kept_session::{self, Openness, brain_name};
use honcho_api::Session;
use honcho_api::client::ClientError;

const AFTER_HELP: &str = "\
Examples:
  honcho logout
  honcho --url https://brain.example.com logout";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct LogoutArguments {
    /// Only remove what is kept here, and do not ask the brain: there the session ends an hour after its last use
    #[arg(long)]
    forget: bool,
}

pub(crate) async fn run(context: &Context, arguments: LogoutArguments) -> Result<(), CommandError> {
    let url = connection::address(&context.global)?;
    let brain = brain_name(&url);
    if arguments.forget {
        kept_session::forget(&url)?;
        return said(context, &brain, "forgotten", &format!("Whatever was kept for {brain} is removed."));
    }
    let Some(kept) = kept_session::load(&url, Openness::Allowed)? else {
        return said(context, &brain, "none", &format!("Nobody was logged in at {brain}."));
    };
    let client = connection::connect_in(&context.global, &kept)?;
    let person = clean(&kept.person);
    match client.delete::<Session, Session>(kept.session_id, &[]).await {
        Ok(_) => {
            kept_session::forget(&url)?;
            said(context, &brain, "ended", &format!("{person} is logged out at {brain}."))
        }
        Err(ClientError::Refused(body)) if matches!(body.status, 401 | 404) => {
            kept_session::forget(&url)?;
            let text = format!("The session of {person} at {brain} had ended already; its file is removed.");
            said(context, &brain, "ended before", &text)
        }
        Err(error) => Err(CommandError::from(error)
            .hint("`honcho logout --forget` removes the session here, and does not ask the brain")),
    }
}

fn said(context: &Context, brain: &str, session: &str, text: &str) -> Result<(), CommandError> {
    if context.output.json {
        return context.output.json(&serde_json::json!({ "brain": brain, "session": session }));
    }
    context.output.print(text)
}

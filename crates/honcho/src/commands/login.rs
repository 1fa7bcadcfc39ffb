//! `honcho login`: a person's session, kept for the commands that follow.

use crate::clean::clean;
use crate::command_error::CommandError;
use crate::connection;
use crate::context::Context;
use crate::kept_session::{self, KeptSession, Openness, brain_name};
use crate::password;
use honcho_api::{Session, SessionCreate};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
The password is asked for and never shown. What is kept, in a file under ~/.local/state/honcho/sessions \
(or $XDG_STATE_HOME) that nobody else can read, is the session: later commands show it to the same brain, \
unless --token or --token-file says otherwise. It ends an hour after its last use, a day after it began, \
and with `honcho logout`.

Examples:
  honcho login --name ann@example.com
  honcho --url https://brain.example.com login
  pass show honcho | honcho login --name ann@example.com --password-file -";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct LoginArguments {
    /// The person's name; asked for, when absent
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Read the password from this file (-: from standard input) instead of asking for it
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, arguments: LoginArguments) -> Result<(), CommandError> {
    let url = connection::address(&context.global)?;
    let client = connection::connect_as_nobody(&context.global)?;
    let login = match arguments.name {
        Some(name) => name,
        None => ask_name()?,
    };
    let prompt = format!("Password of {} at {}: ", clean(&login), brain_name(&url));
    let password = password::known(arguments.password_file.as_deref(), &prompt, "--password-file").await?;
    let body = SessionCreate { login: Some(login), password: Some(password) };
    let session: Session = client.create::<Session>(&body).await?;
    let kept = KeptSession {
        url: brain_name(&url),
        person: session.person_name.clone(),
        session_id: session.id,
        expires_at: session.expires_at,
        secret: session.secret.clone().unwrap_or_default(),
    };
    // What stood there cannot be worse than what replaces it.
    let before = kept_session::load(&url, Openness::Allowed).ok().flatten();
    let file = match kept_session::keep(&url, &kept) {
        Ok(file) => file,
        Err(error) => {
            // A secret that nobody has is a session that nobody can end.
            end(context, &kept).await;
            return Err(error);
        }
    };
    if let Some(before) = before {
        end(context, &before).await;
    }
    if context.output.json {
        return context.output.json(&Session { secret: None, ..session });
    }
    context.output.print(&format!(
        "Logged in at {} as {} until {}, or until an hour without use.",
        kept.url,
        clean(&kept.person),
        session.expires_at.strftime("%Y-%m-%d %H:%MZ")
    ))?;
    context.output.note(&format!("The session is kept in {}.", file.display()));
    note_what_goes_before(context);
    Ok(())
}

/// Ends a session that is not needed any more. Where that fails it ends by itself, an hour later.
async fn end(context: &Context, session: &KeptSession) {
    if let Ok(client) = connection::connect_in(&context.global, session) {
        let _ = client.delete::<Session, Session>(session.session_id, &[]).await;
    }
}

fn note_what_goes_before(context: &Context) {
    let before = match &context.global {
        global if global.token.is_some() => "--token or HONCHO_TOKEN",
        global if global.token_file.is_some() => "--token-file or HONCHO_TOKEN_FILE",
        _ => return,
    };
    context.output.note(&format!("Mind that {before} is given, and goes before the session."));
}

fn ask_name() -> Result<String, CommandError> {
    if !std::io::stdin().is_terminal() {
        let error = CommandError::usage("nobody can be asked who logs in");
        return Err(error.hint("--name says it, --password-file where the password is"));
    }
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "Name: ")?;
    stderr.flush()?;
    let mut name = String::new();
    std::io::stdin().read_line(&mut name)?;
    Ok(name.trim().to_owned())
}

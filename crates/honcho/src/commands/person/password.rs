//! `honcho person password`: another password, for oneself or (an operator) for somebody.

use crate::clean::clean;
use crate::command_error::CommandError;
use crate::completion::people;
use crate::context::Context;
use crate::password;
use crate::resolve;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{PasswordChange, Person, Whoami};
use std::path::PathBuf;

const EXAMPLES: &str = "\
The new one is asked for twice; people who change their own are asked for the one until now first. All \
other sessions of the person end. From standard input the one until now is read before the new one, each \
on a line.

Examples:
  honcho person password
  honcho person password ann@example.com
  honcho person password ann@example.com --password-file - < new.password";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PasswordArguments {
    /// The person: what they log in with, or their id. Oneself, when absent
    #[arg(value_name = "PERSON", add = ArgValueCandidates::new(people))]
    person: Option<String>,
    /// Read the new password from this file (-: from standard input) instead of asking for it
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Read the one until now from this file (-: from standard input) instead of asking for it
    #[arg(long, value_name = "FILE")]
    current_password_file: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, arguments: &PasswordArguments) -> Result<(), CommandError> {
    let client = context.client()?;
    let me: Whoami = client.get_path("/v1/whoami.json", &[]).await?;
    let (id, own) = who(context, arguments.person.as_deref(), &me).await?;
    let current_password = if own {
        let option = "--current-password-file";
        let file = arguments.current_password_file.as_deref();
        Some(password::known(file, "The password until now: ", option).await?)
    } else {
        None
    };
    let new = password::new(arguments.password_file.as_deref(), "--password-file").await?;
    let body = PasswordChange { password: Some(new), current_password };
    let person: Person = client.put(&format!("/v1/people/{id}/password.json"), &body).await?;
    if context.output.json {
        return context.output.json(&person);
    }
    let sessions = if own { "Their other sessions have ended." } else { "Their sessions have ended." };
    context.output.print(&format!("{} has another password. {sessions}", clean(&person.name)))
}

/// Whose password, and whether it is that of who asks.
async fn who(context: &Context, named: Option<&str>, me: &Whoami) -> Result<(i64, bool), CommandError> {
    match (named, me.person_id) {
        (None, Some(id)) => Ok((id, true)),
        (None, None) => {
            let error =
                CommandError::usage("say whose password: what the brain was shown is a token, and has none");
            Err(error.hint("`honcho person password PERSON`, or `honcho login` first for one's own"))
        }
        // People may not list people, but they know their own name.
        (Some(name), Some(id)) if me.person_name.as_deref() == Some(name) => Ok((id, true)),
        (Some(name), own) => {
            let person: Person = resolve::one(context, name).await?;
            Ok((person.id, own == Some(person.id)))
        }
    }
}

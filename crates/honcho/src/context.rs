//! What every command is given: where to print, and the brain.

use crate::clean::clean;
use crate::command_error::{CommandError, Ending};
use crate::connection::{self, Connection, Credential, GlobalArguments};
use crate::output::Output;
use honcho_api::client::Client;
use std::cell::OnceCell;

/// What every command is given.
pub(crate) struct Context {
    /// Where and how to print.
    pub(crate) output: Output,
    /// The options that every command takes.
    pub(crate) global: GlobalArguments,
    connection: OnceCell<Connection>,
}

impl Context {
    /// A context; the brain is looked for when a command first needs it.
    pub(crate) fn new(global: GlobalArguments, output: Output) -> Self {
        Context { output, global, connection: OnceCell::new() }
    }

    /// The brain.
    pub(crate) fn client(&self) -> Result<&Client, CommandError> {
        Ok(&self.connection()?.client)
    }

    /// What the brain is shown.
    pub(crate) fn credential(&self) -> Result<&Credential, CommandError> {
        Ok(&self.connection()?.credential)
    }

    fn connection(&self) -> Result<&Connection, CommandError> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection);
        }
        let connection = connection::connect(&self.global)?;
        Ok(self.connection.get_or_init(|| connection))
    }

    /// What a person has to know whose token or session the brain did not take.
    pub(crate) fn explain(&self, error: CommandError) -> CommandError {
        match self.connection.get().map(|connection| &connection.credential) {
            Some(credential) if error.is_about_the_credential() => match credential {
                Credential::Session(kept) => CommandError::new(
                    Ending::Refused,
                    format!("the session of {} at {} has ended", kept.person, kept.url),
                )
                .hint(format!("`honcho login --name {}` begins another", clean(&kept.person)))
                .hint("one ends an hour after its last use, a day after it began, and when the password changes"),
                Credential::Token => error.only_hint("it was given by --token or HONCHO_TOKEN").hint(ANOTHER),
                Credential::TokenFile(file) => {
                    error.only_hint(format!("it stands in {}", file.display())).hint(ANOTHER)
                }
            },
            _ => error,
        }
    }
}

const ANOTHER: &str = "`honcho login` lets a person in; an operator makes tokens by `honcho token create`";

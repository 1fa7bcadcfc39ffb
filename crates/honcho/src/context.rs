//! What every command is given: where to print, and the brain.

use crate::command_error::CommandError;
use crate::connection::{self, GlobalArguments};
use crate::output::Output;
use honcho_api::client::Client;
use std::cell::OnceCell;

/// What every command is given.
pub(crate) struct Context {
    /// Where and how to print.
    pub(crate) output: Output,
    /// The options that every command takes.
    pub(crate) global: GlobalArguments,
    client: OnceCell<Client>,
}

impl Context {
    /// A context; the brain is looked for when a command first needs it.
    pub(crate) fn new(global: GlobalArguments, output: Output) -> Self {
        Context { output, global, client: OnceCell::new() }
    }

    /// The brain.
    pub(crate) fn client(&self) -> Result<&Client, CommandError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = connection::connect(&self.global)?;
        Ok(self.client.get_or_init(|| client))
    }
}

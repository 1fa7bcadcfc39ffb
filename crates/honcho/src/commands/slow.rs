//! `honcho slow`: slow logs, read here. No brain is asked.

mod condition;
mod digest;
mod document;
mod fingerprint;
mod input;
mod reading;
mod report;

use crate::command_error::CommandError;
use crate::context::Context;

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum SlowCommand {
    /// Which queries took the time: a report of slow logs
    Digest(digest::DigestArguments),
    /// Fingerprints of statements, one JSON string a line, as pt-query-digest makes them
    Fingerprint(fingerprint::FingerprintArguments),
}

pub(crate) fn run(context: &Context, command: &SlowCommand) -> Result<(), CommandError> {
    match command {
        SlowCommand::Digest(arguments) => digest::run(context, arguments),
        SlowCommand::Fingerprint(arguments) => fingerprint::run(context, arguments),
    }
}

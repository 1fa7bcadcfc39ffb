//! `honcho slow`: slow logs, read here without a brain; and those that servers have sent to one.

mod condition;
mod digest;
mod document;
mod fingerprint;
mod input;
mod queries;
mod reading;
mod report;
mod servers;

use crate::command_error::CommandError;
use crate::context::Context;

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum SlowCommand {
    /// Which queries took the time: a report of slow logs
    Digest(digest::DigestArguments),
    /// Fingerprints of statements, one JSON string a line, as pt-query-digest makes them
    Fingerprint(fingerprint::FingerprintArguments),
    /// Servers that send their slow logs: when the last came, what is missing
    #[command(after_help = servers::EXAMPLES)]
    Servers(servers::ServersArguments),
    /// Which queries of a server took the time, out of all its logs that came
    #[command(after_help = queries::EXAMPLES)]
    Queries(queries::QueriesArguments),
}

pub(crate) async fn run(context: &Context, command: &SlowCommand) -> Result<(), CommandError> {
    match command {
        SlowCommand::Digest(arguments) => digest::run(context, arguments),
        SlowCommand::Fingerprint(arguments) => fingerprint::run(context, arguments),
        SlowCommand::Servers(arguments) => servers::run(context, arguments).await,
        SlowCommand::Queries(arguments) => queries::run(context, arguments).await,
    }
}

//! `honcho slow`: slow logs, read here without a brain; and those that servers have sent to one.

mod condition;
mod digest;
mod document;
mod fingerprint;
mod input;
mod judge;
mod mark;
mod queries;
mod query;
mod reading;
mod report;
mod servers;
mod settings;
mod words;

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
    /// Which queries of a server or an account took the time, and what became of them
    #[command(after_help = queries::EXAMPLES)]
    Queries(queries::QueriesArguments),
    /// All about one query: over time, by whom, its tables, advice, notes
    #[command(after_help = query::EXAMPLES)]
    Query(query::QueryArguments),
    /// Mark a moment, as of a deploy, so that what came after can be compared with what was before
    #[command(after_help = mark::EXAMPLES)]
    Mark(mark::MarkArguments),
    /// List marks
    #[command(after_help = mark::LIST_EXAMPLES)]
    Marks(mark::MarksArguments),
    /// Delete a mark
    #[command(after_help = "Example:\n  honcho slow unmark 3")]
    Unmark {
        /// Its id
        id: i64,
    },
    /// Show or change what of slow queries an account is told, and where
    #[command(after_help = settings::EXAMPLES)]
    Settings(settings::SettingsArguments),
    /// Say what is made of a query: looked at, accepted, ignored, or a note
    #[command(after_help = judge::EXAMPLES)]
    Judge(judge::JudgeArguments),
}

pub(crate) async fn run(context: &Context, command: &SlowCommand) -> Result<(), CommandError> {
    match command {
        SlowCommand::Digest(arguments) => digest::run(context, arguments),
        SlowCommand::Fingerprint(arguments) => fingerprint::run(context, arguments),
        SlowCommand::Servers(arguments) => servers::run(context, arguments).await,
        SlowCommand::Queries(arguments) => queries::run(context, arguments).await,
        SlowCommand::Query(arguments) => query::run(context, arguments).await,
        SlowCommand::Mark(arguments) => mark::run(context, arguments).await,
        SlowCommand::Marks(arguments) => mark::list(context, arguments).await,
        SlowCommand::Unmark { id } => mark::delete(context, *id).await,
        SlowCommand::Settings(arguments) => settings::run(context, arguments).await,
        SlowCommand::Judge(arguments) => judge::run(context, arguments).await,
    }
}

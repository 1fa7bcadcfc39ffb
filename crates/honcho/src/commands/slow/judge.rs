//! `honcho slow judge`: what is made of a query.

use crate::clean::clean;
use crate::command_error::CommandError;
use crate::context::Context;
use honcho_api::SlowQueryDetails;

pub(super) const EXAMPLES: &str = "\
A query that is ignored is in no ranking, and nobody is told of it; `new` takes back whatever was said. Without a state there is a note \
alone. Who said what when is in `honcho slow query`, and in the event log.

Examples:
  honcho slow judge 42 looked_at --note 'index is in the next release'
  honcho slow judge 42 ignored --note 'the nightly report'
  honcho slow judge 42 --note 'asked by cron at 3:00'
  honcho slow queries --account acme --state ignored";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct JudgeArguments {
    /// The query's id, as `honcho slow queries` shows it
    id: i64,
    /// What is made of it
    #[arg(value_parser = ["new", "looked_at", "accepted", "ignored"], required_unless_present = "note")]
    state: Option<String>,
    /// Why, in a line
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

pub(super) async fn run(context: &Context, arguments: &JudgeArguments) -> Result<(), CommandError> {
    let mut query = Vec::new();
    query.extend(arguments.state.clone().map(|state| ("state", state)));
    query.extend(arguments.note.clone().map(|note| ("note", note)));
    let judged: SlowQueryDetails =
        context.client()?.action::<SlowQueryDetails, _>(arguments.id, "judge", &query).await?;
    if context.output.json {
        return context.output.json(&judged);
    }
    let name: String = judged.query.fingerprint.chars().take(80).collect();
    let state = &judged.query.state;
    context.output.print(&format!(
        "Query {} ({}) is {state}; notes on it: {}.",
        judged.query.id,
        clean(&name),
        judged.notes.len()
    ))
}

//! `honcho guest move`.

use crate::clean::clean;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::question::{Answer, ConfirmArguments};
use crate::resolve::{self, Cancelled, GuestArgument};
use crate::values::size_text;
use crate::waiting::WaitArguments;
use honcho_api::{Guest, GuestMoveTrial, Host, Operation};

const AFTER_HELP: &str = "\
A guest that runs is asked to stop, is off while its disk is copied from host to host, and starts \
where it went. Until all of it is there and was compared it stays where it was: \
`honcho operation abandon` leaves it there.

Examples:
  honcho guest move web1 --dry-run
  honcho guest move web1 --to h7 --wait
  honcho guest move web1 --to h7 --yes --json";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct MoveArguments {
    #[command(flatten)]
    guest: GuestArgument,
    /// The host [default: wherever it fits best]
    #[arg(long, value_name = "HOST")]
    to: Option<String>,
    #[command(flatten)]
    confirm: ConfirmArguments,
    #[command(flatten)]
    wait: WaitArguments,
}

pub(crate) async fn run(context: &Context, arguments: &MoveArguments) -> Result<(), CommandError> {
    let guest = arguments.guest.find(context, Cancelled::Too).await?;
    let to = resolve::optional_id::<Host>(context, arguments.to.as_deref()).await?;
    let client = context.client()?;
    let mut query: Vec<(&str, String)> = to.map(|id| ("to_host_id", id.to_string())).into_iter().collect();
    query.push(("dry_run", "true".to_owned()));
    let trial: GuestMoveTrial = client.action::<Guest, _>(guest.id, "move", &query).await?;
    if arguments.confirm.dry_run && context.output.json {
        return context.output.json(&trial);
    }
    let what = format!(
        "move guest {} from {} to {} (a disk of {}): {}",
        clean(&trial.guest),
        clean(&trial.from_host),
        clean(&trial.to_host),
        size_text(trial.copied_bytes),
        clean(&trial.said)
    );
    if arguments.confirm.ask(context, &what)? == Answer::Stop {
        return Ok(());
    }
    // Where it was said to go, whatever has changed since.
    let query = [("to_host_id", trial.to_host_id.to_string())];
    let operation: Operation = client.action::<Guest, _>(guest.id, "move", &query).await?;
    arguments.wait.conclude(context, operation).await
}

//! `honcho guest start`, `stop` and `reboot`.

use crate::command_error::CommandError;
use crate::context::Context;
use crate::resolve::{Cancelled, GuestArgument};
use crate::waiting::WaitArguments;
use honcho_api::{Guest, Operation};

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  honcho guest start web1 --wait")]
pub(crate) struct StartArguments {
    #[command(flatten)]
    guest: GuestArgument,
    #[command(flatten)]
    wait: WaitArguments,
}

#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "It is asked to shut down (ACPI), asked again, and ended after 90 s if it did not.\n\nExamples:\n  honcho guest stop web1 --wait\n  honcho guest stop web1 --hard"
)]
pub(crate) struct StopArguments {
    #[command(flatten)]
    guest: GuestArgument,
    /// Pull the plug at once
    #[arg(long)]
    hard: bool,
    #[command(flatten)]
    wait: WaitArguments,
}

#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "A stopped guest is not rebooted: start it. Reboots that wait are one.\n\nExamples:\n  honcho guest reboot web1 --wait\n  honcho guest reboot web1 --hard"
)]
pub(crate) struct RebootArguments {
    #[command(flatten)]
    guest: GuestArgument,
    /// Pull the plug instead of shutting down
    #[arg(long)]
    hard: bool,
    #[command(flatten)]
    wait: WaitArguments,
}

pub(crate) async fn start(context: &Context, arguments: &StartArguments) -> Result<(), CommandError> {
    act(context, &arguments.guest, "start", &[], &arguments.wait).await
}

pub(crate) async fn stop(context: &Context, arguments: &StopArguments) -> Result<(), CommandError> {
    act(context, &arguments.guest, "stop", hard(arguments.hard), &arguments.wait).await
}

pub(crate) async fn reboot(context: &Context, arguments: &RebootArguments) -> Result<(), CommandError> {
    act(context, &arguments.guest, "reboot", hard(arguments.hard), &arguments.wait).await
}

fn hard(wanted: bool) -> &'static [(&'static str, &'static str)] {
    if wanted { &[("hard", "true")] } else { &[] }
}

async fn act(
    context: &Context,
    guest: &GuestArgument,
    action: &str,
    query: &[(&'static str, &'static str)],
    wait: &WaitArguments,
) -> Result<(), CommandError> {
    let guest = guest.find(context, Cancelled::Hidden).await?;
    let query: Vec<(&str, String)> = query.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let operation: Operation = context.client()?.action::<Guest, _>(guest.id, action, &query).await?;
    wait.conclude(context, operation).await
}

//! `honcho guest restore`.

use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use crate::resolve::{Cancelled, GuestArgument};
use crate::waiting::WaitArguments;
use honcho_api::{Guest, Operation};

const AFTER_HELP: &str = "\
It is as it was before it was cancelled: with its disk, addresses and name, and it runs if it should \
have run.

Examples:
  honcho guests list --cancelled
  honcho guest restore web1 --wait";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RestoreArguments {
    #[command(flatten)]
    guest: GuestArgument,
    #[command(flatten)]
    wait: WaitArguments,
}

pub(crate) async fn run(context: &Context, arguments: &RestoreArguments) -> Result<(), CommandError> {
    let guest = arguments.guest.find(context, Cancelled::Too).await?;
    if guest.cancelled_at.is_none() {
        return Err(CommandError::new(Ending::Refused, format!("guest {} is not cancelled", guest.name)));
    }
    let operation: Operation = context.client()?.action::<Guest, _>(guest.id, "restore", &[]).await?;
    arguments.wait.conclude(context, operation).await
}

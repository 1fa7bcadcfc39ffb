//! `honcho guest update`.

use crate::command_error::CommandError;
use crate::context::Context;
use crate::resolve::{Cancelled, GuestArgument};
use honcho_api::Guest;

const AFTER_HELP: &str = "\
A guest that may start alone is started by its host after a power cut also while the brain cannot be \
reached, and is never placed elsewhere without that host's word.

Examples:
  honcho guest update ns1 --start-alone
  honcho guest update ns1 --no-start-alone";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["start_alone", "no_start_alone"]))]
pub(crate) struct UpdateArguments {
    #[command(flatten)]
    guest: GuestArgument,
    /// It may start before its host has heard from the brain
    #[arg(long)]
    start_alone: bool,
    /// It waits until its host has heard from the brain
    #[arg(long)]
    no_start_alone: bool,
}

pub(crate) async fn run(context: &Context, arguments: &UpdateArguments) -> Result<(), CommandError> {
    let guest = arguments.guest.find(context, Cancelled::Hidden).await?;
    let body = serde_json::json!({ "start_alone": arguments.start_alone });
    super::show::print(context, &context.client()?.update::<Guest>(guest.id, &body).await?).await
}

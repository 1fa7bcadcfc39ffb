//! `honcho guest rename`.

use crate::clean::clean;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::resolve::{Cancelled, GuestArgument};
use crate::waiting::WaitArguments;
use honcho_api::Guest;

const AFTER_HELP: &str = "\
The name is the brain's: nothing of the guest is touched, and its own host name stays what it is.

Example:
  honcho guest rename web1 web-old";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RenameArguments {
    #[command(flatten)]
    guest: GuestArgument,
    /// The new name
    new_name: String,
    #[command(flatten)]
    wait: WaitArguments,
}

pub(crate) async fn run(context: &Context, arguments: &RenameArguments) -> Result<(), CommandError> {
    let guest = arguments.guest.find(context, Cancelled::Hidden).await?;
    let client = context.client()?;
    let before = guest.operation_id;
    let renamed =
        client.update::<Guest>(guest.id, &serde_json::json!({ "name": arguments.new_name })).await?;
    if let Some(id) = renamed.operation_id.filter(|id| arguments.wait.wait && Some(*id) != before) {
        return arguments.wait.conclude(context, client.operation(id).await?).await;
    }
    if context.output.json {
        return context.output.json(&renamed);
    }
    context.output.print(&format!("guest {} is now named {}", clean(&guest.name), clean(&renamed.name)))
}

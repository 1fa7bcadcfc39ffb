//! `honcho guest delete`.

use crate::age::{age, span};
use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use crate::question::{Answer, ConfirmArguments};
use crate::resolve::{Cancelled, GuestArgument};
use crate::values::size_text;
use crate::waiting::WaitArguments;
use honcho_api::client::ClientError;
use honcho_api::{Account, Guest, Operation};

const AFTER_HELP: &str = "\
The guest is stopped. Its disk, addresses and name are kept until its account's grace period ends; \
until then `honcho guest restore` takes it back. --now keeps nothing.

Examples:
  honcho guest delete web1 --dry-run
  honcho guest delete web1
  honcho guest delete web1 --now --yes --wait";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DeleteArguments {
    #[command(flatten)]
    guest: GuestArgument,
    /// Delete it at once, without a grace period
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    confirm: ConfirmArguments,
    #[command(flatten)]
    wait: WaitArguments,
}

pub(crate) async fn run(context: &Context, arguments: &DeleteArguments) -> Result<(), CommandError> {
    let guest = arguments.guest.find(context, Cancelled::Too).await?;
    if guest.deleted_at.is_some() {
        return Err(CommandError::new(Ending::Refused, format!("guest {} is deleted already", guest.name)));
    }
    if let (Some(_), false) = (guest.cancelled_at, arguments.now) {
        let when = guest.deletes_at.map(|at| age(at, context.output.now())).unwrap_or_default();
        let error = CommandError::new(Ending::Refused, format!("guest {} is cancelled already", guest.name));
        return Err(error.hint(format!(
            "it is deleted {when}; --now deletes it at once, `honcho guest restore {}` takes it back",
            guest.id
        )));
    }
    let what = consequences(context, &guest, arguments.now).await?;
    if arguments.confirm.ask(context, &what)? == Answer::Stop {
        return Ok(());
    }
    let query: &[(&str, String)] = if arguments.now { &[("now", "true".to_owned())] } else { &[] };
    let operation: Operation = context.client()?.delete::<Guest, _>(guest.id, query).await?;
    arguments.wait.conclude(context, operation).await
}

async fn consequences(context: &Context, guest: &Guest, now: bool) -> Result<String, CommandError> {
    let addresses: Vec<&str> = guest.interfaces.iter().filter_map(|card| card.address.as_deref()).collect();
    let held = match addresses.as_slice() {
        [] => String::new(),
        addresses => format!(" and {}", addresses.join(", ")),
    };
    let which = format!("guest {} (id {}, {})", guest.name, guest.id, guest.status.as_str());
    let disk = size_text(guest.disk_bytes);
    if now {
        return Ok(format!(
            "delete {which} now: it is ended, its disk ({disk}) is destroyed, its name{held} become free. Nothing brings it back."
        ));
    }
    let grace = match context.client()?.get::<Account>(guest.account_id).await {
        Ok(account) => format!("for {}", span(u64::try_from(account.grace_seconds).unwrap_or(0))),
        // Who may delete a guest may not always see its account.
        Err(ClientError::Refused(_)) => "until its account's grace period ends".to_owned(),
        Err(error) => return Err(error.into()),
    };
    Ok(format!(
        "cancel {which}: it is stopped; its disk ({disk}), its name{held} are kept {grace}, then the disk is destroyed. `honcho guest restore {}` takes it back until then.",
        guest.id
    ))
}

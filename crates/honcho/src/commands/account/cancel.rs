//! `honcho account cancel` and `restore`.

use super::{AccountArgument, grace, guests_that_run};
use crate::age::age;
use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use crate::question::{Answer, ConfirmArguments};
use honcho_api::{Account, Guest};

const CANCEL_HELP: &str = "\
Its guests stop. All it owns is kept until its grace period ends: disks, addresses and names, networks and
images; until then `honcho account restore` takes it back. --now keeps nothing.

Examples:
  honcho account cancel acme --dry-run
  honcho account cancel acme
  honcho account cancel acme --now --yes";

const RESTORE_HELP: &str = "\
With it come back exactly those guests that its cancellation cancelled. One for whose memory its host has no
room any more comes back stopped, and says so.

Examples:
  honcho accounts list --cancelled
  honcho account restore acme";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = CANCEL_HELP)]
pub(crate) struct CancelArguments {
    #[command(flatten)]
    account: AccountArgument,
    /// Delete it and all it owns at once, without a grace period
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    confirm: ConfirmArguments,
}

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = RESTORE_HELP)]
pub(crate) struct RestoreArguments {
    #[command(flatten)]
    account: AccountArgument,
}

pub(crate) async fn cancel(context: &Context, arguments: &CancelArguments) -> Result<(), CommandError> {
    let account = arguments.account.find(context).await?;
    if let (Some(_), false) = (account.cancelled_at, arguments.now) {
        let when = account.deletes_at.map(|at| age(at, context.output.now())).unwrap_or_default();
        let error =
            CommandError::new(Ending::Refused, format!("account {} is cancelled already", account.name));
        return Err(error.hint(format!(
            "it is deleted {when}; --now deletes it at once, `honcho account restore {}` takes it back",
            account.id
        )));
    }
    let client = context.client()?;
    let filters = [("account_id", account.id.to_string()), ("cancelled", "true".to_owned())];
    let mut guests: Vec<Guest> = client.list(&filters).await?;
    guests.retain(|guest| guest.deleted_at.is_none());
    let which = format!("account {} (id {})", account.name, account.id);
    let stops = guests_that_run(&guests);
    let what = if arguments.now {
        format!(
            "delete {which} now: {stops}; {} guests with their disks, its networks and its images are destroyed. Nothing brings them back.",
            guests.len()
        )
    } else {
        format!(
            "cancel {which}: {stops}; its guests ({} in all), networks and images are kept for {}, then destroyed. `honcho account restore {}` takes it back until then.",
            guests.len(),
            grace(&account),
            account.id
        )
    };
    if arguments.confirm.ask(context, &what)? == Answer::Stop {
        return Ok(());
    }
    let query: &[(&str, String)] = if arguments.now { &[("now", "true".to_owned())] } else { &[] };
    let account: Account = client.delete::<Account, _>(account.id, query).await?;
    super::show(context, &account)
}

pub(crate) async fn restore(context: &Context, arguments: &RestoreArguments) -> Result<(), CommandError> {
    let account = arguments.account.find(context).await?;
    if account.cancelled_at.is_none() {
        return Err(CommandError::new(Ending::Refused, format!("account {} is not cancelled", account.name)));
    }
    let account: Account = context.client()?.action::<Account, _>(account.id, "restore", &[]).await?;
    super::show(context, &account)
}

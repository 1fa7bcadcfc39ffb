//! `honcho account suspend` and `unsuspend`.

use super::{AccountArgument, guests_that_run};
use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use crate::question::{Answer, ConfirmArguments};
use honcho_api::{Account, Guest};

const SUSPEND_HELP: &str = "\
Its guests stop and may not start. Whether each of them should run is kept: `honcho account unsuspend`
starts those, and no others.

Examples:
  honcho account suspend acme --reason \"invoice 4711 is unpaid\" --dry-run
  honcho account suspend acme --yes";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = SUSPEND_HELP)]
pub(crate) struct SuspendArguments {
    #[command(flatten)]
    account: AccountArgument,
    /// Why; its customer reads it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    confirm: ConfirmArguments,
}

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  honcho account unsuspend acme")]
pub(crate) struct UnsuspendArguments {
    #[command(flatten)]
    account: AccountArgument,
}

pub(crate) async fn suspend(context: &Context, arguments: &SuspendArguments) -> Result<(), CommandError> {
    let account = arguments.account.find(context).await?;
    if account.suspended_at.is_some() {
        return Err(CommandError::new(
            Ending::Refused,
            format!("account {} is suspended already", account.name),
        ));
    }
    let client = context.client()?;
    let guests: Vec<Guest> = client.list(&[("account_id", account.id.to_string())]).await?;
    let what = format!(
        "suspend account {} (id {}): {}; none of its guests may start until `honcho account unsuspend {}`.",
        account.name,
        account.id,
        guests_that_run(&guests),
        account.id
    );
    if arguments.confirm.ask(context, &what)? == Answer::Stop {
        return Ok(());
    }
    let query: Vec<(&str, String)> =
        arguments.reason.iter().map(|reason| ("reason", reason.clone())).collect();
    let account: Account = client.action::<Account, _>(account.id, "suspend", &query).await?;
    super::show(context, &account)
}

pub(crate) async fn unsuspend(context: &Context, arguments: &UnsuspendArguments) -> Result<(), CommandError> {
    let account = arguments.account.find(context).await?;
    let account: Account = context.client()?.action::<Account, _>(account.id, "unsuspend", &[]).await?;
    super::show(context, &account)
}

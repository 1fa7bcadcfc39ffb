//! `honcho account keep-sample-values` and `redact-sample-values`.

use super::AccountArgument;
use crate::command_error::CommandError;
use crate::context::Context;
use honcho_api::Account;

const KEEP_HELP: &str = "\
Of each kind of slow queries the slowest is kept as a sample, with `?` for its values: those are personal data. After this command it is
kept with them (up to 1024 bytes), from the next slow log on. It is for the account itself to decide.

Examples:
  honcho account keep-sample-values acme
  honcho slow queries --server guest-7 --json | jq -r '.[].sample'";

const REDACT_HELP: &str = "\
The values that were kept are removed. Backups that were made before still have them.

Example:
  honcho account redact-sample-values acme";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = KEEP_HELP)]
pub(crate) struct KeepArguments {
    #[command(flatten)]
    account: AccountArgument,
}

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = REDACT_HELP)]
pub(crate) struct RedactArguments {
    #[command(flatten)]
    account: AccountArgument,
}

pub(crate) async fn keep(context: &Context, arguments: &KeepArguments) -> Result<(), CommandError> {
    ask(context, &arguments.account, "keep_sample_values").await
}

pub(crate) async fn redact(context: &Context, arguments: &RedactArguments) -> Result<(), CommandError> {
    ask(context, &arguments.account, "redact_sample_values").await
}

async fn ask(context: &Context, account: &AccountArgument, action: &str) -> Result<(), CommandError> {
    let account = account.find(context).await?;
    let account: Account = context.client()?.action::<Account, _>(account.id, action, &[]).await?;
    super::show(context, &account)
}

//! `honcho person grant` and `revoke`: what a person may in one account.

use super::PersonArgument;
use crate::command_error::CommandError;
use crate::completion::accounts;
use crate::context::Context;
use crate::resolve;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, Person};

const GRANT_EXAMPLES: &str = "\
Examples:
  honcho person grant ann@example.com --account acme
  honcho person grant bob --account acme --viewer";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = GRANT_EXAMPLES)]
pub(crate) struct GrantArguments {
    #[command(flatten)]
    person: PersonArgument,
    /// They are admin of this account: they may do everything with what it owns
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: String,
    /// They may look at what it owns, and change nothing
    #[arg(long)]
    viewer: bool,
}

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  honcho person revoke ann@example.com --account acme")]
pub(crate) struct RevokeArguments {
    #[command(flatten)]
    person: PersonArgument,
    /// In which account they may nothing any more
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: String,
}

pub(crate) async fn grant(context: &Context, arguments: &GrantArguments) -> Result<(), CommandError> {
    let scope = if arguments.viewer { "viewer" } else { "admin" };
    let query = [("scope", scope.to_owned())];
    act(context, &arguments.person, &arguments.account, "grant", &query).await
}

pub(crate) async fn revoke(context: &Context, arguments: &RevokeArguments) -> Result<(), CommandError> {
    act(context, &arguments.person, &arguments.account, "revoke", &[]).await
}

async fn act(
    context: &Context,
    person: &PersonArgument,
    account: &str,
    action: &str,
    query: &[(&str, String)],
) -> Result<(), CommandError> {
    let person = person.find(context).await?;
    let account: Account = resolve::account(context, account).await?;
    let mut query = query.to_vec();
    query.push(("account_id", account.id.to_string()));
    super::show(context, &context.client()?.action::<Person, Person>(person.id, action, &query).await?)
}

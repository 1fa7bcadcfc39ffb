//! `honcho cluster list`.

use super::{account_id, roles_text};
use crate::age::age;
use crate::command_error::CommandError;
use crate::completion::accounts;
use crate::context::Context;
use crate::listing::{self, ListArguments, Names};
use crate::table::Cell;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, Cluster};

const AFTER_HELP: &str = "\
Examples:
  honcho clusters list
  honcho clusters list --account acme --json | jq -r '.[].name'";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ListClustersArguments {
    /// Only those of this account
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    /// Cancelled and deleted ones too
    #[arg(long)]
    cancelled: bool,
    #[command(flatten)]
    list: ListArguments,
}

pub(crate) async fn run(context: &Context, arguments: ListClustersArguments) -> Result<(), CommandError> {
    let account = account_id(context, arguments.account.as_deref()).await?;
    let mut filters: Vec<(&str, String)> = Vec::new();
    filters.extend(account.map(|id| ("account_id", id.to_string())));
    if arguments.cancelled {
        filters.push(("cancelled", "true".to_owned()));
    }
    let clusters: Vec<Cluster> = arguments.list.fetch(context, filters).await?;
    let accounts = Names::of::<Account>(context).await?;
    let nothing = "There are no such clusters: `honcho cluster create --help` shows how one is made.";
    let headings = ["ID", "NAME", "ACCOUNT", "GUESTS", "RUNNING", "OPEN OPERATIONS", "ROLES", "CREATED"];
    listing::show(context, &clusters, nothing, &headings, |cluster| {
        vec![
            Cell::number(cluster.id),
            Cell::text(&cluster.name),
            accounts.cell(Some(cluster.account_id)),
            Cell::number(cluster.guests_count),
            Cell::number(cluster.running_count),
            Cell::number(cluster.open_operations_count),
            Cell::text(roles_text(cluster)),
            Cell::text(age(cluster.created_at, context.output.now())),
        ]
    })
}

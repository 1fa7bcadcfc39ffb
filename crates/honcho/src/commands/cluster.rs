//! `honcho cluster`: guests that are ordered, shown and ended as one.

mod create;
mod delete;
mod list;
mod show;

use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use crate::resolve;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, Cluster, Guest};

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum ClusterCommand {
    /// Make a cluster with all its guests, or none of them
    Create(Box<create::CreateArguments>),
    /// List clusters
    List(list::ListClustersArguments),
    /// Show one with its guests
    Show(show::ShowArguments),
    /// Cancel one: its guests stop, and are deleted when their grace period ends
    Delete(delete::DeleteArguments),
    /// Take a cancelled one back
    Restore(delete::RestoreArguments),
}

/// A cluster, and whose.
#[derive(Clone, Debug, clap::Args)]
struct ClusterArgument {
    /// The cluster: its name or id
    #[arg(value_name = "CLUSTER", add = ArgValueCandidates::new(crate::completion::clusters))]
    cluster: String,

    /// The account that owns it, where several have a cluster of that name
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(crate::completion::accounts))]
    account: Option<String>,
}

impl ClusterArgument {
    /// The cluster that is meant: the living first, then the cancelled.
    async fn find(&self, context: &Context) -> Result<Cluster, CommandError> {
        resolve::cluster(context, &self.cluster, self.account.as_deref()).await
    }
}

pub(crate) async fn run(context: &Context, command: ClusterCommand) -> Result<(), CommandError> {
    match command {
        ClusterCommand::Create(arguments) => create::run(context, &arguments).await,
        ClusterCommand::List(arguments) => list::run(context, arguments).await,
        ClusterCommand::Show(arguments) => show::run(context, &arguments).await,
        ClusterCommand::Delete(arguments) => delete::run(context, &arguments).await,
        ClusterCommand::Restore(arguments) => delete::restore(context, &arguments).await,
    }
}

/// The guests of a cluster: those that live, or of a cancelled one those that can be taken back.
async fn guests_of(context: &Context, cluster: &Cluster) -> Result<Vec<Guest>, CommandError> {
    let mut filters = vec![("account_id", cluster.account_id.to_string()), ("cluster", cluster.name.clone())];
    if cluster.cancelled_at.is_some() {
        filters.push(("cancelled", "true".to_owned()));
    }
    let mut guests: Vec<Guest> = context.client()?.list(&filters).await?;
    guests.retain(|guest| guest.deleted_at.is_none());
    Ok(guests)
}

/// "2 front, 6 app, 2 db".
fn roles_text(cluster: &Cluster) -> String {
    let text = |role: &honcho_api::ClusterRole| {
        format!("{} {}", role.guests_count, role.role.as_deref().unwrap_or("without a role"))
    };
    let texts: Vec<String> = cluster.roles.iter().map(text).collect();
    if texts.is_empty() { "no guests".to_owned() } else { texts.join(", ") }
}

fn refused(text: String) -> CommandError {
    CommandError::new(Ending::Refused, text)
}

/// The account that was named.
async fn account_id(context: &Context, account: Option<&str>) -> Result<Option<i64>, CommandError> {
    resolve::optional_id::<Account>(context, account).await
}

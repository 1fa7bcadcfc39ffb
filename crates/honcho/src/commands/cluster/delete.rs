//! `honcho cluster delete` and `restore`.

use super::{ClusterArgument, guests_of, refused, roles_text};
use crate::age::age;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::question::{Answer, ConfirmArguments};
use honcho_api::Cluster;

const DELETE_HELP: &str = "\
All its guests are stopped, in one go. Their disks, addresses and names are kept until their account's
grace period ends; until then `honcho cluster restore` takes them back. --now keeps nothing.

Examples:
  honcho cluster delete shop --dry-run
  honcho cluster delete shop
  honcho cluster delete shop --now --yes";

const RESTORE_HELP: &str = "\
With it come back the guests that were cancelled with it; one that was cancelled alone before stays
cancelled. One for which its host has no room any more comes back stopped, and says so.

Examples:
  honcho clusters list --cancelled
  honcho cluster restore shop";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = DELETE_HELP)]
pub(crate) struct DeleteArguments {
    #[command(flatten)]
    cluster: ClusterArgument,
    /// Delete its guests at once, without a grace period
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    confirm: ConfirmArguments,
}

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = RESTORE_HELP)]
pub(crate) struct RestoreArguments {
    #[command(flatten)]
    cluster: ClusterArgument,
}

pub(crate) async fn run(context: &Context, arguments: &DeleteArguments) -> Result<(), CommandError> {
    let cluster = arguments.cluster.find(context).await?;
    if cluster.deleted_at.is_some() {
        return Err(refused(format!("cluster {} is deleted already", cluster.name)));
    }
    if let (Some(_), false) = (cluster.cancelled_at, arguments.now) {
        let when = cluster.deletes_at.map(|at| age(at, context.output.now())).unwrap_or_default();
        return Err(refused(format!("cluster {} is cancelled already", cluster.name)).hint(format!(
            "it is deleted {when}; --now deletes it at once, `honcho cluster restore {}` takes it back",
            cluster.id
        )));
    }
    let which = format!("cluster {} (id {}): {}", cluster.name, cluster.id, roles_text(&cluster));
    let what = if arguments.now {
        let guests = guests_of(context, &cluster).await?;
        let names: Vec<&str> = guests.iter().map(|guest| guest.name.as_str()).collect();
        format!(
            "delete {which} now: {} are ended, their disks are destroyed, their names and addresses become free. Nothing brings them back.",
            names.join(", ")
        )
    } else {
        format!(
            "cancel {which}, of which {} run: they are stopped; disks, names and addresses are kept until the grace period ends. `honcho cluster restore {}` takes it back until then.",
            cluster.running_count, cluster.id
        )
    };
    if arguments.confirm.ask(context, &what)? == Answer::Stop {
        return Ok(());
    }
    let query: &[(&str, String)] = if arguments.now { &[("now", "true".to_owned())] } else { &[] };
    let cluster: Cluster = context.client()?.delete::<Cluster, _>(cluster.id, query).await?;
    super::show::print(context, &cluster).await
}

pub(crate) async fn restore(context: &Context, arguments: &RestoreArguments) -> Result<(), CommandError> {
    let cluster = arguments.cluster.find(context).await?;
    if cluster.cancelled_at.is_none() {
        return Err(refused(format!("cluster {} is not cancelled", cluster.name)));
    }
    let cluster: Cluster = context.client()?.action::<Cluster, _>(cluster.id, "restore", &[]).await?;
    super::show::print(context, &cluster).await
}

//! `honcho cluster show`.

use super::{ClusterArgument, guests_of, roles_text};
use crate::age::age;
use crate::command_error::CommandError;
use crate::commands::guest::status_cell;
use crate::context::Context;
use crate::listing::Names;
use crate::table::{Cell, details, table};
use honcho_api::{Account, Cluster, Host};

#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  honcho cluster show shop\n  honcho cluster show shop --json | jq .open_operations_count"
)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    cluster: ClusterArgument,
}

pub(crate) async fn run(context: &Context, arguments: &ShowArguments) -> Result<(), CommandError> {
    print(context, &arguments.cluster.find(context).await?).await
}

/// One cluster: what it is, and its guests.
pub(super) async fn print(context: &Context, cluster: &Cluster) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(cluster);
    }
    let accounts = Names::of::<Account>(context).await?;
    let hosts = Names::of::<Host>(context).await?;
    let when = |at: jiff::Timestamp| Cell::text(age(at, output.now()));
    let mut rows = vec![
        ("id", Cell::text(cluster.id.to_string())),
        ("uuid", Cell::text(cluster.uuid.to_string())),
        ("account", accounts.cell(Some(cluster.account_id))),
        ("guests", Cell::text(roles_text(cluster))),
        ("running", Cell::text(cluster.running_count.to_string())),
        ("open operations", Cell::text(cluster.open_operations_count.to_string())),
    ];
    rows.extend(cluster.reference.as_ref().map(|reference| ("reference", Cell::text(reference))));
    rows.push(("created", when(cluster.created_at)));
    rows.extend(cluster.cancelled_at.map(|at| ("cancelled", when(at))));
    rows.extend(cluster.deletes_at.map(|at| ("is deleted", when(at))));
    rows.extend(cluster.deleted_at.map(|at| ("deleted", when(at))));
    let mut parts = vec![details(output, &format!("cluster {}", cluster.name), rows)];
    let guests = if cluster.deleted_at.is_none() { guests_of(context, cluster).await? } else { Vec::new() };
    if !guests.is_empty() {
        let row = |guest: &honcho_api::Guest| {
            vec![
                Cell::number(guest.id),
                Cell::text(&guest.name),
                Cell::maybe(guest.role.as_ref()),
                status_cell(guest.status),
                Cell::maybe(guest.address.as_ref()),
                hosts.cell(guest.host_id),
                Cell::maybe(guest.operation_id.map(|id| id.to_string())),
            ]
        };
        let headings = ["ID", "NAME", "ROLE", "STATUS", "ADDRESS", "HOST", "OPERATION"];
        parts.push(table(output, &headings, guests.iter().map(row).collect()));
    }
    output.page(&parts.join("\n\n"))
}

//! `honcho guest resize`.

use crate::command_error::CommandError;
use crate::context::Context;
use crate::resolve::{Cancelled, GuestArgument};
use crate::values;
use crate::waiting::WaitArguments;
use honcho_api::{Guest, Operation};

const AFTER_HELP: &str = "\
Disks grow and never shrink. A guest that runs is resized only with --restart: it reboots.

Examples:
  honcho guest resize web1 --memory 1G --restart --wait
  honcho guest resize web1 --disk 10G --vcpus 2";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["memory", "vcpus", "disk"]))]
pub(crate) struct ResizeArguments {
    #[command(flatten)]
    guest: GuestArgument,
    /// Memory, as in 1G
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    memory: Option<i64>,
    /// Virtual processors
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    vcpus: Option<i64>,
    /// Disk, as in 10G
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    disk: Option<i64>,
    /// Reboot it for that, if it runs
    #[arg(long)]
    restart: bool,
    #[command(flatten)]
    wait: WaitArguments,
}

pub(crate) async fn run(context: &Context, arguments: &ResizeArguments) -> Result<(), CommandError> {
    let guest = arguments.guest.find(context, Cancelled::Hidden).await?;
    let mut query = vec![];
    query.extend(arguments.memory.map(|bytes| ("memory_bytes", bytes.to_string())));
    query.extend(arguments.vcpus.map(|count| ("vcpus", count.to_string())));
    query.extend(arguments.disk.map(|bytes| ("disk_bytes", bytes.to_string())));
    if arguments.restart {
        query.push(("restart", "true".to_owned()));
    }
    let operation: Operation = context.client()?.action::<Guest, _>(guest.id, "resize", &query).await?;
    arguments.wait.conclude(context, operation).await
}

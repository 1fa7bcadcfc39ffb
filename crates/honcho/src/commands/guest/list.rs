//! `honcho guest list`.

use crate::age::age;
use crate::command_error::CommandError;
use crate::completion::{accounts, hosts, images};
use crate::context::Context;
use crate::listing::{self, ListArguments, Names};
use crate::output::Tone;
use crate::resolve;
use crate::table::Cell;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, Guest, Host, Image};
use honcho_model::guest::GuestStatus;

const AFTER_HELP: &str = "\
Examples:
  honcho guests list
  honcho guests list --account acme --status running --sort=-memory
  honcho guests list --with 'openssl<3.0.15'
  honcho guests list --json | jq -r '.[] | [.name, .address] | @tsv'";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ListGuestsArguments {
    /// Only those of this account
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    /// Only those of this status
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(GuestStatus::ALL.map(GuestStatus::as_str)))]
    status: Option<String>,
    /// Only those that are to be so
    #[arg(long, value_parser = ["running", "stopped"])]
    power: Option<String>,
    /// Only the one that was made with this key of yours
    #[arg(long, value_name = "KEY")]
    reference: Option<String>,
    /// Only those on this host
    #[arg(long, value_name = "HOST", add = ArgValueCandidates::new(hosts))]
    host: Option<String>,
    /// Only those of this cluster
    #[arg(long, value_name = "WORD")]
    cluster: Option<String>,
    /// Only those of this role
    #[arg(long, value_name = "WORD")]
    role: Option<String>,
    /// Only those made from this image
    #[arg(long, value_name = "IMAGE", add = ArgValueCandidates::new(images))]
    image: Option<String>,
    /// Only those that have this package: openssl, 'openssl<3.0.15'. Of those that never said what they have, what their
    /// image was made with counts
    #[arg(long, value_name = "PACKAGE")]
    with: Option<String>,
    /// Cancelled and deleted ones too
    #[arg(long)]
    cancelled: bool,
    #[command(flatten)]
    list: ListArguments,
}

pub(crate) async fn run(context: &Context, arguments: ListGuestsArguments) -> Result<(), CommandError> {
    let mut filters = vec![];
    let account = resolve::optional_id::<Account>(context, arguments.account.as_deref()).await?;
    let host = resolve::optional_id::<Host>(context, arguments.host.as_deref()).await?;
    let image = resolve::optional_id::<Image>(context, arguments.image.as_deref()).await?;
    filters.extend(account.map(|id| ("account_id", id.to_string())));
    filters.extend(host.map(|id| ("host_id", id.to_string())));
    filters.extend(image.map(|id| ("image_id", id.to_string())));
    filters.extend(arguments.cluster.map(|cluster| ("cluster", cluster)));
    filters.extend(arguments.role.map(|role| ("role", role)));
    filters.extend(arguments.status.map(|status| ("status", status)));
    filters.extend(arguments.power.map(|power| ("power", power)));
    filters.extend(arguments.with.map(|with| ("with", with)));
    filters.extend(arguments.reference.map(|reference| ("reference", reference)));
    if arguments.cancelled {
        filters.push(("cancelled", "true".to_owned()));
    }
    let guests: Vec<Guest> = arguments.list.fetch(context, filters).await?;
    let accounts = Names::of::<Account>(context).await?;
    let hosts = Names::of::<Host>(context).await?;
    let nothing = "There are no such guests: `honcho guest create --help` shows how one is made.";
    let headings =
        ["ID", "NAME", "ACCOUNT", "STATUS", "ADDRESS", "VCPUS", "MEMORY", "DISK", "HOST", "CREATED"];
    listing::show(context, &guests, nothing, &headings, |guest| {
        vec![
            Cell::number(guest.id),
            Cell::text(&guest.name),
            accounts.cell(Some(guest.account_id)),
            status_cell(guest.status),
            Cell::maybe(guest.address.as_ref()),
            Cell::number(guest.vcpus),
            Cell::size(guest.memory_bytes),
            Cell::size(guest.disk_bytes),
            hosts.cell(guest.host_id),
            Cell::text(age(guest.created_at, context.output.now())),
        ]
    })
}

/// A status in its colour.
pub(in crate::commands) fn status_cell(status: GuestStatus) -> Cell {
    use GuestStatus as S;
    Cell::text(status.as_str()).tone(match status {
        S::Running => Tone::Good,
        S::Pending
        | S::Building
        | S::Moving
        | S::Starting
        | S::Rebooting
        | S::Stopping
        | S::Resizing
        | S::Deleting => Tone::Busy,
        S::Unknown | S::Frozen | S::Damaged | S::Failing | S::GivenUp => Tone::Bad,
        S::Stopped | S::Suspended | S::Cancelled | S::Deleted => Tone::Faint,
    })
}

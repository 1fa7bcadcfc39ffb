//! `honcho guest show`.

use super::list::status_cell;
use crate::age::age;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::listing::Names;
use crate::resolve::{Cancelled, GuestArgument};
use crate::table::{Cell, details};
use crate::values::size_text;
use honcho_api::{Account, Guest, Host, Image, Network};

#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  honcho guest show web1\n  honcho guest show web1 --account acme --json | jq -r .status"
)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    guest: GuestArgument,
}

pub(crate) async fn run(context: &Context, arguments: &ShowArguments) -> Result<(), CommandError> {
    let guest = arguments.guest.find(context, Cancelled::Too).await?;
    if context.output.json { context.output.json(&guest) } else { print(context, &guest).await }
}

/// One guest, for people.
pub(super) async fn print(context: &Context, guest: &Guest) -> Result<(), CommandError> {
    let output = &context.output;
    let accounts = Names::of::<Account>(context).await?;
    let hosts = Names::of::<Host>(context).await?;
    let images = Names::of::<Image>(context).await?;
    let networks = Names::of::<Network>(context).await?;
    let mut rows = vec![
        ("id", Cell::text(guest.id.to_string())),
        ("uuid", Cell::text(guest.uuid.to_string())),
        ("account", accounts.cell(Some(guest.account_id))),
        ("status", status_cell(guest.status)),
        ("reason", Cell::maybe(guest.status_reason.as_ref())),
        ("power", Cell::text(guest.power.as_str())),
        ("host", hosts.cell(guest.host_id)),
        ("image", images.cell(Some(guest.image_id))),
        ("vcpus", Cell::text(guest.vcpus.to_string())),
        ("memory", Cell::text(size_text(guest.memory_bytes))),
        ("disk", Cell::text(size_text(guest.disk_bytes))),
    ];
    rows.extend(guest.moving_to_host_id.map(|id| ("moving to", hosts.cell(Some(id)))));
    rows.extend(guest.cluster.as_ref().map(|cluster| ("cluster", Cell::text(cluster))));
    rows.extend(guest.role.as_ref().map(|role| ("role", Cell::text(role))));
    if !guest.cpu_features.is_empty() {
        rows.push(("cpu features", Cell::text(guest.cpu_features.join(", "))));
    }
    for interface in &guest.interfaces {
        let addresses = [&interface.address, &interface.address6];
        let addresses: Vec<&str> = addresses.into_iter().flatten().map(String::as_str).collect();
        let address = if addresses.is_empty() { "no address".to_owned() } else { addresses.join(", ") };
        let network = networks.get(interface.network_id);
        rows.push(("interface", Cell::text(format!("{address} in {network} ({})", interface.mac))));
    }
    rows.extend(guest.ssh_keys.iter().map(|key| ("ssh key", Cell::text(short_key(key)))));
    rows.push(("host key", Cell::maybe(guest.ssh_host_key.as_deref().map(short_key))));
    if guest.start_alone {
        rows.push(("start alone", Cell::text("yes")));
    }
    rows.extend(guest.reference.as_ref().map(|reference| ("reference", Cell::text(reference))));
    let generation = crate::commands::host::generation(guest.generation, guest.observed_generation);
    rows.push(("generation", Cell::text(generation)));
    rows.push(("boots", Cell::text(guest.boots_wanted.to_string())));
    rows.push(("unexpected stops", Cell::text(guest.unexpected_stops.to_string())));
    rows.push(("operation", Cell::maybe(guest.operation_id.map(|id| id.to_string()))));
    rows.push(("created", Cell::text(age(guest.created_at, output.now()))));
    rows.extend(guest.cancelled_at.map(|at| ("cancelled", Cell::text(age(at, output.now())))));
    if guest.deleted_at.is_none() {
        rows.extend(guest.deletes_at.map(|at| ("is deleted", Cell::text(age(at, output.now())))));
    }
    rows.extend(guest.deleted_at.map(|at| ("deleted", Cell::text(age(at, output.now())))));
    output.print(&details(output, &format!("guest {}", guest.name), rows))
}

/// A public key with its middle left out: the algorithm, the end that tells keys apart, the comment.
fn short_key(key: &str) -> String {
    let mut words = key.split_whitespace();
    let (algorithm, body) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let comment = words.collect::<Vec<_>>().join(" ");
    let tail: String = {
        let count = body.chars().count();
        body.chars().skip(count.saturating_sub(12)).collect()
    };
    format!("{algorithm} …{tail} {comment}").trim_end().to_owned()
}

//! `honcho address`: addresses that accounts hold, with and without a guest.

use crate::age::age;
use crate::command_error::{CommandError, Ending};
use crate::completion::{accounts, networks};
use crate::context::Context;
use crate::listing::{self, ListArguments, Names};
use crate::output::Tone;
use crate::question::{Answer, ConfirmArguments};
use crate::resolve;
use crate::table::{Cell, details};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::client::ClientError;
use honcho_api::{Account, Address, AddressCreate, AddressUpdate, Guest, Network};
use std::net::IpAddr;

const ALLOCATE_EXAMPLES: &str = "\
An address that is allocated is its account's until it is released. A guest is given it when it is \
ordered (`honcho guest create … --network front=8.8.8.30`), and leaves it to the account when it goes.

Examples:
  honcho address allocate --network front --account acme --name www.acme.example
  honcho address allocate --network front --account acme --address 8.8.8.30";

const UPDATE_EXAMPLES: &str = "\
Example:
  honcho address update 8.8.8.30 --name www.acme.example --reverse-name www.acme.example";

/// One address.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AddressArgument {
    /// The address itself, its name in the DNS, or its id
    address: String,
    /// Its network, where several have it
    #[arg(long, value_name = "NETWORK", add = ArgValueCandidates::new(networks))]
    network: Option<String>,
}

/// What can be said about an address.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct NameArguments {
    /// Its name in the DNS, as in www.example.com
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The name that the DNS gives for it
    #[arg(long, value_name = "NAME")]
    reverse_name: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AllocateArguments {
    /// The network it is to be of
    #[arg(long, value_name = "NETWORK", add = ArgValueCandidates::new(networks))]
    network: String,
    /// Who is to hold it (a token of one account needs no word of it)
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    /// This one; the one that has been free the longest, when absent
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// One of IPv6, in a network that has both
    #[arg(long, conflicts_with = "address")]
    ipv6: bool,
    #[command(flatten)]
    names: NameArguments,
    /// A key of your own: asked again with it, the brain answers with the same address
    #[arg(long, value_name = "KEY")]
    reference: Option<String>,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum AddressCommand {
    /// List addresses that are held; with --status others
    List {
        /// Only those of this account
        #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
        account: Option<String>,
        /// Only those of this network
        #[arg(long, value_name = "NETWORK", add = ArgValueCandidates::new(networks))]
        network: Option<String>,
        /// Only those of this status
        #[arg(long, value_parser = ["free", "reserved", "allocated", "used"])]
        status: Option<String>,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Show one
    Show {
        #[command(flatten)]
        address: AddressArgument,
    },
    /// Allocate one to an account
    #[command(after_help = ALLOCATE_EXAMPLES)]
    Allocate(AllocateArguments),
    /// Name one; '' forgets a name
    #[command(after_help = UPDATE_EXAMPLES)]
    Update {
        #[command(flatten)]
        address: AddressArgument,
        #[command(flatten)]
        names: NameArguments,
    },
    /// Give back one that no guest has
    Release {
        #[command(flatten)]
        address: AddressArgument,
        #[command(flatten)]
        confirm: ConfirmArguments,
    },
}

pub(crate) async fn run(context: &Context, command: AddressCommand) -> Result<(), CommandError> {
    match command {
        AddressCommand::List { account, network, status, list } => {
            let mut filters = vec![];
            let account = resolve::optional_id::<Account>(context, account.as_deref()).await?;
            let network = resolve::optional_id::<Network>(context, network.as_deref()).await?;
            filters.extend(account.map(|id| ("account_id", id.to_string())));
            filters.extend(network.map(|id| ("network_id", id.to_string())));
            match status {
                Some(status) => filters.push(("status", status)),
                None => filters.extend(HELD.map(|status| ("status", status.to_owned()))),
            }
            let addresses: Vec<Address> = list.fetch(context, filters).await?;
            let nothing =
                "There are no such addresses: `honcho address allocate --help` shows how one is had.";
            table(context, &addresses, nothing).await
        }
        AddressCommand::Show { address } => show(context, &find(context, &address).await?).await,
        AddressCommand::Allocate(arguments) => {
            let network: Network = resolve::one(context, &arguments.network).await?;
            let body = AddressCreate {
                network_id: Some(network.id),
                account_id: resolve::optional_id::<Account>(context, arguments.account.as_deref()).await?,
                address: arguments.address.map(|address| address.to_string()),
                family: arguments.ipv6.then_some(6),
                name: arguments.names.name,
                reverse_name: arguments.names.reverse_name,
                reference: arguments.reference,
            };
            show(context, &context.client()?.create::<Address>(&body).await?).await
        }
        AddressCommand::Update { address, names } => {
            let address = find(context, &address).await?;
            let body = AddressUpdate {
                name: names.name.map(super::emptied),
                reverse_name: names.reverse_name.map(super::emptied),
                lock_version: None,
            };
            show(context, &context.client()?.update::<Address>(address.id, &body).await?).await
        }
        AddressCommand::Release { address, confirm } => {
            let address = find(context, &address).await?;
            let networks = Names::of::<Network>(context).await?;
            let network = networks.get(address.network_id);
            let what = format!("release {} of network {network}: others may be given it.", address.address);
            if confirm.ask(context, &what)? == Answer::Stop {
                return Ok(());
            }
            let released = context.client()?.delete::<Address, Address>(address.id, &[]).await?;
            if context.output.json {
                return context.output.json(&released);
            }
            context.output.print(&format!("{} of network {network} is released", released.address))
        }
    }
}

/// What an address is while somebody holds it.
const HELD: [&str; 2] = ["allocated", "used"];

/// The addresses of a network that somebody holds.
pub(super) async fn held(context: &Context, network: i64) -> Result<Vec<Address>, CommandError> {
    let mut filters = vec![("network_id", network.to_string())];
    filters.extend(HELD.map(|status| ("status", status.to_owned())));
    Ok(context.client()?.list::<Address>(&filters).await?)
}

/// The one that is meant: by what it is, by its name, or by its id.
async fn find(context: &Context, argument: &AddressArgument) -> Result<Address, CommandError> {
    let client = context.client()?;
    let text = argument.address.as_str();
    let id = text.strip_prefix("id:").or(text.strip_prefix('#')).unwrap_or(text).parse::<i64>();
    let mut found = match (id, text.parse::<IpAddr>()) {
        (Ok(id), _) => match client.get::<Address>(id).await {
            Ok(address) => vec![address],
            Err(ClientError::Refused(body)) if body.status == 404 => vec![],
            Err(error) => return Err(error.into()),
        },
        (_, Ok(address)) => client.list::<Address>(&[("address", address.to_string())]).await?,
        _ => client.list::<Address>(&[("name", text.to_owned())]).await?,
    };
    if let Some(network) = resolve::optional_id::<Network>(context, argument.network.as_deref()).await? {
        found.retain(|address| address.network_id == network);
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(CommandError::new(Ending::Refused, format!("there is no address {text:?}")).hint(
            "`honcho address list` shows those that are held; of IPv6 there are only those that ever were",
        )),
        _ => {
            let ids: Vec<String> =
                found.iter().map(|found| format!("{} (id {})", found.address, found.id)).collect();
            let text = format!("{text:?} can mean any of these: {}", ids.join(", "));
            Err(CommandError::new(Ending::Refused, text).hint("say of which --network it is, or give its id"))
        }
    }
}

/// Addresses, one a line.
pub(super) async fn table(
    context: &Context,
    addresses: &[Address],
    nothing: &str,
) -> Result<(), CommandError> {
    let networks = Names::of::<Network>(context).await?;
    let accounts = Names::of::<Account>(context).await?;
    let guests = Names::of::<Guest>(context).await?;
    let headings = ["ID", "ADDRESS", "NETWORK", "STATUS", "ACCOUNT", "GUEST", "NAME", "FREED"];
    listing::show(context, addresses, nothing, &headings, |address| {
        vec![
            Cell::number(address.id),
            Cell::text(&address.address),
            Cell::text(networks.get(address.network_id)),
            status(address),
            accounts.cell(address.account_id),
            guests.cell(address.guest_id),
            Cell::maybe(address.name.as_ref()),
            Cell::maybe(address.freed_at.map(|at| age(at, context.output.now()))),
        ]
    })
}

fn status(address: &Address) -> Cell {
    let tone = match address.status.as_str() {
        "used" => Tone::Good,
        "allocated" => Tone::Busy,
        _ => Tone::Faint,
    };
    Cell::text(&address.status).tone(tone)
}

async fn show(context: &Context, address: &Address) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(address);
    }
    let networks = Names::of::<Network>(context).await?;
    let accounts = Names::of::<Account>(context).await?;
    let guests = Names::of::<Guest>(context).await?;
    let yes = |holds: bool| Cell::text(if holds { "yes" } else { "no" });
    let rows = vec![
        ("id", Cell::text(address.id.to_string())),
        ("network", Cell::text(networks.get(address.network_id))),
        ("status", status(address)),
        ("account", accounts.cell(address.account_id)),
        ("guest", guests.cell(address.guest_id)),
        ("name", Cell::maybe(address.name.as_ref())),
        ("reverse name", Cell::maybe(address.reverse_name.as_ref())),
        ("public", yes(address.public)),
        ("reserved", yes(address.reserved)),
        ("kept", yes(address.kept)),
        ("reference", Cell::maybe(address.reference.as_ref())),
        ("allocated", Cell::maybe(address.allocated_at.map(|at| age(at, output.now())))),
        ("freed", Cell::maybe(address.freed_at.map(|at| age(at, output.now())))),
    ];
    output.print(&details(output, &format!("address {}", address.address), rows))
}

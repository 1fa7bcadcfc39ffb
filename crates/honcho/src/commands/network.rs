//! `honcho network`: networks and their addresses.

use crate::age::age;
use crate::command_error::CommandError;
use crate::completion::{accounts, networks};
use crate::context::Context;
use crate::listing::{self, ListArguments, Names};
use crate::question::{Answer, ConfirmArguments};
use crate::resolve;
use crate::table::{Cell, details};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, Address, Guest, Network, NetworkCreate};

const CREATE_EXAMPLES: &str = "\
A local network is a bridge on each host that needs it, hidden behind the host's own address. Its \
gateway is the first address of the subnet; guests get the others.

Example:
  honcho network create office --subnet 10.77.0.0/24";

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum NetworkCommand {
    /// Make a network
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// Its name: lower-case letters, digits and hyphens
        name: String,
        /// IPv4, /16 to /29, written by its first address
        #[arg(long, value_name = "SUBNET")]
        subnet: String,
        /// How its frames travel
        #[arg(long, value_parser = ["local"], default_value = "local")]
        kind: String,
        /// Only this account may use it; everybody, when absent
        #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
        account: Option<String>,
        /// A key of your own: asked again with it, the brain answers with the same network
        #[arg(long, value_name = "KEY")]
        reference: Option<String>,
    },
    /// List networks
    List {
        /// Only those of this account
        #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
        account: Option<String>,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Show one
    Show {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(networks))]
        network: String,
    },
    /// List the addresses of one that are held, or were lately freed
    Addresses {
        /// Those that never were held too
        #[arg(long)]
        all: bool,
        /// Name or id
        #[arg(add = ArgValueCandidates::new(networks))]
        network: String,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Delete one that no guest uses any more
    Delete {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(networks))]
        network: String,
        #[command(flatten)]
        confirm: ConfirmArguments,
    },
}

pub(crate) async fn run(context: &Context, command: NetworkCommand) -> Result<(), CommandError> {
    match command {
        NetworkCommand::Create { name, subnet, kind, account, reference } => {
            let account_id = resolve::optional_id::<Account>(context, account.as_deref()).await?;
            let body = NetworkCreate {
                name: Some(name),
                reference,
                kind: Some(kind),
                subnet: Some(subnet),
                account_id,
            };
            show(context, &context.client()?.create::<Network>(&body).await?).await
        }
        NetworkCommand::List { account, list } => list_networks(context, account.as_deref(), &list).await,
        NetworkCommand::Show { network } => show(context, &resolve::one(context, &network).await?).await,
        NetworkCommand::Addresses { network, all, list } => addresses(context, &network, all, &list).await,
        NetworkCommand::Delete { network, confirm } => {
            let network: Network = resolve::one(context, &network).await?;
            let held = network.addresses_count - network.addresses_free;
            let uses = if held == 0 {
                "no guest uses it".to_owned()
            } else {
                format!("the brain will refuse as long as guests hold addresses of it, and they hold {held}")
            };
            let what =
                format!("delete network {} ({}, id {}): {uses}.", network.name, network.subnet, network.id);
            if confirm.ask(context, &what)? == Answer::Stop {
                return Ok(());
            }
            super::deleted(context, &context.client()?.delete::<Network, Network>(network.id, &[]).await?)
        }
    }
}

async fn list_networks(
    context: &Context,
    account: Option<&str>,
    list: &ListArguments,
) -> Result<(), CommandError> {
    let account = resolve::optional_id::<Account>(context, account).await?;
    let filters = account.map(|id| ("account_id", id.to_string())).into_iter().collect();
    let networks: Vec<Network> = list.fetch(context, filters).await?;
    let accounts = Names::of::<Account>(context).await?;
    let nothing = "There are no such networks: `honcho network create NAME --subnet SUBNET` makes one.";
    let headings = ["ID", "NAME", "KIND", "SUBNET", "GATEWAY", "FREE", "ACCOUNT"];
    listing::show(context, &networks, nothing, &headings, |network| {
        vec![
            Cell::number(network.id),
            Cell::text(&network.name),
            Cell::text(&network.kind),
            Cell::text(&network.subnet),
            Cell::text(&network.gateway),
            Cell::number(format!("{} of {}", network.addresses_free, network.addresses_count)),
            accounts.cell(network.account_id),
        ]
    })
}

async fn addresses(
    context: &Context,
    network: &str,
    all: bool,
    list: &ListArguments,
) -> Result<(), CommandError> {
    let network: Network = resolve::one(context, network).await?;
    let path = format!("/v1/networks/{}/addresses.json", network.id);
    let unlimited = ListArguments { limit: None, ..list.clone() };
    let mut addresses: Vec<Address> = unlimited.fetch_path(context, &path, vec![]).await?;
    addresses.retain(|address| all || address.guest_id.is_some() || address.freed_at.is_some());
    addresses.truncate(list.limit.unwrap_or(usize::MAX));
    let guests = Names::of::<Guest>(context).await?;
    let nothing = "None of its addresses was ever held; --all lists them all the same.";
    listing::show(context, &addresses, nothing, &["ADDRESS", "GUEST", "FREED"], |address| {
        vec![
            Cell::text(&address.address),
            guests.cell(address.guest_id),
            Cell::maybe(address.freed_at.map(|at| age(at, context.output.now()))),
        ]
    })
}

async fn show(context: &Context, network: &Network) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(network);
    }
    let accounts = Names::of::<Account>(context).await?;
    let rows = vec![
        ("id", Cell::text(network.id.to_string())),
        ("uuid", Cell::text(network.uuid.to_string())),
        ("kind", Cell::text(&network.kind)),
        ("subnet", Cell::text(&network.subnet)),
        ("gateway", Cell::text(&network.gateway)),
        ("addresses", Cell::text(format!("{} of {} free", network.addresses_free, network.addresses_count))),
        ("account", accounts.cell(network.account_id)),
        ("reference", Cell::maybe(network.reference.as_ref())),
        ("created", Cell::text(age(network.created_at, output.now()))),
    ];
    output.print(&details(output, &format!("network {}", network.name), rows))
}

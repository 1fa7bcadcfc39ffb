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
use honcho_api::{Account, Address, Network, NetworkCreate};
use honcho_model::NetworkKind;

const CREATE_EXAMPLES: &str = "\
A local network is a bridge on each host that needs it, hidden behind the host's own address. Its \
gateway is the first address of the subnet unless --gateway says otherwise; guests get the others, \
but for those that --reserve holds back.

VLANs and VXLANs are written down, and their addresses can be allocated; no guest is placed in one \
until agents can carry it. Each has an id that no other network has.

Examples:
  honcho network create office --subnet 10.77.0.0/24 --subnet6 fd00:77::/64
  honcho network create front --kind vlan --vlan 120 --subnet 8.8.8.0/24 --gateway 8.8.8.254 \\
      --reserve 8.8.8.1-8.8.8.20";

const UPDATE_EXAMPLES: &str = "\
Ranges that are named are then all that is held back. Who holds an address of one goes on holding it.

Examples:
  honcho network update office --reserve 10.77.0.2-10.77.0.20 --reserve 10.77.0.250
  honcho network update office --reserve ''";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CreateArguments {
    /// Its name: lower-case letters, digits and hyphens
    name: String,
    /// IPv4, /16 to /29, written by its first address
    #[arg(long, value_name = "SUBNET", required_unless_present = "subnet6")]
    subnet: Option<String>,
    /// IPv6, /48 to /120; beside --subnet or instead of it
    #[arg(long, value_name = "SUBNET")]
    subnet6: Option<String>,
    /// How its frames travel
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(NetworkKind::ALL.map(NetworkKind::as_str)), default_value = "local")]
    kind: String,
    /// The VLAN id of a vlan, 1 to 4094
    #[arg(long, value_name = "ID")]
    vlan: Option<i64>,
    /// The network identifier of a vxlan, 1 to 16777215
    #[arg(long, value_name = "ID")]
    vxlan: Option<i64>,
    /// The way out of its IPv4 subnet
    #[arg(long, value_name = "ADDRESS")]
    gateway: Option<String>,
    /// The way out of its IPv6 subnet
    #[arg(long, value_name = "ADDRESS")]
    gateway6: Option<String>,
    /// A range, or one address, that is not given out by itself; again for each
    #[arg(long = "reserve", value_name = "RANGE")]
    reserved_ranges: Vec<String>,
    /// Only this account may use it; everybody, when absent
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    /// A key of your own: asked again with it, the brain answers with the same network
    #[arg(long, value_name = "KEY")]
    reference: Option<String>,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum NetworkCommand {
    /// Make a network
    #[command(after_help = CREATE_EXAMPLES)]
    Create(CreateArguments),
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
    /// Rename one, or say what is reserved of it
    #[command(after_help = UPDATE_EXAMPLES)]
    Update {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(networks))]
        network: String,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        /// A range, or one address, that is not given out by itself; again for each, '' for none
        #[arg(long = "reserve", value_name = "RANGE")]
        reserved_ranges: Vec<String>,
    },
    /// Delete one of which nobody holds an address any more
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
        NetworkCommand::Create(arguments) => create(context, arguments).await,
        NetworkCommand::List { account, list } => list_networks(context, account.as_deref(), &list).await,
        NetworkCommand::Show { network } => show(context, &resolve::one(context, &network).await?).await,
        NetworkCommand::Addresses { network, all, list } => addresses(context, &network, all, &list).await,
        NetworkCommand::Update { network, name, reserved_ranges } => {
            let network: Network = resolve::one(context, &network).await?;
            let named = !reserved_ranges.is_empty();
            let ranges: Vec<String> = reserved_ranges.into_iter().filter(|range| !range.is_empty()).collect();
            let body =
                NetworkCreate { name, reserved_ranges: named.then_some(ranges), ..NetworkCreate::default() };
            show(context, &context.client()?.update::<Network>(network.id, &body).await?).await
        }
        NetworkCommand::Delete { network, confirm } => {
            let network: Network = resolve::one(context, &network).await?;
            let held: Vec<Address> = super::address::held(context, network.id).await?;
            let uses = if held.is_empty() {
                "nobody holds an address of it".to_owned()
            } else {
                format!("the brain will refuse as long as addresses of it are held, and {} are", held.len())
            };
            let subnets = subnets(&network);
            let what = format!("delete network {} ({subnets}, id {}): {uses}.", network.name, network.id);
            if confirm.ask(context, &what)? == Answer::Stop {
                return Ok(());
            }
            super::deleted(context, &context.client()?.delete::<Network, Network>(network.id, &[]).await?)
        }
    }
}

async fn create(context: &Context, arguments: CreateArguments) -> Result<(), CommandError> {
    let body = NetworkCreate {
        name: Some(arguments.name),
        reference: arguments.reference,
        kind: Some(arguments.kind),
        vlan_id: arguments.vlan,
        vxlan_id: arguments.vxlan,
        subnet: arguments.subnet,
        subnet6: arguments.subnet6,
        gateway: arguments.gateway,
        gateway6: arguments.gateway6,
        reserved_ranges: (!arguments.reserved_ranges.is_empty()).then_some(arguments.reserved_ranges),
        account_id: resolve::optional_id::<Account>(context, arguments.account.as_deref()).await?,
    };
    show(context, &context.client()?.create::<Network>(&body).await?).await
}

/// Both subnets of a network.
fn subnets(network: &Network) -> String {
    let subnets = [&network.subnet, &network.subnet6];
    subnets.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// How its frames travel, with the number by which switches know it.
fn kind(network: &Network) -> String {
    match network.vlan_id.or(network.vxlan_id) {
        Some(id) => format!("{} {id}", network.kind),
        None => network.kind.clone(),
    }
}

/// How many IPv4 addresses are left; of IPv6 there is always enough.
fn free(network: &Network) -> Option<String> {
    network.subnet.as_ref().map(|_| format!("{} of {}", network.addresses_free, network.addresses_count))
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
            Cell::text(kind(network)),
            Cell::text(subnets(network)),
            Cell::maybe(network.gateway.as_ref().or(network.gateway6.as_ref())),
            free(network).map_or_else(Cell::none, Cell::number),
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
    addresses.retain(|address| all || address.account_id.is_some() || address.freed_at.is_some());
    addresses.truncate(list.limit.unwrap_or(usize::MAX));
    super::address::table(
        context,
        &addresses,
        "None of its addresses was ever held; --all lists them all the same.",
    )
    .await
}

async fn show(context: &Context, network: &Network) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(network);
    }
    let accounts = Names::of::<Account>(context).await?;
    let gateways = [&network.gateway, &network.gateway6];
    let gateways: Vec<&str> = gateways.into_iter().flatten().map(String::as_str).collect();
    let addresses: Vec<String> = [
        free(network).map(|free| format!("{free} free")),
        network.subnet6.as_ref().map(|_| format!("{} of IPv6 held", network.addresses6_held)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let reserved = network.reserved_ranges.join(", ");
    let rows = vec![
        ("id", Cell::text(network.id.to_string())),
        ("uuid", Cell::text(network.uuid.to_string())),
        ("kind", Cell::text(kind(network))),
        ("subnet", Cell::text(subnets(network))),
        ("gateway", Cell::text(gateways.join(", "))),
        ("addresses", Cell::text(addresses.join(", "))),
        ("reserved", Cell::maybe((!reserved.is_empty()).then_some(reserved))),
        ("account", accounts.cell(network.account_id)),
        ("reference", Cell::maybe(network.reference.as_ref())),
        ("created", Cell::text(age(network.created_at, output.now()))),
    ];
    output.print(&details(output, &format!("network {}", network.name), rows))
}

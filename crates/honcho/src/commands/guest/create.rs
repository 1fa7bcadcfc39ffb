//! `honcho guest create`.

use crate::age::span;
use crate::clean::clean;
use crate::command_error::{CommandError, Ending};
use crate::completion::{accounts, hosts, images, networks, sites};
use crate::context::Context;
use crate::progress::Progress;
use crate::resolve;
use crate::values;
use crate::waiting::{self, Patience};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{
    Account, Guest, GuestCreate, Host, Image, InterfaceCreate, Network, Placement, Resource, Site,
};
use honcho_model::guest::Power;
use honcho_model::operation::OperationState;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// For one attempt to be greeted by SSH.
const GREETING: Duration = Duration::from_secs(5);

const AFTER_HELP: &str = "\
Placement decides on which host it goes, unless --host says so (operators only). With --wait the \
command ends when the guest answers as SSH on its first address; --wait=operation ends when the brain \
has seen it run.

Each --network is a card; `office=10.77.0.7` names the address it is to have, and of a network with \
both families `office=10.77.0.7,fd00:77::7` both. An address that the account has allocated is given to \
it so.

Examples:
  honcho guest create web1 --account acme --image debian-12 --memory 512M --disk 3G \\
      --network office --ssh-key ~/.ssh/id_ed25519.pub --wait
  honcho guest create db1 --account acme --image debian-12 --memory 4G --disk 40G --vcpus 2 \\
      --network office --network db=10.1.0.5 --ssh-key team.pub --stopped --json
  honcho guest create app2 --account acme --image debian-12 --memory 4G --disk 40G \\
      --network office --cluster shop --role app --dry-run";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CreateArguments {
    /// Its name: lower-case letters, digits and hyphens; also its host name
    name: String,

    /// Who owns it (a token of one account needs no word of it)
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,

    /// What its disk is made from
    #[arg(long, value_name = "IMAGE", add = ArgValueCandidates::new(images))]
    image: String,

    /// Memory, as in 512M
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    memory: i64,

    /// Disk, as in 3G; larger than the image
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    disk: i64,

    /// Virtual processors
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
    vcpus: i64,

    /// The network of a card, with the addresses it is to have; again for each further card
    #[arg(long = "network", value_name = "NETWORK[=ADDRESS]", required = true, value_parser = card,
        add = ArgValueCandidates::new(networks))]
    networks: Vec<Card>,

    /// A file of public keys that may log in as root; may be repeated
    #[arg(long = "ssh-key", value_name = "FILE")]
    ssh_keys: Vec<PathBuf>,

    /// Make it and do not start it
    #[arg(long)]
    stopped: bool,

    /// It may start after its host's boot while the brain cannot be reached
    #[arg(long)]
    start_alone: bool,

    /// The host to put it on
    #[arg(long, value_name = "HOST", add = ArgValueCandidates::new(hosts))]
    host: Option<String>,

    /// The site to put it in
    #[arg(long, value_name = "SITE", add = ArgValueCandidates::new(sites))]
    site: Option<String>,

    /// What its host's processors must be able to do, as in avx2; may be repeated
    #[arg(long = "cpu-feature", value_name = "FEATURE")]
    cpu_features: Vec<String>,

    /// With which guests of the account it belongs together
    #[arg(long, value_name = "WORD")]
    cluster: Option<String>,

    /// What it is there: those of one role are kept on different hosts, racks and sites while others have room
    #[arg(long, value_name = "WORD", requires = "cluster")]
    role: Option<String>,

    /// A key of your own: asked again with it, the brain answers with the same guest
    #[arg(long, value_name = "KEY")]
    reference: Option<String>,

    /// Say where it would go and why, what every host says to it, and make nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,

    /// Wait until it answers as SSH, or (--wait=operation) only until the operation has ended
    #[arg(long, value_name = "FOR", num_args = 0..=1, require_equals = true, default_missing_value = "ssh")]
    wait: Option<WaitFor>,

    #[command(flatten)]
    patience: Patience,

    /// Where SSH answers in the guest
    #[arg(long, value_name = "PORT", default_value_t = 22)]
    ssh_port: u16,
}

/// A network card, as it is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Card {
    network: String,
    address: Option<String>,
    address6: Option<String>,
}

fn card(text: &str) -> Result<Card, String> {
    let (network, addresses) = text.split_once('=').unwrap_or((text, ""));
    let mut card = Card { network: network.to_owned(), address: None, address6: None };
    for address in addresses.split(',').filter(|address| !address.is_empty()) {
        let parsed = address.parse::<IpAddr>().map_err(|_| format!("{address:?} is no IP address"))?;
        let place = if parsed.is_ipv4() { &mut card.address } else { &mut card.address6 };
        if place.replace(parsed.to_string()).is_some() {
            return Err("a card has one address of each family".to_owned());
        }
    }
    Ok(card)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum WaitFor {
    Ssh,
    Operation,
}

pub(crate) async fn run(context: &Context, arguments: CreateArguments) -> Result<(), CommandError> {
    let body = body(context, &arguments).await?;
    let client = context.client()?;
    if arguments.dry_run {
        let placement: Placement = client.post("/v1/guests.json?dry_run=true", &body).await?;
        return crate::commands::placement::show(context, &arguments.name, &placement);
    }
    let guest = client.create::<Guest>(&body).await?;
    let Some(wait) = arguments.wait else { return created(context, &guest) };

    let deadline = Instant::now() + arguments.patience.wait_timeout;
    if let Some(id) = guest.operation_id {
        let operation = client.operation(id).await?;
        let ended = waiting::until_ended(context, operation, arguments.patience, deadline).await?;
        if ended.state != OperationState::Done {
            return waiting::judge(&ended);
        }
        if !context.output.json {
            context.output.print(&waiting::ended_line(&ended))?;
        }
    }
    let guest = client.get::<Guest>(guest.id).await?;
    if wait == WaitFor::Ssh && guest.power == Power::Running {
        ssh_answers(context, &guest, &arguments, deadline).await?;
    }
    if context.output.json {
        return context.output.json(&guest);
    }
    super::show::print(context, &guest).await
}

async fn body(context: &Context, arguments: &CreateArguments) -> Result<GuestCreate, CommandError> {
    // Files first: a mistake there needs no brain.
    let mut ssh_keys = Vec::new();
    for file in &arguments.ssh_keys {
        ssh_keys.extend(values::ssh_keys(file)?);
    }
    let image: Image = resolve::one(context, &arguments.image).await?;
    let mut cards = Vec::new();
    for card in &arguments.networks {
        let network: Network = resolve::one(context, &card.network).await?;
        cards.push(InterfaceCreate {
            network_id: Some(network.id()),
            address: card.address.clone(),
            address6: card.address6.clone(),
            address_id: None,
        });
    }
    // One that takes what it is given is said as ever.
    let single = match cards.as_slice() {
        [InterfaceCreate { network_id, address: None, address6: None, .. }] => *network_id,
        _ => None,
    };
    Ok(GuestCreate {
        account_id: resolve::optional_id::<Account>(context, arguments.account.as_deref()).await?,
        name: Some(arguments.name.clone()),
        reference: arguments.reference.clone(),
        image_id: Some(image.id()),
        network_id: single,
        interfaces: single.is_none().then_some(cards),
        vcpus: Some(arguments.vcpus),
        memory_bytes: Some(arguments.memory),
        disk_bytes: Some(arguments.disk),
        ssh_keys: Some(ssh_keys),
        power: Some(if arguments.stopped { Power::Stopped } else { Power::Running }),
        start_alone: Some(arguments.start_alone),
        host_id: resolve::optional_id::<Host>(context, arguments.host.as_deref()).await?,
        site_id: resolve::optional_id::<Site>(context, arguments.site.as_deref()).await?,
        cpu_features: (!arguments.cpu_features.is_empty()).then(|| arguments.cpu_features.clone()),
        cluster: arguments.cluster.clone(),
        role: arguments.role.clone(),
    })
}

fn created(context: &Context, guest: &Guest) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(guest);
    }
    let address =
        guest.address.as_deref().map(|address| format!(", address {}", clean(address))).unwrap_or_default();
    output.print(&format!("guest {} is being made (id {}{address})", clean(&guest.name), guest.id))?;
    if let Some(operation) = guest.operation_id {
        output
            .note(&format!("`honcho operation watch {operation}` shows how it goes; --wait does so at once"));
    }
    Ok(())
}

/// Waits until the guest greets as SSH does.
async fn ssh_answers(
    context: &Context,
    guest: &Guest,
    arguments: &CreateArguments,
    deadline: Instant,
) -> Result<(), CommandError> {
    let name = clean(&guest.name);
    let address =
        guest.address.as_deref().and_then(|address| address.parse::<IpAddr>().ok()).ok_or_else(|| {
            CommandError::failed(format!("{name} runs, but has no address on which SSH could answer"))
        })?;
    let address = SocketAddr::new(address, arguments.ssh_port);
    let mut progress = Progress::new(&context.output, &format!("create {name}"));
    progress.step(&format!("waiting for SSH at {address}"), None);
    let mut last = None;
    loop {
        match timeout_at(deadline, greeting(address)).await {
            Ok(Ok(())) => {
                progress.done();
                return Ok(());
            }
            Ok(Err(error)) => last = Some(error),
            Err(_) => {}
        }
        if timeout_at(deadline, sleep(Duration::from_millis(250))).await.is_err() {
            drop(progress);
            let waited = span(arguments.patience.wait_timeout.as_secs());
            let message = format!("{name} runs, but nothing answered as SSH at {address} within {waited}");
            let mut error = CommandError::new(Ending::TimedOut, message);
            if let Some(last) = &last {
                error = error.cause(last);
            }
            return Err(error
                .hint(format!("`honcho guest log {name}` shows how far its boot came, `honcho guest console {name}` opens its console"))
                .hint("does this machine reach the guest's network? A local network is reached from the guest's host alone"));
        }
    }
}

/// One attempt: connects and reads "SSH-" (RFC 4253, section 4.2, lets other lines come before it).
async fn greeting(address: SocketAddr) -> std::io::Result<()> {
    let attempt = async {
        let mut stream = TcpStream::connect(address).await?;
        let mut read = Vec::new();
        let mut buffer = [0; 256];
        loop {
            let count = stream.read(&mut buffer).await?;
            read.extend_from_slice(&buffer[..count]);
            if read.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"SSH-")) {
                return Ok(());
            }
            if count == 0 || read.len() > 8192 {
                return Err(std::io::Error::other("something answers there, but not SSH"));
            }
        }
    };
    timeout(GREETING, attempt).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_a_network_and_the_addresses_it_is_to_have() {
        let read = |text| card(text).map(|card| (card.network, card.address, card.address6));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read("office"), Ok(("office".into(), None, None)));
        assert_eq!(read("db=10.1.0.5"), Ok(("db".into(), some("10.1.0.5"), None)));
        assert_eq!(read("db=FD00::5,10.1.0.5"), Ok(("db".into(), some("10.1.0.5"), some("fd00::5"))));
        assert_eq!(read("db=web"), Err("\"web\" is no IP address".into()));
        assert!(read("db=10.1.0.5,10.1.0.6").is_err());
    }
}

//! `honcho host`: the physical machines.

mod drain;
mod update;

use crate::age::age;
use crate::clean::clean;
use crate::command_error::CommandError;
use crate::completion::{hosts, racks, sites};
use crate::context::Context;
use crate::listing::{self, ListArguments, Names};
use crate::output::Tone;
use crate::question::{Answer, ConfirmArguments};
use crate::resolve;
use crate::table::{Cell, details};
use crate::values::size_text;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Guest, Host, HostCreate, Rack, Site};
use honcho_model::host::HostStatus;

const ADD_EXAMPLES: &str = "\
It prints the line to run, as root, on the machine itself. The token in it works once, and only for a \
while.

Examples:
  honcho host add rack1-07
  honcho host add rack1-07 --rack r1 --position 7 --height 2 --vendor Supermicro --serial S419
  honcho host add rack1-07 --json | jq -r .join_token";

const UPDATE_EXAMPLES: &str = "\
Duties and network cards that are named are then all it has.

Examples:
  honcho host update h1 --rack r1 --position 12 --duty hypervisor --duty storage
  honcho host update h1 --nic eth0=3c:ec:ef:00:00:07 --nic eth1=3c-ec-ef-00-00-08
  honcho host update h1 --rack ''";

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum HostCommand {
    /// Add a machine, and print how its agent joins
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// Its name: lower-case letters, digits and hyphens
        name: String,
        #[command(flatten)]
        arguments: update::HostArguments,
    },
    /// List hosts
    #[command(
        after_help = "Examples:\n  honcho hosts list --status silent\n  honcho hosts list --rack r1 --vendor Dell"
    )]
    List {
        /// Only those of this status
        #[arg(long, value_parser = ["waiting", "up", "silent", "frozen"])]
        status: Option<String>,
        #[command(flatten)]
        which: WhichArguments,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Show one
    Show {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(hosts))]
        host: String,
    },
    /// Show what one took over time
    Load(super::load::HostLoadArguments),
    /// Change what is written down about one
    #[command(after_help = UPDATE_EXAMPLES)]
    Update {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(hosts))]
        host: String,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        arguments: update::HostArguments,
    },
    /// Place no new guest on a host, and show where its guests would go
    Drain(drain::DrainArguments),
    /// Let a host take new guests again
    #[command(after_help = "Example:\n  honcho host undrain h7")]
    Undrain {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(hosts))]
        host: String,
    },
    /// Revoke a host's certificate and print how its agent joins anew (it keeps its id and its guests)
    Rejoin {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(hosts))]
        host: String,
        #[command(flatten)]
        confirm: ConfirmArguments,
    },
    /// Delete one that holds nothing any more
    Delete {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(hosts))]
        host: String,
        #[command(flatten)]
        confirm: ConfirmArguments,
    },
}

/// Which hosts: where they stand, and what they are.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WhichArguments {
    /// Only those of this site
    #[arg(long, value_name = "SITE", add = ArgValueCandidates::new(sites))]
    site: Option<String>,
    /// Only those in this rack
    #[arg(long, value_name = "RACK", add = ArgValueCandidates::new(racks))]
    rack: Option<String>,
    /// Only those by this maker
    #[arg(long, value_name = "TEXT")]
    vendor: Option<String>,
    /// Only those that their maker calls so
    #[arg(long, value_name = "TEXT")]
    model: Option<String>,
    /// Only the one with this number of its maker's
    #[arg(long, value_name = "TEXT")]
    serial: Option<String>,
}

impl WhichArguments {
    async fn filters(self, context: &Context) -> Result<Vec<(&'static str, String)>, CommandError> {
        let site = resolve::optional_id::<Site>(context, self.site.as_deref()).await?;
        let rack = resolve::optional_id::<Rack>(context, self.rack.as_deref()).await?;
        let texts = [("vendor", self.vendor), ("model", self.model), ("serial", self.serial)];
        let ids = [("site_id", site), ("rack_id", rack)];
        let ids = ids.into_iter().filter_map(|(name, id)| Some((name, id?.to_string())));
        Ok(ids.chain(texts.into_iter().filter_map(|(name, text)| Some((name, text?)))).collect())
    }
}

pub(crate) async fn run(context: &Context, command: HostCommand) -> Result<(), CommandError> {
    match command {
        HostCommand::Add { name, arguments } => {
            let body = HostCreate { name: Some(name), ..arguments.body(context).await? };
            let host = context.client()?.create::<Host>(&body).await?;
            joining(context, &host, "is added")
        }
        HostCommand::List { status, which, list } => {
            let hosts = filtered(context, status.as_deref(), which, &list).await?;
            let nothing = "There are no such hosts: `honcho host add NAME` adds one.";
            let headings = ["ID", "NAME", "STATUS", "GUESTS", "CPUS", "MEMORY", "PLACED", "AGENT", "SEEN"];
            listing::show(context, &hosts, nothing, &headings, |host| {
                vec![
                    Cell::number(host.id),
                    Cell::text(&host.name),
                    status_cell(host),
                    Cell::number(host.guests_count),
                    host.cpus.map_or_else(Cell::none, Cell::number),
                    host.memory_bytes.map_or_else(Cell::none, Cell::size),
                    Cell::size(host.memory_placed_bytes),
                    Cell::maybe(host.agent_version.as_ref()),
                    Cell::maybe(host.last_seen_at.map(|at| age(at, context.output.now()))),
                ]
            })
        }
        HostCommand::Show { host } => show(context, &resolve::one(context, &host).await?).await,
        HostCommand::Load(arguments) => super::load::of_host(context, &arguments).await,
        HostCommand::Update { host, name, arguments } => {
            let host: Host = resolve::one(context, &host).await?;
            let body = HostCreate { name, ..arguments.body(context).await? };
            show(context, &context.client()?.update::<Host>(host.id, &body).await?).await
        }
        HostCommand::Drain(arguments) => drain::drain(context, &arguments).await,
        HostCommand::Undrain { host } => drain::undrain(context, &host).await,
        HostCommand::Rejoin { host, confirm } => {
            let host: Host = resolve::one(context, &host).await?;
            let what = format!(
                "rejoin host {} (id {}): its agent's certificate is revoked, and nothing can be changed there until an agent has joined with the new token. Its {} guests run on.",
                host.name, host.id, host.guests_count
            );
            if confirm.ask(context, &what)? == Answer::Stop {
                return Ok(());
            }
            joining(
                context,
                &context.client()?.action::<Host, Host>(host.id, "rejoin", &[]).await?,
                "may join anew",
            )
        }
        HostCommand::Delete { host, confirm } => {
            let host: Host = resolve::one(context, &host).await?;
            let client = context.client()?;
            let placed: Vec<Guest> = client.list(&[("host_id", host.id.to_string())]).await?;
            let holds = if placed.is_empty() {
                "it holds no guests".to_owned()
            } else {
                format!("the brain will refuse as long as it holds guests, and it holds {}", placed.len())
            };
            if confirm.ask(context, &format!("delete host {} (id {}): {holds}.", host.name, host.id))?
                == Answer::Stop
            {
                return Ok(());
            }
            super::deleted(context, &client.delete::<Host, Host>(host.id, &[]).await?)
        }
    }
}

/// The brain derives the status and does not filter by it; the hosts of a data centre fit in one answer.
async fn filtered(
    context: &Context,
    status: Option<&str>,
    which: WhichArguments,
    list: &ListArguments,
) -> Result<Vec<Host>, CommandError> {
    let filters = which.filters(context).await?;
    let Some(status) = status else { return list.fetch(context, filters).await };
    let all = ListArguments { limit: None, ..list.clone() };
    let mut hosts: Vec<Host> = all.fetch(context, filters).await?;
    hosts.retain(|host| host.status.as_str() == status);
    hosts.truncate(list.limit.unwrap_or(usize::MAX));
    Ok(hosts)
}

/// How an agent joins: the line alone on standard output, so that it can be copied or piped.
fn joining(context: &Context, host: &Host, what: &str) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(host);
    }
    let Some(token) = host.join_token.as_deref().filter(|token| is_word(token)) else {
        return Err(CommandError::failed(format!(
            "host {} {what}, but the brain gave no join token for it",
            host.name
        ))
        .hint(format!("`honcho host rejoin {}` asks for one", host.id)));
    };
    output.note(&format!(
        "Host {} {what}. On that machine, as root, run this (the token in it works once):",
        clean(&host.name)
    ));
    output.print(&format!("honcho-agent join --brain {} --token {token}", context.client()?.url()))
}

/// Whether a shell reads it as one word without more ado.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:=+/".contains(&byte))
}

fn status_cell(host: &Host) -> Cell {
    Cell::text(host.status.as_str()).tone(match host.status {
        HostStatus::Up => Tone::Good,
        HostStatus::Waiting => Tone::Busy,
        HostStatus::Silent | HostStatus::Frozen => Tone::Bad,
    })
}

/// "37% busy, 4% waiting for disks, over 60s (2 min ago)".
fn load_text(host: &Host, now: jiff::Timestamp) -> Option<String> {
    let busy = host.busy_percent?;
    let waiting = host.io_wait_percent.unwrap_or(0);
    let over = host.load_window_seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(crate::age::span);
    let over = over.map(|over| format!(", over {over}")).unwrap_or_default();
    let when = host.load_at.map(|at| format!(" ({})", age(at, now))).unwrap_or_default();
    Some(format!("{busy}% busy, {waiting}% waiting for disks{over}{when}"))
}

async fn show(context: &Context, host: &Host) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(host);
    }
    let mut rows = vec![
        ("id", Cell::text(host.id.to_string())),
        ("uuid", Cell::text(host.uuid.to_string())),
        ("status", status_cell(host)),
        ("reason", Cell::maybe(host.status_reason.as_ref())),
        ("guests", Cell::text(host.guests_count.to_string())),
    ];
    rows.extend(host.draining_since.map(|at| {
        let text = format!("{}: no new guest is placed on it", age(at, output.now()));
        ("draining", Cell::text(text).tone(Tone::Busy))
    }));
    rows.extend([
        ("cpus", Cell::maybe(host.cpus.map(|cpus| cpus.to_string()))),
        ("cpu model", Cell::maybe(host.cpu_model.as_ref())),
        ("architecture", Cell::maybe(host.architecture.as_ref())),
        ("memory", Cell::maybe(host.memory_bytes.map(size_text))),
        ("memory placed", Cell::text(size_text(host.memory_placed_bytes))),
        ("load", Cell::maybe(load_text(host, output.now()))),
        ("hypervisor", Cell::maybe(host.hypervisor.as_ref())),
        ("virtualization", Cell::maybe(host.virtualization.as_ref())),
        ("agent", Cell::maybe(host.agent_version.as_ref())),
        ("seen", Cell::maybe(host.last_seen_at.map(|at| age(at, output.now())))),
        ("generation", Cell::text(generation(host.generation, host.observed_generation))),
        ("added", Cell::text(age(host.created_at, output.now()))),
    ]);
    rows.extend(written_down(context, host).await?);
    rows.extend(host.orphans.iter().map(|orphan| ("orphan", Cell::text(orphan).tone(Tone::Bad))));
    output.print(&details(output, &format!("host {}", host.name), rows))
}

/// What people have said about it; what nobody has said is left out.
async fn written_down(context: &Context, host: &Host) -> Result<Vec<(&'static str, Cell)>, CommandError> {
    let site = match host.site_id {
        Some(id) => Some(Names::of::<Site>(context).await?.get(id)),
        None => None,
    };
    let rack = match host.rack_id {
        Some(id) => Some(place(host, &Names::of::<Rack>(context).await?.get(id))),
        None => None,
    };
    let duties = (!host.duties.is_empty()).then(|| host.duties.join(", "));
    let said = [
        ("duties", duties),
        ("site", site),
        ("rack", rack),
        ("vendor", host.vendor.clone()),
        ("model", host.model.clone()),
        ("serial", host.serial.clone()),
        ("cores bought", host.cores.map(|cores| cores.to_string())),
        ("memory bought", host.memory_bought_bytes.map(size_text)),
        ("BMC", host.bmc_address.clone()),
    ];
    let mut rows: Vec<(&str, Cell)> =
        said.into_iter().filter_map(|(name, text)| Some((name, Cell::text(text?)))).collect();
    rows.extend(host.nics.iter().map(|nic| ("NIC", Cell::text(format!("{} {}", nic.name, nic.mac)))));
    Ok(rows)
}

/// "r1, units 7 to 8 (front)".
fn place(host: &Host, rack: &str) -> String {
    let Some(position) = host.position else { return rack.to_owned() };
    let place = honcho_model::rack::Place { position, height: host.height_units, face: None };
    let face = host.face.as_ref().map(|face| format!(" ({face})")).unwrap_or_default();
    format!("{rack}, {place}{face}")
}

/// "12", or "12 (its agent acted on 11)".
pub(crate) fn generation(desired: i64, observed: Option<i64>) -> String {
    match observed {
        Some(observed) if observed != desired => format!("{desired} (its agent acted on {observed})"),
        Some(_) => desired.to_string(),
        None => format!("{desired} (no agent has acted on it)"),
    }
}

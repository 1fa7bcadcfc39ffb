//! `honcho demo`: a brain with a simulated data centre and a month of slow queries, to look around in.
//!
//! ```text
//!   machine_room   sites, racks, hosts that join as any host does; their agents are the agent's own code
//!   tenants        accounts, people, clusters and single guests, ordered by the public API
//!   slow_logs      what their databases were slow at, as MariaDB writes it
//!   posting        honcho-guest's own way: spool, parts, sendmail (a script that delivers), a Maildir; the brain imports it
//!   past           what all of them took in the last 90 days
//!   living         guests are rebooted and resized, for as long as somebody looks
//! ```
//!
//! The brain is `honcho serve` in a process of its own, and says on every page that all of it is simulated.

mod kinds;
mod living;
mod machine_room;
mod past;
mod posting;
mod slow_logs;
mod tenants;

use crate::figures::{note, print};
use crate::simulate::brain_process::BrainProcess;
use crate::simulate::ledger::Ledger;
use crate::simulate::progress::Progress;
use anyhow::{Context as _, Result, bail};
use honcho_agent_lib::clock::Clock;
use honcho_api::Guest;
use honcho_model::Timestamp;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{SignalKind, signal};

const AFTER_HELP: &str = "\
It starts a brain of its own in a temporary directory and touches no other. Every page says that what it shows is simulated: \
the hosts, the guests, the logs. Brain, database, agents' code, protocol and the import of the logs are the real ones. \
Ctrl-C ends all of it and leaves nothing behind.

Examples:
  honcho demo
  honcho demo --listen 127.0.0.1:8080
  honcho demo --hosts 8 --guests 60 --days 7     # there sooner";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DemoArguments {
    /// Where the panel is shown; loopback alone
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7070", value_parser = loopback)]
    listen: SocketAddr,

    /// How many hosts
    #[arg(long, default_value_t = 40, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=160))]
    hosts: u16,

    /// How many guests
    #[arg(long, default_value_t = 600, value_name = "N", value_parser = clap::value_parser!(u16).range(40..=5_000))]
    guests: u16,

    /// How many days of slow queries
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=34))]
    days: u8,

    /// What chance is made of
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// How long a step on a simulated machine takes, in milliseconds, give or take a half
    #[arg(long, default_value_t = 900, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=60_000))]
    step_ms: u32,

    /// Leave it as it is once it stands: nobody reboots or resizes anything
    #[arg(long)]
    still: bool,
}

/// People reach a demonstration from this machine alone: its passwords are made for being shown.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "write an address and a port, as in 127.0.0.1:7070".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("a demonstration is shown on loopback alone; from elsewhere: ssh -L 7070:127.0.0.1:7070 THIS-MACHINE".to_owned())
    }
}

/// Shows it until somebody interrupts. Nothing of it is left then.
pub(crate) async fn demo(arguments: &DemoArguments) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        outcome = show(arguments) => outcome,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

async fn show(arguments: &DemoArguments) -> Result<()> {
    if let Err(error) = std::net::TcpListener::bind(arguments.listen) {
        bail!("{} cannot be used: {error}; choose another by --listen", arguments.listen);
    }
    let progress = Progress::new();
    let directory = tempfile::Builder::new().prefix("honcho-demo-").tempdir()?;
    let maildir = posting::Mailbox::make(&directory.path().join("mail"))?;
    progress.say(&format!("a brain in {}", directory.path().display()));
    let options = vec!["--simulated".into(), "--post".into(), maildir.path().into()];
    let data = directory.path().join("brain");
    std::fs::create_dir(&data)?;
    let mut brain = BrainProcess::start_at(&data, None, &arguments.listen.to_string(), options).await?;
    let client = brain.client()?;

    let room = machine_room::Plan {
        hosts: usize::from(arguments.hosts),
        guests: usize::from(arguments.guests),
        step: Duration::from_millis(u64::from(arguments.step_ms)),
        seed: arguments.seed,
    };
    let ledger = Arc::new(Ledger::new());
    let hosts = room
        .found(&client, &ledger, Clock::of_this_machine()?, &progress)
        .await
        .context("making the machine room")?;
    let tenants = tenants::Tenants::make(&client, room.guests, arguments.seed, &progress).await?;
    let people = tenants.people(&client).await.context("making people")?;
    let sources = tenants.databases(&client).await?;
    // Here the real world comes in: the logs end now.
    #[allow(clippy::disallowed_methods)]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    progress.say("90 days of load");
    let guests: Vec<Guest> = client.list(&[]).await?;
    brain.kill();
    past::write(&data, &guests, Timestamp(i64::try_from(now)? * 1_000_000))
        .await
        .context("writing past load")?;
    brain.resume().await?;
    posting::post(
        &client,
        &maildir,
        directory.path(),
        &sources,
        &posting::Month { now: i64::try_from(now)?, days: i64::from(arguments.days), seed: arguments.seed },
        &progress,
    )
    .await
    .context("posting slow logs")?;
    tenants.said(&client, i64::try_from(now)?).await.context("marks and notes")?;
    // One machine has no power: there is something that needs attention.
    if let Some(host) = hosts.last() {
        host.power_off();
    }
    print(&welcome(&brain.url(), &people, arguments));
    let mut living = living::Living::new(client, arguments.seed);
    loop {
        tokio::time::sleep(living.pause()).await;
        if brain.has_ended()? {
            bail!("the brain has ended by itself; its last words:\n{}", brain.last_words());
        }
        if !arguments.still
            && let Err(error) = living.one_thing().await
        {
            note(&format!("{error:#}"));
        }
    }
}

fn welcome(url: &str, people: &[tenants::Login], arguments: &DemoArguments) -> String {
    let mut text = format!(
        "\nA simulated data centre of {} hosts and {} guests, and {} days of slow queries:\n\n  {url}\n\n",
        arguments.hosts, arguments.guests, arguments.days
    );
    for person in people {
        // Writing into a text does not fail.
        let _ = writeln!(text, "  {:<10} {:<24} {}", person.name, person.password, person.what);
    }
    text += "\nCtrl-C ends it, and leaves nothing behind.";
    text
}

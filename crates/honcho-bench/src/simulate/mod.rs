//! `honcho simulate`: a data centre that is none, around a brain that is real.
//!
//! ```text
//!   customers  orders, resizes, reboots, cancellations by the public API; what was acknowledged is written down
//!       |
//!   honcho serve (a process of its own, killed and started again on the way)
//!       |      real connections, mutual TLS, the real protocol
//!   agents     the agent's own code, thousands in this process; machines that are simulated write down what ran when
//!       |
//!   invariants what must always hold, checked over all of that at the end
//! ```
//!
//! Everything is told apart from what is real: names begin with `sim-`, and the machines call themselves simulated.

pub(crate) mod agents;
pub(crate) mod brain_process;
mod churn;
mod customers;
mod figures;
mod history;
mod invariants;
pub(crate) mod ledger;
pub(crate) mod machine;
mod phases;
pub(crate) mod progress;
mod witness;

pub(crate) use figures::{SimulationFigures, Soundness};

use crate::figures::note;
use crate::load::Load;
use anyhow::{Context as _, Result, bail};
use brain_process::BrainProcess;
use customers::{Customers, Ground};
use honcho_agent_lib::clock::Clock;
use honcho_store::{Engine, emptying};
use ledger::Ledger;
use phases::Simulation;
use progress::Progress;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

const AFTER_HELP: &str = "\
It starts a brain of its own in a temporary directory, and touches no other; Ctrl-C ends all of it and leaves nothing \
behind. The hosts and guests are simulated, and say so; the brain, its database, the agents' code, the protocol and the \
connections are the real ones. Brain and agents share this machine: what counts is the processor time of each.

It ends with an error if anything was broken that must always hold.

Examples:
  honcho simulate
  honcho simulate --hosts 1000 --guests 10000 --seed 7
  honcho simulate --hosts 10000 --guests 100000 --day-seconds 600
  honcho simulate --hosts 30 --guests 200 --idle-seconds 5 --report-seconds 5 --day-seconds 10   # a quick look
  honcho simulate --database postgres://honcho@localhost/simulation   # an empty database; emptied again at the end";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct SimulateArguments {
    /// How many hosts, each with an agent of its own
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    hosts: u32,

    /// How many guests are ordered before the day begins
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=200_000))]
    guests: u32,

    /// Of these, how many are ordered one after the other, to see how long one takes; a hundredth of all, when absent
    #[arg(long, value_name = "N")]
    unhurried: Option<u32>,

    /// How many customers order at once
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    clients: u16,

    /// An empty PostgreSQL database instead of SQLite
    #[arg(long, value_name = "URL")]
    database: Option<Engine>,

    /// What chance is made of; the same seed plans the same day: to whom it happens depends on who was served first
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// How long to look at idle agents, without guests and with all of them; 0 leaves that out
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=86_400))]
    idle_seconds: u32,

    /// How long to let all hosts report something new as often as the brain takes it; 0 leaves that out
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=3_600))]
    report_seconds: u32,

    /// How long the brain is away once it was killed; 0 does not kill it
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=3_600))]
    outage_seconds: u32,

    /// How long a day takes; 0 leaves it out
    #[arg(long, default_value_t = 120, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=86_400))]
    day_seconds: u32,

    /// How long a step on a simulated machine takes, in milliseconds, give or take a half
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=60_000))]
    step_ms: u32,
}

/// Simulates, until it is done or somebody interrupts it. Either way nothing of it is left.
pub(crate) async fn simulate(arguments: &SimulateArguments) -> Result<SimulationFigures> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // What somebody has anything in is not touched, now or at the end.
    if let Some(database) = &arguments.database {
        emptying::refuse_unless_empty(database).await?;
    }
    let outcome = tokio::select! {
        outcome = whole(arguments) => outcome,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("told to end")),
    };
    // The brain is gone by now: it was dropped with what was going on. Whatever is in there it has made.
    let emptied = match &arguments.database {
        Some(database) => emptying::empty(database).await.context("emptying the database again"),
        None => Ok(()),
    };
    match (outcome, emptied) {
        // What was measured is worth having all the same.
        (Ok(figures), Err(error)) => {
            note(&format!("the figures are whole, but the database is not empty again: {error:#}"));
            Ok(figures)
        }
        (outcome, _) => outcome,
    }
}

async fn whole(arguments: &SimulateArguments) -> Result<SimulationFigures> {
    let begun = Instant::now();
    let hosts = usize::try_from(arguments.hosts)?;
    allow_connections(hosts)?;
    let progress = Progress::new();
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let load_before = Load::now()?;
    let directory = tempfile::Builder::new().prefix("honcho-simulate-").tempdir()?;
    progress.say(&format!(
        "simulating {} hosts and {} guests with seed {seed} in {}",
        arguments.hosts,
        arguments.guests,
        directory.path().display()
    ));
    let brain = BrainProcess::start(directory.path(), arguments.database.as_ref()).await?;
    let (client, prefix) = (brain.client()?, format!("sim-{:06x}", seed & 0xff_ffff));
    let ledger = Arc::new(Ledger::new());
    let ground = Ground::make(&client, &prefix, usize::try_from(arguments.guests)?).await?;
    let customers = Customers::new(client.clone(), ground, &prefix, seed, Arc::clone(&ledger));
    let mut simulation = Simulation {
        build: phases::build_for(hosts, usize::try_from(arguments.guests)?, arguments.step_ms),
        brain,
        client,
        customers: Arc::new(customers),
        ledger,
        hosts: Vec::new(),
        progress,
        prefix,
        seed,
        clients: usize::from(arguments.clients),
        clock: Clock::of_this_machine()?,
        brain_mb_alone: 0.0,
        agents_mb_alone: 0.0,
        ordered: 0,
        outages: Vec::new(),
    };
    let mut figures = run(arguments, &mut simulation, load_before).await?;
    figures.seconds = begun.elapsed().as_secs_f64();
    Ok(figures)
}

/// One phase after the other.
async fn run(
    arguments: &SimulateArguments,
    simulation: &mut Simulation,
    load_before: Load,
) -> Result<SimulationFigures> {
    let seconds = |n: u32| Duration::from_secs(u64::from(n));
    let guests = usize::try_from(arguments.guests)?;
    let unhurried =
        arguments.unhurried.map_or(guests.div_ceil(100), |n| usize::try_from(n).unwrap_or(0)).min(guests);
    let joining = simulation.join(usize::try_from(arguments.hosts)?).await?;
    let looks = arguments.idle_seconds > 0;
    let idle = if looks { Some(simulation.idle(seconds(arguments.idle_seconds)).await?) } else { None };
    let filling = if guests > unhurried { Some(simulation.fill(guests - unhurried).await?) } else { None };
    let ordering = if unhurried > 0 { Some(simulation.order_one_by_one(unhurried).await?) } else { None };
    let idle_full = if looks { Some(simulation.idle(seconds(arguments.idle_seconds)).await?) } else { None };
    let reports = arguments.report_seconds > 0;
    let reporting =
        if reports { Some(simulation.report(seconds(arguments.report_seconds)).await?) } else { None };
    let outage = arguments.outage_seconds > 0;
    let recovery =
        if outage { Some(simulation.recover(seconds(arguments.outage_seconds)).await?) } else { None };
    let day = if arguments.day_seconds > 0 {
        Some(simulation.day(seconds(arguments.day_seconds)).await?)
    } else {
        None
    };
    let invariants = simulation.check().await?;
    Ok(SimulationFigures {
        simulated: "simulated hosts and guests, a real brain",
        seed: simulation.seed,
        engine: if arguments.database.is_some() { "postgres" } else { "sqlite" },
        hosts: simulation.hosts.len(),
        guests,
        load_before,
        brain_mb_alone: simulation.brain_mb_alone,
        joining,
        idle,
        filling,
        ordering,
        idle_full,
        reporting,
        recovery,
        day,
        invariants,
        complaints: simulation.brain.complaints(),
        seconds: 0.0,
    })
}

/// Raises the limit of open files of this process, which the brain it starts inherits: each agent has one connection, and for
/// moments a second one, when it has lost the first.
fn allow_connections(hosts: usize) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = u64::try_from(hosts)? * 3 / 2 + 2_000;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let wanted = maximum.map_or(needed, |maximum| maximum.max(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: Some(wanted) });
    if let Err(error) = raised {
        bail!(
            "{hosts} hosts need {needed} open files, and this process may have {}: {error}. Raise the limit first (as root, or \
             ulimit -Hn {needed} in the shell that starts this), or simulate fewer hosts",
            maximum.map_or_else(|| "no limit".to_owned(), |maximum| maximum.to_string())
        );
    }
    Ok(())
}

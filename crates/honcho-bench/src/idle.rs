//! `honcho bench idle`: what brain and agent cost while nothing happens.

use crate::figures::{note, table};
use crate::load::Load;
use crate::process::{program, usage};
use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is aimed at, for each of the two.
const MOST_PROCESSOR_PERCENT: f64 = 0.5;
const MOST_MEMORY_MB: f64 = 40.0;

const AFTER_HELP: &str = "\
Leave brain and agent alone meanwhile: who asks them for something is measured too. What the agent \
runs (nft) counts as the agent's.

Example:
  honcho bench idle --seconds 300";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct IdleArguments {
    /// How long to look
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,

    /// The brain's process; that of ./run, when absent
    #[arg(long, value_name = "PID")]
    brain_pid: Option<u32>,

    /// The agent's process; that of ./run, when absent
    #[arg(long, value_name = "PID")]
    agent_pid: Option<u32>,

    /// Where ./run notes its processes
    #[arg(long, value_name = "DIR", default_value = "var/pids")]
    pids: PathBuf,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct IdleFigures {
    seconds: f64,
    load_before: Load,
    load_after: Load,
    processes: Vec<IdleProcess>,
}

#[derive(Debug, Serialize)]
struct IdleProcess {
    name: &'static str,
    pid: u32,
    /// Of one processor.
    processor_percent: f64,
    resident_mb: f64,
    proportional_mb: f64,
}

impl IdleProcess {
    fn within(&self) -> bool {
        self.processor_percent < MOST_PROCESSOR_PERCENT && self.resident_mb < MOST_MEMORY_MB
    }
}

impl IdleFigures {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let row = |process: &IdleProcess| {
            vec![
                process.name.to_owned(),
                format!("{:.2}%", process.processor_percent),
                format!("{:.1} MB", process.resident_mb),
                format!("{:.1} MB", process.proportional_mb),
                if process.within() { "yes" } else { "NO" }.to_owned(),
            ]
        };
        format!(
            "{:.0} s; {}\n\n{}\n\nwithin: less than {MOST_PROCESSOR_PERCENT}% of one processor and {MOST_MEMORY_MB} MB of RSS",
            self.seconds,
            self.load_after.text(),
            table(&["", "processor", "RSS", "PSS", "within"], self.processes.iter().map(row).collect())
        )
    }
}

/// Measures.
pub(crate) async fn measure(arguments: &IdleArguments) -> Result<IdleFigures> {
    let processes = [
        ("brain", find(arguments.brain_pid, "brain", "honcho", &arguments.pids)?),
        ("agent", find(arguments.agent_pid, "agent", "honcho-agent", &arguments.pids)?),
    ];
    note(&format!("looking on for {} s", arguments.seconds));
    let load_before = Load::now()?;
    let before = processes.iter().map(|(_, pid)| usage(*pid)).collect::<Result<Vec<_>>>()?;
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    let after = processes.iter().map(|(_, pid)| usage(*pid)).collect::<Result<Vec<_>>>()?;
    let seconds = begun.elapsed().as_secs_f64();
    let figures = processes.iter().zip(before.iter().zip(&after)).map(|((name, pid), (before, after))| {
        let used = after.processor.saturating_sub(before.processor).as_secs_f64();
        IdleProcess {
            name,
            pid: *pid,
            processor_percent: used / seconds * 100.0,
            resident_mb: megabytes(after.resident),
            proportional_mb: megabytes(after.proportional),
        }
    });
    Ok(IdleFigures { seconds, load_before, load_after: Load::now()?, processes: figures.collect() })
}

fn megabytes(kib: u64) -> f64 {
    // No process has so much memory that this were inexact.
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) * 1024.0 / 1e6
}

fn find(given: Option<u32>, name: &str, expected: &str, pids: &Path) -> Result<u32> {
    let pid = match given {
        Some(pid) => pid,
        None => noted(&pids.join(name)).with_context(|| {
            format!(
                "the {name}'s process is not known: start ./run in this directory, or give --{name}-pid PID"
            )
        })?,
    };
    let found = program(pid).with_context(|| format!("the {name} does not run"))?;
    ensure!(
        found == expected,
        "process {pid} is {found}, not the {name} ({expected}): give --{name}-pid PID"
    );
    Ok(pid)
}

fn noted(file: &Path) -> Result<u32> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let Ok(pid) = text.trim().parse() else { bail!("{} holds no process id", file.display()) };
    Ok(pid)
}

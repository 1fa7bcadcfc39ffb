//! `honcho bench slowlog`: reading slow logs, beside pt-query-digest on the same log in the same run.

mod generated;
mod imported;

pub(crate) use imported::mails;

use crate::figures::{Spread, note, table};
use crate::load::Load;
use crate::process::peak;
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What is aimed at: so many times as fast as pt-query-digest on one processor, and at most so much memory.
const LEAST_RATIO: f64 = 60.0;
const MOST_MEMORY_MB: f64 = 64.0;
/// And of mails into a brain on SQLite, by so much of that rate.
const LEAST_IMPORTED: f64 = 1.0 / 3.0;

const AFTER_HELP: &str = "\
A log in the shape of MariaDB's is made from a seed: the same seed, the same bytes. Processor time is what counts, \
so that a busy machine does not decide; it slows both sides. The log is also sent as mails to a brain on SQLite, by the real \
programs but the mail daemons.

Examples:
  honcho bench slowlog
  honcho bench slowlog --mebibytes 10240 --rounds 1 --alone     # memory for a long log";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct SlowlogArguments {
    /// How long the log is
    #[arg(long, default_value_t = 200, value_name = "MIB")]
    mebibytes: u64,

    /// What the log is made from
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// How often honcho reads it
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// Leave out pt-query-digest
    #[arg(long)]
    alone: bool,

    /// Where the log is written, and removed again
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct SlowlogFigures {
    megabytes: f64,
    events: u64,
    seed: u64,
    load_before: Load,
    load_after: Load,
    one_thread: Reading,
    two_threads: Reading,
    /// The same log by mail, into a brain on SQLite.
    imported: Option<Reading>,
    pt_query_digest: Option<Reading>,
}

/// One program on the log, several times.
#[derive(Debug, Serialize)]
struct Reading {
    /// Processor time, in seconds.
    processor: Spread,
    /// Time on the wall.
    wall: Spread,
    peak_mb: f64,
}

/// Makes a log and has it read.
pub(crate) fn measure(arguments: &SlowlogArguments) -> Result<SlowlogFigures> {
    let honcho = std::env::current_exe()?.with_file_name("honcho");
    ensure!(honcho.exists(), "{} is missing: build it beside this program", honcho.display());
    let directory = match &arguments.directory {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let log = directory.path().join("slow.log");
    let load_before = Load::now()?;
    note(&format!("making {} MiB of slow log", arguments.mebibytes));
    let mut file = BufWriter::new(std::fs::File::create(&log)?);
    let events = generated::write(&mut file, arguments.seed, arguments.mebibytes << 20)?;
    file.flush()?;
    drop(file);
    let megabytes = u32::try_from(std::fs::metadata(&log)?.len() / 1000)?;
    let threads = |threads: &'static str| {
        let run = |_| {
            let mut command = Command::new(&honcho);
            command.args(["slow", "digest", "--json", "--threads", threads]).arg(&log);
            command
        };
        reading(&format!("honcho with {threads}"), arguments.rounds, run)
    };
    let (one_thread, two_threads) = (threads("1")?, threads("2")?);
    let imported = imported::measure(directory.path(), &log, arguments.rounds.min(3))?;
    let pt_query_digest = if arguments.alone { None } else { beside(&log)? };
    Ok(SlowlogFigures {
        megabytes: f64::from(megabytes) / 1000.0,
        events,
        seed: arguments.seed,
        load_before,
        load_after: Load::now()?,
        one_thread,
        two_threads,
        imported,
        pt_query_digest,
    })
}

/// pt-query-digest, once: it takes a minute. None where it is not installed.
fn beside(log: &Path) -> Result<Option<Reading>> {
    let version = Command::new("pt-query-digest").arg("--version").stderr(Stdio::null()).output();
    if version.is_err() {
        note("pt-query-digest is not installed (Debian: percona-toolkit)");
        return Ok(None);
    }
    let run = |_| {
        let mut command = Command::new("pt-query-digest");
        command.args(["--no-version-check", "--limit", "100%", "--output", "json"]).arg(log);
        command
    };
    reading("pt-query-digest", 1, run).map(Some)
}

fn reading(name: &str, rounds: u32, command: impl Fn(u32) -> Command) -> Result<Reading> {
    let (mut processor, mut wall, mut peak_mb) = (Vec::new(), Vec::new(), 0.0_f64);
    for round in 0..rounds {
        let begun = Instant::now();
        let child = command(round).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let used = peak(child.with_context(|| format!("cannot run {name}"))?)?;
        wall.push(begun.elapsed().as_secs_f64());
        processor.push(used.processor.as_secs_f64());
        peak_mb = peak_mb.max(used.peak_mb);
        note(&format!("{name}: {:.2} s of processor time", used.processor.as_secs_f64()));
    }
    let spread = |all| Spread::of(all).context("it ran");
    Ok(Reading { processor: spread(processor)?, wall: spread(wall)?, peak_mb })
}

impl SlowlogFigures {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let row = |name: &str, reading: &Reading| {
            vec![
                name.to_owned(),
                format!("{:.0} MB/s", self.megabytes / reading.processor.median),
                format!("{:.0} MB/s", self.megabytes / reading.wall.median),
                format!("{:.2} s", reading.processor.median),
                format!("{:.1} MB", reading.peak_mb),
            ]
        };
        let mut rows =
            vec![row("honcho, one thread", &self.one_thread), row("honcho, two threads", &self.two_threads)];
        rows.extend(self.imported.as_ref().map(|reading| row("by mail into the store", reading)));
        rows.extend(self.pt_query_digest.as_ref().map(|reading| row("pt-query-digest", reading)));
        let mut text = format!(
            "{:.1} MB, {} events, seed {}; before: {}; after: {}\n\n",
            self.megabytes,
            self.events,
            self.seed,
            self.load_before.text(),
            self.load_after.text(),
        );
        text.push_str(&table(&["", "per processor second", "on the wall", "processor", "peak memory"], rows));
        let yes = |right: bool| if right { "yes" } else { "NO" };
        let mut lines = vec![text, String::new()];
        if let Some(pt) = &self.pt_query_digest {
            let ratio = pt.processor.median / self.one_thread.processor.median;
            lines.push(format!(
                "{ratio:.0} times as fast as pt-query-digest on one processor (at least {LEAST_RATIO:.0}: {})",
                yes(ratio >= LEAST_RATIO)
            ));
        }
        if let Some(imported) = &self.imported {
            let share = self.one_thread.processor.median / imported.processor.median;
            lines.push(format!(
                "by mail into the store at {share:.2} of the rate of reading alone (at least {LEAST_IMPORTED:.2}: {})",
                yes(share >= LEAST_IMPORTED)
            ));
        }
        let peak = self.one_thread.peak_mb.max(self.two_threads.peak_mb);
        lines.push(format!(
            "peak memory {peak:.1} MB (less than {MOST_MEMORY_MB:.0}: {})",
            yes(peak < MOST_MEMORY_MB)
        ));
        let scale = self.one_thread.wall.median / self.two_threads.wall.median;
        lines.push(format!("two threads take 1/{scale:.2} of the time on the wall"));
        lines.join("\n")
    }
}

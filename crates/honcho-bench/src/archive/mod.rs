//! `honcho bench archive`: publishing packages, beside reprepro, aptly and apt-ftparchive on the same ones in the same run.

pub(crate) mod made;
mod tools;

use crate::figures::{Spread, note, table};
use crate::load::Load;
use crate::process::processor_of_children;
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;
use tools::{Ground, Tool};

/// What is aimed at: the first publication no slower than the fastest of them, one package more so many times as fast,
const LEAST_RATIO: f64 = 3.0;
/// and in a large archive in less than so many seconds.
const MOST_SECONDS: f64 = 1.0;

const AFTER_HELP: &str = "\
Packages are made from their numbers, small ones. Each tool makes a repository of them with a signed suite of one component, \
and then adds one package more, several times, and publishes that. Those that are not installed are left out (Debian: reprepro, \
aptly, apt-utils, gpg). What they keep is written to disks as each of them does it.

Examples:
  honcho bench archive
  honcho bench archive --packages 50000 --alone      # a large one";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ArchiveArguments {
    /// How many packages the first publication has
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=90_000))]
    packages: u32,

    /// How often one more is added
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// Leave the others out
    #[arg(long)]
    alone: bool,

    /// Where all of it is made, and removed again
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct ArchiveFigures {
    packages: u32,
    load_before: Load,
    load_after: Load,
    tools: Vec<Measured>,
}

/// What one of them took.
#[derive(Debug, Serialize)]
struct Measured {
    tool: &'static str,
    first: Took,
    /// One package more, each time.
    one_more_wall: Spread,
    one_more_processor: Spread,
    /// The most that any of its processes held, in MB.
    peak_mb: f64,
}

/// What a publication took.
#[derive(Clone, Copy, Debug, Serialize)]
struct Took {
    wall_seconds: f64,
    processor_seconds: f64,
    peak_mb: f64,
}

/// Makes packages and has them published.
pub(crate) fn measure(arguments: &ArchiveArguments) -> Result<ArchiveFigures> {
    let directory = match &arguments.directory {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let gnupg = directory.path().join("gnupg");
    let key = tools::key(&gnupg)?;
    let measured = beside(arguments, directory.path(), &gnupg, &key);
    tools::end_agent(&gnupg);
    measured
}

fn beside(arguments: &ArchiveArguments, directory: &Path, gnupg: &Path, key: &str) -> Result<ArchiveFigures> {
    let load_before = Load::now()?;
    let packages = directory.join("packages");
    let more = directory.join("more");
    for made in [&packages, &more] {
        std::fs::create_dir(made)?;
    }
    note(&format!("making {} packages", arguments.packages));
    for number in 0..arguments.packages {
        made::package(&packages, number, "1.0-1")?;
    }
    let mut tools = Vec::new();
    for tool in Tool::ALL {
        if arguments.alone && tool != Tool::Honcho {
            continue;
        }
        if !tool.is_there() {
            note(&format!("{} is not installed", tool.name()));
            continue;
        }
        let ground =
            Ground { root: directory.join(tool.name()), gnupg: gnupg.to_owned(), key: key.to_owned() };
        tools.push(one(tool, &ground, &packages, &more, arguments.rounds)?);
        std::fs::remove_dir_all(&ground.root)?;
    }
    Ok(ArchiveFigures { packages: arguments.packages, load_before, load_after: Load::now()?, tools })
}

fn one(tool: Tool, ground: &Ground, packages: &Path, more: &Path, rounds: u32) -> Result<Measured> {
    tool.prepare(ground).with_context(|| format!("preparing {}", tool.name()))?;
    // More names than fit into a command line, where they are many.
    let each = if matches!(tool, Tool::Honcho) { "" } else { "/*.deb" };
    let first = publish(tool, ground, &format!("'{}'{each}", packages.display()), true)?;
    note(&format!("{}: first publication {:.2} s", tool.name(), first.wall_seconds));
    let mut again = Vec::new();
    for round in 0..rounds {
        let package = made::package(more, 99_000 + round, "1.0-1")?;
        again.push(publish(tool, ground, &format!("'{}'", package.display()), false)?);
    }
    let spread = |of: fn(&Took) -> f64| Spread::of(again.iter().map(of)).context("it was added to");
    let peak_mb = again.iter().map(|took| took.peak_mb).fold(first.peak_mb, f64::max);
    Ok(Measured {
        tool: tool.name(),
        first,
        one_more_wall: spread(|took| took.wall_seconds)?,
        one_more_processor: spread(|took| took.processor_seconds)?,
        peak_mb,
    })
}

fn publish(tool: Tool, ground: &Ground, packages: &str, first: bool) -> Result<Took> {
    let before = std::fs::read(tool.in_release(ground)).unwrap_or_default();
    // What others left to be written, also the packages themselves, is nobody's who waits for the disk now.
    rustix::fs::sync();
    let processor = processor_of_children()?;
    let begun = Instant::now();
    let child = tool.publish(ground, packages, first)?.stderr(Stdio::piped()).spawn()?;
    // What each process of it held most; those that it waits for are looked at while they run.
    let (output, ended, peak_mb) = crate::process::watched(child)?;
    let wall_seconds = ended.duration_since(begun).as_secs_f64();
    ensure!(output.status.success(), "{}: {}", tool.name(), String::from_utf8_lossy(&output.stderr));
    let processor_seconds = processor_of_children()?.saturating_sub(processor).as_secs_f64();
    let after = std::fs::read(tool.in_release(ground))
        .with_context(|| format!("{} published nothing", tool.name()))?;
    ensure!(after != before, "{} published nothing new", tool.name());
    Ok(Took { wall_seconds, processor_seconds, peak_mb })
}

impl ArchiveFigures {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let row = |measured: &Measured| {
            vec![
                measured.tool.to_owned(),
                format!("{:.2} s", measured.first.wall_seconds),
                format!("{:.2} s", measured.first.processor_seconds),
                format!("{:.3} s", measured.one_more_wall.median),
                format!("{:.3} s", measured.one_more_processor.median),
                format!("{:.0} MB", measured.peak_mb),
            ]
        };
        let headings = ["", "first publication", "processor", "one more", "processor", "peak memory"];
        let mut lines = vec![
            format!(
                "{} packages; before: {}; after: {}\n",
                self.packages,
                self.load_before.text(),
                self.load_after.text()
            ),
            table(&headings, self.tools.iter().map(row).collect()),
            String::new(),
        ];
        let yes = |right: bool| if right { "yes" } else { "NO" };
        let Some((ours, others)) = self.tools.split_first() else { return lines.join("\n") };
        let fastest = |of: fn(&Measured) -> f64| others.iter().map(of).reduce(f64::min);
        if let Some(first) = fastest(|measured| measured.first.wall_seconds) {
            let ratio = first / ours.first.wall_seconds;
            lines.push(format!(
                "the first publication is {ratio:.2} times as fast as the fastest of the others' (at least 1: {})",
                yes(ratio >= 1.0)
            ));
        }
        if let Some(one_more) = fastest(|measured| measured.one_more_wall.median) {
            let ratio = one_more / ours.one_more_wall.median;
            lines.push(format!(
                "one package more is published {ratio:.1} times as fast as by the fastest of them (at least {LEAST_RATIO:.0}: {})",
                yes(ratio >= LEAST_RATIO)
            ));
        }
        let seconds = ours.one_more_wall.median;
        lines.push(format!(
            "one package more takes {seconds:.3} s (less than {MOST_SECONDS:.0}: {})",
            yes(seconds < MOST_SECONDS)
        ));
        lines.join("\n")
    }
}

//! `honcho bench placement`: how evenly Honcho spreads guests and how fast, beside Ganeti's hbal and hail on the same files.
//!
//! ```text
//!   made   clusters out of seeds      ours   read, balance, write: processor time of all three
//!   peer   hbal on the same file; then `hbal -l 0` on what we wrote, so that both are judged by hbal's own score
//! ```
//!
//! hbal is asked at the small sizes only: it needs minutes for one move at 200 hosts.

mod made;
mod ours;
mod peer;
mod plot;

use crate::figures::{note, table};
use crate::load::Load;
use crate::process;
use anyhow::{Context as _, Result};
use ours::{Allocated, Ours};
use peer::Hbal;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

const AFTER_HELP: &str = "\
It asks no brain. Where hbal or hail are not installed (Debian: ganeti-htools), only Honcho's own figures are taken.

Examples:
  honcho bench placement
  honcho bench placement --seeds 10 --up-to 20
  honcho bench placement --up-to 20 --seeds 1 --plot trade.svg";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct PlacementArguments {
    /// How many clusters of each small size
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,

    /// The first of the seeds
    #[arg(long, default_value_t = 1, value_name = "N")]
    first_seed: u64,

    /// No clusters of more hosts than this
    #[arg(long, default_value_t = 5_000, value_name = "HOSTS")]
    up_to: usize,

    /// How long hbal or hail may take for one cluster, in seconds
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    limit: u64,

    /// Write score against moves, of the first cluster that hbal balanced, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// What is aimed at, for a size.
struct Size {
    hosts: usize,
    guests: usize,
    target: Target,
}

enum Target {
    /// No higher than hbal, with no more moves, this many times faster.
    Beside { times_faster: f64 },
    /// A score below, in less than so many seconds.
    Alone { score: f64, seconds: f64 },
}

const SIZES: [Size; 5] = [
    Size { hosts: 20, guests: 200, target: Target::Beside { times_faster: 1000.0 } },
    Size { hosts: 20, guests: 400, target: Target::Beside { times_faster: 1000.0 } },
    Size { hosts: 200, guests: 4_000, target: Target::Alone { score: 0.85, seconds: 0.1 } },
    Size { hosts: 1_000, guests: 20_000, target: Target::Alone { score: 0.83, seconds: 2.0 } },
    Size { hosts: 5_000, guests: 100_000, target: Target::Alone { score: 0.83, seconds: 30.0 } },
];
/// For the largest size: all that this program ever held.
const MOST_MEMORY_MB: f64 = 1_024.0;
/// One guest placed among the most hosts.
const MOST_SECONDS_TO_PLACE: f64 = 0.002;

/// One cluster that was balanced.
#[derive(Debug, Serialize)]
struct Balanced {
    hosts: usize,
    guests: usize,
    seed: u64,
    ours: Ours,
    /// What `hbal -l 0` says of ours.
    as_hbal_scores_it: Option<f64>,
    hbal: Option<Hbal>,
    target: String,
    within: Option<bool>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct PlacementFigures {
    load_before: Load,
    load_after: Load,
    hbal: bool,
    balanced: Vec<Balanced>,
    allocated: Allocated,
    /// Processor time of hail for one guest on the same cluster; none, where it was not there or not done in time.
    hail_seconds: Option<f64>,
    peak_memory_mb: f64,
}

/// Measures, and writes the plot if one is wanted.
pub(crate) fn measure(arguments: &PlacementArguments) -> Result<PlacementFigures> {
    let limit = Duration::from_secs(arguments.limit);
    let hbal = peer::hbal_is_there();
    if !hbal {
        note("hbal is not installed (Debian: ganeti-htools): Honcho is measured alone");
    }
    let load_before = Load::now()?;
    let directory = tempfile::tempdir()?;
    let mut balanced = Vec::new();
    let mut plotted = arguments.plot.is_none();
    for size in SIZES.iter().filter(|size| size.hosts <= arguments.up_to) {
        let alone = matches!(size.target, Target::Alone { .. });
        let seeds = if alone { 1 } else { arguments.seeds };
        for seed in arguments.first_seed..arguments.first_seed.saturating_add(seeds) {
            note(&format!("{} hosts, {} guests, seed {seed}", size.hosts, size.guests));
            let one = balance(size, seed, hbal && !alone, limit, directory.path())?;
            if let (Some(file), Some(beside), false) = (&arguments.plot, &one.hbal, plotted) {
                write_plot(file, &one, beside)?;
                plotted = true;
            }
            balanced.push(one);
        }
    }
    let largest =
        SIZES.iter().rfind(|size| size.hosts <= arguments.up_to).context("no size is that small")?;
    note(&format!("one guest among {} hosts and {} guests", largest.hosts, largest.guests));
    let text = made::cluster(largest.hosts, largest.guests, arguments.first_seed);
    let allocated = ours::allocate(&text)?;
    let peak_memory_mb = process::peak_memory_mb(std::process::id())?;
    let file = directory.path().join("allocate.data");
    std::fs::write(&file, &text)?;
    let hail_seconds = if peer::hail_is_there() { peer::allocate(&file, limit)? } else { None };
    Ok(PlacementFigures {
        load_before,
        load_after: Load::now()?,
        hbal,
        balanced,
        allocated,
        hail_seconds,
        peak_memory_mb,
    })
}

fn balance(size: &Size, seed: u64, beside_hbal: bool, limit: Duration, directory: &Path) -> Result<Balanced> {
    let (file, after) = (directory.join("before.data"), directory.join("after.data"));
    std::fs::write(&file, made::cluster(size.hosts, size.guests, seed))?;
    let ours = ours::balance(&file, &after)?;
    let (hbal, as_hbal_scores_it) = if beside_hbal {
        (Some(peer::balance(&file, limit)?), Some(peer::score(&after, limit)?))
    } else {
        (None, None)
    };
    let within = match (&size.target, &hbal, as_hbal_scores_it) {
        (Target::Beside { times_faster }, Some(hbal), Some(score)) if hbal.finished => Some(
            // hbal prints eight digits.
            score <= hbal.score_after + 1e-8
                && ours.moves() <= hbal.scores.len()
                && hbal.seconds >= times_faster * ours.processor_seconds,
        ),
        (Target::Alone { score, seconds }, ..) => {
            Some(ours.score_after < *score && ours.processor_seconds < *seconds)
        }
        (Target::Beside { .. }, ..) => None,
    };
    let target = match size.target {
        Target::Beside { times_faster } => format!("hbal's, {times_faster}x faster"),
        Target::Alone { score, seconds } => format!("below {score} in {seconds} s"),
    };
    let Size { hosts, guests, .. } = *size;
    Ok(Balanced { hosts, guests, seed, ours, as_hbal_scores_it, hbal, target, within })
}

fn write_plot(file: &Path, one: &Balanced, beside: &Hbal) -> Result<()> {
    let with_start = |scores: &[f64]| {
        let start = std::iter::once(one.ours.score_before);
        start.chain(scores.iter().copied()).collect()
    };
    let title = format!("{} hosts, {} guests: the score after each move", one.hosts, one.guests);
    let svg = plot::plot(
        &title,
        &[
            plot::Line { name: "hbal 3.0", scores: with_start(&beside.scores), colour: "#c60" },
            plot::Line { name: "honcho balance", scores: with_start(&one.ours.scores), colour: "#06c" },
        ],
    );
    std::fs::write(file, svg).with_context(|| format!("cannot write {}", file.display()))
}

impl PlacementFigures {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let headings = [
            "hosts/guests",
            "seed",
            "before",
            "score",
            "hbal's",
            "moves",
            "hbal's",
            "processor",
            "hbal's",
            "faster",
            "target",
            "within",
        ];
        let rows = self.balanced.iter().map(Balanced::row).collect();
        let Allocated { hosts, guests, decide_seconds, explain_seconds } = &self.allocated;
        let beside = match self.hail_seconds {
            Some(seconds) => format!("hail took {seconds:.2} s"),
            None => "hail was not there, or not done in time".to_owned(),
        };
        let skipped =
            if self.hbal { "hbal is skipped at 200 hosts and more: it needs hours there.\n" } else { "" };
        format!(
            "{}, {}\n\n{}\n\n{skipped}\
             One guest among {hosts} hosts and {guests} guests: {:.3} ms with a verdict for every host, {:.3} ms with all \
             of them written out; less than {:.0} ms: {}; {beside}\n\
             Memory at most {:.0} MB, less than {MOST_MEMORY_MB:.0} MB: {}",
            self.load_before.text(),
            self.load_after.text(),
            table(&headings, rows),
            decide_seconds * 1000.0,
            explain_seconds * 1000.0,
            MOST_SECONDS_TO_PLACE * 1000.0,
            yes(*explain_seconds < MOST_SECONDS_TO_PLACE),
            self.peak_memory_mb,
            yes(self.peak_memory_mb < MOST_MEMORY_MB),
        )
    }
}

impl Balanced {
    fn row(&self) -> Vec<String> {
        let dash = || "-".to_owned();
        let hbal = self.hbal.as_ref();
        let score = self.as_hbal_scores_it.unwrap_or(self.ours.score_after);
        let faster = hbal.map(|hbal| hbal.seconds / self.ours.processor_seconds);
        vec![
            format!("{}/{}", self.hosts, self.guests),
            self.seed.to_string(),
            format!("{:.3}", self.ours.score_before),
            format!("{score:.4}"),
            hbal.map_or_else(dash, |hbal| format!("{:.4}", hbal.score_after)),
            self.ours.moves().to_string(),
            hbal.map_or_else(dash, |hbal| hbal.scores.len().to_string()),
            format!("{:.4} s", self.ours.processor_seconds),
            hbal.map_or_else(dash, |hbal| {
                format!("{}{:.2} s", if hbal.finished { "" } else { "over " }, hbal.seconds)
            }),
            faster.map_or_else(dash, |times| format!("{times:.0}x")),
            self.target.clone(),
            self.within.map_or_else(dash, |within| yes(within).to_owned()),
        ]
    }
}

fn yes(within: bool) -> &'static str {
    if within { "yes" } else { "NO" }
}

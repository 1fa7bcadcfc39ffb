//! `honcho bench panel`: how soon each page begins to come, and how large it is, with many guests and many slow queries.
//!
//! ```text
//!   seed    a database of its own with N guests, written by the store, each of which says what packages it has; an archive
//!   serve   `honcho serve` on it; a slow log of N different queries comes by mail, as it would
//!   look    an operator logs in and asks for every page, one after the other, again and again: as a browser does, packed
//! ```
//!
//! What pages share for a second or for five is shared here, too, as far as the rounds are that quick: the first time each page is
//! asked for is told apart, for then nothing is.

mod looker;
mod packages;
mod queries;

use crate::api::seed::{self, Seeded};
use crate::api::served::Served;
use crate::figures::{note, table};
use crate::load::Load;
use anyhow::{Context as _, Result, ensure};
use honcho_store::Engine;
use looker::{Looker, Seen};
use packages::{PACKAGE, SUITE};
use serde::Serialize;
use std::time::{Duration, Instant};

/// What is aimed at.
const FIRST_BYTE: Duration = Duration::from_millis(100);
const MOST_BYTES: usize = 200_000;

const AFTER_HELP: &str = "\
It makes a brain of its own in a temporary directory, and touches no other. honcho-guest belongs beside this program.

Examples:
  honcho bench panel
  honcho bench panel --guests 50000 --queries 20000 --rounds 10";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct PanelArguments {
    /// How many guests the brain knows
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=125_000))]
    guests: u32,

    /// How many different slow queries it knows
    #[arg(long, default_value_t = 5_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    queries: u32,

    /// How often each page is asked for
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=1_000))]
    rounds: u16,
}

/// A page.
#[derive(Debug, Serialize)]
struct PageFigures {
    page: String,
    /// Until the first byte, in seconds: the first time, and of all other times the median and the 99th percentile.
    first: f64,
    median: f64,
    p99: f64,
    /// Over the wire.
    bytes: usize,
}

impl PageFigures {
    fn of(page: &str, seen: &[Seen]) -> Result<PageFigures> {
        let (first, rest) = seen.split_first().context("it was looked at")?;
        let mut times: Vec<f64> = rest.iter().map(|seen| seen.first_byte.as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
        ensure!(!times.is_empty(), "{page} was looked at once");
        let bytes = seen.iter().map(|seen| seen.bytes).max().unwrap_or(0);
        Ok(PageFigures {
            page: page.to_owned(),
            first: first.first_byte.as_secs_f64(),
            median: at(50),
            p99: at(99),
            bytes,
        })
    }

    /// A file to be kept is as large as what is in it.
    fn is_file(&self) -> bool {
        self.page.contains(".csv") || self.page.contains(".json")
    }

    fn within(&self) -> bool {
        self.p99 <= FIRST_BYTE.as_secs_f64() && (self.is_file() || self.bytes <= MOST_BYTES)
    }

    fn cells(&self) -> Vec<String> {
        let milliseconds = |seconds: f64| format!("{:.1} ms", seconds * 1000.0);
        vec![
            self.page.clone(),
            milliseconds(self.first),
            milliseconds(self.median),
            milliseconds(self.p99),
            format!("{:.1} kB", f64::from(u32::try_from(self.bytes).unwrap_or(u32::MAX)) / 1000.0),
            if self.within() { "yes" } else { "NO" }.to_owned(),
        ]
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct PanelFigures {
    guests: usize,
    queries: u32,
    rounds: u16,
    load_before: Load,
    load_after: Load,
    pages: Vec<PageFigures>,
    peak_memory_mb: f64,
}

impl PanelFigures {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let headings = ["page", "first time", "p50", "p99", "over the wire", "within"];
        format!(
            "{} guests, {} slow queries, each page {} times; before: {}; after: {}\n\n{}\n\n\
             to the first byte: p99 within {} ms; over the wire: within {} kB\nthe brain's peak memory: {:.1} MB",
            self.guests,
            self.queries,
            self.rounds,
            self.load_before.text(),
            self.load_after.text(),
            table(&headings, self.pages.iter().map(PageFigures::cells).collect()),
            FIRST_BYTE.as_millis(),
            MOST_BYTES / 1000,
            self.peak_memory_mb,
        )
    }
}

/// Every page that an operator can go to, with what it is asked for; none changes anything.
fn pages(seeded: &Seeded, server: i64, query: i64) -> Result<Vec<String>> {
    let guest = seeded.guests.get(seeded.guests.len() / 2).context("a guest")?;
    let account = seeded.account;
    let plain = [
        "/",
        "/hosts",
        "/hosts/1",
        "/hosts/1/drain",
        "/racks",
        "/guests",
        "/guests?status=running",
        "/guests/new",
        "/networks",
        "/networks/1",
        "/placement",
        "/placement?by=loss",
        "/placement?memory=1G&vcpus=1&disk=10G",
        "/placement?if_lost=1",
        "/placement?memory=1G&vcpus=1&disk=10G&if_lost=1",
        "/capacity",
        "/capacity?if_lost=1",
        "/images",
        "/images/1",
        "/accounts",
        "/people",
        "/events",
        "/search?q=web12",
        "/search?q=10.1.2.3",
        "/slow_queries",
        "/guests.csv",
        "/guests.json",
        "/password",
        "/archive",
    ];
    let mut pages: Vec<String> = plain.map(str::to_owned).into();
    pages.extend([
        format!("/guests/{guest}"),
        format!("/guests/{guest}/packages"),
        format!("/guests?after={guest}"),
        format!("/guests?account_id={account}"),
        format!("/accounts/{account}"),
        format!("/accounts/{account}/usage"),
        format!("/slow_servers/{server}"),
        format!("/slow_servers/{server}?page=100"),
        format!("/slow_servers/{server}?text=table_"),
        format!("/slow_servers/{server}?period=24h"),
        format!("/slow_queries/{query}"),
        format!("/archive/{SUITE}"),
        format!("/archive/{SUITE}?show=outdated"),
        format!("/archive/{SUITE}/packages/{PACKAGE}"),
        format!("/archive/{SUITE}/history"),
    ]);
    Ok(pages)
}

/// Measures.
pub(crate) async fn measure(arguments: &PanelArguments) -> Result<PanelFigures> {
    let directory = tempfile::Builder::new().prefix("honcho-bench-panel-").tempdir()?;
    let data = directory.path().join("brain");
    std::fs::create_dir(&data)?;
    let file = data.join("honcho.sqlite");
    let begun = Instant::now();
    let seeded = seed::seed(&file, &Engine::from(file.as_path()), arguments.guests).await?;
    note(&format!("{} guests are written, in {:.0} s", seeded.guests.len(), begun.elapsed().as_secs_f64()));
    let archive = packages::archive(directory.path())?;
    packages::say(&file, &seeded.guests).await?;
    note("an archive is made, and each guest has said what it has of it");
    let brain = Served::start(&data, None, Some(&archive)).await?;
    queries::import(directory.path(), &data, &brain.url, arguments.queries)?;
    note(&format!("{} slow queries came by mail", arguments.queries));
    let (server, query) = queries::newest(&brain).await?;
    let looker = Looker::log_in(&brain).await?;
    let load_before = Load::now()?;
    let pages = pages(&seeded, server, query)?;
    let mut seen: Vec<Vec<Seen>> = pages.iter().map(|_| Vec::new()).collect();
    for _ in 0..arguments.rounds {
        for (page, seen) in pages.iter().zip(&mut seen) {
            seen.push(looker.look(page).await?);
        }
    }
    let figures = pages.iter().zip(&seen).map(|(page, seen)| PageFigures::of(page, seen));
    Ok(PanelFigures {
        guests: seeded.guests.len(),
        queries: arguments.queries,
        rounds: arguments.rounds,
        load_before,
        load_after: Load::now()?,
        pages: figures.collect::<Result<_>>()?,
        peak_memory_mb: brain.peak_memory_mb()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_is_told_apart_and_files_may_be_large() {
        let seen =
            |milliseconds: u64, bytes: usize| Seen { first_byte: Duration::from_millis(milliseconds), bytes };
        let all = [seen(900, 10), seen(10, 20), seen(30, 300_000), seen(20, 20)];
        let page = PageFigures::of("/guests", &all).unwrap();
        assert!(
            (page.first - 0.9).abs() < 1e-9
                && (page.median - 0.02).abs() < 1e-9
                && (page.p99 - 0.03).abs() < 1e-9,
            "{page:?}"
        );
        assert_eq!((page.bytes, page.within()), (300_000, false));
        assert!(PageFigures::of("/guests.csv?status=running", &all).unwrap().within());
    }
}

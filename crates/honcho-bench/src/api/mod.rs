//! `honcho bench api`: how fast the brain answers, beside its own `/healthz`.
//!
//! ```text
//!   seed    a database of its own with N guests, written by the store; the same in PostgreSQL, if one is named
//!   serve   `honcho serve` on it, on loopback
//!   drive   what is measured and what it stands beside take turns, a few seconds each: the ratio counts, for both had
//!           the same machine, the same load generator and the same moment
//! ```
//!
//! The load comes from `rlt` with one connection per client, on one processor; the other is the brain's.

mod drive;
pub(crate) mod seed;
pub(crate) mod served;

use crate::figures::{note, table};
use crate::load::Load;
use anyhow::{Context as _, Result, ensure};
use drive::{Drive, Request, Speed};
use honcho_store::Engine;
use seed::Seeded;
use serde::Serialize;
use served::Served;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is aimed at.
const GUEST_TO_HEALTH: f64 = 1.0 / 3.0;
const PAGE_TO_HEALTH: f64 = 1.0 / 10.0;
const AFTER_TO_FIRST: f64 = 1.0 / 1.2;
const OFFSET_TO_FIRST: f64 = 1.0 / 4.0;
const WRITES_P99_TO_MEDIAN: f64 = 20.0;
const MOST_MEMORY_MB: f64 = 150.0;

const AFTER_HELP: &str = "\
It makes a brain of its own in a temporary directory, and touches no other.

Examples:
  honcho bench api
  honcho bench api --guests 100000 --seconds 10
  honcho bench api --database postgres://honcho@localhost/bench   # both engines; an empty database";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ApiArguments {
    /// How many guests the brain knows
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=125_000))]
    guests: u32,

    /// An empty PostgreSQL database, which is measured after SQLite
    #[arg(long, value_name = "URL")]
    database: Option<String>,

    /// How long each thing is measured
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,

    /// How many ask at once
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    clients: u16,

    /// How many write at once
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    writers: u16,
}

/// Two things that took turns.
#[derive(Debug, Serialize)]
struct Compared {
    what: &'static str,
    measured: Speed,
    beside: &'static str,
    beside_measured: Speed,
    /// Requests per second of the one by those of the other.
    ratio: f64,
    /// What is aimed at, if anything is.
    least: Option<f64>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct ApiFigures {
    engines: Vec<EngineFigures>,
}

impl ApiFigures {
    /// For people.
    pub(crate) fn text(&self) -> String {
        self.engines.iter().map(EngineFigures::text).collect::<Vec<_>>().join("\n\n")
    }
}

/// What was measured of a brain on one engine.
#[derive(Debug, Serialize)]
struct EngineFigures {
    engine: &'static str,
    guests: usize,
    seed_seconds: f64,
    load_before: Load,
    load_after: Load,
    compared: Vec<Compared>,
    writers: u16,
    writes: Speed,
    /// The 99th percentile of a write's time by its median.
    writes_p99_to_median: f64,
    /// Half as many a second, each begun when it is due whether those before it are answered or not.
    writes_on_time: Speed,
    unpaged_seconds: f64,
    unpaged_bytes: usize,
    /// The most memory the brain ever held, in MB.
    peak_memory_mb: f64,
}

impl EngineFigures {
    fn text(&self) -> String {
        let headings = ["", "rate", "p50", "p99", "beside", "ratio", "least", "within"];
        let rows = self.compared.iter().map(Compared::cells).collect();
        let (writes, on_time) = (&self.writes, &self.writes_on_time);
        format!(
            "{}: {} guests (written in {:.0} s); before: {}; after: {}\n\n{}\n\n\
             {} writers at once: {:.0}/s, p50 {}, p99 {}: p99 is {:.1} times the median (at most {WRITES_P99_TO_MEDIAN}: {})\n\
             {:.0} writes a second, begun on time: p50 {}, p99 {}\n\
             the whole list unpaged: {:.1} MB in {:.2} s\n\
             the brain's peak memory: {:.1} MB (less than {MOST_MEMORY_MB}: {})",
            self.engine,
            self.guests,
            self.seed_seconds,
            self.load_before.text(),
            self.load_after.text(),
            table(&headings, rows),
            self.writers,
            writes.per_second,
            milliseconds(writes.median),
            milliseconds(writes.p99),
            self.writes_p99_to_median,
            verdict(self.writes_p99_to_median <= WRITES_P99_TO_MEDIAN),
            on_time.per_second,
            milliseconds(on_time.median),
            milliseconds(on_time.p99),
            megabytes(self.unpaged_bytes),
            self.unpaged_seconds,
            self.peak_memory_mb,
            verdict(self.peak_memory_mb < MOST_MEMORY_MB),
        )
    }
}

impl Compared {
    fn cells(&self) -> Vec<String> {
        vec![
            self.what.to_owned(),
            format!("{:.0}/s", self.measured.per_second),
            milliseconds(self.measured.median),
            milliseconds(self.measured.p99),
            format!("{} {:.0}/s", self.beside, self.beside_measured.per_second),
            format!("{:.2}", self.ratio),
            self.least.map_or_else(String::new, |least| format!("{least:.2}")),
            self.least.map_or_else(String::new, |least| verdict(self.ratio >= least)),
        ]
    }
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1000.0)
}

fn verdict(within: bool) -> String {
    if within { "yes" } else { "NO" }.to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// Measures.
pub(crate) async fn measure(arguments: &ApiArguments) -> Result<ApiFigures> {
    let mut engines = vec![measure_engine(arguments, None).await?];
    if let Some(url) = &arguments.database {
        engines.push(measure_engine(arguments, Some(url)).await?);
    }
    Ok(ApiFigures { engines })
}

async fn measure_engine(arguments: &ApiArguments, database: Option<&str>) -> Result<EngineFigures> {
    let engine = if database.is_some() { "PostgreSQL" } else { "SQLite" };
    let directory = tempfile::tempdir()?;
    note(&format!("{engine}: writing {} guests", arguments.guests));
    let begun = Instant::now();
    let file = directory.path().join("honcho.sqlite");
    let seeded = match database {
        Some(url) => {
            // What is carried from a file is not to be taken for the file of the brain that is measured.
            let elsewhere = tempfile::tempdir()?;
            let target = url.parse().with_context(|| format!("--database {url}"))?;
            seed::seed(&elsewhere.path().join("honcho.sqlite"), &target, arguments.guests).await?
        }
        None => seed::seed(&file, &Engine::from(&file), arguments.guests).await?,
    };
    let seed_seconds = begun.elapsed().as_secs_f64();
    let served = Served::start(directory.path(), database, None).await?;
    let load_before = Load::now()?;
    let drive = Drive {
        url: served.url.clone(),
        token: served.token.clone(),
        clients: arguments.clients,
        length: Duration::from_secs(arguments.seconds.into()),
    };
    let compared = compare_all(&drive, &seeded).await?;
    note("the whole list, unpaged");
    let begun = Instant::now();
    let list = served.get("/v1/guests.json").await?;
    let unpaged_seconds = begun.elapsed().as_secs_f64();
    let found = serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(&list)?.len();
    ensure!(found == seeded.guests.len(), "the list is not whole: {found} guests");
    let (writes, writes_on_time) = write(&drive, arguments.writers, &seeded).await?;
    Ok(EngineFigures {
        engine,
        guests: seeded.guests.len(),
        seed_seconds,
        load_before,
        load_after: Load::now()?,
        compared,
        writers: arguments.writers,
        writes_p99_to_median: writes.p99 / writes.median,
        writes,
        writes_on_time,
        unpaged_seconds,
        unpaged_bytes: list.len(),
        peak_memory_mb: served.peak_memory_mb()?,
    })
}

/// So many times as many clients begin writes on time, so that one is always free.
const SPARE_CLIENTS: u16 = 4;

/// Many writers that each wait for their answer, and then half as many writes a second, begun when they are due.
async fn write(drive: &Drive, writers: u16, seeded: &Seeded) -> Result<(Speed, Speed)> {
    let renaming = |word: &'static str| -> Asked {
        let guests = seeded.guests.clone();
        Arc::new(move |n| {
            let id = guests[usize::try_from(n * 7_919).unwrap_or(0) % guests.len()];
            Request::Patch(format!("/v1/guests/{id}.json"), format!("{{\"name\":\"{word}-{id}-{n}\"}}"))
        })
    };
    note("writing at once");
    let at_once = Drive { clients: writers, ..drive.clone() }.run(renaming("renamed")).await?;
    note("writing on time");
    let on_time = Drive { clients: writers * SPARE_CLIENTS, ..drive.clone() };
    let on_time = on_time.run_on_time(renaming("again"), at_once.per_second / 2.0).await?;
    Ok((at_once, on_time))
}

type Asked = Arc<dyn Fn(u64) -> Request + Send + Sync>;

fn path(path: impl Into<String>) -> Asked {
    let path = path.into();
    Arc::new(move |_| Request::Get(path.clone()))
}

async fn compare_all(drive: &Drive, seeded: &Seeded) -> Result<Vec<Compared>> {
    let guests = seeded.guests.clone();
    let one = Arc::new(move |n: u64| {
        let id = guests[usize::try_from(n * 7_919).unwrap_or(0) % guests.len()];
        Request::Get(format!("/v1/guests/{id}.json"))
    });
    let page = "/v1/guests.json?limit=100";
    let filtered = path(format!("{page}&account_id={}", seeded.account));
    let running = path(format!("{page}&status=running"));
    // A page that was read a moment ago is not read again. These are other ones each time.
    let after = |tenth: usize| {
        let guests = seeded.guests.clone();
        let (first, many) = (guests.len() / 10 * tenth, guests.len() / 10 - 100);
        Arc::new(move |n: u64| {
            let id = guests[first + usize::try_from(n * 7_919).unwrap_or(0) % many];
            Request::Get(format!("{page}&after={id}"))
        })
    };
    let offset = |tenth: usize| {
        let first = seeded.guests.len() / 10 * tenth;
        Arc::new(move |n: u64| {
            Request::Get(format!("{page}&offset={}", first + usize::try_from(n * 7_919).unwrap_or(0) % 100))
        })
    };
    let health = || path("/healthz");
    let rows: [(&str, Asked, &str, Asked, Option<f64>); 6] = [
        ("one guest by id", one, "/healthz", health(), Some(GUEST_TO_HEALTH)),
        ("100 guests of an account", filtered, "/healthz", health(), Some(PAGE_TO_HEALTH)),
        ("100 guests by status", running, "/healthz", health(), Some(PAGE_TO_HEALTH)),
        ("100 guests, others each time", after(0), "/healthz", health(), None),
        ("a deep page by after=", after(9), "a first page", after(0), Some(AFTER_TO_FIRST)),
        ("a deep page by offset=", offset(9), "a first page", offset(0), Some(OFFSET_TO_FIRST)),
    ];
    let mut compared = Vec::new();
    for (what, asked, beside, beside_asked, least) in rows {
        note(what);
        // Twice each, in turns, so that what else the machine does hits both alike.
        let (mut measured, mut beside_measured) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            measured.push(drive.run(asked.clone()).await?);
            beside_measured.push(drive.run(beside_asked.clone()).await?);
        }
        let (measured, beside_measured) = (Speed::mean(&measured), Speed::mean(&beside_measured));
        let ratio = measured.per_second / beside_measured.per_second;
        compared.push(Compared { what, measured, beside, beside_measured, ratio, least });
    }
    Ok(compared)
}

//! `honcho bench api`: how fast the brain answers, beside its own `/healthz`.
//!
//! ```text
//!   seed    a database of its own with N guests, written by the store
//!   serve   `honcho serve` on it, on loopback
//!   drive   what is measured and what it stands beside take turns, a few seconds each: the ratio counts, for both had
//!           the same machine, the same load generator and the same moment
//! ```
//!
//! The load comes from `rlt` with one connection per client, on one processor; the other is the brain's.

mod drive;
mod seed;
mod served;

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
  honcho bench api --database postgres://honcho@localhost/bench   # an empty database";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ApiArguments {
    /// How many guests the brain knows
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=125_000))]
    guests: u32,

    /// An empty PostgreSQL database, instead of SQLite
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
    least: f64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct ApiFigures {
    guests: u32,
    seed_seconds: f64,
    load_before: Load,
    load_after: Load,
    compared: Vec<Compared>,
    writers: u16,
    writes: Speed,
    /// The 99th percentile of a write's time by its median.
    writes_p99_to_median: f64,
    unpaged_seconds: f64,
    unpaged_bytes: usize,
    unpaged_guests: usize,
    /// The most memory the brain ever held, in MB.
    peak_memory_mb: f64,
}

impl ApiFigures {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let milliseconds = |seconds: f64| format!("{:.2} ms", seconds * 1000.0);
        let verdict = |within: bool| if within { "yes" } else { "NO" }.to_owned();
        let compared = |row: &Compared| {
            vec![
                row.what.to_owned(),
                format!("{:.0}/s", row.measured.per_second),
                milliseconds(row.measured.median),
                milliseconds(row.measured.p99),
                format!("{} {:.0}/s", row.beside, row.beside_measured.per_second),
                format!("{:.2}", row.ratio),
                format!("{:.2}", row.least),
                verdict(row.ratio >= row.least),
            ]
        };
        let headings = ["", "rate", "p50", "p99", "beside", "ratio", "least", "within"];
        format!(
            "{} guests (written in {:.0} s); before: {}; after: {}\n\n{}\n\n\
             {} writers at once: {:.0}/s, p50 {}, p99 {}: p99 is {:.1} times the median (at most {WRITES_P99_TO_MEDIAN}: {})\n\
             the whole list unpaged: {} guests, {:.1} MB in {:.2} s\n\
             the brain's peak memory: {:.1} MB (less than {MOST_MEMORY_MB}: {})",
            self.guests,
            self.seed_seconds,
            self.load_before.text(),
            self.load_after.text(),
            table(&headings, self.compared.iter().map(compared).collect()),
            self.writers,
            self.writes.per_second,
            milliseconds(self.writes.median),
            milliseconds(self.writes.p99),
            self.writes_p99_to_median,
            verdict(self.writes_p99_to_median <= WRITES_P99_TO_MEDIAN),
            self.unpaged_guests,
            megabytes(self.unpaged_bytes),
            self.unpaged_seconds,
            self.peak_memory_mb,
            verdict(self.peak_memory_mb < MOST_MEMORY_MB),
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// Measures.
pub(crate) async fn measure(arguments: &ApiArguments) -> Result<ApiFigures> {
    let directory = tempfile::tempdir()?;
    note(&format!("writing {} guests", arguments.guests));
    let begun = Instant::now();
    let engine = match &arguments.database {
        Some(url) => url.parse().with_context(|| format!("--database {url}"))?,
        None => Engine::Sqlite(directory.path().join("honcho.sqlite")),
    };
    let seeded = seed::seed(engine, arguments.guests).await?;
    let seed_seconds = begun.elapsed().as_secs_f64();
    let served = Served::start(directory.path(), arguments.database.as_deref()).await?;
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
    let unpaged_guests = serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(&list)?.len();
    ensure!(unpaged_guests == seeded.guests.len(), "the list is not whole: {unpaged_guests} guests");
    note("writing at once");
    let guests = seeded.guests.clone();
    let writes = Drive { clients: arguments.writers, ..drive };
    let writes = writes.run(Arc::new(move |n| {
        let id = guests[usize::try_from(n * 7_919).unwrap_or(0) % guests.len()];
        Request::Patch(format!("/v1/guests/{id}.json"), format!("{{\"name\":\"renamed-{id}-{n}\"}}"))
    }));
    let writes = writes.await?;
    Ok(ApiFigures {
        guests: arguments.guests,
        seed_seconds,
        load_before,
        load_after: Load::now()?,
        compared,
        writers: arguments.writers,
        writes_p99_to_median: writes.p99 / writes.median,
        writes,
        unpaged_seconds,
        unpaged_bytes: list.len(),
        unpaged_guests,
        peak_memory_mb: served.peak_memory_mb()?,
    })
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
    let last_tenth = seeded.guests[seeded.guests.len() / 10 * 9];
    let offset = seeded.guests.len() / 10 * 9;
    let page = "/v1/guests.json?limit=100";
    let filtered = format!("{page}&account_id={}", seeded.account);
    let health = || path("/healthz");
    let rows: [(&str, Asked, &str, Asked, f64); 5] = [
        ("one guest by id", one, "/healthz", health(), GUEST_TO_HEALTH),
        ("100 guests of an account", path(filtered), "/healthz", health(), PAGE_TO_HEALTH),
        (
            "100 guests by status",
            path(format!("{page}&status=running")),
            "/healthz",
            health(),
            PAGE_TO_HEALTH,
        ),
        (
            "a deep page by after=",
            path(format!("{page}&after={last_tenth}")),
            "first page",
            path(page),
            AFTER_TO_FIRST,
        ),
        (
            "a deep page by offset=",
            path(format!("{page}&offset={offset}")),
            "first page",
            path(page),
            OFFSET_TO_FIRST,
        ),
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

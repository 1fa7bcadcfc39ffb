//! To be watched: what `/metrics` says, and whether this brain is ready.
//!
//! ```text
//!   requests, changes  --as they happen-->  counters, histograms  --.
//!   database, hosts, networks, guests, …  --asked at a scrape,       >--> one page of text, kept for 5 s
//!                                           a few statements-->  gauges'
//! ```
//!
//! Labels are few: routes by template, statuses by word, hosts and networks by name up to a bound. What is beyond the
//! bound is still in the totals.

mod process;
mod scrape;
#[cfg(test)]
mod tests;

pub(crate) use scrape::scrape;

use honcho_store::Cursor;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::time::Instant;

/// Seconds: from a read out of memory to the deadline of a call.
const LATENCIES: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

type RealGauge = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    listener: &'static str,
    method: String,
    route: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    listener: &'static str,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabels {
    version: &'static str,
}

/// Something by one word or name.
macro_rules! labels {
    ($($name:ident { $label:ident })*) => {$(
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name {
            $label: String,
        }
    )*};
}
labels! {
    StatusLabels { status }
    StateLabels { state }
    HostLabels { host }
    NetworkLabels { network }
    PoolLabels { pool }
    FileLabels { file }
    SeverityLabels { severity }
}

/// What is counted as it happens, and what is asked at a scrape.
#[derive(Default)]
struct Numbers {
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
    changes: Family<OutcomeLabels, Counter>,
    change_duration: Latency,
    retries: Counter,
    deliveries: Family<OutcomeLabels, Counter>,
    scrape_seconds: RealGauge,
    database_up: Gauge,
    connections: Family<PoolLabels, Gauge>,
    connections_used: Family<PoolLabels, Gauge>,
    database_bytes: Family<FileLabels, Gauge>,
    data_size: Gauge,
    data_free: Gauge,
    guests: Family<StatusLabels, Gauge>,
    operations: Family<StateLabels, Gauge>,
    operations_failing: Gauge,
    operations_oldest: RealGauge,
    hosts: Family<StatusLabels, Gauge>,
    host_silence: Family<HostLabels, RealGauge>,
    host_behind: Family<HostLabels, Gauge>,
    hosts_behind: Gauge,
    addresses: Family<NetworkLabels, Gauge>,
    addresses_free: Family<NetworkLabels, Gauge>,
    events: Family<SeverityLabels, Counter>,
    webhooks: Family<StatusLabels, Gauge>,
    webhook_behind: RealGauge,
    process: process::ProcessNumbers,
}

/// A histogram of [`LATENCIES`] per route.
struct Durations(Family<RouteLabels, Histogram, fn() -> Histogram>);

impl Default for Durations {
    fn default() -> Self {
        Durations(Family::new_with_constructor(latency as fn() -> Histogram))
    }
}

/// A histogram of [`LATENCIES`].
struct Latency(Histogram);

fn latency() -> Histogram {
    Histogram::new(LATENCIES)
}

impl Default for Latency {
    fn default() -> Self {
        Latency(latency())
    }
}

/// What was printed last, and for how long it is good.
#[derive(Default)]
struct Kept {
    text: Option<(Instant, Arc<str>)>,
    /// Up to where events have been counted.
    place: Option<Cursor>,
    /// Retries counted so far.
    retries: u64,
}

/// The brain's numbers; cheap to clone.
#[derive(Clone)]
pub(crate) struct Watching {
    numbers: Arc<Numbers>,
    registry: Arc<Registry>,
    kept: Arc<tokio::sync::Mutex<Kept>>,
}

impl Watching {
    pub(crate) fn new() -> Self {
        let numbers = Numbers::default();
        let registry = Arc::new(registry(&numbers));
        Watching { numbers: Arc::new(numbers), registry, kept: Arc::default() }
    }

    /// A request was answered. `route` is its template; requests without one are counted together.
    pub(crate) fn request(
        &self,
        listener: &'static str,
        method: &str,
        route: Option<&str>,
        code: u16,
        took: Duration,
    ) {
        let route = route.unwrap_or("unknown").to_owned();
        let method = match method {
            "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" => method.to_owned(),
            _ => "other".to_owned(),
        };
        self.numbers
            .durations
            .0
            .get_or_create(&RouteLabels { listener, route: route.clone() })
            .observe(took.as_secs_f64());
        self.numbers.requests.get_or_create(&RequestLabels { listener, method, route, code }).inc();
    }

    /// A change of the database ended.
    pub(crate) fn change(&self, outcome: &'static str, took: Duration) {
        self.numbers.changes.get_or_create(&OutcomeLabels { outcome }).inc();
        self.numbers.change_duration.0.observe(took.as_secs_f64());
    }

    /// An attempt to deliver to a webhook ended.
    pub(crate) fn delivery(&self, outcome: &'static str) {
        self.numbers.deliveries.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}

fn registry(n: &Numbers) -> Registry {
    let mut r = Registry::default();
    let build = Family::<VersionLabels, Gauge>::default();
    build.get_or_create(&VersionLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
    r.register("honcho_build_info", "Which Honcho this is", build);
    r.register(
        "honcho_http_requests",
        "Requests answered, by route template and status code",
        n.requests.clone(),
    );
    r.register(
        "honcho_http_request_duration_seconds",
        "How long answers took until their body began",
        n.durations.0.clone(),
    );
    r.register(
        "honcho_database_changes",
        "Transactions that change something, by how they ended",
        n.changes.clone(),
    );
    r.register(
        "honcho_database_change_duration_seconds",
        "How long they took, waiting included",
        n.change_duration.0.clone(),
    );
    r.register(
        "honcho_database_retries",
        "Transactions run again because another came first",
        n.retries.clone(),
    );
    r.register("honcho_database_up", "Whether the database answered this scrape", n.database_up.clone());
    r.register("honcho_database_connections", "Open connections to the database", n.connections.clone());
    r.register(
        "honcho_database_connections_used",
        "Of these, how many somebody uses",
        n.connections_used.clone(),
    );
    r.register(
        "honcho_database_bytes",
        "Size of SQLite's files, or of the database on PostgreSQL",
        n.database_bytes.clone(),
    );
    r.register(
        "honcho_data_size_bytes",
        "Size of the filesystem that holds the brain's data",
        n.data_size.clone(),
    );
    r.register("honcho_data_free_bytes", "Free space on it", n.data_free.clone());
    r.register("honcho_guests", "Guests by status", n.guests.clone());
    r.register("honcho_operations", "Operations by state, ever", n.operations.clone());
    r.register(
        "honcho_operations_failing",
        "Open operations of which a step failed",
        n.operations_failing.clone(),
    );
    r.register(
        "honcho_operations_oldest_open_seconds",
        "Age of the oldest open operation",
        n.operations_oldest.clone(),
    );
    r.register("honcho_hosts", "Hosts by status; up means that its agent is connected", n.hosts.clone());
    r.register("honcho_host_silence_seconds", "Since a host's agent last spoke", n.host_silence.clone());
    r.register(
        "honcho_host_generations_behind",
        "Generations that a host's agent has not acted on",
        n.host_behind.clone(),
    );
    r.register(
        "honcho_hosts_behind",
        "Hosts whose agent has not acted on the newest generation",
        n.hosts_behind.clone(),
    );
    r.register("honcho_addresses", "Addresses that guests can have, by network", n.addresses.clone());
    r.register("honcho_addresses_free", "Of these, how many are free", n.addresses_free.clone());
    r.register(
        "honcho_events",
        "Events written since this brain was first scraped, by severity",
        n.events.clone(),
    );
    r.register("honcho_webhooks", "Webhooks by status", n.webhooks.clone());
    r.register(
        "honcho_webhook_behind_seconds",
        "Since the webhook that has failed longest fails",
        n.webhook_behind.clone(),
    );
    r.register(
        "honcho_webhook_deliveries",
        "Attempts to deliver to webhooks, by how they ended",
        n.deliveries.clone(),
    );
    r.register("honcho_scrape_duration_seconds", "How long it took to gather this", n.scrape_seconds.clone());
    n.process.register(&mut r);
    r
}

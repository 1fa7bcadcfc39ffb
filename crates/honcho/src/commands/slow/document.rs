//! A digest as JSON. Times are in seconds, moments in RFC 3339.

use honcho_slowlog::{Advice, By, Class, Digest, Measures, Period, Sample, Share, Spread};
use jiff::Timestamp;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Document {
    events: u64,
    classes: Vec<ClassDocument>,
}

#[derive(Debug, Serialize)]
struct ClassDocument {
    /// None: all classes for which there was no place.
    id: Option<String>,
    fingerprint: String,
    count: u64,
    query_time: Times,
    lock_time: Numbers<f64>,
    rows_sent: Numbers<u64>,
    rows_examined: Numbers<u64>,
    rows_affected: Numbers<u64>,
    bytes_sent: Numbers<u64>,
    statement_bytes: Numbers<u64>,
    examined_for_each_sent: Option<f64>,
    temporary_tables: u64,
    temporary_tables_on_disk: u64,
    full_scans: u64,
    full_joins: u64,
    sorts: u64,
    sorts_on_disk: u64,
    /// How often one connection asked 20 or more of them within a second, how many these were, and the most.
    bursts: u64,
    events_in_bursts: u64,
    largest_burst: u64,
    first_seen: Option<Timestamp>,
    last_seen: Option<Timestamp>,
    databases: Vec<ShareDocument>,
    users: Vec<ShareDocument>,
    hosts: Vec<ShareDocument>,
    periods: Vec<PeriodDocument>,
    worst: Option<SampleDocument>,
    advice: Vec<Advice>,
}

#[derive(Debug, Serialize)]
struct Times {
    sum: f64,
    min: f64,
    max: f64,
    mean: f64,
    p50: f64,
    p95: f64,
    p99: f64,
}

#[derive(Debug, Serialize)]
struct Numbers<N> {
    sum: N,
    min: N,
    max: N,
}

#[derive(Debug, Serialize)]
struct ShareDocument {
    /// None: those for whom there was no place.
    name: Option<String>,
    count: u64,
    query_time: f64,
}

#[derive(Debug, Serialize)]
struct PeriodDocument {
    begins: Option<Timestamp>,
    count: u64,
    query_time: f64,
    p95: f64,
}

#[derive(Debug, Serialize)]
struct SampleDocument {
    query_time: f64,
    time: Option<Timestamp>,
    user: String,
    host: String,
    database: String,
    statement: String,
    explain: Option<String>,
}

impl Document {
    pub(super) fn of(digest: &Digest) -> Self {
        let mut classes: Vec<_> = digest.classes().iter().map(|class| (class, class.total())).collect();
        classes.sort_by(|(one, its), (other, others)| {
            others.query_time.sum.cmp(&its.query_time.sum).then(one.id().cmp(&other.id()))
        });
        let mut classes: Vec<_> = classes
            .iter()
            .map(|(class, total)| ClassDocument::of(digest, class, total, Some(class.id().to_string())))
            .collect();
        classes.extend(digest.other().map(|other| ClassDocument::of(digest, other, &other.total(), None)));
        Self { events: classes.iter().map(|class| class.count).sum(), classes }
    }
}

impl ClassDocument {
    fn of(digest: &Digest, class: &Class, total: &Measures, id: Option<String>) -> Self {
        let shares = |by| digest.shares(class, by).iter().map(ShareDocument::of).collect();
        Self {
            id,
            fingerprint: text(class.fingerprint()),
            count: total.count,
            query_time: Times {
                sum: seconds(total.query_time.sum),
                min: seconds(total.query_time.min),
                max: seconds(total.query_time.max),
                mean: seconds(total.mean()),
                p50: seconds(total.quantile(0.5)),
                p95: seconds(total.quantile(0.95)),
                p99: seconds(total.quantile(0.99)),
            },
            lock_time: Numbers {
                sum: seconds(total.lock_time.sum),
                min: seconds(total.lock_time.min),
                max: seconds(total.lock_time.max),
            },
            rows_sent: numbers(total.rows_sent),
            rows_examined: numbers(total.rows_examined),
            rows_affected: numbers(total.rows_affected),
            bytes_sent: numbers(total.bytes_sent),
            statement_bytes: numbers(total.statement_bytes),
            examined_for_each_sent: total.examined_for_each_sent(),
            temporary_tables: total.temporary_tables,
            temporary_tables_on_disk: total.temporary_tables_on_disk,
            full_scans: total.full_scans,
            full_joins: total.full_joins,
            sorts: total.sorts,
            sorts_on_disk: total.sorts_on_disk,
            bursts: total.bursts,
            events_in_bursts: total.events_in_bursts,
            largest_burst: total.largest_burst,
            first_seen: total.first_seen.and_then(moment),
            last_seen: total.last_seen.and_then(moment),
            databases: shares(By::Database),
            users: shares(By::User),
            hosts: shares(By::Host),
            periods: class.periods().iter().map(PeriodDocument::of).collect(),
            worst: class.worst().map(SampleDocument::of),
            advice: class.advice(),
        }
    }
}

impl ShareDocument {
    fn of(share: &Share<'_>) -> Self {
        Self { name: share.name.map(text), count: share.count, query_time: seconds(share.query_time) }
    }
}

impl PeriodDocument {
    fn of(period: &Period) -> Self {
        Self {
            begins: period.begins.and_then(moment),
            count: period.measures.count,
            query_time: seconds(period.measures.query_time.sum),
            p95: seconds(period.measures.quantile(0.95)),
        }
    }
}

impl SampleDocument {
    fn of(sample: &Sample) -> Self {
        Self {
            query_time: seconds(sample.query_time),
            time: sample.time.and_then(moment),
            user: text(&sample.user),
            host: text(&sample.host),
            database: text(&sample.database),
            statement: text(&sample.statement),
            explain: (!sample.explain.is_empty()).then(|| text(&sample.explain)),
        }
    }
}

fn numbers(spread: Spread) -> Numbers<u64> {
    Numbers { sum: spread.sum, min: spread.min.min(spread.max), max: spread.max }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn moment(micros: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(micros).ok()
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 285 years")]
pub(super) fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

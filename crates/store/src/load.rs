//! Load over time, as it is kept: a fixed number of chunks for each guest and host, each a row of fixed size
//! ([`honcho_model::load`] says what is in one, docs/design/0011-load-over-time.md why).
//!
//! ```text
//!   agents' samples --write--> minutes --roll--> fives --roll--> hours
//!                                 `---- read: what is not rolled up yet is made of finer ones
//! ```
//!
//! Nothing is ever added to anything: a sample is put in its place, and a coarser one is made anew of all its finer ones, so
//! that doing either twice is doing it once.

mod rolling;

pub use rolling::{Roll, Rolled, parts, rolled_until};

use crate::sql::{Connection, execute, number, rows, values};
use crate::{Change, Scope, StoreResult, Tx, guests, hosts};
pub use honcho_model::load::Kind;

use honcho_model::load::{Chunk, Measure, Sample, Span, coarser};
use honcho_model::{GuestId, HostId, Timestamp};
use sea_orm::{FromQueryResult, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// So many rows are read or written by one statement.
const AT_ONCE: usize = 500;

/// Samples of a run of a host's agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Whose.
    pub host: HostId,
    /// Which run.
    pub run: Uuid,
    /// Its samples, in their order.
    pub samples: Vec<ToldSample>,
}

/// What was taken within an interval.
#[derive(Clone, Debug, PartialEq)]
pub struct ToldSample {
    /// Its number within the run.
    pub number: u64,
    /// When it began, by the brain's clock.
    pub from: Timestamp,
    /// When it ended.
    pub until: Timestamp,
    /// The machine's.
    pub host: Option<Sample>,
    /// The guests'.
    pub guests: Vec<(GuestId, Sample)>,
}

/// Samples by whose they are, each with when it begins.
pub type Samples = BTreeMap<(Kind, i64), Vec<(Timestamp, Sample)>>;

/// What belongs into chunks of one time, by whose they are.
type InChunk = BTreeMap<i64, Vec<(Timestamp, Sample)>>;

fn kind_number(kind: Kind) -> i64 {
    match kind {
        Kind::Guest => 0,
        Kind::Host => 1,
    }
}

fn span_number(span: Span) -> i64 {
    match span {
        Span::Minutes => 0,
        Span::Fives => 1,
        Span::Hours => 2,
    }
}

/// `$first, …`, so many.
fn places(first: usize, count: usize) -> String {
    let places: Vec<String> = (first..first + count).map(|place| format!("${place}")).collect();
    places.join(", ")
}

/// Which chunks were found damaged: of each it is said once, and of so many as make clear what happened.
static DAMAGED: Mutex<BTreeSet<(i64, i64, i64, i64)>> = Mutex::new(BTreeSet::new());
const MOST_TOLD: usize = 100;

fn is_news(chunk: (i64, i64, i64, i64)) -> bool {
    let mut told = DAMAGED.lock().unwrap_or_else(PoisonError::into_inner);
    told.len() < MOST_TOLD && told.insert(chunk)
}

#[derive(FromQueryResult)]
struct ChunkRow {
    subject_id: i64,
    begins: i64,
    samples: Vec<u8>,
}

impl ChunkRow {
    /// A damaged one is a gap in a graph, and keeps nobody else's samples from being kept or shown.
    fn chunk(self, kind: Kind, span: Span) -> Chunk {
        let begins = Timestamp(self.begins);
        Chunk::kept(kind, span, begins, self.samples).unwrap_or_else(|| {
            if is_news((kind_number(kind), span_number(span), self.subject_id, self.begins)) {
                let of = self.subject_id;
                tracing::error!(
                    ?kind,
                    of,
                    ?span,
                    ?begins,
                    "a chunk of load has not the size that it should have, and counts as empty"
                );
            }
            Chunk::empty(kind, span, begins)
        })
    }
}

/// Up to which sample of a run a host's are kept; 0 if none is.
pub async fn kept(connection: &impl Connection, host: HostId, run: Uuid) -> StoreResult<u64> {
    let sql = "SELECT number AS n FROM load_told WHERE host_id = $1 AND run_id = $2";
    let kept = number(connection, sql, values![host.0, run.to_string()]).await?;
    Ok(u64::try_from(kept.unwrap_or(0)).unwrap_or(0))
}

/// Keeps what agents told, of what is placed on their hosts.
pub struct WriteLoad {
    /// What they told.
    pub told: Vec<Told>,
}

impl Change for WriteLoad {
    type Out = ();

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        #[derive(FromQueryResult)]
        struct Known {
            host_id: i64,
            run_id: String,
            number: i64,
        }
        #[derive(FromQueryResult)]
        struct Placed {
            id: i64,
            host_id: i64,
        }
        #[derive(FromQueryResult)]
        struct Alive {
            id: i64,
        }
        for told in self.told.chunks(AT_ONCE) {
            let hosts: Vec<Value> = told.iter().map(|told| told.host.0.into()).collect();
            let among = places(1, hosts.len());
            let sql = format!("SELECT host_id, run_id, number FROM load_told WHERE host_id IN ({among})");
            let known: Vec<Known> = rows(tx, &sql, hosts.clone()).await?;
            let known: BTreeMap<i64, (String, i64)> =
                known.into_iter().map(|row| (row.host_id, (row.run_id, row.number))).collect();
            let sql =
                format!("SELECT id, host_id FROM guests WHERE host_id IN ({among}) AND deleted_at IS NULL");
            let placed: Vec<Placed> = rows(tx, &sql, hosts.clone()).await?;
            let placed: BTreeSet<(i64, i64)> = placed.iter().map(|row| (row.host_id, row.id)).collect();
            let sql = format!("SELECT id FROM hosts WHERE id IN ({among}) AND deleted_at IS NULL");
            let alive: Vec<Alive> = rows(tx, &sql, hosts).await?;
            let alive: BTreeSet<i64> = alive.iter().map(|row| row.id).collect();
            let mut samples = Samples::new();
            let mut numbers = Vec::new();
            for told in told.iter().filter(|told| alive.contains(&told.host.0)) {
                let (host, run) = (told.host.0, told.run.to_string());
                let kept =
                    known.get(&host).filter(|(known, _)| *known == run).map_or(0, |(_, number)| *number);
                let number = |sample: &ToldSample| i64::try_from(sample.number).unwrap_or(i64::MAX);
                let new: Vec<&ToldSample> =
                    told.samples.iter().filter(|sample| number(sample) > kept).collect();
                let Some(last) = new.iter().map(|sample| number(sample)).max() else { continue };
                numbers.push((host, run, last));
                for sample in new {
                    collect(&mut samples, sample, host, &placed, tx.now);
                }
            }
            put(tx, Span::Minutes, &samples).await?;
            note_told(tx, &numbers).await?;
        }
        Ok(())
    }
}

/// Puts what an interval says with the samples that it tells of.
fn collect(
    samples: &mut Samples,
    told: &ToldSample,
    host: i64,
    placed: &BTreeSet<(i64, i64)>,
    now: Timestamp,
) {
    let shown = Span::Minutes.first_shown(now);
    let times: Vec<Timestamp> =
        Span::Minutes.told_by(told.from, told.until).filter(|at| *at >= shown && *at <= now).collect();
    let guests = told.guests.iter().filter(|(guest, _)| placed.contains(&(host, guest.0)));
    let guests = guests.map(|(guest, sample)| ((Kind::Guest, guest.0), sample));
    for (whose, sample) in guests.chain(told.host.iter().map(|sample| ((Kind::Host, host), sample))) {
        samples.entry(whose).or_default().extend(times.iter().map(|at| (*at, *sample)));
    }
}

async fn note_told(tx: &Tx, numbers: &[(i64, String, i64)]) -> StoreResult<()> {
    for some in numbers.chunks(AT_ONCE) {
        let rows: Vec<String> = (0..some.len()).map(|row| format!("({})", places(row * 3 + 1, 3))).collect();
        let sql = format!(
            "INSERT INTO load_told (host_id, run_id, number) VALUES {} ON CONFLICT (host_id) DO UPDATE SET run_id = excluded.run_id, \
             number = excluded.number",
            rows.join(", ")
        );
        let values = some.iter().flat_map(|(host, run, number)| values![*host, run.as_str(), *number]);
        execute(tx, &sql, values.collect()).await?;
    }
    Ok(())
}

/// Puts samples of a span in their places. Those that are older than what took their chunk's place are left out.
pub async fn put(tx: &Tx, span: Span, samples: &Samples) -> StoreResult<()> {
    let mut chunks: BTreeMap<(Kind, Timestamp), InChunk> = BTreeMap::new();
    for ((kind, whose), samples) in samples {
        for (at, sample) in samples {
            let chunk = chunks.entry((*kind, span.chunk_begin(*at))).or_default();
            chunk.entry(*whose).or_default().push((*at, *sample));
        }
    }
    for ((kind, begins), wanted) in &chunks {
        let wanted: Vec<(&i64, &Vec<(Timestamp, Sample)>)> = wanted.iter().collect();
        for some in wanted.chunks(AT_ONCE) {
            put_some(tx, (*kind, span, *begins), some).await?;
        }
    }
    Ok(())
}

async fn put_some(
    tx: &Tx,
    (kind, span, begins): (Kind, Span, Timestamp),
    wanted: &[(&i64, &Vec<(Timestamp, Sample)>)],
) -> StoreResult<()> {
    let place = span.place(begins);
    let key = values![kind_number(kind), span_number(span), place];
    // Joined, for a long list of ids is compared one by one where the database knows little of the table yet.
    let ids: Vec<String> = (4..4 + wanted.len()).map(|place| format!("(CAST(${place} AS BIGINT))")).collect();
    let sql = format!(
        "SELECT c.subject_id, c.begins, c.samples FROM (VALUES {}) AS wanted JOIN load_chunks c ON c.kind = $1 AND c.span = $2 \
         AND c.place = $3 AND c.subject_id = wanted.column1",
        ids.join(", ")
    );
    let mut bound = key.clone();
    bound.extend(wanted.iter().map(|(whose, _)| Value::from(**whose)));
    let found: Vec<ChunkRow> = rows(tx, &sql, bound).await?;
    let mut known: BTreeMap<i64, ChunkRow> = found.into_iter().map(|row| (row.subject_id, row)).collect();
    let mut changed = Vec::new();
    for (whose, samples) in wanted {
        let mut chunk = match known.remove(whose) {
            Some(row) if row.begins > begins.0 => continue,
            Some(row) if row.begins == begins.0 => row.chunk(kind, span),
            _ => Chunk::empty(kind, span, begins),
        };
        for (at, sample) in *samples {
            chunk.put(*at, sample);
        }
        changed.push((**whose, chunk));
    }
    if changed.is_empty() {
        return Ok(());
    }
    let rows: Vec<String> = (0..changed.len())
        .map(|row| format!("($1, $2, $3, {}, $4, {})", place_of(row, 0), place_of(row, 1)))
        .collect();
    let sql = format!(
        "INSERT INTO load_chunks (kind, span, place, subject_id, begins, samples) VALUES {} \
         ON CONFLICT (kind, span, place, subject_id) DO UPDATE SET begins = excluded.begins, samples = excluded.samples",
        rows.join(", ")
    );
    let mut bound = key;
    bound.push(begins.0.into());
    bound.extend(changed.into_iter().flat_map(|(whose, chunk)| values![whose, chunk.bytes().to_vec()]));
    execute(tx, &sql, bound).await?;
    Ok(())
}

/// Where a row's values stand after the four that all rows share.
fn place_of(row: usize, column: usize) -> String {
    format!("${}", 5 + row * 2 + column)
}

/// A guest's samples, oldest first: those that there are. It may be stopped, or gone; then there are fewer or none.
pub async fn of_guest(
    connection: &impl Connection,
    scope: Scope,
    id: GuestId,
    span: Span,
    now: Timestamp,
) -> StoreResult<Vec<(Timestamp, Sample)>> {
    guests::get(connection, scope, id, now).await?;
    of(connection, Kind::Guest, id.0, span, now).await
}

/// A host's samples. Operators alone ask for them.
pub async fn of_host(
    connection: &impl Connection,
    id: HostId,
    span: Span,
    now: Timestamp,
) -> StoreResult<Vec<(Timestamp, Sample)>> {
    hosts::get(connection, id, now).await?;
    of(connection, Kind::Host, id.0, span, now).await
}

async fn of(
    connection: &impl Connection,
    kind: Kind,
    whose: i64,
    span: Span,
    now: Timestamp,
) -> StoreResult<Vec<(Timestamp, Sample)>> {
    // From the finest on: what a coarser one has not been made of yet is made here.
    let mut samples: Vec<(Timestamp, Sample)> = Vec::new();
    for finer in Span::ALL.into_iter().filter(|finer| *finer <= span) {
        let kept = chunks_of(connection, kind, whose, finer, now).await?;
        let rolled = if finer.finer().is_some() { rolled_until(connection, finer).await? } else { None };
        let rolled = rolled.unwrap_or(Timestamp(i64::MIN));
        let fresh = coarser(&samples, finer);
        samples = if finer.finer().is_some() {
            let kept = kept.into_iter().filter(|(at, _)| *at < rolled);
            kept.chain(fresh.into_iter().filter(|(at, _)| *at >= rolled)).collect()
        } else {
            kept
        };
    }
    let shown = span.first_shown(now);
    samples.retain(|(at, _)| *at >= shown && *at <= now);
    Ok(samples)
}

/// How many processors each guest or host, or each of some, kept busy, on average of the last day: those that were looked at for an
/// hour of it.
pub async fn busy_of_a_day(
    connection: &impl Connection,
    kind: Kind,
    only: Option<&[i64]>,
    now: Timestamp,
) -> StoreResult<HashMap<i64, f64>> {
    const DAY: i64 = 24 * 60 * 60 * 1_000_000;
    let (span, since) = (Span::Hours, Timestamp(now.0 - DAY));
    let mut busy: HashMap<i64, (f64, f64)> = HashMap::new();
    let narrowed = match only {
        None => String::new(),
        Some([]) => return Ok(HashMap::new()),
        Some(ids) => {
            let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
            format!(" AND subject_id IN ({})", ids.join(", "))
        }
    };
    // A day lies in one chunk or in two.
    for begins in BTreeSet::from([span.chunk_begin(since), span.chunk_begin(now)]) {
        let mut after = Some(i64::MIN);
        while let Some(last) = after {
            let sql = format!(
                "SELECT subject_id, begins, samples FROM load_chunks WHERE kind = $1 AND span = $2 AND place = $3 AND subject_id > $4{narrowed} \
                 ORDER BY subject_id LIMIT {AT_ONCE}"
            );
            let key = values![kind_number(kind), span_number(span), span.place(begins), last];
            let found: Vec<ChunkRow> = rows(connection, &sql, key).await?;
            after = found.last().filter(|_| found.len() == AT_ONCE).map(|row| row.subject_id);
            for row in found.into_iter().filter(|row| row.begins == begins.0) {
                let (sum, hours) = busy.entry(row.subject_id).or_default();
                let chunk = row.chunk(kind, span);
                for (_, sample) in chunk.samples().filter(|(at, _)| *at >= since && *at <= now) {
                    if let Some(cpu) = sample.get(Measure::Cpu) {
                        *sum += cpu;
                        *hours += 1.0;
                    }
                }
            }
        }
    }
    Ok(busy
        .into_iter()
        .filter(|(_, (_, hours))| *hours > 0.0)
        .map(|(of, (sum, hours))| (of, sum / hours))
        .collect())
}

/// What is kept of one span.
async fn chunks_of(
    connection: &impl Connection,
    kind: Kind,
    whose: i64,
    span: Span,
    now: Timestamp,
) -> StoreResult<Vec<(Timestamp, Sample)>> {
    // All places there are, by name: the key begins with them.
    let all: Vec<String> = (0..span.chunks()).map(|place| place.to_string()).collect();
    let sql = format!(
        "SELECT subject_id, begins, samples FROM load_chunks WHERE kind = $1 AND span = $2 AND place IN ({}) AND subject_id = $3 \
         AND begins >= $4 ORDER BY begins",
        all.join(", ")
    );
    let first = span.chunk_begin(span.first_shown(now));
    let found: Vec<ChunkRow> =
        rows(connection, &sql, values![kind_number(kind), span_number(span), whose, first.0]).await?;
    let mut samples = Vec::new();
    for row in found {
        samples.extend(row.chunk(kind, span).samples());
    }
    Ok(samples)
}

/// Forgets all of a guest's or host's, which goes.
pub(crate) async fn forget(tx: &Tx, kind: Kind, whose: i64) -> StoreResult<()> {
    for span in Span::ALL {
        let all: Vec<String> = (0..span.chunks()).map(|place| place.to_string()).collect();
        let sql = format!(
            "DELETE FROM load_chunks WHERE kind = $1 AND span = $2 AND place IN ({}) AND subject_id = $3",
            all.join(", ")
        );
        execute(tx, &sql, values![kind_number(kind), span_number(span), whose]).await?;
    }
    if kind == Kind::Host {
        execute(tx, "DELETE FROM load_told WHERE host_id = $1", values![whose]).await?;
    }
    Ok(())
}

//! Which queries of some servers took the time, and what became of each since another range.
//!
//! ```text
//!   classes, and sums of both ranges (columns alone: no sketch is read) -> ranked, flagged, filtered, a page of it
//!      the days of the largest (their sketches) -> worse? better?             |
//!                                                                             v
//!                                                    the page's texts and sketches -> SlowQuery
//! ```

use super::periods;
use super::ranges::{Against, DAY_LONG, Range, Ranges, Span};
use super::texts::{Text, Texts};
use crate::StoreResult;
use crate::sql::{Connection, is_postgres, rows, signed, unsigned, values};
use honcho_api::SlowQuery;
use honcho_model::slow::{QueryFlag, QueryState};
use honcho_model::{SlowQueryId, SlowServerId, Timestamp};
use honcho_slowlog::Measures;
use honcho_slowlog::compare::{Day, MOST_TESTED, Verdict, verdict};
use sea_orm::{FromQueryResult, Value};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What has less than this share of the time in both ranges is not tested: it is not worth a word, and each test more makes all
/// others less sure.
const LEAST_SHARE: f64 = 0.01;

/// No page has more: of each the texts and the sketches are read.
pub const MOST_QUERIES: i64 = 1_000;

/// What is looked at, and what with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// A range and another.
    Ranges(Range, Against),
    /// What is after this moment and what is before it, up to a week each, by the hour.
    Around(i64),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// Of these servers, which the caller may see.
    pub servers: Vec<SlowServerId>,
    /// When.
    pub compared: Compared,
    /// Only those in one of these states; all but the ignored ones, if there are none.
    pub states: Vec<QueryState>,
    /// Only those that one of these is said of; all, if there are none.
    pub flags: Vec<QueryFlag>,
    /// Only those in whose text, without its values, this stands, in whatever case.
    pub text: Option<String>,
    /// Only this one.
    pub only: Option<SlowQueryId>,
    /// How sure what is called worse or better has to be.
    pub significance: f64,
    /// When this is asked.
    pub now: Timestamp,
    /// Of what is older there are days alone.
    pub hours_since: i64,
    /// At most so many, and [`MOST_QUERIES`].
    pub limit: i64,
    /// After so many.
    pub offset: i64,
}

#[derive(Clone, Copy, Debug, Default, FromQueryResult)]
pub(super) struct Sum {
    id: i64,
    pub(super) events: i64,
    pub(super) query_time: i64,
}

#[derive(FromQueryResult)]
struct Id {
    id: i64,
}

#[derive(FromQueryResult)]
pub(super) struct Class {
    pub(super) id: i64,
    slow_server_id: i64,
    first_seen: i64,
    state: String,
    /// Whether the text that is asked for stands in it; 1 or 0.
    has_text: i64,
}

/// A query, as far as it has to be known to rank it.
pub(super) struct Ranked {
    pub(super) class: Class,
    pub(super) state: QueryState,
    pub(super) after: Sum,
    pub(super) before: Sum,
    pub(super) flags: Vec<QueryFlag>,
}

#[derive(FromQueryResult)]
struct KnownUntil {
    id: i64,
    known_until: i64,
}

/// All there is, before any of it is left out.
pub(super) struct Whole {
    pub(super) ranges: Ranges,
    pub(super) ranked: Vec<Ranked>,
    /// Up to when something is known of each server.
    known: HashMap<i64, i64>,
    /// When the history of each server begins.
    histories: HashMap<i64, i64>,
    pub(super) total_after: i64,
    pub(super) total_before: i64,
}

/// A query, and how much time it took in each period in which it was asked: when that begins, in microseconds since 1970, and
/// seconds.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// As it stands in a ranking.
    pub query: SlowQuery,
    /// In the range before.
    pub before: Vec<(i64, f64)>,
    /// In the range that is looked at.
    pub after: Vec<(i64, f64)>,
}

/// Every query of the servers, ranked and judged: pages of it are read from here.
pub struct Looked(Whole);

/// What all queries that a ranking asks for add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many there are.
    pub queries: usize,
    /// How long they took together.
    pub total_seconds: f64,
    /// How many are new.
    pub new: usize,
    /// How many are worse.
    pub worse: usize,
    /// How many are better.
    pub better: usize,
}

impl Looked {
    fn wanted<'a>(&'a self, asked: &'a Ranking) -> impl Iterator<Item = &'a Ranked> {
        self.0.ranked.iter().filter(|one| asked.wants(one))
    }

    /// What all that is asked for adds up to, on whatever page.
    pub fn summary(&self, asked: &Ranking) -> Summary {
        let mut summary = Summary::default();
        let mut total = 0_i64;
        for one in self.wanted(asked) {
            let has = |flag| usize::from(one.flags.contains(&flag));
            summary.queries += 1;
            total = total.saturating_add(one.after.query_time);
            summary.new += has(QueryFlag::New);
            summary.worse += has(QueryFlag::Worse);
            summary.better += has(QueryFlag::Better);
        }
        summary.total_seconds = seconds(unsigned(total));
        summary
    }

    /// The page that is asked for, of the same servers and ranges: [`MOST_QUERIES`] at most.
    pub async fn page(&self, connection: &impl Connection, asked: &Ranking) -> StoreResult<Vec<SlowQuery>> {
        let whole = &self.0;
        let number = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
        let limit = number(asked.limit).min(number(MOST_QUERIES));
        let shown: Vec<&Ranked> = self.wanted(asked).skip(number(asked.offset)).take(limit).collect();
        let ids: Vec<i64> = shown.iter().map(|one| one.class.id).collect();
        let mut texts = Texts::read(connection, &ids).await?;
        let mut after = periods::sums(connection, &ids, &whole.ranges.pieces(whole.ranges.after)).await?;
        let mut before = match whole.ranges.before {
            Some(range) => periods::sums(connection, &ids, &whole.ranges.pieces(range)).await?,
            None => BTreeMap::new(),
        };
        let mut queries = Vec::with_capacity(shown.len());
        for one in shown {
            let id = one.class.id;
            let Some(text) = texts.take(id) else { continue };
            let (after, before) =
                (after.remove(&id).unwrap_or_default(), before.remove(&id).unwrap_or_default());
            queries.push(shown_query(whole, one, text, &after, &before)?);
        }
        Ok(queries)
    }
}

impl Ranking {
    /// The queries, most time first.
    pub async fn read(&self, connection: &impl Connection) -> StoreResult<Vec<SlowQuery>> {
        self.look(connection).await?.page(connection, self).await
    }

    /// Ranks and judges all there are.
    pub async fn look(&self, connection: &impl Connection) -> StoreResult<Looked> {
        let mut whole = self.whole(connection).await?;
        self.judge(connection, &mut whole).await?;
        Ok(Looked(whole))
    }

    /// Whether one is in a state that is asked for. What is ignored is, if that is said, or this very one.
    fn is_of_state(&self, one: &Ranked) -> bool {
        match self.only {
            Some(only) if only.0 == one.class.id => true,
            _ if self.states.is_empty() => one.state != QueryState::Ignored,
            _ => self.states.contains(&one.state),
        }
    }

    pub(super) fn wants(&self, one: &Ranked) -> bool {
        self.is_of_state(one)
            && one.class.has_text != 0
            && (self.flags.is_empty() || one.flags.iter().any(|flag| self.flags.contains(flag)))
            && self.only.is_none_or(|only| only.0 == one.class.id)
    }

    /// The ranges that this comes to.
    pub(super) async fn ranges(&self, connection: &impl Connection) -> StoreResult<Ranges> {
        Ok(self.ranges_of(&self.known(connection).await?))
    }

    /// Up to when something is known of each server. A log is sent when it has ended.
    async fn known(&self, connection: &impl Connection) -> StoreResult<HashMap<i64, i64>> {
        if self.servers.is_empty() {
            return Ok(HashMap::new());
        }
        let places = places(1, self.servers.len());
        let sql = format!("SELECT id, known_until FROM slow_servers WHERE id IN ({places})");
        let found: Vec<KnownUntil> = rows(connection, &sql, self.bound()).await?;
        Ok(found.into_iter().map(|server| (server.id, server.known_until.min(self.now.0))).collect())
    }

    fn ranges_of(&self, known: &HashMap<i64, i64>) -> Ranges {
        let known = known.values().copied().max().unwrap_or(0);
        match self.compared {
            Compared::Ranges(after, against) => Ranges::of(after, against, known, self.hours_since),
            Compared::Around(mark) => Ranges::around(mark, known, self.hours_since),
        }
    }

    pub(super) fn bound(&self) -> Vec<Value> {
        self.servers.iter().map(|server| Value::from(server.0)).collect()
    }

    pub(super) async fn whole(&self, connection: &impl Connection) -> StoreResult<Whole> {
        let known = self.known(connection).await?;
        let ranges = self.ranges_of(&known);
        let mut whole = Whole {
            ranges,
            ranked: Vec::new(),
            known,
            histories: HashMap::new(),
            total_after: 0,
            total_before: 0,
        };
        if self.servers.is_empty() {
            return Ok(whole);
        }
        let mut bound = self.bound();
        let has_text = match &self.text {
            None => "1".to_owned(),
            Some(text) => {
                bound.push(Value::from(format!("%{}%", crate::search::literal(&text.to_ascii_lowercase()))));
                // Only A to Z: SQLite knows no other capitals, and PostgreSQL's depend on how its database was made.
                let lowered = if is_postgres(connection) {
                    "LOWER(c.fingerprint COLLATE \"C\")"
                } else {
                    "LOWER(c.fingerprint)"
                };
                format!("CASE WHEN {lowered} LIKE ${} ESCAPE '\\' THEN 1 ELSE 0 END", bound.len())
            }
        };
        let sql = format!(
            "SELECT c.id, c.slow_server_id, c.first_seen, c.state, CAST({has_text} AS BIGINT) AS has_text FROM slow_classes c \
             WHERE c.slow_server_id IN ({})",
            places(1, self.servers.len())
        );
        let classes: Vec<Class> = rows(connection, &sql, bound).await?;
        let mut after = self.sums(connection, &ranges.pieces(ranges.after)).await?;
        let mut before = match ranges.before {
            Some(range) => self.sums(connection, &ranges.pieces(range)).await?,
            None => HashMap::new(),
        };
        for class in classes {
            let begins = whole.histories.entry(class.slow_server_id).or_insert(i64::MAX);
            *begins = class.first_seen.min(*begins);
            let (after, before) = (after.remove(&class.id), before.remove(&class.id));
            whole.total_after = whole.total_after.saturating_add(after.map_or(0, |sum| sum.query_time));
            whole.total_before = whole.total_before.saturating_add(before.map_or(0, |sum| sum.query_time));
            // What ceased is not what takes the time; one that is asked for by its id is shown all the same.
            if after.is_none() && self.only.is_none_or(|only| only.0 != class.id) {
                continue;
            }
            let (after, before) = (after.unwrap_or_default(), before.unwrap_or_default());
            let state = QueryState::parse(&class.state).unwrap_or(QueryState::New);
            whole.ranked.push(Ranked { class, state, after, before, flags: Vec::new() });
        }
        whole.ranked.sort_by_key(|one| (std::cmp::Reverse(one.after.query_time), one.class.id));
        Ok(whole)
    }

    /// What each query adds up to in a range, by columns alone.
    async fn sums(
        &self,
        connection: &impl Connection,
        pieces: &[(Span, (i64, i64))],
    ) -> StoreResult<HashMap<i64, Sum>> {
        let n = self.servers.len();
        let mut sums: HashMap<i64, Sum> = HashMap::new();
        for (span, range) in pieces {
            // The span is no parameter: only so is it plain that an index of days alone will do.
            let sql = format!(
                "SELECT p.slow_class_id AS id, CAST(SUM(p.events) AS BIGINT) AS events, CAST(SUM(p.query_time) AS BIGINT) AS query_time \
                 FROM slow_periods p WHERE p.span = {} AND p.slow_class_id IN (SELECT c.id FROM slow_classes c \
                 WHERE c.slow_server_id IN ({})) AND p.begins >= ${} AND p.begins < ${} GROUP BY p.slow_class_id",
                span.number(),
                places(1, n),
                n + 1,
                n + 2,
            );
            let mut bound = self.bound();
            bound.extend(values![range.0, range.1]);
            for found in rows::<Sum>(connection, &sql, bound).await? {
                let sum = sums.entry(found.id).or_default();
                sum.events = sum.events.saturating_add(found.events);
                sum.query_time = sum.query_time.saturating_add(found.query_time);
            }
        }
        Ok(sums)
    }

    /// Says of each query whether it is new, worse, better.
    pub(super) async fn judge(&self, connection: &impl Connection, whole: &mut Whole) -> StoreResult<()> {
        let Some(before) = whole.ranges.before else { return Ok(()) };
        let others = self.others(connection).await?;
        let (total_after, total_before) = (whole.total_after, whole.total_before);
        let mut tested: Vec<(i64, i64, i64)> = Vec::new();
        for one in &mut whole.ranked {
            if others.contains(&one.class.id) {
                continue;
            }
            let history = whole.histories.get(&one.class.slow_server_id).copied().unwrap_or(i64::MAX);
            // A range may be compared with a later one: what was asked in that is not new.
            let first_seen_now = one.class.first_seen >= whole.ranges.after.0 && one.before.events == 0;
            if first_seen_now && history <= before.0 {
                one.flags.push(QueryFlag::New);
            }
            let share =
                share(one.after.query_time, total_after).max(share(one.before.query_time, total_before));
            // What nobody is shown makes no other less sure.
            if !self.is_of_state(one) {
                continue;
            }
            if one.before.events > 0 && one.after.events > 0 && share >= LEAST_SHARE {
                tested.push((
                    one.after.query_time.max(one.before.query_time),
                    one.class.id,
                    one.class.slow_server_id,
                ));
            }
        }
        tested.sort_unstable_by_key(|(time, id, _)| (std::cmp::Reverse(*time), *id));
        tested.truncate(MOST_TESTED);
        // A day that is not over is none.
        let today = |server| Span::Day.floor(whole.known.get(&server).copied().unwrap_or(0));
        let todays: HashMap<i64, i64> =
            tested.into_iter().map(|(_, id, server)| (id, today(server))).collect();
        let verdicts = self.verdicts(connection, &whole.ranges, before, &todays).await?;
        for one in &mut whole.ranked {
            match verdicts.get(&one.class.id) {
                Some(Verdict::Worse) => one.flags.push(QueryFlag::Worse),
                Some(Verdict::Better) => one.flags.push(QueryFlag::Better),
                _ => {}
            }
        }
        Ok(())
    }

    /// The classes of all for which there was no place.
    async fn others(&self, connection: &impl Connection) -> StoreResult<HashSet<i64>> {
        let n = self.servers.len();
        let sql = format!(
            "SELECT c.id FROM slow_classes c WHERE c.slow_server_id IN ({}) AND c.query_id = ${}",
            places(1, n),
            n + 1
        );
        if n == 0 {
            return Ok(HashSet::new());
        }
        let mut bound = self.bound();
        bound.push(Value::from(vec![0_u8; 16]));
        Ok(rows::<Id>(connection, &sql, bound).await?.into_iter().map(|row| row.id).collect())
    }

    /// What the days say of these queries, up to the day that is the last one of each.
    async fn verdicts(
        &self,
        connection: &impl Connection,
        ranges: &Ranges,
        before: (i64, i64),
        todays: &HashMap<i64, i64>,
    ) -> StoreResult<HashMap<i64, Verdict>> {
        // Of ranges by the hour those days that are wholly in them.
        let whole_days = |range: (i64, i64)| match ranges.span {
            Span::Day => range,
            Span::Hour => (Span::Day.floor(range.0 + DAY_LONG - 1), Span::Day.floor(range.1)),
        };
        let (after, before) = (whole_days(ranges.after), whole_days(before));
        if todays.is_empty() || after.0 >= after.1 || before.0 >= before.1 {
            return Ok(HashMap::new());
        }
        let (after, before) =
            (days(connection, todays, after).await?, days(connection, todays, before).await?);
        let none = Vec::new();
        let of = |id: &i64| {
            let (before, after) = (before.get(id).unwrap_or(&none), after.get(id).unwrap_or(&none));
            (*id, verdict(before, after, todays.len(), self.significance))
        };
        Ok(todays.keys().map(of).collect())
    }
}

/// What these queries' days say, each up to its last one.
async fn days(
    connection: &impl Connection,
    todays: &HashMap<i64, i64>,
    range: (i64, i64),
) -> StoreResult<HashMap<i64, Vec<Day>>> {
    let mut days: HashMap<i64, Vec<Day>> = HashMap::new();
    let ids: Vec<i64> = todays.keys().copied().collect();
    periods::each(connection, &ids, Span::Day, range, |id, begins, measures| {
        if todays.get(&id).is_some_and(|today| begins < *today) {
            days.entry(id).or_default().push(Day { mean: measures.mean(), p95: measures.quantile(0.95) });
        }
    })
    .await?;
    Ok(days)
}

/// `$1, $2, …`.
pub(super) fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}

/// These queries with all that is said of them, in their order.
pub(super) async fn drawn(
    connection: &impl Connection,
    whole: &Whole,
    ranked: &[&Ranked],
) -> StoreResult<Vec<Drawn>> {
    let ids: Vec<i64> = ranked.iter().map(|one| one.class.id).collect();
    let mut texts = Texts::read(connection, &ids).await?;
    let mut after = summed(connection, &ids, whole.ranges.span, whole.ranges.after).await?;
    let mut before = match whole.ranges.before {
        Some(range) => summed(connection, &ids, whole.ranges.span, range).await?,
        None => HashMap::new(),
    };
    let mut drawn = Vec::with_capacity(ranked.len());
    for one in ranked {
        let id = one.class.id;
        let Some(text) = texts.take(id) else { continue };
        let (after, before) = (after.remove(&id).unwrap_or_default(), before.remove(&id).unwrap_or_default());
        let query = shown_query(whole, one, text, &after.0, &before.0)?;
        drawn.push(Drawn { query, before: before.1, after: after.1 });
    }
    Ok(drawn)
}

/// What each class adds up to, and its time in each period.
async fn summed(
    connection: &impl Connection,
    ids: &[i64],
    span: Span,
    range: (i64, i64),
) -> StoreResult<HashMap<i64, (Measures, Vec<(i64, f64)>)>> {
    let mut sums: HashMap<i64, (Measures, Vec<(i64, f64)>)> = HashMap::new();
    periods::each(connection, ids, span, range, |id, begins, measures| {
        let (sum, periods) = sums.entry(id).or_default();
        sum.merge(&measures);
        periods.push((begins, seconds(measures.query_time.sum)));
    })
    .await?;
    Ok(sums)
}

#[expect(clippy::cast_precision_loss, reason = "shares for people")]
fn share(part: i64, of: i64) -> f64 {
    if of <= 0 { 0.0 } else { part as f64 / of as f64 }
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
pub(super) fn seconds(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}

#[expect(clippy::cast_precision_loss, reason = "ratios for people")]
fn shown_query(
    whole: &Whole,
    one: &Ranked,
    text: Text,
    after: &Measures,
    before: &Measures,
) -> StoreResult<SlowQuery> {
    let share_after = share(one.after.query_time, whole.total_after);
    // Nothing is compared with a time of which nothing is known.
    let history = whole.histories.get(&one.class.slow_server_id).copied().unwrap_or(i64::MAX);
    let known_until = whole.known.get(&one.class.slow_server_id).copied().unwrap_or(0);
    let known = whole.ranges.before.map(|range| range.1.min(known_until) - range.0.max(history));
    let known = known.filter(|known| *known > 0);
    let was = known.filter(|_| before.count > 0);
    let ratio = |is: u64, was: u64| (was > 0).then(|| is as f64 / was as f64);
    let covered = whole.ranges.after.1.min(known_until) - whole.ranges.after.0;
    let covered = Some(covered).filter(|covered| *covered > 0);
    let share_before = known.map(|_| share(one.before.query_time, whole.total_before));
    let (sample, advice) = (text.sample().to_owned(), text.advice(after)?);
    Ok(SlowQuery {
        id: one.class.id,
        slow_server_id: one.class.slow_server_id,
        query_id: text.query_id,
        fingerprint: text.fingerprint,
        state: one.state.as_str().to_owned(),
        flags: one.flags.iter().map(|flag| flag.as_str().to_owned()).collect(),
        share: share_after,
        events_count: signed(after.count),
        total_seconds: seconds(after.query_time.sum),
        mean_seconds: seconds(after.query_time.sum) / after.count.max(1) as f64,
        p50_seconds: seconds(after.quantile(0.5)),
        p95_seconds: seconds(after.quantile(0.95)),
        p99_seconds: seconds(after.quantile(0.99)),
        max_seconds: seconds(after.query_time.max),
        lock_seconds: seconds(after.lock_time.sum),
        rows_sent_count: signed(after.rows_sent.sum),
        rows_examined_count: signed(after.rows_examined.sum),
        rows_examined_for_each_sent: after.examined_for_each_sent(),
        rows_affected_count: signed(after.rows_affected.sum),
        full_scans_count: signed(after.full_scans),
        temporary_tables_count: signed(after.temporary_tables),
        bursts_count: signed(after.bursts),
        events_in_bursts_count: signed(after.events_in_bursts),
        largest_burst_count: signed(after.largest_burst),
        before_events_count: known.map(|_| signed(before.count)),
        before_mean_seconds: was.map(|_| seconds(before.mean())),
        before_p95_seconds: was.map(|_| seconds(before.quantile(0.95))),
        before_share: share_before,
        events_ratio: was.zip(covered).map(|(known, covered)| {
            after.count as f64 / covered as f64 / (before.count as f64 / known as f64)
        }),
        mean_ratio: was.and_then(|_| ratio(after.mean(), before.mean())).filter(|_| after.count > 0),
        p95_ratio: was
            .and_then(|_| ratio(after.quantile(0.95), before.quantile(0.95)))
            .filter(|_| after.count > 0),
        share_change: share_before.map(|before| share_after - before),
        first_seen_at: text.first_seen_at,
        last_seen_at: text.last_seen_at,
        sample,
        sample_at: text.sample_at,
        sample_user: text.sample_user,
        sample_host: text.sample_host,
        sample_database: text.sample_database,
        advice,
    })
}

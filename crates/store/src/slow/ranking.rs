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
use crate::sql::{Connection, number, rows, signed, values};
use honcho_api::SlowQuery;
use honcho_model::slow::{QueryFlag, QueryState};
use honcho_model::{SlowQueryId, SlowServerId, Timestamp};
use honcho_slowlog::Measures;
use honcho_slowlog::compare::{Day, MOST_TESTED, Verdict, verdict};
use sea_orm::{FromQueryResult, Value};
use std::collections::{HashMap, HashSet};

/// What has less than this share of the time in both ranges is not tested: it is not worth a word, and each test more makes all
/// others less sure.
const LEAST_SHARE: f64 = 0.01;

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
    /// Only this one.
    pub only: Option<SlowQueryId>,
    /// How sure what is called worse or better has to be.
    pub significance: f64,
    /// When this is asked.
    pub now: Timestamp,
    /// Of what is older there are days alone.
    pub hours_since: i64,
    /// At most so many.
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
}

/// A query, as far as it has to be known to rank it.
pub(super) struct Ranked {
    pub(super) class: Class,
    pub(super) state: QueryState,
    pub(super) after: Sum,
    pub(super) before: Sum,
    pub(super) flags: Vec<QueryFlag>,
}

/// All there is, before any of it is left out.
pub(super) struct Whole {
    pub(super) ranges: Ranges,
    pub(super) ranked: Vec<Ranked>,
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

impl Ranking {
    /// The queries, most time first.
    pub async fn read(&self, connection: &impl Connection) -> StoreResult<Vec<SlowQuery>> {
        let mut whole = self.whole(connection).await?;
        self.judge(connection, &mut whole).await?;
        let page = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
        let wanted = whole.ranked.iter().filter(|one| self.wants(one));
        let shown: Vec<&Ranked> = wanted.skip(page(self.offset)).take(page(self.limit)).collect();
        let drawn = drawn(connection, &whole, &shown).await?;
        Ok(drawn.into_iter().map(|one| one.query).collect())
    }

    /// Whether one is among what is asked for.
    pub(super) fn wants(&self, one: &Ranked) -> bool {
        let state = if self.states.is_empty() {
            one.state != QueryState::Ignored || self.only.is_some()
        } else {
            self.states.contains(&one.state)
        };
        state
            && (self.flags.is_empty() || one.flags.iter().any(|flag| self.flags.contains(flag)))
            && self.only.is_none_or(|only| only.0 == one.class.id)
    }

    /// The ranges that this comes to.
    pub(super) async fn ranges(&self, connection: &impl Connection) -> StoreResult<Ranges> {
        let sql = format!(
            "SELECT MAX(last_mail_at) AS n FROM slow_servers WHERE id IN ({})",
            places(1, self.servers.len())
        );
        // Of none the greatest is null, which is no number.
        let last = if self.servers.is_empty() {
            None
        } else {
            number(connection, &format!("SELECT COALESCE(({sql}), 0) AS n"), self.bound()).await?
        };
        // A log is sent when it has ended.
        let known = last.unwrap_or(0).min(self.now.0);
        Ok(match self.compared {
            Compared::Ranges(after, against) => Ranges::of(after, against, known, self.hours_since),
            Compared::Around(mark) => Ranges::around(mark, known, self.hours_since),
        })
    }

    pub(super) fn bound(&self) -> Vec<Value> {
        self.servers.iter().map(|server| Value::from(server.0)).collect()
    }

    pub(super) async fn whole(&self, connection: &impl Connection) -> StoreResult<Whole> {
        let ranges = self.ranges(connection).await?;
        let mut whole =
            Whole { ranges, ranked: Vec::new(), histories: HashMap::new(), total_after: 0, total_before: 0 };
        if self.servers.is_empty() {
            return Ok(whole);
        }
        let sql = format!(
            "SELECT c.id, c.slow_server_id, c.first_seen, c.state FROM slow_classes c WHERE c.slow_server_id IN ({})",
            places(1, self.servers.len())
        );
        let classes: Vec<Class> = rows(connection, &sql, self.bound()).await?;
        let mut after = self.sums(connection, ranges.span, ranges.after).await?;
        let mut before = match ranges.before {
            Some(range) => self.sums(connection, ranges.span, range).await?,
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
        span: Span,
        range: (i64, i64),
    ) -> StoreResult<HashMap<i64, Sum>> {
        let n = self.servers.len();
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
        let found: Vec<Sum> = rows(connection, &sql, bound).await?;
        Ok(found.into_iter().map(|sum| (sum.id, sum)).collect())
    }

    /// Says of each query whether it is new, worse, better.
    pub(super) async fn judge(&self, connection: &impl Connection, whole: &mut Whole) -> StoreResult<()> {
        let Some(before) = whole.ranges.before else { return Ok(()) };
        let others = self.others(connection).await?;
        let (total_after, total_before) = (whole.total_after, whole.total_before);
        let mut tested: Vec<(i64, i64)> = Vec::new();
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
            if one.before.events > 0 && one.after.events > 0 && share >= LEAST_SHARE {
                tested.push((one.after.query_time.max(one.before.query_time), one.class.id));
            }
        }
        tested.sort_unstable_by_key(|(time, id)| (std::cmp::Reverse(*time), *id));
        tested.truncate(MOST_TESTED);
        let ids: Vec<i64> = tested.into_iter().map(|(_, id)| id).collect();
        let verdicts = self.verdicts(connection, &whole.ranges, before, &ids).await?;
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

    async fn verdicts(
        &self,
        connection: &impl Connection,
        ranges: &Ranges,
        before: (i64, i64),
        ids: &[i64],
    ) -> StoreResult<HashMap<i64, Verdict>> {
        // Of ranges by the hour those days that are wholly in them.
        let whole_days = |range: (i64, i64)| match ranges.span {
            // A day that is not over is none.
            Span::Day => (range.0, range.1.min(Span::Day.floor(ranges.known))),
            Span::Hour => (Span::Day.floor(range.0 + DAY_LONG - 1), Span::Day.floor(range.1)),
        };
        let (after, before) = (whole_days(ranges.after), whole_days(before));
        if ids.is_empty() || after.0 >= after.1 || before.0 >= before.1 {
            return Ok(HashMap::new());
        }
        let (after, before) = (days(connection, ids, after).await?, days(connection, ids, before).await?);
        let none = Vec::new();
        let of = |id: &i64| {
            let (before, after) = (before.get(id).unwrap_or(&none), after.get(id).unwrap_or(&none));
            (*id, verdict(before, after, ids.len(), self.significance))
        };
        Ok(ids.iter().map(of).collect())
    }
}

/// What these queries' days say.
async fn days(
    connection: &impl Connection,
    ids: &[i64],
    range: (i64, i64),
) -> StoreResult<HashMap<i64, Vec<Day>>> {
    let mut days: HashMap<i64, Vec<Day>> = HashMap::new();
    for (id, _, measures) in periods::each(connection, ids, Span::Day.number(), range).await? {
        days.entry(id).or_default().push(Day { mean: measures.mean(), p95: measures.quantile(0.95) });
    }
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
    let span = whole.ranges.span.number();
    let mut after = summed(periods::each(connection, &ids, span, whole.ranges.after).await?);
    let mut before = match whole.ranges.before {
        Some(range) => summed(periods::each(connection, &ids, span, range).await?),
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
fn summed(each: Vec<(i64, i64, Measures)>) -> HashMap<i64, (Measures, Vec<(i64, f64)>)> {
    let mut sums: HashMap<i64, (Measures, Vec<(i64, f64)>)> = HashMap::new();
    for (id, begins, measures) in each {
        let (sum, periods) = sums.entry(id).or_default();
        sum.merge(&measures);
        periods.push((begins, seconds(measures.query_time.sum)));
    }
    sums
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
    let known = whole.ranges.before.map(|range| range.1 - range.0.max(history)).filter(|known| *known > 0);
    let was = known.filter(|_| before.count > 0);
    let ratio = |is: u64, was: u64| (was > 0).then(|| is as f64 / was as f64);
    let covered = (whole.ranges.covered - whole.ranges.after.0).max(1) as f64;
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
        events_ratio: was.map(|known| after.count as f64 / covered / (before.count as f64 / known as f64)),
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

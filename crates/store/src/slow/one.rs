//! All about one query: over time, how long it takes how often, by whom, its tables, and what people say of it.

use super::marks;
use super::periods;
use super::ranges::{Ranges, Span};
use super::ranking::{Ranking, seconds};
use super::states;
use super::texts::Texts;
use crate::sql::{Connection, row, rows, signed, time, unsigned, values};
use crate::{Refusal, Scope, StoreError, StoreResult};
use honcho_api::{SlowBin, SlowPoint, SlowQueryDetails, SlowShare, SlowTable};
use honcho_model::slow::QueryState;
use honcho_model::{AccountId, SlowQueryId, SlowServerId};
use honcho_slowlog::{Measures, tables};
use sea_orm::FromQueryResult;
use std::collections::BTreeMap;

/// So many of those who ask are shown by name; the others together.
const MOST_NAMES: usize = 20;
/// More points than this are no picture: of longer ranges the last so many are shown.
const MOST_POINTS: i64 = 1_000;
/// What is called so stands for all for whom there was no place.
const OTHERS: &str = "(others)";

/// A query that somebody may see.
#[derive(Clone, Debug)]
pub struct Known {
    /// Which.
    pub id: SlowQueryId,
    /// Of which server.
    pub server: SlowServerId,
    /// What that is called.
    pub node: String,
    /// Whose.
    pub account: Option<AccountId>,
    /// The query without its values; empty, if it stands for all for which there was no place.
    pub fingerprint: String,
    /// What people have made of it.
    pub state: QueryState,
}

#[derive(FromQueryResult)]
struct Row {
    slow_server_id: i64,
    node: String,
    account_id: Option<i64>,
    fingerprint: String,
    state: String,
}

/// Finds one, if it is in scope.
pub async fn find_query(connection: &impl Connection, scope: Scope, id: SlowQueryId) -> StoreResult<Known> {
    let sql = "SELECT c.slow_server_id, s.node, g.account_id, c.fingerprint, c.state FROM slow_classes c \
        JOIN slow_servers s ON s.id = c.slow_server_id LEFT JOIN guests g ON g.id = s.guest_id WHERE c.id = $1";
    let found: Option<Row> = row(connection, sql, values![id.0]).await?;
    let found = found.ok_or(Refusal::NotFound("slow query"))?;
    let server = SlowServerId(found.slow_server_id);
    // Whoever may see its server may see it.
    super::find(connection, scope, server).await.map_err(|error| match error {
        StoreError::Refused(Refusal::NotFound(_)) => Refusal::NotFound("slow query").into(),
        other => other,
    })?;
    Ok(Known {
        id,
        server,
        node: found.node,
        account: found.account_id.map(AccountId),
        fingerprint: found.fingerprint,
        state: QueryState::parse(&found.state).unwrap_or(QueryState::New),
    })
}

/// All about one, in the ranges of this ranking.
pub async fn query(
    connection: &impl Connection,
    scope: Scope,
    known: Known,
    ranking: Ranking,
) -> StoreResult<SlowQueryDetails> {
    let id = known.id;
    let ranking = Ranking { servers: vec![known.server], only: Some(id), limit: 1, offset: 0, ..ranking };
    let ranges = ranking.ranges(connection).await?;
    let found = ranking.read(connection).await?.into_iter().next();
    let query = found.ok_or(Refusal::NotFound("slow query"))?;
    let each = each_of(connection, id, ranges.span, ranges.after).await?;
    let each_before = match ranges.before {
        Some(range) => each_of(connection, id, ranges.span, range).await?,
        None => Vec::new(),
    };
    let first_seen = query.first_seen_at.as_microsecond();
    let (sample, explain) = Texts::read(connection, &[id.0])
        .await?
        .take(id.0)
        .map_or_else(Default::default, |text| (text.sample, text.explain));
    Ok(SlowQueryDetails {
        slow_server_node: known.node,
        account_id: known.account.map(|account| account.0),
        resolution: ranges.span.word().to_owned(),
        histogram: histogram(&each),
        before_histogram: histogram(&each_before),
        series: series(&ranges, first_seen, each),
        before_series: series_before(&ranges, first_seen, each_before),
        by_database: shares(connection, id, 0, &ranges).await?,
        by_user: shares(connection, id, 1, &ranges).await?,
        by_host: shares(connection, id, 2, &ranges).await?,
        tables: tables(sample.as_bytes())
            .into_iter()
            .map(|table| SlowTable { name: table.name, columns: table.columns })
            .collect(),
        marks: marks::marks_of(connection, scope, known.server, known.account, ranges.both()).await?,
        explain: Some(explain).filter(|text| !text.is_empty()),
        notes: states::notes(connection, scope, id).await?,
        query,
    })
}

/// What it adds up to in each period of a range.
async fn each_of(
    connection: &impl Connection,
    id: SlowQueryId,
    span: Span,
    range: (i64, i64),
) -> StoreResult<Vec<(i64, i64, Measures)>> {
    let mut each = Vec::new();
    periods::each(connection, &[id.0], span, range, |class, begins, its| each.push((class, begins, its)))
        .await?;
    Ok(each)
}

/// A point for each period, those in which it was not asked, too: from when it was first seen.
fn series(ranges: &Ranges, first_seen: i64, each: Vec<(i64, i64, Measures)>) -> Vec<SlowPoint> {
    let last = each.iter().map(|(_, begins, _)| *begins).max().unwrap_or(i64::MIN);
    let end =
        ranges.span.floor(ranges.covered.saturating_sub(1)).max(last).min(ranges.after.1.saturating_sub(1));
    points(ranges.span, (ranges.after.0.max(ranges.span.floor(first_seen)), end), each)
}

/// The same of the range before.
fn series_before(ranges: &Ranges, first_seen: i64, each: Vec<(i64, i64, Measures)>) -> Vec<SlowPoint> {
    let Some((since, until)) = ranges.before else { return Vec::new() };
    points(ranges.span, (since.max(ranges.span.floor(first_seen)), until.saturating_sub(1)), each)
}

/// A point for each period from the first to the one that this moment is in.
#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
fn points(span: Span, (first, end): (i64, i64), each: Vec<(i64, i64, Measures)>) -> Vec<SlowPoint> {
    let mut periods: BTreeMap<i64, Measures> =
        each.into_iter().map(|(_, begins, its)| (begins, its)).collect();
    let mut points = Vec::new();
    let mut begins = first.max(end.saturating_sub((MOST_POINTS - 1) * span.length()));
    while begins <= end {
        let its = periods.remove(&begins).unwrap_or_default();
        let asked = its.count > 0;
        points.push(SlowPoint {
            begins_at: time(begins),
            events_count: signed(its.count),
            total_seconds: seconds(its.query_time.sum),
            mean_seconds: asked.then(|| seconds(its.query_time.sum) / its.count as f64),
            p95_seconds: asked.then(|| seconds(its.quantile(0.95))),
            max_seconds: asked.then(|| seconds(its.query_time.max)),
            rows_examined_count: signed(its.rows_examined.sum),
            rows_sent_count: signed(its.rows_sent.sum),
        });
        begins += span.length();
    }
    points
}

fn histogram(each: &[(i64, i64, Measures)]) -> Vec<SlowBin> {
    let mut total = Measures::default();
    for (_, _, measures) in each {
        total.merge(measures);
    }
    let bin = |(from, below, count): (u64, u64, u64)| SlowBin {
        from_seconds: seconds(from),
        below_seconds: seconds(below),
        events_count: signed(count),
    };
    total.query_times.doublings().into_iter().map(bin).collect()
}

#[derive(FromQueryResult)]
struct Share {
    name: String,
    events: i64,
    query_time: i64,
}

/// Who asked for it, most time first; in whole days, for who asked is known by the day.
#[expect(clippy::cast_precision_loss, reason = "shares for people")]
async fn shares(
    connection: &impl Connection,
    id: SlowQueryId,
    kind: i64,
    ranges: &Ranges,
) -> StoreResult<Vec<SlowShare>> {
    let sql = "SELECT name, CAST(SUM(events) AS BIGINT) AS events, CAST(SUM(query_time) AS BIGINT) AS query_time FROM slow_shares \
        WHERE slow_class_id = $1 AND kind = $2 AND begins >= $3 AND begins < $4 GROUP BY name ORDER BY 3 DESC, 1";
    let bound = values![id.0, kind, Span::Day.floor(ranges.after.0), ranges.after.1];
    let mut found: Vec<Share> = rows(connection, sql, bound).await?;
    let total: i64 = found.iter().map(|share| share.query_time).sum();
    let (mut others, mut named): (Vec<Share>, Vec<Share>) =
        found.drain(..).partition(|share| share.name == OTHERS);
    if named.len() > MOST_NAMES {
        others.extend(named.drain(MOST_NAMES..));
    }
    if !others.is_empty() {
        named.push(Share {
            name: OTHERS.to_owned(),
            events: others.iter().map(|share| share.events).sum(),
            query_time: others.iter().map(|share| share.query_time).sum(),
        });
    }
    let shown = |share: Share| SlowShare {
        name: share.name,
        events_count: share.events,
        total_seconds: seconds(unsigned(share.query_time)),
        share: if total > 0 { share.query_time as f64 / total as f64 } else { 0.0 },
    };
    Ok(named.into_iter().map(shown).collect())
}

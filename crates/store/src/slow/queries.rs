//! Which queries of a server took the time.

use super::periods::{self, DAY, HOUR};
use crate::StoreResult;
use crate::sql::{Connection, number, rows, time, unsigned, values};
use honcho_api::SlowQuery;
use honcho_model::SlowServerId;
use honcho_slowlog::{Measures, QueryId};
use sea_orm::FromQueryResult;

const HOUR_LONG: i64 = 3_600_000_000;
const DAY_LONG: i64 = 24 * HOUR_LONG;
/// Ranges that are longer are counted in whole days.
const IN_HOURS: i64 = 8 * DAY_LONG;

/// From when to when, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Whole hours (days, of more than eight days) from the one that this is in.
    pub since: i64,
    /// Up to the one that this is in, or the moment before.
    pub until: i64,
}

impl Range {
    fn span(self) -> (i64, (i64, i64)) {
        let (span, length) = if self.until.saturating_sub(self.since) <= IN_HOURS {
            (HOUR, HOUR_LONG)
        } else {
            (DAY, DAY_LONG)
        };
        (span, (self.since.div_euclid(length) * length, self.until))
    }
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    query_id: Vec<u8>,
    fingerprint: String,
    first_seen: i64,
    last_seen: i64,
    worst_at: i64,
    worst_user: String,
    worst_host: String,
    worst_database: String,
    worst_statement: String,
    worst_values: Option<String>,
    advice: String,
    query_time: i64,
}

/// The queries of a server that took the most time in a range, ranked by it.
pub async fn queries(
    connection: &impl Connection,
    server: SlowServerId,
    range: Range,
    limit: i64,
    offset: i64,
) -> StoreResult<Vec<SlowQuery>> {
    let (span, (since, until)) = range.span();
    let all = "SELECT CAST(COALESCE(SUM(p.query_time), 0) AS BIGINT) AS n FROM slow_classes c JOIN slow_periods p \
        ON p.slow_class_id = c.id WHERE c.slow_server_id = $1 AND p.span = $2 AND p.begins >= $3 AND p.begins < $4";
    let total = number(connection, all, values![server.0, span, since, until]).await?.unwrap_or(0);
    let sql = "SELECT c.id, c.query_id, c.fingerprint, c.first_seen, c.last_seen, c.worst_at, c.worst_user, c.worst_host, \
        c.worst_database, c.worst_statement, c.worst_values, c.advice, r.query_time FROM slow_classes c JOIN (SELECT p.slow_class_id, \
        CAST(SUM(p.query_time) AS BIGINT) AS query_time FROM slow_classes k JOIN slow_periods p ON p.slow_class_id = k.id \
        WHERE k.slow_server_id = $1 AND p.span = $2 AND p.begins >= $3 AND p.begins < $4 GROUP BY p.slow_class_id) r \
        ON r.slow_class_id = c.id ORDER BY r.query_time DESC, c.id LIMIT $5 OFFSET $6";
    let found: Vec<Row> = rows(connection, sql, values![server.0, span, since, until, limit, offset]).await?;
    let ids: Vec<i64> = found.iter().map(|row| row.id).collect();
    let mut sums = periods::sums(connection, &ids, span, (since, until)).await?;
    let mut queries = Vec::with_capacity(found.len());
    for row in found {
        let measures = sums.remove(&row.id).unwrap_or_default();
        queries.push(query(server.0, row, &measures, unsigned(total))?);
    }
    Ok(queries)
}

#[expect(clippy::cast_precision_loss, reason = "seconds and shares for people")]
fn query(server: i64, row: Row, measures: &Measures, total: u64) -> StoreResult<SlowQuery> {
    let seconds = |micros: u64| micros as f64 / 1_000_000.0;
    let signed = crate::sql::signed;
    let id = <[u8; 16]>::try_from(row.query_id.as_slice()).unwrap_or_default();
    let advice = super::advice::of(&row.advice, &row.worst_statement, measures)?;
    Ok(SlowQuery {
        id: row.id,
        slow_server_id: server,
        query_id: QueryId::from_bytes(id).to_string(),
        fingerprint: row.fingerprint,
        share: if total == 0 { 0.0 } else { unsigned(row.query_time) as f64 / total as f64 },
        events_count: signed(measures.count),
        total_seconds: seconds(measures.query_time.sum),
        mean_seconds: seconds(measures.query_time.sum) / measures.count.max(1) as f64,
        p50_seconds: seconds(measures.quantile(0.5)),
        p95_seconds: seconds(measures.quantile(0.95)),
        p99_seconds: seconds(measures.quantile(0.99)),
        max_seconds: seconds(measures.query_time.max),
        lock_seconds: seconds(measures.lock_time.sum),
        rows_sent_count: signed(measures.rows_sent.sum),
        rows_examined_count: signed(measures.rows_examined.sum),
        rows_affected_count: signed(measures.rows_affected.sum),
        full_scans_count: signed(measures.full_scans),
        temporary_tables_count: signed(measures.temporary_tables),
        bursts_count: signed(measures.bursts),
        events_in_bursts_count: signed(measures.events_in_bursts),
        largest_burst_count: signed(measures.largest_burst),
        first_seen_at: time(row.first_seen),
        last_seen_at: time(row.last_seen),
        sample: row.worst_values.unwrap_or(row.worst_statement),
        sample_at: time(row.worst_at),
        sample_user: row.worst_user,
        sample_host: row.worst_host,
        sample_database: row.worst_database,
        advice,
    })
}

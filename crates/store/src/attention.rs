//! What needs somebody's attention now: a few statements, each of which gives a few rows however large the machine room is.

use crate::hosts::FROZEN_REASON;
use crate::sql::{Connection, row, rows, time, values};
use crate::{Scope, StoreResult};
use honcho_model::Timestamp;
use honcho_model::host::HostStatus;
use sea_orm::FromQueryResult;

/// Pools with less than one of so many parts left are nearly full.
const PARTS: i64 = 10;

/// How many hosts are what.
#[derive(Clone, Copy, Debug, Default, FromQueryResult, PartialEq, Eq)]
pub struct HostsCounted {
    /// All that are not deleted.
    pub all: i64,
    /// Those whose agent has not joined yet.
    pub waiting: i64,
    /// Those that are frozen.
    pub frozen: i64,
    /// Those that are silent, and not frozen.
    pub silent: i64,
    /// Those that are being emptied.
    pub draining: i64,
}

/// The earliest time at which a host that is not silent at `now` was heard.
fn heard_since(now: Timestamp) -> i64 {
    now.0 - i64::try_from(honcho_model::host::SILENT_AFTER.as_micros()).unwrap_or(i64::MAX)
}

/// Counts hosts.
pub async fn hosts_counted(connection: &impl Connection, now: Timestamp) -> StoreResult<HostsCounted> {
    let sql = format!(
        "SELECT COUNT(*) AS \"all\", COUNT(CASE WHEN x.frozen IS NULL AND x.joined_at IS NULL THEN 1 END) AS waiting, \
         COUNT(x.frozen) AS frozen, \
         COUNT(CASE WHEN x.frozen IS NULL AND x.joined_at IS NOT NULL AND x.heard < $1 THEN 1 END) AS silent, \
         COUNT(x.draining_since) AS draining \
         FROM (SELECT {FROZEN_REASON} AS frozen, h.joined_at, h.draining_since, COALESCE(o.last_seen_at, 0) AS heard \
         FROM hosts h LEFT JOIN host_observed o ON o.host_id = h.id WHERE h.deleted_at IS NULL) x"
    );
    let found: Option<HostsCounted> = row(connection, &sql, values![heard_since(now)]).await?;
    Ok(found.unwrap_or_default())
}

/// A host that is silent or frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TroubledHost {
    /// Which.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// `silent` or `frozen`.
    pub status: HostStatus,
    /// Why it is frozen.
    pub reason: Option<String>,
    /// When its agent last spoke.
    pub heard_at: Option<jiff::Timestamp>,
}

/// Hosts that are frozen, then those that are silent, the longest unheard first.
pub async fn hosts(
    connection: &impl Connection,
    now: Timestamp,
    limit: i64,
) -> StoreResult<Vec<TroubledHost>> {
    #[derive(FromQueryResult)]
    struct Row {
        id: i64,
        name: String,
        frozen: Option<String>,
        heard: i64,
    }
    let sql = format!(
        "SELECT x.id, x.name, x.frozen, x.heard FROM (SELECT h.id, h.name, {FROZEN_REASON} AS frozen, h.joined_at, \
         COALESCE(o.last_seen_at, 0) AS heard FROM hosts h LEFT JOIN host_observed o ON o.host_id = h.id \
         WHERE h.deleted_at IS NULL) x \
         WHERE x.frozen IS NOT NULL OR (x.joined_at IS NOT NULL AND x.heard < $1) \
         ORDER BY (x.frozen IS NULL), x.heard, x.id LIMIT $2"
    );
    let found: Vec<Row> = rows(connection, &sql, values![heard_since(now), limit]).await?;
    let host = |row: Row| TroubledHost {
        id: row.id,
        name: row.name,
        status: if row.frozen.is_some() { HostStatus::Frozen } else { HostStatus::Silent },
        reason: row.frozen,
        heard_at: (row.heard > 0).then(|| time(row.heard)),
    };
    Ok(found.into_iter().map(host).collect())
}

/// A pool that is nearly full, or is not what it should be.
#[derive(Clone, Debug, FromQueryResult, PartialEq, Eq)]
pub struct TroubledPool {
    /// Which.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The host that holds it.
    pub host_id: i64,
    /// That host's name.
    pub host_name: String,
    /// `ready`, `blank`, `wrong` or `unknown`.
    pub status: String,
    /// Why it is not ready.
    pub reason: Option<String>,
    /// The size of its filesystem in bytes.
    pub size: Option<i64>,
    /// What is free of that.
    pub free: Option<i64>,
}

/// Such pools: those that are not what they should be, then the fullest.
pub async fn pools(connection: &impl Connection, limit: i64) -> StoreResult<Vec<TroubledPool>> {
    let sql = "SELECT p.id, p.name, p.host_id, h.name AS host_name, o.state AS status, o.problem AS reason, o.size, o.free \
        FROM pools p JOIN hosts h ON h.id = p.host_id JOIN pool_observed o ON o.pool_id = p.id \
        WHERE p.deleted_at IS NULL AND (o.state <> 'ready' OR o.free < o.size / $1) \
        ORDER BY (o.state = 'ready'), o.free * 1.0 / NULLIF(o.size, 0), p.id LIMIT $2";
    rows(connection, sql, values![PARTS, limit]).await
}

/// A server whose slow logs are missing, late, or come no more.
#[derive(Clone, Debug, FromQueryResult, PartialEq, Eq)]
pub struct TroubledServer {
    /// Which.
    pub id: i64,
    /// What it calls itself.
    pub reported_name: String,
    /// Since when nothing comes any more.
    pub silent_since: Option<i64>,
    /// Since when mails take too long.
    pub late_since: Option<i64>,
    /// Since when the oldest mail is missing that is.
    pub missing_since: Option<i64>,
}

/// Such servers.
pub async fn slow_servers(connection: &impl Connection, limit: i64) -> StoreResult<Vec<TroubledServer>> {
    let sql = "SELECT * FROM (SELECT s.id, s.reported_name, s.silent_since, s.late_since, \
        (SELECT MIN(x.since) FROM slow_gaps x JOIN slow_spools p ON p.id = x.slow_spool_id \
        WHERE p.slow_server_id = s.id) AS missing_since FROM slow_servers s) y \
        WHERE y.silent_since IS NOT NULL OR y.late_since IS NOT NULL OR y.missing_since IS NOT NULL \
        ORDER BY y.id LIMIT $1";
    rows(connection, sql, values![limit]).await
}

/// Operations that something holds up, the oldest first.
pub async fn operations(
    connection: &impl Connection,
    scope: Scope,
    limit: i64,
) -> StoreResult<Vec<honcho_api::Operation>> {
    crate::operations::held_up(connection, scope, limit).await
}

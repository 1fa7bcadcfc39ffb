//! Servers that send slow logs: who they are, what is missing, who fell silent.

use super::ranking::seconds;
use crate::events::{self, NewEvent};
use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, execute, number, rows, time, unsigned, values};
use crate::{Change, Refusal, Scope, StoreResult, Tx};
use honcho_api::SlowServer;
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, SlowServerId};
use sea_orm::FromQueryResult;

/// How long a gap may be open before somebody is told: with two receivers mails come out of order.
const GAP_TOLD_AFTER: i64 = 3_600_000_000;
/// How long mails are known by their digests; by their numbers they are for ever.
pub(super) const MAILS_KEPT: i64 = 90 * 86_400_000_000;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    node: String,
    guest_id: Option<i64>,
    account_id: Option<i64>,
    reported_name: String,
    first_mail_at: i64,
    last_mail_at: i64,
    last_event_at: Option<i64>,
    mails: i64,
    events: i64,
    left_out: i64,
    bytes: i64,
    sequence: i64,
    missing: i64,
    missing_since: Option<i64>,
    silent_since: Option<i64>,
    late_since: Option<i64>,
    long_query_time: Option<i64>,
    log_queries_not_using_indexes: Option<bool>,
    log_slow_rate_limit: Option<i64>,
    logging_told_at: Option<i64>,
}

const SELECT: &str = "SELECT s.id, s.node, s.guest_id, g.account_id, s.reported_name, s.first_mail_at, s.last_mail_at, \
    s.last_event_at, s.mails, s.events, s.left_out, s.bytes, s.silent_since, s.late_since, \
    s.long_query_time, s.log_queries_not_using_indexes, s.log_slow_rate_limit, s.logging_told_at, \
    COALESCE((SELECT p.highest FROM slow_spools p WHERE p.slow_server_id = s.id ORDER BY p.last_mail_at DESC, p.id DESC LIMIT 1), 0) \
    AS sequence, CAST(COALESCE((SELECT SUM(x.last - x.first + 1) FROM slow_gaps x JOIN slow_spools p ON p.id = x.slow_spool_id \
    WHERE p.slow_server_id = s.id), 0) AS BIGINT) AS missing, (SELECT MIN(x.since) FROM slow_gaps x JOIN slow_spools p \
    ON p.id = x.slow_spool_id WHERE p.slow_server_id = s.id) AS missing_since \
    FROM slow_servers s LEFT JOIN guests g ON g.id = s.guest_id";

const COLUMNS: &[Column] = &[
    Column::Integer("id", "s.id"),
    Column::Text("node", "s.node"),
    Column::Integer("guest_id", "s.guest_id"),
    Column::Derived("account_id", "CAST(g.account_id AS TEXT)"),
    Column::Text("reported_name", "s.reported_name"),
];

impl From<Row> for SlowServer {
    fn from(row: Row) -> SlowServer {
        SlowServer {
            id: row.id,
            node: row.node,
            guest_id: row.guest_id,
            account_id: row.account_id,
            reported_name: row.reported_name,
            first_mail_at: time(row.first_mail_at),
            last_mail_at: time(row.last_mail_at),
            last_event_at: row.last_event_at.map(time),
            mails_count: row.mails,
            events_count: row.events,
            left_out_count: row.left_out,
            log_bytes: row.bytes,
            sequence: row.sequence,
            missing_mails_count: row.missing,
            missing_since: row.missing_since.map(time),
            silent_since: row.silent_since.map(time),
            late_since: row.late_since.map(time),
            long_query_time_seconds: row.long_query_time.map(|micros| seconds(unsigned(micros))),
            log_queries_not_using_indexes: row.log_queries_not_using_indexes,
            log_slow_rate_limit: row.log_slow_rate_limit,
            logging_told_at: row.logging_told_at.map(time),
        }
    }
}

/// The servers in scope: an account's guests, and for operators all.
pub async fn list(
    connection: &impl Connection,
    scope: Scope,
    filters: &Filters,
) -> StoreResult<Vec<SlowServer>> {
    let mut select = Select::new(SELECT, values![]);
    select.scope_of_machine(scope, "g.account_id", "s.guest_id = ?");
    select.filter(filters, "s.id", COLUMNS)?;
    Ok(select.all::<Row>(connection, "s.id", filters).await?.into_iter().map(SlowServer::from).collect())
}

/// One of them.
pub async fn find(connection: &impl Connection, scope: Scope, id: SlowServerId) -> StoreResult<SlowServer> {
    let found = list(connection, scope, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("slow server").into())
}

/// A server that ceased to send.
#[derive(FromQueryResult)]
pub struct Silent {
    /// Which.
    pub id: i64,
    /// Its name.
    pub node: String,
    /// Whose it is.
    pub account_id: Option<i64>,
    /// When its last mail came.
    pub last_mail_at: i64,
}

/// Marks the servers of which no mail came for three times as long as is usual between its logs (two hours at least, three
/// days at most), each once.
pub async fn take_fallen_silent(tx: &Tx) -> StoreResult<Vec<Silent>> {
    let sql = "SELECT s.id, s.node, g.account_id, s.last_mail_at FROM slow_servers s LEFT JOIN guests g ON g.id = s.guest_id \
        WHERE s.silent_since IS NULL AND s.last_mail_at < $1 - CASE WHEN 3 * s.usual_pause < $2 THEN $2 \
        WHEN 3 * s.usual_pause > $3 THEN $3 ELSE 3 * s.usual_pause END";
    let hour = 3_600_000_000_i64;
    let silent: Vec<Silent> = rows(tx, sql, values![tx.now.0, 2 * hour, 72 * hour]).await?;
    for server in &silent {
        let sql = "UPDATE slow_servers SET silent_since = $1 WHERE id = $2";
        execute(tx, sql, values![tx.now.0, server.id]).await?;
    }
    Ok(silent)
}

/// A mail that took longer than this from its cutting to here is a sign of queues that do not move.
pub(super) const LATE: i64 = 6 * 3_600_000_000;
/// No queue keeps a mail for longer: what has not come by then is lost, and not late.
const LOST: i64 = 30 * 86_400_000_000;

/// A server for mails of which somebody waits too long.
#[derive(FromQueryResult)]
pub struct Late {
    /// Which.
    pub id: i64,
    /// Its name.
    pub node: String,
    /// Whose it is.
    pub account_id: Option<i64>,
    /// Since when a later mail is here than the first that is missing.
    pub since: i64,
}

/// A mail that is missing was cut before the one behind it, which came then.
const WAITED_FOR: &str =
    "slow_gaps x JOIN slow_spools p ON p.id = x.slow_spool_id AND x.since < $1 AND x.since > $2";

/// Marks the servers of which a mail has been missing for longer than it may take, each once.
pub async fn take_fallen_late(tx: &Tx) -> StoreResult<Vec<Late>> {
    let sql = format!(
        "SELECT s.id, s.node, g.account_id, MIN(x.since) AS since FROM {WAITED_FOR} JOIN slow_servers s ON s.id = p.slow_server_id \
         LEFT JOIN guests g ON g.id = s.guest_id WHERE s.late_since IS NULL GROUP BY s.id, s.node, g.account_id ORDER BY s.id"
    );
    let late: Vec<Late> = rows(tx, &sql, values![tx.now.0 - LATE, tx.now.0 - LOST]).await?;
    for server in &late {
        execute(tx, "UPDATE slow_servers SET late_since = $1 WHERE id = $2", values![tx.now.0, server.id])
            .await?;
    }
    Ok(late)
}

/// Whether a mail of a server is missing for longer than it may take.
pub(super) async fn is_waited_for(tx: &Tx, server: i64) -> StoreResult<bool> {
    let sql = format!("SELECT COUNT(*) AS n FROM {WAITED_FOR} AND p.slow_server_id = $3");
    Ok(number(tx, &sql, values![tx.now.0 - LATE, tx.now.0 - LOST, server]).await?.unwrap_or(0) > 0)
}

/// Tells of mails that are missing for an hour: once of each server, until all of them have come.
pub struct TellGaps;

#[derive(FromQueryResult)]
struct Untold {
    slow_server_id: i64,
    node: String,
    account_id: Option<i64>,
    first: i64,
    last: i64,
    missing: i64,
}

impl Change for TellGaps {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        let sql = "SELECT p.slow_server_id, s.node, g.account_id, MIN(x.first) AS first, MAX(x.last) AS last, \
            CAST(SUM(x.last - x.first + 1) AS BIGINT) AS missing FROM slow_gaps x JOIN slow_spools p ON p.id = x.slow_spool_id \
            JOIN slow_servers s ON s.id = p.slow_server_id LEFT JOIN guests g ON g.id = s.guest_id \
            WHERE NOT x.told AND x.since < $1 GROUP BY p.slow_server_id, s.node, g.account_id ORDER BY p.slow_server_id LIMIT 100";
        let before = tx.now.0 - GAP_TOLD_AFTER;
        let untold: Vec<Untold> = rows(tx, sql, values![before]).await?;
        for server in untold {
            let known = told_gaps(tx, server.slow_server_id).await? > 0;
            let sql = "UPDATE slow_gaps SET told = TRUE WHERE NOT told AND since < $1 \
                AND slow_spool_id IN (SELECT id FROM slow_spools WHERE slow_server_id = $2)";
            execute(tx, sql, values![before, server.slow_server_id]).await?;
            if known {
                continue;
            }
            let which = match (server.missing, server.last - server.first + 1) {
                (1, _) => format!("mail {} has", server.first),
                (missing, span) if missing == span => {
                    format!("mails {} to {} have", server.first, server.last)
                }
                (missing, _) => format!("{missing} mails between {} and {} have", server.first, server.last),
            };
            let text = format!(
                "{which} not come for an hour, and later ones have: a receiver that is down holds them, or they are lost"
            );
            let resource = (ResourceKind::SlowServer, server.slow_server_id, server.node.as_str());
            let event = NewEvent::info("slow_server.gap", resource, text).alarm();
            events::record(tx, event.of(server.account_id.map(AccountId))).await?;
        }
        Ok(())
    }
}

/// How many gaps of a server are open of which somebody was told.
pub(super) async fn told_gaps(tx: &Tx, server: i64) -> StoreResult<i64> {
    let sql = "SELECT COUNT(*) AS n FROM slow_gaps x JOIN slow_spools p ON p.id = x.slow_spool_id \
        WHERE p.slow_server_id = $1 AND x.told";
    Ok(number(tx, sql, values![server]).await?.unwrap_or(0))
}

/// Forgets the digests of mails that no queue holds any more: by their numbers they are known all the same.
pub async fn forget_old_mails(tx: &Tx) -> StoreResult<()> {
    let sql = "DELETE FROM slow_mails WHERE imported_at < $1";
    execute(tx, sql, values![tx.now.0 - MAILS_KEPT]).await.map(drop)
}

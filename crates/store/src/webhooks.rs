//! Webhooks: who is told the event log, how far each has got, and what came of each attempt. The order is that of the
//! log's cursors, (transaction, id); ids alone would pass over what is written before and committed later.
//!
//! ```text
//!   events   … 17  18  19  20      position = 18: everything up to 18 was delivered, or was none of its business
//!                   ^              an attempt at 19 succeeds -> position = 19, in the transaction that notes the attempt
//!               position           it fails -> failures + 1, next_try_at; position stays, so nothing is lost
//! ```

use crate::cursor::{Cursor, horizon_sql};
use crate::list::{Column, Filters, Select, Shared};
use crate::sql::{Connection, execute, from_json, insert, number, row, rows, time, to_json, values};
use crate::{Refusal, Scope, StoreResult, Tx};
use honcho_api::{Webhook, WebhookDelivery};
use honcho_model::{AccountId, Timestamp, WebhookId};
use sea_orm::{ConnectionTrait as _, FromQueryResult};
use std::time::Duration;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    account_id: Option<i64>,
    url: String,
    description: String,
    events: String,
    allow_http: bool,
    enabled: bool,
    position: i64,
    position_xid: i64,
    position_incarnation: i64,
    failures: i64,
    failing_since: Option<i64>,
    next_try_at: Option<i64>,
    problem: Option<String>,
    delivered_at: Option<i64>,
    created_at: i64,
    lock_version: i64,
}

const SELECT: &str = "SELECT w.id, w.account_id, w.url, w.description, w.events, w.allow_http, w.enabled, w.position, \
    w.position_xid, w.position_incarnation, \
    w.failures, w.failing_since, w.next_try_at, w.problem, w.delivered_at, w.created_at, w.lock_version FROM webhooks w";
/// `working`, `failing` or `off`; the same rule as in [`status`].
const STATUS: &str =
    "CASE WHEN NOT w.enabled THEN 'off' WHEN w.failing_since IS NOT NULL THEN 'failing' ELSE 'working' END";
const COLUMNS: &[Column] = &[
    Column::Integer("id", "w.id"),
    Column::Integer("account_id", "w.account_id"),
    Column::Text("url", "w.url"),
    Column::Text("description", "w.description"),
    Column::Text("status", STATUS),
];

fn status(row: &Row) -> &'static str {
    match (row.enabled, row.failing_since) {
        (false, _) => "off",
        (true, Some(_)) => "failing",
        (true, None) => "working",
    }
}

fn to_api(row: Row) -> StoreResult<Webhook> {
    Ok(Webhook {
        status: status(&row).to_owned(),
        id: row.id,
        account_id: row.account_id,
        url: row.url,
        description: row.description,
        events: from_json("webhook's events", Some(&row.events))?.unwrap_or_default(),
        allow_http: row.allow_http,
        enabled: row.enabled,
        position: row.position,
        failures: row.failures,
        failing_since: row.failing_since.map(time),
        next_try_at: row.next_try_at.map(time),
        problem: row.problem,
        delivered_at: row.delivered_at.map(time),
        created_at: time(row.created_at),
        lock_version: row.lock_version,
        secret: None,
    })
}

/// Webhooks in scope, without their secrets.
pub async fn list(
    connection: &impl Connection,
    scope: Scope,
    filters: &Filters,
) -> StoreResult<Vec<Webhook>> {
    let mut select = Select::new(SELECT, values![]);
    select.only("w.deleted_at IS NULL");
    select.scope(scope, "w.account_id", Shared::No);
    select.filter(filters, "w.id", COLUMNS)?;
    let found: Vec<Row> = select.all(connection, "w.id", filters).await?;
    found.into_iter().map(to_api).collect()
}

/// One webhook, without its secret.
pub async fn get(connection: &impl Connection, scope: Scope, id: WebhookId) -> StoreResult<Webhook> {
    let found = list(connection, scope, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("webhook").into())
}

/// What deliveries are signed with.
#[derive(Clone, Debug, FromQueryResult, PartialEq, Eq)]
pub struct Secrets {
    /// The current one.
    pub secret: String,
    /// The one before, while it is still good.
    pub previous_secret: Option<String>,
    previous_secret_until: Option<i64>,
}

/// Reads them: for signing alone.
pub async fn secrets(
    connection: &impl Connection,
    id: WebhookId,
    now: Timestamp,
) -> StoreResult<Option<Secrets>> {
    let sql = "SELECT secret, previous_secret, previous_secret_until FROM webhooks \
               WHERE id = $1 AND deleted_at IS NULL";
    let found: Option<Secrets> = row(connection, sql, values![id.0]).await?;
    Ok(found.map(|mut secrets| {
        if secrets.previous_secret_until.is_none_or(|until| until <= now.0) {
            secrets.previous_secret = None;
        }
        secrets
    }))
}

/// What a webhook is made of, and what of it can be changed.
pub struct WebhookFields {
    /// Where deliveries go.
    pub url: String,
    /// For people.
    pub description: String,
    /// Kinds, and patterns of them.
    pub events: Vec<String>,
    /// Whether it may be plain HTTP.
    pub allow_http: bool,
}

/// Makes one, which is told what happens from now on.
pub async fn create(
    tx: &Tx,
    account: Option<AccountId>,
    fields: &WebhookFields,
    secret: &str,
) -> StoreResult<WebhookId> {
    let place = newest(tx).await?;
    let id = insert(
        tx,
        "INSERT INTO webhooks (account_id, url, description, events, allow_http, secret, enabled, position, \
         position_xid, position_incarnation, failures, created_at, lock_version) \
         VALUES ($1, $2, $3, $4, $5, $6, TRUE, $7, $8, $9, 0, $10, 1) RETURNING id AS n",
        values![
            account.map(|account| account.0),
            fields.url.as_str(),
            fields.description.as_str(),
            to_json(&fields.events)?,
            fields.allow_http,
            secret,
            place.id,
            place.xid,
            place.incarnation,
            tx.now.0
        ],
    )
    .await?;
    Ok(WebhookId(id))
}

/// Changes what can be changed; what failed is tried again at once, for the URL may be mended.
pub async fn update(tx: &Tx, id: WebhookId, fields: &WebhookFields) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE webhooks SET url = $1, description = $2, events = $3, allow_http = $4, next_try_at = NULL, \
         lock_version = lock_version + 1 WHERE id = $5",
        values![
            fields.url.as_str(),
            fields.description.as_str(),
            to_json(&fields.events)?,
            fields.allow_http,
            id.0
        ],
    )
    .await?;
    Ok(())
}

/// Gives it another secret; the one before is good until then.
pub async fn rotate(tx: &Tx, id: WebhookId, secret: &str, previous_until: Timestamp) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE webhooks SET previous_secret = secret, previous_secret_until = $1, secret = $2 WHERE id = $3",
        values![previous_until.0, secret, id.0],
    )
    .await?;
    Ok(())
}

/// From which event on a webhook that is switched on is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Where it stopped.
    WhereItStopped,
    /// What happens from now on; the rest is passed over.
    Now,
}

/// Switches it on, or tries again at once what failed.
pub async fn enable(tx: &Tx, id: WebhookId, from: From) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE webhooks SET enabled = TRUE, failures = 0, failing_since = NULL, next_try_at = NULL, problem = NULL \
         WHERE id = $1",
        values![id.0],
    )
    .await?;
    if from == From::Now {
        let place = newest(tx).await?;
        let sql =
            "UPDATE webhooks SET position = $1, position_xid = $2, position_incarnation = $3 WHERE id = $4";
        execute(tx, sql, values![place.id, place.xid, place.incarnation, id.0]).await?;
    }
    Ok(())
}

/// Switches it off.
pub async fn disable(tx: &Tx, id: WebhookId) -> StoreResult<()> {
    execute(tx, "UPDATE webhooks SET enabled = FALSE, next_try_at = NULL WHERE id = $1", values![id.0])
        .await?;
    Ok(())
}

/// Deletes it, and its secrets with it.
pub async fn delete(tx: &Tx, id: WebhookId) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE webhooks SET deleted_at = $1, secret = '', previous_secret = NULL WHERE id = $2",
        values![tx.now.0, id.0],
    )
    .await?;
    Ok(())
}

/// A webhook, and after which event it goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// It.
    pub hook: Webhook,
    /// Up to where it was told the log.
    pub place: Cursor,
}

fn to_told(row: Row) -> StoreResult<Told> {
    let place = Cursor {
        incarnation: row.position_incarnation,
        xid: row.position_xid,
        id: row.position,
        horizon: None,
    };
    Ok(Told { hook: to_api(row)?, place })
}

/// Webhooks that are switched on and do not pause after a failure.
pub async fn due(connection: &impl Connection, now: Timestamp) -> StoreResult<Vec<Told>> {
    let sql = format!(
        "{SELECT} WHERE w.deleted_at IS NULL AND w.enabled AND (w.next_try_at IS NULL OR w.next_try_at <= $1) ORDER BY w.id"
    );
    let found: Vec<Row> = rows(connection, &sql, values![now.0]).await?;
    found.into_iter().map(to_told).collect()
}

/// That webhook, if it is switched on and does not pause.
pub async fn is_due(
    connection: &impl Connection,
    id: WebhookId,
    now: Timestamp,
) -> StoreResult<Option<Told>> {
    let sql = format!(
        "{SELECT} WHERE w.id = $1 AND w.deleted_at IS NULL AND w.enabled \
         AND (w.next_try_at IS NULL OR w.next_try_at <= $2)"
    );
    let found: Option<Row> = row(connection, &sql, values![id.0, now.0]).await?;
    found.map(to_told).transpose()
}

/// The place after the newest event before which nothing can come any more.
pub async fn newest(connection: &impl Connection) -> StoreResult<Cursor> {
    #[derive(FromQueryResult)]
    struct Place {
        incarnation: i64,
        xid: Option<i64>,
        id: Option<i64>,
    }
    let horizon = horizon_sql(connection.inner().get_database_backend());
    let sql = format!(
        "SELECT COALESCE((SELECT b.incarnation FROM brain b WHERE b.id = 1), 0) AS incarnation, e.xid, e.id \
         FROM (SELECT 1 AS one) o LEFT JOIN \
         (SELECT xid, id FROM events WHERE xid < {horizon} ORDER BY xid DESC, id DESC LIMIT 1) e ON TRUE"
    );
    let found: Option<Place> = row(connection, &sql, values![]).await?;
    let found = found.unwrap_or(Place { incarnation: 0, xid: None, id: None });
    let (xid, id) = (found.xid.unwrap_or(0), found.id.unwrap_or(0));
    Ok(Cursor { incarnation: found.incarnation, xid, id, horizon: None })
}

/// Notes that everything up to that place was none of its business.
pub async fn pass(tx: &Tx, id: WebhookId, place: &Cursor) -> StoreResult<()> {
    let sql = "UPDATE webhooks SET position = $1, position_xid = $2 \
               WHERE id = $3 AND position_incarnation = $4 AND (position_xid, position) < ($2, $1)";
    execute(tx, sql, values![place.id, place.xid, id.0, place.incarnation]).await?;
    Ok(())
}

/// Carries a webhook over into another life of the brain: its event's id still counts, the transaction does not, for
/// those were numbered anew. What this engine wrote since is told again where it numbers transactions; nothing is left out.
pub async fn carry_over(tx: &Tx, id: WebhookId, life: &Cursor) -> StoreResult<()> {
    let sql = "UPDATE webhooks SET position_xid = 0, position_incarnation = $1 WHERE id = $2";
    execute(tx, sql, values![life.incarnation, id.0]).await?;
    Ok(())
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The webhook.
    pub webhook: WebhookId,
    /// Where its event stands in the log; none for a ping.
    pub event: Option<Cursor>,
    /// The event's kind, or `ping`.
    pub kind: String,
    /// The receiver's answer, if there was one.
    pub status: Option<u16>,
    /// How long it took.
    pub latency: Duration,
    /// What was wrong, unless it was delivered.
    pub error: Option<String>,
    /// When it is tried again, if it failed.
    pub next_try_at: Option<Timestamp>,
}

/// Attempts are kept for so long.
const DELIVERIES_KEPT: Duration = Duration::from_hours(30 * 24);

/// Notes an attempt, and how far the webhook got by it. Gives since when it fails, if it does.
pub async fn note(tx: &Tx, attempt: &Attempt) -> StoreResult<Option<Timestamp>> {
    let failures = match (&attempt.event, &attempt.error) {
        (None, _) => Some(0),
        (Some(event), None) => {
            let sql = "UPDATE webhooks SET position = $1, position_xid = $2, failures = 0, failing_since = NULL, \
                       next_try_at = NULL, problem = NULL, delivered_at = $3 WHERE id = $4 \
                       AND position_incarnation = $5 AND (position_xid, position) < ($2, $1) RETURNING failures AS n";
            number(tx, sql, values![event.id, event.xid, tx.now.0, attempt.webhook.0, event.incarnation])
                .await?
        }
        (Some(_), Some(error)) => {
            let sql = "UPDATE webhooks SET failures = failures + 1, failing_since = COALESCE(failing_since, $1), \
                       next_try_at = $2, problem = $3 WHERE id = $4 RETURNING failures AS n";
            let next = attempt.next_try_at.map(|at| at.0);
            number(tx, sql, values![tx.now.0, next, error.as_str(), attempt.webhook.0]).await?
        }
    };
    insert(
        tx,
        "INSERT INTO webhook_deliveries (webhook_id, event_id, event_kind, attempt, status, latency_ms, error, \
         created_at, next_try_at) VALUES ($1, $2, $3, \
         1 + (SELECT COUNT(*) FROM webhook_deliveries d WHERE d.webhook_id = $1 AND d.event_id = $2), \
         $4, $5, $6, $7, $8) RETURNING id AS n",
        values![
            attempt.webhook.0,
            attempt.event.map(|event| event.id),
            attempt.kind.as_str(),
            attempt.status.map(i64::from),
            i64::try_from(attempt.latency.as_millis()).unwrap_or(i64::MAX),
            attempt.error.clone(),
            tx.now.0,
            attempt.next_try_at.map(|at| at.0)
        ],
    )
    .await?;
    let old = tx.now.0 - i64::try_from(DELIVERIES_KEPT.as_micros()).unwrap_or(i64::MAX);
    let sql = "DELETE FROM webhook_deliveries WHERE webhook_id = $1 AND created_at < $2";
    execute(tx, sql, values![attempt.webhook.0, old]).await?;
    if failures.unwrap_or(0) == 0 {
        return Ok(None);
    }
    let sql = "SELECT failing_since AS n FROM webhooks WHERE id = $1 AND failing_since IS NOT NULL";
    Ok(number(tx, sql, values![attempt.webhook.0]).await?.map(Timestamp))
}

#[derive(FromQueryResult)]
struct DeliveryRow {
    id: i64,
    webhook_id: i64,
    event_id: Option<i64>,
    event_kind: String,
    attempt: i64,
    status: Option<i64>,
    latency_ms: i64,
    error: Option<String>,
    created_at: i64,
    next_try_at: Option<i64>,
}

const DELIVERY_COLUMNS: &[Column] = &[
    Column::Integer("id", "d.id"),
    Column::Integer("webhook_id", "d.webhook_id"),
    Column::Integer("event_id", "d.event_id"),
    Column::Text("event_kind", "d.event_kind"),
    Column::Integer("status", "d.status"),
];

/// Attempts of one webhook; whoever asks has been shown that webhook.
pub async fn deliveries(
    connection: &impl Connection,
    webhook: WebhookId,
    filters: &Filters,
) -> StoreResult<Vec<WebhookDelivery>> {
    let mut select = Select::new(
        "SELECT d.id, d.webhook_id, d.event_id, d.event_kind, d.attempt, d.status, d.latency_ms, d.error, d.created_at, \
         d.next_try_at FROM webhook_deliveries d",
        values![],
    );
    select.only_with("d.webhook_id = ?", webhook.0);
    select.filter(filters, "d.id", DELIVERY_COLUMNS)?;
    let found: Vec<DeliveryRow> = select.all(connection, "d.id", filters).await?;
    let to_api = |row: DeliveryRow| WebhookDelivery {
        id: row.id,
        webhook_id: row.webhook_id,
        event_id: row.event_id,
        event_kind: row.event_kind,
        attempt: row.attempt,
        status: row.status,
        latency_milliseconds: row.latency_ms,
        error: row.error,
        next_try_at: row.next_try_at.map(time),
        created_at: time(row.created_at),
    };
    Ok(found.into_iter().map(to_api).collect())
}

/// The subnets of every network: none of our own is a place to send a webhook to.
pub async fn own_subnets(connection: &impl Connection) -> StoreResult<Vec<String>> {
    #[derive(FromQueryResult)]
    struct Subnet {
        subnet: String,
    }
    let sql = "SELECT subnet FROM networks WHERE deleted_at IS NULL AND subnet IS NOT NULL \
               UNION ALL SELECT subnet6 FROM networks WHERE deleted_at IS NULL AND subnet6 IS NOT NULL";
    let found: Vec<Subnet> = rows(connection, sql, values![]).await?;
    Ok(found.into_iter().map(|row| row.subnet).collect())
}

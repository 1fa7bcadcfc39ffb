//! Slow logs out of the post: the servers that send them, and their queries.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A server that sends slow logs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowServer {
    /// Never used twice.
    pub id: i64,
    /// The name that receivers know its certificate by. `guest-7` is guest 7.
    pub node: String,
    /// The guest, if it is one; nobody but operators sees a server that is none.
    pub guest_id: Option<i64>,
    /// Whose that is.
    pub account_id: Option<i64>,
    /// What it calls itself. Nothing is decided by it.
    pub reported_name: String,
    /// When its first mail was counted.
    #[schema(value_type = String, format = DateTime)]
    pub first_mail_at: Timestamp,
    /// When its last mail was counted.
    #[schema(value_type = String, format = DateTime)]
    pub last_mail_at: Timestamp,
    /// When the last query in its logs ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_event_at: Option<Timestamp>,
    /// Mails that were counted, each once.
    pub mails_count: i64,
    /// Queries in them.
    pub events_count: i64,
    /// What was in them and is no query: cut off, or with numbers that cannot be.
    pub left_out_count: i64,
    /// Bytes of log.
    pub log_bytes: i64,
    /// The highest number of its mails.
    pub sequence: i64,
    /// How many mails before that have not come.
    pub missing_mails_count: i64,
    /// Since when the oldest of them is missing.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub missing_since: Option<Timestamp>,
    /// Since when it is known that nothing comes any more.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub silent_since: Option<Timestamp>,
    /// Since when its mails take more than six hours to come.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub late_since: Option<Timestamp>,
}

/// All queries of one server that are alike but for their values, in a range of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowQuery {
    /// Never used twice.
    pub id: i64,
    /// Whose.
    pub slow_server_id: i64,
    /// As pt-query-digest calls it: the MD5 of the fingerprint. Zeros are all for which there was no place.
    pub query_id: String,
    /// The query without its values.
    pub fingerprint: String,
    /// Its share of the time of all queries of the server in the range, from 0 to 1.
    pub share: f64,
    /// How many.
    pub events_count: i64,
    /// How long they took together.
    pub total_seconds: f64,
    /// On the average.
    pub mean_seconds: f64,
    /// Half took no longer; within 0.8 percent, like the next two.
    pub p50_seconds: f64,
    /// 95 of 100 took no longer.
    pub p95_seconds: f64,
    /// 99 of 100 took no longer.
    pub p99_seconds: f64,
    /// The slowest.
    pub max_seconds: f64,
    /// How long they waited for locks together.
    pub lock_seconds: f64,
    /// Rows given to clients.
    pub rows_sent_count: i64,
    /// Rows read.
    pub rows_examined_count: i64,
    /// Rows changed.
    pub rows_affected_count: i64,
    /// How many read a whole table.
    pub full_scans_count: i64,
    /// How many made temporary tables.
    pub temporary_tables_count: i64,
    /// How often one connection asked 20 or more of them within a second, with other values each time and hardly anything in
    /// between, as programs do that ask for each row of a list by itself.
    pub bursts_count: i64,
    /// How many were asked so.
    pub events_in_bursts_count: i64,
    /// The most that were asked so within a second.
    pub largest_burst_count: i64,
    /// When it was first seen, in any range.
    #[schema(value_type = String, format = DateTime)]
    pub first_seen_at: Timestamp,
    /// When it was last seen, in any range.
    #[schema(value_type = String, format = DateTime)]
    pub last_seen_at: Timestamp,
    /// The slowest one ever, its values replaced by `?` unless the account keeps them.
    pub sample: String,
    /// When that was.
    #[schema(value_type = String, format = DateTime)]
    pub sample_at: Timestamp,
    /// Who asked it.
    pub sample_user: String,
    /// From where.
    pub sample_host: String,
    /// In which database.
    pub sample_database: String,
    /// What could be better about it, the surest first.
    pub advice: Vec<SlowAdvice>,
}

/// A piece of advice on a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowAdvice {
    /// What was seen: `missing_index`, `select_star`, …
    pub rule: String,
    /// `certain`, `likely` or `possible`.
    pub confidence: String,
    /// Why, for people.
    pub reason: String,
    /// The index, if that is what is advised.
    pub index: Option<SlowIndex>,
}

/// An index that is advised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowIndex {
    /// Of which table.
    pub table: String,
    /// Over which columns, in this order.
    pub columns: Vec<String>,
}

/// What came of a mail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowMail {
    /// `counted`, or `known`: it had been counted before, and was not again.
    pub outcome: String,
    /// Whose it is.
    pub slow_server_id: i64,
    /// Which mail of its sender's spool.
    pub sequence: i64,
    /// How many queries were counted now.
    pub events_count: i64,
}

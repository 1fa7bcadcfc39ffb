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
    /// What it logs as slow: what takes longer than its `long_query_time`. What is faster is in no number here. Null, like the next
    /// two, if nobody could ask it; sessions may have set their own.
    pub long_query_time_seconds: Option<f64>,
    /// Whether it logs queries that use no index, too, however fast they are.
    pub log_queries_not_using_indexes: Option<bool>,
    /// It logs one of so many; null also if it cannot but log all.
    pub log_slow_rate_limit: Option<i64>,
    /// When it was asked, by its own clock.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub logging_told_at: Option<Timestamp>,
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
    /// What people have made of it: `new`, `looked_at`, `accepted` or `ignored`.
    pub state: String,
    /// What became of it since the range before: `new` (never seen before), `worse`, `better` (its days say so, by a test).
    pub flags: Vec<String>,
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
    /// Rows read for each one sent; null if none were read.
    pub rows_examined_for_each_sent: Option<f64>,
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
    /// How many there were in the range before; null, like all that follows, if nothing is compared, or nothing known of then.
    pub before_events_count: Option<i64>,
    /// How long they took on the average then; null if there were none.
    pub before_mean_seconds: Option<f64>,
    /// 95 of 100 took no longer then.
    pub before_p95_seconds: Option<f64>,
    /// Its share then.
    pub before_share: Option<f64>,
    /// How many times as often it is asked as then, by the hour: 2 is twice as often.
    pub events_ratio: Option<f64>,
    /// How many times as long it takes as then, on the average.
    pub mean_ratio: Option<f64>,
    /// The same of the 95th percentiles.
    pub p95_ratio: Option<f64>,
    /// Its share less its share then.
    pub share_change: Option<f64>,
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

/// All about one query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowQueryDetails {
    /// As it stands in a ranking.
    #[serde(flatten)]
    pub query: SlowQuery,
    /// The name of its server's node.
    pub slow_server_node: String,
    /// Whose that is.
    pub account_id: Option<i64>,
    /// How long each point of the series is: `hour` or `day` (UTC).
    pub resolution: String,
    /// Over time, from when it was first seen, without holes.
    pub series: Vec<SlowPoint>,
    /// How many took how long: each bin twice as wide as the one before.
    pub histogram: Vec<SlowBin>,
    /// The series of the range that it is compared with; empty, if nothing is.
    pub before_series: Vec<SlowPoint>,
    /// How many took how long in that.
    pub before_histogram: Vec<SlowBin>,
    /// By the database in which it was asked. Who asked is known by the day (UTC).
    pub by_database: Vec<SlowShare>,
    /// By user.
    pub by_user: Vec<SlowShare>,
    /// By the host that asked.
    pub by_host: Vec<SlowShare>,
    /// The tables that it names, and those of their columns by which rows are chosen, joined, sorted or shown; none, if its sample does
    /// not parse.
    pub tables: Vec<SlowTable>,
    /// Marks in the range, and in the one that it is compared with; the oldest first.
    pub marks: Vec<SlowMark>,
    /// `MariaDB`'s plan of the slowest one, where the log has it.
    pub explain: Option<String>,
    /// What people said of it, the newest first.
    pub notes: Vec<SlowNote>,
}

/// A query in an hour or a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowPoint {
    /// When that begins.
    #[schema(value_type = String, format = DateTime)]
    pub begins_at: Timestamp,
    /// How many.
    pub events_count: i64,
    /// How long they took together.
    pub total_seconds: f64,
    /// On the average; null, like the next two, if there were none.
    pub mean_seconds: Option<f64>,
    /// 95 of 100 took no longer.
    pub p95_seconds: Option<f64>,
    /// The slowest.
    pub max_seconds: Option<f64>,
    /// Rows read.
    pub rows_examined_count: i64,
    /// Rows given to clients.
    pub rows_sent_count: i64,
}

/// How many took so long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowBin {
    /// From.
    pub from_seconds: f64,
    /// Up to, and without.
    pub below_seconds: f64,
    /// How many.
    pub events_count: i64,
}

/// How much of a query somebody asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowShare {
    /// Who; empty if that is not known, `(others)` for all for whom there was no place.
    pub name: String,
    /// How many.
    pub events_count: i64,
    /// How long they took together.
    pub total_seconds: f64,
    /// Their share of the query's time, from 0 to 1.
    pub share: f64,
}

/// A table of a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowTable {
    /// Its name.
    pub name: String,
    /// Those of its columns that are known to be its own, in alphabetical order.
    pub columns: Vec<String>,
}

/// What somebody said of a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowNote {
    /// Never used twice.
    pub id: i64,
    /// Who; operators are `honcho` to customers.
    pub actor: String,
    /// The state that it was given then; null if that did not change.
    pub state: Option<String>,
    /// In words; may be empty.
    pub text: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A mark on the time line: a deploy, a new index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowMark {
    /// Never used twice.
    pub id: i64,
    /// Whose it is.
    pub account_id: Option<i64>,
    /// The server that it is of; null, if it is of all of the account.
    pub slow_server_id: Option<i64>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What happened then.
    pub text: String,
    /// Who made the mark; operators are `honcho` to customers.
    pub actor: String,
    /// When they did.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// What a mark is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowMarkCreate {
    /// Of all servers of this account;
    pub account_id: Option<i64>,
    /// or of this server.
    pub slow_server_id: Option<i64>,
    /// When it happened, as in 2026-11-27T06:00:00Z; now, if absent.
    pub at: Option<String>,
    /// What happened then.
    pub text: Option<String>,
}

/// What of slow queries an account is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowSettings {
    /// Which account.
    pub account_id: i64,
    /// A new query is told of when it is one of so many that take the most time; 0: of none.
    pub top_queries_count: i64,
    /// Where mails of what is new or worse go; null: there are none.
    pub mail_to: Option<String>,
    /// Whether a mail tells each Monday what got worse and what to do first.
    pub weekly_mail: bool,
}

/// What of that can be set; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowSettingsUpdate {
    /// From 0 to 100.
    pub top_queries_count: Option<i64>,
    /// An address; empty for none.
    pub mail_to: Option<String>,
    /// Whether there is a weekly mail.
    pub weekly_mail: Option<bool>,
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

//! The event log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One line of the log: who did what to what, or what was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its number. Several brains on PostgreSQL may give numbers in another order than events come in.
    pub id: i64,
    /// Where it stands in the log: `?after=CURSOR` gives what came later, and misses nothing. Opaque.
    pub cursor: String,
    /// The account concerned, if one is.
    pub account_id: Option<i64>,
    /// As in `guest.create`, `guest.running`, `guest.stopped_by_itself`, `host.frozen`.
    pub kind: String,
    /// `info`, or `alarm`: somebody should look.
    pub severity: String,
    /// What it is about, as in `guest`.
    pub resource: String,
    /// Which one.
    pub resource_id: i64,
    /// Its name at the time.
    pub resource_name: String,
    /// Who: `token:1 (operator)`, `host:3`, `honcho`.
    pub actor: String,
    /// From where: the client's address, if there is one.
    pub source: Option<String>,
    /// For people.
    pub message: String,
    /// What was before, where something changed.
    pub before: Option<serde_json::Value>,
    /// What was after.
    pub after: Option<serde_json::Value>,
    /// When, by the brain's clock.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

//! Webhooks: receivers that are told events.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A receiver that is told events, by POST, signed, in order, each at least once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Webhook {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Whose events it is told, as that account sees them; every event, when null (operators only).
    pub account_id: Option<i64>,
    /// Where deliveries go. https, unless an operator allowed otherwise.
    pub url: String,
    /// What it is for, for people.
    pub description: String,
    /// Kinds it is told, as in `guest.create`, `guest.*` or `*`.
    pub events: Vec<String>,
    /// Whether the URL may be plain http; operators alone can set it.
    pub allow_http: bool,
    /// Whether it is told anything at all.
    #[schema(read_only)]
    pub enabled: bool,
    /// `working`, `failing` (since when and why stands beside) or `off`; derived.
    #[schema(read_only)]
    pub status: String,
    /// The id of the last event that it was told, or that is none of its business.
    #[schema(read_only)]
    pub position: i64,
    /// Attempts for the event after that which failed so far.
    #[schema(read_only)]
    pub failures: i64,
    /// Since when it fails, if it does. After a week it is switched off.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub failing_since: Option<Timestamp>,
    /// When it is tried again, if it fails.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub next_try_at: Option<Timestamp>,
    /// What was wrong with the last attempt, if it failed.
    #[schema(read_only)]
    pub problem: Option<String>,
    /// When an event was last delivered.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub delivered_at: Option<Timestamp>,
    /// When it was made.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Rises when a writable attribute changes.
    pub lock_version: i64,
    /// What deliveries are signed with, as in `whsec_…`: in the answer that made or rotated it and never again.
    #[schema(read_only)]
    pub secret: Option<String>,
}

/// What makes a webhook, and what of it may be changed (all but `account_id`).
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct WebhookCreate {
    /// See [`Webhook::url`].
    pub url: Option<String>,
    /// See [`Webhook::account_id`]. An account's own token may leave it out.
    pub account_id: Option<i64>,
    /// See [`Webhook::events`]; `["*"]`, when absent.
    pub events: Option<Vec<String>>,
    /// See [`Webhook::description`].
    pub description: Option<String>,
    /// See [`Webhook::allow_http`].
    pub allow_http: Option<bool>,
}

/// One attempt to deliver. Kept for 30 days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WebhookDelivery {
    /// Never used twice.
    pub id: i64,
    /// The webhook.
    pub webhook_id: i64,
    /// The event; null for a ping.
    pub event_id: Option<i64>,
    /// The event's kind, or `ping`.
    pub event_kind: String,
    /// The how manieth attempt at this event it was.
    pub attempt: i64,
    /// The HTTP status of the answer, if one came.
    pub status: Option<i64>,
    /// How long it took.
    pub latency_milliseconds: i64,
    /// What was wrong; null when it was delivered.
    pub error: Option<String>,
    /// When this event is tried again, if it failed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_try_at: Option<Timestamp>,
    /// When it was tried.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

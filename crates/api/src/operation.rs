//! Operations: what a person watches.

use honcho_model::operation::{OperationKind, OperationState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that was asked for, until desired and observed agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Never used twice.
    pub id: i64,
    /// The owner of what it is about.
    pub account_id: Option<i64>,
    /// `create`, `start`, `stop`, `reboot`, `resize`, …
    #[schema(value_type = String)]
    pub kind: OperationKind,
    /// `open`, `done`, `superseded`, `abandoned` or `refused`.
    #[schema(value_type = String)]
    pub state: OperationState,
    /// The guest it is about.
    pub guest_id: i64,
    /// That guest's name.
    pub guest_name: String,
    /// The generation of the guest that satisfies it.
    pub generation: i64,
    /// What is being done now, while it is open: `fetch_image`.
    pub step: Option<String>,
    /// How far that step is, 0 to 100, where that is known.
    pub percent: Option<i64>,
    /// What holds it up, while it is open and something failed: what, how often, and when it is tried again.
    pub problem: Option<String>,
    /// How it ended, for people, when there is something to say.
    pub outcome: Option<String>,
    /// The operation that took its place, when superseded.
    pub superseded_by: Option<i64>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

/// The answer to an action or a deletion: 202 with the operation.
pub type Accepted = Operation;

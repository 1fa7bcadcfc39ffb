//! A restored brain, until it is accepted.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a brain's present life began, and what is still to be accepted of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Restore {
    /// Which life it is.
    pub incarnation: i64,
    /// `none` when it did not begin with a backup, `unaccepted`, or `accepted` (single hosts may still wait).
    pub state: String,
    /// When the backup was made.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub backed_up_at: Option<Timestamp>,
    /// When it was restored.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub restored_at: Option<Timestamp>,
    /// When an operator accepted it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub accepted_at: Option<Timestamp>,
    /// The hosts on which nothing is changed until they are accepted.
    pub hosts: Vec<RestoreHost>,
}

/// A host that waits to be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreHost {
    /// Its id.
    pub host_id: i64,
    /// Its name.
    pub name: String,
    /// `reported`; `awaited` when its agent has not reported in full yet; `waiting` when no agent had joined for it.
    pub state: String,
    /// Why its agent does not act on this brain's manifest, if so.
    pub problem: Option<String>,
    /// What differs between the backup and what its agent reports, and what comes of it.
    pub differences: Vec<RestoreDifference>,
}

/// Something that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreDifference {
    /// `changed`, `ordered`, `moved`, `deleted` or `deleting` (after the backup); `unmanaged` or `stray` when it stays as it is and
    /// nobody manages it.
    pub kind: String,
    /// The guest it is about, if it is about one.
    pub guest_id: Option<i64>,
    /// Its name.
    pub name: String,
    /// In plain words: what it is, and what comes of it.
    pub text: String,
}

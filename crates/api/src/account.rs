//! Accounts: who owns things.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// An owner of guests and networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Random.
    #[schema(read_only)]
    pub uuid: Uuid,
    /// Unique among the living.
    pub name: String,
    /// The creator's own key: a repeated POST with it answers with the same object.
    pub reference: Option<String>,
    /// How long a cancelled guest's disk is kept, in seconds. 14 days unless said otherwise.
    pub grace_seconds: i64,
    /// When it was made.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Rises when a writable attribute changes.
    pub lock_version: i64,
}

/// What makes an account.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct AccountCreate {
    /// A DNS label.
    pub name: Option<String>,
    /// See [`Account::reference`].
    pub reference: Option<String>,
    /// See [`Account::grace_seconds`].
    pub grace_seconds: Option<i64>,
}

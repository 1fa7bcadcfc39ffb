//! Accounts: what one is, in one word.

use serde::{Deserialize, Serialize};

/// What becomes of the values in samples of an account's slow queries. They are personal data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SampleValues {
    /// They are replaced before anything is written down.
    #[default]
    Redacted,
    /// They are kept, because the account said so.
    Kept,
}

/// What an account is, in one word; derived, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// It can do what it may.
    Active,
    /// Its guests are stopped and may not start.
    Suspended,
    /// It is cancelled; what it owns is kept until its grace period ends.
    Cancelled,
    /// Its grace period is over: what it owns is being deleted.
    Deleting,
    /// It is gone; only history is left.
    Deleted,
}

impl AccountStatus {
    /// Every status, the weightiest first: an account that is several of these is the first of them.
    pub const ALL: [AccountStatus; 5] = {
        use AccountStatus::{Active, Cancelled, Deleted, Deleting, Suspended};
        [Deleted, Deleting, Cancelled, Suspended, Active]
    };

    /// The word used in the API and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            AccountStatus::Active => "active",
            AccountStatus::Suspended => "suspended",
            AccountStatus::Cancelled => "cancelled",
            AccountStatus::Deleting => "deleting",
            AccountStatus::Deleted => "deleted",
        }
    }

    /// The status whose word this is.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

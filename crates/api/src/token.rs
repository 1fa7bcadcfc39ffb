//! Tokens: what programs show.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A token, without its secret. As Bearer, or as the password of Basic with any user name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// What it is for, for people.
    pub name: String,
    /// `operator`: everything; `admin`: everything of one account; `viewer`: reading that; `machine`: one guest, its
    /// operations and events, its console and log, and starting, stopping and rebooting it; `suite`: uploads into one suite of the archive.
    #[schema(read_only, example = "admin")]
    pub scope: String,
    /// The account it is limited to, unless it is an operator's.
    #[schema(read_only)]
    pub account_id: Option<i64>,
    /// The guest it is limited to, when the scope is `machine`.
    #[schema(read_only)]
    pub guest_id: Option<i64>,
    /// When it was made.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it stops working, if ever.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it was last shown, to within half a minute.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
    /// Whether it may hand in the post of all servers besides: the guest is a receiver of mail.
    #[schema(read_only)]
    pub receives_post: bool,
    /// The suite of the archive that it may upload into, when the scope is `suite`.
    #[schema(read_only)]
    pub suite: Option<String>,
    /// Rises when its name changes.
    pub lock_version: i64,
    /// The secret: in the answer that made it and never again.
    #[schema(read_only)]
    pub secret: Option<String>,
}

/// What makes a token.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct TokenCreate {
    /// What it is for.
    pub name: Option<String>,
    /// `operator`, `admin`, `viewer`, `machine` or `suite`. When absent: the widest that the caller may give.
    pub scope: Option<String>,
    /// For `admin` and `viewer`; a caller of one account need not say it.
    pub account_id: Option<i64>,
    /// For `machine`.
    pub guest_id: Option<i64>,
    /// For `machine`: that guest receives mail, and may hand in the slow logs of all servers. Operators alone give it.
    pub receives_post: Option<bool>,
    /// For `suite`: which. Operators alone give it.
    pub suite: Option<String>,
    /// Seconds until it stops working; never, when absent.
    pub expires_in_seconds: Option<i64>,
}

/// What can be changed of a token.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct TokenUpdate {
    /// What it is for.
    pub name: Option<String>,
    /// The version that was read; a stale one is refused.
    pub lock_version: Option<i64>,
}

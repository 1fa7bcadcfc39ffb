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
    /// `operator`, or `account`: everything of one account.
    #[schema(example = "account")]
    pub scope: String,
    /// The account, when the scope is `account`.
    pub account_id: Option<i64>,
    /// When it was made.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it stops working, if ever.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// The secret: in the answer that made it and never again.
    #[schema(read_only)]
    pub secret: Option<String>,
}

/// What makes a token.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct TokenCreate {
    /// What it is for.
    pub name: Option<String>,
    /// `operator` or `account`.
    pub scope: Option<String>,
    /// Needed when the scope is `account`.
    pub account_id: Option<i64>,
    /// Seconds until it stops working; never, when absent.
    pub expires_in_seconds: Option<i64>,
}

//! People: who logs in, what they may, and their sessions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Somebody who logs in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Person {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Random.
    #[schema(read_only)]
    pub uuid: Uuid,
    /// What they log in with: a name or a mail address in lower-case letters, unique among the living.
    pub name: String,
    /// What they are called.
    pub full_name: Option<String>,
    /// Whether they may everything.
    pub operator: bool,
    /// Whether they have a password: without one nobody logs in.
    #[schema(read_only)]
    pub password_set: bool,
    /// Until when no password is good, after too many wrong ones.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub locked_until: Option<Timestamp>,
    /// What they may, by account.
    #[schema(read_only)]
    pub grants: Vec<Grant>,
    /// When they were made known.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Rises when a writable attribute changes.
    pub lock_version: i64,
}

/// What a person may in one account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    /// The account.
    pub account_id: i64,
    /// Its name.
    pub account_name: String,
    /// `admin` or `viewer`.
    #[schema(example = "admin")]
    pub scope: String,
}

/// What makes a person.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct PersonCreate {
    /// See [`Person::name`].
    pub name: Option<String>,
    /// See [`Person::full_name`].
    pub full_name: Option<String>,
    /// See [`Person::operator`]; false when absent.
    pub operator: Option<bool>,
    /// The first password; can be set later.
    pub password: Option<String>,
}

/// What can be changed of a person.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct PersonUpdate {
    /// See [`Person::name`].
    pub name: Option<String>,
    /// See [`Person::full_name`].
    pub full_name: Option<String>,
    /// See [`Person::operator`].
    pub operator: Option<bool>,
    /// The version that was read; a stale one is refused.
    pub lock_version: Option<i64>,
}

/// Another password.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct PasswordChange {
    /// The new one: 12 characters to 1024 bytes.
    pub password: Option<String>,
    /// The one until now. Needed when people change their own.
    pub current_password: Option<String>,
}

/// A login, until it ends: an hour after it was last used, a day after it began, or when somebody ends it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Whose.
    #[schema(read_only)]
    pub person_id: i64,
    /// Whose, by name.
    #[schema(read_only)]
    pub person_name: String,
    /// The address from which it was begun.
    #[schema(read_only)]
    pub source: Option<String>,
    /// When it was begun.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last used, to within half a minute.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub last_used_at: Timestamp,
    /// When it ends at the latest.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// What to show as Bearer: in the answer that began it and never again.
    #[schema(read_only)]
    pub secret: Option<String>,
}

/// A name and a password.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SessionCreate {
    /// The person's name.
    pub login: Option<String>,
    /// The person's password.
    pub password: Option<String>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// As the event log names it: `token:4 (account 5)`, `person:3 (ann)`.
    pub actor: String,
    /// The most that it may anywhere: `operator`, `admin`, `viewer` or `machine`.
    pub scope: String,
    /// The person, if it is one.
    pub person_id: Option<i64>,
    /// The person's name.
    pub person_name: Option<String>,
    /// The session, if a person asks.
    pub session_id: Option<i64>,
    /// The token, if a program asks.
    pub token_id: Option<i64>,
    /// The one account that it is about, if there is just one.
    pub account_id: Option<i64>,
    /// The guest that it is limited to.
    pub guest_id: Option<i64>,
    /// What a person may, by account.
    pub grants: Vec<Grant>,
    /// When it stops working.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

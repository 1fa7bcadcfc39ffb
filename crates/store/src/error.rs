//! Why the store did not do something.

use sea_orm::DbErr;
use std::collections::BTreeMap;

/// A reason to refuse, in the caller's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 422: attributes and what is wrong with each; `base` for the whole.
    Invalid(BTreeMap<String, Vec<String>>),
    /// 404: there is none, or the caller may not know of it.
    NotFound(&'static str),
    /// 403: the caller may know of it and not do this.
    Forbidden(String),
    /// 409: it was changed meanwhile, or is in a state that forbids this.
    Conflict(String),
}

impl Refusal {
    /// One attribute, one reason.
    pub fn invalid(attribute: &str, reason: impl Into<String>) -> Self {
        Refusal::Invalid(BTreeMap::from([(attribute.to_owned(), vec![reason.into()])]))
    }
}

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The caller asked for what cannot be.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The database failed.
    #[error("database: {0}")]
    Database(DbErr),
    /// What is stored cannot be read: a defect or a damaged file.
    #[error("stored {what} cannot be read: {why}")]
    Damaged {
        /// Which kind of row.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        StoreError::Refused(refusal)
    }
}

/// Unique indexes and what their violation means to whoever caused it: the index's name (PostgreSQL says that), its
/// columns (SQLite says those), the attribute and the reason.
const UNIQUE: &[(&str, &str, &str, &str)] = &[
    ("accounts_name", "accounts.name", "name", "is taken"),
    ("accounts_reference", "accounts.reference", "reference", "is taken"),
    ("hosts_name", "hosts.name", "name", "is taken"),
    ("pools_host_name", "pools.host_id, pools.name", "name", "is taken on this host"),
    ("pools_host_path", "pools.host_id, pools.path", "path", "is another pool's on this host"),
    ("networks_name", "networks.name", "name", "is taken"),
    ("networks_reference", "networks.reference", "reference", "is taken"),
    ("images_name", "images.name", "name", "is taken"),
    ("guests_name", "guests.account_id, guests.name", "name", "is taken"),
    ("guests_reference", "guests.account_id, guests.reference", "reference", "is taken"),
];

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        let text = error.to_string();
        let violated = |(index, columns, _, _): &&(&str, &str, &str, &str)| {
            text.contains(&format!("\"{index}\""))
                || text.contains(&format!("index '{index}'"))
                || text
                    .split_once("UNIQUE constraint failed: ")
                    .is_some_and(|(_, rest)| rest.trim_end() == *columns)
        };
        match UNIQUE.iter().find(violated) {
            Some((_, _, attribute, reason)) => Refusal::invalid(attribute, *reason).into(),
            None => StoreError::Database(error),
        }
    }
}

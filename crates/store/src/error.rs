//! Why the store did not do something.

use sea_orm::{DbErr, RuntimeErr, sqlx};
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
    /// 410: it was there and never will be again.
    Gone(String),
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
    /// Others changed the same rows at the same time, each time it was tried: it was not done.
    #[error("others always came first: {0}")]
    Contended(DbErr),
    /// A key that is taken was met by a transaction that may not see by whom: it was not done, and is tried again alone.
    #[error("a key is taken: {0}")]
    Overtaken(DbErr),
    /// The database took too long, or others held on to what it needed: it was not done.
    #[error("the database is too busy: {0}")]
    Busy(DbErr),
    /// The database cannot be reached: it was not done.
    #[error("the database cannot be reached: {0}")]
    Unavailable(DbErr),
    /// The connection was lost during the commit: it may have been done.
    #[error("the database was lost while it was being written down; it may have been done: {0}")]
    OutcomeUnknown(DbErr),
    /// No copy of the database could be kept, so that it was not changed.
    #[error("cannot keep a copy of the database in {}: {error}", path.display())]
    Copy {
        /// Where it should have been.
        path: std::path::PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// The database was written by a newer Honcho.
    #[error(
        "the database is newer than this program: it has {0}, which this one does not know; run the newer one"
    )]
    Newer(String),
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
    ("sites_name", "sites.name", "name", "is taken"),
    ("racks_name", "racks.site_id, racks.name", "name", "is taken in this site"),
    (
        "rack_units_place",
        "rack_units.rack_id, rack_units.unit, rack_units.side",
        "position",
        "is another host's",
    ),
    ("host_nics_mac", "host_nics.mac", "nics", "has a MAC address that another host has"),
    ("host_nics_name", "host_nics.host_id, host_nics.name", "nics", "has the same name twice"),
    ("sans_name", "sans.name", "name", "is taken"),
    ("pools_host_name", "pools.host_id, pools.name", "name", "is taken on this host"),
    ("pools_host_path", "pools.host_id, pools.path", "path", "is another pool's on this host"),
    ("networks_name", "networks.name", "name", "is taken"),
    ("networks_reference", "networks.reference", "reference", "is taken"),
    ("networks_vlan", "networks.vlan_id", "vlan_id", "is another network's"),
    ("networks_vxlan", "networks.vxlan_id", "vxlan_id", "is another network's"),
    ("addresses_address", "addresses.network_id, addresses.address", "address", "is taken"),
    ("addresses_reference", "addresses.account_id, addresses.reference", "reference", "is taken"),
    ("images_name", "images.name", "name", "is taken"),
    ("people_login", "people.login", "login", "is taken"),
    ("grants_person_account", "grants.person_id, grants.account_id", "account_id", "is granted already"),
    ("clusters_name", "clusters.account_id, clusters.name", "name", "is taken"),
    ("clusters_reference", "clusters.account_id, clusters.reference", "reference", "is taken"),
    ("guests_name", "guests.account_id, guests.name", "name", "is taken"),
    ("moves_under_way", "moves.guest_id", "base", "is being moved already"),
    ("guests_reference", "guests.account_id, guests.reference", "reference", "is taken"),
];

/// What the driver says, if it is the driver that speaks.
fn driver(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// The database's own code: a SQLSTATE on PostgreSQL.
fn code(error: &DbErr) -> Option<String> {
    driver(error)?.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

/// Why a statement failed, for whoever asks whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Another transaction came first.
    Contention,
    /// A key is there twice, or what it refers to is not. On PostgreSQL the reason may be one that came first, too, and
    /// that this transaction does not see.
    Key,
    /// Anything else.
    Other,
}

impl FailureKind {
    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    pub(crate) fn of(error: &DbErr) -> FailureKind {
        match code(error).as_deref() {
            // serialization_failure, deadlock_detected
            Some("40001" | "40P01") => FailureKind::Contention,
            // unique_violation, foreign_key_violation
            Some("23505" | "23503") => FailureKind::Key,
            _ => FailureKind::Other,
        }
    }
}

/// Whether the connection, and not the statement, is what failed. A server that ends says so in class 57P.
fn is_disconnection(error: &DbErr) -> bool {
    if matches!(error, DbErr::ConnectionAcquire(_)) {
        return true;
    }
    match driver(error) {
        Some(
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed,
        ) => true,
        Some(_) => code(error).is_some_and(|code| code.starts_with("57P") || code.starts_with("08")),
        None => false,
    }
}

impl StoreError {
    /// Why a commit failed. Where the database did not say that it refused, nobody knows whether it was done.
    pub(crate) fn of_commit(error: DbErr) -> Self {
        if FailureKind::of(&error) == FailureKind::Contention {
            StoreError::Contended(error)
        } else if code(&error).is_some() && !is_disconnection(&error) {
            StoreError::from(error)
        } else {
            StoreError::OutcomeUnknown(error)
        }
    }

    /// The index that was violated, by what SQLite or PostgreSQL says of it.
    fn violated(error: &DbErr) -> Option<(&'static str, &'static str)> {
        let text = error.to_string();
        let violated = |(index, columns, _, _): &&(&str, &str, &str, &str)| {
            text.contains(&format!("\"{index}\""))
                || text.contains(&format!("index '{index}'"))
                || text
                    .split_once("UNIQUE constraint failed: ")
                    .is_some_and(|(_, rest)| rest.trim_end() == *columns)
        };
        UNIQUE.iter().find(violated).map(|(_, _, attribute, reason)| (*attribute, *reason))
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if let Some((attribute, reason)) = StoreError::violated(&error) {
            return Refusal::invalid(attribute, reason).into();
        }
        if is_disconnection(&error) {
            return StoreError::Unavailable(error);
        }
        match code(&error).as_deref() {
            Some("40001" | "40P01") => StoreError::Contended(error),
            // lock_not_available, query_canceled (by its timeout), too_many_connections.
            Some("55P03" | "57014" | "53300") => StoreError::Busy(error),
            // character_not_in_repertoire: SQLite would hold it.
            Some("22021") => Refusal::invalid("base", "holds a character that cannot be stored (NUL)").into(),
            _ => StoreError::Database(error),
        }
    }
}

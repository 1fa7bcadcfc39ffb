//! Mails that are to be sent: written in the transaction of what they tell of, gone when a mail daemon has them.

use crate::sql::{Connection, execute, insert, rows, values};
use crate::{StoreResult, Tx};
use honcho_model::Timestamp;
use sea_orm::FromQueryResult;

/// A mail that no mail daemon has yet.
#[derive(Clone, Debug, FromQueryResult, PartialEq, Eq)]
pub struct OutgoingMail {
    /// Never used twice.
    pub id: i64,
    /// Its recipient's address.
    pub recipient: String,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub body: String,
    /// When it was written.
    pub created_at: i64,
    /// How often it could not be handed over.
    pub failures: i64,
}

/// Writes one.
pub async fn write(tx: &Tx, recipient: &str, subject: &str, body: &str) -> StoreResult<i64> {
    let sql = "INSERT INTO outgoing_mails (recipient, subject, body, created_at, failures, next_try_at) VALUES ($1, $2, $3, $4, 0, $4) \
        RETURNING id AS n";
    insert(tx, sql, values![recipient, subject, body, tx.now.0]).await
}

/// Those that may be tried now, the oldest first.
pub async fn due(connection: &impl Connection, now: Timestamp) -> StoreResult<Vec<OutgoingMail>> {
    let sql = "SELECT id, recipient, subject, body, created_at, failures FROM outgoing_mails WHERE next_try_at <= $1 ORDER BY id LIMIT 20";
    rows(connection, sql, values![now.0]).await
}

/// Forgets one that a mail daemon has.
pub async fn forget(tx: &Tx, id: i64) -> StoreResult<()> {
    execute(tx, "DELETE FROM outgoing_mails WHERE id = $1", values![id]).await.map(drop)
}

/// Has one tried again later.
pub async fn put_off(tx: &Tx, id: i64, until: Timestamp) -> StoreResult<()> {
    let sql = "UPDATE outgoing_mails SET failures = failures + 1, next_try_at = $1 WHERE id = $2";
    execute(tx, sql, values![until.0, id]).await.map(drop)
}

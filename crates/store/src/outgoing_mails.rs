//! Mails that are to be sent: written in the transaction of what they tell of, gone when a mail daemon has them. Each is an account's,
//! to the address that it gave for it: once the account is gone, or gave another, it is not to be sent any more.

use crate::sql::{Connection, execute, insert, rows, values};
use crate::{StoreResult, Tx};
use honcho_model::{AccountId, Timestamp};
use sea_orm::FromQueryResult;

/// A mail that no mail daemon has yet.
#[derive(Clone, Debug, FromQueryResult, PartialEq, Eq)]
pub struct OutgoingMail {
    /// Never used twice.
    pub id: i64,
    /// Whose it is.
    pub account_id: Option<i64>,
    /// That account's name.
    pub account_name: Option<String>,
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
    /// 1, if its account is there and still gives this address.
    wanted: i64,
}

impl OutgoingMail {
    /// One that was written to somebody and has not been tried.
    pub fn new(id: i64, recipient: &str, subject: &str, body: &str, created_at: i64) -> OutgoingMail {
        OutgoingMail {
            id,
            account_id: None,
            account_name: None,
            recipient: recipient.to_owned(),
            subject: subject.to_owned(),
            body: body.to_owned(),
            created_at,
            failures: 0,
            wanted: 1,
        }
    }

    /// Whether its account is there and still gives this address.
    pub fn is_wanted(&self) -> bool {
        self.wanted == 1
    }
}

/// Writes one.
pub async fn write(
    tx: &Tx,
    account: AccountId,
    recipient: &str,
    subject: &str,
    body: &str,
) -> StoreResult<i64> {
    let sql = "INSERT INTO outgoing_mails (account_id, recipient, subject, body, created_at, failures, next_try_at) \
        VALUES ($1, $2, $3, $4, $5, 0, $5) RETURNING id AS n";
    insert(tx, sql, values![account.0, recipient, subject, body, tx.now.0]).await
}

/// Those that may be tried now; what was tried comes behind what was not.
pub async fn due(connection: &impl Connection, now: Timestamp) -> StoreResult<Vec<OutgoingMail>> {
    let sql = "SELECT m.id, m.account_id, a.name AS account_name, m.recipient, m.subject, m.body, m.created_at, m.failures, \
        CAST(CASE WHEN a.deleted_at IS NULL AND a.deleting_at IS NULL AND w.mail_to = m.recipient THEN 1 ELSE 0 END AS BIGINT) AS wanted \
        FROM outgoing_mails m LEFT JOIN accounts a ON a.id = m.account_id LEFT JOIN slow_settings w ON w.account_id = a.id \
        WHERE m.next_try_at <= $1 ORDER BY m.next_try_at, m.id LIMIT 20";
    rows(connection, sql, values![now.0]).await
}

/// Forgets one: a mail daemon has it, or nobody wants it.
pub async fn forget(tx: &Tx, id: i64) -> StoreResult<()> {
    execute(tx, "DELETE FROM outgoing_mails WHERE id = $1", values![id]).await.map(drop)
}

/// Has one tried again later.
pub async fn put_off(tx: &Tx, id: i64, until: Timestamp) -> StoreResult<()> {
    let sql = "UPDATE outgoing_mails SET failures = failures + 1, next_try_at = $1 WHERE id = $2";
    execute(tx, sql, values![until.0, id]).await.map(drop)
}

//! Which queries somebody is to be told of: each once for each occasion, however often it is looked.

use crate::sql::{Connection, execute, rows, values};
use crate::{StoreResult, Tx};
use honcho_model::{AccountId, SlowQueryId, SlowServerId};
use sea_orm::FromQueryResult;

/// After so long what was worse is what it is compared with: if it is worse than that, that is another occasion.
const OCCASION: i64 = 28 * 86_400_000_000;

/// What is told of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// It was never seen before, and is one of the first.
    New,
    /// It takes longer.
    Worse,
}

/// A server of which logs have come since it was last looked through.
#[derive(Clone, Debug, FromQueryResult)]
pub struct ToLookThrough {
    /// Which.
    pub id: i64,
    /// Its name.
    pub node: String,
    /// Whose.
    pub account_id: Option<i64>,
    /// When its last mail came.
    pub last_mail_at: i64,
}

/// One whose mails come without a pause is looked through all the same when the first of them has waited so long.
const LONGEST_WAIT: i64 = 900_000_000;

/// The servers that are to be looked through, those that wait longest first. Mails of one log come together: what came in the
/// last minute may not be all.
pub async fn to_look_through(
    connection: &impl Connection,
    now: i64,
    limit: i64,
) -> StoreResult<Vec<ToLookThrough>> {
    let sql = "SELECT s.id, s.node, g.account_id, s.last_mail_at FROM slow_servers s LEFT JOIN guests g ON g.id = s.guest_id \
        WHERE s.looked_through_at < s.last_mail_at AND (s.last_mail_at < $1 OR s.unlooked_since < $2) \
        ORDER BY s.looked_through_at, s.id LIMIT $3";
    rows(connection, sql, values![now - 60_000_000, now - LONGEST_WAIT, limit]).await
}

/// Writes down that a server was looked through up to a mail. False if somebody else did.
pub async fn note_looked_through(tx: &Tx, server: &ToLookThrough) -> StoreResult<bool> {
    // What came meanwhile waits from now on.
    let sql = "UPDATE slow_servers SET looked_through_at = $1, unlooked_since = CASE WHEN last_mail_at > $1 \
        THEN CAST($3 AS BIGINT) ELSE NULL END WHERE id = $2 AND looked_through_at < $1";
    Ok(execute(tx, sql, values![server.last_mail_at, server.id, tx.now.0]).await? == 1)
}

/// Writes down that somebody is told of a query now. False if that has been done on this occasion.
pub async fn take_occasion(tx: &Tx, query: SlowQueryId, occasion: Occasion) -> StoreResult<bool> {
    let changed = match occasion {
        Occasion::New => {
            let sql = "UPDATE slow_classes SET told_new_at = $1 WHERE id = $2 AND told_new_at IS NULL";
            execute(tx, sql, values![tx.now.0, query.0]).await?
        }
        Occasion::Worse => {
            let sql = "UPDATE slow_classes SET told_worse_at = $1 WHERE id = $2 AND (told_worse_at IS NULL OR told_worse_at < $3)";
            execute(tx, sql, values![tx.now.0, query.0, tx.now.0 - OCCASION]).await?
        }
    };
    Ok(changed == 1)
}

/// An account that wants a mail each week.
#[derive(Clone, Debug, FromQueryResult)]
pub struct WeeklyReader {
    /// Which.
    pub account_id: i64,
    /// Its name.
    pub name: String,
    /// Where to.
    pub mail_to: String,
}

/// Those that have had none since `week` began.
pub async fn weekly_readers(connection: &impl Connection, week: i64) -> StoreResult<Vec<WeeklyReader>> {
    let sql = "SELECT w.account_id, a.name, w.mail_to FROM slow_settings w JOIN accounts a ON a.id = w.account_id \
        WHERE w.weekly_mail AND w.mail_to IS NOT NULL AND w.weekly_mail_at < $1 AND a.deleted_at IS NULL AND a.deleting_at IS NULL ORDER BY w.account_id LIMIT 100";
    rows(connection, sql, values![week]).await
}

/// Writes down that an account has had the mail of a week. False if it had.
pub async fn take_week(tx: &Tx, account: AccountId, week: i64) -> StoreResult<bool> {
    let sql = "UPDATE slow_settings SET weekly_mail_at = $1 WHERE account_id = $2 AND weekly_mail_at < $1";
    Ok(execute(tx, sql, values![week, account.0]).await? == 1)
}

/// The servers of an account, and their names.
pub async fn servers_of(
    connection: &impl Connection,
    account: AccountId,
) -> StoreResult<Vec<(SlowServerId, String)>> {
    #[derive(FromQueryResult)]
    struct Named {
        id: i64,
        node: String,
    }
    let sql = "SELECT s.id, s.node FROM slow_servers s JOIN guests g ON g.id = s.guest_id WHERE g.account_id = $1 ORDER BY s.id";
    let found: Vec<Named> = rows(connection, sql, values![account.0]).await?;
    Ok(found.into_iter().map(|row| (SlowServerId(row.id), row.node)).collect())
}

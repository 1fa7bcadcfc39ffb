//! Whether samples keep their values: nothing is kept unless the account says so, and nothing stays when it no longer does.

use crate::sql::{execute, values};
use crate::{StoreResult, Tx};
use honcho_model::AccountId;
use honcho_model::account::SampleValues;

/// From now on. What is redacted loses the values that it has: SQLite overwrites what it deletes (`secure_delete`), and PostgreSQL
/// at its next vacuum.
pub async fn keep_sample_values(tx: &Tx, account: AccountId, sample_values: SampleValues) -> StoreResult<()> {
    let keeps = sample_values == SampleValues::Kept;
    execute(tx, "UPDATE accounts SET keeps_sample_values = $1 WHERE id = $2", values![keeps, account.0])
        .await?;
    if !keeps {
        let sql = "UPDATE slow_classes SET worst_values = NULL WHERE worst_values IS NOT NULL AND slow_server_id IN \
            (SELECT s.id FROM slow_servers s JOIN guests g ON g.id = s.guest_id WHERE g.account_id = $1)";
        execute(tx, sql, values![account.0]).await?;
    }
    Ok(())
}

//! A restored brain's new life: how it begins, and that it is unaccepted until an operator has seen what its agents report.
//!
//! ```text
//!   backup --restore--> new incarnation, unaccepted: agents report in full and change nothing, orders are refused
//!          --accept---> ids, generations, epochs and counters above all that was reported; everything goes on
//! ```

use crate::engine::Purpose;
use crate::moving::{number, query};
use crate::sql::{Connection, execute, row, rows, values};
use crate::{Engine, Refusal, StoreResult, Tx, migrations};
use honcho_model::{HostId, Incarnation, Timestamp};
use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, DbBackend, FromQueryResult, Statement, TransactionTrait as _,
    Value,
};
use std::path::Path;

/// Ids of a new life begin at the next multiple of this: what was made and forgotten after the backup had lower ones.
const ID_STEP: i64 = 1_000_000;

/// Where the ids of a table go on after a restore, when `last` was the highest ever given.
fn first_free(last: i64) -> i64 {
    // At least a tenth of a step above, however near the next multiple is.
    ((last + ID_STEP / 10) / ID_STEP + 1) * ID_STEP
}

/// Makes of a copy, which is brought up to this program's schema, the beginning of a new life. The incarnation is the
/// time in seconds, so that two restores of one backup never have the same; or one more than the backup's, if a clock
/// went backwards.
pub async fn begin_life(file: &Path, backed_up_at: Timestamp, now: Timestamp) -> StoreResult<Incarnation> {
    let engine = Engine::from(file);
    migrations::bring_up(&engine).await?;
    let connection = engine.connect(Purpose::Schema).await?;
    let transaction = connection.begin().await?;
    let begun = begin(&transaction, backed_up_at, now).await;
    let begun = match begun {
        Ok(incarnation) => transaction.commit().await.map(|()| incarnation).map_err(Into::into),
        Err(error) => Err(error),
    };
    connection.close().await?;
    begun
}

async fn run(transaction: &DatabaseTransaction, sql: &str, values: Vec<Value>) -> StoreResult<()> {
    transaction.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)).await?;
    Ok(())
}

async fn begin(
    transaction: &DatabaseTransaction,
    backed_up_at: Timestamp,
    now: Timestamp,
) -> StoreResult<Incarnation> {
    let before = number(transaction, "SELECT incarnation AS n FROM brain WHERE id = 1").await?;
    let incarnation = now.0.div_euclid(1_000_000).max(before + 1);
    run(
        transaction,
        "UPDATE brain SET incarnation = $1, backed_up_at = $2, restored_at = $3, accepted_at = NULL WHERE id = 1",
        vec![incarnation.into(), backed_up_at.0.into(), now.0.into()],
    )
    .await?;
    // Every host, also one that had not joined yet: it may have since.
    let hosts =
        "UPDATE hosts SET unaccepted_since = $1, restored_generation = generation WHERE deleted_at IS NULL";
    run(transaction, hosts, vec![now.0.into()]).await?;
    for sql in [
        // What was held of an agent's last report is old: it has to report everything.
        "UPDATE host_observed SET digest = NULL, incarnation = NULL, former = NULL",
        "UPDATE guest_observed SET settled = FALSE, volume_state = 'unknown', volume_size = NULL, boots_done = NULL",
        // They may have been used since, and are to be used once.
        "UPDATE hosts SET join_hash = NULL, join_expires_at = NULL",
        // Who has logged out since is not to be logged in again.
        "DELETE FROM sessions",
        // Numbers of another database's transactions mean nothing in the next one. Cursors are void anyway.
        "UPDATE events SET xid = 0",
        "UPDATE webhooks SET position_xid = 0",
    ] {
        run(transaction, sql, Vec::new()).await?;
    }
    raise_ids(transaction).await?;
    Ok(Incarnation(incarnation))
}

/// Ids are never used twice, and some were given after the backup.
async fn raise_ids(transaction: &DatabaseTransaction) -> StoreResult<()> {
    let sql = "SELECT m.name AS name, COALESCE((SELECT MAX(s.seq) FROM sqlite_sequence s WHERE s.name = m.name), 0) AS last \
               FROM sqlite_master m WHERE m.type = 'table' AND m.sql LIKE '%AUTOINCREMENT%'";
    for row in query(transaction, sql).await? {
        let (table, last): (String, i64) = (row.try_get("", "name")?, row.try_get("", "last")?);
        run(transaction, "DELETE FROM sqlite_sequence WHERE name = $1", vec![table.as_str().into()]).await?;
        // The sequence holds the last one given.
        let sql = "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)";
        run(transaction, sql, vec![table.into(), first_free(last).into()]).await?;
    }
    Ok(())
}

/// The life of a brain, as far as it began with a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Which it is.
    pub incarnation: Incarnation,
    /// When the backup was made.
    pub backed_up_at: Option<Timestamp>,
    /// When it was restored.
    pub restored_at: Option<Timestamp>,
    /// When an operator accepted it.
    pub accepted_at: Option<Timestamp>,
}

impl Life {
    /// Whether nobody has accepted it yet, so that nothing that is desired may change.
    pub fn is_unaccepted(&self) -> bool {
        self.restored_at.is_some() && self.accepted_at.is_none()
    }
}

/// The present life.
pub async fn life(connection: &impl Connection) -> StoreResult<Life> {
    #[derive(FromQueryResult)]
    struct Row {
        incarnation: i64,
        backed_up_at: Option<i64>,
        restored_at: Option<i64>,
        accepted_at: Option<i64>,
    }
    let sql = "SELECT incarnation, backed_up_at, restored_at, accepted_at FROM brain WHERE id = 1";
    let found: Option<Row> = row(connection, sql, values![]).await?;
    let found = found.ok_or(Refusal::NotFound("brain"))?;
    Ok(Life {
        incarnation: Incarnation(found.incarnation),
        backed_up_at: found.backed_up_at.map(Timestamp),
        restored_at: found.restored_at.map(Timestamp),
        accepted_at: found.accepted_at.map(Timestamp),
    })
}

/// Notes that the present life is accepted.
pub async fn accept_life(tx: &Tx) -> StoreResult<()> {
    let sql =
        "UPDATE brain SET accepted_at = $1 WHERE id = 1 AND accepted_at IS NULL AND restored_at IS NOT NULL";
    execute(tx, sql, values![tx.now.0]).await?;
    Ok(())
}

/// Notes that a host may be changed again, and that its generation is above what its agent has seen.
pub async fn accept_host(tx: &Tx, id: HostId, reported: honcho_model::Generation) -> StoreResult<()> {
    let sql = "UPDATE hosts SET unaccepted_since = NULL, \
               generation = CASE WHEN generation > $1 THEN generation ELSE $1 END WHERE id = $2";
    execute(tx, sql, values![reported.0, id.0]).await?;
    let sql = "UPDATE host_observed SET former = NULL WHERE host_id = $1";
    execute(tx, sql, values![id.0]).await?;
    tx.touch(id);
    Ok(())
}

/// Refuses to change what is on a host of an earlier life that is not accepted yet.
pub(crate) async fn refuse_unaccepted(tx: &Tx, host: HostId) -> StoreResult<()> {
    #[derive(FromQueryResult)]
    struct Row {
        name: String,
    }
    let sql = "SELECT name FROM hosts WHERE id = $1 AND unaccepted_since IS NOT NULL";
    let found: Option<Row> = row(tx, sql, values![host.0]).await?;
    match found {
        Some(host) => {
            let text = format!("is on host {}, of which {}", host.name, crate::hosts::UNACCEPTED);
            Err(Refusal::Conflict(text).into())
        }
        None => Ok(()),
    }
}

/// An agent acts on the manifest of a later life than this one, which nobody has accepted yet: this life is another, and
/// later still.
pub(crate) async fn overtake(tx: &Tx, reported: Incarnation) -> StoreResult<()> {
    #[derive(FromQueryResult)]
    struct Row {
        id: i64,
    }
    let sql =
        "UPDATE brain SET incarnation = $1 WHERE id = 1 AND restored_at IS NOT NULL AND accepted_at IS NULL";
    if execute(tx, sql, values![reported.0 + 1]).await? > 0 {
        let hosts: Vec<Row> = rows(tx, "SELECT id FROM hosts WHERE deleted_at IS NULL", values![]).await?;
        for host in hosts {
            tx.touch(HostId(host.id));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_on_at_the_next_million_and_well_above_the_last() {
        for (last, first) in [
            (0, 1_000_000),
            (20, 1_000_000),
            (899_999, 1_000_000),
            (900_000, 2_000_000),
            (2_999_999, 4_000_000),
        ] {
            assert_eq!(first_free(last), first, "{last}");
        }
    }
}

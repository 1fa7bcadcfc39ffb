//! Who this brain is.

use crate::sql::{Connection, execute, row, values};
use crate::{Change, StoreResult, Tx};
use honcho_model::Incarnation;
use sea_orm::FromQueryResult;
use uuid::Uuid;

/// A brain's identity, made once with its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrainIdentity {
    /// Carried by everything its agents make.
    pub uuid: Uuid,
    /// Which life of it.
    pub incarnation: Incarnation,
}

#[derive(FromQueryResult)]
struct Row {
    uuid: Uuid,
    incarnation: i64,
}

/// Reads it, if the database has one yet.
pub async fn get(connection: &impl Connection) -> StoreResult<Option<BrainIdentity>> {
    let row: Option<Row> =
        row(connection, "SELECT uuid, incarnation FROM brain WHERE id = 1", values![]).await?;
    Ok(row.map(|row| BrainIdentity { uuid: row.uuid, incarnation: Incarnation(row.incarnation) }))
}

/// Gives the database an identity, unless it has one.
pub struct Establish {
    /// Random, from whoever owns randomness.
    pub uuid: Uuid,
}

impl Change for Establish {
    type Out = BrainIdentity;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<BrainIdentity> {
        if let Some(identity) = get(tx).await? {
            return Ok(identity);
        }
        execute(tx, "INSERT INTO brain (id, uuid, incarnation) VALUES (1, $1, 1)", values![self.uuid])
            .await?;
        Ok(BrainIdentity { uuid: self.uuid, incarnation: Incarnation(1) })
    }
}

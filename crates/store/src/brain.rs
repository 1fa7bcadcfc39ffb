//! Who this brain is.

use crate::sql::{Connection, execute, row, values};
use crate::{Change, Refusal, StoreResult, Tx};
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

/// Notes whose certificates count for this brain, or refuses: several brains on one database must share one CA.
pub struct BindAuthority {
    /// Of the CA's certificate.
    pub fingerprint: String,
}

impl Change for BindAuthority {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        #[derive(FromQueryResult)]
        struct Bound {
            ca_fingerprint: Option<String>,
        }
        let bound: Option<Bound> =
            row(tx, "SELECT ca_fingerprint FROM brain WHERE id = 1", values![]).await?;
        match bound.and_then(|bound| bound.ca_fingerprint) {
            Some(bound) if bound == self.fingerprint => Ok(()),
            Some(bound) => Err(Refusal::Conflict(format!(
                "the database belongs to the certificate authority {bound}, and the one in DATA/ca is {}: agents trust only \
                 the first; copy the directory ca from the brain that made the database",
                self.fingerprint
            ))
            .into()),
            None => {
                let sql = "UPDATE brain SET ca_fingerprint = $1 WHERE id = 1";
                execute(tx, sql, values![self.fingerprint.as_str()]).await?;
                Ok(())
            }
        }
    }
}

//! Views of the list of guests that people have named. Each is one person's own, and nobody else reads it.

use crate::sql::{Connection, execute, number, rows, values};
use crate::{StoreResult, Tx};
use honcho_model::PersonId;
use sea_orm::FromQueryResult;

/// One.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct SavedView {
    /// Which.
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// The filters, as they stand in an address.
    pub query: String,
}

/// A person's, by their names.
pub async fn of_person(connection: &impl Connection, person: PersonId) -> StoreResult<Vec<SavedView>> {
    let sql = "SELECT id, name, query FROM saved_views WHERE person_id = $1 ORDER BY name, id";
    rows(connection, sql, values![person.0]).await
}

/// How many a person has.
pub async fn count(connection: &impl Connection, person: PersonId) -> StoreResult<i64> {
    let sql = "SELECT COUNT(*) AS n FROM saved_views WHERE person_id = $1";
    Ok(number(connection, sql, values![person.0]).await?.unwrap_or(0))
}

/// Saves one; the person's view of that name, if there is one, becomes this one.
pub async fn save(tx: &Tx, person: PersonId, name: &str, query: &str) -> StoreResult<()> {
    let sql = "INSERT INTO saved_views (person_id, name, query, created_at) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (person_id, name) DO UPDATE SET query = excluded.query";
    execute(tx, sql, values![person.0, name, query, tx.now.0]).await.map(drop)
}

/// Deletes one of a person's; whether there was one.
pub async fn delete(tx: &Tx, person: PersonId, id: i64) -> StoreResult<bool> {
    let sql = "DELETE FROM saved_views WHERE person_id = $1 AND id = $2";
    Ok(execute(tx, sql, values![person.0, id]).await? > 0)
}

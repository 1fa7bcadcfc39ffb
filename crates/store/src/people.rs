//! People, and what they may in which account.

use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, execute, insert, row, rows, time, values};
use crate::{Refusal, StoreResult, Tx};
use honcho_api::{Grant, Person};
use honcho_model::{AccountId, PersonId, Right, Timestamp};
use sea_orm::FromQueryResult;
use std::collections::HashMap;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    uuid: Uuid,
    login: String,
    name: Option<String>,
    operator: bool,
    password_set: bool,
    locked_until: Option<i64>,
    created_at: i64,
    lock_version: i64,
}

const COLUMNS: &[Column] = &[Column::Integer("id", "p.id"), Column::Text("name", "p.login")];

/// Living people.
pub async fn list(
    connection: &impl Connection,
    filters: &Filters,
    now: Timestamp,
) -> StoreResult<Vec<Person>> {
    let mut select = Select::new(
        "SELECT p.id, p.uuid, p.login, p.name, p.operator, p.password_hash IS NOT NULL AS password_set, \
         p.locked_until, p.created_at, p.lock_version FROM people p",
        values![],
    );
    select.only("p.deleted_at IS NULL");
    select.filter(filters, "p.id", COLUMNS)?;
    let found: Vec<Row> = select.all(connection, "p.id", filters).await?;
    let mut grants = grants_of(connection, &found).await?;
    let person = |row: Row| Person {
        id: row.id,
        uuid: row.uuid,
        name: row.login,
        full_name: row.name,
        operator: row.operator,
        password_set: row.password_set,
        locked_until: row.locked_until.filter(|until| *until > now.0).map(time),
        grants: grants.remove(&row.id).unwrap_or_default(),
        created_at: time(row.created_at),
        lock_version: row.lock_version,
    };
    Ok(found.into_iter().map(person).collect())
}

#[derive(FromQueryResult)]
struct GrantRow {
    person_id: i64,
    account_id: i64,
    account_name: String,
    scope: String,
}

/// The grants of all these people, in one statement however many there are: by the range of their ids.
async fn grants_of(connection: &impl Connection, people: &[Row]) -> StoreResult<HashMap<i64, Vec<Grant>>> {
    let ids = || people.iter().map(|person| person.id);
    let (Some(first), Some(last)) = (ids().min(), ids().max()) else { return Ok(HashMap::new()) };
    let mut grants: HashMap<i64, Vec<Grant>> = HashMap::new();
    for row in grant_rows(connection, first, last).await? {
        let grant = Grant { account_id: row.account_id, account_name: row.account_name, scope: row.scope };
        grants.entry(row.person_id).or_default().push(grant);
    }
    Ok(grants)
}

async fn grant_rows(connection: &impl Connection, first: i64, last: i64) -> StoreResult<Vec<GrantRow>> {
    rows(
        connection,
        "SELECT r.person_id, r.account_id, a.name AS account_name, r.scope FROM grants r \
         JOIN accounts a ON a.id = r.account_id WHERE r.person_id BETWEEN $1 AND $2 ORDER BY r.id",
        values![first, last],
    )
    .await
}

/// What one person may, by account.
pub async fn grants(connection: &impl Connection, id: PersonId) -> StoreResult<Vec<Grant>> {
    let found = grant_rows(connection, id.0, id.0).await?;
    let grant = |row: GrantRow| Grant {
        account_id: row.account_id,
        account_name: row.account_name,
        scope: row.scope,
    };
    Ok(found.into_iter().map(grant).collect())
}

/// One person.
pub async fn get(connection: &impl Connection, id: PersonId, now: Timestamp) -> StoreResult<Person> {
    let found = list(connection, &Filters::default().and("id", id), now).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("person").into())
}

/// A person as logging in needs them.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Login {
    /// Who.
    pub id: i64,
    /// What they log in with.
    pub login: String,
    /// Whether they are an operator.
    pub operator: bool,
    /// The hash of their password, in the PHC format.
    pub password_hash: Option<String>,
    /// Wrong passwords since the last right one.
    pub failures: i64,
    /// Until when no password is good.
    pub locked_until: Option<i64>,
}

/// The living person who logs in so.
pub async fn by_login(connection: &impl Connection, login: &str) -> StoreResult<Option<Login>> {
    row(
        connection,
        "SELECT id, login, operator, password_hash, failures, locked_until FROM people \
         WHERE login = $1 AND deleted_at IS NULL",
        values![login],
    )
    .await
}

/// What a new person is made of.
pub struct NewPerson<'a> {
    /// Random.
    pub uuid: Uuid,
    /// What they log in with.
    pub login: &'a str,
    /// What they are called.
    pub full_name: Option<&'a str>,
    /// Whether they may everything.
    pub operator: bool,
    /// The hash of their password.
    pub password_hash: Option<&'a str>,
}

/// Makes one.
pub async fn create(tx: &Tx, new: &NewPerson<'_>) -> StoreResult<PersonId> {
    let id = insert(
        tx,
        "INSERT INTO people (uuid, login, name, operator, password_hash, failures, created_at, lock_version) \
         VALUES ($1, $2, $3, $4, $5, 0, $6, 1) RETURNING id AS n",
        values![new.uuid, new.login, new.full_name, new.operator, new.password_hash, tx.now.0],
    )
    .await?;
    Ok(PersonId(id))
}

/// Changes what can be changed.
pub async fn update(
    tx: &Tx,
    id: PersonId,
    login: &str,
    full_name: Option<&str>,
    operator: bool,
) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE people SET login = $1, name = $2, operator = $3, lock_version = lock_version + 1 WHERE id = $4",
        values![login, full_name, operator, id.0],
    )
    .await?;
    Ok(())
}

/// Gives one another password; what was failed with the old one is forgotten.
pub async fn set_password(tx: &Tx, id: PersonId, hash: &str) -> StoreResult<()> {
    let sql = "UPDATE people SET password_hash = $1, failures = 0, locked_until = NULL WHERE id = $2";
    execute(tx, sql, values![hash, id.0]).await?;
    Ok(())
}

/// Writes down how many passwords were wrong, and until when none is good.
pub async fn set_failures(
    tx: &Tx,
    id: PersonId,
    failures: i64,
    locked_until: Option<Timestamp>,
) -> StoreResult<()> {
    let sql = "UPDATE people SET failures = $1, locked_until = $2 WHERE id = $3";
    execute(tx, sql, values![failures, locked_until.map(|at| at.0), id.0]).await?;
    Ok(())
}

/// Lets a person do this in an account, instead of what they might before.
pub async fn grant(tx: &Tx, id: PersonId, account: AccountId, right: Right) -> StoreResult<()> {
    let sql = "UPDATE grants SET scope = $1 WHERE person_id = $2 AND account_id = $3";
    if execute(tx, sql, values![right.as_str(), id.0, account.0]).await? == 0 {
        insert(
            tx,
            "INSERT INTO grants (person_id, account_id, scope, created_at) VALUES ($1, $2, $3, $4) RETURNING id AS n",
            values![id.0, account.0, right.as_str(), tx.now.0],
        )
        .await?;
    }
    Ok(())
}

/// Takes back what a person may in an account; whether there was anything.
pub async fn revoke(tx: &Tx, id: PersonId, account: AccountId) -> StoreResult<bool> {
    let sql = "DELETE FROM grants WHERE person_id = $1 AND account_id = $2";
    Ok(execute(tx, sql, values![id.0, account.0]).await? > 0)
}

/// Deletes one, with all that they might and every session.
pub async fn delete(tx: &Tx, id: PersonId) -> StoreResult<()> {
    execute(tx, "DELETE FROM sessions WHERE person_id = $1", values![id.0]).await?;
    execute(tx, "DELETE FROM grants WHERE person_id = $1", values![id.0]).await?;
    execute(tx, "DELETE FROM saved_views WHERE person_id = $1", values![id.0]).await?;
    let sql = "UPDATE people SET deleted_at = $1, password_hash = NULL WHERE id = $2";
    execute(tx, sql, values![tx.now.0, id.0]).await?;
    Ok(())
}

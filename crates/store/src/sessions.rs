//! Sessions: a person's login until it ends. Stored hashed, shown once; rows go when they have ended.

use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, execute, insert, row, time, values};
use crate::{Refusal, StoreResult, Tx};
use honcho_api::{Grant, Session};
use honcho_model::{PersonId, SessionId, Timestamp};
use sea_orm::FromQueryResult;
use std::time::Duration;

/// A session that was not used for so long has ended (NIST SP 800-63B-4, section 2.2.3: an hour at most).
pub const IDLE: Duration = Duration::from_hours(1);

/// However much it is used, a session ends after this (the same section: 24 hours at most).
pub const LASTS: Duration = Duration::from_hours(24);

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    person_id: i64,
    person_name: String,
    operator: bool,
    source: Option<String>,
    created_at: i64,
    last_used_at: i64,
    expires_at: i64,
}

const SELECT: &str = "SELECT s.id, s.person_id, p.login AS person_name, p.operator, s.source, s.created_at, \
    s.last_used_at, s.expires_at FROM sessions s JOIN people p ON p.id = s.person_id";
const COLUMNS: &[Column] = &[Column::Integer("id", "s.id"), Column::Integer("person_id", "s.person_id")];

/// The earliest last use of a session that has not ended by idleness.
fn used_since(now: Timestamp) -> i64 {
    now.0 - i64::try_from(IDLE.as_micros()).unwrap_or(i64::MAX)
}

/// Sessions that have not ended: a person's, or everybody's.
pub async fn list(
    connection: &impl Connection,
    of: Option<PersonId>,
    filters: &Filters,
    now: Timestamp,
) -> StoreResult<Vec<Session>> {
    let mut select = Select::new(SELECT, values![]);
    select.only_with("s.expires_at > ?", now.0);
    select.only_with("s.last_used_at > ?", used_since(now));
    if let Some(person) = of {
        select.only_with("s.person_id = ?", person.0);
    }
    select.filter(filters, "s.id", COLUMNS)?;
    let found: Vec<Row> = select.all(connection, "s.id", filters).await?;
    let session = |row: Row| Session {
        id: row.id,
        person_id: row.person_id,
        person_name: row.person_name,
        source: row.source,
        created_at: time(row.created_at),
        last_used_at: time(row.last_used_at),
        expires_at: time(row.expires_at),
        secret: None,
    };
    Ok(found.into_iter().map(session).collect())
}

/// One of them.
pub async fn get(
    connection: &impl Connection,
    of: Option<PersonId>,
    id: SessionId,
    now: Timestamp,
) -> StoreResult<Session> {
    let found = list(connection, of, &Filters::default().and("id", id), now).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("session").into())
}

/// A session as authentication needs it.
#[derive(Clone, Debug)]
pub struct KnownSession {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub person: PersonId,
    /// Whose, by name.
    pub person_name: String,
    /// Whether that is an operator.
    pub operator: bool,
    /// What they may, by account.
    pub grants: Vec<Grant>,
    /// When it was last used, as far as it is written down.
    pub last_used_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// The session with this hash (hex SHA-256 of the secret), also when it has just ended by time.
pub async fn find(connection: &impl Connection, secret_hash: &str) -> StoreResult<Option<KnownSession>> {
    let sql = format!("{SELECT} WHERE s.secret_hash = $1 AND p.deleted_at IS NULL");
    let found: Option<Row> = row(connection, &sql, values![secret_hash]).await?;
    let Some(row) = found else { return Ok(None) };
    let person = PersonId(row.person_id);
    Ok(Some(KnownSession {
        id: SessionId(row.id),
        person,
        person_name: row.person_name,
        operator: row.operator,
        grants: crate::people::grants(connection, person).await?,
        last_used_at: Timestamp(row.last_used_at),
        expires_at: Timestamp(row.expires_at),
    }))
}

/// Begins one.
pub async fn create(
    tx: &Tx,
    person: PersonId,
    secret_hash: &str,
    source: Option<&str>,
) -> StoreResult<SessionId> {
    let id = insert(
        tx,
        "INSERT INTO sessions (person_id, secret_hash, source, created_at, expires_at, last_used_at) \
         VALUES ($1, $2, $3, $4, $5, $4) RETURNING id AS n",
        values![person.0, secret_hash, source, tx.now.0, tx.now.plus(LASTS).0],
    )
    .await?;
    Ok(SessionId(id))
}

/// Writes down when sessions were last used.
pub async fn note_used(tx: &Tx, used: &[(SessionId, Timestamp)]) -> StoreResult<()> {
    for (id, at) in used {
        let sql = "UPDATE sessions SET last_used_at = $1 WHERE id = $2 AND last_used_at < $1";
        execute(tx, sql, values![at.0, id.0]).await?;
    }
    Ok(())
}

/// Ends one.
pub async fn delete(tx: &Tx, id: SessionId) -> StoreResult<()> {
    execute(tx, "DELETE FROM sessions WHERE id = $1", values![id.0]).await?;
    Ok(())
}

/// Ends all of a person, or all but one.
pub async fn delete_of(tx: &Tx, person: PersonId, except: Option<SessionId>) -> StoreResult<()> {
    let kept = except.map_or(0, |id| id.0);
    execute(tx, "DELETE FROM sessions WHERE person_id = $1 AND id <> $2", values![person.0, kept]).await?;
    Ok(())
}

/// Takes away what has ended by time; how many that were.
pub async fn sweep(tx: &Tx) -> StoreResult<u64> {
    let sql = "DELETE FROM sessions WHERE expires_at <= $1 OR last_used_at <= $2";
    execute(tx, sql, values![tx.now.0, used_since(tx.now)]).await
}

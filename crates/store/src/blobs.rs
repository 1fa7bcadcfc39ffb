//! Which blobs something names, and since when the others have no name. Where they are kept is not known here.
//!
//! ```text
//!   came (again) --> since --grace--> collecting --> deleted --> forgotten
//!                      |                  |             |
//!                      '-- an image ------' no image takes it from here on: it is sent again first
//! ```

use crate::sql::{Connection, execute, number, rows, values};
use crate::{Refusal, StoreError, StoreResult, Tx};
use honcho_model::{Digest, Timestamp};
use sea_orm::FromQueryResult;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a blob that nothing names is kept: a backup of this week's still finds what it names.
pub const GRACE: Duration = Duration::from_hours(7 * 24);

/// Between the mark and the end of a deletion less than this passes.
const DELETING: Duration = Duration::from_mins(5);

/// What names one: a living image, or a guest that was made from it and is not gone. Its host's manifest is made of that.
const NAMES: &str = "FROM images m WHERE (m.deleted_at IS NULL \
    OR EXISTS (SELECT 1 FROM guests g WHERE g.image_id = m.id AND g.deleted_at IS NULL))";

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[derive(FromQueryResult)]
struct Named {
    digest: String,
}

/// All that something names.
pub async fn named(connection: &impl Connection) -> StoreResult<BTreeSet<Digest>> {
    let found: Vec<Named> = rows(connection, &format!("SELECT DISTINCT m.digest {NAMES}"), values![]).await?;
    found.into_iter().map(|row| parse(&row.digest)).collect()
}

fn parse(digest: &str) -> StoreResult<Digest> {
    digest.parse().map_err(|_| StoreError::Damaged { what: "digest", why: format!("{digest:?} is none") })
}

#[derive(FromQueryResult)]
struct Row {
    digest: String,
    since: i64,
    collecting_at: Option<i64>,
}

/// A blob that nothing named when somebody looked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unnamed {
    /// Which.
    pub digest: Digest,
    /// Since when, or when it was sent last.
    pub since: Timestamp,
    /// When it began to be deleted.
    pub collecting_at: Option<Timestamp>,
}

impl Unnamed {
    /// Whether its time has come.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.since.0.saturating_add(micros(GRACE)) <= now.0
    }

    /// Whether its deletion is long over.
    pub fn is_gone(&self, now: Timestamp) -> bool {
        self.collecting_at.is_some_and(|at| at.0.saturating_add(micros(DELETING)) <= now.0)
    }
}

/// Those without a name, as far as that was noted.
pub async fn unnamed(connection: &impl Connection) -> StoreResult<Vec<Unnamed>> {
    let sql = "SELECT digest, since, collecting_at FROM unnamed_blobs ORDER BY digest";
    let found: Vec<Row> = rows(connection, sql, values![]).await?;
    let unnamed = |row: Row| {
        let digest = parse(&row.digest)?;
        Ok(Unnamed { digest, since: Timestamp(row.since), collecting_at: row.collecting_at.map(Timestamp) })
    };
    found.into_iter().map(unnamed).collect()
}

async fn forget(tx: &Tx, digest: Digest) -> StoreResult<()> {
    execute(tx, "DELETE FROM unnamed_blobs WHERE digest = $1", values![digest.to_string()]).await?;
    Ok(())
}

async fn note(tx: &Tx, digest: Digest) -> StoreResult<()> {
    let sql = "INSERT INTO unnamed_blobs (digest, since) VALUES ($1, $2)";
    execute(tx, sql, values![digest.to_string(), tx.now.0]).await?;
    Ok(())
}

async fn find(tx: &Tx, digest: Digest) -> StoreResult<Option<Unnamed>> {
    Ok(unnamed(tx).await?.into_iter().find(|unnamed| unnamed.digest == digest))
}

/// It is being sent, or has just come: from now on its time runs anew. Refused while it is being deleted.
pub async fn came(tx: &Tx, digest: Digest) -> StoreResult<()> {
    let known = find(tx, digest).await?;
    if known.is_some_and(|known| known.collecting_at.is_some() && !known.is_gone(tx.now)) {
        let text = "this blob was named by nothing and is just being deleted: send it again in a few minutes";
        return Err(Refusal::Conflict(text.to_owned()).into());
    }
    forget(tx, digest).await?;
    note(tx, digest).await
}

/// An image names it from now on. Refused once it is being deleted.
pub async fn take_name(tx: &Tx, digest: Digest) -> StoreResult<()> {
    if find(tx, digest).await?.is_some_and(|known| known.collecting_at.is_some()) {
        let text = format!(
            "names a blob that is being deleted, for nothing named it: send it again with PUT /v1/blobs/{digest}"
        );
        return Err(Refusal::invalid("digest", text).into());
    }
    forget(tx, digest).await
}

/// Notes which of what is kept has no name, and forgets of which that is not true any more.
pub async fn look(tx: &Tx, kept: &BTreeSet<Digest>) -> StoreResult<()> {
    let (named, known) = (named(tx).await?, unnamed(tx).await?);
    for unnamed in &known {
        let deleted = unnamed.is_gone(tx.now) && !kept.contains(&unnamed.digest);
        if named.contains(&unnamed.digest) || deleted {
            forget(tx, unnamed.digest).await?;
        }
    }
    let known: BTreeSet<Digest> = known.into_iter().map(|unnamed| unnamed.digest).collect();
    for digest in kept.difference(&named).filter(|digest| !known.contains(digest)) {
        note(tx, *digest).await?;
    }
    Ok(())
}

/// After the mark one is deleted within this, or not at all this time: whoever was held up for longer may delete what has been
/// sent anew meanwhile.
const AT_ONCE: Duration = Duration::from_mins(1);

/// Whether what was marked at `marked` may still be deleted.
pub fn may_delete(marked: Timestamp, now: Timestamp) -> bool {
    (marked.0..=marked.0.saturating_add(micros(AT_ONCE))).contains(&now.0)
}

/// Begins the time of all of them anew, and gives up deletions that were begun: a restored database speaks of another day.
pub async fn begin_anew(tx: &Tx) -> StoreResult<()> {
    execute(tx, "UPDATE unnamed_blobs SET since = $1, collecting_at = NULL", values![tx.now.0]).await?;
    Ok(())
}

/// Marks one as being deleted, if its time has come and still nothing names it. Gives when it was marked.
pub async fn begin_collecting(tx: &Tx, digest: Digest) -> StoreResult<Option<Timestamp>> {
    let sql = format!("SELECT 1 AS n {NAMES} AND m.digest = $1 LIMIT 1");
    let named = number(tx, &sql, values![digest.to_string()]).await?.is_some();
    let over = find(tx, digest).await?.is_some_and(|known| known.is_over(tx.now));
    if named || !over {
        return Ok(None);
    }
    let sql = "UPDATE unnamed_blobs SET collecting_at = $1 WHERE digest = $2";
    execute(tx, sql, values![tx.now.0, digest.to_string()]).await?;
    Ok(Some(tx.now))
}

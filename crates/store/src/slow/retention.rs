//! What is thrown away: hours that are so old that only their days are asked for, days that nobody asks for any more.
//!
//! In bounded pieces, each found by reading: nothing is written when there is nothing to throw away, and nobody waits long for
//! a piece.

use super::ranges::Span;
use crate::sql::{Connection, execute, number, rows, values};
use crate::{Change, StoreResult, Tx};
use sea_orm::FromQueryResult;

/// So many rows go at once.
const ROWS: i64 = 2_000;
/// So many queries are looked through at once.
const CLASSES: i64 = 500;

/// How long what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Hours that began before this are thrown away, in microseconds since 1970.
    pub hours_since: i64,
    /// Days likewise, and with them who asked, and queries that were not seen since then and of which nobody said anything.
    pub days_since: i64,
}

/// What of it there is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// From this query on.
    From(i64),
    /// It is done.
    Nothing,
}

/// Throws away what is too old of the queries from one on.
pub struct Forget {
    /// What is kept.
    pub kept: Kept,
    /// The first query that is looked at.
    pub from: i64,
}

#[derive(FromQueryResult)]
struct Id {
    id: i64,
}

/// The queries that are looked through in one piece: the last of them, if there is one.
pub async fn piece(connection: &impl Connection, from: i64) -> StoreResult<Option<i64>> {
    let sql = "SELECT MAX(id) AS id FROM (SELECT id FROM slow_classes WHERE id >= $1 ORDER BY id LIMIT $2) AS piece HAVING MAX(id) IS NOT NULL";
    Ok(rows::<Id>(connection, sql, values![from, CLASSES]).await?.first().map(|row| row.id))
}

/// Whether something is to be thrown away of the queries of a piece.
pub async fn is_anything_old(
    connection: &impl Connection,
    from: i64,
    to: i64,
    kept: Kept,
) -> StoreResult<bool> {
    for (span, since) in spans(kept) {
        let sql = format!(
            "SELECT 1 AS n FROM slow_classes c JOIN slow_periods p ON p.slow_class_id = c.id AND p.span = {span} AND p.begins < $3 \
             WHERE c.id >= $1 AND c.id <= $2 LIMIT 1"
        );
        if number(connection, &sql, values![from, to, since]).await?.is_some() {
            return Ok(true);
        }
    }
    // Whoever threw their periods away may have been killed before the rest.
    let rest = format!(
        "SELECT 1 AS n FROM slow_classes c WHERE c.id >= $1 AND c.id <= $2 AND (EXISTS \
         (SELECT 1 FROM slow_shares x WHERE x.slow_class_id = c.id AND x.begins < $3) OR {FORGOTTEN}) LIMIT 1"
    );
    Ok(number(connection, &rest, values![from, to, kept.days_since]).await?.is_some())
}

/// A class of which nothing is kept any more.
const FORGOTTEN: &str = "(c.last_seen < $3 AND NOT EXISTS (SELECT 1 FROM slow_notes n WHERE n.slow_class_id = c.id) \
    AND NOT EXISTS (SELECT 1 FROM slow_periods p WHERE p.slow_class_id = c.id))";

fn spans(kept: Kept) -> [(i64, i64); 2] {
    [(Span::Hour.number(), kept.hours_since), (Span::Day.number(), kept.days_since)]
}

impl Change for Forget {
    type Out = Next;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Next> {
        let Some(to) = piece(tx, self.from).await? else { return Ok(Next::Nothing) };
        for (span, since) in spans(self.kept) {
            let sql = format!(
                "DELETE FROM slow_periods WHERE (slow_class_id, span, begins) IN (SELECT p.slow_class_id, p.span, p.begins \
                 FROM slow_classes c JOIN slow_periods p ON p.slow_class_id = c.id AND p.span = {span} AND p.begins < $3 \
                 WHERE c.id >= $1 AND c.id <= $2 LIMIT {ROWS})"
            );
            if execute(tx, &sql, values![self.from, to, since]).await? > 0 {
                return Ok(Next::From(self.from));
            }
        }
        let shares = format!(
            "DELETE FROM slow_shares WHERE (slow_class_id, begins, kind, name) IN (SELECT x.slow_class_id, x.begins, x.kind, x.name \
             FROM slow_classes c JOIN slow_shares x ON x.slow_class_id = c.id AND x.begins < $3 WHERE c.id >= $1 AND c.id <= $2 LIMIT {ROWS})"
        );
        if execute(tx, &shares, values![self.from, to, self.kept.days_since]).await? > 0 {
            return Ok(Next::From(self.from));
        }
        let classes = format!(
            "DELETE FROM slow_classes WHERE id IN (SELECT c.id FROM slow_classes c WHERE c.id >= $1 AND c.id <= $2 AND {FORGOTTEN})"
        );
        execute(tx, &classes, values![self.from, to, self.kept.days_since]).await?;
        Ok(Next::From(to + 1))
    }
}

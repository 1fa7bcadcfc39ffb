//! Where somebody who reads the event log stands.
//!
//! Ids of PostgreSQL's sequences are given when rows are written and not when they are committed: whoever goes on after the
//! highest id that he saw skips what was written before and committed later. So events carry the transaction that wrote
//! them, are read in the order (transaction, id), and only up to the oldest transaction that is still under way, the
//! *horizon*: whatever is committed from now on is beyond it.

use honcho_model::EventId;
use sea_orm::DbBackend;

/// A place in the event log: after the event with this id, written by this transaction. Opaque to those who are given it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Of the brain whose log it is.
    pub(crate) incarnation: i64,
    /// 0 on SQLite.
    pub(crate) xid: i64,
    pub(crate) id: i64,
    /// The horizon when the event was shown, if the event was beyond it. Going on means going on from there.
    pub(crate) horizon: Option<i64>,
}

impl Cursor {
    /// The event after which it stands; 0 before the first.
    pub fn event(&self) -> EventId {
        EventId(self.id)
    }

    /// Whether both are places in the log of the same life of a brain.
    pub fn is_of_the_same_life(&self, other: &Cursor) -> bool {
        self.incarnation == other.incarnation
    }

    /// Whether an event at that place comes after this one, in the order in which the log is told.
    pub fn is_before(&self, other: &Cursor) -> bool {
        (self.xid, self.id) < (other.xid, other.id)
    }

    /// The transaction and id after which to go on.
    pub(crate) fn position(&self, descending: bool) -> (i64, i64) {
        match self.horizon {
            Some(horizon) if !descending => (horizon, 0),
            _ => (self.xid, self.id),
        }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.incarnation, self.xid, self.id)?;
        match self.horizon {
            Some(horizon) => write!(f, ".{horizon}"),
            None => Ok(()),
        }
    }
}

/// The text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCursor;

impl std::str::FromStr for Cursor {
    type Err = NoCursor;
    fn from_str(text: &str) -> Result<Cursor, NoCursor> {
        let number = |part: &str| part.parse::<i64>().ok().filter(|n| *n >= 0).ok_or(NoCursor);
        let parts = text.split('.').map(number).collect::<Result<Vec<i64>, NoCursor>>()?;
        match *parts.as_slice() {
            [incarnation, xid, id] => Ok(Cursor { incarnation, xid, id, horizon: None }),
            [incarnation, xid, id, horizon] => Ok(Cursor { incarnation, xid, id, horizon: Some(horizon) }),
            _ => Err(NoCursor),
        }
    }
}

/// The oldest transaction that is still under way, as SQL: of the same moment as the statement that it stands in.
pub(crate) fn horizon_sql(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)",
        _ => "CAST(9223372036854775807 AS BIGINT)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for text in ["1.0.57", "3.812.9.800"] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
        for bad in ["", "57", "1.2", "1.2.x", "1.2.-3", "1.2.3.4.5", "1..3", "99999999999999999999.0.1"] {
            assert_eq!(bad.parse::<Cursor>(), Err(NoCursor), "{bad}");
        }
        let beyond: Cursor = "1.9.4.7".parse().unwrap();
        assert_eq!((beyond.position(false), beyond.position(true)), ((7, 0), (9, 4)));
    }
}

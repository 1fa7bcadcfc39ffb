//! Pages that a connection remembers for as long as nothing has changed.
//!
//! The same statement with the same values, asked of the same state of the database, gives the same answer. A connection of the
//! shortcut changes nothing itself, and SQLite tells it whether anybody else has committed anything since it last asked
//! (`PRAGMA data_version`), in this process or another. So nobody has to say what has become old, and nothing old is ever
//! given: any commit at all, and a connection forgets everything.

use crate::StoreResult;
use bytes::Bytes;
use rusqlite::Connection;
use std::cell::RefCell;
use std::collections::HashMap;

/// So many bytes of answers does a connection remember; whatever comes then makes it forget the others.
const MOST_BYTES: usize = 2 << 20;

/// An answer that is longer is not remembered: it is part of a list that somebody reads from its beginning to its end.
const LONGEST: usize = 128 << 10;

/// Some rows of a list, as a JSON array; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The array.
    pub json: Bytes,
    /// How many rows it has.
    pub count: usize,
    /// The id of the last one.
    pub last: Option<i64>,
}

/// What one connection remembers.
#[derive(Default)]
pub(super) struct Answers(RefCell<Kept>);

#[derive(Default)]
struct Kept {
    /// Of the database, as this connection counts.
    version: i64,
    bytes: usize,
    pages: HashMap<String, Page>,
}

impl Answers {
    /// The answer to `question`, if it is remembered.
    pub(super) fn known(&self, connection: &Connection, question: &str) -> StoreResult<Option<Page>> {
        let version =
            connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get::<_, i64>(0))?;
        let mut kept = self.0.borrow_mut();
        if kept.version != version {
            *kept = Kept { version, ..Kept::default() };
        }
        Ok(kept.pages.get(question).cloned())
    }

    /// Remembers an answer that was read after [`Answers::known`] knew none. If anything was committed in between, the next who
    /// asks finds another version than was seen then, and all is forgotten.
    pub(super) fn keep(&self, question: String, page: &Page) {
        let bytes = question.len() + page.json.len();
        if bytes > LONGEST {
            return;
        }
        let mut kept = self.0.borrow_mut();
        if kept.bytes + bytes > MOST_BYTES {
            (kept.bytes, kept.pages) = (0, HashMap::new());
        }
        kept.bytes += bytes;
        kept.pages.insert(question, page.clone());
    }
}

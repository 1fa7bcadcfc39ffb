//! Rows, read by position.
//!
//! A row struct says which column each of its fields is, once, in [`cells!`](crate::cells::cells); the select list and the
//! reading both come from that, so that they cannot drift apart. It is read the same from either engine, and from SQLite
//! without `SeaORM` in between: looking each column up by its name costs more than finding the row
//! (docs/design/0006-reading-sqlite-directly.md).

use crate::{StoreError, StoreResult};
use sea_orm::{QueryResult, TryGetable};

/// What one column holds, on either engine.
pub(crate) trait Cell: TryGetable + rusqlite::types::FromSql {}
impl<T: TryGetable + rusqlite::types::FromSql> Cell for T {}

/// Whose row it is.
enum Source<'r> {
    Orm(&'r QueryResult),
    Sqlite(&'r rusqlite::Row<'r>),
}

/// The columns of one row, one after the other.
pub(crate) struct Cells<'r> {
    source: Source<'r>,
    next: usize,
}

impl<'r> Cells<'r> {
    pub(crate) fn of_orm(row: &'r QueryResult) -> Self {
        Cells { source: Source::Orm(row), next: 0 }
    }

    pub(crate) fn of_sqlite(row: &'r rusqlite::Row<'r>) -> Self {
        Cells { source: Source::Sqlite(row), next: 0 }
    }

    /// The next column.
    pub(crate) fn next<T: Cell>(&mut self) -> StoreResult<T> {
        let at = self.next;
        self.next += 1;
        match self.source {
            Source::Orm(row) => Ok(row.try_get_by_index(at)?),
            Source::Sqlite(row) => row.get(at).map_err(|error| StoreError::Damaged {
                what: "column",
                why: format!("number {at}: {error}"),
            }),
        }
    }
}

/// A row that is read by position.
pub(crate) trait FromCells: Sized + Send + 'static {
    /// What to select, in the order of the fields.
    const COLUMNS: &'static [&'static str];

    /// Reads it.
    fn from_cells(cells: &mut Cells<'_>) -> StoreResult<Self>;

    /// [`FromCells::COLUMNS`] as SQL.
    fn select_list() -> String {
        Self::COLUMNS.join(", ")
    }
}

/// A row struct of which each field says what column it is, as SQL.
macro_rules! cells {
    ($(#[$attribute:meta])* struct $name:ident { $($field:ident: $type:ty = $column:literal,)* }) => {
        $(#[$attribute])*
        struct $name {
            $($field: $type,)*
        }

        impl $crate::cells::FromCells for $name {
            const COLUMNS: &'static [&'static str] = &[$($column),*];

            fn from_cells(cells: &mut $crate::cells::Cells<'_>) -> $crate::StoreResult<Self> {
                // Fields of a struct expression are evaluated in the order in which they are written.
                Ok($name { $($field: cells.next()?,)* })
            }
        }
    };
}
pub(crate) use cells;

//! Rows, read by position.
//!
//! A row struct says which column each of its fields is, once, in [`cells!`](crate::cells::cells); the select list and the
//! reading both come from that, so that they cannot drift apart. It is read the same from either engine, and from SQLite
//! without `SeaORM` in between: looking each column up by its name costs more than finding the row, and so does a text
//! that is copied where it could be lent (docs/design/0006-reading-sqlite-directly.md).

use crate::addresses::Octets;
use crate::{StoreError, StoreResult};
use rusqlite::types::{FromSql as _, FromSqlError, FromSqlResult, ValueRef};
use sea_orm::{QueryResult, TryGetable};
use std::borrow::Cow;
use uuid::Uuid;

/// A text: lent where SQLite holds it, a copy of what PostgreSQL sent.
pub(crate) type Text<'r> = Cow<'r, str>;

/// What one column holds, on either engine.
pub(crate) trait Cell<'r>: Sized {
    /// What `SeaORM` gives for it.
    type Owned: TryGetable;
    /// Makes it of that.
    fn of_owned(owned: Self::Owned) -> Self;
    /// Reads what SQLite holds.
    fn of_sqlite(value: ValueRef<'r>) -> FromSqlResult<Self>;
}

macro_rules! copied {
    ($($type:ty),*) => {$(
        impl<'r> Cell<'r> for $type {
            type Owned = $type;
            fn of_owned(owned: $type) -> Self {
                owned
            }
            fn of_sqlite(value: ValueRef<'r>) -> FromSqlResult<Self> {
                <$type>::column_result(value)
            }
        }
    )*};
}
copied!(i64, bool, String, Uuid, Octets);

impl<'r> Cell<'r> for Text<'r> {
    type Owned = String;
    fn of_owned(owned: String) -> Self {
        Cow::Owned(owned)
    }
    fn of_sqlite(value: ValueRef<'r>) -> FromSqlResult<Self> {
        value.as_str().map(Cow::Borrowed)
    }
}

impl<'r, T: Cell<'r>> Cell<'r> for Option<T>
where
    Option<T::Owned>: TryGetable,
{
    type Owned = Option<T::Owned>;
    fn of_owned(owned: Self::Owned) -> Self {
        owned.map(T::of_owned)
    }
    fn of_sqlite(value: ValueRef<'r>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Null => Ok(None),
            value => T::of_sqlite(value).map(Some),
        }
    }
}

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

    pub(crate) fn of_sqlite(row: &'r rusqlite::Row<'_>) -> Self {
        Cells { source: Source::Sqlite(row), next: 0 }
    }

    /// The next column.
    pub(crate) fn next<T: Cell<'r>>(&mut self) -> StoreResult<T> {
        let at = self.next;
        self.next += 1;
        match self.source {
            Source::Orm(row) => Ok(T::of_owned(row.try_get_by_index(at)?)),
            Source::Sqlite(row) => {
                let damaged = |error: &dyn std::fmt::Display| StoreError::Damaged {
                    what: "column",
                    why: format!("number {at}: {error}"),
                };
                let value = row.get_ref(at).map_err(|error| damaged(&error))?;
                T::of_sqlite(value).map_err(|error: FromSqlError| damaged(&error))
            }
        }
    }
}

/// A row that is read by position.
pub(crate) trait FromCells<'r>: Sized {
    /// Reads it.
    fn from_cells(cells: &mut Cells<'r>) -> StoreResult<Self>;
}

/// A row struct of which each field says what column it is, as SQL. `COLUMNS` is what to select, in the order of the fields.
macro_rules! cells {
    ($(#[$attribute:meta])* struct $name:ident<$row:lifetime> { $($fields:tt)* }) => {
        $crate::cells::cells! { @ $(#[$attribute])* [$name<$row>] $row { $($fields)* } }
    };
    ($(#[$attribute:meta])* struct $name:ident { $($fields:tt)* }) => {
        $crate::cells::cells! { @ $(#[$attribute])* [$name] 'r { $($fields)* } }
    };
    (@ $(#[$attribute:meta])* [$name:ident $(<$own:lifetime>)?] $row:lifetime
        { $($field:ident: $type:ty = $column:literal,)* }) => {
        $(#[$attribute])*
        pub(super) struct $name $(<$own>)? {
            $(pub(super) $field: $type,)*
        }

        impl $(<$own>)? $name $(<$own>)? {
            pub(super) const COLUMNS: &'static [&'static str] = &[$($column),*];
        }

        impl<$row> $crate::cells::FromCells<$row> for $name $(<$own>)? {
            fn from_cells(cells: &mut $crate::cells::Cells<$row>) -> $crate::StoreResult<Self> {
                // Fields of a struct expression are evaluated in the order in which they are written.
                Ok($name { $($field: cells.next()?,)* })
            }
        }
    };
}
pub(crate) use cells;

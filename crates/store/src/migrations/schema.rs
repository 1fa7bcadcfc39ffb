//! Small words in which migrations are written.

use sea_orm_migration::prelude::*;

/// A table, to which columns are added.
pub(super) fn table(name: &'static str) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name);
    table
}

/// An id that is never used twice.
pub(super) fn id() -> ColumnDef {
    let mut column = ColumnDef::new("id");
    column.big_integer().not_null().auto_increment().primary_key();
    column
}

/// A foreign key.
pub(super) fn references(from: &'static str, to: &'static str) -> ForeignKeyCreateStatement {
    let mut key = ForeignKey::create();
    key.from_col(from).to(to, "id");
    key
}

/// A unique index; `living` is the condition under which a row counts.
pub(super) fn unique(
    name: &str,
    table: &'static str,
    columns: &[&'static str],
    living: Option<&'static str>,
) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(table).unique();
    for column in columns {
        index.col(*column);
    }
    if let Some(column) = living {
        index.and_where(Expr::col(column).is_null());
    }
    index
}

/// An index.
pub(super) fn index(name: &str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(table);
    for column in columns {
        index.col(*column);
    }
    index
}

//! Which tables and columns a statement is about.

use super::block::{Block, blocks, resolve};
use super::names::shown;
use super::{columns, parse};
use serde::Serialize;
use sqlparser::ast::{Expr, SelectItem, Statement, TableObject};
use std::collections::BTreeMap;

/// More than this for one statement helps nobody.
const MOST_TABLES: usize = 32;
const MOST_COLUMNS: usize = 64;

/// A table that a statement names, and those of its columns that are known to be its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Columns by which rows are chosen, joined, sorted or shown, in alphabetical order.
    pub columns: Vec<String>,
}

/// The tables of a statement, in alphabetical order; none, if it does not parse.
pub fn tables(statement: &[u8]) -> Vec<Table> {
    let Some(parsed) = parse::parse(statement) else { return Vec::new() };
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if let Statement::Insert(insert) = &parsed
        && let TableObject::TableName(name) = &insert.table
    {
        found.insert(shown(&columns::parts(name).join(".")), Vec::new());
    }
    for block in blocks(&parsed) {
        for name in block.tables.iter().filter_map(|table| table.name.as_ref()) {
            found.entry(shown(name)).or_default();
        }
        for column in expressions(&block).into_iter().flat_map(columns::columns_in) {
            let Some((table, column)) = resolve(&block, column) else { continue };
            let Some(name) = &block.tables[table].name else { continue };
            let known = found.entry(shown(name)).or_default();
            if known.len() < MOST_COLUMNS {
                known.push(shown(column));
            }
        }
    }
    let table = |(name, mut columns): (String, Vec<String>)| {
        columns.sort();
        columns.dedup();
        Table { name, columns }
    };
    found.into_iter().take(MOST_TABLES).map(table).collect()
}

fn expressions<'sql>(block: &Block<'sql>) -> Vec<&'sql Expr> {
    let mut all: Vec<&Expr> = block.conditions.iter().map(|condition| condition.expression).collect();
    all.extend(block.order.iter().map(|order| &order.expr));
    let Some(select) = block.select else { return all };
    all.extend(select.having.as_ref());
    if let sqlparser::ast::GroupByExpr::Expressions(list, _) = &select.group_by {
        all.extend(list);
    }
    for item in &select.projection {
        if let SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. } = item
        {
            all.push(expression);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::tables;

    fn check(statement: &str, expected: &str) {
        let found: Vec<String> = tables(statement.as_bytes())
            .iter()
            .map(|table| format!("{}({})", table.name, table.columns.join(",")))
            .collect();
        assert_eq!(found.join(" "), expected, "{statement}");
    }

    #[test]
    fn tables_and_their_columns() {
        check(
            "SELECT a, SUM(b) FROM shop.orders WHERE c = ? GROUP BY d ORDER BY e LIMIT ?",
            "shop.orders(a,b,c,d,e)",
        );
        check(
            "SELECT o.id, u.mail FROM orders o JOIN users u ON u.id = o.user_id WHERE u.mail LIKE ?",
            "orders(id,user_id) users(id,mail)",
        );
        // Whose a bare column is of two tables nobody knows.
        check("SELECT x FROM a, b WHERE y = ?", "a() b()");
        check("UPDATE carts SET n = ? WHERE id = ?", "carts(id)");
        check("DELETE FROM carts WHERE age > ?", "carts(age)");
        check("INSERT INTO posts (a, b) VALUES (?, ?)", "posts()");
        check("SELECT * FROM a WHERE id IN (SELECT a_id FROM b WHERE b.c = ?)", "a(id) b(c)");
        check("SELECT 1", "");
        check("SELECT * FROM t WHERE a = 'open", "");
    }
}

//! Indexes that are worth trying: for each table the columns that are compared for equality, then one range, then the order.
//!
//! A log does not show which indexes there are. So nothing is said unless far more rows were read than sent, nor of a
//! column `id`, which nearly always is the primary key, nor where the statement says itself which index it wants.

use super::block::{Block, Limited, Place, Purpose, resolve};
use super::columns::column_of;
use super::conditions::{Comparison, comparison, equal_columns};
use super::names::shown;
use super::{Advice, Confidence, IndexCandidate, Rule};
use crate::digest::Measures;
use sqlparser::ast::{Expr, OrderBySort, SelectItem};

/// Fewer rows than this are read soon enough without an index.
const FEW_ROWS: u64 = 1000;
/// So many rows read for each one sent (or changed) are what an index could help with.
const WASTE: u64 = 10;
/// More columns make an index that is dear to keep, and hardly find less.
const MOST_EQUAL: usize = 4;
const MOST_COLUMNS: usize = 6;

pub(super) fn advise(blocks: &[Block<'_>], measures: &Measures, out: &mut Vec<Advice>) {
    let count = measures.count.max(1);
    if measures.rows_examined.sum / count < FEW_ROWS {
        return;
    }
    for block in blocks.iter().filter(|block| block.complete) {
        let useful = measures.rows_sent.sum.max(measures.rows_affected.sum);
        if measures.rows_examined.sum < useful.saturating_mul(WASTE) {
            continue;
        }
        for at in 0..block.tables.len() {
            let Some(wanted) = Wanted::of(block, at).filter(|wanted| !wanted.columns.is_empty()) else {
                continue;
            };
            let alone = blocks.len() == 1 && block.tables.len() == 1;
            out.extend(wanted.advice(block, at, confidence(measures, alone, block), measures));
        }
    }
}

fn confidence(measures: &Measures, alone: bool, block: &Block<'_>) -> Confidence {
    let most = |part: u64| part * 2 > measures.count;
    // How many rows were changed is not in every log, nor what INSERT … SELECT moved.
    let sends = block.place == Place::Outermost && block.purpose == Purpose::Select;
    let wasted =
        !block.groups() && measures.rows_examined.sum >= measures.rows_sent.sum.saturating_mul(WASTE * WASTE);
    let scanned = most(measures.full_scans) || most(measures.full_joins);
    if alone && sends && (scanned || wasted) { Confidence::Likely } else { Confidence::Possible }
}

/// An index's columns, and what each is for.
#[derive(Default)]
struct Wanted<'sql> {
    columns: Vec<(&'sql str, &'static str)>,
}

impl<'sql> Wanted<'sql> {
    /// What would help to find rows of this table. None where nothing certain can be said.
    fn of(block: &Block<'sql>, at: usize) -> Option<Self> {
        let table = &block.tables[at];
        if table.name.is_none() || table.hinted {
            return None;
        }
        let found = Found::of(block, at);
        let mut wanted = Self::default();
        let driven = found.own() == 0
            && (0..block.tables.len()).any(|other| other != at && Found::of(block, other).own() > 0);
        if table.optional || driven {
            wanted.push_all(&found.joined, "joined");
            if wanted.columns.is_empty() {
                return None;
            }
        }
        wanted.push_all(&found.equal, "equality");
        wanted.push_all(&found.listed, "list");
        wanted.columns.truncate(MOST_EQUAL);
        if wanted.columns.iter().any(|(column, _)| is_key(column)) {
            return None;
        }
        let order = order_of(block, at);
        match found.ranges.iter().find(|column| !wanted.has(column)) {
            Some(range) if is_key(range) && wanted.columns.is_empty() => return None,
            Some(range) => {
                wanted.push(range, "range");
                if order.first().is_some_and(|first| first.eq_ignore_ascii_case(range)) {
                    wanted.push_all(&order, "order");
                }
            }
            None if !found.listed.is_empty() || !found.ranges.is_empty() => {}
            // Without any condition an order helps those that stop early.
            None if wanted.columns.is_empty()
                && (!block.conditions.is_empty() || block.limited == Limited::No) => {}
            None if order.first().is_some_and(|first| is_key(first)) => {}
            None => wanted.push_all(&order, "order"),
        }
        // Every index ends with the primary key as it is.
        wanted.columns.retain(|(column, _)| !is_key(column));
        wanted.columns.truncate(MOST_COLUMNS);
        Some(wanted)
    }

    fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|(known, _)| known.eq_ignore_ascii_case(column))
    }

    fn push(&mut self, column: &'sql str, why: &'static str) {
        if !self.has(column) {
            self.columns.push((column, why));
        }
    }

    fn push_all(&mut self, columns: &[&'sql str], why: &'static str) {
        for column in columns {
            self.push(column, why);
        }
    }

    fn advice(
        &self,
        block: &Block<'_>,
        at: usize,
        confidence: Confidence,
        measures: &Measures,
    ) -> Option<Advice> {
        let table = shown(block.tables[at].name.as_deref()?);
        let uses: Vec<_> =
            self.columns.iter().map(|(column, why)| format!("{} ({why})", shown(column))).collect();
        let count = measures.count.max(1);
        let end = match block.purpose {
            Purpose::Select => format!("{} sent", measures.rows_sent.sum / count),
            Purpose::Change => format!("{} changed", measures.rows_affected.sum / count),
        };
        let reason = format!(
            "{table} is searched by {}, and on average {} rows are read and {end}: an index on these columns, in this order, \
             may find them. If there is one, EXPLAIN tells why it is not used.",
            uses.join(", "),
            measures.rows_examined.sum / count,
        );
        let columns = self.columns.iter().map(|(column, _)| shown(column)).collect();
        Some(Advice {
            index: Some(IndexCandidate { table, columns }),
            ..Advice::new(Rule::MissingIndex, confidence, reason)
        })
    }
}

/// By what rows of one table are chosen.
#[derive(Default)]
struct Found<'sql> {
    equal: Vec<&'sql str>,
    listed: Vec<&'sql str>,
    ranges: Vec<&'sql str>,
    joined: Vec<&'sql str>,
}

impl<'sql> Found<'sql> {
    fn of(block: &Block<'sql>, at: usize) -> Self {
        let mut found = Self::default();
        let optional = block.tables[at].optional;
        for condition in &block.conditions {
            // What WHERE says of the right side of a LEFT JOIN may be there to find what has none.
            let concerns = if optional { condition.only == Some(at) } else { condition.only.is_none() };
            if !concerns {
                continue;
            }
            if let Some((column, comparison)) = comparison(condition.expression)
                && let Some((table, column)) = resolve(block, column)
                && table == at
            {
                match comparison {
                    Comparison::Equal => found.equal.push(column),
                    Comparison::Listed => found.listed.push(column),
                    Comparison::Range => found.ranges.push(column),
                }
            }
            if let Some((one, other)) = equal_columns(condition.expression)
                && let (Some((one, its)), Some((other, others))) =
                    (resolve(block, one), resolve(block, other))
                && one != other
            {
                found.joined.extend((one == at).then_some(its));
                found.joined.extend((other == at).then_some(others));
            }
        }
        found
    }

    /// How many conditions there are that need no other table.
    fn own(&self) -> usize {
        self.equal.len() + self.listed.len() + self.ranges.len()
    }
}

fn is_key(column: &str) -> bool {
    column.eq_ignore_ascii_case("id")
}

/// The columns of ORDER BY, if an index on this table could give that order.
fn order_of<'sql>(block: &Block<'sql>, at: usize) -> Vec<&'sql str> {
    let sorts = |one: &Option<OrderBySort>| matches!(one, Some(OrderBySort::Desc));
    let one_way =
        block.order.windows(2).all(|pair| sorts(&pair[0].options.sort) == sorts(&pair[1].options.sort));
    if block.tables.len() > 1 || block.groups() || !one_way || block.place == Place::InExpression {
        return Vec::new();
    }
    let column = |expression: &'sql Expr| {
        let (_, name) =
            column_of(expression).filter(|(table, name)| table.is_some() || !is_alias(block, name))?;
        resolve(block, expression).filter(|(table, _)| *table == at).map(|_| name)
    };
    block.order.iter().map(|one| column(&one.expr)).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// Whether SELECT calls something by this name.
fn is_alias(block: &Block<'_>, name: &str) -> bool {
    block.select.is_some_and(|select| {
        select.projection.iter().any(|item| matches!(item, SelectItem::ExprWithAlias { alias, .. } if alias.value.eq_ignore_ascii_case(name)))
    })
}

#[cfg(test)]
mod tests {
    use super::Rule::MissingIndex;
    use crate::advice::advise;
    use crate::advice::testing::{measures, reads_much, said, silent};

    fn check(statement: &str, expected: &str) {
        let indexes: Vec<_> = advise(statement.as_bytes(), &reads_much())
            .into_iter()
            .filter_map(|advice| {
                let index = advice.index?;
                Some(format!("{} {}({})", advice.confidence.name(), index.table, index.columns.join(", ")))
            })
            .collect();
        assert_eq!(indexes.join("; "), expected, "{statement}");
    }

    #[test]
    fn equality_then_one_range_then_order() {
        check("SELECT total FROM orders WHERE customer_id = 42", "likely orders(customer_id)");
        check(
            "SELECT total FROM shop.orders o WHERE o.placed_at > '2026-01-01' AND 7 = o.customer_id AND o.total > 100",
            "likely shop.orders(customer_id, placed_at)",
        );
        check(
            "SELECT a FROM posts WHERE status = 'publish' AND type = 'post' ORDER BY published_at DESC, id DESC LIMIT 10",
            "likely posts(status, type, published_at)",
        );
        check(
            "SELECT a FROM posts WHERE author = 3 AND day > '2026-01-01' ORDER BY title",
            "likely posts(author, day)",
        );
        check(
            "SELECT a FROM posts WHERE author = 3 AND day > '2026-01-01' ORDER BY day, title",
            "likely posts(author, day, title)",
        );
        check("SELECT a FROM log ORDER BY created_at DESC LIMIT 20", "likely log(created_at)");
        check("SELECT a FROM t WHERE b IN (1, 2, 3) AND c = 4 ORDER BY d", "likely t(c, b)");
        check(
            "SELECT a FROM t WHERE name LIKE 'smith%' AND deleted_at IS NULL",
            "likely t(deleted_at, name)",
        );
        check("SELECT COUNT(*) FROM t WHERE b = 1", "possible t(b)");
        check(
            "UPDATE jobs SET state = 'done' WHERE queue = 'mail' AND run_at < NOW() - INTERVAL 1 DAY",
            "possible jobs(queue, run_at)",
        );
        check("DELETE FROM sessions WHERE expires < 1700000000", "possible sessions(expires)");
        check("INSERT INTO archive SELECT a FROM t WHERE b = 1", "possible t(b)");
    }

    #[test]
    fn joins() {
        check(
            "SELECT o.total FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.email = 'x@example.org'",
            "possible customers(email); possible orders(customer_id)",
        );
        check(
            "SELECT c.name FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND o.state = 'open' WHERE o.id IS NULL",
            "possible orders(customer_id, state)",
        );
        check("SELECT a.x FROM t a, u b WHERE a.k = b.k AND b.y = 1", "possible t(k); possible u(y)");
        check("SELECT a.x FROM t a WHERE a.k IN (SELECT b.k FROM u b WHERE b.y = 1)", "possible u(y)");
    }

    #[test]
    fn the_reason_tells_what_each_column_is_for() {
        assert_eq!(
            said(MissingIndex, "SELECT x FROM t WHERE a = 'secret' AND b > 5", &reads_much()),
            "likely: t is searched by a (equality), b (range), and on average 50000 rows are read and 1 sent: an index on these \
             columns, in this order, may find them. If there is one, EXPLAIN tells why it is not used. [t(a, b)]\n"
        );
    }

    #[test]
    fn it_is_silent_where_it_is_not_certain() {
        let statements = [
            "SELECT a FROM t WHERE id = 1",
            "SELECT a FROM t WHERE id > 5 ORDER BY id LIMIT 10",
            "SELECT a FROM t, u WHERE b = 1",
            "SELECT a FROM t FORCE INDEX (x) WHERE b = 1",
            "SELECT a FROM t WHERE b = 1 OR c = 2",
            "SELECT a FROM t WHERE b <> 1 AND c NOT IN (1, 2) AND d NOT LIKE 'x%'",
            "SELECT a FROM t WHERE LOWER(b) = 'x'",
            "SELECT a FROM t WHERE b = RAND()",
            "SELECT a FROM t WHERE b = c",
            "SELECT a FROM (SELECT 1 AS a) t WHERE a = 1",
            "WITH t AS (SELECT 1 AS a) SELECT a FROM t WHERE a = 1",
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'x'",
            "SELECT x.a FROM t x JOIN t x ON x.a = x.b WHERE x.a = 1",
            "SELECT 1 FROM u WHERE u.id IN (SELECT b FROM t WHERE c = 1)",
            "SELECT a FROM t ORDER BY b",
            "SELECT a * 2 AS b FROM t ORDER BY b LIMIT 10",
            "SELECT a FROM t WHERE @b = 1",
        ];
        silent(MissingIndex, &statements, &reads_much());
        silent(MissingIndex, &["SELECT a FROM t WHERE b = 1"], &measures(500, 1));
        silent(MissingIndex, &["SELECT a FROM t WHERE b = 1"], &measures(50_000, 50_000));
    }
}

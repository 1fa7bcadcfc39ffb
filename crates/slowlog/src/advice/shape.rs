//! What a statement asks for as a whole: all columns, all rows, rows far down, every row with every row.

use super::block::{Block, Limited, Place, Purpose, resolve};
use super::columns::{columns_in, is_plain, number_of};
use super::conditions::{Comparison, comparison};
use super::names::shown;
use super::{Advice, Confidence, Rule};
use crate::digest::Measures;
use sqlparser::ast::{LimitClause, SelectItem};

/// Skipping so many rows is skipping many.
const MANY_SKIPPED: u64 = 10_000;
/// Sending so many is sending many.
const MANY_SENT: u64 = 10_000;

pub(super) fn advise(blocks: &[Block<'_>], measures: &Measures, out: &mut Vec<Advice>) {
    for block in blocks {
        out.extend(huge_offset(block));
        out.extend(implicit_cross_join(block));
        if block.place == Place::Outermost && block.purpose == Purpose::Select {
            out.extend(select_star(block));
            out.extend(no_limit(block, measures));
        }
    }
}

fn huge_offset(block: &Block<'_>) -> Option<Advice> {
    let offset = match block.limit? {
        LimitClause::LimitOffset { offset, .. } => &offset.as_ref()?.value,
        LimitClause::OffsetCommaLimit { offset, .. } => offset,
    };
    (number_of(offset)? >= MANY_SKIPPED).then(|| {
        let reason = format!(
            "OFFSET skips {MANY_SKIPPED} rows or more, and each of them is read first. Remember where the page before ended, and ask for \
             what comes after it (WHERE column > last … ORDER BY column LIMIT …)."
        );
        Advice::new(Rule::HugeOffset, Confidence::Certain, reason)
    })
}

fn select_star(block: &Block<'_>) -> Option<Advice> {
    let stars = block.select?.projection.iter().any(|item| match item {
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => true,
        SelectItem::UnnamedExpr(_)
        | SelectItem::ExprWithAlias { .. }
        | SelectItem::ExprWithAliases { .. } => false,
    });
    let real = !block.tables.is_empty() && block.tables.iter().all(|table| table.name.is_some());
    let confidence = if block.tables.len() > 1 { Confidence::Likely } else { Confidence::Possible };
    (stars && real).then(|| {
        let reason = "SELECT * fetches every column, large ones too, and no index holds them all. Name those that are needed.";
        Advice::new(Rule::SelectStar, confidence, reason)
    })
}

fn no_limit(block: &Block<'_>, measures: &Measures) -> Option<Advice> {
    let sent = measures.rows_sent.sum / measures.count.max(1);
    (block.limited == Limited::No && !block.tables.is_empty() && sent >= MANY_SENT).then(|| {
        let reason = format!(
            "{sent} rows are sent on average, and there is no LIMIT. Fetch pages, or let the server add up what is added up afterwards."
        );
        Advice::new(Rule::NoLimit, Confidence::Likely, reason)
    })
}

/// Two tables, both of which have rows of their own, and nothing that joins them, neither directly nor by others.
fn implicit_cross_join(block: &Block<'_>) -> Option<Advice> {
    if block.tables.len() < 2 || !block.complete {
        return None;
    }
    let mut group: Vec<usize> = (0..block.tables.len()).collect();
    let mut join = |one: usize, other: usize| {
        let (from, to) = (group[one], group[other]);
        group.iter_mut().filter(|at| **at == from).for_each(|at| *at = to);
    };
    block.joined.iter().for_each(|(one, other)| join(*one, *other));
    // A table of which one value is chosen may have one row, or be joined by that value.
    let mut chosen = vec![false; block.tables.len()];
    for condition in &block.conditions {
        if !is_plain(condition.expression) {
            return None;
        }
        // A column of which it is not known whose it is may join anything.
        let found: Vec<_> = columns_in(condition.expression)
            .into_iter()
            .map(|column| resolve(block, column).map(|(at, _)| at))
            .collect::<Option<_>>()?;
        found.windows(2).for_each(|pair| join(pair[0], pair[1]));
        if let Some((_, Comparison::Equal)) = comparison(condition.expression) {
            for at in found {
                chosen[at] = true;
            }
        }
    }
    let alone = |at: &usize| {
        let members = || (0..group.len()).filter(|other| group[*other] == group[*at]);
        members().all(|member| block.tables[member].name.is_some() && !chosen[member])
    };
    let first = (0..group.len()).find(alone)?;
    let other = (0..group.len()).filter(|at| group[*at] != group[first]).find(alone)?;
    let name = |at: usize| block.tables[at].name.as_deref().map(shown);
    let reason = format!(
        "Nothing joins {} with {}: every row of one is combined with every row of the other. If that is meant, CROSS JOIN says so.",
        name(first)?,
        name(other)?,
    );
    Some(Advice::new(Rule::ImplicitCrossJoin, Confidence::Likely, reason))
}

#[cfg(test)]
mod tests {
    use super::Rule::{HugeOffset, ImplicitCrossJoin, NoLimit, SelectStar};
    use crate::advice::testing::{measures, reads_much, said, silent};

    fn check(rule: crate::advice::Rule, statement: &str, beginning: &str) {
        let said = said(rule, statement, &reads_much());
        assert!(said.starts_with(beginning), "{statement}: {said}");
    }

    #[test]
    fn a_huge_offset() {
        for statement in [
            "SELECT a FROM t ORDER BY b LIMIT 20 OFFSET 123457",
            "SELECT a FROM t ORDER BY b LIMIT 123457, 20",
            "SELECT a FROM (SELECT b FROM t LIMIT 123457, 20) d",
        ] {
            check(HugeOffset, statement, "certain: OFFSET skips 10000 rows or more");
            assert!(!said(HugeOffset, statement, &reads_much()).contains("123457"));
        }
        silent(
            HugeOffset,
            &["SELECT a FROM t LIMIT 100, 20", "SELECT a FROM t LIMIT 123457", "SELECT a FROM t LIMIT ?, ?"],
            &reads_much(),
        );
    }

    #[test]
    fn select_star() {
        check(SelectStar, "SELECT * FROM t WHERE id = 1", "possible: SELECT * fetches");
        check(
            SelectStar,
            "SELECT o.*, c.name FROM orders o JOIN customers c ON c.id = o.customer",
            "likely: SELECT * fetches",
        );
        let silent_ones = [
            "SELECT COUNT(*) FROM t",
            "SELECT a FROM t WHERE EXISTS (SELECT * FROM u WHERE u.t = t.id)",
            "SELECT a FROM (SELECT * FROM t) d",
            "SELECT * FROM (SELECT a FROM t) d",
            "SELECT a * b FROM t",
            "INSERT INTO u SELECT * FROM t",
        ];
        silent(SelectStar, &silent_ones, &reads_much());
    }

    #[test]
    fn no_limit() {
        assert!(
            said(NoLimit, "SELECT a FROM t", &measures(20_000, 20_000))
                .starts_with("likely: 20000 rows are sent on average")
        );
        silent(NoLimit, &["SELECT a FROM t"], &measures(20_000, 500));
        let silent_ones =
            ["SELECT a FROM t LIMIT 50000", "DELETE FROM t WHERE a = 1", "INSERT INTO u SELECT a FROM t"];
        silent(NoLimit, &silent_ones, &measures(20_000, 20_000));
    }

    #[test]
    fn an_implicit_cross_join() {
        check(
            ImplicitCrossJoin,
            "SELECT o.a FROM orders o, customers c WHERE o.total > 5",
            "likely: Nothing joins orders with customers:",
        );
        check(
            ImplicitCrossJoin,
            "SELECT 1 FROM a, b JOIN c ON c.x > 5, d WHERE a.x = d.x",
            "likely: Nothing joins a with b:",
        );
        let silent_ones = [
            "SELECT o.a FROM orders o, customers c WHERE o.customer = c.id",
            "SELECT o.a FROM orders o, customers c WHERE customer = c.id",
            "SELECT o.a FROM orders o, customers c WHERE o.customer = c.id OR o.x = 1",
            "SELECT 1 FROM a, b, c WHERE a.x = b.x AND c.y = a.y",
            "SELECT 1 FROM a CROSS JOIN b",
            "SELECT 1 FROM a JOIN b USING (x)",
            "SELECT 1 FROM a NATURAL JOIN b",
            "SELECT 1 FROM a, (SELECT @n := 0) r",
            "SELECT 1 FROM a, settings s WHERE s.name = 'x'",
            "SELECT 1 FROM a, b WHERE a.x IN (SELECT c.x FROM c WHERE c.y = b.y)",
            "SELECT 1 FROM a",
        ];
        silent(ImplicitCrossJoin, &silent_ones, &reads_much());
    }
}

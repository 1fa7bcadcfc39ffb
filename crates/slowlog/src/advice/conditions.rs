//! Conditions that an index cannot serve: a function on a column, a leading wildcard, OR across columns, very long lists.

use super::block::{Block, resolve};
use super::columns::{
    arguments, bare, branches, column_of, columns_in, conjuncts, is_constant, is_null, is_plain, parts,
    text_of,
};
use super::names::shown;
use super::{Advice, Confidence, Rule};
use sqlparser::ast::{BinaryOperator, Expr, InTarget};

/// From so many values on, a list is long.
const LONG_LIST: usize = 1000;

/// How a column is compared with what is the same for every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// With one value.
    Equal,
    /// With several.
    Listed,
    /// With a span.
    Range,
}

/// The column that is compared, if an index could serve it.
pub(super) fn comparison(expression: &Expr) -> Option<(&Expr, Comparison)> {
    let column = |expression| column_of(expression).map(|_| expression);
    match bare(expression) {
        Expr::BinaryOp { left, op, right } => {
            let how = match op {
                BinaryOperator::Eq | BinaryOperator::Spaceship => Comparison::Equal,
                BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq => {
                    Comparison::Range
                }
                _ => return None,
            };
            let (column, value) = match column(left) {
                Some(column) => (column, right),
                None => (column(right)?, left),
            };
            // Nothing equals NULL, and nothing is more or less.
            let never = is_null(value) && *op != BinaryOperator::Spaceship;
            (is_constant(value) && !never).then_some((column, how))
        }
        Expr::IsNull(inner) => Some((column(inner)?, Comparison::Equal)),
        Expr::In { expr, target: InTarget::List(list), negated: false, .. }
            if list.iter().all(is_constant) =>
        {
            Some((column(expr)?, if list.len() == 1 { Comparison::Equal } else { Comparison::Listed }))
        }
        Expr::Between { expr, negated: false, low, high } if is_constant(low) && is_constant(high) => {
            Some((column(expr)?, Comparison::Range))
        }
        Expr::Like { negated: false, expr, pattern, .. } => {
            let text = text_of(pattern)?;
            (!text.is_empty() && !text.starts_with(['%', '_', '?']))
                .then_some((column(expr)?, Comparison::Range))
        }
        _ => None,
    }
}

/// Two columns that have to be equal.
pub(super) fn equal_columns(expression: &Expr) -> Option<(&Expr, &Expr)> {
    match bare(expression) {
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right }
            if column_of(left).is_some() && column_of(right).is_some() =>
        {
            Some((left, right))
        }
        _ => None,
    }
}

pub(super) fn advise(blocks: &[Block<'_>], out: &mut Vec<Advice>) {
    for block in blocks {
        // Where something else finds the rows, these may cost nothing.
        let found = block.conditions.iter().any(|condition| {
            matches!(comparison(condition.expression), Some((_, Comparison::Equal | Comparison::Listed)))
        });
        let confidence = if found { Confidence::Possible } else { Confidence::Likely };
        for condition in &block.conditions {
            for leaf in leaves(condition.expression) {
                out.extend(leading_wildcard(block, leaf, confidence));
                out.extend(function_on_column(block, leaf, confidence));
                out.extend(long_list(leaf));
            }
            out.extend(or_across_columns(block, condition.expression, confidence));
        }
    }
}

/// All that AND and OR hold together, in order.
fn leaves(expression: &Expr) -> Vec<&Expr> {
    let (mut stack, mut found) = (vec![expression], Vec::new());
    while let Some(expression) = stack.pop() {
        match bare(expression) {
            Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
                stack.extend([&**right, &**left]);
            }
            other => found.push(other),
        }
    }
    found
}

/// A column as it is written; not one of a table that has no indexes.
fn written(block: &Block<'_>, expression: &Expr) -> Option<String> {
    let (table, column) = column_of(expression)?;
    if let Some((at, _)) = resolve(block, expression)
        && block.tables[at].name.is_none()
    {
        return None;
    }
    Some(table.map_or_else(|| shown(column), |table| format!("{}.{}", shown(table), shown(column))))
}

fn leading_wildcard(block: &Block<'_>, leaf: &Expr, confidence: Confidence) -> Option<Advice> {
    let Expr::Like { negated: false, expr, pattern, .. } = leaf else {
        return None;
    };
    let column = written(block, expr)?;
    let first = match bare(pattern) {
        Expr::Function(function)
            if parts(&function.name).last().is_some_and(|name| name.eq_ignore_ascii_case("concat")) =>
        {
            text_of(arguments(function)?.first()?)?
        }
        pattern => text_of(pattern)?,
    };
    first.starts_with(['%', '_']).then(|| {
        let reason = format!(
            "{column} is compared by LIKE with a pattern that begins with a wildcard, so no index on it can find where to begin. A \
             FULLTEXT index finds words; a column with the text turned round finds endings."
        );
        Advice::new(Rule::LeadingWildcard, confidence, reason)
    })
}

fn function_on_column(block: &Block<'_>, leaf: &Expr, confidence: Confidence) -> Option<Advice> {
    let wrapped = match leaf {
        Expr::BinaryOp { left, op, right } => {
            use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, Spaceship};
            if !matches!(op, Eq | Spaceship | Lt | LtEq | Gt | GtEq) {
                return None;
            }
            if is_constant(right) {
                left
            } else if is_constant(left) {
                right
            } else {
                return None;
            }
        }
        Expr::Between { expr, negated: false, low, high } if is_constant(low) && is_constant(high) => expr,
        Expr::In { expr, target: InTarget::List(list), negated: false, .. }
            if list.iter().all(is_constant) =>
        {
            expr
        }
        _ => return None,
    };
    let function = function_of(bare(wrapped))?;
    if !is_plain(wrapped) {
        return None;
    }
    let columns = columns_in(wrapped);
    let column = written(block, columns.first()?)?;
    let one = columns.iter().all(|other| column_of(other) == column_of(columns[0]));
    one.then(|| {
        let reason = format!(
            "{function}() is applied to {column} before it is compared, so an index on {column} is not used. Compare the column itself \
             (a day as a span of time), or index the expression (MySQL 8) or a generated column."
        );
        Advice::new(Rule::FunctionOnColumn, confidence, reason)
    })
}

/// What a function is called. None for what indexes of another kind serve.
fn function_of(expression: &Expr) -> Option<String> {
    let name = match expression {
        Expr::Function(function) => {
            let name = parts(&function.name).last()?.to_ascii_uppercase();
            let served = ["ST_", "MBR", "JSON_", "MATCH"].iter().any(|prefix| name.starts_with(prefix));
            return (!served).then(|| shown(&name));
        }
        Expr::Cast { .. } => "CAST",
        Expr::Convert { .. } => "CONVERT",
        Expr::Extract { .. } => "EXTRACT",
        Expr::Substring { .. } => "SUBSTRING",
        Expr::Trim { .. } => "TRIM",
        Expr::Ceil { .. } => "CEIL",
        Expr::Floor { .. } => "FLOOR",
        _ => return None,
    };
    Some(name.to_owned())
}

fn long_list(leaf: &Expr) -> Option<Advice> {
    match leaf {
        Expr::In { target: InTarget::List(list), .. } if list.len() >= LONG_LIST => {
            let reason = format!(
                "IN has {} values: each is parsed and planned every time. Put them into a (temporary) table and join it, or ask for them \
                 in parts.",
                list.len()
            );
            Some(Advice::new(Rule::LongInList, Confidence::Certain, reason))
        }
        _ => None,
    }
}

fn or_across_columns(block: &Block<'_>, condition: &Expr, confidence: Confidence) -> Option<Advice> {
    let branches = branches(condition);
    if branches.len() < 2 {
        return None;
    }
    let mut all: Vec<String> = Vec::new();
    let mut tables = Vec::new();
    let mut common: Option<Vec<String>> = None;
    for branch in branches {
        let mut columns = Vec::new();
        for part in conjuncts(branch) {
            // Where a branch could not be served by itself, OR is not what is in the way.
            if let Some((column, _)) = comparison(part) {
                tables.push(resolve(block, column)?.0);
                columns.push(written(block, column)?);
            }
        }
        let lower =
            |columns: &[String]| columns.iter().map(|column| column.to_lowercase()).collect::<Vec<_>>();
        let its = lower(&columns);
        if its.is_empty() {
            return None;
        }
        for column in columns {
            if !lower(&all).contains(&column.to_lowercase()) && all.len() < 5 {
                all.push(column);
            }
        }
        common = Some(common.map_or_else(
            || its.clone(),
            |common| common.into_iter().filter(|one| its.contains(one)).collect(),
        ));
    }
    if common.is_none_or(|common| !common.is_empty()) || all.len() < 2 {
        return None;
    }
    // Of one table the server may merge what two indexes find; of several it cannot.
    let merges = tables.windows(2).all(|pair| pair[0] == pair[1]);
    let confidence = if merges { Confidence::Possible } else { confidence };
    let reason = format!(
        "OR joins conditions on {}: no one index serves them, and a whole table is read unless each has its own and the server merges \
         them (EXPLAIN: index_merge). A UNION of one SELECT for each uses an index for each.",
        all.join(", ")
    );
    Some(Advice::new(Rule::OrAcrossColumns, confidence, reason))
}

#[cfg(test)]
mod tests {
    use super::Rule::{FunctionOnColumn, LeadingWildcard, LongInList, OrAcrossColumns};
    use crate::advice::testing::{reads_much, said, silent};

    fn check(rule: crate::advice::Rule, statement: &str, beginning: &str) {
        let said = said(rule, statement, &reads_much());
        assert!(said.starts_with(beginning), "{statement}: {said}");
    }

    #[test]
    fn a_leading_wildcard() {
        check(
            LeadingWildcard,
            "SELECT a FROM users WHERE email LIKE '%@example.org'",
            "likely: email is compared by LIKE",
        );
        check(
            LeadingWildcard,
            "SELECT a FROM users u WHERE u.shop = 3 AND (u.x = 1 OR u.n LIKE \"%x%\")",
            "possible: u.n is",
        );
        check(LeadingWildcard, "SELECT a FROM users WHERE n LIKE CONCAT('%', 'x')", "likely: n is");
        let silent_ones = [
            "SELECT a FROM users WHERE email LIKE 'bob%'",
            "SELECT a FROM users WHERE email NOT LIKE '%bob'",
            "SELECT a FROM users WHERE email LIKE '\\%bob'",
            "SELECT a FROM users WHERE email LIKE ?",
            "SELECT a FROM users WHERE email = '%bob'",
            "SELECT a FROM users WHERE LOWER(email) LIKE '%bob'",
            "SELECT a FROM (SELECT 'x' AS a) d WHERE a LIKE '%x'",
        ];
        silent(LeadingWildcard, &silent_ones, &reads_much());
    }

    #[test]
    fn a_function_on_a_column() {
        check(
            FunctionOnColumn,
            "SELECT a FROM t WHERE DATE(created_at) = '2026-11-28'",
            "likely: DATE() is applied to created_at",
        );
        check(
            FunctionOnColumn,
            "SELECT a FROM t WHERE YEAR(t.day) BETWEEN 2020 AND 2022",
            "likely: YEAR() is applied to t.day",
        );
        check(
            FunctionOnColumn,
            "SELECT a FROM t WHERE lower(email) IN ('a', 'b') AND c = 1",
            "possible: LOWER() is applied to email",
        );
        check(
            FunctionOnColumn,
            "SELECT a FROM t WHERE CAST(code AS UNSIGNED) = 5",
            "likely: CAST() is applied to code",
        );
        check(
            FunctionOnColumn,
            "UPDATE t SET a = 1 WHERE SUBSTRING(code, 1, 3) = 'abc'",
            "likely: SUBSTRING() is applied to code",
        );
        let silent_ones = [
            "SELECT DATE(created_at) FROM t WHERE created_at > NOW() - INTERVAL 1 DAY",
            "SELECT a FROM t WHERE day = DATE('2026-11-28')",
            "SELECT a, COUNT(*) FROM t GROUP BY a HAVING COUNT(*) > 5",
            "SELECT a FROM t WHERE LOWER(b) = LOWER(c)",
            "SELECT a FROM t WHERE LOWER(b) <> 'x'",
            "SELECT a FROM t WHERE ST_Distance(p, q) < 5",
            "SELECT a FROM t WHERE COALESCE(b, c) = 5",
            "SELECT a FROM t WHERE RAND() < 0.1",
        ];
        silent(FunctionOnColumn, &silent_ones, &reads_much());
    }

    #[test]
    fn or_across_columns() {
        check(
            OrAcrossColumns,
            "SELECT a FROM users WHERE email = 'x' OR phone = 'y'",
            "possible: OR joins conditions on email, phone:",
        );
        check(
            OrAcrossColumns,
            "SELECT a FROM u WHERE shop = 1 AND (u.b = 2 OR u.c > 3)",
            "possible: OR joins conditions on u.b, u.c:",
        );
        check(
            OrAcrossColumns,
            "SELECT o.a FROM o JOIN c ON c.id = o.c WHERE o.number = 5 OR c.email = 'x'",
            "likely: OR joins conditions on o.number, c.email:",
        );
        let silent_ones = [
            "SELECT a FROM t WHERE b = 1 OR b = 2 OR B IS NULL",
            "SELECT a FROM t WHERE b > 1 OR (b = 1 AND c > 2)",
            "SELECT a FROM t WHERE b LIKE '%x%' OR c LIKE '%x%'",
            "SELECT a FROM t WHERE 1 = 1 OR b = 2",
            "SELECT a FROM t WHERE b = NULL OR c = NULL",
            "SELECT a FROM t, u WHERE b = 1 OR c = 2",
            "SELECT a FROM t WHERE b = 1 AND c = 2",
        ];
        silent(OrAcrossColumns, &silent_ones, &reads_much());
    }

    #[test]
    fn a_long_list() {
        let list = |count: usize| format!("SELECT a FROM t WHERE id IN ({})", vec!["77"; count].join(","));
        check(LongInList, &list(1000), "certain: IN has 1000 values:");
        assert!(!said(LongInList, &list(1000), &reads_much()).contains("77"));
        silent(LongInList, &[&list(999)], &reads_much());
    }
}

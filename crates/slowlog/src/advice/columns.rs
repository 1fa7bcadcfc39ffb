//! Small questions to expressions: is it a column, a value, what is inside. None of them recurses.

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, InTarget, ObjectName,
    Query, UnaryOperator, Value,
};

/// The parts of a name that is made of plain ones; none, if it is not.
pub(super) fn parts(name: &ObjectName) -> Vec<&str> {
    name.0.iter().filter_map(|part| part.as_ident()).map(|ident| ident.value.as_str()).collect()
}

/// A column and what its table is called, if it says so. `@variables` are no columns.
pub(super) fn column_of(expression: &Expr) -> Option<(Option<&str>, &str)> {
    match bare(expression) {
        Expr::Identifier(name) if !name.value.starts_with('@') => Some((None, &name.value)),
        Expr::CompoundIdentifier(names) if names.len() == 2 && !names[0].value.starts_with('@') => {
            Some((Some(&names[0].value), &names[1].value))
        }
        _ => None,
    }
}

/// Without the parentheses around it.
pub(super) fn bare(mut expression: &Expr) -> &Expr {
    while let Expr::Nested(inner) = expression {
        expression = inner;
    }
    expression
}

/// Whether it is the same for every row: a literal, a placeholder, a variable, `NOW()` and calculations with these.
pub(super) fn is_constant(expression: &Expr) -> bool {
    let mut stack = vec![expression];
    while let Some(expression) = stack.pop() {
        match expression {
            Expr::Value(_) | Expr::TypedString(_) => {}
            Expr::Identifier(name) if name.value.starts_with('@') => {}
            Expr::Interval(interval) => stack.push(&interval.value),
            Expr::Function(function) if !is_random(function) => match arguments(function) {
                Some(arguments) => stack.extend(arguments),
                None => return false,
            },
            Expr::Nested(inner) | Expr::Prefixed { value: inner, .. } | Expr::Cast { expr: inner, .. } => {
                stack.push(inner);
            }
            Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => stack.push(expr),
            Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, right } => {
                stack.extend([&**left, &**right]);
            }
            _ => return false,
        }
    }
    true
}

/// Another value for each row.
fn is_random(function: &Function) -> bool {
    let name = parts(&function.name);
    ["rand", "uuid", "uuid_short"]
        .iter()
        .any(|random| name.last().is_some_and(|name| name.eq_ignore_ascii_case(random)))
}

/// Whether it is a text, and which.
pub(super) fn text_of(expression: &Expr) -> Option<&str> {
    match bare(expression) {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// Whether it is NULL, written out.
pub(super) fn is_null(expression: &Expr) -> bool {
    matches!(bare(expression), Expr::Value(value) if matches!(value.value, Value::Null))
}

/// A whole number that is written out.
pub(super) fn number_of(expression: &Expr) -> Option<u64> {
    match bare(expression) {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// The arguments of a function, if all are plain expressions.
pub(super) fn arguments(function: &Function) -> Option<Vec<&Expr>> {
    let plain = function.over.is_none() && function.filter.is_none() && function.within_group.is_empty();
    match &function.args {
        FunctionArguments::None if plain => Some(Vec::new()),
        FunctionArguments::List(list) if plain => list
            .args
            .iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

/// The parts of an AND, in order.
pub(super) fn conjuncts(expression: &Expr) -> Vec<&Expr> {
    parts_of(expression, &BinaryOperator::And)
}

/// The branches of an OR, in order.
pub(super) fn branches(expression: &Expr) -> Vec<&Expr> {
    parts_of(expression, &BinaryOperator::Or)
}

fn parts_of<'sql>(expression: &'sql Expr, by: &BinaryOperator) -> Vec<&'sql Expr> {
    let (mut stack, mut found) = (vec![expression], Vec::new());
    while let Some(expression) = stack.pop() {
        match bare(expression) {
            Expr::BinaryOp { left, op, right } if op == by => stack.extend([&**right, &**left]),
            other => found.push(other),
        }
    }
    found
}

/// What stands in an expression one level down: expressions, and queries. What is not known here has nothing inside.
pub(super) fn inside(expression: &Expr) -> (Vec<&Expr>, Vec<&Query>) {
    match expression {
        Expr::Nested(one)
        | Expr::UnaryOp { expr: one, .. }
        | Expr::IsNull(one)
        | Expr::IsNotNull(one)
        | Expr::IsTrue(one)
        | Expr::IsFalse(one)
        | Expr::IsNotTrue(one)
        | Expr::IsNotFalse(one)
        | Expr::Cast { expr: one, .. }
        | Expr::Convert { expr: one, .. }
        | Expr::Collate { expr: one, .. }
        | Expr::Extract { expr: one, .. }
        | Expr::Substring { expr: one, .. }
        | Expr::Trim { expr: one, .. }
        | Expr::Ceil { expr: one, .. }
        | Expr::Floor { expr: one, .. }
        | Expr::Prefixed { value: one, .. } => (vec![one], vec![]),
        Expr::BinaryOp { left, right, .. } => (vec![left, right], vec![]),
        Expr::Between { expr, low, high, .. } => (vec![expr, low, high], vec![]),
        Expr::Like { expr, pattern, .. } | Expr::RLike { expr, pattern, .. } => (vec![expr, pattern], vec![]),
        Expr::In { expr, target: InTarget::List(list), .. } => {
            (std::iter::once(&**expr).chain(list).collect(), vec![])
        }
        Expr::In { expr, target: InTarget::Subquery(query), .. } => (vec![expr], vec![query]),
        Expr::Subquery(query) | Expr::Exists { subquery: query, .. } => (vec![], vec![query]),
        Expr::Tuple(list) => (list.iter().collect(), vec![]),
        Expr::Function(function) => (arguments(function).unwrap_or_default(), vec![]),
        Expr::Case { operand, conditions, else_result, .. } => {
            let whens = conditions.iter().flat_map(|when| [&when.condition, &when.result]);
            (operand.as_deref().into_iter().chain(else_result.as_deref()).chain(whens).collect(), vec![])
        }
        _ => (vec![], vec![]),
    }
}

/// Whether all that stands in it is known to [`inside`], and no query is in it.
pub(super) fn is_plain(expression: &Expr) -> bool {
    let mut stack = vec![expression];
    while let Some(expression) = stack.pop() {
        let (more, queries) = inside(expression);
        let leaf = column_of(expression).is_some() || is_constant(expression);
        if !queries.is_empty() || (more.is_empty() && !leaf) {
            return false;
        }
        stack.extend(more);
    }
    true
}

/// All columns in it.
pub(super) fn columns_in(expression: &Expr) -> Vec<&Expr> {
    let (mut stack, mut found) = (vec![expression], Vec::new());
    while let Some(expression) = stack.pop() {
        if column_of(expression).is_some() {
            found.push(bare(expression));
        } else {
            stack.extend(inside(expression).0);
        }
    }
    found
}

/// Whether a function is called in it: it may be one that counts or sums.
pub(super) fn has_call(expression: &Expr) -> bool {
    let mut stack = vec![expression];
    while let Some(expression) = stack.pop() {
        if matches!(expression, Expr::Function(_)) {
            return true;
        }
        stack.extend(inside(expression).0);
    }
    false
}

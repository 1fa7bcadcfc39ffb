//! A statement as a list of blocks: each SELECT in it, wherever it stands, and an UPDATE or DELETE itself.
//!
//! A block knows its tables and the conditions that all have to hold. Nothing here calls itself: statements are as deep as
//! strangers like.

use super::columns::{self, column_of};
use sqlparser::ast::{
    Delete, Expr, FromTable, Join, JoinConstraint, JoinOperator, LimitClause, OrderByExpr, OrderByKind,
    Query, Select, SelectItem, SetExpr, Statement, TableFactor, TableWithJoins, Update,
};

/// Where a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Its rows are those of the statement.
    Outermost,
    /// It stands alone: a part of a UNION, a derived table, a common table expression.
    Whole,
    /// In an expression, where a bare column may be one of the block around it.
    InExpression,
}

/// What a block does with its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// They are selected.
    Select,
    /// They are changed or deleted.
    Change,
}

/// What stands in FROM.
#[derive(Debug)]
pub(super) struct Table<'sql> {
    /// The table's own name. None: no table with rows of its own on disk, or one that is not known here.
    pub(super) name: Option<String>,
    /// What columns call it.
    pub(super) called: &'sql str,
    /// Which index is used was decided by whoever wrote the statement.
    pub(super) hinted: bool,
    /// The right side of a LEFT JOIN: read after the tables before it, for certain.
    pub(super) optional: bool,
}

/// A condition that has to hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition<'sql> {
    pub(super) expression: &'sql Expr,
    /// It only chooses rows of this table: the ON of an outer join.
    pub(super) only: Option<usize>,
}

/// One SELECT, UPDATE or DELETE.
#[derive(Debug)]
pub(super) struct Block<'sql> {
    pub(super) place: Place,
    pub(super) purpose: Purpose,
    pub(super) tables: Vec<Table<'sql>>,
    pub(super) conditions: Vec<Condition<'sql>>,
    /// Tables that are joined by name (USING, NATURAL) or on purpose (CROSS JOIN).
    pub(super) joined: Vec<(usize, usize)>,
    pub(super) order: Vec<&'sql OrderByExpr>,
    pub(super) select: Option<&'sql Select>,
    pub(super) limit: Option<&'sql LimitClause>,
    pub(super) limited: Limited,
    /// All of FROM is in `tables`.
    pub(super) complete: bool,
}

/// Whether there is a LIMIT of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limited {
    Yes,
    No,
}

impl<'sql> Block<'sql> {
    fn new(place: Place, purpose: Purpose) -> Self {
        Self {
            place,
            purpose,
            tables: Vec::new(),
            conditions: Vec::new(),
            joined: Vec::new(),
            order: Vec::new(),
            select: None,
            limit: None,
            limited: Limited::No,
            complete: true,
        }
    }

    /// Whether rows are grouped, counted or made distinct: then few rows sent say nothing about how many were needed.
    pub(super) fn groups(&self) -> bool {
        self.select.is_some_and(|select| {
            let grouped = match &select.group_by {
                sqlparser::ast::GroupByExpr::All(_) => true,
                sqlparser::ast::GroupByExpr::Expressions(list, _) => !list.is_empty(),
            };
            let calls = |item: &SelectItem| match item {
                SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. } => {
                    columns::has_call(expression)
                }
                SelectItem::ExprWithAliases { .. } => true,
                SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => false,
            };
            grouped
                || select.distinct.is_some()
                || select.having.is_some()
                || select.projection.iter().any(calls)
        })
    }

    fn add_from(&mut self, from: &'sql [TableWithJoins], work: &mut Work<'sql>) {
        for one in from {
            let first = self.tables.len();
            self.add_table(&one.relation, work);
            for join in &one.joins {
                self.add_join(join, first, work);
            }
        }
    }

    fn add_table(&mut self, factor: &'sql TableFactor, work: &mut Work<'sql>) {
        let mut table = Table { name: None, called: "", hinted: false, optional: false };
        match factor {
            TableFactor::Table { name, alias, args, index_directives, .. } => {
                let parts = columns::parts(name);
                table.called = alias
                    .as_ref()
                    .map_or_else(|| parts.last().copied().unwrap_or(""), |alias| &alias.name.value);
                table.hinted = !index_directives.is_empty();
                table.name = (args.is_none() && !is_of_the_server(&parts)).then(|| parts.join("."));
            }
            TableFactor::Derived { lateral, subquery, alias, .. } => {
                let place = if *lateral { Place::InExpression } else { Place::Whole };
                work.queries.push((subquery, place));
                table.called = alias.as_ref().map_or("", |alias| &alias.name.value);
            }
            _ => self.complete = false,
        }
        self.tables.push(table);
    }

    fn add_join(&mut self, join: &'sql Join, first: usize, work: &mut Work<'sql>) {
        let at = self.tables.len();
        self.add_table(&join.relation, work);
        let (constraint, outer) = match &join.join_operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::StraightJoin(constraint) => (constraint, false),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (constraint, true),
            JoinOperator::CrossJoin(constraint) => {
                self.joined.push((first, at));
                (constraint, false)
            }
            _ => {
                self.complete = false;
                return;
            }
        };
        self.tables[at].optional = outer;
        match constraint {
            JoinConstraint::On(condition) => self.add_conditions(condition, outer.then_some(at), work),
            JoinConstraint::None => {}
            JoinConstraint::Using(_) | JoinConstraint::UsingAlias(..) | JoinConstraint::Natural => {
                self.joined.push((first, at));
            }
        }
    }

    /// The parts of an AND, in the order in which they stand.
    fn add_conditions(&mut self, condition: &'sql Expr, only: Option<usize>, work: &mut Work<'sql>) {
        work.expressions.push(condition);
        for expression in columns::conjuncts(condition) {
            self.conditions.push(Condition { expression, only });
        }
    }
}

/// What is still to be looked at.
#[derive(Default)]
struct Work<'sql> {
    queries: Vec<(&'sql Query, Place)>,
    /// Those in which subqueries may stand.
    expressions: Vec<&'sql Expr>,
    /// Names of common table expressions.
    common: Vec<&'sql str>,
}

/// All blocks of a statement.
pub(super) fn blocks(statement: &Statement) -> Vec<Block<'_>> {
    let mut work = Work::default();
    let mut blocks = Vec::new();
    match statement {
        Statement::Query(query) => work.queries.push((query, Place::Outermost)),
        Statement::Insert(insert) => {
            work.queries.extend(insert.source.as_deref().map(|query| (query, Place::Whole)));
        }
        Statement::Update(update) => blocks.extend(of_update(update, &mut work)),
        Statement::Delete(delete) => blocks.extend(of_delete(delete, &mut work)),
        _ => {}
    }
    loop {
        while let Some(expression) = work.expressions.pop() {
            let (more, queries) = columns::inside(expression);
            work.expressions.extend(more);
            work.queries.extend(queries.into_iter().map(|query| (query, Place::InExpression)));
        }
        let Some((query, place)) = work.queries.pop() else {
            break;
        };
        add_query(query, place, &mut work, &mut blocks);
    }
    for table in blocks.iter_mut().flat_map(|block| &mut block.tables) {
        if table
            .name
            .as_ref()
            .is_some_and(|name| work.common.iter().any(|common| common.eq_ignore_ascii_case(name)))
        {
            table.name = None;
        }
    }
    blocks
}

fn add_query<'sql>(query: &'sql Query, place: Place, work: &mut Work<'sql>, blocks: &mut Vec<Block<'sql>>) {
    if let Some(with) = &query.with {
        for table in &with.cte_tables {
            work.common.push(&table.alias.name.value);
            work.queries.push((&table.query, Place::Whole));
        }
    }
    let mut bodies = vec![(&*query.body, place)];
    while let Some((body, place)) = bodies.pop() {
        match body {
            SetExpr::Select(select) => blocks.push(of_select(query, select, place, work)),
            SetExpr::Query(inner) => {
                work.queries.push((inner, if query.limit_clause.is_some() { Place::Whole } else { place }));
            }
            SetExpr::SetOperation { left, right, .. } => {
                let place = if place == Place::InExpression { place } else { Place::Whole };
                bodies.push((right, place));
                bodies.push((left, place));
            }
            _ => {}
        }
    }
}

fn of_select<'sql>(
    query: &'sql Query,
    select: &'sql Select,
    place: Place,
    work: &mut Work<'sql>,
) -> Block<'sql> {
    let mut block = Block::new(place, Purpose::Select);
    block.select = Some(select);
    block.add_from(&select.from, work);
    if let Some(condition) = &select.selection {
        block.add_conditions(condition, None, work);
    }
    for item in &select.projection {
        if let SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. } = item
        {
            work.expressions.push(expression);
        }
    }
    work.expressions.extend(&select.having);
    // ORDER BY and LIMIT of a UNION are not those of its parts.
    if matches!(&*query.body, SetExpr::Select(_)) {
        block.limit = query.limit_clause.as_ref();
        if query.limit_clause.is_some() || query.fetch.is_some() {
            block.limited = Limited::Yes;
        }
        if let Some(OrderByKind::Expressions(order)) = query.order_by.as_ref().map(|order| &order.kind) {
            block.order.extend(order);
        }
    }
    block
}

fn of_update<'sql>(update: &'sql Update, work: &mut Work<'sql>) -> Option<Block<'sql>> {
    let mut block = Block::new(Place::Outermost, Purpose::Change);
    block.add_from(std::slice::from_ref(&update.table), work);
    block.add_conditions(update.selection.as_ref()?, None, work);
    block.complete &= update.from.is_none();
    Some(block)
}

fn of_delete<'sql>(delete: &'sql Delete, work: &mut Work<'sql>) -> Option<Block<'sql>> {
    let mut block = Block::new(Place::Outermost, Purpose::Change);
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    block.add_from(delete.using.as_ref().unwrap_or(from), work);
    block.add_conditions(delete.selection.as_ref()?, None, work);
    Some(block)
}

/// Tables that nobody can give an index.
fn is_of_the_server(parts: &[&str]) -> bool {
    let database = if parts.len() > 1 { parts[0] } else { "" };
    parts.is_empty()
        || parts[parts.len() - 1].eq_ignore_ascii_case("dual")
        || ["information_schema", "performance_schema", "mysql", "sys"]
            .iter()
            .any(|name| database.eq_ignore_ascii_case(name))
}

/// Which table of the block a column is one of, and its name, where that is certain.
pub(super) fn resolve<'sql>(block: &Block<'sql>, expression: &'sql Expr) -> Option<(usize, &'sql str)> {
    let (table, column) = column_of(expression)?;
    match table {
        None => {
            let alone = block.tables.len() == 1 && block.complete && block.place != Place::InExpression;
            alone.then_some((0, column))
        }
        Some(called) => {
            let mut found = block.tables.iter().enumerate().filter(|(_, table)| table.called == called);
            let (at, _) = found.next()?;
            found.next().is_none().then_some((at, column))
        }
    }
}

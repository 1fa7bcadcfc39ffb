//! Advice on a query: what in its statement, or in what its events add up to, costs time that need not be spent.
//!
//! Owns: the rules, one file per family. Pure. It is silent rather than wrong: a statement that does not parse gets no
//! advice, nor does a column whose table is not certain. No value out of a statement is ever in advice, and what is
//! printed of its names has no control characters. Time and depth are bounded, for statements come from strangers.
//!
//! ```text
//!  statement -> parse -> blocks (one per SELECT, UPDATE, DELETE) --+-> index, conditions, shape --+-> Advice
//!  Measures ------------------------------------------------------+-> measured, bursts ---------+
//! ```

mod block;
mod bursts;
mod columns;
mod conditions;
mod index;
mod measured;
mod names;
mod parse;
mod shape;
mod tables;
#[cfg(test)]
mod testing;

pub use bursts::advise_on_bursts;
pub use tables::{Table, tables};

use crate::digest::Measures;
use serde::Serialize;

/// Longer statements are not parsed, and get no advice.
pub const LONGEST_STATEMENT: usize = 64 << 10;
/// More than this for one statement helps nobody.
const MOST_ADVICE: usize = 12;

/// What was seen. The names are what JSON says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Rows are looked for by columns that an index could serve.
    MissingIndex,
    /// A column is compared after a function was applied to it.
    FunctionOnColumn,
    /// `LIKE '%…'`.
    LeadingWildcard,
    /// `OR` between conditions on different columns.
    OrAcrossColumns,
    /// `IN` with a thousand values or more.
    LongInList,
    /// Two tables with nothing that joins them.
    ImplicitCrossJoin,
    /// Many rows are skipped by `OFFSET`.
    HugeOffset,
    /// `SELECT *`.
    SelectStar,
    /// Many rows are sent, and there is no `LIMIT`.
    NoLimit,
    /// Most of the time is spent waiting for locks.
    LockWaits,
    /// Far more rows are read than sent.
    ExaminedFarAboveSent,
    /// Each row of a list is asked for by itself (N+1).
    OneByOne,
}

impl Rule {
    /// Its name, as JSON says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::MissingIndex => "missing_index",
            Self::FunctionOnColumn => "function_on_column",
            Self::LeadingWildcard => "leading_wildcard",
            Self::OrAcrossColumns => "or_across_columns",
            Self::LongInList => "long_in_list",
            Self::ImplicitCrossJoin => "implicit_cross_join",
            Self::HugeOffset => "huge_offset",
            Self::SelectStar => "select_star",
            Self::NoLimit => "no_limit",
            Self::LockWaits => "lock_waits",
            Self::ExaminedFarAboveSent => "examined_far_above_sent",
            Self::OneByOne => "one_by_one",
        }
    }
}

/// How sure advice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// It may be on purpose, or served by something that a log does not show (an index that is there already): look.
    Possible,
    /// True of nearly every table; what could make it wrong is not in a log.
    Likely,
    /// It follows from the statement, or was measured.
    Certain,
}

impl Confidence {
    /// Its name, as JSON says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

/// An index that is worth trying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IndexCandidate {
    /// Of which table.
    pub table: String,
    /// Its columns, in order: compared for equality, then one range, then the order.
    pub columns: Vec<String>,
}

/// One piece of advice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// What was seen.
    pub rule: Rule,
    /// How sure that is.
    pub confidence: Confidence,
    /// Why, in a sentence or two, for people.
    pub reason: String,
    /// The index, if that is what is advised.
    pub index: Option<IndexCandidate>,
}

impl Advice {
    fn new(rule: Rule, confidence: Confidence, reason: impl Into<String>) -> Self {
        Self { rule, confidence, reason: reason.into(), index: None }
    }
}

/// Advice on the queries of a class, by one of its statements (with its values) and what its events add up to; the surest
/// first.
pub fn advise(statement: &[u8], measures: &Measures) -> Vec<Advice> {
    let Some(parsed) = parse::parse(statement) else {
        return Vec::new();
    };
    let blocks = block::blocks(&parsed);
    let mut advice = Vec::new();
    index::advise(&blocks, measures, &mut advice);
    conditions::advise(&blocks, &mut advice);
    shape::advise(&blocks, measures, &mut advice);
    measured::advise(&blocks, measures, &mut advice);
    advice.extend(bursts::advise(&blocks, measures));
    let mut kept: Vec<Advice> = Vec::new();
    for one in advice {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    kept.sort_by_key(|one| (std::cmp::Reverse(one.confidence), one.rule));
    kept.truncate(MOST_ADVICE);
    kept
}

#[cfg(test)]
mod tests {
    use super::{advise, testing::reads_much};

    #[test]
    fn no_value_is_ever_in_advice() {
        let statement = "SELECT * FROM users u, orders o WHERE u.email LIKE '%sekret1%' AND DATE(u.born) = 'sekret2' \
                         AND (u.a = 'sekret3' OR u.b = 31337) AND u.c = \"sekret4\" LIMIT 31337, 10";
        let advice = advise(statement.as_bytes(), &reads_much());
        assert!(advice.len() >= 5, "{advice:?}");
        let text = format!("{advice:?}");
        assert!(!text.contains("sekret") && !text.contains("31337"), "{text}");
    }

    #[test]
    fn the_surest_comes_first_and_names_are_made_safe() {
        let statement = "SELECT * FROM `t\u{1b}[2J` WHERE `c\u{202e}` = 5 LIMIT 50000, 1";
        let advice = advise(statement.as_bytes(), &reads_much());
        let rules: Vec<_> = advice.iter().map(|one| (one.confidence.name(), one.rule.name())).collect();
        assert_eq!(
            rules,
            [
                ("certain", "huge_offset"),
                ("likely", "missing_index"),
                ("likely", "examined_far_above_sent"),
                ("possible", "select_star")
            ]
        );
        assert!(
            !format!("{:?}", advice.iter().map(|one| &one.reason).collect::<Vec<_>>()).contains('\u{1b}')
        );
        let index = advice[1].index.as_ref().map(|index| (index.table.as_str(), index.columns[0].as_str()));
        assert_eq!(index, Some(("t\\u{1b}[2J", "c\\u{202e}")));
    }

    #[test]
    fn what_does_not_parse_gets_none() {
        for statement in
            ["", "SELEC * FROM t", "SELECT * FROM t WHERE a = 'open", "SELECT * FROM t; SELECT * FROM t"]
        {
            assert_eq!(advise(statement.as_bytes(), &reads_much()), []);
        }
    }
}

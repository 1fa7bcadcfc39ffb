//! What tests of the rules share.

use super::{Advice, Rule, advise};
use crate::digest::{Measures, Spread};

/// Ten events that each took a second, read 50,000 rows and sent one.
pub(super) fn reads_much() -> Measures {
    measures(50_000, 1)
}

/// Ten events that each read and sent so many.
pub(super) fn measures(examined: u64, sent: u64) -> Measures {
    let of = |each: u64| Spread { sum: each * 10, min: each, max: each };
    Measures {
        count: 10,
        query_time: of(1_000_000),
        rows_examined: of(examined),
        rows_sent: of(sent),
        ..Measures::default()
    }
}

/// What one rule says, a line for each: its confidence and the reason; the index, if there is one, in brackets.
pub(super) fn said(rule: Rule, statement: &str, measures: &Measures) -> String {
    let line = |advice: &Advice| {
        let index = advice
            .index
            .as_ref()
            .map_or_else(String::new, |index| format!(" [{}({})]", index.table, index.columns.join(", ")));
        format!("{}: {}{index}\n", advice.confidence.name(), advice.reason)
    };
    assert!(super::parse::parse(statement.as_bytes()).is_some(), "does not parse: {statement}");
    advise(statement.as_bytes(), measures).iter().filter(|advice| advice.rule == rule).map(line).collect()
}

/// Nothing is said of any of these, which parse.
pub(super) fn silent(rule: Rule, statements: &[&str], measures: &Measures) {
    for statement in statements {
        assert_eq!(said(rule, statement, measures), "", "{statement}");
    }
}

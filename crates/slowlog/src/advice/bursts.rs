//! One query for each row of a list (N+1): found among what its events add up to, and believed of statements that look for rows by
//! a value.

use super::block::{Block, Place, Purpose};
use super::conditions::{Comparison, comparison};
use super::{Advice, Confidence, Rule, block, parse};
use crate::digest::{BURST, Measures};

/// One such second may be anything.
const FEWEST: u64 = 2;
/// If fewer of its events than one in so many were in bursts, that is not what it is about.
const SHARE: u64 = 5;

/// Whether a class is asked for each row of a list by itself: by one of its statements, with or without its values, and what its events
/// add up to.
pub fn advise_on_bursts(statement: &[u8], measures: &Measures) -> Option<Advice> {
    // Parsing costs more than all else, and most classes have no bursts.
    if !are_many(measures) {
        return None;
    }
    let parsed = parse::parse(statement)?;
    advise(&block::blocks(&parsed), measures)
}

fn are_many(measures: &Measures) -> bool {
    measures.bursts >= FEWEST && measures.events_in_bursts.saturating_mul(SHARE) >= measures.count
}

pub(super) fn advise(blocks: &[Block<'_>], measures: &Measures) -> Option<Advice> {
    let [block] = blocks else { return None };
    if !are_many(measures) {
        return None;
    }
    let reads = block.place == Place::Outermost && block.purpose == Purpose::Select && block.complete;
    let real = !block.tables.is_empty() && block.tables.iter().all(|table| table.name.is_some());
    let by_value = block
        .conditions
        .iter()
        .any(|condition| matches!(comparison(condition.expression), Some((_, Comparison::Equal))));
    (reads && real && by_value).then(|| {
        let most = measures.events_in_bursts * 2 >= measures.count;
        let confidence = if most && measures.bursts > FEWEST { Confidence::Likely } else { Confidence::Possible };
        let percent = u128::from(measures.events_in_bursts) * 100 / u128::from(measures.count.max(1));
        let reason = format!(
            "{} times one connection asked it {BURST} times or more within a second, {} times at most, each time with another value and \
             with hardly anything in between ({percent}% of all): as programs do that ask for each row of a list by itself. A JOIN, or one \
             query with IN (…), gives all of them at once.",
            measures.bursts, measures.largest_burst,
        );
        Advice::new(Rule::OneByOne, confidence, reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::testing::measures;

    fn bursts(bursts: u64, events_in_bursts: u64, count: u64) -> Measures {
        Measures { count, bursts, events_in_bursts, largest_burst: 45, ..measures(1, 1) }
    }

    fn said(statement: &str, measures: &Measures) -> Option<&'static str> {
        advise_on_bursts(statement.as_bytes(), measures).map(|advice| advice.confidence.name())
    }

    #[test]
    fn looking_up_each_row() {
        for statement in [
            "SELECT `users`.* FROM `users` WHERE `users`.`id` = 17 LIMIT 1",
            "SELECT COUNT(*) FROM comments WHERE comments.post_id = ?",
            "select t.name from tags t inner join taggings g on g.tag_id = t.id where g.post_id = ? and g.kind = ?",
        ] {
            assert_eq!(said(statement, &bursts(30, 1000, 1100)), Some("likely"), "{statement}");
            assert_eq!(said(statement, &bursts(2, 60, 70)), Some("possible"), "{statement}");
            assert_eq!(said(statement, &bursts(30, 1000, 4000)), Some("possible"), "{statement}");
            for few in [bursts(0, 0, 1000), bursts(1, 45, 45), bursts(30, 1000, 6000)] {
                assert_eq!(said(statement, &few), None, "{statement}");
            }
        }
        let advice = advise_on_bursts(b"SELECT a FROM t WHERE id = 31337", &bursts(30, 1000, 1000)).unwrap();
        assert!(advice.reason.starts_with(
            "30 times one connection asked it 20 times or more within a second, 45 times at most"
        ));
        assert!(!advice.reason.contains("31337"));
    }

    #[test]
    fn what_is_asked_often_for_another_reason() {
        for statement in [
            "SELECT 1",
            "SELECT @@session.tx_isolation",
            "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'Threads_running'",
            "INSERT INTO logs (a, b) VALUES (1, 2)",
            "INSERT INTO a SELECT * FROM b WHERE id = 5",
            "UPDATE carts SET seen = 1 WHERE id = 5",
            "DELETE FROM sessions WHERE id = 5",
            "SELECT id FROM jobs WHERE due < 5 ORDER BY id LIMIT 1",
            "SELECT a FROM t WHERE id IN (1, 2, 3)",
            "SELECT a FROM t",
            "COMMIT",
            "this does not parse = 5",
        ] {
            assert_eq!(said(statement, &bursts(30, 1000, 1000)), None, "{statement}");
        }
    }
}

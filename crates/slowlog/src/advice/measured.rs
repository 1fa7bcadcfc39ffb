//! What the events of a class add up to: time spent on locks, rows read for nothing.

use super::block::{Block, Place, Purpose};
use super::{Advice, Confidence, Rule};
use crate::digest::Measures;

/// Shorter waits (of one event, and of all), in microseconds, are not worth a word.
const SHORT_WAIT: u64 = 1_000;
const SHORT_WAITS: u64 = 100_000;
/// Fewer rows are read soon enough.
const FEW_ROWS: u64 = 10_000;
/// So many rows read for each one sent are far too many.
const FAR_ABOVE: u64 = 1_000;

pub(super) fn advise(blocks: &[Block<'_>], measures: &Measures, out: &mut Vec<Advice>) {
    out.extend(lock_waits(measures));
    out.extend(examined_far_above_sent(blocks, measures));
}

fn lock_waits(measures: &Measures) -> Option<Advice> {
    let (waited, took) = (measures.lock_time.sum, measures.query_time.sum);
    let long = waited >= SHORT_WAITS && waited / measures.count.max(1) >= SHORT_WAIT;
    (long && waited > took / 2).then(|| {
        let percent = u128::from(waited) * 100 / u128::from(took.max(1));
        let reason = format!(
            "{percent}% of its time is waiting for locks of others: look for long transactions on the same tables, and for writes that lock \
             more rows than they change, before looking at this statement."
        );
        Advice::new(Rule::LockWaits, Confidence::Certain, reason)
    })
}

fn examined_far_above_sent(blocks: &[Block<'_>], measures: &Measures) -> Option<Advice> {
    let selects =
        blocks.iter().any(|block| block.place == Place::Outermost && block.purpose == Purpose::Select);
    // What is counted or grouped has to be read.
    if !selects || blocks.iter().any(Block::groups) {
        return None;
    }
    let count = measures.count.max(1);
    let (examined, sent) = (measures.rows_examined.sum, measures.rows_sent.sum);
    (examined / count >= FEW_ROWS && examined / FAR_ABOVE >= sent.max(1)).then(|| {
        let reason = format!(
            "{} rows are read and {} sent on average: nearly all that is read is thrown away. EXPLAIN tells which table is read whole, or \
             by which index.",
            examined / count,
            sent / count,
        );
        Advice::new(Rule::ExaminedFarAboveSent, Confidence::Likely, reason)
    })
}

#[cfg(test)]
mod tests {
    use super::Rule::{ExaminedFarAboveSent, LockWaits};
    use crate::advice::testing::{measures, reads_much, said, silent};
    use crate::digest::{Measures, Spread};

    fn waits(each: u64) -> Measures {
        Measures { lock_time: Spread { sum: each * 10, min: each, max: each }, ..measures(1, 1) }
    }

    #[test]
    fn lock_waits() {
        let statement = "UPDATE counters SET n = n + 1 WHERE id = 5";
        assert!(
            said(LockWaits, statement, &waits(900_000)).starts_with("certain: 90% of its time is waiting")
        );
        silent(LockWaits, &[statement], &waits(400_000));
        let short = Measures { query_time: Spread { sum: 5_000, min: 500, max: 500 }, ..waits(450) };
        silent(LockWaits, &[statement], &short);
    }

    #[test]
    fn far_more_rows_read_than_sent() {
        let statement = "SELECT a FROM t WHERE b + 1 = 5";
        assert!(
            said(ExaminedFarAboveSent, statement, &reads_much())
                .starts_with("likely: 50000 rows are read and 1 sent on average")
        );
        silent(ExaminedFarAboveSent, &[statement], &measures(50_000, 100));
        silent(ExaminedFarAboveSent, &[statement], &measures(5_000, 1));
        let counted = [
            "SELECT COUNT(*) FROM t",
            "SELECT a FROM t GROUP BY a",
            "SELECT DISTINCT a FROM t",
            "DELETE FROM t WHERE a = 1",
        ];
        silent(ExaminedFarAboveSent, &counted, &reads_much());
    }
}

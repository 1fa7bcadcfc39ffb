//! Whether a query has become slower or faster from one period to another, by what its days say.
//!
//! Latency varies: from day to day, from weekday to weekday, by a backup at night. So what is compared are days, each of them one
//! value, and by their ranks, which one bad day can move only by its place and not by how bad it was.
//!
//! **The test.** For the daily means, and again for the daily 95th percentiles, the one-sided Mann-Whitney U test (Mann, Whitney,
//! "On a Test of Whether one of Two Random Variables is Stochastically Larger than the Other", 1947; see [`rank_sum`]): `U` is the number of
//! pairs (a day before, a day after) in which the later day is the slower one, a tie counting half.
//!
//! A query is [`Verdict::Worse`] if for one of the two
//!
//! 1. there are at least [`FEWEST_DAYS`] days on either side,
//! 2. `median(after) >= EFFECT * median(before)`: what nobody would notice is not told, however sure it is, and
//! 3. `P(U >= observed | nothing changed) <= significance / (2 * tested)`, where `tested` is how many queries are asked about together:
//!    the correction of Bonferroni (1936; Dunn 1961). So the chance that *any* of them is called worse although none has changed is at
//!    most `significance`, whatever the dependence between them.
//!
//! [`Verdict::Better`] is the mirror image. What is both (a mean that rose while the percentile fell) is neither.
//!
//! Few queries should be tested together: with seven days on either side the least probability there is is 1/3432, so that 40
//! queries ([`MOST_TESTED`]) at 0.05 are as many as can be told apart from chance at all.

mod rank_sum;
#[cfg(test)]
mod tests;

pub use rank_sum::{Tail, rank_sum};

/// Fewer days than this on one side say nothing.
pub const FEWEST_DAYS: usize = 4;
/// How much slower (or faster) the median day has to be.
pub const EFFECT: f64 = 1.5;
/// How many queries may be asked about together.
pub const MOST_TESTED: usize = 40;
/// The chance that anything at all is called worse, though nothing has changed, that is taken where somebody looks.
pub const SIGNIFICANCE: f64 = 0.05;
/// The same where somebody is told, unasked.
pub const SIGNIFICANCE_OF_TELLING: f64 = 0.01;

/// How long a query took on one day, in any unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// On the average.
    pub mean: u64,
    /// 95 of 100 took no longer.
    pub p95: u64,
}

/// What the days say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes longer than before.
    Worse,
    /// It takes less time than before.
    Better,
    /// Nothing that is sure enough, or large enough, or there are too few days.
    Same,
}

/// Compares the days before with those after, as one of so many queries that are `tested` together.
pub fn verdict(before: &[Day], after: &[Day], tested: usize, significance: f64) -> Verdict {
    if before.len().min(after.len()) < FEWEST_DAYS {
        return Verdict::Same;
    }
    #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
    let level = significance / (2.0 * tested.max(1) as f64);
    let measures: [fn(&Day) -> u64; 2] = [|day| day.mean, |day| day.p95];
    let (mut worse, mut better) = (false, false);
    for measure in measures {
        let before: Vec<u64> = before.iter().map(measure).collect();
        let after: Vec<u64> = after.iter().map(measure).collect();
        let (was, is) = (median(&before), median(&after));
        if is >= EFFECT * was && is > was {
            worse |= rank_sum(&before, &after, Tail::Greater) <= level;
        } else if was >= EFFECT * is && was > is {
            better |= rank_sum(&before, &after, Tail::Less) <= level;
        }
    }
    match (worse, better) {
        (true, false) => Verdict::Worse,
        (false, true) => Verdict::Better,
        _ => Verdict::Same,
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds")]
fn median(values: &[u64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    match sorted.as_slice() {
        [] => 0.0,
        sorted if sorted.len() % 2 == 1 => sorted[middle] as f64,
        sorted => f64::midpoint(sorted[middle - 1] as f64, sorted[middle] as f64),
    }
}

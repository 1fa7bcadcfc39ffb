//! The test of Mann and Whitney, in Wilcoxon's form: the ranks of one sample among all, added up.
//!
//! With `n` values in the smaller sample of `N` in all, ranks `r` from 1 (equal values share the mean of theirs) and `W` their sum in that
//! sample, `U = W - n (n + 1) / 2`. If nothing has changed, every choice of `n` of the `N` ranks is as likely as every other.
//!
//! - Small samples: these choices are counted, so that the probability is exact, with ties, too (the permutation distribution;
//!   Lehmann, "Nonparametrics", 1975, chapter 1).
//! - Large ones: `W` is nearly normal, with mean `n (N + 1) / 2` and variance `n m / 12 * (N + 1 - sum(t^3 - t) / (N (N - 1)))` for ties of `t` values and
//!   `m = N - n` (ibid., 1.20), and a correction of a half for continuity.

/// Which change is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// The second sample is greater.
    Greater,
    /// The second sample is less.
    Less,
}

/// So many steps of counting are soon done.
const MOST_STEPS: usize = 250_000;

/// The probability that ranks say as much as these or more, if both samples are of one kind. 1 if one is empty.
#[expect(clippy::cast_precision_loss, reason = "ranks of a few dozen values")]
pub fn rank_sum(before: &[u64], after: &[u64], tail: Tail) -> f64 {
    if before.is_empty() || after.is_empty() {
        return 1.0;
    }
    // The smaller sample is counted; that the one is greater is that the other is less.
    let (small, large, tail) = match (after.len() <= before.len(), tail) {
        (true, tail) => (after, before, tail),
        (false, Tail::Greater) => (before, after, Tail::Less),
        (false, Tail::Less) => (before, after, Tail::Greater),
    };
    let ranks = Ranks::of(small, large);
    if ranks.doubled.len() * small.len() * ranks.highest(small.len()) <= MOST_STEPS {
        return ranks.exactly(small.len(), tail);
    }
    let (n, all) = (small.len() as f64, ranks.doubled.len() as f64);
    let variance = n * (all - n) / 12.0 * (all + 1.0 - ranks.ties / (all * (all - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let off = ranks.sum as f64 / 2.0 - n * (all + 1.0) / 2.0;
    let off = if tail == Tail::Greater { off } else { -off };
    above((off - 0.5) / variance.sqrt())
}

/// Ranks among all values; doubled, so that those of ties are whole.
struct Ranks {
    /// Of the small sample, then of the other.
    doubled: Vec<usize>,
    /// Of the small sample, doubled.
    sum: usize,
    /// The sum of `t^3 - t`.
    ties: f64,
}

impl Ranks {
    #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
    fn of(small: &[u64], large: &[u64]) -> Ranks {
        let mut sorted: Vec<(u64, usize)> = small.iter().chain(large).copied().zip(0..).collect();
        sorted.sort_unstable();
        let mut doubled = vec![0; sorted.len()];
        let (mut at, mut ties) = (0, 0.0);
        while at < sorted.len() {
            let alike = sorted[at..].iter().take_while(|(value, _)| *value == sorted[at].0).count();
            for (_, place) in &sorted[at..at + alike] {
                // The mean of at + 1 and at + alike, doubled.
                doubled[*place] = 2 * at + alike + 1;
            }
            ties += (alike as f64).powi(3) - alike as f64;
            at += alike;
        }
        Ranks { sum: doubled[..small.len()].iter().sum(), doubled, ties }
    }

    /// No choice of `n` ranks has a higher sum.
    fn highest(&self, n: usize) -> usize {
        let mut sorted = self.doubled.clone();
        sorted.sort_unstable();
        sorted[sorted.len() - n..].iter().sum()
    }

    /// Counts the choices of `n` ranks by their sums.
    fn exactly(&self, n: usize, tail: Tail) -> f64 {
        let mut sorted = self.doubled.clone();
        sorted.sort_unstable();
        let highest = self.highest(n);
        let mut counts = vec![vec![0.0_f64; highest + 1]; n + 1];
        counts[0][0] = 1.0;
        for (seen, rank) in sorted.iter().enumerate() {
            for chosen in (1..=n.min(seen + 1)).rev() {
                let (fewer, more) = counts.split_at_mut(chosen);
                let (fewer, more) = (&fewer[chosen - 1], &mut more[0]);
                for sum in *rank..=highest {
                    more[sum] += fewer[sum - rank];
                }
            }
        }
        let all: f64 = counts[n].iter().sum();
        let as_far: f64 = match tail {
            Tail::Greater => counts[n][self.sum..].iter().sum(),
            Tail::Less => counts[n][..=self.sum].iter().sum(),
        };
        as_far / all
    }
}

/// How much of the standard normal distribution is above `z`: by its power series near the middle (Abramowitz, Stegun 26.2.11), by
/// Laplace's continued fraction (26.2.14) far out, where the series loses digits.
fn above(z: f64) -> f64 {
    let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if z.abs() < 3.0 {
        let (mut term, mut sum, mut odd) = (z, z, 1.0);
        while term.abs() > 1e-17 {
            odd += 2.0;
            term *= z * z / odd;
            sum += term;
        }
        return 0.5 - density * sum;
    }
    let mut fraction = z.abs();
    for k in (1..=100).rev() {
        fraction = z.abs() + f64::from(k) / fraction;
    }
    if z > 0.0 { density / fraction } else { 1.0 - density / fraction }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9 + 1e-6 * expected, "{found} and not {expected}");
    }

    #[test]
    fn small_samples_are_counted() {
        // 1 of the C(7, 3) = 35 choices, then 2 of them.
        close(rank_sum(&[1, 2, 3, 4], &[5, 6, 7], Tail::Greater), 1.0 / 35.0);
        close(rank_sum(&[1, 2, 3, 5], &[4, 6, 7], Tail::Greater), 2.0 / 35.0);
        close(rank_sum(&[1, 2, 3, 4], &[5, 6, 7], Tail::Less), 1.0);
        close(rank_sum(&[5, 6, 7], &[1, 2, 3, 4], Tail::Less), 1.0 / 35.0);
        close(
            rank_sum(&[10, 20, 30, 40, 50, 60, 70], &[71, 80, 90, 100, 110, 120, 130], Tail::Greater),
            1.0 / 3432.0,
        );
        // All alike: every choice says as much.
        close(rank_sum(&[5, 5, 5], &[5, 5, 5], Tail::Greater), 1.0);
        // {1,1} against {1,2}: ranks 2, 2, 2 and 4; of the 6 choices of two, 3 hold the 4.
        close(rank_sum(&[1, 1], &[1, 2], Tail::Greater), 0.5);
        close(rank_sum(&[], &[1], Tail::Greater), 1.0);
    }

    #[test]
    fn the_normal_distribution() {
        for (z, expected) in [
            (0.0, 0.5),
            (1.0, 0.158_655_253_931),
            (2.999_999, 0.001_349_902),
            (3.0, 0.001_349_898_032),
            (6.0, 9.865_876_450e-10),
        ] {
            close(above(z), expected);
            close(above(-z), 1.0 - expected);
        }
    }

    #[test]
    fn large_samples_come_near_the_counted_ones() {
        let before: Vec<u64> = (0..60).map(|n| n * 10).collect();
        let after: Vec<u64> = (0..60).map(|n| n * 10 + 115).collect();
        let ranks = Ranks::of(&after, &before);
        let (near, exact) = (rank_sum(&before, &after, Tail::Greater), ranks.exactly(60, Tail::Greater));
        // That far out the normal distribution is a tenth too wide: it errs to the safe side.
        assert!(near >= exact && near < 1.2 * exact, "{near} and {exact}");
        assert!(near < 0.01);
        let alike = vec![7; 60];
        assert!((rank_sum(&alike, &alike, Tail::Greater) - 1.0).abs() < 1e-9);
    }
}

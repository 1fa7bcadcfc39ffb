//! The test, on days that are made up.

use super::*;

/// Numbers that look random, and are the same each time (Steele, Lea, Flood 2014: `SplitMix64`).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        #[expect(clippy::cast_precision_loss, reason = "53 bits")]
        let unit = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        unit
    }

    /// Nearly normal: twelve uniform ones.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }

    /// Days of a query that takes 20 ms on the average, give or take `spread` (of its logarithm), slower at weekends, and now and
    /// then on a bad day ten times as slow.
    fn days(&mut self, count: usize, factor: f64, spread: f64) -> Vec<Day> {
        let day = |number: usize| {
            let weekend = if number % 7 >= 5 { 1.2 } else { 1.0 };
            let bad = if self.next() < 0.02 { 10.0 } else { 1.0 };
            let mean = 20_000.0 * factor * weekend * bad * (spread * self.normal()).exp();
            let p95 = mean * 3.0 * (spread / 2.0 * self.normal()).exp();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some microseconds")]
            let day = Day { mean: mean as u64, p95: p95 as u64 };
            day
        };
        (0..count).map(day).collect()
    }
}

/// In how many of so many comparisons of 40 queries anything was called worse (or better), and of how many queries it was.
fn called(
    chance: &mut Chance,
    rounds: usize,
    sizes: (usize, usize),
    spread: f64,
    level: f64,
) -> (usize, usize) {
    let (mut families, mut queries) = (0, 0);
    for _ in 0..rounds {
        let mut any = 0;
        for _ in 0..MOST_TESTED {
            let (before, after) = (chance.days(sizes.0, 1.0, spread), chance.days(sizes.1, 1.0, spread));
            any += usize::from(verdict(&before, &after, MOST_TESTED, level) != Verdict::Same);
        }
        families += usize::from(any > 0);
        queries += any;
    }
    (families, queries)
}

#[test]
fn where_nothing_changed_hardly_anything_is_told() {
    let mut chance = Chance(1);
    for (sizes, spread, level) in [
        ((7, 7), 0.15, SIGNIFICANCE),
        ((7, 7), 0.5, SIGNIFICANCE),
        ((14, 14), 0.5, SIGNIFICANCE),
        ((28, 4), 0.15, SIGNIFICANCE_OF_TELLING),
        ((28, 4), 0.5, SIGNIFICANCE_OF_TELLING),
    ] {
        let (families, queries) = called(&mut chance, 50, sizes, spread, level);
        // Both directions, so twice what one may have; of 50 comparisons of 40 queries each.
        assert!(families <= if level < 0.02 { 3 } else { 8 }, "{sizes:?}, {spread}: {families} of 50");
        assert!(queries <= 8, "{sizes:?}, {spread}: {queries} of 2000 queries");
    }
}

#[test]
fn the_probability_is_what_it_says() {
    // Without the condition on the size of the effect: of 4000 tests at 5 percent 200 should be passed by chance.
    let mut chance = Chance(2);
    let means = |days: Vec<Day>| days.iter().map(|day| day.mean).collect::<Vec<_>>();
    let passed = |chance: &mut Chance| {
        let (before, after) = (means(chance.days(7, 1.0, 0.3)), means(chance.days(7, 1.0, 0.3)));
        rank_sum(&before, &after, Tail::Greater) <= 0.05
    };
    let found = (0..4000).filter(|_| passed(&mut chance)).count();
    assert!((120..=240).contains(&found), "{found} of 4000");
}

#[test]
fn what_takes_twice_as_long_is_found() {
    let mut chance = Chance(3);
    for (sizes, spread, level) in [
        ((7, 7), 0.15, SIGNIFICANCE),
        ((14, 14), 0.25, SIGNIFICANCE),
        ((28, 4), 0.15, SIGNIFICANCE_OF_TELLING),
    ] {
        // What is missed had a bad day before, ten times as slow as the others.
        let found = (0..100)
            .filter(|_| {
                let (before, after) = (chance.days(sizes.0, 1.0, spread), chance.days(sizes.1, 2.0, spread));
                let better = verdict(&after, &before, 10, level);
                let worse = verdict(&before, &after, 10, level);
                assert_eq!(
                    worse == Verdict::Worse,
                    better == Verdict::Better,
                    "one is the other's mirror image"
                );
                worse == Verdict::Worse
            })
            .count();
        assert!(found >= 75, "{sizes:?}, {spread}: {found} of 100");
    }
}

#[test]
fn what_is_small_or_of_too_few_days_is_not_told() {
    let days = |mean: u64, count: u64| {
        (0..count).map(|n| Day { mean: mean + n, p95: 3 * mean + n }).collect::<Vec<_>>()
    };
    assert_eq!(verdict(&days(1000, 7), &days(1400, 7), 1, SIGNIFICANCE), Verdict::Same);
    assert_eq!(verdict(&days(1000, 7), &days(1600, 7), 1, SIGNIFICANCE), Verdict::Worse);
    assert_eq!(verdict(&days(1600, 7), &days(1000, 7), 1, SIGNIFICANCE), Verdict::Better);
    assert_eq!(verdict(&days(1000, 30), &days(9000, 3), 1, SIGNIFICANCE), Verdict::Same);
    assert_eq!(verdict(&[], &[], 1, SIGNIFICANCE), Verdict::Same);
    // A mean that rose while the percentile fell is neither.
    let mixed: Vec<Day> = (0..7).map(|n| Day { mean: 2000 + n, p95: 100 + n }).collect();
    assert_eq!(verdict(&days(1000, 7), &mixed, 1, SIGNIFICANCE), Verdict::Same);
}

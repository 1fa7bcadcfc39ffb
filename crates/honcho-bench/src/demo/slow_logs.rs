//! Slow logs of a month, as `MariaDB` writes them: a web shop whose orders lack an index, a newspaper that pages too deep, and
//! what a release made worse or better.
//!
//! The same seed gives the same log. Times are seconds since 1970, UTC.

use super::kinds::{Course, Kind, Trade};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::fmt::Write as _;
use std::ops::Range;

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;
/// So many days ago was the release that made something worse, and something else better: as long as the week that is compared
/// with the one before.
pub(crate) const RELEASED_DAYS_AGO: i64 = 7;

/// What one log is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) trade: Trade,
    pub(crate) seed: u64,
    /// When the month begins and ends, which is now.
    pub(crate) begins: i64,
    pub(crate) now: i64,
}

/// The log of these seconds, and how many queries are in it.
pub(crate) fn log(source: &Source, range: Range<i64>) -> (String, u64) {
    let mut random =
        StdRng::seed_from_u64(source.seed ^ range.start.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let kinds = source.trade.kinds();
    let mut asked: Vec<(i64, usize)> = Vec::new();
    for (number, kind) in kinds.iter().enumerate() {
        let mut hour = range.start;
        while hour < range.end {
            let until = range.end.min(hour + 3_600);
            let expected = kind.hourly * busy(hour) * ratio(until - hour, 3_600);
            for _ in 0..about(&mut random, expected) {
                let at = random.random_range(hour..until);
                if kind.course != Course::New || source.now - at < RELEASED_DAYS_AGO * DAY {
                    asked.push((at, number));
                }
            }
            hour = until;
        }
    }
    asked.sort_unstable();
    let (mut text, mut count, mut said) = (String::new(), 0, 0);
    for (at, number) in asked {
        let kind = &kinds[number];
        if at != said {
            let time = jiff::Timestamp::from_second(at).map(|at| at.strftime("%y%m%d %k:%M:%S").to_string());
            let _ = writeln!(text, "# Time: {}", time.unwrap_or_default());
            said = at;
        }
        let thread = random.random_range(1_000..900_000);
        let front = random.random_range(1..=6);
        for _ in 0..kind.burst {
            event(&mut text, &mut random, source, kind, (at, thread, front));
            count += 1;
        }
    }
    (text, count)
}

/// How busy a customer's site is at this hour, where 1 is usual: little at night, and less at weekends.
fn busy(at: i64) -> f64 {
    let (hour, day) = (ratio(at % DAY, 3_600).floor(), (at / DAY + 4) % 7);
    let daily = 1.0 + 0.85 * ((hour - 9.0) / 24.0 * std::f64::consts::TAU).sin();
    daily * if day == 0 || day == 6 { 0.6 } else { 1.1 }
}

/// One number of seconds as a multiple of another.
fn ratio(seconds: i64, of: i64) -> f64 {
    let number = |seconds: i64| f64::from(i32::try_from(seconds).unwrap_or(i32::MAX));
    number(seconds) / number(of).max(1.0)
}

/// The whole number below.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is cut off at both ends first"
)]
fn whole(number: f64) -> u32 {
    number.clamp(0.0, f64::from(u32::MAX)) as u32
}

/// A whole number that is so much on the average.
fn about(random: &mut StdRng, expected: f64) -> u32 {
    let wobbled = expected * random.random_range(0.7..1.3);
    whole(wobbled) + u32::from(random.random::<f64>() < wobbled.fract())
}

fn factor(source: &Source, course: Course, at: i64) -> f64 {
    match course {
        Course::Grows(most) => 1.0 + (most - 1.0) * ratio(at - source.begins, source.now - source.begins),
        Course::WorseBy(times) if source.now - at < RELEASED_DAYS_AGO * DAY => times,
        Course::BetterBy(times) if source.now - at >= RELEASED_DAYS_AGO * DAY => times,
        _ => 1.0,
    }
}

/// A query of this second, connection and front end.
fn event(
    text: &mut String,
    random: &mut StdRng,
    source: &Source,
    kind: &Kind,
    (at, thread, front): (i64, u32, u32),
) {
    let factor = factor(source, kind.course, at);
    // The sum of three is about normal: most are near the middle, and a few take three times as long.
    let stray: f64 = (0..3).map(|_| random.random_range(-0.45..0.45)).sum();
    let seconds = kind.seconds * factor * stray.exp();
    let rows = |middle: u32, random: &mut StdRng| match middle {
        0 | 1 => middle,
        _ => whole(f64::from(middle) * random.random_range(0.8..1.2)),
    };
    let examined = rows(whole(f64::from(kind.examined) * factor), random);
    let sent = rows(kind.sent, random).min(examined);
    let word = |yes| if yes { "Yes" } else { "No" };
    let statement = (kind.statement)(random, at);
    let changes = !statement.starts_with("SELECT");
    let _ = write!(
        text,
        "# User@Host: {user}[{user}] @ front{front} [10.70.0.{address}]\n\
         # Thread_id: {thread}  Schema: {schema}  QC_hit: No\n\
         # Query_time: {seconds:.6}  Lock_time: {locked:.6}  Rows_sent: {sent}  Rows_examined: {examined}\n\
         # Rows_affected: {affected}  Bytes_sent: {bytes}\n\
         # Full_scan: {full}  Full_join: No  Tmp_table: {temporary}  Tmp_table_on_disk: No\n\
         # Filesort: {filesort}  Filesort_on_disk: No  Merge_passes: 0  Priority_queue: No\n\
         SET timestamp={at};\n{statement};\n",
        user = kind.user,
        address = 10 + front,
        schema = source.trade.database(),
        locked = (seconds * kind.locked).max(0.000_05),
        affected = if changes { rows(kind.examined / 40 + 1, random) } else { 0 },
        bytes = 60 + sent * 85,
        full = word(kind.full_scan),
        temporary = word(kind.temporary),
        filesort = word(kind.filesort),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn source(trade: Trade) -> Source {
        Source { trade, seed: 7, begins: NOW - 30 * DAY, now: NOW }
    }

    #[test]
    fn the_same_seed_gives_the_same_log_and_all_of_it_lies_in_its_day() {
        let source = source(Trade::Shop);
        let day = NOW - 2 * DAY..NOW - DAY;
        let (text, count) = log(&source, day.clone());
        assert_eq!(log(&source, day.clone()), (text.clone(), count));
        assert_ne!(log(&Source { seed: 8, ..source }, day.clone()).0, text);
        let times: Vec<i64> = text
            .lines()
            .filter_map(|line| line.strip_prefix("SET timestamp="))
            .map(|time| time.trim_end_matches(';').parse().expect("a number"))
            .collect();
        assert_eq!(times.len() as u64, count);
        assert!(count > 500, "{count}");
        assert!(times.iter().all(|at| day.contains(at)) && times.is_sorted());
    }

    #[test]
    fn what_a_release_brought_is_in_no_log_from_before_it() {
        let source = source(Trade::Shop);
        let has = |days_ago: i64| {
            log(&source, NOW - days_ago * DAY..NOW - (days_ago - 1) * DAY).0.contains("FROM wishlists")
        };
        assert!(has(2) && !has(RELEASED_DAYS_AGO + 2));
    }

    #[test]
    fn courses_change_when_they_should() {
        let source = source(Trade::Shop);
        let at = |days_ago: i64, course| factor(&source, course, NOW - days_ago * DAY);
        let courses = [
            (1, Course::WorseBy(3.0), 3.0),
            (8, Course::WorseBy(3.0), 1.0),
            (1, Course::BetterBy(3.0), 1.0),
            (10, Course::BetterBy(3.0), 3.0),
            (0, Course::Grows(2.0), 2.0),
            (30, Course::Grows(2.0), 1.0),
        ];
        for (days_ago, course, expected) in courses {
            let found = at(days_ago, course);
            assert!((found - expected).abs() < 1e-9, "{course:?}, {days_ago} days ago: {found}");
        }
    }
}

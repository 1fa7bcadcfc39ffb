//! From when to when, in whole hours or whole days (UTC): what is looked at, and what it is compared with.

use super::periods::{DAY, HOUR};

const HOUR_LONG: i64 = 3_600_000_000;
pub(super) const DAY_LONG: i64 = 24 * HOUR_LONG;
/// Ranges that are longer are counted in whole days.
const IN_HOURS: i64 = 2 * DAY_LONG;
/// How far on either side of a mark is looked.
const AROUND_MARK: i64 = 7 * DAY_LONG;

/// From when to when, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Whole hours (days, of more than two days) from the one that this is in.
    pub since: i64,
    /// Up to the one that this is in, or the moment before.
    pub until: i64,
}

/// What a range is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// Nothing.
    Nothing,
    /// The range before it that is as long.
    TheOneBefore,
    /// That one.
    Range(Range),
}

/// How long the periods are that are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    Hour,
    Day,
}

impl Span {
    /// As `slow_periods` has it.
    pub(super) fn number(self) -> i64 {
        match self {
            Span::Hour => HOUR,
            Span::Day => DAY,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Span::Hour => "hour",
            Span::Day => "day",
        }
    }

    pub(super) fn length(self) -> i64 {
        match self {
            Span::Hour => HOUR_LONG,
            Span::Day => DAY_LONG,
        }
    }

    pub(super) fn floor(self, time: i64) -> i64 {
        time.div_euclid(self.length()).saturating_mul(self.length())
    }

    fn ceil(self, time: i64) -> i64 {
        self.floor(time.saturating_add(self.length() - 1))
    }
}

/// What is read of `slow_periods`: beginnings of periods, each from and up to, without the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ranges {
    pub(super) span: Span,
    pub(super) after: (i64, i64),
    pub(super) before: Option<(i64, i64)>,
    /// Up to when something is known of the first, of any server.
    pub(super) covered: i64,
}

impl Ranges {
    /// `known` is up to when anything is known at all: when the last mail came.
    /// Of what is older than `hours_since` there are days alone.
    pub(super) fn of(after: Range, against: Against, known: i64, hours_since: i64) -> Ranges {
        let oldest = match against {
            Against::Range(before) => after.since.min(before.since),
            // The one before goes back as far again.
            Against::TheOneBefore => {
                let length = after.until.min(known).saturating_sub(after.since);
                after.since.saturating_sub(length.max(0).saturating_add(HOUR_LONG))
            }
            Against::Nothing => after.since,
        };
        // Both are counted alike: to the hour if one of them is short. Of the long one whole days are read as days all the same.
        let length = |range: Range| range.until.min(known).saturating_sub(range.since);
        let shorter = match against {
            Against::Range(before) => length(after).min(length(before)),
            _ => length(after),
        };
        let span = if shorter <= IN_HOURS && oldest >= hours_since { Span::Hour } else { Span::Day };
        let whole = |range: Range| (span.floor(range.since), range.until);
        let (since, until) = whole(after);
        let covered = until.min(known).max(since);
        let before = match against {
            Against::Nothing => None,
            Against::Range(before) => Some(whole(before)),
            Against::TheOneBefore => {
                let length = (span.ceil(covered) - since).max(span.length());
                // Of all time there is none before.
                (since > length).then(|| (since - length, since))
            }
        };
        Ranges { span, after: (since, until), before, covered }
    }

    /// From the first of both to the last.
    pub(super) fn both(&self) -> (i64, i64) {
        (self.before.map_or(self.after.0, |before| before.0.min(self.after.0)), self.after.1)
    }

    /// The periods that a range is read by: whole days as days, and as hours what is no whole day.
    pub(super) fn pieces(&self, range: (i64, i64)) -> Vec<(Span, (i64, i64))> {
        let (first, last) = match self.span {
            Span::Hour => (Span::Day.ceil(range.0), Span::Day.floor(range.1)),
            Span::Day => range,
        };
        if first >= last {
            return vec![(self.span, range)];
        }
        let all = [(Span::Hour, (range.0, first)), (Span::Day, (first, last)), (Span::Hour, (last, range.1))];
        all.into_iter().filter(|(_, (begin, end))| begin < end).collect()
    }

    /// Before and after a moment, as far as there is something after it, a week at most. The hour that it is in is neither.
    /// Where the hours before it are gone, the same by days.
    pub(super) fn around(mark: i64, known: i64, hours_since: i64) -> Ranges {
        let has_hours = mark.saturating_sub(AROUND_MARK + HOUR_LONG) >= hours_since;
        let span = if has_hours { Span::Hour } else { Span::Day };
        let (up_to, from) = (span.floor(mark), span.ceil(mark));
        let length = (span.ceil(known.min(from.saturating_add(AROUND_MARK))) - from).max(span.length());
        Ranges {
            span,
            after: (from, from + length),
            before: Some((up_to - length, up_to)),
            covered: known.clamp(from, from + length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H: i64 = HOUR_LONG;

    #[test]
    fn whole_hours_and_days() {
        let ranges = |since, until, against, known| Ranges::of(Range { since, until }, against, known, 1);
        // A day that is half over, up to 13:30.
        let day = ranges(1000 * 24 * H + 5, i64::MAX, Against::TheOneBefore, 1000 * 24 * H + 13 * H + H / 2);
        assert_eq!(
            (day.span, day.after.0, day.before),
            (Span::Hour, 24_000 * H, Some((23_986 * H, 24_000 * H)))
        );
        // A week up to the middle of its eighth day.
        let week = ranges(24_000 * H + 12 * H, i64::MAX, Against::TheOneBefore, 24_180 * H);
        assert_eq!(
            (week.span, week.after.0, week.before),
            (Span::Day, 24_000 * H, Some((23_808 * H, 24_000 * H)))
        );
        assert_eq!(week.covered, 24_180 * H);
        assert_eq!(ranges(0, i64::MAX, Against::TheOneBefore, 24_000 * H).before, None);
        let old = Ranges::of(
            Range { since: 24_000 * H, until: 24_024 * H },
            Against::Nothing,
            i64::MAX,
            24_001 * H,
        );
        assert_eq!(old.span, Span::Day, "its hours are gone");
        let long = Against::Range(Range { since: 23_000 * H, until: 23_500 * H });
        assert_eq!(ranges(24_000 * H, 24_001 * H, long, i64::MAX).span, Span::Hour, "both are counted alike");
        assert_eq!(ranges(24_000 * H, 24_100 * H, long, i64::MAX).span, Span::Day);
        // A day that has not ended, by somebody whose clock is behind.
        let open = ranges(24_000 * H - 5, 24_048 * H, long, 24_030 * H);
        assert_eq!((open.span, open.after.0, open.covered), (Span::Hour, 23_999 * H, 24_030 * H));
        let gone = Against::Range(Range { since: 0, until: 24 * 90 * H });
        assert_eq!(ranges(24_000 * H, 24_001 * H, gone, i64::MAX).span, Span::Day, "its hours are gone");
        assert_eq!(ranges(24_000 * H, 24_001 * H, Against::Nothing, 0).covered, 24_000 * H);
    }

    #[test]
    fn whole_days_are_read_as_days() {
        let pieces = |span, begin: i64, end: i64| {
            let ranges = Ranges { span, after: (begin * H, end * H), before: None, covered: end * H };
            let hours = |(span, (begin, end)): (Span, (i64, i64))| (span.word(), begin / H, end / H);
            ranges.pieces(ranges.after).into_iter().map(hours).collect::<Vec<_>>()
        };
        assert_eq!(
            pieces(Span::Hour, 24_005, 24_075),
            [("hour", 24_005, 24_024), ("day", 24_024, 24_072), ("hour", 24_072, 24_075)]
        );
        assert_eq!(pieces(Span::Hour, 24_000, 24_024), [("day", 24_000, 24_024)]);
        assert_eq!(pieces(Span::Hour, 24_005, 24_030), [("hour", 24_005, 24_030)]);
        assert_eq!(pieces(Span::Day, 24_000, 24_075), [("day", 24_000, 24_075)]);
        assert_eq!(pieces(Span::Hour, 24_000, 24_000), [("hour", 24_000, 24_000)]);
    }

    #[test]
    fn the_hour_of_a_mark_is_neither_before_nor_after() {
        let around = Ranges::around(24_000 * H + H / 2, 24_003 * H + 5, 1);
        assert_eq!((around.after, around.before), ((24_001 * H, 24_004 * H), Some((23_997 * H, 24_000 * H))));
        let long = Ranges::around(24_000 * H, i64::MAX / 2, 1);
        assert_eq!((long.after, long.before), ((24_000 * H, 24_168 * H), Some((23_832 * H, 24_000 * H))));
        // A mark in the future: one hour on either side, in which nothing is.
        assert_eq!(Ranges::around(24_000 * H, 0, 1).after, (24_000 * H, 24_001 * H));
        // Of the week before it some hours are gone: by days, and neither is the day that it is in.
        let old = Ranges::around(24_000 * H + H / 2, i64::MAX / 2, 23_900 * H);
        assert_eq!(
            (old.span, old.after, old.before),
            (Span::Day, (24_024 * H, 24_192 * H), Some((23_832 * H, 24_000 * H)))
        );
    }
}

//! Periods that events are counted in: hours, which add up to days, months, and all.

use super::measures::Measures;
use serde::{Deserialize, Serialize};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// How long the periods are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Resolution {
    /// An hour, in UTC.
    #[default]
    Hour,
    /// A day.
    Day,
    /// A calendar month.
    Month,
    /// All time.
    All,
}

impl Resolution {
    /// The next coarser one.
    #[must_use]
    pub fn coarser(self) -> Self {
        match self {
            Self::Hour => Self::Day,
            Self::Day => Self::Month,
            Self::Month | Self::All => Self::All,
        }
    }

    /// When the period that this time is in begins, in microseconds since 1970.
    pub fn period_of(self, time: i64) -> i64 {
        match self {
            Self::Hour => time.div_euclid(HOUR) * HOUR,
            Self::Day => time.div_euclid(DAY) * DAY,
            Self::Month => month_of(time.div_euclid(DAY)) * DAY,
            Self::All => 0,
        }
    }
}

/// The first day of the month that a day (since 1970) is in (Howard Hinnant's `civil_from_days`).
fn month_of(day: i64) -> i64 {
    let since_march = (day + 719_468).rem_euclid(146_097);
    let year = (since_march - since_march / 1460 + since_march / 36_524 - since_march / 146_096) / 365;
    let day_of_year = since_march - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    day - (day_of_year - (153 * month + 2) / 5)
}

/// What happened in one period. Without a time: events whose time is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// When it begins, in microseconds since 1970.
    pub begins: Option<i64>,
    /// What happened.
    pub measures: Measures,
}

/// Periods in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Periods {
    list: Vec<Period>,
    last: usize,
}

impl Periods {
    /// The measures of this period, made if need be.
    pub(crate) fn of(&mut self, begins: Option<i64>) -> &mut Measures {
        if self.list.get(self.last).is_none_or(|period| period.begins != begins) {
            self.last = match self.list.binary_search_by_key(&begins, |period| period.begins) {
                Ok(at) => at,
                Err(at) => {
                    self.list.insert(at, Period { begins, measures: Measures::default() });
                    at
                }
            };
        }
        &mut self.list[self.last].measures
    }

    pub(crate) fn list(&self) -> &[Period] {
        &self.list
    }

    /// The same in longer periods.
    pub(crate) fn coarsen(&mut self, resolution: Resolution) {
        for period in std::mem::take(&mut self.list) {
            self.of(period.begins.map(|time| resolution.period_of(time))).merge(&period.measures);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_days_and_months() {
        // 2024-02-29T12:34:56Z.
        let time = 1_709_210_096_000_000;
        assert_eq!(Resolution::Hour.period_of(time), 1_709_208_000_000_000);
        assert_eq!(Resolution::Day.period_of(time), 1_709_164_800_000_000);
        assert_eq!(Resolution::Month.period_of(time), 1_706_745_600_000_000);
        assert_eq!(Resolution::Month.period_of(-1), -31 * DAY);
        assert_eq!(Resolution::Hour.period_of(-1), -HOUR);
    }
}

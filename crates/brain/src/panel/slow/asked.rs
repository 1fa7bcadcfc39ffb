//! What the pages of slow queries are asked for: which time, what it is compared with, which queries.

use crate::http::{ApiError, ApiResult};
use honcho_model::Timestamp;
use honcho_store::Filters;
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

/// How many queries a page has.
pub(super) const ROWS: i64 = 25;
/// More pages than that there are queries kept apart of a server.
const MOST_PAGES: i64 = 10_000;

/// Everything, as it stands in an address. Empty fields of a form ask for nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::panel) struct Asked {
    /// `24h`, `7d`, `30d`.
    pub(super) period: String,
    /// One day, in place of that.
    pub(super) day: String,
    /// The day with which begins what it is compared with.
    pub(super) against: String,
    /// What was after this mark is compared with what was before it.
    pub(super) mark_id: String,
    /// Only this server.
    pub(super) server_id: String,
    pub(super) state: String,
    pub(super) flag: String,
    /// Only queries in which this stands.
    pub(super) text: String,
    pub(super) page: String,
}

/// How far back is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Period {
    Hours24,
    Days7,
    Days30,
    Day(Date),
}

impl Period {
    /// Those that need nothing else to be chosen.
    pub(super) const PLAIN: [Period; 3] = [Period::Hours24, Period::Days7, Period::Days30];

    pub(super) fn word(self) -> &'static str {
        match self {
            Period::Hours24 => "24h",
            Period::Days7 => "7d",
            Period::Days30 => "30d",
            Period::Day(_) => "",
        }
    }

    pub(super) fn label(self) -> String {
        match self {
            Period::Hours24 => "24 hours".to_owned(),
            Period::Days7 => "7 days".to_owned(),
            Period::Days30 => "30 days".to_owned(),
            Period::Day(day) => day.strftime("%-d %b %Y").to_string(),
        }
    }

    fn days(self) -> i64 {
        match self {
            Period::Hours24 | Period::Day(_) => 1,
            Period::Days7 => 7,
            Period::Days30 => 30,
        }
    }
}

fn day(attribute: &str, text: &str) -> ApiResult<Date> {
    let parsed = text.trim().parse::<Date>().ok().filter(|day| (1970..=9998).contains(&day.year()));
    parsed.ok_or_else(|| ApiError::invalid(attribute, "must be a day, as in 2026-11-27"))
}

fn begins(day: Date) -> String {
    day.to_zoned(TimeZone::UTC).map(|begin| begin.timestamp().to_string()).unwrap_or_default()
}

impl Asked {
    fn pairs(&self) -> [(&'static str, &str); 9] {
        [
            ("server_id", &self.server_id),
            ("period", &self.period),
            ("day", &self.day),
            ("against", &self.against),
            ("mark_id", &self.mark_id),
            ("state", &self.state),
            ("flag", &self.flag),
            ("text", &self.text),
            ("page", &self.page),
        ]
    }

    /// An address on which that is asked for, with something else in place; from the first page on, unless that is what changes.
    pub(super) fn with(&self, path: &str, change: impl FnOnce(&mut Asked)) -> String {
        let mut asked = Asked { page: String::new(), ..self.clone() };
        change(&mut asked);
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(asked.pairs().into_iter().filter(|(_, value)| !value.is_empty()));
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// What a search among the queries keeps of it.
    pub(super) fn kept(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let others =
            |(name, value): &(&'static str, &str)| !matches!(*name, "text" | "page") && !value.is_empty();
        self.pairs().into_iter().filter(others)
    }

    /// The time alone: what goes with somebody from one page to the next.
    pub(super) fn time_alone(&self) -> Asked {
        Asked {
            period: self.period.clone(),
            day: self.day.clone(),
            against: self.against.clone(),
            mark_id: self.mark_id.clone(),
            ..Asked::default()
        }
    }

    pub(super) fn period(&self) -> ApiResult<Period> {
        if !self.day.is_empty() {
            return Ok(Period::Day(day("day", &self.day)?));
        }
        match self.period.as_str() {
            "24h" => Ok(Period::Hours24),
            "" | "7d" => Ok(Period::Days7),
            "30d" => Ok(Period::Days30),
            _ => Err(ApiError::invalid("period", "must be one of 24h, 7d, 30d")),
        }
    }

    /// Which page, from 0 on.
    pub(super) fn page(&self) -> ApiResult<i64> {
        let asked = if self.page.is_empty() { Ok(1) } else { self.page.parse() };
        let page = asked.ok().filter(|page| (1..=MOST_PAGES).contains(page));
        page.map(|page| page - 1).ok_or_else(|| ApiError::invalid("page", "must be a whole number from 1 on"))
    }

    /// The same as the API is asked.
    pub(super) fn filters(&self, now: Timestamp) -> ApiResult<Filters> {
        let mut equals: Vec<(String, String)> = Vec::new();
        let mut ask = |name: &str, value: String| equals.push((name.to_owned(), value));
        if self.mark_id.is_empty() {
            let period = self.period()?;
            let ago = now.0.saturating_sub(period.days() * 86_400_000_000);
            match period {
                Period::Day(day) => {
                    ask("since", begins(day));
                    ask("until", begins(day.saturating_add(1.day())));
                }
                _ => ask("since", jiff::Timestamp::from_microsecond(ago).unwrap_or_default().to_string()),
            }
            if !self.against.is_empty() {
                let first = day("against", &self.against)?;
                ask("against_since", begins(first));
                ask("against_until", begins(first.saturating_add(period.days().days())));
            }
        } else {
            ask("mark_id", self.mark_id.clone());
        }
        for (name, value) in [("state", &self.state), ("flag", &self.flag), ("text", &self.text)] {
            if !value.trim().is_empty() {
                ask(name, value.trim().to_owned());
            }
        }
        Ok(Filters { limit: Some(ROWS), offset: Some(self.page()? * ROWS), equals, ..Filters::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(query: &str, expected: &Expect) {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let value = |name: &str| {
            pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let asked = Asked {
            period: value("period"),
            day: value("day"),
            against: value("against"),
            mark_id: value("mark_id"),
            state: value("state"),
            page: value("page"),
            ..Asked::default()
        };
        let now: jiff::Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let text = match asked.filters(Timestamp(now.as_microsecond())) {
            Ok(filters) => {
                let pairs: Vec<String> =
                    filters.equals.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{} from {}", pairs.join(" "), filters.offset.unwrap())
            }
            Err(error) => {
                error.said().map(|(field, text)| [field, text].join(" ")).collect::<Vec<_>>().join("; ")
            }
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn periods_become_ranges() {
        check("", &expect!["since=2026-11-22T12:00:00Z from 0"]);
        check(
            "period=24h&page=3&state=ignored",
            &expect!["since=2026-11-28T12:00:00Z state=ignored from 50"],
        );
        check(
            "period=7d&day=2026-11-01&against=2026-10-25",
            &expect![
                "since=2026-11-01T00:00:00Z until=2026-11-02T00:00:00Z against_since=2026-10-25T00:00:00Z against_until=2026-10-26T00:00:00Z from 0"
            ],
        );
        check("period=30d&mark_id=7", &expect!["mark_id=7 from 0"]);
        check("day=yesterday", &expect!["day must be a day, as in 2026-11-27"]);
        check("period=year", &expect!["period must be one of 24h, 7d, 30d"]);
        check("page=0", &expect!["page must be a whole number from 1 on"]);
    }

    #[test]
    fn addresses_keep_what_is_asked_and_begin_anew() {
        let asked =
            Asked { period: "30d".into(), flag: "worse".into(), page: "4".into(), ..Asked::default() };
        assert_eq!(
            asked.with("/x", |asked| asked.state = "accepted".into()),
            "/x?period=30d&state=accepted&flag=worse"
        );
        assert_eq!(asked.time_alone().with("/y", |_| {}), "/y?period=30d");
        assert_eq!(Asked::default().with("/z", |_| {}), "/z");
    }
}

//! Which events are counted: `--since`, `--until` and `--filter`.

use honcho_slowlog::Event;
use jiff::{Timestamp, civil, tz::TimeZone};

/// All that has to hold of an event.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    /// In microseconds since 1970.
    pub(super) since: Option<i64>,
    pub(super) until: Option<i64>,
    pub(super) all: Vec<Condition>,
}

impl Conditions {
    pub(super) fn hold(&self, event: &Event<'_>) -> bool {
        // What has no time is in no span of time.
        self.since.is_none_or(|since| event.time.is_some_and(|time| time >= since))
            && self.until.is_none_or(|until| event.time.is_some_and(|time| time < until))
            && self.all.iter().all(|condition| condition.holds(event))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    User,
    Host,
    Database,
    Statement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    QueryTime,
    LockTime,
    RowsSent,
    RowsExamined,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Is,
    IsNot,
    Holds,
    HoldsNot,
    AtLeast,
    AtMost,
    More,
    Less,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Of a text.
    Text(TextCondition),
    /// Of a number.
    Number(NumberCondition),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextCondition {
    attribute: Text,
    comparison: Comparison,
    value: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NumberCondition {
    attribute: Number,
    comparison: Comparison,
    value: u64,
}

impl Condition {
    fn holds(&self, event: &Event<'_>) -> bool {
        match self {
            Self::Text(condition) => {
                let text = match condition.attribute {
                    Text::User => event.user,
                    Text::Host => event.host,
                    Text::Database => event.database,
                    Text::Statement => event.statement,
                };
                let value = &*condition.value;
                match condition.comparison {
                    Comparison::IsNot => text != value,
                    Comparison::Holds => holds(text, value),
                    Comparison::HoldsNot => !holds(text, value),
                    _ => text == value,
                }
            }
            Self::Number(condition) => {
                let number = match condition.attribute {
                    Number::QueryTime => event.query_time,
                    Number::LockTime => event.lock_time,
                    Number::RowsSent => event.rows_sent,
                    Number::RowsExamined => event.rows_examined,
                };
                match condition.comparison {
                    Comparison::IsNot => number != condition.value,
                    Comparison::AtLeast => number >= condition.value,
                    Comparison::AtMost => number <= condition.value,
                    Comparison::More => number > condition.value,
                    Comparison::Less => number < condition.value,
                    _ => number == condition.value,
                }
            }
        }
    }
}

fn holds(text: &[u8], value: &[u8]) -> bool {
    value.is_empty() || text.windows(value.len()).any(|part| part == value)
}

/// Reads a condition.
pub(super) fn parse(text: &str) -> Result<Condition, String> {
    const COMPARISONS: [(&str, Comparison); 8] = [
        ("!=", Comparison::IsNot),
        ("!~", Comparison::HoldsNot),
        (">=", Comparison::AtLeast),
        ("<=", Comparison::AtMost),
        ("=", Comparison::Is),
        ("~", Comparison::Holds),
        (">", Comparison::More),
        ("<", Comparison::Less),
    ];
    let end = text.find(['!', '>', '<', '=', '~']).ok_or("it has none of = != ~ !~ > >= < <=")?;
    let (name, rest) = text.split_at(end);
    let (sign, comparison) = COMPARISONS
        .into_iter()
        .find(|(sign, _)| rest.starts_with(sign))
        .ok_or("it has none of = != ~ !~ > >= < <=")?;
    let value = rest[sign.len()..].trim();
    let of_text = |attribute| match comparison {
        Comparison::AtLeast | Comparison::AtMost | Comparison::More | Comparison::Less => {
            Err(format!("{} is a text: = != ~ and !~ go with it", name.trim()))
        }
        _ => Ok(Condition::Text(TextCondition { attribute, comparison, value: value.as_bytes().to_vec() })),
    };
    let of_number = |attribute, value: Option<u64>| match (comparison, value) {
        (Comparison::Holds | Comparison::HoldsNot, _) => {
            Err(format!("{} is a number: = != > >= < and <= go with it", name.trim()))
        }
        (_, None) => Err(format!("{value:?} is no number for {}", name.trim()).replace("None", rest)),
        (_, Some(value)) => Ok(Condition::Number(NumberCondition { attribute, comparison, value })),
    };
    match name.trim() {
        "user" => of_text(Text::User),
        "host" => of_text(Text::Host),
        "database" | "db" => of_text(Text::Database),
        "statement" => of_text(Text::Statement),
        "query_time" => of_number(Number::QueryTime, seconds(value)),
        "lock_time" => of_number(Number::LockTime, seconds(value)),
        "rows_sent" => of_number(Number::RowsSent, value.parse().ok()),
        "rows_examined" => of_number(Number::RowsExamined, value.parse().ok()),
        other => Err(format!(
            "there is no attribute {other:?}: user, host, database, statement, query_time, lock_time, rows_sent, \
             rows_examined"
        )),
    }
}

/// Seconds as microseconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was looked at")]
fn seconds(text: &str) -> Option<u64> {
    let seconds: f64 = text.parse().ok()?;
    (0.0..1e12).contains(&seconds).then(|| (seconds * 1e6).round() as u64)
}

/// A moment, in microseconds since 1970. Without a zone it is UTC.
pub(super) fn time(text: &str, now: Timestamp) -> Result<i64, String> {
    let text = text.trim();
    if let Some((number, seconds)) = [("m", 60), ("h", 3600), ("d", 86_400), ("s", 1)]
        .into_iter()
        .find_map(|(unit, seconds)| text.strip_suffix(unit).map(|number| (number, seconds)))
        && let Ok(number) = number.parse::<u32>()
    {
        return Ok(now.as_microsecond() - i64::from(number) * seconds * 1_000_000);
    }
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(i64::from(seconds) * 1_000_000);
    }
    let civil =
        |parsed: Result<civil::DateTime, jiff::Error>| parsed.and_then(|time| time.to_zoned(TimeZone::UTC));
    let parsed = text
        .parse::<Timestamp>()
        .or_else(|_| civil(text.parse()).map(|zoned| zoned.timestamp()))
        .map_err(|_| "it is no time".to_owned())?;
    Ok(parsed.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn conditions_are_read() {
        for right in
            ["user=shop", "host != web1", "statement~a=b", "query_time>=0.5", "rows_sent<10", "db!~test"]
        {
            assert!(parse(right).is_ok(), "{right}");
        }
        let why = |text: &str| parse(text).unwrap_err();
        expect!["it has none of = != ~ !~ > >= < <="].assert_eq(&why("user"));
        expect!["user is a text: = != ~ and !~ go with it"].assert_eq(&why("user>5"));
        expect!["query_time is a number: = != > >= < and <= go with it"].assert_eq(&why("query_time~5"));
        expect![[r#"there is no attribute "colour": user, host, database, statement, query_time, lock_time, rows_sent, rows_examined"#]]
            .assert_eq(&why("colour=red"));
        assert!(parse("rows_sent=many").is_err());
    }

    #[test]
    fn times_are_read() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let check = |text: &str, seconds: i64| assert_eq!(time(text, now), Ok(seconds * 1_000_000), "{text}");
        check("2h", 1_700_000_000 - 7200);
        check("1700000005", 1_700_000_005);
        check("2023-11-14", 1_699_920_000);
        check("2023-11-14 22:13", 1_699_999_980);
        check("2023-11-14T22:13:20Z", 1_700_000_000);
        check("2023-11-14T23:13:20+01:00", 1_700_000_000);
        assert!(time("yesterday", now).is_err());
    }
}

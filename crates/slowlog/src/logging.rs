//! What a server logs as slow, by its own word. A log does not tell: whoever sends it asks the server, and the answer travels beside it.

use std::fmt::Write as _;

/// The longest `long_query_time` there is (`MariaDB`'s): a year, in microseconds.
const LONGEST: u64 = 31_536_000 * 1_000_000;
/// A server that logs fewer than one of so many logs nothing.
const MOST_RATE_LIMIT: u64 = 1_000_000_000;

const LONG_QUERY_TIME: &str = "long_query_time";
const NOT_USING_INDEXES: &str = "log_queries_not_using_indexes";
const RATE_LIMIT: &str = "log_slow_rate_limit";

/// What a server logs as slow. What is not there is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Logging {
    /// Queries that take longer are logged (`long_query_time`), in microseconds.
    pub long_query_time: Option<u64>,
    /// Whether those that use no index are, too, however short they are (`log_queries_not_using_indexes`).
    pub queries_not_using_indexes: Option<bool>,
    /// One of so many is logged (`log_slow_rate_limit` of `MariaDB` and Percona Server).
    pub rate_limit: Option<u64>,
}

impl Logging {
    /// What to ask a server: `MySQL`, `MariaDB` and Percona Server know these by the same names, as far as they know them.
    pub const QUESTION: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
        ('long_query_time', 'log_queries_not_using_indexes', 'log_slow_rate_limit')";

    /// Reads the answer as the client prints it with `--batch`: a name, a tab and a value a line. Whatever else it prints is passed over.
    pub fn of_variables(text: &str) -> Logging {
        let mut logging = Logging::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once('\t')) {
            let value = value.trim();
            match name.trim() {
                LONG_QUERY_TIME => logging.long_query_time = micros(value),
                NOT_USING_INDEXES => logging.queries_not_using_indexes = switch(value),
                RATE_LIMIT => logging.rate_limit = rate_limit(value),
                _ => {}
            }
        }
        logging
    }

    /// Whether anything is known.
    pub fn is_known(&self) -> bool {
        *self != Logging::default()
    }

    /// As it travels: `long_query_time=1000000 log_queries_not_using_indexes=0 log_slow_rate_limit=1`.
    pub fn written(&self) -> String {
        let mut text = String::new();
        let numbers = [
            (LONG_QUERY_TIME, self.long_query_time),
            (NOT_USING_INDEXES, self.queries_not_using_indexes.map(u64::from)),
            (RATE_LIMIT, self.rate_limit),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                let _ = write!(text, "{}{name}={number}", if text.is_empty() { "" } else { " " });
            }
        }
        text
    }

    /// Reads that, which a stranger may have written. None if anything in it is not as [`Logging::written`] has it, or cannot be, or
    /// if nothing is known by it; words that a later version may add are passed over.
    pub fn read(text: &str) -> Option<Logging> {
        let mut logging = Logging::default();
        for word in text.split_ascii_whitespace() {
            let (name, value) = word.split_once('=')?;
            match name {
                LONG_QUERY_TIME if logging.long_query_time.is_none() => {
                    logging.long_query_time = Some(whole(value).filter(|micros| *micros <= LONGEST)?);
                }
                NOT_USING_INDEXES if logging.queries_not_using_indexes.is_none() => {
                    logging.queries_not_using_indexes = Some(switch(value)?);
                }
                RATE_LIMIT if logging.rate_limit.is_none() => logging.rate_limit = Some(rate_limit(value)?),
                LONG_QUERY_TIME | NOT_USING_INDEXES | RATE_LIMIT => return None,
                _ => {}
            }
        }
        logging.is_known().then_some(logging)
    }
}

fn whole(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Seconds with up to six digits behind the point, in microseconds.
fn micros(text: &str) -> Option<u64> {
    let (seconds, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 6 {
        return None;
    }
    let part = if part.is_empty() { 0 } else { whole(&format!("{part:0<6}"))? };
    let micros = whole(seconds)?.checked_mul(1_000_000)?.checked_add(part)?;
    (micros <= LONGEST).then_some(micros)
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "ON" | "1" => Some(true),
        "OFF" | "0" => Some(false),
        _ => None,
    }
}

fn rate_limit(text: &str) -> Option<u64> {
    whole(text).filter(|limit| (1..=MOST_RATE_LIMIT).contains(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_client_prints() {
        let mariadb =
            "log_queries_not_using_indexes\tOFF\nlog_slow_rate_limit\t1\nlong_query_time\t0.050000\n";
        let known = Logging {
            long_query_time: Some(50_000),
            queries_not_using_indexes: Some(false),
            rate_limit: Some(1),
        };
        assert_eq!(Logging::of_variables(mariadb), known);
        let mysql = "Variable_name\tValue\nlog_queries_not_using_indexes\tON\nlong_query_time\t10.000000\n";
        let known = Logging {
            long_query_time: Some(10_000_000),
            queries_not_using_indexes: Some(true),
            rate_limit: None,
        };
        assert_eq!(Logging::of_variables(mysql), known);
        for nothing in [
            "",
            "ERROR 1045 (28000): Access denied for user 'root'@'localhost'\n",
            "long_query_time\t\nlog_slow_rate_limit\t0\nlog_queries_not_using_indexes\tperhaps\n",
            "long_query_time\t-1\n",
            "long_query_time\t1e3\n",
            "long_query_time\t1.2.3\n",
            "long_query_time\t99999999999999999999\n",
            "long_query_time\t31536001\n",
        ] {
            assert!(!Logging::of_variables(nothing).is_known(), "{nothing:?}");
        }
        assert_eq!(Logging::of_variables("long_query_time\t2").long_query_time, Some(2_000_000));
    }

    #[test]
    fn what_a_stranger_writes() {
        let read = Logging::read("long_query_time=0 colour=red log_slow_rate_limit=20").unwrap();
        assert_eq!(read, Logging { long_query_time: Some(0), rate_limit: Some(20), ..Logging::default() });
        for wrong in [
            "",
            "colour=red",
            "long_query_time",
            "long_query_time=",
            "long_query_time=-1",
            "long_query_time=+1",
            "long_query_time=1.5",
            "long_query_time=1 long_query_time=2",
            "long_query_time=31536000000001",
            "long_query_time=18446744073709551616",
            "long_query_time=1 log_queries_not_using_indexes=2",
            "log_slow_rate_limit=0",
            "log_slow_rate_limit=1000000001",
        ] {
            assert_eq!(Logging::read(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            long_query_time in prop::option::of(0..=LONGEST),
            queries_not_using_indexes in prop::option::of(any::<bool>()),
            rate_limit in prop::option::of(1..=MOST_RATE_LIMIT),
        ) {
            let logging = Logging { long_query_time, queries_not_using_indexes, rate_limit };
            prop_assert_eq!(Logging::read(&logging.written()), Some(logging).filter(Logging::is_known));
        }

        #[test]
        fn nothing_that_is_read_is_out_of_bounds(text in "\\PC{0,60}", variables in "(long_query_time|log_slow_rate_limit)\t[0-9.]{0,20}\n") {
            for logging in [Logging::read(&text), Some(Logging::of_variables(&variables))].into_iter().flatten() {
                prop_assert!(logging.long_query_time.is_none_or(|micros| micros <= LONGEST));
                prop_assert!(logging.rate_limit.is_none_or(|limit| (1..=MOST_RATE_LIMIT).contains(&limit)));
            }
        }
    }
}

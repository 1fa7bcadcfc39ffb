//! Numbers of slow queries as people read them, and the ranges that they ask for.

use super::condition;
use crate::age::age;
use crate::command_error::CommandError;
use honcho_api::SlowServer;
use jiff::Timestamp;
use std::fmt::Write as _;

/// A time as it is typed.
pub(super) fn time(option: &str, text: &str, now: Timestamp) -> Result<String, CommandError> {
    let time = condition::time(text, now).map_err(|error| {
        CommandError::usage(format!("--{option} {text}: {error}"))
            .hint("as in 2026-11-27, '2026-11-27 06:00', 90m, 2h, 3d, or seconds since 1970")
    })?;
    Ok(Timestamp::from_microsecond(time).unwrap_or(now).to_string())
}

/// Which range, and which it is compared with.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RangeArguments {
    /// From this time on: 2026-11-27, '2026-11-27 06:00', 2h (ago); 7d, if not given
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Compare with what was from this time on; with the range before that is as long, if not given
    #[arg(long, value_name = "TIME", requires = "against_until")]
    against_since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME", requires = "against_since")]
    against_until: Option<String>,
    /// Compare what came after this mark with what was before it, up to a week
    #[arg(long, value_name = "MARK", conflicts_with_all = ["since", "until", "against_since"])]
    before_after: Option<i64>,
}

impl RangeArguments {
    /// The same, for the brain.
    pub(super) fn query(&self, now: Timestamp) -> Result<Vec<(&'static str, String)>, CommandError> {
        if let Some(mark) = self.before_after {
            return Ok(vec![("mark_id", mark.to_string())]);
        }
        let mut query = vec![("since", time("since", self.since.as_deref().unwrap_or("7d"), now)?)];
        for (name, option, text) in [
            ("until", "until", &self.until),
            ("against_since", "against-since", &self.against_since),
            ("against_until", "against-until", &self.against_until),
        ] {
            if let Some(text) = text {
                query.push((name, time(option, text, now)?));
            }
        }
        Ok(query)
    }
}

/// What a server logs as slow, by its own word.
pub(super) fn logging(server: &SlowServer) -> String {
    let Some(long_query_time) = server.long_query_time_seconds else { return "not told".to_owned() };
    let mut text = match long_query_time {
        0.0 => "0 (logs all)".to_owned(),
        long => seconds(long),
    };
    if server.log_queries_not_using_indexes == Some(true) {
        text.push_str(", and what uses no index");
    }
    if let Some(one_of) = server.log_slow_rate_limit.filter(|one_of| *one_of > 1) {
        let _ = write!(text, ", one of {one_of} of these");
    }
    text
}

/// When a server's last log came, and what it logs.
pub(super) fn known_of(server: &SlowServer, now: Timestamp) -> String {
    // It says so with each log; if not with the last one, it may be another by now.
    let told = server.logging_told_at.filter(|at| server.last_mail_at.as_second() - at.as_second() > 3600);
    let told = told.map_or_else(String::new, |at| format!(", as it said {}", age(at, now)));
    let last_query =
        server.last_event_at.map_or_else(String::new, |at| format!(", its last query {}", age(at, now)));
    let silent = if server.silent_since.is_some() { ", silent" } else { "" };
    format!(
        "last log {}{last_query}{silent}; long_query_time {}{told}",
        age(server.last_mail_at, now),
        logging(server)
    )
}

/// A span of time.
pub(super) fn seconds(seconds: f64) -> String {
    match seconds {
        0.0..0.000_999_5 => format!("{:.0} \u{b5}s", seconds * 1e6),
        0.000_999_5..0.999_95 => format!("{:.1} ms", seconds * 1e3),
        0.999_95..99.995 => format!("{seconds:.2} s"),
        _ => format!("{seconds:.0} s"),
    }
}

/// How many times as much: `x2.1`, `same` within five percent.
pub(super) fn times(ratio: f64) -> String {
    match ratio {
        0.95..=1.05 => "same".to_owned(),
        0.0..9.95 => format!("x{ratio:.1}"),
        _ => format!("x{ratio:.0}"),
    }
}

/// Rows read for each one sent.
pub(super) fn for_each_sent(ratio: Option<f64>) -> Option<String> {
    ratio.map(|ratio| if ratio < 9.95 { format!("{ratio:.1}") } else { format!("{ratio:.0}") })
}

/// Values as a row of bars, the highest as high as a line.
pub(super) fn sparkline(values: &[f64]) -> String {
    const BARS: [char; 8] =
        ['\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}'];
    let highest = values.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "one of eight bars")]
        let height = if highest > 0.0 { (value / highest * 7.0).round() as usize } else { 0 };
        if *value > 0.0 { BARS[height.min(7)] } else { ' ' }
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let spans = [0.000_012_3, 0.000_999_6, 0.0452, 0.99996, 12.345, 99.996, 1234.0].map(seconds);
        assert_eq!(spans, ["12 \u{b5}s", "1.0 ms", "45.2 ms", "1.00 s", "12.35 s", "100 s", "1234 s"]);
        assert_eq!(
            [0.5, 0.96, 1.04, 2.14, 9.96, 140.2].map(times),
            ["x0.5", "same", "same", "x2.1", "x10", "x140"]
        );
        assert_eq!(sparkline(&[0.0, 1.0, 4.0, 8.0]), " \u{2582}\u{2585}\u{2588}");
        assert_eq!((sparkline(&[]), sparkline(&[0.0])), (String::new(), " ".to_owned()));
    }
}

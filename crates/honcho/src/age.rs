//! Times for people: how long ago, or in how long.

use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// `at` as seen from `now`: "3 min ago", "in 13 days"; past two months the date.
pub(crate) fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    let distance = seconds.abs();
    if distance > 60 * DAY {
        return at.strftime("%Y-%m-%d").to_string();
    }
    let text = match distance {
        0..5 => return "just now".to_owned(),
        5..MINUTE => format!("{distance} s"),
        MINUTE..HOUR => format!("{} min", distance / MINUTE),
        HOUR..172_800 => format!("{} h", distance / HOUR),
        _ => format!("{} days", distance / DAY),
    };
    if seconds < 0 { format!("in {text}") } else { format!("{text} ago") }
}

/// A span for people: "45s", "3m 20s", "2h 5m".
pub(crate) fn span(seconds: u64) -> String {
    let minutes = seconds / 60;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{minutes}m"),
        60..3600 => format!("{minutes}m {}s", seconds % 60),
        3600..86_400 if minutes.is_multiple_of(60) => format!("{}h", minutes / 60),
        3600..86_400 => format!("{}h {}m", minutes / 60, minutes % 60),
        _ if (minutes / 60).is_multiple_of(24) => format!("{}d", minutes / 1440),
        _ => format!("{}d {}h", minutes / 1440, (minutes / 60) % 24),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_say_them() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        for (at, expected) in [
            ("2026-11-22T11:59:58Z", "just now"),
            ("2026-11-22T11:59:18Z", "42 s ago"),
            ("2026-11-22T11:56:10Z", "3 min ago"),
            ("2026-11-22T07:00:00Z", "5 h ago"),
            ("2026-11-19T12:00:00Z", "3 days ago"),
            ("2026-12-06T11:00:00Z", "in 13 days"),
            ("2025-01-01T00:00:00Z", "2025-01-01"),
        ] {
            assert_eq!(age(at.parse().unwrap(), now), expected, "{at}");
        }
        assert_eq!(
            [span(45), span(200), span(900), span(7500), span(1_209_600)],
            ["45s", "3m 20s", "15m", "2h 5m", "14d"]
        );
    }
}

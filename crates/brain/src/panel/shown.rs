//! How values are shown: the words, sizes and times of every page.

use honcho_model::Bytes;
use honcho_model::guest::GuestStatus;
use honcho_model::host::HostStatus;
use honcho_model::operation::OperationState;
use jiff::Timestamp;

/// A word with a colour; the word alone says it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Badge {
    pub(super) word: &'static str,
    /// `good`, `busy`, `off`, `warn` or `bad`.
    pub(super) tone: &'static str,
}

/// What a guest is.
pub(super) fn guest_status(status: GuestStatus) -> Badge {
    use GuestStatus as S;
    let tone = match status {
        S::Running => "good",
        S::Building
        | S::Starting
        | S::Rebooting
        | S::Stopping
        | S::Moving
        | S::Resizing
        | S::Pending
        | S::Deleting => "busy",
        S::Stopped | S::Cancelled | S::Deleted => "off",
        S::Suspended | S::Unknown | S::GivenUp => "warn",
        S::Failing | S::Damaged | S::Frozen => "bad",
    };
    let word = if status == S::GivenUp { "given up" } else { status.as_str() };
    Badge { word, tone }
}

/// What a host is.
pub(super) fn host_status(status: HostStatus) -> Badge {
    let tone = match status {
        HostStatus::Up => "good",
        HostStatus::Waiting => "off",
        HostStatus::Silent => "warn",
        HostStatus::Frozen => "bad",
    };
    Badge { word: status.as_str(), tone }
}

/// What became of an operation.
pub(super) fn operation_state(state: OperationState, is_held_up: Option<&str>) -> Badge {
    match (state, is_held_up) {
        (OperationState::Open, None) => Badge { word: "open", tone: "busy" },
        (OperationState::Open, Some(_)) => Badge { word: "held up", tone: "bad" },
        (OperationState::Done, _) => Badge { word: "done", tone: "good" },
        (OperationState::Superseded, _) => Badge { word: "superseded", tone: "off" },
        (OperationState::Abandoned, _) => Badge { word: "abandoned", tone: "warn" },
        (OperationState::Refused, _) => Badge { word: "refused", tone: "bad" },
    }
}

/// `1.5G`, with a thin space before the unit.
pub(super) fn size(bytes: i64) -> String {
    let text = Bytes(u64::try_from(bytes).unwrap_or(0)).to_string();
    match text.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => format!("{}\u{202f}{unit}", &text[..at]),
        _ => text,
    }
}

/// As a form has it, which reads it back: `512M`.
pub(super) fn plain_size(bytes: i64) -> String {
    Bytes(u64::try_from(bytes).unwrap_or(0)).to_string()
}

/// A moment, for people and for machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// `29 Nov 03:41`, or with the year where it is not this one.
    pub(super) short: String,
    /// ISO 8601.
    pub(super) exact: String,
}

/// When it was, in UTC, seen from now.
pub(super) fn moment(at: Timestamp, now: honcho_model::Timestamp) -> Moment {
    let now = Timestamp::from_microsecond(now.0).unwrap_or_default();
    let (day, today) = (at.to_zoned(jiff::tz::TimeZone::UTC), now.to_zoned(jiff::tz::TimeZone::UTC));
    let format = if day.date() == today.date() {
        "%H:%M:%S"
    } else if day.year() == today.year() {
        "%-d %b %H:%M"
    } else {
        "%-d %b %Y %H:%M"
    };
    Moment { short: day.strftime(format).to_string(), exact: day.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() }
}

/// How long it is from one moment to another, roughly: `3 min`, `2 d`.
pub(super) fn span(from: Timestamp, until: Timestamp) -> String {
    let seconds = until.as_second().saturating_sub(from.as_second()).max(0);
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5_999 => format!("{} min", seconds / 60),
        6_000..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long something took: `350 µs`, `12.3 ms`, `1.23 s`, `95 min`.
pub(super) fn seconds(seconds: f64) -> String {
    match seconds {
        ..0.000_000_5 => "0\u{202f}s".to_owned(),
        ..0.000_999_5 => format!("{:.0}\u{202f}\u{b5}s", seconds * 1e6),
        ..0.099_95 => format!("{:.1}\u{202f}ms", seconds * 1e3),
        ..0.999_5 => format!("{:.0}\u{202f}ms", seconds * 1e3),
        ..99.95 => format!("{seconds:.2}\u{202f}s"),
        ..5_999.5 => format!("{:.0}\u{202f}min", seconds / 60.0),
        ..359_940.0 => format!("{:.1}\u{202f}h", seconds / 3_600.0),
        _ => format!("{:.0}\u{202f}d", seconds / 86_400.0),
    }
}

/// `12,345`.
pub(super) fn count(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if n < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share of one: `42.1 %`.
pub(super) fn percent(share: f64) -> String {
    match share {
        ..0.000_000_1 => "0\u{202f}%".to_owned(),
        ..0.000_5 => "<0.1\u{202f}%".to_owned(),
        _ => format!("{:.1}\u{202f}%", share * 100.0),
    }
}

/// How many times as much: `×1.8`; nothing, if that is as much as before.
pub(super) fn times(ratio: f64) -> Option<String> {
    let text = match ratio {
        ..0.005 => "\u{d7}0".to_owned(),
        ..9.95 => format!("\u{d7}{ratio:.1}"),
        _ => format!("\u{d7}{ratio:.0}"),
    };
    (!(0.95..1.05).contains(&ratio)).then_some(text)
}

/// Why placing refuses hosts, in few words; the words of the API are names of its filters.
pub(super) fn filter(word: &str) -> String {
    let said = match word {
        "wanted" => "another is wanted",
        "enabled" => "not up",
        "duty" => "runs no guests",
        "draining" => "being emptied",
        "capability" => "lacks something",
        "network" => "does not reach its network",
        "vcpus" => "vCPUs",
        "anti_affinity" => "same role there",
        "failure_domain" => "same role beside it",
        "n_plus_one" => "N+1",
        word => return words(word),
    };
    said.to_owned()
}

/// A kind of operation or a step, for people.
pub(super) fn words(word: &str) -> String {
    word.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_for_people() {
        assert_eq!(size(512 << 20), "512\u{202f}M");
        assert_eq!(size(3 << 29), "1.5\u{202f}G");
        assert_eq!(size(0), "0");
        let plain = |text: String| text.replace('\u{202f}', " ");
        let spans = [0.0, 0.000_35, 0.0123, 0.4, 1.234, 5700.0, 90_000.0].map(|n| plain(seconds(n)));
        assert_eq!(spans, ["0 s", "350 \u{b5}s", "12.3 ms", "400 ms", "1.23 s", "95 min", "25.0 h"]);
        assert_eq!([0, 999, 12_345, -1_000_000].map(count), ["0", "999", "12,345", "-1,000,000"]);
        assert_eq!([0.0, 0.0001, 0.4213].map(|n| plain(percent(n))), ["0 %", "<0.1 %", "42.1 %"]);
        let ratios = [1.8, 1.02, 0.0, 12.4].map(|n| times(n).unwrap_or_default());
        assert_eq!(ratios, ["\u{d7}1.8", "", "\u{d7}0", "\u{d7}12"]);
        assert_eq!(plain_size(2 << 30).parse::<Bytes>().unwrap(), Bytes(2 << 30));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = honcho_model::Timestamp(at("2026-11-29T12:00:00Z").as_microsecond());
        let short = |text| moment(at(text), now).short;
        assert_eq!(short("2026-11-29T03:41:07Z"), "03:41:07");
        assert_eq!(short("2026-11-28T03:41:07Z"), "28 Nov 03:41");
        assert_eq!(short("2025-01-02T03:04:05Z"), "2 Jan 2025 03:04");
        assert_eq!(span(at("2026-11-29T03:41:07Z"), at("2026-11-29T03:42:10Z")), "63 s");
        assert_eq!(span(at("2026-11-27T03:41:07Z"), at("2026-11-29T03:42:10Z")), "2 d");
    }
}

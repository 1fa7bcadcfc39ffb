//! Numbers and times as slow logs write them.

/// A year: no query ran longer. Old servers print `18446744073708.79` for a clock that went backwards.
const LONGEST: u64 = 366 * 86_400 * 1_000_000;

/// `12.000345` as microseconds. Further digits are cut off. None for what is no such number, or cannot be true.
pub(crate) fn microseconds(text: &[u8]) -> Option<u64> {
    let mut whole: u64 = 0;
    let mut at = 0;
    while at < text.len() && text[at].is_ascii_digit() {
        whole = whole.checked_mul(10)?.checked_add(u64::from(text[at] - b'0'))?;
        at += 1;
    }
    if at == 0 {
        return None;
    }
    let mut fraction = 0;
    let mut weight = 1_000_000;
    if at < text.len() {
        if text[at] != b'.' || at + 1 == text.len() {
            return None;
        }
        for byte in &text[at + 1..] {
            if !byte.is_ascii_digit() {
                return None;
            }
            weight /= 10;
            fraction += weight * u64::from(byte - b'0');
        }
    }
    whole.checked_mul(1_000_000)?.checked_add(fraction).filter(|found| *found <= LONGEST)
}

/// A count.
pub(crate) fn count(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    let mut found: u64 = 0;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        found = found.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
    }
    Some(found)
}

/// The seconds that `SET timestamp=…` carries, as microseconds since 1970.
pub(crate) fn timestamp(text: &[u8]) -> Option<i64> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.').unwrap_or(text.len());
    let text = &text[..end];
    let (seconds, fraction) = match memchr::memchr(b'.', text) {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &[][..]),
    };
    let seconds = i64::try_from(count(seconds)?).ok()?;
    let mut micros = 0;
    let mut weight = 1_000_000;
    for byte in fraction {
        weight /= 10;
        micros += weight * i64::from(byte.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    // Up to the year 9999: what comes after is no time of a server.
    (seconds <= 253_402_300_799).then(|| seconds * 1_000_000 + micros)
}

/// The time of a `# Time:` line, as microseconds since 1970: `071015 21:43:52`, `090504  9:07:24` and
/// `2023-11-27T12:00:00.123456Z` or `…+02:00`. The old forms have no zone; they are read as UTC.
pub(crate) fn header_time(text: &[u8]) -> Option<i64> {
    if text.len() >= 19 && text[4] == b'-' {
        return iso_time(text);
    }
    if text.len() < 15 || text[6] != b' ' {
        return None;
    }
    let year = 2000 + two(&text[0..2])?;
    let day = days(year, two(&text[2..4])?, two(&text[4..6])?)?;
    let hour = if text[7] == b' ' { digit(text[8])? } else { two(&text[7..9])? };
    let clock = clock(hour, &text[9..15])?;
    Some((day * 86_400 + clock) * 1_000_000)
}

fn iso_time(text: &[u8]) -> Option<i64> {
    let year = two(&text[0..2])? * 100 + two(&text[2..4])?;
    let day = days(year, two(&text[5..7])?, two(&text[8..10])?)?;
    if text[7] != b'-' || !matches!(text[10], b'T' | b' ') {
        return None;
    }
    let clock = clock(two(&text[11..13])?, &text[13..19])?;
    let mut micros = 0;
    let mut rest = &text[19..];
    if let [b'.', digits @ ..] = rest {
        let mut weight = 1_000_000;
        let length = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
        for byte in &digits[..length] {
            weight /= 10;
            micros += weight * digit(*byte)?;
        }
        rest = &digits[length..];
    }
    let ahead = match rest {
        [sign @ (b'+' | b'-'), zone @ ..] if zone.len() >= 5 && zone[2] == b':' => {
            let minutes = two(&zone[0..2])? * 60 + two(&zone[3..5])?;
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => 0,
    };
    Some((day * 86_400 + clock - ahead * 60) * 1_000_000 + micros)
}

/// `:43:52` after an hour, as seconds of the day.
fn clock(hour: i64, text: &[u8]) -> Option<i64> {
    let (minute, second) = (two(&text[1..3])?, two(&text[4..6])?);
    let sane = text[0] == b':' && text[3] == b':' && hour < 24 && minute < 60 && second < 61;
    sane.then_some(hour * 3600 + minute * 60 + second)
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

fn two(text: &[u8]) -> Option<i64> {
    Some(digit(text[0])? * 10 + digit(text[1])?)
}

/// Days since 1970 of a date in the Gregorian calendar (Howard Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_times() {
        assert_eq!(microseconds(b"2"), Some(2_000_000));
        assert_eq!(microseconds(b"0.000652"), Some(652));
        assert_eq!(microseconds(b"413.1460369"), Some(413_146_036));
        for wrong in
            ["", ".", "1.", "-1", "1.2.3", "18446744073708.796870.000036", "18446744073708.796870", "1e5"]
        {
            assert_eq!(microseconds(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(header_time(b"071015 21:43:52"), Some(1_192_484_632_000_000));
        assert_eq!(header_time(b"090504  9:07:24"), Some(1_241_428_044_000_000));
        assert_eq!(header_time(b"2023-11-27T12:00:00.123456Z"), Some(1_701_086_400_123_456));
        assert_eq!(header_time(b"2023-11-27T14:00:00.000000+02:00"), Some(1_701_086_400_000_000));
        assert_eq!(header_time(b"071315 21:43:52"), None, "there is no thirteenth month");
        assert_eq!(header_time(b"soon"), None);
        assert_eq!(timestamp(b"1405358212;"), Some(1_405_358_212_000_000));
        assert_eq!(timestamp(b"1405358212.25,insert_id=3"), Some(1_405_358_212_250_000));
        assert_eq!(timestamp(b"99999999999999"), None);
    }
}

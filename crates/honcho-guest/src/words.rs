//! Sizes and times for people.

/// `12.7 MB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut unit = 0;
    let mut whole = bytes * 10;
    while whole >= 10_000 && unit < 4 {
        whole /= 1000;
        unit += 1;
    }
    let name = ["bytes", "kB", "MB", "GB", "TB"][unit];
    if unit == 0 { format!("{bytes} {name}") } else { format!("{}.{} {name}", whole / 10, whole % 10) }
}

/// `3 h 12 min`, of microseconds.
pub(crate) fn span(micros: i64) -> String {
    let seconds = micros.max(0) / 1_000_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `1 mail`, `3 mails`.
pub(crate) fn count(number: u64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_say_it() {
        assert_eq!(
            [size(7), size(999), size(1000), size(12_700_000)],
            ["7 bytes", "999 bytes", "1.0 kB", "12.7 MB"]
        );
        let minutes = |minutes: i64| span(minutes * 60_000_000);
        assert_eq!(
            [span(-5), minutes(12), minutes(192), minutes(3000)],
            ["0 s", "12 min", "3 h 12 min", "2 d 2 h"]
        );
        assert_eq!([count(1, "mail"), count(0, "mail")], ["1 mail", "0 mails"]);
    }
}

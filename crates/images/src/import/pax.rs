//! PAX records (POSIX.1-2001, pax, "pax Extended Header"): `LENGTH KEYWORD=VALUE\n`, one after the other.
//!
//! A value is as long as its record says and may hold line breaks, as binary attributes do.

/// The records of one extended header, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records(Vec<(Vec<u8>, Vec<u8>)>);

impl Records {
    /// Reads the content of an extended header.
    pub(super) fn parse(mut text: &[u8]) -> Result<Self, String> {
        let mut records = Vec::new();
        while !text.is_empty() {
            let (record, rest) = split_record(text).ok_or("an extended header that is none")?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or("a record without a value")?;
            records.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
            text = rest;
        }
        Ok(Records(records))
    }

    /// The value of a keyword; of several, the last one counts.
    pub(super) fn get(&self, keyword: &str) -> Option<&[u8]> {
        self.0.iter().rev().find(|(key, _)| key == keyword.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// All records, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// A whole number.
    pub(super) fn number(&self, keyword: &str) -> Result<Option<u64>, String> {
        self.get(keyword).map(|value| decimal(value).ok_or_else(|| no_number(keyword, value))).transpose()
    }

    /// A time: seconds since 1970, with a sign and a fraction where there is one, and nanoseconds.
    pub(super) fn time(&self, keyword: &str) -> Result<Option<(i64, u32)>, String> {
        self.get(keyword).map(|value| time(value).ok_or_else(|| no_number(keyword, value))).transpose()
    }

    /// Adds a record.
    pub(super) fn add(&mut self, keyword: &[u8], value: &[u8]) {
        self.0.push((keyword.to_vec(), value.to_vec()));
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The content of an extended header.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, value) in &self.0 {
            // The length counts its own digits.
            let rest = key.len() + value.len() + 3;
            let mut length = rest + digits(rest);
            length = rest + digits(length);
            bytes.extend_from_slice(length.to_string().as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(key);
            bytes.push(b'=');
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        bytes
    }
}

fn split_record(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = text.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&text[..blank])?).ok()?;
    let record = text.get(blank + 1..length)?;
    Some((record.strip_suffix(b"\n")?, &text[length..]))
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

fn no_number(keyword: &str, value: &[u8]) -> String {
    format!("{keyword}={} is no number", super::shown(value))
}

/// Digits and nothing else.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let nanos = match parts.next() {
        None | Some([]) => 0,
        Some(fraction) => {
            let nine: Vec<u8> = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9).collect();
            decimal(fraction.get(..fraction.len().min(40))?)?;
            u32::try_from(decimal(&nine)?).ok()?
        }
    };
    Some(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

/// A time as a record holds it.
pub(super) fn time_text((seconds, nanos): (i64, u32)) -> String {
    if nanos == 0 {
        return seconds.to_string();
    }
    let (sign, seconds, nanos) =
        if seconds < 0 { ("-", -(seconds + 1), 1_000_000_000 - nanos) } else { ("", seconds, nanos) };
    format!("{sign}{seconds}.{nanos:09}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_are_as_long_as_they_say() {
        let records = Records::parse(b"12 path=a\nb\n15 a=\x00\x01\n23456789\n").unwrap_err();
        assert!(records.contains("extended header"), "{records}");
        let records = Records::parse(b"12 path=a\nb\n14 mtime=-1.5\n10 path=x\n").unwrap();
        assert_eq!(records.get("path"), Some(&b"x"[..]));
        assert_eq!(records.time("mtime").unwrap(), Some((-2, 500_000_000)));
        assert_eq!(records.iter().next().unwrap().1, b"a\nb");
        for bad in [&b"5 a=b\n"[..], b"99 a=b\n", b"6 a=b", b" a=b\n", b"5 ab\n", b"-6 a=b\n", b"0 \n"] {
            assert!(Records::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(
            pairs in proptest::collection::vec((proptest::collection::vec(any::<u8>().prop_filter("=", |b| *b != b'='), 1..20), proptest::collection::vec(any::<u8>(), 0..1200)), 0..5),
            seconds in -1_000_000_000_000_i64..1_000_000_000_000, nanos in 0..1_000_000_000_u32,
        ) {
            let records = Records(pairs);
            prop_assert_eq!(Records::parse(&records.to_bytes()).unwrap(), records);
            prop_assert_eq!(time(time_text((seconds, nanos)).as_bytes()), Some((seconds, nanos)));
        }
    }
}

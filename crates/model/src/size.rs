//! Sizes of memory and disks.

use serde::{Deserialize, Serialize};

/// A number of bytes. Text forms use binary units: `512M` is 512 x 2^20, `3G` is 3 x 2^30.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a size: write a whole number and K, M, G or T, as in 512M")]
pub struct SizeError(String);

const UNITS: [(char, u64); 4] = [('T', 1 << 40), ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

impl Bytes {
    /// `n` mebibytes.
    pub const fn mib(n: u64) -> Self {
        Bytes(n << 20)
    }
    /// `n` gibibytes.
    pub const fn gib(n: u64) -> Self {
        Bytes(n << 30)
    }
    /// Whole mebibytes, rounded down.
    pub const fn as_mib(self) -> u64 {
        self.0 >> 20
    }
}

impl std::str::FromStr for Bytes {
    type Err = SizeError;
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let error = || SizeError(text.to_owned());
        let body = text.strip_suffix("iB").or(text.strip_suffix('B')).unwrap_or(text);
        let last = body.chars().last().ok_or_else(error)?;
        let (digits, unit) = match UNITS.iter().find(|(letter, _)| *letter == last.to_ascii_uppercase()) {
            Some((_, unit)) => (&body[..body.len() - 1], *unit),
            None => (body, 1),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).map(Bytes).ok_or_else(error)
    }
}

impl std::fmt::Display for Bytes {
    /// The largest unit that divides it exactly, else one decimal of the largest that fits.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n = self.0;
        for (letter, unit) in UNITS {
            if n >= unit {
                return if n.is_multiple_of(unit) {
                    write!(f, "{}{letter}", n / unit)
                } else {
                    let tenths = u128::from(n) * 10 / u128::from(unit);
                    write!(f, "{}.{}{letter}", tenths / 10, tenths % 10)
                };
            }
        }
        write!(f, "{n}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        for (text, bytes) in
            [("512M", 512 << 20), ("3G", 3 << 30), ("3GiB", 3 << 30), ("1t", 1 << 40), ("7", 7)]
        {
            assert_eq!(text.parse::<Bytes>().unwrap(), Bytes(bytes), "{text}");
        }
        for bad in ["", "G", "-1G", "1.5G", "1 G", "99999999999T", "+3G", "1X"] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
        assert_eq!(Bytes::mib(512).to_string(), "512M");
        assert_eq!(Bytes(1536 << 20).to_string(), "1.5G");
        assert_eq!(Bytes(5).to_string(), "5");
    }
}

//! What a class of queries is called: the MD5 of its fingerprint, as pt-query-digest calls it.

use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The id of a class of queries: all 16 bytes of the MD5 of its fingerprint, written as upper-case hex. (pt-query-digest
/// before 3.0 wrote the last 16 digits alone.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId([u8; 16]);

impl QueryId {
    /// The id of the class with this fingerprint.
    pub fn of(fingerprint: &[u8]) -> Self {
        Self(Md5::digest(fingerprint).into())
    }

    /// Its bytes.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// From its bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// From 32 hex digits of either case.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 16];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02X}"))
    }
}

impl fmt::Debug for QueryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for QueryId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for QueryId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("a query's id has 32 hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::QueryId;

    #[test]
    fn it_is_the_whole_md5_in_upper_case() {
        let id = QueryId::of(b"");
        assert_eq!(id.to_string(), "D41D8CD98F00B204E9800998ECF8427E");
        assert_eq!(QueryId::parse("d41d8cd98f00b204e9800998ecf8427e"), Some(id));
        assert_eq!(QueryId::parse("E9800998ECF8427E"), None);
    }
}

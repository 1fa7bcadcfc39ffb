//! Names that people type: accounts, hosts, networks, images, guests.

use serde::{Deserialize, Serialize};

/// A DNS label (RFC 1123, section 2.1): 1 to 63 lower-case letters, digits and hyphens, neither first nor last a hyphen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is no name; reads as the end of a sentence that starts with the field ("name …").
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("can't be blank")]
    Blank,
    /// More than 63 bytes.
    #[error("is too long (63 characters at most)")]
    TooLong,
    /// Something else than a-z, 0-9 and `-`, or a hyphen at an end.
    #[error("may hold lower-case letters, digits and inner hyphens only (as in \"web-1\")")]
    BadCharacter,
}

impl Name {
    /// Parses a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        match text.as_bytes() {
            [] => Err(NameError::Blank),
            bytes if bytes.len() > 63 => Err(NameError::TooLong),
            bytes if !bytes.iter().copied().all(inner) => Err(NameError::BadCharacter),
            [b'-', ..] | [.., b'-'] => Err(NameError::BadCharacter),
            _ => Ok(Name(text.to_owned())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::str::FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Name::new(text)
    }
}
impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Name::new(&text)
    }
}
impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["web1", "a", "0", "a-b", &"x".repeat(63)] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        assert_eq!(Name::new(""), Err(NameError::Blank));
        assert_eq!(Name::new(&"x".repeat(64)), Err(NameError::TooLong));
        for bad in ["Web", "a b", "-a", "a-", "a\nb", "a.b", "ä", "a\u{202e}b", "a\0"] {
            assert_eq!(Name::new(bad), Err(NameError::BadCharacter), "{bad:?}");
        }
    }
}

//! Names in the DNS, as an address has them: `www.example.com`.

/// A host name (RFC 1123, section 2.1): labels of letters, digits and hyphens, 253 characters at most; kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(String);

/// Why a text is no such name; reads as the end of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DomainNameError {
    /// More than 253 characters.
    #[error("is too long (253 characters at most)")]
    TooLong,
    /// Not labels with dots between them.
    #[error(
        "is no DNS name, as in www.example.com: labels of letters, digits and inner hyphens, 63 characters each at most"
    )]
    Malformed,
}

impl DomainName {
    /// Parses a name; a dot at its end says nothing that is not so anyway, and is left out.
    pub fn new(text: &str) -> Result<Self, DomainNameError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.len() > 253 {
            return Err(DomainNameError::TooLong);
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !name.split('.').all(label) {
            return Err(DomainNameError::Malformed);
        }
        Ok(DomainName(name.to_ascii_lowercase()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_host_names() {
        let label = "x".repeat(63);
        let long = format!("{label}.{label}.{label}.{}", "x".repeat(61));
        for (good, kept) in [
            ("www.example.com", "www.example.com"),
            ("Mail-1.Example.COM.", "mail-1.example.com"),
            ("localhost", "localhost"),
            ("1.2.3.4.in-addr.arpa", "1.2.3.4.in-addr.arpa"),
            (&long, &long),
        ] {
            assert_eq!(DomainName::new(good).unwrap().as_str(), kept);
        }
        assert_eq!(DomainName::new(&format!("{long}x")), Err(DomainNameError::TooLong));
        for bad in
            ["", ".", "a..b", "-a.b", "a-.b", "a b", "a_b", "ä.de", "*.a", "a.b\n", &format!("{label}x.a")]
        {
            assert_eq!(DomainName::new(bad), Err(DomainNameError::Malformed), "{bad:?}");
        }
    }
}

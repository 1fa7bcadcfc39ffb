//! Names that become parts of paths and of indexes: read strictly, once.

use crate::{ArchiveError, ArchiveResult};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! name {
    ($(#[$attribute:meta])* $name:ident, $what:literal, $holds:expr, $how:literal) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ArchiveError;

            fn from_str(text: &str) -> ArchiveResult<Self> {
                let holds: fn(&str) -> bool = $holds;
                if text.len() <= 100 && holds(text) {
                    return Ok($name(text.to_owned()));
                }
                Err(ArchiveError::Refused(format!(concat!("{:?} is no ", $what, ": ", $how), text)))
            }
        }

        impl TryFrom<String> for $name {
            type Error = ArchiveError;

            fn try_from(text: String) -> ArchiveResult<Self> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

fn made_of(text: &str, others: &[u8]) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || others.contains(&byte))
}

name!(
    /// What a suite is called: `bookworm`, `testing`.
    SuiteName, "suite", |text| made_of(text, b"-."),
    "lower case letters, digits, - and ., of which the first is a letter or a digit"
);
name!(
    /// A part of a suite: `main`.
    Component, "component", |text| made_of(text, b"-"),
    "lower case letters, digits and -, of which the first is a letter or a digit"
);
name!(
    /// What machines a package is for: `amd64`; `all` is not among them, for those are in each one's index. By `source` source packages
    /// are listed, which are for none.
    Architecture, "architecture", |text| made_of(text, b"-") && !matches!(text, "all" | "any"),
    "a word like amd64 or arm64"
);
name!(
    /// What a package is called (Debian Policy 5.6.7).
    PackageName, "package name", |text| text.len() >= 2 && made_of(text, b"+-."),
    "at least two of lower case letters, digits, +, - and ., of which the first is a letter or a digit"
);

impl Architecture {
    /// What source packages are listed by.
    pub(crate) fn source() -> Self {
        Architecture("source".to_owned())
    }

    /// Whether it is that.
    pub fn is_source(&self) -> bool {
        self.0 == "source"
    }
}

/// Where a package of this source lies in the pool: `h`, or `libh` for those that begin with `lib`.
pub(crate) fn pool_prefix(source: &PackageName) -> &str {
    let name = source.as_str();
    let length = if name.starts_with("lib") && name.len() > 3 { 4 } else { 1 };
    &name[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_leave_its_directory_is_no_name() {
        for bad in ["", ".", "..", "../x", "/x", "a/b", "a b", "A", "-a", "a\n", "ä", "a\0", &"a".repeat(101)]
        {
            assert!(bad.parse::<SuiteName>().is_err(), "{bad:?}");
            assert!(bad.parse::<Component>().is_err(), "{bad:?}");
            assert!(bad.parse::<PackageName>().is_err(), "{bad:?}");
        }
        assert!("all".parse::<Architecture>().is_err());
        for good in ["bookworm", "bookworm-backports", "12.5"] {
            assert_eq!(good.parse::<SuiteName>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn the_pool_is_divided_as_debians() {
        let prefix = |name: &str| pool_prefix(&name.parse().unwrap()).to_owned();
        assert_eq!(
            [prefix("hello"), prefix("libc6"), prefix("lib"), prefix("7zip")],
            ["h", "libc", "l", "7"]
        );
    }
}

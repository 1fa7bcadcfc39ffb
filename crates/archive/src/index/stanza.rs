//! A package, as an index tells of it.

use crate::Paragraph;
use debversion::Version;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// A package in an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stanza {
    paragraph: Paragraph,
}

impl Stanza {
    /// Of text that this crate wrote: its lines, without the blank one that ends it.
    pub(crate) fn new(text: &str) -> Self {
        Stanza { paragraph: Paragraph::of_index(text) }
    }

    /// Its lines.
    pub fn text(&self) -> &str {
        self.paragraph.text()
    }

    /// What it says of a field; nothing where it says nothing.
    pub fn field(&self, name: &str) -> &str {
        self.paragraph.get(name).unwrap_or_default()
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        self.field("Package")
    }

    /// Its version as it is written.
    pub fn version(&self) -> &str {
        self.field("Version")
    }

    /// `amd64`, `all`.
    pub fn architecture(&self) -> &str {
        self.field("Architecture")
    }

    /// Its files, below what is served.
    pub fn files(&self) -> Vec<PathBuf> {
        let directory = Path::new(self.field("Directory"));
        let named = self.paragraph.continued("Checksums-Sha256");
        let named =
            named.iter().filter_map(|line| line.split_whitespace().nth(2)).map(|name| directory.join(name));
        match self.field("Filename") {
            "" => named.collect(),
            file => vec![PathBuf::from(file)],
        }
    }

    /// Whether both are the same version of the same package: an index holds one of them.
    pub(crate) fn is_version_of(&self, other: &Stanza) -> bool {
        self.order(other) == Ordering::Equal
    }

    /// By name, then version as dpkg orders them, then architecture.
    pub(crate) fn order(&self, other: &Stanza) -> Ordering {
        self.name()
            .cmp(other.name())
            .then_with(|| compare_versions(self.version(), other.version()))
            .then_with(|| self.architecture().cmp(other.architecture()))
    }
}

/// Orders versions as dpkg does.
pub fn compare_versions(one: &str, other: &str) -> Ordering {
    match (one.parse::<Version>(), other.parse::<Version>()) {
        (Ok(one), Ok(other)) => one.cmp(&other),
        // What was added is a version; this is for an index that somebody else has written into.
        _ => one.cmp(other),
    }
}

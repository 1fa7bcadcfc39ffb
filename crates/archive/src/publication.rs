//! What a suite listed at one time; and what changed between two such times.

use crate::contents::Pieces;
use crate::index::compare_versions;
use crate::index::{Chunks, Index, Stanza};
use crate::{Architecture, ArchiveError, ArchiveResult, Component, SuiteName};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::str::FromStr;

/// The indexes of a suite.
pub(crate) type Indexes = BTreeMap<Component, BTreeMap<Architecture, Index>>;

/// What a suite listed from its publishing to the next one's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Counts from 1 in each suite.
    pub number: u64,
    /// Seconds since 1970.
    pub made_at: i64,
    /// Until when apt believes it, likewise.
    pub valid_until: i64,
    /// What it was made for, in somebody's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What it lists.
    pub(crate) indexes: Indexes,
    /// Which indexes are found by their digest, its own and those of earlier ones, as `main/binary-amd64/SHA256/…`; and until when,
    /// of those that are not its own.
    #[serde(default)]
    pub(crate) found: BTreeMap<String, Option<i64>>,
    /// Where which files are in which packages is told: the pieces of that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) contents: Pieces,
}

/// A suite, as it is or as it once was: `bookworm`, `bookworm@12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Which {
    /// Which suite.
    pub suite: SuiteName,
    /// Which of its publications; the newest, where none is said.
    pub number: Option<u64>,
}

impl FromStr for Which {
    type Err = ArchiveError;

    fn from_str(text: &str) -> ArchiveResult<Self> {
        let Some((suite, number)) = text.split_once('@') else {
            return Ok(Which { suite: text.parse()?, number: None });
        };
        let number = number.parse().map_err(|_| {
            ArchiveError::Refused(format!(
                "{text:?}: what follows @ is the number of a publication, as in {suite}@12"
            ))
        })?;
        Ok(Which { suite: suite.parse()?, number: Some(number) })
    }
}

impl fmt::Display for Which {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(formatter, "{}@{number}", self.suite),
            None => self.suite.fmt(formatter),
        }
    }
}

/// What became of a package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// Its component.
    pub component: Component,
    /// Which package.
    pub package: String,
    /// For which machines, in whose index it stands.
    pub architecture: Architecture,
    /// Its versions that went, oldest first.
    pub removed: Vec<String>,
    /// Its versions that came, oldest first.
    pub added: Vec<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { component, package, architecture, removed, added } = self;
        write!(formatter, "{component} {architecture} {package} ")?;
        match (removed.as_slice(), added.as_slice()) {
            ([from], [to]) => {
                let word = match compare_versions(from, to) {
                    Ordering::Less => "upgraded",
                    Ordering::Greater => "downgraded",
                    Ordering::Equal => "rebuilt",
                };
                write!(formatter, "{word} {from} -> {to}")
            }
            ([], added) => write!(formatter, "added {}", added.join(", ")),
            (removed, []) => write!(formatter, "removed {}", removed.join(", ")),
            (removed, added) => write!(formatter, "{} -> {}", removed.join(", "), added.join(", ")),
        }
    }
}

/// What changed from one to the other. Chunks that both have are not read.
pub(crate) fn changes(chunks: &Chunks, from: &Indexes, to: &Indexes) -> ArchiveResult<Vec<Change>> {
    let none = (BTreeMap::new(), Index::default());
    let mut changes = Vec::new();
    let components: HashSet<&Component> = from.keys().chain(to.keys()).collect();
    for component in components {
        let (before, after) = (from.get(component).unwrap_or(&none.0), to.get(component).unwrap_or(&none.0));
        let architectures: HashSet<&Architecture> = before.keys().chain(after.keys()).collect();
        for architecture in architectures {
            let (before, after) = (before.get(architecture), after.get(architecture));
            let pair = (before.unwrap_or(&none.1), after.unwrap_or(&none.1));
            for (package, (removed, added)) in changed_names(chunks, pair)? {
                let (component, architecture) = (component.clone(), architecture.clone());
                changes.push(Change { component, package, architecture, removed, added });
            }
        }
    }
    changes.sort();
    Ok(changes)
}

type Versions = (Vec<String>, Vec<String>);

fn changed_names(chunks: &Chunks, (from, to): (&Index, &Index)) -> ArchiveResult<BTreeMap<String, Versions>> {
    let own = |index: &Index, other: &Index| -> ArchiveResult<Vec<Stanza>> {
        let shared: HashSet<_> = other.chunks.iter().map(|chunk| chunk.digest).collect();
        let mut stanzas = Vec::new();
        for chunk in index.chunks.iter().filter(|chunk| !shared.contains(&chunk.digest)) {
            stanzas.extend(chunks.stanzas(chunk.digest)?);
        }
        Ok(stanzas)
    };
    let (before, after) = (own(from, to)?, own(to, from)?);
    let texts =
        |stanzas: &[Stanza]| stanzas.iter().map(|stanza| stanza.text().to_owned()).collect::<HashSet<_>>();
    let (old, new) = (texts(&before), texts(&after));
    let mut names: BTreeMap<String, Versions> = BTreeMap::new();
    for stanza in before.iter().filter(|stanza| !new.contains(stanza.text())) {
        names.entry(stanza.name().to_owned()).or_default().0.push(stanza.version().to_owned());
    }
    for stanza in after.iter().filter(|stanza| !old.contains(stanza.text())) {
        names.entry(stanza.name().to_owned()).or_default().1.push(stanza.version().to_owned());
    }
    Ok(names)
}

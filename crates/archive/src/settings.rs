//! `archive.toml`: what the archive is called, its suites, and the keys that sign.

use crate::{Architecture, ArchiveError, ArchiveResult, Component, SuiteName, files};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What an archive is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Who makes it: `Origin`, by which apt's preferences can pin.
    pub origin: String,
    /// What it is: `Label`.
    pub label: String,
    /// Fingerprints of the keys that sign, first to last. Each signs every release.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Its suites.
    #[serde(default)]
    pub suites: BTreeMap<SuiteName, SuiteSettings>,
}

/// What a suite is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteSettings {
    /// Its parts.
    pub components: Vec<Component>,
    /// For which machines.
    pub architectures: Vec<Architecture>,
    /// One line of what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// For so many days apt believes a release; publishing or refreshing begins them anew.
    #[serde(default = "valid_days")]
    pub valid_days: u32,
    /// apt installs from it only what is asked for from there, as with backports.
    #[serde(default, skip_serializing_if = "is_no")]
    pub not_automatic: bool,
    /// Which files are in which packages is told, too.
    #[serde(default, skip_serializing_if = "is_no")]
    pub contents: bool,
}

/// Two weeks: longer than any holiday in which nobody refreshes, short enough that a mirror that was frozen is noticed.
fn valid_days() -> u32 {
    14
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn is_no(flag: &bool) -> bool {
    !flag
}

impl SuiteSettings {
    /// A suite of these parts for these machines.
    pub fn new(components: Vec<Component>, architectures: Vec<Architecture>) -> Self {
        let (description, valid_days) = (None, valid_days());
        SuiteSettings {
            components,
            architectures,
            description,
            valid_days,
            not_automatic: false,
            contents: false,
        }
    }
}

impl Settings {
    pub(crate) fn read(path: &Path) -> ArchiveResult<Self> {
        let damaged = |why: String| ArchiveError::Damaged { path: path.to_owned(), why };
        let Some(bytes) = files::read(path)? else {
            let root = files::parent(path).display();
            return Err(ArchiveError::NotFound(format!(
                "archive in {root}: `honcho archive init` makes one"
            )));
        };
        let text = String::from_utf8(bytes).map_err(|_| damaged("it is not UTF-8".to_owned()))?;
        let settings: Settings = toml::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        settings.check()?;
        Ok(settings)
    }

    pub(crate) fn write(&self, path: &Path) -> ArchiveResult<()> {
        self.check()?;
        let text = toml::to_string(self)
            .map_err(|error| ArchiveError::Damaged { path: path.to_owned(), why: error.to_string() })?;
        files::write(path, text.as_bytes())
    }

    /// What stands in a release file has one line.
    fn check(&self) -> ArchiveResult<()> {
        let described = self.suites.values().filter_map(|suite| suite.description.as_deref());
        for text in [self.origin.as_str(), self.label.as_str()].into_iter().chain(described) {
            if text.trim().is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
                return Err(ArchiveError::Refused(format!(
                    "{text:?} cannot be an origin, label or description: one line of at most 200 bytes"
                )));
            }
        }
        for (name, suite) in &self.suites {
            if suite.components.is_empty() || suite.architectures.is_empty() || suite.valid_days == 0 {
                return Err(ArchiveError::Refused(format!(
                    "suite {name} needs a component, an architecture and a day on which it is valid"
                )));
            }
            if suite.architectures.iter().any(Architecture::is_source) {
                return Err(ArchiveError::Refused(format!(
                    "source is no architecture of {name}: source packages are listed as soon as one is added"
                )));
            }
        }
        Ok(())
    }

    /// What a suite is.
    pub fn suite(&self, name: &SuiteName) -> ArchiveResult<&SuiteSettings> {
        self.suites.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.suites.keys().map(SuiteName::as_str).collect();
            ArchiveError::NotFound(format!("suite {name}; there are: {}", known.join(", ")))
        })
    }
}

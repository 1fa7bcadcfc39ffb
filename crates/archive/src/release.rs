//! The release file of a suite, which names every index with its digest, and which is signed.

use crate::digests::Digest;
use crate::settings::{Settings, SuiteSettings};
use crate::{Architecture, ArchiveError, ArchiveResult, Component, SuiteName};
use std::fmt::Write as _;

/// A file that a release names.
pub(crate) struct Named {
    /// Where it is, below the suite's directory.
    pub(crate) path: String,
    pub(crate) digest: Digest,
    pub(crate) length: u64,
}

/// When a release is from, and until when it is believed: seconds since 1970.
#[derive(Clone, Copy)]
pub(crate) struct Validity {
    pub(crate) from: i64,
    pub(crate) until: i64,
}

fn date(seconds: i64) -> ArchiveResult<String> {
    let time = jiff::Timestamp::from_second(seconds)
        .map_err(|error| ArchiveError::Refused(format!("{seconds} is no time: {error}")))?;
    Ok(time.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string())
}

/// The text of a suite's release file.
pub(crate) fn text(
    settings: &Settings,
    name: &SuiteName,
    suite: &SuiteSettings,
    validity: Validity,
    files: &[Named],
) -> ArchiveResult<String> {
    let Settings { origin, label, .. } = settings;
    let joined = |words: Vec<&str>| words.join(" ");
    let architectures = joined(suite.architectures.iter().map(Architecture::as_str).collect());
    let components = joined(suite.components.iter().map(Component::as_str).collect());
    let (from, until) = (date(validity.from)?, date(validity.until)?);
    let mut text = format!(
        "Origin: {origin}\nLabel: {label}\nSuite: {name}\nCodename: {name}\nDate: {from}\nValid-Until: {until}\n\
         Acquire-By-Hash: yes\nArchitectures: {architectures}\nComponents: {components}\n"
    );
    if suite.not_automatic {
        text.push_str("NotAutomatic: yes\nButAutomaticUpgrades: yes\n");
    }
    if let Some(description) = &suite.description {
        text.extend(["Description: ", description, "\n"]);
    }
    text.push_str("SHA256:\n");
    for Named { path, digest, length } in files {
        // Nothing can fail where text is written into memory.
        let _ = writeln!(text, " {digest} {length} {path}");
    }
    Ok(text)
}

/// The small file beside an index that says whose it is.
pub(crate) fn of_index(
    settings: &Settings,
    suite: &SuiteName,
    component: &Component,
    architecture: &Architecture,
) -> String {
    let Settings { origin, label, .. } = settings;
    format!(
        "Archive: {suite}\nComponent: {component}\nOrigin: {origin}\nLabel: {label}\nArchitecture: {architecture}\n"
    )
}

//! `honcho archive status` and `list`.

use super::{WhichArchive, now};
use crate::age::age;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::listing;
use crate::output::Tone;
use crate::table::Cell;
use crate::values::size_text;
use honcho_archive::{SuiteName, Which};
use serde::Serialize;
use std::collections::HashSet;

pub(super) const STATUS_HELP: &str = "\
Examples:
  honcho archive status
  honcho archive status --json | jq -r '.[] | select(.valid_seconds < 86400).suite'";

pub(super) const LIST_HELP: &str = "\
Examples:
  honcho archive list bookworm
  honcho archive list bookworm@11 'libssl*'
  honcho archive list bookworm --json | jq -r '.[].filename'";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    which: WhichArchive,
}

#[derive(Serialize)]
struct Status {
    suite: SuiteName,
    /// The publication that is served.
    number: Option<u64>,
    published_at: Option<jiff::Timestamp>,
    /// For how long apt believes it; negative where it no longer does.
    valid_seconds: Option<i64>,
    pending_changes: usize,
}

pub(super) fn status(context: &Context, arguments: &StatusArguments) -> Result<(), CommandError> {
    let archive = arguments.which.open()?;
    let mut found = Vec::new();
    for suite in archive.settings().suites.keys() {
        let served = match archive.current(suite)? {
            Some(_) => Some(archive.publication(&Which { suite: suite.clone(), number: None })?),
            None => None,
        };
        found.push(Status {
            suite: suite.clone(),
            number: served.as_ref().map(|served| served.number),
            published_at: served
                .as_ref()
                .and_then(|served| jiff::Timestamp::from_second(served.made_at).ok()),
            valid_seconds: served.as_ref().map(|served| served.valid_until - now(context)),
            pending_changes: archive.pending(suite)?.len(),
        });
    }
    let headings = ["SUITE", "PUBLICATION", "PUBLISHED", "VALID FOR", "NOT PUBLISHED"];
    let clock = context.output.now();
    listing::show(context, &found, "There is no suite.", &headings, |status| {
        let valid = match status.valid_seconds {
            None => Cell::none(),
            Some(seconds) if seconds <= 0 => Cell::text("no more").tone(Tone::Bad),
            Some(seconds) => Cell::text(format!("{} days", seconds / 86_400)),
        };
        vec![
            Cell::text(status.suite.as_str()),
            Cell::maybe(status.number.map(|number| number.to_string())),
            Cell::maybe(status.published_at.map(|at| age(at, clock))),
            valid,
            Cell::number(status.pending_changes),
        ]
    })
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    which: WhichArchive,
    /// SUITE, or SUITE@NUMBER of one of its publications
    suite: Which,
    /// Names; * stands for anything
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
}

#[derive(Serialize)]
struct Listed {
    package: String,
    version: String,
    architecture: String,
    component: String,
    size: u64,
    filename: String,
    sha256: String,
}

pub(super) fn list(context: &Context, arguments: &ListArguments) -> Result<(), CommandError> {
    let archive = arguments.which.open()?;
    let publication = archive.publication(&arguments.suite)?;
    // What is for all stands in each architecture's index.
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    archive.packages(&publication, |component, _, stanza| {
        let wanted = arguments.patterns.is_empty()
            || arguments.patterns.iter().any(|pattern| fits(pattern, stanza.name()));
        let filename = stanza.field("Filename").to_owned();
        if wanted && seen.insert(filename.clone()) {
            found.push(Listed {
                package: stanza.name().to_owned(),
                version: stanza.version().to_owned(),
                architecture: stanza.architecture().to_owned(),
                component: component.to_string(),
                size: stanza.field("Size").parse().unwrap_or(0),
                filename,
                sha256: stanza.field("SHA256").to_owned(),
            });
        }
        Ok(())
    })?;
    // Versions of one package stay in their order.
    found.sort_by(|one: &Listed, other: &Listed| {
        (&one.package, &one.component).cmp(&(&other.package, &other.component))
    });
    let headings = ["PACKAGE", "VERSION", "ARCHITECTURE", "COMPONENT", "SIZE"];
    listing::show(context, &found, "No package is so called there.", &headings, |one| {
        vec![
            Cell::text(&one.package),
            Cell::text(&one.version),
            Cell::text(&one.architecture),
            Cell::text(&one.component),
            Cell::number(size_text(i64::try_from(one.size).unwrap_or(i64::MAX))),
        ]
    })
}

/// Whether a name fits a pattern, in which `*` stands for any characters.
fn fits(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_are_whole_names_with_gaps() {
        for (pattern, name) in
            [("a", "a"), ("a*", "abc"), ("*c", "abc"), ("a*c", "abc"), ("*", "x"), ("a*b*c", "axxbyc")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a", "ab"), ("b", "ab"), ("a*c", "ab"), ("*b*", "ac"), ("ab*b", "ab")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}

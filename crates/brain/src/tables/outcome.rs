//! What came of an import: what was made and changed, or what is wrong, line by line.

use super::read::Line;
use honcho_api::{ImportChange, ImportOutcome};
use honcho_store::{Refusal, StoreError, StoreResult};
use std::collections::BTreeMap;

/// What is wrong with lines, and with the file.
#[derive(Debug, Default)]
pub(crate) struct LineProblems(BTreeMap<String, Vec<String>>);

impl LineProblems {
    /// Notes what is wrong with the whole.
    pub(crate) fn whole(text: impl Into<String>) -> Self {
        LineProblems(BTreeMap::from([("base".to_owned(), vec![text.into()])]))
    }

    /// Notes what is wrong with a line.
    pub(crate) fn add(&mut self, line: &Line, text: impl Into<String>) {
        self.add_at(line.place(), text);
    }

    /// Notes what is wrong at a place that is no line.
    pub(crate) fn add_at(&mut self, place: String, text: impl Into<String>) {
        self.0.entry(place).or_default().push(text.into());
    }

    /// Notes what is wrong with a cell.
    pub(crate) fn cell(&mut self, line: &Line, column: &str, text: impl std::fmt::Display) {
        self.add(line, format!("{column}: {text}"));
    }

    /// Takes what an operation gave: what it refused is wrong with the line. A column may be called otherwise than the
    /// attribute; `column` says how.
    pub(crate) fn take<T>(
        &mut self,
        line: &Line,
        given: StoreResult<T>,
        column: impl Fn(&str) -> String,
    ) -> StoreResult<Option<T>> {
        match given {
            Ok(given) => Ok(Some(given)),
            Err(StoreError::Refused(Refusal::Invalid(errors))) => {
                for (attribute, texts) in errors {
                    for text in texts {
                        match attribute.as_str() {
                            "base" => self.add(line, text),
                            attribute => self.cell(line, &column(attribute), text),
                        }
                    }
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes over the problems of another file.
    pub(crate) fn extend(&mut self, other: LineProblems) {
        for (place, texts) in other.0 {
            self.0.entry(place).or_default().extend(texts);
        }
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses if anything is wrong.
    pub(crate) fn none(self) -> StoreResult<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::Invalid(self.0).into()) }
    }
}

impl From<LineProblems> for StoreError {
    fn from(problems: LineProblems) -> Self {
        Refusal::Invalid(problems.0).into()
    }
}

/// What was made and changed so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    unchanged: i64,
    changes: Vec<ImportChange>,
    notes: Vec<String>,
}

impl Tally {
    /// A line that changes nothing.
    pub(crate) fn unchanged(&mut self) {
        self.unchanged += 1;
    }

    /// A line by which something is made.
    pub(crate) fn created(&mut self, line: &Line, kind: &str, id: i64, name: &str) {
        self.push("create", line, (kind, id, name), Vec::new());
    }

    /// A line by which something is changed.
    pub(crate) fn updated(&mut self, line: &Line, (kind, id, name): (&str, i64, &str), details: Vec<String>) {
        self.push("update", line, (kind, id, name), details);
    }

    fn push(&mut self, action: &str, line: &Line, (kind, id, name): (&str, i64, &str), details: Vec<String>) {
        self.changes.push(ImportChange {
            line: line.number,
            file_name: line.file.as_deref().map(str::to_owned),
            action: action.to_owned(),
            kind: kind.to_owned(),
            id: Some(id),
            name: name.to_owned(),
            details,
        });
    }

    /// Something to be said besides.
    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// The answer; the caller says whether it was kept.
    pub(crate) fn outcome(self) -> ImportOutcome {
        let count = |action: &str| {
            let of_it = self.changes.iter().filter(|change| change.action == action);
            i64::try_from(of_it.count()).unwrap_or(i64::MAX)
        };
        ImportOutcome {
            dry_run: false,
            created_count: count("create"),
            updated_count: count("update"),
            unchanged_count: self.unchanged,
            changes: self.changes,
            notes: self.notes,
        }
    }
}

//! Everything that is wrong with what was asked, said at once.

use honcho_model::{Name, text};
use honcho_store::{Refusal, StoreError, StoreResult};
use std::collections::BTreeMap;
use std::fmt::Display;

/// Attributes and what is wrong with each.
#[derive(Default)]
pub(super) struct Problems(BTreeMap<String, Vec<String>>);

impl Problems {
    /// Notes a problem.
    pub(super) fn add(&mut self, attribute: &str, problem: impl Display) {
        self.0.entry(attribute.to_owned()).or_default().push(problem.to_string());
    }

    /// Unwraps what was parsed, or notes why it could not be.
    pub(super) fn check<T>(&mut self, attribute: &str, parsed: Result<T, impl Display>) -> Option<T> {
        parsed.map_err(|problem| self.add(attribute, problem)).ok()
    }

    /// Unwraps what has to be there.
    pub(super) fn needed<T>(&mut self, attribute: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.add(attribute, "can't be blank");
        }
        value
    }

    /// Unwraps what a word means, or says which words there are.
    pub(super) fn needed_word<T>(&mut self, attribute: &str, meaning: Option<T>, words: &str) -> Option<T> {
        if meaning.is_none() {
            self.add(attribute, words);
        }
        meaning
    }

    /// Reads a name that has to be there.
    pub(super) fn name(&mut self, name: Option<&str>) -> Option<Name> {
        let name = self.needed("name", name)?;
        self.check("name", Name::new(name))
    }

    /// Reads a line that people wrote, if one is there: the rule for every attribute that is free text.
    pub(super) fn line<'a>(&mut self, attribute: &str, line: Option<&'a str>) -> Option<&'a str> {
        line.and_then(|line| self.check(attribute, text::one_line(line)))
    }

    /// Reads a number that lies in a range.
    pub(super) fn within(
        &mut self,
        attribute: &str,
        value: i64,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<u64> {
        if range.contains(&value) {
            return u64::try_from(value).ok();
        }
        self.add(attribute, format!("must be from {} to {}", range.start(), range.end()));
        None
    }

    /// Turns "there is none" of something that is referred to into a problem of the attribute that refers to it.
    pub(super) fn found<T>(&mut self, attribute: &str, looked_up: StoreResult<T>) -> StoreResult<Option<T>> {
        match looked_up {
            Ok(found) => Ok(Some(found)),
            Err(StoreError::Refused(Refusal::NotFound(_))) => {
                self.add(attribute, "does not exist");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether there is none so far.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses if there was any problem.
    pub(super) fn none(self) -> StoreResult<()> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into()) }
    }
}

impl From<Problems> for StoreError {
    fn from(problems: Problems) -> Self {
        Refusal::Invalid(problems.0).into()
    }
}

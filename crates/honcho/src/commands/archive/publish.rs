//! `honcho archive publish`.

use super::copy::copy;
use super::{WhichArchive, now};
use crate::command_error::CommandError;
use crate::context::Context;
use crate::listing;
use crate::table::Cell;
use honcho_archive::{Change, Changing, Published, SuiteName};
use serde::Serialize;
use std::path::PathBuf;

pub(super) const HELP: &str = "\
What is published is seen at once and whole, or not at all. Where nothing has changed, a suite is signed anew once half the time \
is over for which it is valid: a daily `honcho archive publish` by cron keeps all of them so.

With --to all that is served is copied, too, into a directory that others serve: the release last, so that no apt sees a mixture, and what is wanted no \
more goes a day after that was first found.

Examples:
  honcho archive publish
  honcho archive publish bookworm --note 'openssl, DSA-5764'
  honcho archive publish --to /mnt/www/apt";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PublishArguments {
    #[command(flatten)]
    which: WhichArchive,
    /// Suites; all of them, where none is said
    #[arg(value_name = "SUITE")]
    suites: Vec<SuiteName>,
    /// What it is for, kept in the history
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Copy all that is served there; may be said several times
    #[arg(long, value_name = "DIR")]
    to: Vec<PathBuf>,
}

/// Publishing in the same step.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Publishing {
    /// Publish the suite in the same step
    #[arg(long)]
    pub(super) publish: bool,
    /// What the publication is for, kept in the history
    #[arg(long, value_name = "TEXT", requires = "publish")]
    pub(super) note: Option<String>,
}

/// What became of a suite.
#[derive(Serialize)]
pub(super) struct Outcome {
    suite: SuiteName,
    number: Option<u64>,
    changes: Vec<Change>,
}

impl Outcome {
    pub(super) fn of(suite: &SuiteName, published: Published) -> Self {
        let (number, changes) = match published {
            Published::Nothing => (None, Vec::new()),
            Published::New { number, changes } => (Some(number), changes),
        };
        Outcome { suite: suite.clone(), number, changes }
    }

    /// In words.
    pub(super) fn told(&self) -> String {
        match (self.number, self.changes.len()) {
            (None, _) => format!("{}: nothing to publish", self.suite),
            (Some(number), 0) => format!("{}@{number} is served: signed anew", self.suite),
            (Some(number), 1) => format!("{}@{number} is served: 1 change", self.suite),
            (Some(number), changes) => format!("{}@{number} is served: {changes} changes", self.suite),
        }
    }
}

pub(super) fn publish_one(
    changing: &mut Changing,
    suite: &SuiteName,
    note: Option<String>,
    now: i64,
) -> Result<Outcome, CommandError> {
    Ok(Outcome::of(suite, changing.publish(suite, note, now)?))
}

pub(super) fn run(context: &Context, arguments: &PublishArguments) -> Result<(), CommandError> {
    let mut changing = arguments.which.change(context)?;
    let mut suites = arguments.suites.clone();
    if suites.is_empty() {
        suites.extend(changing.archive().settings().suites.keys().cloned());
    }
    let outcomes = suites
        .iter()
        .map(|suite| publish_one(&mut changing, suite, arguments.note.clone(), now(context)))
        .collect::<Result<Vec<_>, _>>()?;
    drop(changing);
    for to in &arguments.to {
        copy(context, &arguments.which.open()?, to, now(context))?;
    }
    listing::show(context, &outcomes, "There is no suite.", &["OUTCOME"], |outcome| {
        vec![Cell::text(outcome.told())]
    })
}

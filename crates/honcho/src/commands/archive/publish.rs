//! `honcho archive publish`.

use super::copy::{Action, Copied, Copying, Target};
use super::{WhichArchive, now};
use crate::command_error::CommandError;
use crate::context::Context;
use crate::listing;
use crate::table::Cell;
use honcho_archive::{Change, Changing, Published, SuiteName};
use serde::Serialize;

pub(super) const HELP: &str = "\
What is published is seen at once and whole, or not at all. Where nothing has changed, a suite is signed anew once half the time \
is over for which it is valid: a daily `honcho archive publish` by cron keeps all of them so.

With --to all that is served is copied, too, into a directory or a bucket that others serve: the release last, so that no apt sees a mixture, and what is \
wanted no more goes a day after that was first found. With --dry-run nothing is published or copied, and told what would be, of what is served now.

A bucket, and by whose right, is named as to the programs of AWS: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; AWS_REGION; AWS_ENDPOINT_URL, \
where it is not at AWS; AWS_CA_BUNDLE.

Examples:
  honcho archive publish
  honcho archive publish bookworm --note 'openssl, DSA-5764'
  honcho archive publish --to /mnt/www/apt
  honcho archive publish --to s3://apt.example.com/debian
  AWS_ENDPOINT_URL=https://minio.example.com honcho archive publish --to s3://apt --dry-run";

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
    /// Copy all that is served there: a directory, or `s3://BUCKET/PREFIX`; may be said several times
    #[arg(long, value_name = "DIR|URL", value_hint = clap::ValueHint::DirPath)]
    to: Vec<Target>,
    /// Say what would be copied and deleted, and do nothing
    #[arg(long, requires = "to", conflicts_with_all = ["suites", "note"])]
    dry_run: bool,
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

/// What became of a suite or of a copy.
#[derive(Serialize)]
#[serde(untagged)]
enum Row {
    Suite(Outcome),
    Copy(Copied),
}

impl Row {
    fn told(&self) -> String {
        match self {
            Row::Suite(outcome) => outcome.told(),
            Row::Copy(copied) => copied.told(),
        }
    }
}

pub(super) async fn run(context: &Context, arguments: &PublishArguments) -> Result<(), CommandError> {
    let copies = arguments.to.iter().map(|to| Copying::to(context, to)).collect::<Result<Vec<_>, _>>()?;
    if arguments.dry_run {
        return look(context, arguments, &copies).await;
    }
    let mut changing = arguments.which.change(context)?;
    let mut suites = arguments.suites.clone();
    if suites.is_empty() {
        suites.extend(changing.archive().settings().suites.keys().cloned());
    }
    let mut rows = Vec::new();
    for suite in &suites {
        rows.push(Row::Suite(publish_one(&mut changing, suite, arguments.note.clone(), now(context))?));
    }
    drop(changing);
    let mut ended = Ok(());
    for copying in &copies {
        match copying.copy(&arguments.which.open()?, now(context)).await {
            Ok(one) => rows.push(Row::Copy(one)),
            Err(error) => {
                ended = Err(error);
                break;
            }
        }
    }
    // What was published is told whatever became of its copies.
    listing::show(context, &rows, "There is no suite.", &["OUTCOME"], |row| vec![Cell::text(row.told())])?;
    ended
}

/// What the copies would be made by, of what is served now.
async fn look(
    context: &Context,
    arguments: &PublishArguments,
    copies: &[Copying],
) -> Result<(), CommandError> {
    let archive = arguments.which.open()?;
    let mut steps = Vec::new();
    for copying in copies {
        steps.extend(copying.look(&archive, now(context)).await?);
    }
    let headings = ["WOULD", "FILE", "SIZE", "IN"];
    listing::show(context, &steps, "Nothing would be copied or deleted.", &headings, |step| {
        let would = match step.action {
            Action::Copy => "be copied",
            Action::Delete => "go",
        };
        let size = step.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        vec![
            Cell::text(would),
            Cell::text(&step.path),
            size.map_or_else(Cell::none, Cell::size),
            Cell::text(&step.to),
        ]
    })
}

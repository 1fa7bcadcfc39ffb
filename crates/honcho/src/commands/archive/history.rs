//! `honcho archive history`, `diff` and `prune`.

use super::held::{Held, held};
use super::{WhichArchive, now};
use crate::age::age;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::listing;
use crate::question::{Answer, ConfirmArguments};
use crate::table::Cell;
use crate::values::size_text;
use honcho_archive::{Pruned, Pruning, Retention, SuiteName, Which};
use serde::Serialize;

pub(super) const HISTORY_HELP: &str = "\
Examples:
  honcho archive history bookworm
  honcho archive diff bookworm@11 bookworm@12";

pub(super) const DIFF_HELP: &str = "\
With one suite it is compared with what is not yet published of it.

Examples:
  honcho archive diff bookworm
  honcho archive diff testing stable
  honcho archive diff bookworm@11 bookworm@12 --json";

pub(super) const PRUNE_HELP: &str = "\
What is served stays, and so does what is not yet published. A package goes when no publication that is kept lists it and, by what the \
brain knows, no guest has it installed.

Examples:
  honcho archive prune --dry-run
  honcho archive prune --keep 20 --days 90 --yes
  honcho archive prune --without-brain --yes";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct HistoryArguments {
    #[command(flatten)]
    which: WhichArchive,
    /// The suite
    suite: SuiteName,
}

#[derive(Serialize)]
struct Past {
    number: u64,
    published_at: Option<jiff::Timestamp>,
    note: Option<String>,
    changes: usize,
}

pub(super) fn history(context: &Context, arguments: &HistoryArguments) -> Result<(), CommandError> {
    let archive = arguments.which.open()?;
    let mut found = Vec::new();
    let mut before: Option<u64> = None;
    for publication in archive.history(&arguments.suite)? {
        let number = publication.number;
        let at = |number| Which { suite: arguments.suite.clone(), number: Some(number) };
        found.push(Past {
            number,
            published_at: jiff::Timestamp::from_second(publication.made_at).ok(),
            note: publication.note,
            changes: match before {
                Some(before) => archive.changes(&at(before), &at(number))?.len(),
                None => 0,
            },
        });
        before = Some(number);
    }
    let clock = context.output.now();
    listing::show(
        context,
        &found,
        "Nothing was published yet.",
        &["PUBLICATION", "PUBLISHED", "CHANGES", "NOTE"],
        |past| {
            vec![
                Cell::text(format!("{}@{}", arguments.suite, past.number)),
                Cell::maybe(past.published_at.map(|at| age(at, clock))),
                Cell::number(past.changes),
                Cell::maybe(past.note.as_deref()),
            ]
        },
    )
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DiffArguments {
    #[command(flatten)]
    which: WhichArchive,
    /// SUITE, or SUITE@NUMBER
    from: Which,
    /// The same; without, what is not yet published of FROM
    to: Option<Which>,
}

pub(super) fn diff(context: &Context, arguments: &DiffArguments) -> Result<(), CommandError> {
    let archive = arguments.which.open()?;
    let changes = match &arguments.to {
        Some(to) => archive.changes(&arguments.from, to)?,
        None if arguments.from.number.is_none() => archive.pending(&arguments.from.suite)?,
        None => {
            return Err(CommandError::usage(format!("compare {} with which publication?", arguments.from))
                .hint(format!(
                    "`honcho archive diff {} {}` compares it with what is served",
                    arguments.from, arguments.from.suite
                )));
        }
    };
    listing::show(context, &changes, "Nothing is different.", &["CHANGE"], |change| {
        vec![Cell::text(change.to_string())]
    })
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PruneArguments {
    #[command(flatten)]
    which: WhichArchive,
    /// Of each suite, the newest publications that stay
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    keep: usize,
    /// Younger publications stay too, however many
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    days: u32,
    /// Ask no brain what guests have installed
    #[arg(long)]
    without_brain: bool,
    #[command(flatten)]
    confirm: ConfirmArguments,
}

pub(super) async fn prune(context: &Context, arguments: &PruneArguments) -> Result<(), CommandError> {
    let mut changing = arguments.which.change(context)?;
    let since = now(context) - i64::from(arguments.days) * 86_400;
    let retention = Retention { newest: arguments.keep, since };
    let held: Held = held(context, &changing.loose(retention)?, arguments.without_brain).await?;
    let would = changing.prune(retention, |one| held.holds(one), Pruning::DryRun)?;
    let Pruned { publications, packages, bytes, .. } = would;
    let size = size_text(i64::try_from(bytes).unwrap_or(i64::MAX));
    held.tell(context, &would);
    let what = format!(
        "remove {publications} publications and {packages} packages that none lists any more ({size})"
    );
    if arguments.confirm.ask(context, &what)? == Answer::Stop {
        return Ok(());
    }
    let pruned = changing.prune(retention, |one| held.holds(one), Pruning::Done)?;
    if context.output.json {
        return context.output.json(&pruned);
    }
    context.output.print(&format!(
        "removed {} publications and {} packages ({size})",
        pruned.publications, pruned.packages
    ))
}

//! `honcho restore`: a brain's next life, from a backup.

mod review;

use super::backup::{failed, long_work};
use crate::clean::clean;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::values::size_text;
use honcho_brain::{Engine, Extent, RestoreOptions, Restored};
use honcho_model::Timestamp;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
The restored brain begins a new incarnation. Start it as ever: its agents report in full and change \
nothing, and orders are refused, until somebody has looked at what differs (`honcho restore status`) \
and said `honcho restore accept`. Never let the old brain run besides.

Examples:
  honcho restore /backup/honcho-2026-11-28.tar.zst --data /var/lib/honcho --dry-run
  honcho restore /backup/honcho-2026-11-28.tar.zst --data /var/lib/honcho
  honcho restore backup.tar.zst --data ./brain --database postgres://honcho@localhost/honcho
  honcho restore status
  honcho restore accept";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct RestoreArguments {
    #[command(subcommand)]
    command: Option<RestoreCommand>,

    /// The backup
    #[arg(value_name = "FILE", required = true)]
    file: Option<PathBuf>,

    /// The directory that is to hold all of the brain; empty, or not there yet
    #[arg(long, value_name = "DIR", default_value = "/var/lib/honcho", env = "HONCHO_DATA")]
    data: PathBuf,

    #[arg(
        long,
        value_name = "URL",
        env = "HONCHO_DATABASE",
        hide_env_values = true,
        help = "An empty PostgreSQL database instead of a file in DATA: postgres://USER@HOST/NAME"
    )]
    database: Option<Engine>,

    /// Read the backup to its end, say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// What is said to a restored brain.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum RestoreCommand {
    /// Show what a restored brain's agents report, and what would come of accepting it
    #[command(visible_alias = "diff")]
    Status,
    /// Agree to that: hosts are changed again, and orders taken
    Accept(review::AcceptArguments),
}

pub(crate) async fn run(context: &Context, arguments: RestoreArguments) -> Result<(), CommandError> {
    let RestoreArguments { command, file, data, database, dry_run } = arguments;
    let file = match (command, file) {
        (Some(RestoreCommand::Status), _) => return review::status(context).await,
        (Some(RestoreCommand::Accept(arguments)), _) => return review::accept(context, arguments).await,
        (None, Some(file)) => file,
        (None, None) => return Err(CommandError::usage("name the backup")),
    };
    let shown = clean(&data.display().to_string());
    let extent = if dry_run { Extent::DryRun } else { Extent::Whole };
    let options = RestoreOptions { file, data, database, extent };
    let now = Timestamp(context.output.now().as_microsecond());
    let restored = long_work(context, "restore", |told| honcho_brain::restore(options, now, told)).await;
    let restored = restored.map_err(|error| failed("nothing was restored", &error))?;
    if context.output.json {
        return context.output.json(&restored);
    }
    context.output.print(&said(&restored, &shown))?;
    if let Some(missing) = missing(&restored) {
        context.output.note(&missing);
    }
    if restored.incarnation.is_some() {
        context.output.note(
            "Who lost a token or a password since the backup has it back: look through `honcho tokens list` and \
             `honcho account`. Join tokens and sessions have ended.\n\
             Start the brain (`honcho serve`); then `honcho restore status` shows what its agents report.",
        );
    }
    Ok(())
}

fn said(restored: &Restored, data: &str) -> String {
    let backup = &restored.backup;
    let rows: i64 = backup.tables.values().sum();
    let what = format!(
        "{rows} rows of {} tables, as of {}, by Honcho {}",
        backup.tables.len(),
        backup.made_at,
        clean(&backup.honcho)
    );
    match restored.incarnation {
        Some(incarnation) => format!(
            "brain {} is restored to {data} and {}: {what}; incarnation {incarnation} begins, after {}",
            backup.brain,
            clean(&restored.database),
            backup.incarnation
        ),
        None => format!(
            "The backup is whole. Would restore brain {} to {data} and {}: {what}; a new incarnation would begin, after {}",
            backup.brain,
            clean(&restored.database),
            backup.incarnation
        ),
    }
}

fn missing(restored: &Restored) -> Option<String> {
    if restored.missing_blobs.is_empty() {
        return None;
    }
    let mut text = "These blobs are not in the backup. Guests that are there run without them; none is made of their \
                    images until each is copied to its place (from the old DATA, say), or sent again with PUT \
                    /v1/blobs/DIGEST:"
        .to_owned();
    for blob in &restored.missing_blobs {
        let images = if blob.images.is_empty() {
            String::new()
        } else {
            format!(" of image {}", clean(&blob.images.join(", ")))
        };
        let size = size_text(i64::try_from(blob.bytes).unwrap_or(i64::MAX));
        let path = clean(&blob.path.display().to_string());
        text.extend(["\n  ", &path, &images, " (", &size, ")"]);
    }
    Some(text)
}

//! `honcho backup`: everything the brain remembers, in one file.

use crate::clean::clean;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::progress::Progress;
use crate::values::size_text;
use honcho_brain::{BackedUp, BackupOptions, Blobs, Engine, Existing};
use honcho_model::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;

const AFTER_HELP: &str = "\
The brain may run meanwhile. In the file are the database, the certificate authority with its key and \
the tokens in DATA, so keep it as you keep those; of images a list, unless --with-blobs. It has its \
name only once it is whole.

Examples:
  honcho backup /backup/honcho-$(date +%F).tar.zst
  honcho backup --with-blobs /backup/honcho.tar.zst --replace
  honcho backup --database postgres://honcho@db.example.com/honcho /backup/honcho.tar.zst --json";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct BackupArguments {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The directory that holds all of the brain
    #[arg(long, value_name = "DIR", default_value = "/var/lib/honcho", env = "HONCHO_DATA")]
    data: PathBuf,

    #[arg(
        long,
        value_name = "URL",
        env = "HONCHO_DATABASE",
        hide_env_values = true,
        help = "Its PostgreSQL database, if it has one: postgres://USER@HOST/NAME"
    )]
    database: Option<Engine>,

    /// Keep the images' blobs in it, too
    #[arg(long)]
    with_blobs: bool,

    /// Take the place of a file of that name
    #[arg(long)]
    replace: bool,
}

pub(crate) async fn run(context: &Context, arguments: BackupArguments) -> Result<(), CommandError> {
    let BackupArguments { file, data, database, with_blobs, replace } = arguments;
    let options = BackupOptions {
        data,
        database,
        file,
        blobs: if with_blobs { Blobs::Included } else { Blobs::Listed },
        existing: if replace { Existing::Replaced } else { Existing::Kept },
    };
    let now = Timestamp(context.output.now().as_microsecond());
    let made = long_work(context, "backup", |told| honcho_brain::back_up(options, now, told)).await;
    let made: BackedUp = made.map_err(|error| failed("there is no backup", &error))?;
    if context.output.json {
        return context.output.json(&made);
    }
    let rows: i64 = made.backup.tables.values().sum();
    let blobs = match (with_blobs, made.backup.blobs.len()) {
        (_, 0) => "no blobs".to_owned(),
        (true, count) => format!("{count} blobs"),
        (false, count) => format!("a list of {count} blobs, which are not in it"),
    };
    context.output.print(&format!(
        "{}: {}, {rows} rows of {} tables, the authority, {blobs}",
        clean(&made.file.display().to_string()),
        size_text(i64::try_from(made.bytes).unwrap_or(i64::MAX)),
        made.backup.tables.len(),
    ))
}

/// Does something long on this machine and shows how far it is.
pub(super) async fn long_work<T, F>(
    context: &Context,
    title: &str,
    work: impl FnOnce(honcho_brain::Told) -> F,
) -> anyhow::Result<T>
where
    T: Send + 'static,
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
{
    let mut progress = Progress::new(&context.output, title);
    let (sender, mut steps) = tokio::sync::mpsc::unbounded_channel::<(String, Option<u64>)>();
    // Nobody listening any more is no reason to stop.
    let told: honcho_brain::Told =
        Arc::new(move |step, percent| drop(sender.send((step.to_owned(), percent))));
    let working = tokio::spawn(work(told));
    while let Some((step, percent)) = steps.recv().await {
        progress.step(&step, percent);
    }
    let outcome = working.await?;
    if outcome.is_ok() {
        progress.done();
    }
    outcome
}

/// An error of work on this machine.
pub(super) fn failed(what: &str, error: &anyhow::Error) -> CommandError {
    let cause: &(dyn std::error::Error + Send + Sync) = error.as_ref();
    CommandError::failed(what).cause(cause)
}

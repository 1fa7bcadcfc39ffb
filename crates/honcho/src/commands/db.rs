//! `honcho db`: where the brain remembers.

use crate::command_error::CommandError;
use crate::context::Context;
use crate::listing;
use crate::progress::Progress;
use crate::table::Cell;
use honcho_brain::{Engine, TableMoved};
use std::path::PathBuf;

const MOVE_HELP: &str = "\
The brain must not run meanwhile. All of it is carried over in one transaction, or nothing; ids stay, and rows are \
counted on both sides. The file is left as it is: once the brain runs on PostgreSQL it only grows stale.

Examples:
  honcho db move --to postgres://honcho@db.example.com/honcho
  honcho db move --data ./var/brain --to postgres://honcho@localhost/honcho --json";

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum DbCommand {
    /// Carry the database from its SQLite file to an empty PostgreSQL database
    #[command(after_help = MOVE_HELP)]
    Move {
        /// The directory that holds all of the brain
        #[arg(long, value_name = "DIR", default_value = "/var/lib/honcho", env = "HONCHO_DATA")]
        data: PathBuf,
        #[arg(long, value_name = "URL", help = "The empty database: postgres://USER@HOST/NAME")]
        to: Engine,
    },
}

pub(crate) async fn run(context: &Context, command: DbCommand) -> Result<(), CommandError> {
    let DbCommand::Move { data, to } = command;
    let moved = carry(context, data, to.clone()).await?;
    listing::show(context, &moved, "There was nothing to move.", &["TABLE", "ROWS", "MOVED"], |table| {
        vec![Cell::text(&table.table), Cell::number(table.rows_before), Cell::number(table.rows_after)]
    })?;
    context.output.note(&format!("`honcho serve --database {to}` serves from there now"));
    Ok(())
}

async fn carry(context: &Context, data: PathBuf, to: Engine) -> Result<Vec<TableMoved>, CommandError> {
    let mut progress = Progress::new(&context.output, "move");
    let (sender, mut steps) = tokio::sync::mpsc::unbounded_channel::<(String, u64)>();
    let moving = tokio::spawn(async move {
        // Nobody listening any more is no reason to stop.
        let tell = move |table: &str, written: u64, all: u64| {
            let percent = (written * 100).checked_div(all).unwrap_or(100);
            drop(sender.send((table.to_owned(), percent)));
        };
        honcho_brain::move_database(&data, &to, &tell).await
    });
    while let Some((table, percent)) = steps.recv().await {
        progress.step(&table, Some(percent));
    }
    let moved = moving.await.map_err(|error| CommandError::failed("the move broke off").cause(&error))?;
    let moved = moved.map_err(|error| {
        let cause: &(dyn std::error::Error + Send + Sync) = error.as_ref();
        CommandError::failed("nothing was moved").cause(cause)
    })?;
    progress.done();
    Ok(moved)
}

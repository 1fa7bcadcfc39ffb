//! `honcho archive key`: the keys that sign.

use super::{WhichArchive, now};
use crate::command_error::CommandError;
use crate::context::Context;
use crate::listing;
use crate::question::{Answer, ConfirmArguments};
use crate::table::Cell;
use honcho_archive::SuiteName;
use rand_core_06::OsRng;
use serde::Serialize;

const NEW_HELP: &str = "\
The new key signs beside the old ones, and a new honcho-archive-keyring brings it to machines with their next upgrade: publish, \
wait until all of them have it, then retire the old key.

Examples:
  honcho archive key new
  honcho archive publish";

const RETIRE_HELP: &str = "\
A machine whose keyring has none of the keys that stay takes no further release.

Examples:
  honcho archive key retire 0123456789ABCDEF0123456789ABCDEF01234567
  honcho archive publish";

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum KeyCommand {
    /// Keys that sign
    #[command(visible_alias = "ls", after_help = "Examples:\n  honcho archive key list --json")]
    List(KeyListArguments),
    /// Make one more
    #[command(after_help = NEW_HELP)]
    New(KeyNewArguments),
    /// Let one sign no more
    #[command(after_help = RETIRE_HELP)]
    Retire(KeyRetireArguments),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct KeyListArguments {
    #[command(flatten)]
    which: WhichArchive,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct KeyNewArguments {
    #[command(flatten)]
    which: WhichArchive,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct KeyRetireArguments {
    #[command(flatten)]
    which: WhichArchive,
    /// Its fingerprint
    fingerprint: String,
    #[command(flatten)]
    confirm: ConfirmArguments,
}

#[derive(Serialize)]
struct Shown {
    fingerprint: String,
}

pub(super) fn run(context: &Context, command: &KeyCommand) -> Result<(), CommandError> {
    match command {
        KeyCommand::List(arguments) => {
            let archive = arguments.which.open()?;
            let keys = archive.settings().keys.iter().map(|key| Shown { fingerprint: key.clone() });
            let keys: Vec<Shown> = keys.collect();
            listing::show(context, &keys, "No key signs.", &["FINGERPRINT"], |key| {
                vec![Cell::text(&key.fingerprint)]
            })
        }
        KeyCommand::New(arguments) => {
            let mut changing = arguments.which.change(context)?;
            let fingerprint = changing.add_key(now(context), &mut OsRng)?;
            with_keyring(context, &mut changing)?;
            if context.output.json {
                return context.output.json(&Shown { fingerprint });
            }
            context.output.print(&fingerprint)
        }
        KeyCommand::Retire(arguments) => {
            let mut changing = arguments.which.change(context)?;
            let fingerprint = arguments.fingerprint.to_ascii_uppercase();
            let what = format!(
                "let {fingerprint} sign no more: machines that know none of the other keys take no further release"
            );
            if arguments.confirm.ask(context, &what)? == Answer::Stop {
                return Ok(());
            }
            changing.retire_key(&fingerprint)?;
            with_keyring(context, &mut changing)
        }
    }
}

/// A keyring of the keys that sign now, for the next publication of every suite.
fn with_keyring(context: &Context, changing: &mut honcho_archive::Changing) -> Result<(), CommandError> {
    let suites: Vec<SuiteName> = changing.archive().settings().suites.keys().cloned().collect();
    changing.add_keyring(&suites, now(context))?;
    context
        .output
        .note("the keyring's package was made anew: `honcho archive publish` brings it to machines");
    Ok(())
}

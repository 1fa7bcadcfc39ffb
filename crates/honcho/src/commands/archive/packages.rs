//! `honcho archive add`, `remove`, `promote`, `roll-back` and `discard`: what the next publication will list.

use super::publish::{Outcome, Publishing, publish_one};
use super::{WhichArchive, now};
use crate::command_error::CommandError;
use crate::context::Context;
use crate::listing;
use crate::question::{Answer, ConfirmArguments};
use crate::table::Cell;
use honcho_archive::{Added, Change, Changing, Component, PackageName, SuiteName, Taken, Which};
use std::path::PathBuf;

pub(super) const ADD_HELP: &str = "\
All of them are added or, if there is something wrong with one, none. With a source (.dsc) come the files that it names, by a .changes \
all packages and sources of a build; they lie beside it, and must have the digests that it says. Of a directory the packages (.deb) that lie in it are meant, no sources, and nothing below it. Several versions of a package can stand beside each \
other. A version that is there is never replaced by other contents: machines that have it would not see them.

Examples:
  honcho archive add ../*.deb --suite bookworm
  honcho archive add /srv/mirror/pool/main/h/hello --suite bookworm --publish
  honcho archive add ../hello_2.10-3_amd64.changes --suite testing --publish
  honcho archive add hello_2.10-3_amd64.deb --suite testing --component contrib --publish";

pub(super) const REMOVE_HELP: &str = "\
A name stands for all its versions. The files stay in the pool while a publication lists them.

Examples:
  honcho archive remove hello --suite bookworm
  honcho archive remove hello=2.10-2 --suite bookworm --dry-run
  honcho archive remove hello=2.10-2 --suite bookworm --publish --yes";

pub(super) const PROMOTE_HELP: &str = "\
Without packages, TO will list exactly what FROM lists; with packages, of those exactly the versions that FROM lists.

Examples:
  honcho archive promote testing stable --dry-run
  honcho archive promote testing stable hello libhello1 --publish --yes
  honcho archive promote testing@41 stable";

pub(super) const ROLL_BACK_HELP: &str = "\
It becomes a publication of its own: what is gone back from stays in the history. apt does not install older versions by \
itself: machines that have the newer ones keep them until they are told otherwise.

Examples:
  honcho archive history bookworm
  honcho archive roll-back bookworm@11 --publish --yes";

pub(super) const DISCARD_HELP: &str = "\
Examples:
  honcho archive discard bookworm --dry-run
  honcho archive discard bookworm --yes";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AddArguments {
    #[command(flatten)]
    which: WhichArchive,
    /// Packages (.deb), directories of packages, sources (.dsc), or what a build made of both (.changes)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The suite
    #[arg(long, value_name = "SUITE")]
    suite: SuiteName,
    /// The component
    #[arg(long, value_name = "NAME", default_value = "main")]
    component: Component,
    #[command(flatten)]
    publishing: Publishing,
}

pub(super) fn add(context: &Context, arguments: &AddArguments) -> Result<(), CommandError> {
    let AddArguments { which, files, suite, component, publishing } = arguments;
    let files = &with_directories(files)?;
    let mut changing = which.change(context)?;
    let (added, published) = if publishing.publish {
        let note = publishing.note.clone();
        let (added, published) = changing.add_and_publish(suite, component, files, note, now(context))?;
        (added, Some(Outcome::of(suite, published)))
    } else {
        (changing.add(suite, component, files)?, None)
    };
    show_added(context, &added)?;
    match published {
        Some(published) => context.output.note(&published.told()),
        None => next(context, &mut changing, suite, publishing)?,
    }
    Ok(())
}

/// The files, and in the place of a directory the packages that lie in it, by name.
fn with_directories(given: &[PathBuf]) -> Result<Vec<PathBuf>, CommandError> {
    let mut files = Vec::new();
    for path in given {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unreadable = |error: std::io::Error| {
            CommandError::failed(format!("cannot read {}", path.display())).cause(&error)
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let one = entry.map_err(unreadable)?.path();
            if one.extension().is_some_and(|extension| extension == "deb") && one.is_file() {
                found.push(one);
            }
        }
        if found.is_empty() {
            return Err(CommandError::usage(format!("no package (.deb) lies in {}", path.display())));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

/// What was added, and where it is.
pub(super) fn show_added(context: &Context, added: &[Added]) -> Result<(), CommandError> {
    let headings = ["PACKAGE", "VERSION", "ARCHITECTURE", "IN THE POOL", ""];
    listing::show(context, added, "Nothing.", &headings, |one| {
        let taken = match one.taken {
            Taken::New => "added",
            Taken::Already => "there already",
        };
        vec![
            Cell::text(&one.package),
            Cell::text(&one.version),
            Cell::text(&one.architecture),
            Cell::text(&one.place),
            Cell::text(taken),
        ]
    })
}

/// Publishes if that was asked for, or says how.
fn next(
    context: &Context,
    changing: &mut Changing,
    suite: &SuiteName,
    publishing: &Publishing,
) -> Result<(), CommandError> {
    if publishing.publish {
        let published = publish_one(changing, suite, publishing.note.clone(), now(context))?;
        context.output.note(&published.told());
        return Ok(());
    }
    let pending = changing.archive().pending(suite)?.len();
    if pending > 0 {
        let are = if pending == 1 { "1 change is" } else { &format!("{pending} changes are") };
        context.output.note(&format!("{are} not yet published: `honcho archive publish {suite}`"));
    }
    Ok(())
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RemoveArguments {
    #[command(flatten)]
    which: WhichArchive,
    /// Packages: NAME, or NAME=VERSION
    #[arg(required = true, value_name = "PACKAGE", value_parser = package)]
    packages: Vec<(PackageName, Option<String>)>,
    /// The suite
    #[arg(long, value_name = "SUITE")]
    suite: SuiteName,
    #[command(flatten)]
    confirm: ConfirmArguments,
    #[command(flatten)]
    publishing: Publishing,
}

fn package(text: &str) -> Result<(PackageName, Option<String>), String> {
    let (name, version) = match text.split_once('=') {
        Some((name, version)) => (name, Some(version.to_owned())),
        None => (text, None),
    };
    let name: PackageName = name.parse().map_err(|error: honcho_archive::ArchiveError| error.to_string())?;
    Ok((name, version))
}

pub(super) fn remove(context: &Context, arguments: &RemoveArguments) -> Result<(), CommandError> {
    let RemoveArguments { which, packages, suite, confirm, publishing } = arguments;
    let mut changing = which.change(context)?;
    let changes = changing.would_remove(suite, packages)?;
    if agreed(context, &changes, confirm, &suite.to_string())? == Answer::Stop {
        return Ok(());
    }
    changing.remove(suite, packages)?;
    next(context, &mut changing, suite, publishing)
}

/// Shows changes and asks whether they are to be made in this suite.
fn agreed(
    context: &Context,
    changes: &[Change],
    confirm: &ConfirmArguments,
    suite: &str,
) -> Result<Answer, CommandError> {
    listing::show(context, changes, "Nothing.", &["CHANGE"], |change| vec![Cell::text(change.to_string())])?;
    if confirm.dry_run {
        return Ok(Answer::Stop);
    }
    let count = match changes.len() {
        1 => "the change".to_owned(),
        count => format!("the {count} changes"),
    };
    confirm.ask(context, &format!("make {count} above in {suite}"))
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PromoteArguments {
    #[command(flatten)]
    which: WhichArchive,
    /// What is taken over: SUITE, or SUITE@NUMBER of one of its publications
    from: Which,
    /// The suite that takes it over
    to: SuiteName,
    /// These packages alone
    #[arg(value_name = "PACKAGE")]
    packages: Vec<PackageName>,
    #[command(flatten)]
    confirm: ConfirmArguments,
    #[command(flatten)]
    publishing: Publishing,
}

pub(super) fn promote(context: &Context, arguments: &PromoteArguments) -> Result<(), CommandError> {
    let PromoteArguments { which, from, to, packages, confirm, publishing } = arguments;
    take_over(context, &mut which.change(context)?, (from, to), packages, confirm, publishing)
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RollBackArguments {
    #[command(flatten)]
    which: WhichArchive,
    /// SUITE@NUMBER of the publication
    #[arg(value_name = "SUITE@NUMBER")]
    to: Which,
    #[command(flatten)]
    confirm: ConfirmArguments,
    #[command(flatten)]
    publishing: Publishing,
}

pub(super) fn roll_back(context: &Context, arguments: &RollBackArguments) -> Result<(), CommandError> {
    let RollBackArguments { which, to, confirm, publishing } = arguments;
    if to.number.is_none() {
        return Err(CommandError::usage(format!("to which publication of {to}? Say {to}@NUMBER"))
            .hint(format!("`honcho archive history {to}` lists them")));
    }
    take_over(context, &mut which.change(context)?, (to, &to.suite), &[], confirm, publishing)
}

/// Makes the draft, shows what it would change, and keeps it if that is wanted.
fn take_over(
    context: &Context,
    changing: &mut Changing,
    (from, to): (&Which, &SuiteName),
    packages: &[PackageName],
    confirm: &ConfirmArguments,
    publishing: &Publishing,
) -> Result<(), CommandError> {
    let changes = changing.would_promote(from, to, packages)?;
    if changes.is_empty() {
        context.output.note(&format!("{to} lists just that already"));
        return Ok(());
    }
    if agreed(context, &changes, confirm, &format!("{to}, as in {from}"))? == Answer::Stop {
        return Ok(());
    }
    changing.promote(from, to, packages)?;
    next(context, changing, to, publishing)
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DiscardArguments {
    #[command(flatten)]
    which: WhichArchive,
    /// The suite
    suite: SuiteName,
    #[command(flatten)]
    confirm: ConfirmArguments,
}

pub(super) fn discard(context: &Context, arguments: &DiscardArguments) -> Result<(), CommandError> {
    let mut changing = arguments.which.change(context)?;
    let pending = changing.archive().pending(&arguments.suite)?;
    if pending.is_empty() {
        context.output.note(&format!("all of {} is published", arguments.suite));
        return Ok(());
    }
    let what = format!("forget {} unpublished changes of {}", pending.len(), arguments.suite);
    if arguments.confirm.ask(context, &what)? == Answer::GoOn {
        changing.discard(&arguments.suite)?;
    }
    Ok(())
}

//! `honcho archive build`: a source's directory to packages, in a clean chroot on this machine, and into the archive.

use super::publish::{Outcome, Publishing};
use super::{WhichArchive, now, packages};
use crate::command_error::CommandError;
use crate::completion::own_suites;
use crate::context::Context;
use crate::progress::Progress;
use crate::table::{Cell, details};
use clap_complete::engine::ArgValueCandidates;
use honcho_archive::{Added, Component, SuiteName};
use honcho_images::Recipe;
use honcho_images::package::{
    self, BaseChroot, BuiltPackage, Made, PackageBuild, PackageSource, RECIPE, build_package,
};
use honcho_images::partial::Partial;
use serde::Serialize;
use std::path::{Path, PathBuf};

pub(super) const HELP: &str = "\
Runs on this machine, as root, with mmdebstrap: a chroot of the recipe's packages is made once and kept. In it apt installs the Build-Depends, \
by root, from the recipe's sources; then dpkg-buildpackage runs as a user of its own, without network. A chroot is no wall against root, and \
packages that are installed run scripts as root: build what operators trust. Of one source at one set of Build-Depends two builds give the same packages, \
unless its own build is to blame. For packages of another suite or with other sources of apt, give a recipe (recipes/builder.toml is the usual one).

What was built is added whole or not at all, as by `honcho archive add`. The log stays in --directory.

Examples:
  honcho archive build ./hello --suite bookworm --publish
  honcho archive build ./hello --suite testing --build binary --build-options nocheck
  honcho archive build ./hello --no-add --output ./built && honcho archive upload ./built/*.changes --suite bookworm
  honcho archive build ./hello --suite bookworm --dry-run";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct BuildArguments {
    #[command(flatten)]
    which: WhichArchive,
    /// The source: a directory with debian/ in it
    #[arg(value_name = "DIR")]
    source: PathBuf,
    /// The suite that it is added to
    #[arg(long, value_name = "SUITE", required_unless_present = "no_add", add = ArgValueCandidates::new(own_suites))]
    suite: Option<SuiteName>,
    /// The component
    #[arg(long, value_name = "NAME", default_value = "main")]
    component: Component,
    #[command(flatten)]
    publishing: Publishing,
    /// What is made, in dpkg-buildpackage's words
    #[arg(long, value_name = "WHAT", default_value = "full")]
    build: WhatIsMade,
    /// What the source is told, as in `nocheck parallel=4`
    #[arg(
        long,
        value_name = "OPTIONS",
        env = "DEB_BUILD_OPTIONS",
        default_value = "",
        hide_default_value = true
    )]
    build_options: String,
    /// The recipe of the chroot
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Make the chroot anew, though there is one of this recipe. apt brings it up to date in any case
    #[arg(long)]
    new_chroot: bool,
    /// Put what was built there, too
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Do not add it to an archive
    #[arg(long, requires = "output", conflicts_with_all = ["suite", "publish"])]
    no_add: bool,
    /// Where to build, and where chroots and logs are kept
    #[arg(long, value_name = "DIR", default_value = "/var/cache/honcho/packages")]
    directory: PathBuf,
    /// Say what would be built, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum WhatIsMade {
    /// The source and all its packages
    Full,
    /// All its packages
    Binary,
    /// Its packages for one architecture
    Any,
    /// Its packages for all architectures
    All,
    /// The source alone
    Source,
}

impl From<WhatIsMade> for Made {
    fn from(made: WhatIsMade) -> Self {
        match made {
            WhatIsMade::Full => Made::Full,
            WhatIsMade::Binary => Made::Binary,
            WhatIsMade::Any => Made::Any,
            WhatIsMade::All => Made::All,
            WhatIsMade::Source => Made::Source,
        }
    }
}

/// What was built, for programs.
#[derive(Serialize)]
struct Told {
    source: String,
    version: String,
    files: Vec<String>,
    log: PathBuf,
    output: Option<PathBuf>,
    added: Vec<Added>,
    published: Option<Outcome>,
}

/// What would be, for programs and people.
#[derive(Serialize)]
struct Planned {
    source: String,
    version: String,
    packages: Vec<String>,
    build: &'static str,
    recipe: String,
    chroot_is_kept: bool,
    suite: Option<SuiteName>,
    output: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, arguments: BuildArguments) -> Result<(), CommandError> {
    let shown = arguments.source.display();
    let failed =
        |error: &dyn std::error::Error| CommandError::failed(format!("{shown} was not built")).cause(error);
    let source = PackageSource::read(&arguments.source).map_err(|error| failed(&error))?;
    let recipe = match &arguments.recipe {
        Some(path) => Recipe::read(path),
        None => Recipe::parse(RECIPE),
    };
    let recipe = recipe.map_err(|error| failed(&error))?;
    let base = if arguments.new_chroot { BaseChroot::New } else { BaseChroot::Kept };
    let options = arguments.build_options.clone();
    let build = PackageBuild {
        source: &source,
        made: arguments.build.into(),
        recipe: &recipe,
        base,
        options: &options,
        directory: &arguments.directory,
    };
    package::check(&build).map_err(|error| failed(&error))?;
    // Before the long work: is there an archive that takes it?
    if let Some(suite) = &arguments.suite {
        is_taken(&arguments.which, suite, &arguments.component)?;
    }
    if arguments.dry_run {
        return plan(context, &build, &arguments);
    }
    if !rustix::process::geteuid().is_root() {
        return Err(CommandError::failed(
            "building a package needs root: mmdebstrap makes a chroot, and apt installs in it",
        )
        .hint(format!("sudo honcho archive build {shown} …")));
    }
    let made = build_showing(context, &build).await.map_err(|error| match error {
        Failed::Built(error) => failed(&error),
        Failed::Otherwise(error) => error,
    })?;
    deliver(context, &arguments, &source, made)
}

/// Whether we may write to the archive, it has that suite, and the suite that component.
fn is_taken(which: &WhichArchive, suite: &SuiteName, component: &Component) -> Result<(), CommandError> {
    let archive = which.open()?;
    if let Some(owner) = which.other_owner()? {
        return Err(which.of_other_owner(&owner).hint(format!(
            "build with --no-add --output DIR, then `sudo -u {owner} honcho archive add DIR/NAME.changes --suite {suite}`"
        )));
    }
    let settings = archive.settings().suite(suite)?;
    if settings.components.contains(component) {
        return Ok(());
    }
    let known: Vec<&str> = settings.components.iter().map(Component::as_str).collect();
    Err(CommandError::failed(format!("{suite} has no component {component}")).hint(format!(
        "it has {}; `honcho archive suite {suite} --component …` says them anew",
        known.join(", ")
    )))
}

fn plan(context: &Context, build: &PackageBuild<'_>, arguments: &BuildArguments) -> Result<(), CommandError> {
    let kept = package::is_kept(build.recipe, build.directory)
        .map_err(|error| CommandError::failed("cannot use the recipe").cause(&error))?;
    let planned = Planned {
        source: build.source.name.clone(),
        version: build.source.version.clone(),
        packages: build.source.packages.clone(),
        build: build.made.as_str(),
        recipe: build.recipe.name.to_string(),
        chroot_is_kept: kept && build.base == BaseChroot::Kept,
        suite: arguments.suite.clone(),
        output: arguments.output.clone(),
    };
    if context.output.json {
        return context.output.json(&planned);
    }
    let suite = planned.suite.as_ref().map(|suite| format!("{suite} {}", arguments.component));
    let chroot = if planned.chroot_is_kept { "kept" } else { "would be made" };
    let rows = vec![
        ("packages", Cell::text(planned.packages.join(", "))),
        ("would be made", Cell::text(planned.build)),
        ("chroot", Cell::text(format!("{} ({chroot})", planned.recipe))),
        ("added to", Cell::maybe(suite)),
        ("put into", Cell::maybe(planned.output.as_ref().map(|path| path.display().to_string()))),
    ];
    let title = format!("source {} {}", planned.source, planned.version);
    context.output.print(&details(&context.output, &title, rows))
}

enum Failed {
    Built(honcho_images::ImageError),
    Otherwise(CommandError),
}

async fn build_showing(context: &Context, build: &PackageBuild<'_>) -> Result<BuiltPackage, Failed> {
    let mut progress = Progress::new(&context.output, &format!("build {}", build.source.name));
    let (sender, mut stages) = tokio::sync::mpsc::unbounded_channel::<(String, u8)>();
    let (source, recipe) = (build.source.clone(), build.recipe.clone());
    let (options, directory) = (build.options.to_owned(), build.directory.to_owned());
    let (made, base) = (build.made, build.base);
    let building = tokio::task::spawn_blocking(move || {
        // Nobody listening any more is no reason to stop building.
        let tell = move |stage: &str, percent: u8| drop(sender.send((stage.to_owned(), percent)));
        let (source, recipe) = (&source, &recipe);
        build_package(
            &PackageBuild { source, made, recipe, base, options: &options, directory: &directory },
            &tell,
        )
    });
    while let Some((stage, percent)) = stages.recv().await {
        progress.step(&stage, Some(percent.into()));
    }
    let broken = |error| Failed::Otherwise(CommandError::failed("the build broke off").cause(&error));
    let done = building.await.map_err(broken)?.map_err(Failed::Built)?;
    progress.done();
    Ok(done)
}

/// Puts what was built where it was wanted, and adds it. If it cannot be added it is kept.
fn deliver(
    context: &Context,
    arguments: &BuildArguments,
    source: &PackageSource,
    built: BuiltPackage,
) -> Result<(), CommandError> {
    if let Some(output) = &arguments.output
        && let Err(error) = put_into(output, &built)
    {
        let error = CommandError::failed(format!("cannot put what was built into {}", output.display()))
            .cause(&error);
        return Err(kept(error, source, built, arguments));
    }
    let (added, published) = match &arguments.suite {
        None => (Vec::new(), None),
        Some(suite) => match add(context, arguments, suite, &built.changes_path()) {
            Ok(added) => added,
            Err(error) => return Err(kept(error, source, built, arguments)),
        },
    };
    if context.output.json {
        return context.output.json(&Told {
            source: source.name.clone(),
            version: source.version.clone(),
            files: built.files.clone(),
            log: built.log.clone(),
            output: arguments.output.clone(),
            added,
            published,
        });
    }
    if let Some(output) = &arguments.output {
        for name in &built.files {
            context.output.print(&output.join(name).display().to_string())?;
        }
    }
    let Some(suite) = &arguments.suite else { return Ok(()) };
    packages::show_added(context, &added)?;
    context.output.note(&match published {
        Some(published) => published.told(),
        None => format!("not yet published: `honcho archive publish {suite}`"),
    });
    Ok(())
}

fn add(
    context: &Context,
    arguments: &BuildArguments,
    suite: &SuiteName,
    changes: &Path,
) -> Result<(Vec<Added>, Option<Outcome>), CommandError> {
    let mut changing = arguments.which.change(context)?;
    let (files, component) = ([changes.to_owned()], &arguments.component);
    if !arguments.publishing.publish {
        return Ok((changing.add(suite, component, &files)?, None));
    }
    let note = arguments.publishing.note.clone();
    let (added, published) = changing.add_and_publish(suite, component, &files, note, now(context))?;
    Ok((added, Some(Outcome::of(suite, published))))
}

/// An error that says where what was built is, so that nobody need build it again.
fn kept(
    error: CommandError,
    source: &PackageSource,
    built: BuiltPackage,
    arguments: &BuildArguments,
) -> CommandError {
    let name = format!("{}_{}.built", source.name, source.file_version());
    let changes = built.changes.clone();
    match make_room(&arguments.directory.join(&name)).and_then(|()| built.keep(&name)) {
        Ok(place) => error.hint(match &arguments.suite {
            None => format!("what was built is kept in {}", place.display()),
            Some(suite) => format!(
                "what was built is kept: `honcho archive add {} --suite {suite}` adds it",
                place.join(changes).display()
            ),
        }),
        Err(other) => error.hint(format!("what was built could not be kept: {other}")),
    }
}

/// Deletes what was kept there before, and nobody's source.
fn make_room(earlier: &Path) -> std::io::Result<()> {
    if earlier.join("debian").exists() {
        return Err(std::io::Error::other(format!("{} is a source", earlier.display())));
    }
    match std::fs::remove_dir_all(earlier) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Copies what was built, its `.changes` last: who sees that sees all of it.
fn put_into(output: &Path, built: &BuiltPackage) -> std::io::Result<()> {
    std::fs::create_dir_all(output)?;
    let others = built.files.iter().filter(|name| **name != built.changes);
    for name in others.chain([&built.changes]) {
        let partial = Partial::create(output, name)?;
        let mut from = std::fs::File::open(built.directory().join(name))?;
        std::io::copy(&mut from, &mut partial.file())?;
        partial.file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        partial.finish(name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_at_no_sources_cost() {
        let place = tempfile::tempdir().unwrap();
        let earlier = place.path().join("hello_1.built");
        make_room(&earlier).unwrap();
        std::fs::create_dir_all(&earlier).unwrap();
        std::fs::write(earlier.join("hello_1_all.deb"), "x").unwrap();
        make_room(&earlier).unwrap();
        assert!(!earlier.exists());
        std::fs::create_dir_all(earlier.join("debian")).unwrap();
        assert!(make_room(&earlier).unwrap_err().to_string().contains("is a source"));
        assert!(earlier.join("debian").exists());
    }
}

//! Builds a Debian package of its source's directory, in a clean chroot.
//!
//! ```text
//!   DIR/chroot-KEY/                  the chroot's tarball, by the digest of its recipe; may be deleted at any time
//!   DIR/.NAME.XXXXXX.partial/        the chroot while it is used, scripts, what came out (locked; deleted in the end)
//!   DIR/NAME_VERSION.log             all that was said, also when it failed
//!   DIR/NAME_VERSION.XXXXXX.partial/ what was made, until its caller has taken it
//! ```
//!
//! mmdebstrap makes the chroot out of the tarball, in the namespaces of image builds. Build-Depends are installed by apt, as
//! root and from the recipe's sources. Then dpkg-buildpackage runs without network, as a user that owns nothing but the
//! source. What it made comes out as a tar that this process reads: no path in it is given to the machine's kernel.

mod base;
mod source;
mod steps;
mod taken;

pub use base::{BaseChroot, RECIPE, is_kept};
pub use source::PackageSource;

use crate::build::BuildProgress;
use crate::error::ImageError;
use crate::mmdebstrap::{self, Ended, Story, common_hint};
use crate::partial::{PartialDirectory, remove_stale};
use crate::recipe::Recipe;
use std::path::{Path, PathBuf};

/// What is made of a source, in dpkg-buildpackage's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// The source and all its packages.
    Full,
    /// All its packages.
    Binary,
    /// Packages for one architecture.
    Any,
    /// Packages for all architectures.
    All,
    /// The source alone.
    Source,
}

impl Made {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Made::Full => "full",
            Made::Binary => "binary",
            Made::Any => "any",
            Made::All => "all",
            Made::Source => "source",
        }
    }

    fn holds_source(self) -> bool {
        matches!(self, Made::Full | Made::Source)
    }
}

/// What is to be built.
#[derive(Clone, Copy, Debug)]
pub struct PackageBuild<'a> {
    /// Of what.
    pub source: &'a PackageSource,
    /// What of it.
    pub made: Made,
    /// In which chroot.
    pub recipe: &'a Recipe,
    /// The one that was kept, or a new one.
    pub base: BaseChroot,
    /// `DEB_BUILD_OPTIONS`, as in `nocheck`.
    pub options: &'a str,
    /// Where chroots and logs are kept, and builds take place.
    pub directory: &'a Path,
}

/// What was made.
#[derive(Debug)]
pub struct BuiltPackage {
    directory: PartialDirectory,
    /// Names of files in its directory.
    pub files: Vec<String>,
    /// The `.changes` among them, which names all of them.
    pub changes: String,
    /// All that was said meanwhile.
    pub log: PathBuf,
}

impl BuiltPackage {
    /// Where its files are, until it is dropped.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where its `.changes` is.
    pub fn changes_path(&self) -> PathBuf {
        self.directory.path().join(&self.changes)
    }

    /// Keeps its files under this name in the builds' directory.
    pub fn keep(self, name: &str) -> std::io::Result<PathBuf> {
        self.directory.finish(name)
    }
}

/// What can be known to fail before anything is done.
pub fn check(build: &PackageBuild<'_>) -> Result<(), ImageError> {
    if build.made.holds_source() {
        build.source.check_tarball()?;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "=,_-.+ ".contains(c);
    if !build.options.chars().all(plain) {
        let text = format!("{:?} are no build options, as in \"nocheck parallel=4\"", build.options);
        return Err(ImageError::Package(text));
    }
    Ok(())
}

/// Builds it. Blocks for as long as that takes.
pub fn build_package(
    build: &PackageBuild<'_>,
    progress: BuildProgress<'_>,
) -> Result<BuiltPackage, ImageError> {
    check(build)?;
    let PackageBuild { source, recipe, .. } = *build;
    let making = |what: &str| ImageError::io(format!("making {what} in {}", build.directory.display()));
    std::fs::create_dir_all(build.directory).map_err(making("a directory"))?;
    let directory = build.directory.canonicalize().map_err(making("a directory"))?;
    remove_stale(&directory).map_err(ImageError::io(format!("tidying up {}", directory.display())))?;
    let work =
        PartialDirectory::create(&directory, &format!(".{}", source.name)).map_err(making("a directory"))?;
    let base = base::base(recipe, build.base, &directory, work.path(), progress)?;
    progress("read the source", 35);
    let steps = steps::stage(build, &base, work.path())?;
    let log = directory.join(format!("{}_{}.log", source.name, source.file_version()));
    let mut command = mmdebstrap::command(work.path(), recipe.source_date_epoch)?;
    command.args(steps.arguments);
    let Ended { status, taken: _, story } =
        mmdebstrap::run(&mut command, &log, progress, steps::stage_of_line, |mut out| {
            std::io::copy(&mut out, &mut std::io::sink())
        })?;
    if !status.success() {
        return Err(failed(build, story, log));
    }
    progress("take what was made", 97);
    let made = format!("{}_{}", source.name, source.file_version());
    let made = PartialDirectory::create(&directory, &made).map_err(making("a directory"))?;
    let files = taken::take(&steps.out, made.path())?;
    let mut changes = files.iter().filter(|name| name.ends_with(".changes"));
    let (Some(changes), None) = (changes.next().cloned(), changes.next()) else {
        return Err(ImageError::Build {
            stage: "taking what was made".to_owned(),
            reason: "the build left no .changes, or several".to_owned(),
            hint: "dpkg-buildpackage leaves one: does debian/rules remove or write files in the directory above?"
                .to_owned(),
            tail: said(&story),
            log,
        });
    };
    Ok(BuiltPackage { directory: made, changes, files, log })
}

/// The end of what was said, without what mmdebstrap says of having to stop.
fn said(story: &Story) -> String {
    let own = ["I: ", "E: setup failed", "E: mmdebstrap", "E: command failed"];
    let lines = story.tail.iter().filter(|line| !own.iter().any(|start| line.starts_with(start)));
    lines.map(String::as_str).collect::<Vec<_>>().join("\n")
}

fn failed(build: &PackageBuild<'_>, story: Story, log: PathBuf) -> ImageError {
    let tail = said(&story);
    let own = |error: &str| error.starts_with("setup failed") || error.starts_with("command failed");
    let last = |start: &str| tail.lines().rev().find_map(|line| line.strip_prefix(start)).map(str::to_owned);
    let reason = if story.stage.starts_with(steps::BUILDING) {
        last("dpkg-buildpackage: error: ")
    } else {
        last("E: ")
    };
    let reason = reason.or(story.error.clone().filter(|error| !own(error)));
    let hint = match common_hint(&tail) {
        Some(hint) => hint.to_owned(),
        None if story.stage == steps::DEPENDENCIES => format!(
            "what {} needs (Build-Depends in debian/control) is not to be had from the recipe's mirrors in these versions: correct one of them, or add a source to the recipe",
            build.source.name
        ),
        None if story.stage.starts_with(steps::BUILDING) => {
            "there is no network while a package is built: what it needs comes by Build-Depends or lies in the source".to_owned()
        }
        None => "the end of the log says more".to_owned(),
    };
    ImageError::Build {
        stage: story.stage,
        reason: reason.unwrap_or_else(|| "it ended with an error".to_owned()),
        hint,
        tail,
        log,
    }
}

#[cfg(test)]
mod tests;

//! The chroot that every build of a package begins with: an image like any other, kept under the digest of its recipe.

use crate::build::{BuildProgress, build};
use crate::error::ImageError;
use crate::partial::{PartialDirectory, remove_stale, sync_directory};
use crate::recipe::{Base, FileContent, Recipe};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// The recipe of the chroot in which packages are built, unless another is given.
pub const RECIPE: &str = include_str!("../../../../recipes/builder.toml");

/// Which chroot a build begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseChroot {
    /// The one that was kept, if there is one of this recipe.
    Kept,
    /// A new one, which is kept in its place.
    New,
}

/// Under which name the chroot of a recipe is kept.
fn name(recipe: &Recipe) -> Result<String, ImageError> {
    let mut hash = Sha256::new_with_prefix(recipe.text.as_bytes());
    for file in &recipe.files {
        if let FileContent::Of(source) = &file.content {
            let content = std::fs::read(source).map_err(ImageError::io(format!(
                "the recipe's {} is to be {}",
                file.path,
                source.display()
            )))?;
            hash.update([0]);
            hash.update(content);
        }
    }
    Ok(format!("chroot-{}", &honcho_model::Digest(hash.finalize().into()).to_string()[..16]))
}

/// Whether there is one of this recipe in `directory`.
pub fn is_kept(recipe: &Recipe, directory: &Path) -> Result<bool, ImageError> {
    Ok(directory.join(name(recipe)?).is_dir())
}

/// The tarball of the chroot, linked into `work`, so that it stays until the build that begins with it has ended. It is
/// built where none is kept; who comes meanwhile waits.
pub(super) fn base(
    recipe: &Recipe,
    which: BaseChroot,
    directory: &Path,
    work: &Path,
    progress: BuildProgress<'_>,
) -> Result<PathBuf, ImageError> {
    if matches!(recipe.base, Base::Image(_)) {
        return Err(ImageError::Package(
            "a recipe that packages are built by names an archive (`suite`, `mirrors`), and no other image"
                .to_owned(),
        ));
    }
    let keeping = || ImageError::io(format!("keeping a chroot in {}", directory.display()));
    let lock = std::fs::File::create(directory.join("chroots.lock")).map_err(keeping())?;
    lock.lock().map_err(keeping())?;
    let name = name(recipe)?;
    let kept = directory.join(&name);
    if which == BaseChroot::New || !kept.is_dir() {
        let partial = PartialDirectory::create(directory, &format!(".{name}")).map_err(keeping())?;
        let tell = |stage: &str, percent: u8| progress(&format!("make the chroot: {stage}"), percent / 3);
        let built = build(recipe, None, partial.path(), &tell);
        let log = partial.path().join(format!("{}.log", recipe.name));
        let told = directory.join(format!("{name}.log"));
        // Its log is worth most where there is no chroot.
        if log.exists() {
            std::fs::rename(&log, &told).map_err(keeping())?;
        }
        built.map_err(|error| error.with_log(told))?;
        if kept.exists() {
            let old = directory.join(format!(".{name}.old.partial"));
            std::fs::rename(&kept, old).map_err(keeping())?;
        }
        partial.finish(&name).map_err(keeping())?;
        remove_stale(directory).map_err(keeping())?;
    }
    let tarball = std::fs::read_dir(&kept)
        .map_err(keeping())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "zst"));
    let tarball = tarball.ok_or_else(|| {
        ImageError::Package(format!("{} holds no chroot: delete it, and it is made anew", kept.display()))
    })?;
    let linked = work.join("base.tar.zst");
    std::fs::hard_link(tarball, &linked).map_err(keeping())?;
    sync_directory(directory).map_err(keeping())?;
    Ok(linked)
}

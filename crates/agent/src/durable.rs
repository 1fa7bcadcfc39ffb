//! Files that are there whole or not at all, whenever the power fails.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Replaces a file: written beside it, synced, renamed, and the directory synced. Only the owner may read it.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = beside(path, "new");
    // What a full disk left of it would take up what little space there is.
    write_synced(&temporary, contents).inspect_err(|_| drop(std::fs::remove_file(&temporary)))?;
    crate::failpoints::failpoint("journal-before-rename");
    std::fs::rename(&temporary, path)?;
    sync_directory_of(path)
}

fn write_synced(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

/// Reads a file; `None` when there is none.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Moves a file that is of no use out of the way, for people to look at, and returns where it is: beside, with a suffix
/// that says `why`.
pub(crate) fn set_aside(path: &Path, why: &str) -> io::Result<PathBuf> {
    let names = (1..1000).map(|n| beside(path, &format!("{why}.{n}")));
    let aside = names.into_iter().find(|aside| !aside.exists()).unwrap_or_else(|| beside(path, why));
    std::fs::rename(path, &aside)?;
    sync_directory_of(path)?;
    Ok(aside)
}

/// Makes a change of names in the file's directory last.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

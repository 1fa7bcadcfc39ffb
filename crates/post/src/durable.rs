//! Files that are there after a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Makes what was done in a directory (names, renames, removals) last.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Writes a file that is nobody else's to read: whole, or not at all.
pub(crate) fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    create(&partial, contents)?;
    fs::rename(&partial, path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Writes a file of which nobody takes notice before it is renamed.
pub(crate) fn create(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

/// Removes a file; that it is not there is as good.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

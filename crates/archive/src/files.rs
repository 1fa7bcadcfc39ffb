//! Files that are there whole or not at all.

use crate::error::Tried as _;
use crate::{ArchiveError, ArchiveResult};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Writes a file beside its place, syncs it, and puts it there in one step.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> ArchiveResult<()> {
    write_with(path, bytes, 0o644)
}

/// The same for what only its owner may read.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> ArchiveResult<()> {
    write_with(path, bytes, 0o600)
}

fn write_with(path: &Path, bytes: &[u8], mode: u32) -> ArchiveResult<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = parent(path);
    fs::create_dir_all(directory).tried("making", directory)?;
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(directory)
        .tried("writing in", directory)?;
    file.write_all(bytes).tried("writing", path)?;
    // The process's umask had its say; what is served is for everybody.
    file.as_file().set_permissions(fs::Permissions::from_mode(mode)).tried("writing", path)?;
    file.as_file().sync_all().tried("writing", path)?;
    file.persist(path).map_err(|error| error.error).tried("writing", path)?;
    sync_directory(directory)
}

/// Makes what was renamed in a directory stay so.
pub(crate) fn sync_directory(directory: &Path) -> ArchiveResult<()> {
    File::open(directory).and_then(|open| open.sync_all()).tried("syncing", directory)
}

/// Makes all that was written on the filesystem of this directory stay, in one go.
pub(crate) fn sync_all(directory: &Path) -> ArchiveResult<()> {
    let open = File::open(directory).tried("opening", directory)?;
    rustix::fs::syncfs(&open).tried("syncing", directory)
}

/// Reads a file; `None` where there is none.
pub(crate) fn read(path: &Path) -> ArchiveResult<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ArchiveError::Io { what: "reading", path: path.to_owned(), error }),
    }
}

/// Reads JSON that was written here; `None` where there is none.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> ArchiveResult<Option<T>> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| ArchiveError::Damaged { path: path.to_owned(), why: error.to_string() })
}

/// Writes it.
pub(crate) fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> ArchiveResult<()> {
    write(path, &json(path, value)?)
}

/// Writes it where nobody reads it before it was synced together with all else.
pub(crate) fn lay_json<T: serde::Serialize>(path: &Path, value: &T) -> ArchiveResult<()> {
    let directory = parent(path);
    fs::create_dir_all(directory).tried("making", directory)?;
    fs::write(path, json(path, value)?).tried("writing", path)
}

fn json<T: serde::Serialize>(path: &Path, value: &T) -> ArchiveResult<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| ArchiveError::Damaged { path: path.to_owned(), why: error.to_string() })
}

/// The directory that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// All files below a directory.
pub(crate) fn below(directory: &Path) -> ArchiveResult<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.tried("listing", &directory)?,
        };
        for entry in entries {
            let entry = entry.tried("listing", &directory)?;
            if entry.file_type().tried("listing", &directory)?.is_dir() {
                directories.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// Makes a directory, or what somebody has left in it go.
pub(crate) fn empty(directory: &Path) -> ArchiveResult<()> {
    fs::create_dir_all(directory).tried("making", directory)?;
    for left in fs::read_dir(directory).tried("listing", directory)? {
        remove(&left.tried("listing", directory)?.path())?;
    }
    Ok(())
}

/// Removes a file or a directory with all in it; that there is none is as good.
pub(crate) fn remove(path: &Path) -> ArchiveResult<()> {
    let gone = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match gone {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).tried("removing", path),
        _ => Ok(()),
    }
}

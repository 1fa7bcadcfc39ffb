//! Files that are made under a temporary name and renamed when they are complete.
//!
//! ```text
//!   create  NAME.XXXXXX.partial, locked  --finish-->  fsync, rename to NAME, fsync of the directory
//!      |
//!      +-- dropped, or its maker killed: [`remove_stale`] finds it unlocked and deletes it
//! ```
//!
//! The name is new each time, so that a tool that outlived its killed parent writes into a file that nobody will see.
//! The lock tells a file in the making from one left behind, also among several makers in one directory.

use rustix::fs::FlockOperation;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const SUFFIX: &str = ".partial";

/// A file in the making; deleted when dropped before [`Partial::finish`].
#[derive(Debug)]
pub struct Partial {
    file: tempfile::NamedTempFile,
    directory: PathBuf,
}

impl Partial {
    /// Starts a file that will be called something like `name`; readable by its owner alone.
    pub fn create(directory: &Path, name: &str) -> io::Result<Self> {
        loop {
            let file =
                tempfile::Builder::new().prefix(&format!("{name}.")).suffix(SUFFIX).tempfile_in(directory)?;
            rustix::fs::flock(file.as_file(), FlockOperation::LockExclusive)?;
            // Between making and locking it, somebody who tidies up may have deleted it.
            if file.as_file().metadata()?.nlink() > 0 {
                return Ok(Partial { file, directory: directory.to_owned() });
            }
        }
    }

    /// Where it is for now.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The name it has for now, within its directory.
    pub fn file_name(&self) -> &std::ffi::OsStr {
        self.file.path().file_name().unwrap_or_default()
    }

    /// The open file.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Makes it durable under its final name, replacing what may have had that name.
    pub fn finish(self, name: &str) -> io::Result<PathBuf> {
        self.file.as_file().sync_all()?;
        let path = self.directory.join(name);
        self.file.persist(&path).map_err(|error| error.error)?;
        sync_directory(&self.directory)?;
        Ok(path)
    }
}

/// Writes a small file at once: complete and durable, or not at all.
pub fn write_whole(directory: &Path, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
    let partial = Partial::create(directory, name)?;
    io::Write::write_all(&mut partial.file(), content)?;
    partial.file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    partial.finish(name).map(drop)
}

/// Makes names that were made or removed in a directory durable.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Deletes what killed makers left in a directory (files, and directories under such names); what is in the making
/// stays. Gives how many there were.
pub fn remove_stale(directory: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().ends_with(SUFFIX) {
            continue;
        }
        let open = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
        let file = match rustix::fs::open(entry.path(), open, rustix::fs::Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => continue,
            Err(error) => return Err(error.into()),
        };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let outcome = if entry.file_type()?.is_dir() {
            refuse_if_mounted_below(&entry.path())?;
            std::fs::remove_dir_all(entry.path())
        } else {
            std::fs::remove_file(entry.path())
        };
        match outcome {
            Ok(()) => removed += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// A tree is only deleted if it is one filesystem: below a mount point is somebody else's data.
fn refuse_if_mounted_below(directory: &Path) -> io::Result<()> {
    let directory = directory.canonicalize()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    match mounts.lines().filter_map(mount_point).find(|point| Path::new(point).starts_with(&directory)) {
        None => Ok(()),
        Some(point) => {
            Err(io::Error::other(format!("{point} is mounted and in the way: run `umount {point}`")))
        }
    }
}

/// The mount point in a line of mountinfo: the fifth word, in which blanks and the like are written as octal (proc(5)).
fn mount_point(line: &str) -> Option<String> {
    let word = line.split(' ').nth(4)?;
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    Some(escapes.iter().fold(word.to_owned(), |word, (from, to)| word.replace(from, to)))
}

/// A locked directory in the making, for what needs more than one file; deleted when dropped.
#[derive(Debug)]
pub struct PartialDirectory {
    directory: tempfile::TempDir,
    _lock: File,
}

impl PartialDirectory {
    /// Makes one inside `parent`.
    pub fn create(parent: &Path, name: &str) -> io::Result<Self> {
        loop {
            let directory =
                tempfile::Builder::new().prefix(&format!("{name}.")).suffix(SUFFIX).tempdir_in(parent)?;
            let lock = match File::open(directory.path()) {
                Ok(lock) => lock,
                // Somebody who tidies up was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
            if directory.path().exists() {
                return Ok(PartialDirectory { directory, _lock: lock });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Makes it durable under its final name, which nothing has yet. What is in it has been synced by the caller.
    pub fn finish(self, name: &str) -> io::Result<PathBuf> {
        let parent = self.directory.path().parent().unwrap_or_else(|| Path::new("/")).to_owned();
        let path = parent.join(name);
        sync_directory(self.directory.path())?;
        std::fs::rename(self.directory.path(), &path)?;
        sync_directory(&parent)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn mount_points_are_read() {
        let line = "36 35 98:0 / /mnt/a\\040b rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mount_point(line).as_deref(), Some("/mnt/a b"));
        assert_eq!(mount_point("36 35"), None);
        let error = refuse_if_mounted_below(Path::new("/")).unwrap_err().to_string();
        assert!(error.contains("is mounted"), "{error}");
    }

    #[test]
    fn what_was_left_goes_and_what_is_being_made_stays() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.x1.partial"), "left").unwrap();
        std::fs::create_dir(directory.path().join("b.x2.partial")).unwrap();
        std::fs::write(directory.path().join("b.x2.partial/in"), "left").unwrap();
        let partial = Partial::create(directory.path(), "c").unwrap();
        let work = PartialDirectory::create(directory.path(), "d").unwrap();
        assert_eq!(remove_stale(directory.path()).unwrap(), 2);
        assert_eq!(names(directory.path()).len(), 2);
        drop(work);
        partial.finish("c").unwrap();
        assert_eq!(names(directory.path()), ["c"]);
        drop(Partial::create(directory.path(), "e").unwrap());
        assert_eq!(names(directory.path()), ["c"]);
    }
}

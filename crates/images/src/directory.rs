//! An image as files in a directory, on whatever filesystem that lies: for a chroot, a container, a disk that is mounted.
//!
//! GNU tar writes them. What it unpacks was sealed by [`crate::import`] or [`crate::build`], so that no path in it climbs out
//! and no link stands before what lies below it; whoever calls has checked the digest. GNU tar restores access control
//! lists from text alone, which an image holds as attributes, and is silent where a filesystem takes no attribute: so
//! all of them are set afterwards, without following links.
//!
//! While it goes on, [`UNFINISHED`] lies in the directory, so that nobody takes the half that a killed one leaves for a
//! system, and nobody but root may enter.

use crate::attributes::Attributes;
use crate::feed::{CHUNK, feed};
use crate::tool::{Tool, ToolMissing, last_lines};
use honcho_model::Bytes;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps, XattrFlags};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The file that says that a directory holds no whole system.
pub const UNFINISHED: &str = ".honcho-unpacking";

const TAR: Tool = Tool { program: "tar", package: "tar" };

/// Why an image is not in a directory.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Owners, devices and attributes are root's to set.
    #[error("an image is unpacked as root: files in it belong to many")]
    NotRoot,
    /// There is something in it.
    #[error("{} is not empty: it holds {found}", directory.display())]
    NotEmpty {
        /// The directory.
        directory: PathBuf,
        /// One name.
        found: String,
    },
    /// Somebody was killed there.
    #[error("{} holds a part of an image: an unpacking there was not finished; delete what is in it, or choose another", .0.display())]
    Unfinished(PathBuf),
    /// It cannot fit.
    #[error("the image has {wanted} of files, and {} has {free} left", directory.display())]
    NoRoom {
        /// The directory.
        directory: PathBuf,
        /// Bytes of all files.
        wanted: Bytes,
        /// Bytes that are free.
        free: Bytes,
    },
    /// tar is not installed.
    #[error(transparent)]
    Tool(#[from] ToolMissing),
    /// The tarball is none.
    #[error("the image is no usable tarball: {0}")]
    Unusable(String),
    /// tar could not.
    #[error("tar could not unpack it: {0}")]
    Tar(String),
    /// The filesystem keeps no such attributes.
    #[error(
        "{} takes no attribute {name}, which {file} has in the image ({source}): choose ext4, xfs or btrfs",
        directory.display()
    )]
    Attribute {
        /// The directory.
        directory: PathBuf,
        /// The attribute's name.
        name: String,
        /// Whose it is.
        file: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file could not be read or written.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why not.
        source: io::Error,
    },
}

fn failed(doing: String) -> impl FnOnce(io::Error) -> DirectoryError {
    move |source| DirectoryError::Io { doing, source }
}

/// Whether an image of which the files have `unpacked` bytes together can be unpacked there: to be asked before it is
/// fetched.
pub fn check(directory: &Path, unpacked: Bytes) -> Result<(), DirectoryError> {
    if !rustix::process::geteuid().is_root() {
        return Err(DirectoryError::NotRoot);
    }
    TAR.find()?;
    let reading = || format!("reading {}", directory.display());
    let exists = directory.try_exists().map_err(failed(reading()))?;
    if exists {
        if directory.join(UNFINISHED).exists() {
            return Err(DirectoryError::Unfinished(directory.to_owned()));
        }
        for entry in std::fs::read_dir(directory).map_err(failed(reading()))? {
            let name = entry.map_err(failed(reading()))?.file_name();
            if name != "lost+found" {
                let found = name.to_string_lossy().escape_debug().to_string();
                return Err(DirectoryError::NotEmpty { directory: directory.to_owned(), found });
            }
        }
    }
    let above = directory.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let there = if exists { directory } else { above };
    let stat = rustix::fs::statvfs(there)
        .map_err(|error| failed(format!("reading {}", there.display()))(error.into()))?;
    let free = Bytes(stat.f_bavail.saturating_mul(stat.f_frsize));
    if free < unpacked {
        return Err(DirectoryError::NoRoom { directory: directory.to_owned(), wanted: unpacked, free });
    }
    Ok(())
}

/// Unpacks `tarball`, of which the files have `unpacked` bytes together, into `directory`, which is made where there is none
/// and is empty otherwise but for a fresh filesystem's `lost+found`. Returns once all of it is on the disk.
pub fn unpack_into(
    tarball: impl Read + Send,
    unpacked: Bytes,
    directory: &Path,
) -> Result<(), DirectoryError> {
    check(directory, unpacked)?;
    let writing = || format!("writing {}", directory.display());
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(writing())(error)),
        _ => {}
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root =
        rustix::fs::open(directory, flags, Mode::empty()).map_err(|error| failed(writing())(error.into()))?;
    let mark = File::create_new(directory.join(UNFINISHED)).map_err(failed(writing()))?;
    mark.sync_all().map_err(failed(writing()))?;
    let closed = Closed::close(&root).map_err(|error| failed(writing())(error.into()))?;
    let attributes = extracted(tarball, unpacked, directory)?;
    set(&root, &attributes, directory)?;
    closed.finish(&root, &mark).map_err(|error| failed(writing())(error.into()))
}

/// A directory that nobody else may enter until it is whole.
struct Closed {
    before: Mode,
}

impl Closed {
    fn close(root: &OwnedFd) -> rustix::io::Result<Closed> {
        let before = Mode::from_raw_mode(rustix::fs::fstat(root)?.st_mode);
        rustix::fs::fchmod(root, Mode::RWXU)?;
        Ok(Closed { before })
    }

    /// All of it is on the disk; then it is open, and the mark goes, which is no change of the image's.
    fn finish(self, root: &OwnedFd, mark: &File) -> rustix::io::Result<()> {
        let stat = rustix::fs::fstat(root)?;
        // Otherwise the image said which.
        if Mode::from_raw_mode(stat.st_mode) == Mode::RWXU {
            rustix::fs::fchmod(root, self.before)?;
        }
        rustix::fs::syncfs(root)?;
        let there = rustix::fs::statat(root, UNFINISHED, AtFlags::SYMLINK_NOFOLLOW)?;
        if there.st_ino != rustix::fs::fstat(mark)?.st_ino {
            // The image holds something of that name, which tar has put there.
            return Err(rustix::io::Errno::EXIST);
        }
        rustix::fs::unlinkat(root, UNFINISHED, AtFlags::empty())?;
        let time = |tv_sec, nsec| Timespec { tv_sec, tv_nsec: i64::try_from(nsec).unwrap_or_default() };
        let times = Timestamps {
            last_access: time(stat.st_atime, stat.st_atime_nsec),
            last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
        };
        rustix::fs::futimens(root, &times)?;
        rustix::fs::fsync(root)
    }
}

/// Has tar unpack it, and gives the attributes, which it leaves out.
fn extracted(
    tarball: impl Read + Send,
    unpacked: Bytes,
    directory: &Path,
) -> Result<Attributes, DirectoryError> {
    let (reader, writer) = io::pipe().map_err(failed("making a pipe".to_owned()))?;
    let mut command = Command::new(TAR.find()?);
    command
        .args(["--extract", "--file=-", "--numeric-owner", "--same-owner", "--same-permissions"])
        .args(["--no-xattrs", "--no-acls", "--warning=no-timestamp", "--directory"])
        .arg(directory)
        .env_clear()
        .envs([("LC_ALL", "C.UTF-8"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")])
        .stdin(reader)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed("starting tar".to_owned()))?;
    // The end of the pipe that tar reads is tar's alone, so that we hear of it when it ends.
    drop(command);
    let most = unpacked.0.saturating_mul(2).saturating_add(1 << 30);
    let said = child.stderr.take();
    let (fed, said, ended) = std::thread::scope(|scope| {
        let feeding = scope.spawn(|| feed(io::BufReader::with_capacity(CHUNK, tarball), writer, most));
        let said = said.map(last_words).unwrap_or_default();
        let ended = child.wait();
        (feeding.join(), said, ended)
    });
    let fed = fed.map_err(|_| DirectoryError::Unusable("reading it broke off".to_owned()))?;
    let ended = ended.map_err(failed("waiting for tar".to_owned()))?;
    if let Some(reason) = fed.nonsense {
        return Err(DirectoryError::Unusable(reason));
    }
    if !ended.success() {
        return Err(DirectoryError::Tar(format!("{ended}: {said}")));
    }
    fed.attributes.map_err(DirectoryError::Unusable)
}

/// So much of what tar says is kept: a line for each file, once the disk is full.
const KEPT: usize = 16 << 10;

/// The end of what is said.
fn last_words(mut from: impl Read) -> String {
    let (mut tail, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = from.read(&mut piece) {
        tail.extend_from_slice(&piece[..n]);
        tail.drain(..tail.len().saturating_sub(KEPT));
    }
    last_lines(&String::from_utf8_lossy(&tail))
}

fn set(root: &OwnedFd, attributes: &Attributes, directory: &Path) -> Result<(), DirectoryError> {
    // No link is followed, the last one neither: one that the image holds may lead anywhere.
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for (path, name, value) in attributes.each() {
        let one = || -> rustix::io::Result<()> {
            let file = rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)?;
            let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
            rustix::fs::setxattr(itself, name, value, XattrFlags::empty())
        };
        one().map_err(|error| DirectoryError::Attribute {
            directory: directory.to_owned(),
            name: String::from_utf8_lossy(name).escape_debug().to_string(),
            file: String::from_utf8_lossy(path).escape_debug().to_string(),
            source: error.into(),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(files: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o640);
            tar.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap()
    }

    fn am_root() -> bool {
        let root = rustix::process::geteuid().is_root();
        if !root {
            println!("skipped: needs root");
        }
        root
    }

    #[test]
    fn only_an_empty_directory_is_filled() {
        if !am_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let (image, at) = (image(&[("etc/hosts", "here")]), directory.path().join("at"));
        unpack_into(image.as_slice(), Bytes(4), &at).unwrap();
        assert_eq!(std::fs::read_to_string(at.join("etc/hosts")).unwrap(), "here");
        assert!(!at.join(UNFINISHED).exists());
        let error = unpack_into(image.as_slice(), Bytes(4), &at).unwrap_err().to_string();
        assert!(error.ends_with("/at is not empty: it holds etc"), "{error}");
        let huge = directory.path().join("huge");
        let error = unpack_into(image.as_slice(), Bytes(1 << 60), &huge).unwrap_err().to_string();
        assert!(error.starts_with("the image has 1048576T of files"), "{error}");
    }

    /// What is half there is not taken for whole, and not filled up either.
    #[test]
    fn what_is_not_whole_is_marked() {
        if !am_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().join("at");
        let large = "x".repeat(1 << 20);
        let whole = image(&[("a", "1"), ("b", &large), ("c", "3")]);
        let cut = &whole[..whole.len() - 9];
        let error = unpack_into(cut, Bytes(1 << 20), &at).unwrap_err();
        assert!(matches!(error, DirectoryError::Unusable(_)), "{error}");
        assert!(at.join(UNFINISHED).exists());
        let mode = std::os::unix::fs::MetadataExt::mode(&at.metadata().unwrap());
        assert_eq!(mode & 0o7777, 0o700, "nobody else enters");
        let error = unpack_into(whole.as_slice(), Bytes(1 << 20), &at).unwrap_err().to_string();
        assert!(error.contains("an unpacking there was not finished"), "{error}");
    }

    #[test]
    fn a_whole_one_is_as_open_as_it_was_or_as_its_image_says() {
        if !am_root() {
            return;
        }
        let mode = |at: &Path| std::os::unix::fs::MetadataExt::mode(&at.metadata().unwrap()) & 0o7777;
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().join("at");
        std::fs::create_dir(&at).unwrap();
        std::fs::set_permissions(&at, std::os::unix::fs::PermissionsExt::from_mode(0o751)).unwrap();
        unpack_into(image(&[("a", "1")]).as_slice(), Bytes(1), &at).unwrap();
        assert_eq!(mode(&at), 0o751);
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(0o711);
        tar.append_data(&mut header, "./", io::empty()).unwrap();
        let with_root = zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap();
        let at = directory.path().join("other");
        unpack_into(with_root.as_slice(), Bytes(1), &at).unwrap();
        assert_eq!(mode(&at), 0o711);
    }

    /// What an image holds is never taken for the mark, and removed.
    #[test]
    fn an_image_with_the_marks_name_is_not_called_whole() {
        if !am_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().join("at");
        let error = unpack_into(image(&[(UNFINISHED, "1")]).as_slice(), Bytes(1), &at).unwrap_err();
        assert!(error.to_string().contains("File exists"), "{error}");
        assert!(at.join(UNFINISHED).exists());
    }

    /// Nobody seals such an image; and if somebody did, no attribute would land outside.
    #[test]
    fn attributes_follow_no_link() {
        if !am_root() {
            return;
        }
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let (outside, at) = (directory.path().join("outside"), directory.path().join("at"));
        std::fs::create_dir(&at).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("file"), "").unwrap();
        std::os::unix::fs::symlink(&outside, at.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.join("file"), at.join("file")).unwrap();
        let root = File::open(&at).unwrap().into();
        for path in ["link/file", "file", "../outside/file", "/link/file"] {
            let one = Attributes::of(path.as_bytes(), b"user.mark", b"1");
            let _ = set(&root, &one, &at);
            let mut buffer = [0_u8; 8];
            let there = rustix::fs::getxattr(outside.join("file"), "user.mark", &mut buffer);
            assert!(there.is_err(), "{path}");
        }
        // And where none is in the way, it is set.
        std::fs::write(at.join("plain"), "").unwrap();
        set(&root, &Attributes::of(b"./plain", b"user.mark", b"1"), &at).unwrap();
        let mut buffer = [0_u8; 8];
        assert_eq!(rustix::fs::getxattr(at.join("plain"), "user.mark", &mut buffer), Ok(1));
    }
}

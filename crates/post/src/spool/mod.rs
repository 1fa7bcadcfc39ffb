//! What a sender holds until its mail daemon has it. A killed program, a full disk, a power cut: each leaves a spool from
//! which the next run goes on, and nothing is made twice but a mail that was handed over and not yet forgotten.
//!
//! ```text
//!  spool.json           who it is: a uuid that every mail carries, made once
//!  taking/              a log on its way in: swept by the next who takes one
//!  taken/TIME-DIGEST.log, .json      logs that are in: the rename of .log is what takes one
//!  cutting/             mails on their way out: swept by the next who cuts a log
//!  queue/NUMBER/        the mails of one log, NUMBER.mail each, and log.json: the rename of the directory is what queues them
//!  next                 the number of the next mail; never less than what queue/ says
//!  logs/DIGEST.json     which logs were taken, for a year: a log that is given again is known, and what it has grown by
//!  last.json            how the last attempt to hand over went
//! ```
//!
//! One lock is for taking, one for cutting and handing over: a mail daemon that hangs keeps no log from being taken.

mod cut;
mod send;
mod status;
mod take;

pub use send::Handed;
pub use status::{LastTry, Status};
pub use take::{Original, Taken};

use crate::durable;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Longer than any mail stays in a queue, and than anybody keeps rotated logs.
const KNOWN_FOR: i64 = 400 * 86_400 * 1_000_000;

/// Why a spool could not do what it should. Nothing is lost by it: the next run goes on.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The system refused something.
    #[error("{doing} {}", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is to be taken is no file.
    #[error("{} is no file", .0.display())]
    NoFile(PathBuf),
    /// A file of the spool holds what this program does not write.
    #[error("{} cannot be understood: {why}", .path.display())]
    Strange {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl SpoolError {
    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        let full = |kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        matches!(self, SpoolError::Io { source, .. } if full(source.kind()))
    }
}

type SpoolResult<T> = Result<T, SpoolError>;

/// Says what was being done when something failed.
trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> SpoolResult<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> SpoolResult<T> {
        self.map_err(|source| SpoolError::Io { doing, path: path.to_owned(), source })
    }
}

/// A log that was taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    /// SHA-256 of the file, from its beginning to where it was taken.
    digest: String,
    /// Where what was taken begins: 0, unless what stands before had been taken already.
    begins: u64,
    /// Where it ended.
    ends: u64,
    device: u64,
    inode: u64,
    modified: i64,
    /// As it was given.
    path: String,
    taken_at: i64,
    /// The number of its first mail, and how many there are; not known before it is cut.
    first: Option<u64>,
    mails: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Who {
    spool: Uuid,
}

/// A sender's spool.
#[derive(Debug)]
pub struct Spool {
    root: PathBuf,
    id: Uuid,
}

impl Spool {
    /// Opens the spool in a directory, and makes it if there is none: then `new_id` says who it is.
    pub fn open(root: &Path, new_id: impl FnOnce() -> Uuid) -> SpoolResult<Spool> {
        for name in ["", "taking", "taken", "cutting", "queue", "logs"] {
            let directory = root.join(name);
            DirBuilder::new().recursive(true).mode(0o700).create(&directory).doing("making", &directory)?;
        }
        let mut spool = Spool { root: root.to_owned(), id: Uuid::nil() };
        let path = root.join("spool.json");
        let _taking = spool.lock("taking.lock")?;
        let who = match fs::read(&path) {
            Ok(text) => understood::<Who>(&path, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let who = Who { spool: new_id() };
                durable::write(&path, &written(&who)).doing("writing", &path)?;
                who
            }
            Err(error) => return Err(error).doing("reading", &path),
        };
        spool.id = who.spool;
        Ok(spool)
    }

    /// Who it is.
    pub fn id(&self) -> Uuid {
        self.id
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn lock_file(&self, name: &str) -> SpoolResult<(File, PathBuf)> {
        let path = self.path(name);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        Ok((file.doing("opening", &path)?, path))
    }

    /// Waits until it is ours. The kernel lets go of it when the program ends, however it ends.
    fn lock(&self, name: &str) -> SpoolResult<File> {
        let (file, path) = self.lock_file(name)?;
        file.lock().doing("locking", &path)?;
        Ok(file)
    }

    /// The same, unless somebody else has it.
    fn try_lock(&self, name: &str) -> SpoolResult<Option<File>> {
        let (file, path) = self.lock_file(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).doing("locking", &path),
        }
    }

    /// The logs that are in and not cut yet, the oldest first: the file, and what is written of it.
    fn taken(&self) -> SpoolResult<Vec<(PathBuf, Record)>> {
        let directory = self.path("taken");
        let mut taken = Vec::new();
        for name in names(&directory, ".log")? {
            let log = directory.join(name);
            let path = log.with_extension("json");
            taken.push((log, read(&path)?));
        }
        Ok(taken)
    }

    /// Every log that was taken, as far back as is remembered.
    fn known(&self) -> SpoolResult<Vec<Record>> {
        let directory = self.path("logs");
        let mut known: Vec<Record> = self.taken()?.into_iter().map(|(_, record)| record).collect();
        for name in names(&directory, ".json")? {
            known.push(read(&directory.join(name))?);
        }
        Ok(known)
    }

    /// Empties a directory in which a killed program may have left something.
    fn sweep(&self, name: &str) -> SpoolResult<PathBuf> {
        let directory = self.path(name);
        for name in names(&directory, "")? {
            let path = directory.join(name);
            fs::remove_file(&path).doing("removing", &path)?;
        }
        Ok(directory)
    }
}

/// The names in a directory that end so, in order.
fn names(directory: &Path, ending: &str) -> SpoolResult<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).doing("reading", directory)? {
        let name = entry.doing("reading", directory)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(ending) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn written(value: &impl Serialize) -> Vec<u8> {
    // Numbers and texts: there is nothing in them that JSON could not say.
    serde_json::to_vec(value).unwrap_or_default()
}

fn understood<T: serde::de::DeserializeOwned>(path: &Path, text: &[u8]) -> SpoolResult<T> {
    serde_json::from_slice(text)
        .map_err(|error| SpoolError::Strange { path: path.to_owned(), why: error.to_string() })
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> SpoolResult<T> {
    understood(path, &fs::read(path).doing("reading", path)?)
}

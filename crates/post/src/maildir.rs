//! A receiver's Maildir: mails in `new/`, what cannot be imported in `quarantine/`, each with a reason beside it.

use crate::letter::LARGEST_MAIL;
use rustix::fs::OFlags;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What lies in `tmp/` for longer was left by a delivery that was killed (maildir(5)).
const STALE: Duration = Duration::from_hours(36);

/// What became of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the store, and may go.
    Done,
    /// It cannot be imported, now or ever: why.
    Refused(String),
    /// Not now: why. It stays, and so do those behind it.
    Later(String),
}

/// What a pass through the mails came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Mails that are in the store and gone from here.
    pub done: u64,
    /// Mails that were put into quarantine.
    pub refused: u64,
    /// Mails that wait.
    pub waiting: u64,
}

/// A Maildir.
#[derive(Clone, Debug)]
pub struct Maildir {
    root: PathBuf,
}

impl Maildir {
    /// The Maildir in this directory. Its `new/` is made if it is missing, for a mail daemon makes it with the first mail.
    /// What is made is its owner's, so that the mail daemon may deliver there whoever runs this.
    pub fn open(root: &Path) -> io::Result<Maildir> {
        let about = fs::metadata(root)?;
        for name in ["new", "cur", "tmp"] {
            let directory = root.join(name);
            match DirBuilder::new().mode(0o700).create(&directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Err(_) => {}
                Ok(()) => chown(&directory, Some(about.uid()), Some(about.gid()))?,
            }
        }
        Ok(Maildir { root: root.to_owned() })
    }

    /// Where mails arrive.
    pub fn new_directory(&self) -> PathBuf {
        self.root.join("new")
    }

    /// The mails that are there, those that came first, first.
    pub fn mails(&self) -> io::Result<Vec<PathBuf>> {
        let mut mails = Vec::new();
        for entry in fs::read_dir(self.new_directory())? {
            let entry = entry?;
            // Names begin with the second of their arrival; what begins with a dot is none of a mail.
            if !entry.file_name().to_string_lossy().starts_with('.') {
                mails.push(entry.path());
            }
        }
        mails.sort();
        Ok(mails)
    }

    /// Imports one: reads it, asks what is to become of it, and does that.
    pub fn import(&self, mail: &Path, hand_in: &mut dyn FnMut(&[u8]) -> Verdict) -> io::Result<Verdict> {
        let verdict = match read(mail)? {
            Ok(bytes) => hand_in(&bytes),
            Err(why) => Verdict::Refused(why),
        };
        match &verdict {
            Verdict::Done => remove(mail)?,
            Verdict::Refused(why) => self.quarantine(mail, why)?,
            Verdict::Later(_) => {}
        }
        Ok(verdict)
    }

    /// Puts a mail aside, with why. It is the operator's from then on.
    fn quarantine(&self, mail: &Path, why: &str) -> io::Result<()> {
        let directory = self.root.join("quarantine");
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let aside = directory.join(mail.file_name().unwrap_or(mail.as_os_str()));
        let mut reason = aside.clone().into_os_string();
        reason.push(".reason");
        // The mail first: on a full disk it goes aside all the same, and is not tried again and again for want of its reason.
        fs::rename(mail, &aside)?;
        fs::write(&reason, format!("{why}\n"))
    }

    /// How many mails were put aside.
    pub fn quarantined(&self) -> io::Result<u64> {
        match fs::read_dir(self.root.join("quarantine")) {
            Ok(entries) => {
                let mails = entries.flatten().filter(|entry| {
                    Path::new(&entry.file_name()).extension().is_none_or(|ending| ending != "reason")
                });
                Ok(mails.count() as u64)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Removes what deliveries left that were killed a day and a half ago. Gives what it could not look at or remove: that
    /// keeps no mail from being imported.
    pub fn sweep(&self, now: SystemTime) -> Option<(PathBuf, io::Error)> {
        let directory = self.root.join("tmp");
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => return Some((directory, error)),
        };
        let mut failed = None;
        for entry in entries.flatten() {
            let about = entry.metadata();
            let modified =
                about.as_ref().is_ok_and(Metadata::is_file).then(|| about.and_then(|about| about.modified()));
            let stale = |at| now.duration_since(at).is_ok_and(|age| age > STALE);
            if modified.is_some_and(|at| at.is_ok_and(stale))
                && let Err(error) = remove(&entry.path())
            {
                failed = Some((entry.path(), error));
            }
        }
        failed
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // Another importer on the same directory was quicker.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The bytes of a mail, or why they are not read.
fn read(path: &Path) -> io::Result<Result<Vec<u8>, String>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let file: File = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if rustix::io::Errno::from_io_error(&error) == Some(rustix::io::Errno::LOOP) => {
            return Ok(Err("it is a symbolic link".to_owned()));
        }
        file => file?,
    };
    let about = file.metadata()?;
    if !about.is_file() {
        return Ok(Err("it is no file".to_owned()));
    }
    if about.len() > LARGEST_MAIL as u64 {
        return Ok(Err(crate::Unreadable::TooLarge(about.len()).to_string()));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_MAIL as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Ok(bytes))
}

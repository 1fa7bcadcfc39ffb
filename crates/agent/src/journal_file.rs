//! Keeps the journal on disk: `manifest.json` (large, changes seldom) and `journal.json` (small, changes with steps);
//! beside them `former.json`, the last manifest of the brain's earlier life, while the present one is unaccepted.
//!
//! Both are replaced whole. One that cannot be read is set aside and said: without a manifest the agent does nothing
//! until the brain has spoken, and what a lost journal knew besides is observed again or counts anew. The same happens
//! to what was kept for another brain or as another host, for nothing of it may be acted on here.
//!
//! A full disk would keep the agent from doing just what frees it, so a ballast lies beside them, to be given up then.

use crate::durable;
use crate::failpoints::failpoint;
use crate::identity::Identity;
use crate::journal::Journal;
use crate::memory::Memory;
use honcho_model::HostId;
use honcho_wire::Manifest;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// So much space is held in reserve: enough for the journal and the manifest of a host full of guests.
const BALLAST: usize = 1 << 20;
/// The ballast is made again only when there is so many times more free.
const AMPLE: u64 = 16;

/// The journal, with the place where it is kept.
#[derive(Debug)]
pub struct JournalFile {
    directory: PathBuf,
    journal_path: PathBuf,
    manifest_path: PathBuf,
    former_path: PathBuf,
    ballast: Ballast,
}

impl JournalFile {
    /// Reads what this host remembered of this brain. What could not be read, and what was another's, was set aside;
    /// each sentence returned says so.
    pub fn open(directory: &Path, brain: Uuid, host: HostId) -> io::Result<(Self, Journal, Vec<String>)> {
        let file = JournalFile {
            directory: directory.to_owned(),
            journal_path: directory.join("journal.json"),
            manifest_path: directory.join("manifest.json"),
            former_path: directory.join("former.json"),
            ballast: Ballast(directory.join("ballast")),
        };
        file.ballast.take_on();
        let mut complaints = Vec::new();
        let journal: Option<Journal> = read(&file.journal_path, &mut complaints)?;
        let manifest: Option<Manifest> = read(&file.manifest_path, &mut complaints)?;
        let former: Option<Manifest> = read(&file.former_path, &mut complaints)?;
        if let Some(other) = manifest.as_ref().filter(|kept| kept.brain != brain || kept.host != host) {
            // The journal first: killed in between, the manifest still tells whose it was.
            for path in [&file.journal_path, &file.former_path, &file.manifest_path] {
                if path.exists() {
                    let aside = durable::set_aside(path, "foreign")?;
                    complaints.push(format!(
                        "{} was of brain {} for host {}, and this is host {host} of brain {brain}: it was set aside as \
                         {}, and nothing is done until the brain has answered",
                        path.display(),
                        other.brain,
                        other.host,
                        aside.display()
                    ));
                }
            }
            return Ok((file, Journal::default(), complaints));
        }
        // With the journal went the knowledge in which boot the brain answered, so it has to answer again first.
        let mut journal = journal.unwrap_or_default();
        journal.manifest = manifest;
        journal.former = former;
        Ok((file, journal, complaints))
    }
}

impl Memory for JournalFile {
    fn keep(&self, journal: &Journal) -> io::Result<()> {
        failpoint("journal-before-write");
        let contents = serde_json::to_vec(journal)?;
        self.ballast.write(|| durable::replace(&self.journal_path, &contents))?;
        failpoint("journal-after-write");
        Ok(())
    }

    fn keep_manifest(&self, manifest: &Manifest) -> io::Result<()> {
        let contents = serde_json::to_vec(manifest)?;
        self.ballast.write(|| durable::replace(&self.manifest_path, &contents))?;
        failpoint("manifest-kept");
        Ok(())
    }

    fn keep_former(&self, manifest: &Manifest) -> io::Result<()> {
        let contents = serde_json::to_vec(manifest)?;
        self.ballast.write(|| durable::replace(&self.former_path, &contents))?;
        failpoint("former-kept");
        Ok(())
    }

    fn forget_former(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.former_path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn keep_identity(&self, identity: &Identity) -> anyhow::Result<()> {
        identity.save(&self.directory)
    }
}

/// A file that only takes up space.
#[derive(Debug)]
struct Ballast(PathBuf);

impl Ballast {
    /// Writes something. When the disk is full the ballast is given up and the writing tried once more; made again it is
    /// when there is ample space.
    fn write(&self, mut write: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        match write() {
            Ok(()) => {
                self.take_on();
                Ok(())
            }
            Err(full) if is_full(&full) && self.0.exists() => {
                tracing::warn!(error = %full, ballast = %self.0.display(), "the disk is full; its last reserve is used");
                std::fs::remove_file(&self.0)?;
                write()
            }
            Err(error) => Err(error),
        }
    }

    /// That there is no ballast is no reason to do nothing, so what fails here is only said.
    fn take_on(&self) {
        let directory = self.0.parent().unwrap_or(Path::new("."));
        let ample = || {
            let space = rustix::fs::statvfs(directory)?;
            Ok::<_, io::Error>(space.f_bavail.saturating_mul(space.f_frsize) >= AMPLE * BALLAST as u64)
        };
        if self.0.exists() {
            return;
        }
        let taken = ample().and_then(|ample| if ample { self.make() } else { Ok(()) });
        if let Err(error) = taken {
            tracing::warn!(%error, ballast = %self.0.display(), "cannot hold space in reserve for the journal");
        }
    }

    fn make(&self) -> io::Result<()> {
        // Not zeros, which some filesystems keep without taking up space.
        let mut contents = vec![0; BALLAST];
        rand::fill(&mut contents[..]);
        durable::replace(&self.0, &contents)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path, complaints: &mut Vec<String>) -> io::Result<Option<T>> {
    let Some(contents) = durable::read(path)? else { return Ok(None) };
    match serde_json::from_slice(&contents) {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            let aside = durable::set_aside(path, "unreadable")?;
            complaints.push(format!(
                "{} cannot be read ({error}); it was set aside as {}, and nothing is done until the brain has answered",
                path.display(),
                aside.display()
            ));
            Ok(None)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BRAIN: Uuid = Uuid::from_u128(1);
    const HOST: HostId = HostId(7);

    fn open(directory: &Path) -> (JournalFile, Journal, Vec<String>) {
        JournalFile::open(directory, BRAIN, HOST).unwrap()
    }

    #[test]
    fn what_was_another_brains_or_another_hosts_is_set_aside() {
        for (brain, host) in [(Uuid::from_u128(2), HOST), (BRAIN, HostId(8))] {
            let directory = tempfile::tempdir().unwrap();
            let (file, mut journal, _) = open(directory.path());
            journal.answered_in_boot = Some("boot".into());
            file.keep(&journal).unwrap();
            let manifest = serde_json::json!({
                "protocol": 1, "brain": BRAIN, "incarnation": 1, "generation": 1, "host": HOST, "frozen": null,
                "pools": [], "networks": [], "guests": [], "arrivals": [], "absent": [],
            });
            file.keep_manifest(&serde_json::from_value(manifest).unwrap()).unwrap();
            assert!(open(directory.path()).1.manifest.is_some());

            let (_, journal, complaints) = JournalFile::open(directory.path(), brain, host).unwrap();
            assert_eq!((journal, complaints.len()), (Journal::default(), 2), "{complaints:?}");
            assert!(directory.path().join("manifest.json.foreign.1").exists());
            assert!(directory.path().join("journal.json.foreign.1").exists());
            let again = JournalFile::open(directory.path(), brain, host).unwrap();
            assert_eq!((again.1, again.2.len()), (Journal::default(), 0));
        }
    }

    #[test]
    fn on_a_full_disk_the_ballast_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let (file, ..) = open(directory.path());
        let path = directory.path().join("ballast");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), BALLAST as u64);
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let mut tries = 0;
        file.ballast
            .write(|| {
                tries += 1;
                if path.exists() { Err(full()) } else { Ok(()) }
            })
            .unwrap();
        assert_eq!((tries, path.exists()), (2, false));
        // Without it there is no second try; and anything else is no reason to give it up.
        let error = file.ballast.write(|| Err(full())).unwrap_err();
        assert!(is_full(&error));
        file.keep(&Journal::default()).unwrap();
        assert!(path.exists(), "made again when there is space");
        file.ballast.write(|| Err(io::ErrorKind::PermissionDenied.into())).unwrap_err();
        assert!(path.exists());
    }

    #[test]
    fn a_torn_journal_is_set_aside_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let (file, mut journal, complaints) = open(directory.path());
        assert_eq!((complaints.len(), &journal), (0, &Journal::default()));
        journal.answered_in_boot = Some("boot".into());
        file.keep(&journal).unwrap();
        assert_eq!(open(directory.path()).1, journal);

        let path = directory.path().join("journal.json");
        let whole = std::fs::read(&path).unwrap();
        for _ in 0..2 {
            std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
            let (_, journal, complaints) = open(directory.path());
            assert_eq!((complaints.len(), journal), (1, Journal::default()));
        }
        assert!(directory.path().join("journal.json.unreadable.2").exists());
    }
}

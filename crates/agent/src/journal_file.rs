//! Keeps the journal on disk: `manifest.json` (large, changes seldom) and `journal.json` (small, changes with steps).
//!
//! Both are replaced whole. One that cannot be read is set aside and said: without a manifest the agent does nothing
//! until the brain has spoken, and what a lost journal knew besides is observed again or counts anew. The same happens
//! to what was kept for another brain or as another host, for nothing of it may be acted on here.

use crate::durable;
use crate::failpoints::failpoint;
use crate::journal::Journal;
use honcho_model::HostId;
use honcho_wire::Manifest;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The journal, with the place where it is kept.
#[derive(Debug)]
pub struct JournalFile {
    journal_path: PathBuf,
    manifest_path: PathBuf,
}

impl JournalFile {
    /// Reads what this host remembered of this brain. What could not be read, and what was another's, was set aside;
    /// each sentence returned says so.
    pub fn open(directory: &Path, brain: Uuid, host: HostId) -> io::Result<(Self, Journal, Vec<String>)> {
        let file = JournalFile {
            journal_path: directory.join("journal.json"),
            manifest_path: directory.join("manifest.json"),
        };
        let mut complaints = Vec::new();
        let journal: Option<Journal> = read(&file.journal_path, &mut complaints)?;
        let manifest: Option<Manifest> = read(&file.manifest_path, &mut complaints)?;
        if let Some(other) = manifest.as_ref().filter(|kept| kept.brain != brain || kept.host != host) {
            // The journal first: killed in between, the manifest still tells whose it was.
            for path in [&file.journal_path, &file.manifest_path] {
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
        Ok((file, journal, complaints))
    }

    /// Keeps everything but the manifest.
    pub fn keep(&self, journal: &Journal) -> io::Result<()> {
        failpoint("journal-before-write");
        durable::replace(&self.journal_path, &serde_json::to_vec(journal)?)?;
        failpoint("journal-after-write");
        Ok(())
    }

    /// Keeps a manifest. Before this has returned there must be no step for it.
    pub fn keep_manifest(&self, manifest: &Manifest) -> io::Result<()> {
        durable::replace(&self.manifest_path, &serde_json::to_vec(manifest)?)?;
        failpoint("manifest-kept");
        Ok(())
    }
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
                "pools": [], "networks": [], "guests": [], "absent": [],
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

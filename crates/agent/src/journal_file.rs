//! Keeps the journal on disk: `manifest.json` (large, changes seldom) and `journal.json` (small, changes with steps).
//!
//! Both are replaced whole. One that cannot be read is set aside and said: without a manifest the agent does nothing
//! until the brain has spoken, and what a lost journal knew besides is observed again or counts anew.

use crate::durable;
use crate::failpoints::failpoint;
use crate::journal::Journal;
use honcho_wire::Manifest;
use std::io;
use std::path::{Path, PathBuf};

/// The journal, with the place where it is kept.
#[derive(Debug)]
pub struct JournalFile {
    journal_path: PathBuf,
    manifest_path: PathBuf,
}

impl JournalFile {
    /// Reads what was remembered. What could not be read was set aside; each sentence returned says so.
    pub fn open(directory: &Path) -> io::Result<(Self, Journal, Vec<String>)> {
        let file = JournalFile {
            journal_path: directory.join("journal.json"),
            manifest_path: directory.join("manifest.json"),
        };
        let mut complaints = Vec::new();
        let journal: Option<Journal> = read(&file.journal_path, &mut complaints)?;
        let manifest: Option<Manifest> = read(&file.manifest_path, &mut complaints)?;
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
            let aside = durable::set_aside(path)?;
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

    #[test]
    fn a_torn_journal_is_set_aside_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let (file, mut journal, complaints) = JournalFile::open(directory.path()).unwrap();
        assert_eq!((complaints.len(), &journal), (0, &Journal::default()));
        journal.answered_in_boot = Some("boot".into());
        file.keep(&journal).unwrap();
        assert_eq!(JournalFile::open(directory.path()).unwrap().1, journal);

        let path = directory.path().join("journal.json");
        let whole = std::fs::read(&path).unwrap();
        for _ in 0..2 {
            std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
            let (_, journal, complaints) = JournalFile::open(directory.path()).unwrap();
            assert_eq!((complaints.len(), journal), (1, Journal::default()));
        }
        assert!(directory.path().join("journal.json.unreadable.2").exists());
    }
}

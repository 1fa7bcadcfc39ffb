//! An archive on disk: what is asked of it, and the lock under which it is changed.

use crate::draft::Draft;
use crate::error::Tried as _;
use crate::index::{Chunks, Stanza};
use crate::publication::{self, Change, Indexes, Publication, Which};
use crate::settings::Settings;
use crate::signing::Key;
use crate::{Architecture, ArchiveError, ArchiveResult, Component, SuiteName, files};
use rand_core_06::CryptoRngCore;
use rustix::fs::FlockOperation;
use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// An archive, to be looked at.
#[derive(Debug)]
pub struct Archive {
    root: PathBuf,
    settings: Settings,
    pub(crate) chunks: Chunks,
}

/// An archive, to be changed: nobody else changes it meanwhile.
#[derive(Debug)]
pub struct Changing {
    pub(crate) archive: Archive,
    _lock: File,
}

impl Archive {
    /// The archive in this directory.
    pub fn open(root: &Path) -> ArchiveResult<Self> {
        let settings = Settings::read(&root.join("archive.toml"))?;
        Ok(Archive { root: root.to_owned(), settings, chunks: Chunks::new(root.join("chunks")) })
    }

    /// Makes an archive in this directory, with a key of its own.
    pub fn create(
        root: &Path,
        mut settings: Settings,
        now: i64,
        rng: &mut impl CryptoRngCore,
    ) -> ArchiveResult<Self> {
        let path = root.join("archive.toml");
        if path.exists() {
            return Err(ArchiveError::Refused(format!("there is an archive in {} already", root.display())));
        }
        let key = Key::generate(&settings.label, now, rng)?;
        settings.keys = vec![key.fingerprint()];
        key.write(&root.join("keys"))?;
        // The settings last: where they are, there is an archive.
        settings.write(&path)?;
        Archive::open(root)
    }

    /// What it is.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where everything of it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What a web server serves.
    pub fn public(&self) -> PathBuf {
        self.root.join("public")
    }

    /// The directory that a publication is served from.
    pub(crate) fn served(&self, suite: &SuiteName, number: u64) -> PathBuf {
        self.public().join(".publications").join(suite.as_str()).join(number.to_string())
    }

    /// Where all indexes of a suite's publications are found by their digest.
    pub(crate) fn found(&self, suite: &SuiteName) -> PathBuf {
        self.public().join(".publications").join(suite.as_str()).join(crate::publish::FOUND)
    }

    pub(crate) fn record(&self, suite: &SuiteName, number: u64) -> PathBuf {
        self.root.join("publications").join(suite.as_str()).join(format!("{number}.json"))
    }

    pub(crate) fn draft_path(&self, suite: &SuiteName) -> PathBuf {
        self.root.join("drafts").join(format!("{suite}.json"))
    }

    /// The numbers of a suite's publications that are kept, rising. One that was being made when its maker was killed is
    /// among them, above the [current](Archive::current) one.
    pub(crate) fn numbers(&self, suite: &SuiteName) -> ArchiveResult<Vec<u64>> {
        let directory = self.root.join("publications").join(suite.as_str());
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.tried("listing", &directory)?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry.tried("listing", &directory)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".json")?.parse::<u64>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The publication that is served.
    pub fn current(&self, suite: &SuiteName) -> ArchiveResult<Option<u64>> {
        let link = self.public().join("dists").join(suite.as_str());
        match fs::read_link(&link) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            target => {
                let target = target.tried("reading", &link)?;
                let number = target.file_name().and_then(|name| name.to_str()?.parse().ok());
                number.map(Some).ok_or_else(|| ArchiveError::Damaged {
                    path: link,
                    why: format!("it leads to {}, which is no publication", target.display()),
                })
            }
        }
    }

    /// What a suite lists, or once did.
    pub fn publication(&self, which: &Which) -> ArchiveResult<Publication> {
        self.settings.suite(&which.suite)?;
        let current = self.current(&which.suite)?;
        let published =
            || ArchiveError::NotFound(format!("publication of {}: nothing was published", which.suite));
        let current = current.ok_or_else(published)?;
        let number = which.number.unwrap_or(current);
        let found =
            if number <= current { files::read_json(&self.record(&which.suite, number))? } else { None };
        found.ok_or_else(|| ArchiveError::NotFound(format!("publication {which}; the newest is {current}")))
    }

    /// A suite's publications that are kept, oldest first.
    pub fn history(&self, suite: &SuiteName) -> ArchiveResult<Vec<Publication>> {
        self.settings.suite(suite)?;
        let current = self.current(suite)?.unwrap_or(0);
        let numbers = self.numbers(suite)?.into_iter().filter(|number| *number <= current);
        numbers
            .map(|number| self.publication(&Which { suite: suite.clone(), number: Some(number) }))
            .collect()
    }

    /// What is added or removed and not yet published.
    pub fn pending(&self, suite: &SuiteName) -> ArchiveResult<Vec<Change>> {
        let Some(draft) = self.draft(suite)? else { return Ok(Vec::new()) };
        publication::changes(&self.chunks, &self.published_indexes(suite)?, &draft.indexes)
    }

    /// What is published, or nothing.
    pub(crate) fn published_indexes(&self, suite: &SuiteName) -> ArchiveResult<Indexes> {
        match self.current(suite)? {
            None => Ok(Indexes::new()),
            Some(number) => {
                Ok(self.publication(&Which { suite: suite.clone(), number: Some(number) })?.indexes)
            }
        }
    }

    pub(crate) fn draft(&self, suite: &SuiteName) -> ArchiveResult<Option<Draft>> {
        self.settings.suite(suite)?;
        files::read_json(&self.draft_path(suite))
    }

    /// What changed from one publication to another.
    pub fn changes(&self, from: &Which, to: &Which) -> ArchiveResult<Vec<Change>> {
        let (from, to) = (self.publication(from)?, self.publication(to)?);
        publication::changes(&self.chunks, &from.indexes, &to.indexes)
    }

    /// Gives every package of a publication to `visit`, each as often as indexes hold it.
    pub fn packages(
        &self,
        publication: &Publication,
        mut visit: impl FnMut(&Component, &Architecture, Stanza) -> ArchiveResult<()>,
    ) -> ArchiveResult<()> {
        for (component, indexes) in &publication.indexes {
            for (architecture, index) in indexes {
                for stanza in index.stanzas(&self.chunks) {
                    visit(component, architecture, stanza?)?;
                }
            }
        }
        Ok(())
    }

    /// Gives every package that any kept publication of a suite lists to `visit`, each once or more often: what publications share is
    /// read once.
    pub fn packages_ever(&self, suite: &SuiteName, mut visit: impl FnMut(Stanza)) -> ArchiveResult<()> {
        let mut seen = HashSet::new();
        for publication in self.history(suite)? {
            let indexes = publication.indexes.values().flatten().filter(|(of, _)| !of.is_source());
            for chunk in indexes.flat_map(|(_, index)| &index.chunks) {
                if seen.insert(chunk.digest) {
                    self.chunks.stanzas(chunk.digest)?.into_iter().for_each(&mut visit);
                }
            }
        }
        Ok(())
    }

    /// Takes the archive to change it. Somebody else who is at it is waited for, once `waiting` was called.
    pub fn change(self, waiting: impl FnOnce()) -> ArchiveResult<Changing> {
        let path = self.root.join("lock");
        let lock = File::options().create(true).append(true).open(&path).tried("opening", &path)?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            waiting();
            loop {
                match rustix::fs::flock(&lock, FlockOperation::LockExclusive) {
                    Err(rustix::io::Errno::INTR) => {}
                    taken => break taken.tried("locking", &path)?,
                }
            }
        }
        // Whoever was waited for may have changed the settings.
        Ok(Changing { archive: Archive::open(&self.root)?, _lock: lock })
    }
}

impl Changing {
    /// The archive as it is now.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Changes what the archive is.
    pub fn set(&mut self, change: impl FnOnce(&mut Settings) -> ArchiveResult<()>) -> ArchiveResult<()> {
        let mut settings = self.archive.settings.clone();
        change(&mut settings)?;
        settings.write(&self.archive.root.join("archive.toml"))?;
        self.archive.settings = settings;
        Ok(())
    }

    /// The keys that sign.
    pub(crate) fn keys(&self) -> ArchiveResult<Vec<Key>> {
        let Archive { root, settings, .. } = &self.archive;
        if settings.keys.is_empty() {
            return Err(ArchiveError::Refused("no key signs: `honcho archive key new` makes one".to_owned()));
        }
        settings.keys.iter().map(|key| Key::read(&root.join("keys"), key)).collect()
    }

    /// Makes one more key. From now on it signs beside the others. Its fingerprint is given back.
    pub fn add_key(&mut self, now: i64, rng: &mut impl CryptoRngCore) -> ArchiveResult<String> {
        let key = Key::generate(&self.archive.settings.label, now, rng)?;
        key.write(&self.archive.root.join("keys"))?;
        let fingerprint = key.fingerprint();
        self.set(|settings| {
            settings.keys.push(fingerprint.clone());
            Ok(())
        })?;
        Ok(fingerprint)
    }

    /// From the next publication on, this key signs no more. It stays in `keys/`.
    pub fn retire_key(&mut self, fingerprint: &str) -> ArchiveResult<()> {
        self.set(|settings| {
            let before = settings.keys.len();
            settings.keys.retain(|key| key != fingerprint);
            if settings.keys.len() == before {
                return Err(ArchiveError::NotFound(format!(
                    "key {fingerprint} that signs; there are: {}",
                    settings.keys.join(", ")
                )));
            }
            if settings.keys.is_empty() {
                return Err(ArchiveError::Refused(
                    "it is the only key that signs: make another, publish, wait until all machines have the new \
                     keyring, and retire this one then"
                        .to_owned(),
                ));
            }
            Ok(())
        })
    }
}

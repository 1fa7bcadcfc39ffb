//! Letting go of what nothing names any more: old publications, then chunks, then files of the pool. What machines have installed may
//! be held: then its file stays, and whoever has that version can still fetch it anew.

use crate::archive::Changing;
use crate::deb::Deb;
use crate::digests::Digest;
use crate::error::Tried as _;
use crate::index::Stanza;
use crate::publication::{Indexes, Publication, Which};
use crate::{ArchiveResult, SuiteName, files};
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// What went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Publications.
    pub publications: usize,
    /// Files of chunks.
    pub chunks: usize,
    /// Packages in the pool.
    pub packages: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What none lists any more, and stayed because somebody has it installed.
    pub held: BTreeSet<Loose>,
}

/// A package in the pool that no publication and no draft lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Loose {
    /// What it is called.
    pub package: String,
    /// Which version.
    pub version: String,
    /// `amd64`, `all`.
    pub architecture: String,
}

/// What is kept of publications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Of each suite the newest so many,
    pub newest: usize,
    /// and those made at this second since 1970 or later.
    pub since: i64,
}

/// Whether it is only said what would go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pruning {
    /// Nothing goes.
    DryRun,
    /// It goes.
    Done,
}

/// What retention makes of an archive.
#[derive(Default)]
struct Sorted {
    /// What stays, of publications and drafts.
    kept: Vec<Indexes>,
    /// Publications that go.
    old: Vec<(SuiteName, Publication)>,
    /// The chunks of what stays,
    chunks: HashSet<Digest>,
    /// and its packages.
    packages: BTreeSet<Digest>,
    /// Files of the pool that nothing names that stays.
    unlisted: Vec<PathBuf>,
}

impl Changing {
    /// The packages that [pruning](Self::prune) would remove, if nothing held them.
    pub fn loose(&self, retention: Retention) -> ArchiveResult<BTreeSet<Loose>> {
        self.sorted(retention)?.unlisted.iter().filter_map(|path| loose(path).transpose()).collect()
    }

    /// Removes each suite's publications but those that are kept; and then what no publication and no draft names, save packages
    /// that are held.
    pub fn prune(
        &mut self,
        retention: Retention,
        is_held: impl Fn(&Loose) -> bool,
        pruning: Pruning,
    ) -> ArchiveResult<Pruned> {
        let Sorted { old, chunks, packages, unlisted, .. } = self.sorted(retention)?;
        let mut pruned = Pruned { publications: old.len(), ..Pruned::default() };
        for (suite, publication) in old {
            if pruning == Pruning::Done {
                // The record last: by it, what is left of a pruning that was killed is found by the next.
                files::remove(&self.archive.served(&suite, publication.number))?;
                files::remove(&self.archive.record(&suite, publication.number))?;
            }
        }
        for path in unlisted {
            if let Some(one) = loose(&path)?.filter(&is_held) {
                pruned.held.insert(one);
                continue;
            }
            pruned.packages += 1;
            pruned.bytes += fs::symlink_metadata(&path).tried("looking at", &path)?.len();
            if pruning == Pruning::Done {
                files::remove(&path)?;
            }
        }
        if pruning == Pruning::Done {
            self.forget()?;
            pruned.chunks = self.archive.chunks.keep(&chunks)?;
            self.keep_files(&packages)?;
            files::remove(&self.incoming())?;
        }
        Ok(pruned)
    }

    fn sorted(&self, retention: Retention) -> ArchiveResult<Sorted> {
        let mut sorted = Sorted::default();
        let mut pieces = Vec::new();
        for suite in self.archive.settings().suites.keys() {
            sorted.kept.extend(self.archive.draft(suite)?.map(|draft| draft.indexes));
            for (age, publication) in self.archive.history(suite)?.into_iter().rev().enumerate() {
                // The one that is served stays, whatever was asked for.
                if age == 0 || age < retention.newest || publication.made_at >= retention.since {
                    pieces.extend(publication.contents.into_values());
                    sorted.kept.push(publication.indexes);
                } else {
                    sorted.old.push((suite.clone(), publication));
                }
            }
        }
        let indexes = sorted.kept.iter().flat_map(|indexes| indexes.values().flat_map(|own| own.values()));
        let mut named = HashSet::new();
        for chunk in indexes.flat_map(|index| &index.chunks) {
            if sorted.chunks.insert(chunk.digest) {
                let stanzas = self.archive.chunks.stanzas(chunk.digest)?;
                named.extend(stanzas.iter().flat_map(Stanza::files));
                let digests = stanzas.iter().map(|stanza| stanza.field("SHA256").to_owned());
                sorted.packages.extend(digests.filter_map(|digest| Digest::try_from(digest).ok()));
            }
        }
        sorted.chunks.extend(pieces);
        let public = self.archive.public();
        sorted.unlisted = files::below(&public.join("pool"))?;
        sorted.unlisted.retain(|path| !named.contains(path.strip_prefix(&public).unwrap_or(path)));
        Ok(sorted)
    }
}

/// What a file of the pool says that it is; nothing, where it is a source's, or half of a package. One that cannot be read is not
/// taken for either.
fn loose(path: &Path) -> ArchiveResult<Option<Loose>> {
    if path.extension().is_none_or(|ending| ending != "deb") {
        return Ok(None);
    }
    let mut file = Watched { file: File::open(path).tried("opening", path)?, failed: None };
    let deb = Deb::read(path, BufReader::new(&mut file));
    if let Some(error) = file.failed {
        return Err(error).tried("reading", path);
    }
    Ok(deb.ok().map(|deb| Loose {
        package: deb.name.to_string(),
        version: deb.status_version(),
        architecture: deb.architecture_word().to_owned(),
    }))
}

/// A file, and why it could not be read: whoever reads a package out of it says no more than that it is none.
struct Watched {
    file: File,
    failed: Option<io::Error>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.failed = Some(io::Error::new(error.kind(), error.to_string()));
            }
        })
    }
}

impl Changing {
    /// Removes what is found by its digest and nobody may ask for: whoever published it was killed.
    fn forget(&self) -> ArchiveResult<()> {
        for suite in self.archive.settings().suites.keys() {
            let Some(_) = self.archive.current(suite)? else { continue };
            let current = self.archive.publication(&Which { suite: suite.clone(), number: None })?;
            let directory = self.archive.found(suite);
            for path in files::below(&directory)? {
                let place = path.strip_prefix(&directory).ok().and_then(Path::to_str).unwrap_or_default();
                if !current.found.contains_key(place) {
                    files::remove(&path)?;
                }
            }
        }
        Ok(())
    }
}

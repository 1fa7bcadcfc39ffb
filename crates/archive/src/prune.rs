//! Letting go of what nothing names any more: old publications, then chunks, then files of the pool.

use crate::archive::Changing;
use crate::error::Tried as _;
use crate::index::Stanza;
use crate::publication::{Indexes, Which};
use crate::{ArchiveResult, files};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pruned {
    /// Publications.
    pub publications: usize,
    /// Files of chunks.
    pub chunks: usize,
    /// Packages in the pool.
    pub packages: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Whether it is only said what would go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pruning {
    /// Nothing goes.
    DryRun,
    /// It goes.
    Done,
}

impl Changing {
    /// Removes each suite's publications but the newest `keep` and those made at `since` or later; and then what no publication
    /// and no draft names.
    pub fn prune(&mut self, keep: usize, since: i64, pruning: Pruning) -> ArchiveResult<Pruned> {
        let mut pruned = Pruned::default();
        let mut kept: Vec<Indexes> = Vec::new();
        let suites: Vec<_> = self.archive.settings().suites.keys().cloned().collect();
        for suite in suites {
            kept.extend(self.archive.draft(&suite)?.map(|draft| draft.indexes));
            for (age, publication) in self.archive.history(&suite)?.into_iter().rev().enumerate() {
                // The one that is served stays, whatever was asked for.
                if age == 0 || age < keep || publication.made_at >= since {
                    kept.push(publication.indexes);
                    continue;
                }
                pruned.publications += 1;
                if pruning == Pruning::Done {
                    // The record last: by it, what is left of a pruning that was killed is found by the next.
                    files::remove(&self.archive.served(&suite, publication.number))?;
                    files::remove(&self.archive.record(&suite, publication.number))?;
                }
            }
        }
        let indexes = || kept.iter().flat_map(|indexes| indexes.values().flat_map(|own| own.values()));
        let mut named = HashSet::new();
        let mut seen = HashSet::new();
        for chunk in indexes().flat_map(|index| &index.chunks) {
            if seen.insert(chunk.digest) {
                let stanzas = self.archive.chunks.stanzas(chunk.digest)?;
                named.extend(stanzas.iter().flat_map(Stanza::files));
            }
        }
        let public = self.archive.public();
        for path in files_below(&public.join("pool"))? {
            let below = path.strip_prefix(&public).unwrap_or(&path);
            if named.contains(below) {
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
            pruned.chunks = self.archive.chunks.keep(&seen)?;
            files::remove(&self.incoming())?;
        }
        Ok(pruned)
    }
}

impl Changing {
    /// Removes what is found by its digest and nobody may ask for: whoever published it was killed.
    fn forget(&self) -> ArchiveResult<()> {
        for suite in self.archive.settings().suites.keys() {
            let Some(_) = self.archive.current(suite)? else { continue };
            let current = self.archive.publication(&Which { suite: suite.clone(), number: None })?;
            let directory = self.archive.found(suite);
            for path in files_below(&directory)? {
                let place = path.strip_prefix(&directory).ok().and_then(Path::to_str).unwrap_or_default();
                if !current.found.contains_key(place) {
                    files::remove(&path)?;
                }
            }
        }
        Ok(())
    }
}

fn files_below(directory: &Path) -> ArchiveResult<Vec<PathBuf>> {
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

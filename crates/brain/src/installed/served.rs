//! What a suite serves and served before, and which version a machine would get from it.
//!
//! What another suite serves and this one never did came from there, and is not outdated here: a machine with what `bookworm` serves is
//! not behind `trixie`.

use honcho_archive::{Archive, ArchiveResult, SuiteName, Which, compare_versions};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a suite serves, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    /// Which publication it is.
    pub(crate) number: u64,
    pub(super) packages: BTreeMap<String, ServedPackage>,
}

/// A package of it.
#[derive(Clone, Debug, Default)]
pub(super) struct ServedPackage {
    /// Oldest first.
    pub(super) versions: Vec<String>,
    /// Those of earlier publications.
    pub(super) former: BTreeSet<String>,
    pub(super) architectures: BTreeSet<String>,
    /// The newest version of each architecture's index.
    newest: BTreeMap<String, String>,
}

impl Served {
    /// What is served of this suite now; nothing, where nothing was published.
    pub(crate) fn read(archive: &Archive, suite: &SuiteName) -> ArchiveResult<Self> {
        if archive.current(suite)?.is_none() {
            return Ok(Served::default());
        }
        let publication = archive.publication(&Which { suite: suite.clone(), number: None })?;
        let mut served = Served { number: publication.number, packages: BTreeMap::new() };
        archive.packages(&publication, |_, index, stanza| {
            if !index.is_source() {
                served.add(stanza.name(), stanza.version(), stanza.architecture(), index.as_str());
            }
            Ok(())
        })?;
        archive.packages_ever(suite, |stanza| {
            if let Some(package) = served.packages.get_mut(stanza.name())
                && !package.serves(stanza.version())
                && !package.former.contains(stanza.version())
            {
                package.former.insert(stanza.version().to_owned());
            }
        })?;
        Ok(served)
    }

    /// A package that stands in the index of this architecture.
    pub(super) fn add(&mut self, name: &str, version: &str, architecture: &str, index: &str) {
        let package = self.packages.entry(name.to_owned()).or_default();
        package.architectures.insert(architecture.to_owned());
        if let Err(at) = package.versions.binary_search_by(|known| compare_versions(known, version)) {
            package.versions.insert(at, version.to_owned());
        }
        let newest = package.newest.entry(index.to_owned()).or_default();
        if newest.is_empty() || compare_versions(newest, version) == Ordering::Less {
            version.clone_into(newest);
        }
    }

    /// How many packages.
    pub(crate) fn count(&self) -> usize {
        self.packages.len()
    }
}

impl ServedPackage {
    /// The newest version for a machine that has an older one. What is for all machines is compared with the newest of any: which
    /// one it is on, nobody said.
    pub(super) fn newer(&self, version: &str, architecture: &str) -> Option<&str> {
        let newest = match architecture {
            "all" => self.versions.last(),
            architecture => self.newest.get(architecture),
        };
        newest.map(String::as_str).filter(|newest| compare_versions(version, newest) == Ordering::Less)
    }

    /// Whether an earlier publication did.
    pub(super) fn served(&self, version: &str) -> bool {
        self.former.iter().any(|former| compare_versions(former, version) == Ordering::Equal)
    }

    /// Whether it does now.
    pub(super) fn serves(&self, version: &str) -> bool {
        self.versions.binary_search_by(|served| compare_versions(served, version)).is_ok()
    }
}

/// A suite beside the others of the archive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beside {
    pub(super) served: Arc<Served>,
    pub(super) others: Vec<Arc<Served>>,
}

impl Beside {
    /// The version that a machine with this one would get from the suite, if it is newer.
    pub(super) fn newer(&self, name: &str, version: &str, architecture: &str) -> Option<&str> {
        let package = self.served.packages.get(name)?;
        let newer = package.newer(version, architecture)?;
        let serves = |served: &Served| served.packages.get(name).is_some_and(|one| one.serves(version));
        let is_of_another = !package.serves(version)
            && !package.served(version)
            && self.others.iter().map(Arc::as_ref).any(serves);
        (!is_of_another).then_some(newer)
    }

    pub(super) fn is_outdated(&self, name: &str, version: &str, architecture: &str) -> bool {
        self.newer(name, version, architecture).is_some()
    }

    /// Which publications are compared.
    pub(super) fn numbers(&self) -> Vec<u64> {
        std::iter::once(&self.served).chain(&self.others).map(|served| served.number).collect()
    }
}

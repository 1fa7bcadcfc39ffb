//! What the next publication of a suite will list: packages come and go here.
//!
//! A package's file is in the pool, synced, before a draft or what is served names it. A pool file that nothing names (whoever
//! added it was killed) is found there by the next who adds it, replaced if it is another or half of it, or goes by [pruning](crate::Changing::prune).

use crate::archive::{Archive, Changing};
use crate::contents::Held;
use crate::deb::{self, Deb, For};
use crate::digests::{Digest, Hashing};
use crate::error::Tried as _;
use crate::index::{Edit, Index, Stanza};
use crate::publication::{self, Change, Indexes, Which};
use crate::publish::Published;
use crate::source::{self, Source};
use crate::{Architecture, ArchiveError, ArchiveResult, Component, PackageName, SuiteName, files};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;
use tempfile::{NamedTempFile, TempPath};

/// So many packages are copied and read one after the other: sooner than threads are begun.
const FEW: usize = 16;

/// What is to be published next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Draft {
    pub(crate) indexes: Indexes,
}

/// What became of a package that was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Added {
    /// What it is called.
    pub package: String,
    /// Which version.
    pub version: String,
    /// `amd64`, `all`.
    pub architecture: String,
    /// Where it lies, below what is served.
    pub place: String,
    /// Whether it is new.
    pub taken: Taken,
}

/// Whether a package was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// It was not in this suite.
    New,
    /// It was there, with these very bytes.
    Already,
}

/// A package that has been copied and read, and is not yet in its place.
struct Incoming {
    architecture: For,
    stanza: Stanza,
    /// The package itself, or the `.dsc`, first.
    files: Vec<Copied>,
}

/// A file of one.
struct Copied {
    place: String,
    digest: Digest,
    /// The pool has it already.
    is_there: bool,
    /// Closed: there may be more of them than files that a process may have open.
    copy: TempPath,
}

impl Incoming {
    fn place(&self) -> &str {
        self.files.first().map_or("", |file| &file.place)
    }
}

impl Archive {
    /// The draft, or what it would begin with: what is published, in all the indexes that the suite now has.
    pub(crate) fn drafted(&self, suite: &SuiteName) -> ArchiveResult<Draft> {
        let mut indexes = match self.draft(suite)? {
            Some(draft) => draft.indexes,
            None => self.published_indexes(suite)?,
        };
        let settings = self.settings().suite(suite)?;
        indexes.retain(|component, _| settings.components.contains(component));
        for component in &settings.components {
            let own = indexes.entry(component.clone()).or_default();
            for architecture in &settings.architectures {
                if !own.contains_key(architecture) {
                    let new = self.of_all(own)?;
                    own.insert(architecture.clone(), new);
                }
            }
            own.retain(|architecture, _| {
                architecture.is_source() || settings.architectures.contains(architecture)
            });
        }
        Ok(Draft { indexes })
    }

    /// What an architecture lists that has just been added to these: what is for all of them.
    fn of_all(&self, others: &BTreeMap<Architecture, Index>) -> ArchiveResult<Index> {
        let some = others.iter().find(|(architecture, _)| !architecture.is_source());
        let Some((_, index)) = some else { return Ok(Index::default()) };
        let mut names: BTreeMap<String, Vec<Stanza>> = BTreeMap::new();
        for stanza in index.stanzas(&self.chunks) {
            let stanza = stanza?;
            if stanza.architecture() == "all" {
                names.entry(stanza.name().to_owned()).or_default().push(stanza);
            }
        }
        let edits = names.into_iter().map(|(name, stanzas)| {
            let edit: Edit<'_> = Box::new(|own| *own = stanzas);
            (name, edit)
        });
        let mut of_all = Index::default();
        of_all.edit(&self.chunks, edits.collect())?;
        Ok(of_all)
    }
}

impl Changing {
    /// Adds packages to a suite's draft: all of them or, if there is something wrong with one, none. Of a `.dsc` the files that it
    /// names are added too, of a `.changes` the packages and sources that it names; they lie beside it.
    pub fn add(
        &mut self,
        suite: &SuiteName,
        component: &Component,
        paths: &[PathBuf],
    ) -> ArchiveResult<Vec<Added>> {
        let (incoming, draft, added) = self.taken_in(suite, component, paths)?;
        files::sync_all(self.archive.root())?;
        self.put_in_place(incoming)?;
        files::sync_all(self.archive.root())?;
        self.keep(suite, &draft)?;
        Ok(added)
    }

    /// Adds packages and publishes them in one step. It is the same as both, one after the other, with fewer waits for the disk:
    /// nobody sees a draft that is published in the next moment, so all of it is synced once.
    pub fn add_and_publish(
        &mut self,
        suite: &SuiteName,
        component: &Component,
        paths: &[PathBuf],
        note: Option<String>,
        now: i64,
    ) -> ArchiveResult<(Vec<Added>, Published)> {
        // What is drafted already must not be lost, nor be taken for what undoes this publication.
        if self.archive.draft_path(suite).exists() {
            let added = self.add(suite, component, paths)?;
            return Ok((added, self.publish(suite, note, now)?));
        }
        let (incoming, draft, added) = self.taken_in(suite, component, paths)?;
        self.put_in_place(incoming)?;
        Ok((added, self.publish_these(suite, draft.indexes, note, now)?))
    }

    /// Copies packages, reads them and lists them in what would be the draft.
    fn taken_in(
        &self,
        suite: &SuiteName,
        component: &Component,
        paths: &[PathBuf],
    ) -> ArchiveResult<(Vec<Incoming>, Draft, Vec<Added>)> {
        let settings = self.archive.settings().suite(suite)?;
        if !settings.components.contains(component) {
            let known: Vec<&str> = settings.components.iter().map(Component::as_str).collect();
            let known = known.join(", ");
            return Err(ArchiveError::NotFound(format!(
                "component {component} in {suite}; there are: {known}"
            )));
        }
        files::empty(&self.incoming())?;
        let mut incoming = self.all_taken_in(paths, component)?;
        if settings.contents {
            self.archive.read_files(&held(&incoming))?;
        }
        let mut places = HashMap::new();
        for one in &mut incoming {
            self.check(one, suite, &settings.architectures)?;
            // Two files of one place must be the same; that one is given twice is no harm.
            for file in &one.files {
                if *places.entry(file.place.clone()).or_insert(file.digest) != file.digest {
                    return Err(taken_by_another(&file.place));
                }
            }
        }
        let mut draft = self.archive.drafted(suite)?;
        let indexes = draft.indexes.entry(component.clone()).or_default();
        if incoming.iter().any(|one| one.architecture == For::None) {
            indexes.entry(Architecture::source()).or_default();
        }
        let taken = self.listed(indexes, &incoming)?;
        let added = incoming
            .iter()
            .zip(taken)
            .map(|(one, taken)| Added {
                package: one.stanza.name().to_owned(),
                version: one.stanza.version().to_owned(),
                architecture: match one.architecture {
                    For::None => "source".to_owned(),
                    _ => one.stanza.architecture().to_owned(),
                },
                place: one.place().to_owned(),
                taken,
            })
            .collect();
        Ok((incoming, draft, added))
    }

    /// Copies and reads all of these, on every processor where there are many.
    fn all_taken_in(&self, paths: &[PathBuf], component: &Component) -> ArchiveResult<Vec<Incoming>> {
        let take_in = |paths: &[PathBuf]| {
            let mut incoming = Vec::new();
            for path in paths {
                self.take_in(path, component, &mut incoming)?;
            }
            Ok(incoming)
        };
        if paths.len() < FEW {
            return take_in(paths);
        }
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        thread::scope(|scope| {
            let parts: Vec<_> = paths
                .chunks(paths.len().div_ceil(threads))
                .map(|part| scope.spawn(move || take_in(part)))
                .collect();
            let mut incoming = Vec::new();
            for part in parts {
                incoming.extend(part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(incoming)
        })
    }

    /// Where packages are copied to before anything is known of them.
    pub(crate) fn incoming(&self) -> PathBuf {
        self.archive.root().join("incoming")
    }

    /// Copies what lies there, and reads the copy: a package, a source with its files, or all that a build has made.
    fn take_in(&self, path: &Path, component: &Component, incoming: &mut Vec<Incoming>) -> ArchiveResult<()> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("dsc") => incoming.push(self.take_in_source(path, component, None)?),
            Some("changes") => {
                let (mut file, ..) = self.copied(path)?;
                let bytes = read_short(path, file.as_file_mut())?;
                let changes = source::named_by_changes(path, &bytes)?;
                for (named, digest) in changes.others {
                    let file = File::open(&named).tried("opening", &named)?;
                    let mut hashing = Hashing::new(file);
                    std::io::copy(&mut hashing, &mut std::io::sink()).tried("reading", &named)?;
                    is_as_named(&named, hashing.finish().1, Some(digest))?;
                }
                for (named, digest) in changes.listed {
                    let one = if named.extension().is_some_and(|ending| ending == "dsc") {
                        self.take_in_source(&named, component, Some(digest))?
                    } else {
                        self.take_in_package(&named, component, Some(digest))?
                    };
                    incoming.push(one);
                }
            }
            _ => incoming.push(self.take_in_package(path, component, None)?),
        }
        Ok(())
    }

    fn take_in_package(
        &self,
        path: &Path,
        component: &Component,
        expected: Option<Digest>,
    ) -> ArchiveResult<Incoming> {
        let (mut file, digest, length) = self.copied(path)?;
        is_as_named(path, digest, expected)?;
        file.as_file_mut().rewind().tried("reading", path)?;
        let deb = Deb::read(path, std::io::BufReader::new(file.as_file()))?;
        let place = deb.place(component);
        let stanza = Stanza::new(&deb.stanza(&place, length, digest));
        let files = vec![Copied { place, digest, is_there: false, copy: file.into_temp_path() }];
        Ok(Incoming { architecture: deb.architecture, stanza, files })
    }

    fn take_in_source(
        &self,
        path: &Path,
        component: &Component,
        expected: Option<Digest>,
    ) -> ArchiveResult<Incoming> {
        let (mut file, digest, length) = self.copied(path)?;
        is_as_named(path, digest, expected)?;
        let source = Source::read(path, &read_short(path, file.as_file_mut())?)?;
        let directory = source.directory(component);
        let stanza = Stanza::new(&source.stanza(&directory, length, digest));
        let place = format!("{directory}/{}", source.dsc());
        let mut files = vec![Copied { place, digest, is_there: false, copy: file.into_temp_path() }];
        for named in &source.files {
            let beside = files::parent(path).join(&named.name);
            let (file, digest, length) = self.copied(&beside)?;
            if length != named.length {
                return Err(ArchiveError::Refused(format!(
                    "{} has {length} bytes, and {} says {}",
                    beside.display(),
                    path.display(),
                    named.length
                )));
            }
            is_as_named(&beside, digest, Some(named.digest))?;
            let place = format!("{directory}/{}", named.name);
            files.push(Copied { place, digest, is_there: false, copy: file.into_temp_path() });
        }
        Ok(Incoming { architecture: For::None, stanza, files })
    }

    /// A copy of a file, with its digest and length.
    fn copied(&self, path: &Path) -> ArchiveResult<(NamedTempFile, Digest, u64)> {
        use std::os::unix::fs::PermissionsExt as _;
        let from = File::open(path).tried("opening", path)?;
        if !from.metadata().tried("looking at", path)?.is_file() {
            return Err(ArchiveError::NoPackage { path: path.to_owned(), why: "it is no file".to_owned() });
        }
        let directory = self.incoming();
        let mut file = NamedTempFile::new_in(&directory).tried("writing in", &directory)?;
        let mut hashing = Hashing::new(from);
        std::io::copy(&mut hashing, file.as_file_mut()).tried("copying", path)?;
        let (_, digest, length) = hashing.finish();
        let everybody = fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(everybody).tried("copying", path)?;
        Ok((file, digest, length))
    }

    /// Looks whether its places are free, and whether the suite is for its machines.
    fn check(
        &self,
        one: &mut Incoming,
        suite: &SuiteName,
        architectures: &[Architecture],
    ) -> ArchiveResult<()> {
        if let For::One(own) = &one.architecture
            && !architectures.contains(own)
        {
            return Err(ArchiveError::Refused(format!(
                "{} is for {own}, and {suite} is not: `honcho archive suite {suite} --architecture …` says for what it is",
                one.place()
            )));
        }
        for file in &mut one.files {
            let place = self.archive.public().join(&file.place);
            match File::open(&place) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                there => {
                    let mut hashing = Hashing::new(there.tried("opening", &place)?);
                    std::io::copy(&mut hashing, &mut std::io::sink()).tried("reading", &place)?;
                    file.is_there = hashing.finish().1 == file.digest;
                    // Half of it may be what a machine that died in the midst of adding it has left. A whole one may be kept for
                    // machines that have it, though nothing lists it any more.
                    if !file.is_there && (self.is_listed(&file.place)? || deb::is_whole(&place)) {
                        return Err(taken_by_another(&file.place));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether any draft or publication names this file of the pool.
    fn is_listed(&self, place: &str) -> ArchiveResult<bool> {
        let mut seen = HashSet::new();
        for suite in self.archive.settings().suites.keys() {
            let drafted = self.archive.draft(suite)?.map(|draft| draft.indexes);
            let published = self.archive.history(suite)?.into_iter().map(|publication| publication.indexes);
            for indexes in drafted.into_iter().chain(published) {
                for chunk in indexes.values().flat_map(BTreeMap::values).flat_map(|index| &index.chunks) {
                    if seen.insert(chunk.digest) {
                        let stanzas = self.archive.chunks.stanzas(chunk.digest)?;
                        if stanzas.iter().any(|stanza| stanza.files().contains(&PathBuf::from(place))) {
                            return Ok(true);
                        }
                    }
                }
            }
        }
        Ok(false)
    }

    /// Lists packages in the indexes that they belong in; says of each whether it is new there.
    fn listed(
        &self,
        indexes: &mut BTreeMap<Architecture, Index>,
        incoming: &[Incoming],
    ) -> ArchiveResult<Vec<Taken>> {
        let taken: Vec<Cell<Taken>> = incoming.iter().map(|_| Cell::new(Taken::Already)).collect();
        for (architecture, index) in indexes {
            let mut names: BTreeMap<String, Vec<(&Incoming, &Cell<Taken>)>> = BTreeMap::new();
            for (one, taken) in incoming.iter().zip(&taken) {
                let fits = match &one.architecture {
                    For::All => !architecture.is_source(),
                    For::One(own) => own == architecture,
                    For::None => architecture.is_source(),
                };
                if fits {
                    names.entry(one.stanza.name().to_owned()).or_default().push((one, taken));
                }
            }
            let edits = names.into_iter().map(|(name, new)| {
                let edit: Edit<'_> = Box::new(move |stanzas| {
                    for (one, taken) in new {
                        if !stanzas.contains(&one.stanza) {
                            stanzas.retain(|stanza| !stanza.is_version_of(&one.stanza));
                            stanzas.push(one.stanza.clone());
                            taken.set(Taken::New);
                        }
                    }
                });
                (name, edit)
            });
            index.edit(&self.archive.chunks, edits.collect())?;
        }
        Ok(taken.into_iter().map(Cell::into_inner).collect())
    }

    /// Moves what was copied into the pool.
    fn put_in_place(&self, incoming: Vec<Incoming>) -> ArchiveResult<()> {
        for file in incoming.into_iter().flat_map(|one| one.files).filter(|file| !file.is_there) {
            let place = self.archive.public().join(&file.place);
            let directory = files::parent(&place);
            fs::create_dir_all(directory).tried("making", directory)?;
            file.copy.persist(&place).map_err(|error| error.error).tried("writing", &place)?;
        }
        Ok(())
    }

    fn keep(&self, suite: &SuiteName, draft: &Draft) -> ArchiveResult<()> {
        files::write_json(&self.archive.draft_path(suite), draft)
    }

    /// Takes packages out of a suite's draft: all versions of a name, or one. Their files stay in the pool while a publication
    /// names them.
    pub fn remove(
        &mut self,
        suite: &SuiteName,
        packages: &[(PackageName, Option<String>)],
    ) -> ArchiveResult<()> {
        let draft = self.taken_out(suite, packages)?;
        files::sync_all(self.archive.root())?;
        self.keep(suite, &draft)
    }

    /// What that would change of what is drafted.
    pub fn would_remove(
        &self,
        suite: &SuiteName,
        packages: &[(PackageName, Option<String>)],
    ) -> ArchiveResult<Vec<Change>> {
        let draft = self.taken_out(suite, packages)?;
        publication::changes(&self.archive.chunks, &self.archive.drafted(suite)?.indexes, &draft.indexes)
    }

    fn taken_out(
        &self,
        suite: &SuiteName,
        packages: &[(PackageName, Option<String>)],
    ) -> ArchiveResult<Draft> {
        let mut draft = self.archive.drafted(suite)?;
        let mut found = vec![false; packages.len()];
        for index in draft.indexes.values_mut().flat_map(BTreeMap::values_mut) {
            for ((name, version), found) in packages.iter().zip(&mut found) {
                let edit: Edit<'_> = Box::new(|stanzas| {
                    let before = stanzas.len();
                    stanzas
                        .retain(|stanza| version.as_ref().is_some_and(|version| stanza.version() != version));
                    *found |= stanzas.len() < before;
                });
                index.edit(&self.archive.chunks, BTreeMap::from([(name.to_string(), edit)]))?;
            }
        }
        match packages.iter().zip(&found).find(|(_, found)| !**found) {
            None => Ok(draft),
            Some(((name, version), _)) => {
                let version = version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
                Err(ArchiveError::NotFound(format!("package {name}{version} in {suite}")))
            }
        }
    }

    /// Makes a suite's draft what another suite, or it itself, lists or once listed: all of it, or of these packages.
    pub fn promote(&mut self, from: &Which, to: &SuiteName, only: &[PackageName]) -> ArchiveResult<()> {
        let draft = self.taken_over(from, to, only)?;
        files::sync_all(self.archive.root())?;
        self.keep(to, &draft)
    }

    /// What publishing would change after that.
    pub fn would_promote(
        &self,
        from: &Which,
        to: &SuiteName,
        only: &[PackageName],
    ) -> ArchiveResult<Vec<Change>> {
        let draft = self.taken_over(from, to, only)?;
        publication::changes(&self.archive.chunks, &self.archive.published_indexes(to)?, &draft.indexes)
    }

    fn taken_over(&self, from: &Which, to: &SuiteName, only: &[PackageName]) -> ArchiveResult<Draft> {
        let source = self.archive.publication(from)?.indexes;
        let mut draft = self.archive.drafted(to)?;
        let lists = |indexes: &BTreeMap<_, Index>| indexes.values().any(|index| !index.chunks.is_empty());
        let beyond = source.iter().find(|(name, own)| !draft.indexes.contains_key(*name) && lists(own));
        if let (Some((component, _)), true) = (beyond, only.is_empty()) {
            return Err(ArchiveError::Refused(format!(
                "{from} has packages in {component}, and {to} has no such component: `honcho archive suite {to} \
                 --component …` says which it has, or name the packages that are to be taken over"
            )));
        }
        let mut found = vec![false; only.len()];
        let none = BTreeMap::new();
        for (component, indexes) in &mut draft.indexes {
            let source = source.get(component).unwrap_or(&none);
            if source.contains_key(&Architecture::source()) {
                indexes.entry(Architecture::source()).or_default();
            }
            for (architecture, index) in indexes {
                let theirs = match source.get(architecture) {
                    Some(theirs) => theirs.clone(),
                    None if architecture.is_source() => Index::default(),
                    None => self.archive.of_all(source)?,
                };
                if only.is_empty() {
                    *index = theirs;
                    continue;
                }
                let mut edits: BTreeMap<String, Edit<'_>> = BTreeMap::new();
                for (name, found) in only.iter().zip(&mut found) {
                    let stanzas = theirs.of_name(&self.archive.chunks, name.as_str())?;
                    *found |= !stanzas.is_empty();
                    edits.insert(name.to_string(), Box::new(|own| *own = stanzas));
                }
                index.edit(&self.archive.chunks, edits)?;
            }
        }
        match only.iter().zip(&found).find(|(_, found)| !**found) {
            Some((name, _)) => Err(ArchiveError::NotFound(format!("package {name} in {from}"))),
            None => Ok(draft),
        }
    }

    /// Forgets what was added, removed or taken over since a suite was last published.
    pub fn discard(&mut self, suite: &SuiteName) -> ArchiveResult<()> {
        self.archive.settings().suite(suite)?;
        files::remove(&self.archive.draft_path(suite))
    }
}

/// Packages whose files are to be told.
fn held(incoming: &[Incoming]) -> Vec<Held> {
    let packages = incoming.iter().filter(|one| one.architecture != For::None);
    let files = packages.filter_map(|one| one.files.first());
    files
        .map(|file| Held {
            bytes: file.copy.to_path_buf(),
            told: PathBuf::from(&file.place),
            digest: file.digest,
        })
        .collect()
}

/// All of a file that has to be short.
fn read_short(path: &Path, file: &mut File) -> ArchiveResult<Vec<u8>> {
    file.rewind().tried("reading", path)?;
    let mut bytes = Vec::new();
    file.take(source::LONGEST + 1).read_to_end(&mut bytes).tried("reading", path)?;
    if bytes.len() as u64 > source::LONGEST {
        let why = format!("it has more than {} bytes", source::LONGEST);
        return Err(ArchiveError::NoPackage { path: path.to_owned(), why });
    }
    Ok(bytes)
}

/// Refuses a file that is not the one that somebody has named.
fn is_as_named(path: &Path, digest: Digest, expected: Option<Digest>) -> ArchiveResult<()> {
    match expected {
        Some(expected) if expected != digest => Err(ArchiveError::Refused(format!(
            "{} has the digest {digest}, and what names it says {expected}: it is another file, or half of it",
            path.display()
        ))),
        _ => Ok(()),
    }
}

fn taken_by_another(place: &str) -> ArchiveError {
    ArchiveError::Refused(format!(
        "{place} is in the pool with other contents. Machines that have that version would never see these: build them as \
         a newer version"
    ))
}

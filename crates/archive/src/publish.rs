//! Publishing: a directory of indexes is written, signed and synced, and then one symbolic link is renamed.
//!
//! apt asks for an index by its digest (`by-hash`). A machine that has read the release before this one still finds what that
//! names, for all publications of a suite share one directory of these, where indexes stay for a while after they were
//! replaced. So nobody ever sees a release with another's indexes.

use crate::archive::{Archive, Changing};
use crate::digests::{Digest, Hashing};
use crate::error::Tried as _;
use crate::index::{Form, Index};
use crate::publication::{Change, Indexes, Publication, Which, changes};
use crate::release::{self, Named, Validity};
use crate::{Architecture, ArchiveError, ArchiveResult, Component, SuiteName, contents, files, signing};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// For so many seconds after it was replaced, what a publication names is found by its digest: longer than an `apt update` takes
/// over the slowest line, shorter than an archive of a hundred publications a day would notice.
const FOUND_FOR: i64 = 6 * 3600;

/// Where a suite's indexes are found by their digest, beside its publications.
pub(crate) const FOUND: &str = "by-hash";

/// A day has so many seconds.
const DAY: i64 = 86_400;

/// What publishing came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// A new publication is served.
    New {
        /// Which.
        number: u64,
        /// What it changed.
        changes: Vec<Change>,
    },
    /// There was nothing new, and what is served stays valid for more than half its time.
    Nothing,
}

impl Changing {
    /// Publishes a suite's draft. Where there is none, what is served is signed anew once half the time is over for which it is
    /// valid: so calling this daily keeps it valid.
    pub fn publish(&mut self, suite: &SuiteName, note: Option<String>, now: i64) -> ArchiveResult<Published> {
        let indexes = self.archive.drafted(suite)?.indexes;
        let published = self.publish_these(suite, indexes, note, now)?;
        files::remove(&self.archive.draft_path(suite))?;
        Ok(published)
    }

    /// Signs anew what is served, where half the time is over for which it is valid. What is drafted stays a draft.
    pub fn sign_anew(&mut self, suite: &SuiteName, now: i64) -> ArchiveResult<Published> {
        if self.archive.current(suite)?.is_none() {
            return Ok(Published::Nothing);
        }
        let indexes = self.archive.published_indexes(suite)?;
        self.publish_with(suite, indexes, None, Contents::AsTheyAre, now)
    }

    /// Publishes these indexes. All that they name may have been written a moment ago: it is synced before anybody sees it.
    pub(crate) fn publish_these(
        &self,
        suite: &SuiteName,
        indexes: Indexes,
        note: Option<String>,
        now: i64,
    ) -> ArchiveResult<Published> {
        self.publish_with(suite, indexes, note, Contents::AsSet, now)
    }

    fn publish_with(
        &self,
        suite: &SuiteName,
        indexes: Indexes,
        note: Option<String>,
        wanted: Contents,
        now: i64,
    ) -> ArchiveResult<Published> {
        let archive = &self.archive;
        let settings = archive.settings().suite(suite)?;
        let current = match archive.current(suite)? {
            Some(_) => Some(archive.publication(&Which { suite: suite.clone(), number: None })?),
            None => None,
        };
        let valid_for = i64::from(settings.valid_days) * DAY;
        if let Some(current) = &current
            && current.indexes == indexes
            && (wanted == Contents::AsTheyAre || has_contents_as(current, settings.contents))
            && !is_due(current, valid_for, now)
        {
            return Ok(Published::Nothing);
        }
        let (number, before, found, pieces) = match current {
            Some(current) => (current.number + 1, current.indexes, current.found, current.contents),
            None => (1, Indexes::new(), BTreeMap::new(), BTreeMap::new()),
        };
        let contents = match wanted {
            Contents::AsTheyAre => pieces,
            Contents::AsSet if settings.contents => self.pieces(&indexes, &pieces)?,
            Contents::AsSet => BTreeMap::new(),
        };
        let changes = changes(&archive.chunks, &before, &indexes)?;
        let valid_until = now + valid_for;
        let publication = Publication { number, made_at: now, valid_until, note, indexes, found, contents };
        let forgotten = self.lay_out(suite, publication)?;
        self.serve(suite, number)?;
        for place in forgotten {
            files::remove(&archive.found(suite).join(place))?;
        }
        Ok(Published::New { number, changes })
    }

    /// Writes all that is served of a publication, and its record, where nobody looks yet. It comes with what was found by its
    /// digest before; what is to be found so no longer is given back.
    fn lay_out(&self, suite: &SuiteName, mut publication: Publication) -> ArchiveResult<Vec<String>> {
        let archive = &self.archive;
        let settings = archive.settings();
        let keys = self.keys()?;
        let directory = archive.served(suite, publication.number);
        // Whoever was killed while making this one has left some of it.
        files::remove(&directory)?;
        let named = archive.write_indexes(suite, &publication, &directory)?;
        let forgotten = publication.find(&named);
        let validity = Validity { from: publication.made_at, until: publication.valid_until };
        let text = release::text(settings, suite, settings.suite(suite)?, validity, &named)?;
        let inline = signing::sign_inline(&keys, &text, publication.made_at)?;
        let apart = signing::sign_apart(&keys, &text, publication.made_at)?;
        // Times in HTTP have seconds, and apt asks by them whether it has the release that is there: no two have the same.
        let before = seconds_of(&archive.public().join("dists").join(suite.as_str()).join("InRelease"))?;
        let dated = before.map_or(publication.made_at, |before| publication.made_at.max(before + 1));
        for (name, bytes) in [("Release", text.as_bytes()), ("Release.gpg", &apart), ("InRelease", &inline)] {
            let path = directory.join(name);
            write(&path, bytes)?;
            date(&path, dated)?;
        }
        let mut keyring = Vec::new();
        for key in &keys {
            keyring.extend(key.public()?);
        }
        let path = archive.public().join(crate::keyring::FILE);
        if files::read(&path)?.is_none_or(|there| there != keyring) {
            files::write(&path, &keyring)?;
        }
        // Nobody reads it before it is served, which is after the sync.
        files::lay_json(&archive.record(suite, publication.number), &publication)?;
        files::sync_all(archive.root())?;
        Ok(forgotten)
    }

    /// The one step by which it is published.
    fn serve(&self, suite: &SuiteName, number: u64) -> ArchiveResult<()> {
        let dists = self.archive.public().join("dists");
        fs::create_dir_all(&dists).tried("making", &dists)?;
        let (link, new) = (dists.join(suite.as_str()), dists.join(format!(".{suite}.new")));
        files::remove(&new)?;
        let target = Path::new("../.publications").join(suite.as_str()).join(number.to_string());
        symlink(&target, &new).tried("linking", &new)?;
        fs::rename(&new, &link).tried("renaming", &link)?;
        files::sync_directory(&dists)
    }
}

/// When a file was changed, in seconds since 1970; `None` if there is no such file.
fn seconds_of(path: &Path) -> ArchiveResult<Option<i64>> {
    match fs::metadata(path) {
        Ok(about) => Ok(Some(about.mtime())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).tried("looking at", path),
    }
}

/// Says that a file was changed at these seconds since 1970.
fn date(path: &Path, seconds: i64) -> ArchiveResult<()> {
    let at = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let dated = File::options().write(true).open(path).and_then(|file| file.set_modified(at));
    dated.tried("dating", path)
}

/// Which Contents a publication has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contents {
    /// Those that the suite's settings want.
    AsSet,
    /// Those of the publication before: what cannot be read keeps nobody from signing.
    AsTheyAre,
}

/// Whether so little is left of its time that it is signed anew.
fn is_due(current: &Publication, valid_for: i64, now: i64) -> bool {
    current.valid_until - now <= valid_for / 2
}

impl Archive {
    /// Whether [`Changing::sign_anew`] would.
    pub fn is_to_be_signed_anew(&self, suite: &SuiteName, now: i64) -> ArchiveResult<bool> {
        let valid_for = i64::from(self.settings().suite(suite)?.valid_days) * DAY;
        if self.current(suite)?.is_none() {
            return Ok(false);
        }
        let current = self.publication(&Which { suite: suite.clone(), number: None })?;
        Ok(is_due(&current, valid_for, now))
    }

    fn write_indexes(
        &self,
        suite: &SuiteName,
        publication: &Publication,
        directory: &Path,
    ) -> ArchiveResult<Vec<Named>> {
        let mut named = Vec::new();
        let contents = self.settings().suite(suite)?.contents;
        for (component, indexes) in &publication.indexes {
            for (architecture, index) in indexes {
                let of = IndexOf { suite, component, architecture };
                named.extend(self.write_index(&of, index, directory)?);
                let are_there =
                    index.chunks.iter().all(|chunk| publication.contents.contains_key(&chunk.digest));
                if contents && are_there && !architecture.is_source() {
                    let pieces = index.chunks.iter().map(|chunk| publication.piece(chunk.digest));
                    let pieces = pieces.collect::<ArchiveResult<Vec<_>>>()?;
                    named.extend(self.write_contents(&of, &pieces, directory)?);
                }
            }
        }
        Ok(named)
    }

    /// Which files are in which packages of an architecture.
    fn write_contents(
        &self,
        of: &IndexOf<'_>,
        pieces: &[Digest],
        directory: &Path,
    ) -> ArchiveResult<Vec<Named>> {
        let place = self.place(of.suite, of.component.as_str(), directory)?;
        self.write_forms(&place, &contents::name(of.architecture), pieces)
    }

    /// An index in each form, found by its name and by its digest.
    fn write_index(&self, of: &IndexOf<'_>, index: &Index, directory: &Path) -> ArchiveResult<Vec<Named>> {
        let place = self.place(of.suite, &of.directory(), directory)?;
        let list = if of.architecture.is_source() { "Sources" } else { "Packages" };
        let chunks: Vec<Digest> = index.chunks.iter().map(|chunk| chunk.digest).collect();
        let mut named = self.write_forms(&place, list, &chunks)?;
        let text = release::of_index(self.settings(), of.suite, of.component, of.architecture);
        let (path, digest) = (place.own.join("Release"), Digest::of(text.as_bytes()));
        write(&path, text.as_bytes())?;
        named.push(place.named("Release", digest, text.len() as u64));
        second_name(&path, &place.by_hash, digest)?;
        Ok(named)
    }

    /// Makes a directory of a publication, in which what is named by its digest is found, too.
    fn place(&self, suite: &SuiteName, below: &str, directory: &Path) -> ArchiveResult<Place> {
        let own = directory.join(below);
        fs::create_dir_all(&own).tried("making", &own)?;
        // One directory of a suite for all its publications: from `12/main/binary-amd64`, three up.
        let by_hash = self.found(suite).join(below).join("SHA256");
        fs::create_dir_all(&by_hash).tried("making", &by_hash)?;
        let up = "../".repeat(Path::new(below).components().count() + 1);
        let link = own.join("by-hash");
        match symlink(Path::new(&format!("{up}{FOUND}/{below}")), &link) {
            // Another architecture's Contents are there.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            linked => linked.tried("linking", &link)?,
        }
        Ok(Place { below: below.to_owned(), own, by_hash })
    }

    /// What is made of these chunks, in each form.
    fn write_forms(&self, place: &Place, list: &str, chunks: &[Digest]) -> ArchiveResult<Vec<Named>> {
        let mut named = Vec::new();
        for form in Form::ALL {
            let name = format!("{list}{}", form.ending());
            if form == Form::Plain {
                let (digest, length) = self.write_chunks(chunks, form, std::io::sink(), &place.own)?;
                named.push(place.named(&name, digest, length));
                continue;
            }
            let path = place.own.join(&name);
            let file = File::create(&path).tried("writing", &path)?;
            let (digest, length) = self.write_chunks(chunks, form, file, &path)?;
            named.push(place.named(&name, digest, length));
            second_name(&path, &place.by_hash, digest)?;
        }
        Ok(named)
    }

    fn write_chunks(
        &self,
        chunks: &[Digest],
        form: Form,
        into: impl std::io::Write,
        path: &Path,
    ) -> ArchiveResult<(Digest, u64)> {
        let mut out = Hashing::new(std::io::BufWriter::with_capacity(1 << 16, into));
        for chunk in chunks {
            out.write_all(&self.chunks.bytes(*chunk, form)?).tried("writing", path)?;
        }
        if chunks.is_empty() {
            out.write_all(&form.of(b"").tried("compressing", path)?).tried("writing", path)?;
        }
        out.flush().tried("writing", path)?;
        let (_, digest, length) = out.finish();
        Ok((digest, length))
    }
}

/// A directory of a publication.
struct Place {
    /// Where it is, below the suite's.
    below: String,
    own: PathBuf,
    by_hash: PathBuf,
}

impl Place {
    fn named(&self, name: &str, digest: Digest, length: u64) -> Named {
        Named { path: format!("{}/{name}", self.below), digest, length }
    }
}

/// Whether it tells which files are in which packages if, and only if, that is wanted. One without packages tells all that it could.
fn has_contents_as(publication: &Publication, wanted: bool) -> bool {
    let lists = |(architecture, index): (&Architecture, &Index)| {
        !architecture.is_source() && !index.chunks.is_empty()
    };
    publication.contents.is_empty() != wanted || !publication.indexes.values().flatten().any(lists)
}

impl Publication {
    /// The piece of Contents of one of its chunks.
    fn piece(&self, chunk: Digest) -> ArchiveResult<Digest> {
        self.contents.get(&chunk).copied().ok_or_else(|| {
            let why = format!("publication {} has no contents of chunk {chunk}", self.number);
            ArchiveError::Damaged { path: PathBuf::from("publications"), why }
        })
    }

    /// What is found by its digest from now on: what this one names, and what earlier ones named and a machine may still ask for.
    /// What is not any more is given back.
    fn find(&mut self, named: &[Named]) -> Vec<String> {
        let now = self.made_at;
        let mut forgotten = Vec::new();
        let mut found = BTreeMap::new();
        for (place, until) in std::mem::take(&mut self.found) {
            match until.unwrap_or(now + FOUND_FOR) {
                until if until > now => drop(found.insert(place, Some(until))),
                _ => forgotten.push(place),
            }
        }
        for file in named {
            let directory = file.path.rsplit_once('/').map_or("", |(directory, _)| directory);
            found.insert(format!("{directory}/SHA256/{}", file.digest), None);
        }
        forgotten.retain(|place| !found.contains_key(place));
        self.found = found;
        forgotten
    }
}

/// Whose index it is.
struct IndexOf<'i> {
    suite: &'i SuiteName,
    component: &'i Component,
    architecture: &'i Architecture,
}

impl IndexOf<'_> {
    fn directory(&self) -> String {
        if self.architecture.is_source() {
            return format!("{}/source", self.component);
        }
        format!("{}/binary-{}", self.component, self.architecture)
    }
}

/// A second name for a file among those that are found by their digest. One that is there already may be what is left of somebody
/// who was killed together with the machine: this one takes its place.
fn second_name(file: &Path, by_hash: &Path, digest: Digest) -> ArchiveResult<()> {
    let name = by_hash.join(digest.to_string());
    match fs::hard_link(file, &name) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let new = by_hash.join(".new");
            files::remove(&new)?;
            fs::hard_link(file, &new).tried("linking", &new)?;
            fs::rename(&new, &name).tried("renaming", &name)
        }
        linked => linked.tried("linking", &name),
    }
}

/// Writes a file that is synced later, with all others.
fn write(path: &Path, bytes: &[u8]) -> ArchiveResult<()> {
    fs::write(path, bytes).tried("writing", path)
}

//! Publishing: a directory of indexes is written, signed and synced, and then one symbolic link is renamed.
//!
//! apt asks for an index by its digest (`by-hash`). A machine that has read the release before this one still finds what that
//! names, for the indexes of earlier publications are linked into the new directory for a while. So nobody ever sees a
//! release with another's indexes.

use crate::archive::{Archive, Changing};
use crate::digests::{Digest, Hashing};
use crate::error::Tried as _;
use crate::index::{Form, Index};
use crate::publication::{Change, Indexes, Publication, Which, changes};
use crate::release::{self, Named, Validity};
use crate::{Architecture, ArchiveResult, Component, SuiteName, files, signing};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// For so many seconds after it was replaced, what a publication names is found by its digest: longer than an `apt update` takes
/// over the slowest line, shorter than an archive of a hundred publications a day would notice.
const FOUND_FOR: i64 = 6 * 3600;

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
        let archive = &self.archive;
        let settings = archive.settings().suite(suite)?;
        let current = match archive.current(suite)? {
            Some(_) => Some(archive.publication(&Which { suite: suite.clone(), number: None })?),
            None => None,
        };
        let before = current.as_ref().map(|current| current.indexes.clone()).unwrap_or_default();
        let indexes = archive.drafted(suite)?.indexes;
        let valid_for = i64::from(settings.valid_days) * DAY;
        if let Some(current) = &current
            && before == indexes
            && current.valid_until - now > valid_for / 2
        {
            files::remove(&archive.draft_path(suite))?;
            return Ok(Published::Nothing);
        }
        let number = current.map_or(0, |current| current.number) + 1;
        let changes = changes(&archive.chunks, &before, &indexes)?;
        let publication = Publication { number, made_at: now, valid_until: now + valid_for, note, indexes };
        self.lay_out(suite, &publication)?;
        self.serve(suite, number)?;
        files::remove(&self.archive.draft_path(suite))?;
        Ok(Published::New { number, changes })
    }

    /// Writes all that is served of a publication, and its record, where nobody looks yet.
    fn lay_out(&self, suite: &SuiteName, publication: &Publication) -> ArchiveResult<()> {
        let archive = &self.archive;
        let settings = archive.settings();
        let keys = self.keys()?;
        let directory = archive.served(suite, publication.number);
        // Whoever was killed while making this one has left some of it.
        files::remove(&directory)?;
        let named = archive.write_indexes(suite, &publication.indexes, &directory)?;
        archive.link_earlier(suite, publication)?;
        let validity = Validity { from: publication.made_at, until: publication.valid_until };
        let text = release::text(settings, suite, settings.suite(suite)?, validity, &named)?;
        let inline = signing::sign_inline(&keys, &text, publication.made_at)?;
        let apart = signing::sign_apart(&keys, &text, publication.made_at)?;
        for (name, bytes) in [("Release", text.as_bytes()), ("Release.gpg", &apart), ("InRelease", &inline)] {
            write(&directory.join(name), bytes)?;
        }
        let mut keyring = Vec::new();
        for key in &keys {
            keyring.extend(key.public()?);
        }
        files::write(&archive.public().join(crate::keyring::FILE), &keyring)?;
        files::sync_all(archive.root())?;
        files::write_json(&archive.record(suite, publication.number), publication)
    }

    /// The one step by which it is published.
    fn serve(&self, suite: &SuiteName, number: u64) -> ArchiveResult<()> {
        let dists = self.archive.public().join("dists");
        fs::create_dir_all(&dists).tried("making", &dists)?;
        let (link, new) = (dists.join(suite.as_str()), dists.join(format!(".{suite}.new")));
        files::remove(&new)?;
        let target = Path::new("../.publications").join(suite.as_str()).join(number.to_string());
        std::os::unix::fs::symlink(target, &new).tried("linking", &new)?;
        fs::rename(&new, &link).tried("renaming", &link)?;
        files::sync_directory(&dists)
    }
}

impl Archive {
    fn write_indexes(
        &self,
        suite: &SuiteName,
        indexes: &Indexes,
        directory: &Path,
    ) -> ArchiveResult<Vec<Named>> {
        let mut named = Vec::new();
        for (component, indexes) in indexes {
            for (architecture, index) in indexes {
                let of = IndexOf { suite, component, architecture };
                named.extend(self.write_index(&of, index, directory)?);
            }
        }
        Ok(named)
    }

    /// An index in each form, found by its name and by its digest.
    fn write_index(&self, of: &IndexOf<'_>, index: &Index, directory: &Path) -> ArchiveResult<Vec<Named>> {
        let below = of.directory();
        let own = directory.join(&below);
        let by_hash = own.join("by-hash/SHA256");
        fs::create_dir_all(&by_hash).tried("making", &by_hash)?;
        let mut named = Vec::new();
        let mut tell = |name: &str, digest, length| {
            named.push(Named { path: format!("{below}/{name}"), digest, length });
        };
        for form in Form::ALL {
            let list = if of.architecture.is_source() { "Sources" } else { "Packages" };
            let name = format!("{list}{}", form.ending());
            if form == Form::Plain {
                let (digest, length) = self.write_chunks(index, form, std::io::sink(), &own)?;
                tell(&name, digest, length);
                continue;
            }
            let path = own.join(&name);
            let file = File::create(&path).tried("writing", &path)?;
            let (digest, length) = self.write_chunks(index, form, file, &path)?;
            tell(&name, digest, length);
            link(&path, &by_hash.join(digest.to_string()))?;
        }
        let text = release::of_index(self.settings(), of.suite, of.component, of.architecture);
        let (path, digest) = (own.join("Release"), Digest::of(text.as_bytes()));
        write(&path, text.as_bytes())?;
        tell("Release", digest, text.len() as u64);
        link(&path, &by_hash.join(digest.to_string()))?;
        Ok(named)
    }

    fn write_chunks(
        &self,
        index: &Index,
        form: Form,
        into: impl std::io::Write,
        path: &Path,
    ) -> ArchiveResult<(Digest, u64)> {
        let mut out = Hashing::new(std::io::BufWriter::with_capacity(1 << 16, into));
        for chunk in &index.chunks {
            out.write_all(&self.chunks.bytes(chunk.digest, form)?).tried("writing", path)?;
        }
        if index.chunks.is_empty() {
            out.write_all(&form.of(b"").tried("compressing", path)?).tried("writing", path)?;
        }
        out.flush().tried("writing", path)?;
        let (_, digest, length) = out.finish();
        Ok((digest, length))
    }

    /// Makes the indexes of earlier publications found by their digest, while a machine may still ask for them: those of the one
    /// before, and all that were replaced not long ago.
    fn link_earlier(&self, suite: &SuiteName, publication: &Publication) -> ArchiveResult<()> {
        let mut replaced_at = publication.made_at;
        let numbers = self.numbers(suite)?;
        for number in numbers.into_iter().rev().filter(|number| *number < publication.number) {
            let newest = number + 1 == publication.number;
            if !newest && publication.made_at - replaced_at > FOUND_FOR {
                break;
            }
            let earlier = self.publication(&Which { suite: suite.clone(), number: Some(number) })?;
            for (component, indexes) in &earlier.indexes {
                for architecture in indexes.keys() {
                    let below = IndexOf { suite, component, architecture }.directory();
                    let from = self.served(suite, earlier.number).join(&below);
                    let to = self.served(suite, publication.number).join(&below);
                    link_own(&from, &to)?;
                }
            }
            replaced_at = earlier.made_at;
        }
        Ok(())
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

/// Links what a publication's own index files are found by into another's directory; not what it has from earlier ones.
fn link_own(from: &Path, to: &Path) -> ArchiveResult<()> {
    let mut own = HashSet::new();
    let files = match fs::read_dir(from) {
        // Some of it was pruned.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        files => files.tried("listing", from)?,
    };
    for file in files {
        let file = file.tried("listing", from)?;
        own.insert(file.metadata().tried("listing", from)?.ino());
    }
    let (from, to) = (from.join("by-hash/SHA256"), to.join("by-hash/SHA256"));
    fs::create_dir_all(&to).tried("making", &to)?;
    for file in fs::read_dir(&from).tried("listing", &from)? {
        let file = file.tried("listing", &from)?;
        if own.contains(&file.metadata().tried("listing", &from)?.ino()) {
            link(&file.path(), &to.join(file.file_name()))?;
        }
    }
    Ok(())
}

/// A second name for a file; that the name is taken is as good, for it is a digest.
fn link(from: &Path, to: &Path) -> ArchiveResult<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error).tried("linking", to),
        _ => Ok(()),
    }
}

/// Writes a file that is synced later, with all others.
fn write(path: &Path, bytes: &[u8]) -> ArchiveResult<()> {
    fs::write(path, bytes).tried("writing", path)
}

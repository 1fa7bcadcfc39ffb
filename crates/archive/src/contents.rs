//! `Contents`: which files are in which packages, as `apt-file` searches them.
//!
//! What a package holds is read once, out of its `data.tar`, and kept by the package's digest. Of each chunk of an index one piece of
//! Contents is made and kept as a chunk, so that one more package costs one list and one piece. What is served is the pieces, one after the
//! other: sorted within a piece, and a file that packages of different pieces bring along has a line in each.
//!
//! ```text
//! files/ab/abcd….zst    the names in a package of this digest, by line; zstd's own checksum tells whether all of it is there
//! ```

use crate::archive::{Archive, Changing};
use crate::digests::Digest;
use crate::error::Tried as _;
use crate::index::{Chunk, Stanza};
use crate::publication::Indexes;
use crate::{ArchiveError, ArchiveResult, deb, files};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufReader, Write as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

/// The pieces of Contents, by the chunk that each is of.
pub(crate) type Pieces = BTreeMap<Digest, Digest>;

/// Where a package's bytes lie, and as what it is told of.
pub(crate) struct Held {
    pub(crate) bytes: PathBuf,
    pub(crate) told: PathBuf,
    pub(crate) digest: Digest,
}

/// Does something to each of these on every processor; gives what came of it, in no order.
fn on_all<T: Sync, R: Send>(
    all: &[T],
    each: impl Fn(&T) -> ArchiveResult<R> + Sync,
) -> ArchiveResult<Vec<R>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    if all.len() < 2 || threads < 2 {
        return all.iter().map(each).collect();
    }
    let each = &each;
    thread::scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|first| scope.spawn(move || all.iter().skip(first).step_by(threads).map(each).collect()))
            .collect();
        let mut done = Vec::with_capacity(all.len());
        for part in parts {
            let part: ArchiveResult<Vec<R>> =
                part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done.extend(part?);
        }
        Ok(done)
    })
}

impl Archive {
    fn list_path(&self, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        self.lists().join(&name[..2]).join(format!("{name}.zst"))
    }

    /// Where lists are kept.
    pub(crate) fn lists(&self) -> PathBuf {
        self.root().join("files")
    }

    /// Reads what these packages hold, and keeps it. It is not synced: whoever publishes does that.
    pub(crate) fn read_files(&self, packages: &[Held]) -> ArchiveResult<()> {
        on_all(packages, |package| self.files_of(package).map(drop)).map(drop)
    }

    /// The names of the files in a package.
    fn files_of(&self, package: &Held) -> ArchiveResult<String> {
        let path = self.list_path(package.digest);
        // What a machine that died has left of a list is none.
        if let Some(list) = files::read(&path)?.and_then(|bytes| zstd::decode_all(bytes.as_slice()).ok())
            && let Ok(list) = String::from_utf8(list)
        {
            return Ok(list);
        }
        let file = File::open(&package.bytes).tried("opening", &package.told)?;
        let size = file.metadata().tried("looking at", &package.told)?.len();
        let list = deb::files(BufReader::new(file), size)
            .map_err(|why| ArchiveError::NoPackage { path: package.told.clone(), why })?;
        let directory = files::parent(&path);
        fs::create_dir_all(directory).tried("making", directory)?;
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).tried("compressing", &path)?;
        encoder.include_checksum(true).tried("compressing", &path)?;
        encoder.write_all(list.as_bytes()).tried("compressing", &path)?;
        let bytes = encoder.finish().tried("compressing", &path)?;
        let mut new = tempfile::NamedTempFile::new_in(directory).tried("writing in", directory)?;
        new.write_all(&bytes).tried("writing", &path)?;
        new.persist(&path).map_err(|error| error.error).tried("writing", &path)?;
        Ok(list)
    }

    /// The piece of a chunk.
    fn piece(&self, chunk: &Chunk) -> ArchiveResult<Digest> {
        let mut lines: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for stanza in self.chunks.stanzas(chunk.digest)? {
            let package = self.held(&stanza)?;
            let name = match stanza.field("Section") {
                "" => stanza.name().to_owned(),
                section => format!("{section}/{}", stanza.name()),
            };
            for file in self.files_of(&package)?.lines() {
                lines.entry(file.to_owned()).or_default().insert(name.clone());
            }
        }
        let mut text = String::new();
        for (file, packages) in lines {
            let packages: Vec<String> = packages.into_iter().collect();
            // Readers take what follows the last white space.
            text.extend([&file, "\t", &packages.join(","), "\n"]);
        }
        self.chunks.put(&text)
    }

    fn held(&self, stanza: &Stanza) -> ArchiveResult<Held> {
        let told = PathBuf::from(stanza.field("Filename"));
        let digest = Digest::try_from(stanza.field("SHA256").to_owned());
        let digest = digest.map_err(|_| ArchiveError::Damaged {
            path: told.clone(),
            why: "its index names no digest of it".to_owned(),
        })?;
        Ok(Held { bytes: self.public().join(&told), told, digest })
    }
}

impl Changing {
    /// The pieces of all that these indexes list. Those that are known are not made again.
    pub(crate) fn pieces(&self, indexes: &Indexes, known: &Pieces) -> ArchiveResult<Pieces> {
        let of_packages = indexes.values().flatten().filter(|(architecture, _)| !architecture.is_source());
        let mut pieces = Pieces::new();
        let mut missing: BTreeMap<Digest, &Chunk> = BTreeMap::new();
        for chunk in of_packages.flat_map(|(_, index)| &index.chunks) {
            match known.get(&chunk.digest) {
                Some(piece) => drop(pieces.insert(chunk.digest, *piece)),
                None => drop(missing.insert(chunk.digest, chunk)),
            }
        }
        let missing: Vec<&Chunk> = missing.into_values().collect();
        let made = |chunk: &&Chunk| Ok((chunk.digest, self.archive.piece(chunk)?));
        pieces.extend(on_all(&missing, made)?);
        Ok(pieces)
    }

    /// Removes all lists but those of these packages.
    pub(crate) fn keep_files(&self, of: &BTreeSet<Digest>) -> ArchiveResult<()> {
        for path in files::below(&self.archive.lists())? {
            let digest = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
            if digest.and_then(|digest| Digest::try_from(digest).ok()).is_none_or(|one| !of.contains(&one)) {
                files::remove(&path)?;
            }
        }
        Ok(())
    }
}

/// The name under which Contents of an architecture are served, in a component's directory.
pub(crate) fn name(architecture: &crate::Architecture) -> String {
    format!("Contents-{architecture}")
}

/// What a name in a package's `data.tar` is in Contents; nothing, where no line can hold it.
pub(crate) fn as_line(name: &[u8]) -> Option<String> {
    let name = name.strip_prefix(b"./").unwrap_or(name);
    let name = String::from_utf8_lossy(name.strip_prefix(b"/").unwrap_or(name)).into_owned();
    let fits = !name.is_empty() && !name.chars().any(char::is_control) && Path::new(&name).is_relative();
    fits.then_some(name)
}

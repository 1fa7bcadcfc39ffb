//! Chunks in files, named by their digest; beside each its compressed twins, which are made once.

use crate::digests::Digest;
use crate::error::Tried as _;
use crate::index::Stanza;
use crate::{ArchiveError, ArchiveResult, files};
use std::collections::HashSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;

/// In which form an index is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is. It is not served, but its digest is told: apt compares it with what it has decompressed.
    Plain,
    /// By gzip, which everybody reads.
    Gzip,
    /// By zstd, which apt reads since 2.1.
    Zstd,
}

impl Form {
    /// Every form.
    pub(crate) const ALL: [Form; 3] = [Form::Plain, Form::Gzip, Form::Zstd];

    /// What a file in this form ends with.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Form::Plain => "",
            Form::Gzip => ".gz",
            Form::Zstd => ".zst",
        }
    }

    /// Compressed, a text can stand behind another: readers of either form read one after the other.
    pub(crate) fn of(self, text: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Form::Plain => Ok(text.to_vec()),
            Form::Gzip => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                gzip.write_all(text)?;
                gzip.finish()
            }
            // All at once: whoever knows the length needs no tables for an endless text.
            Form::Zstd => zstd::bulk::compress(text, 9),
        }
    }

    fn text_of(self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Form::Plain => Ok(bytes.to_vec()),
            Form::Gzip => {
                let mut text = Vec::new();
                flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut text)?;
                Ok(text)
            }
            Form::Zstd => zstd::decode_all(bytes),
        }
    }
}

/// Where chunks are kept.
#[derive(Debug)]
pub(crate) struct Chunks {
    directory: PathBuf,
}

impl Chunks {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Chunks { directory }
    }

    fn path(&self, digest: Digest, form: Form) -> PathBuf {
        let name = digest.to_string();
        self.directory.join(&name[..2]).join(format!("{name}.txt{}", form.ending()))
    }

    /// Keeps a chunk in all forms. It is not synced: whoever names it does that first, once for all.
    pub(crate) fn put(&self, text: &str) -> ArchiveResult<Digest> {
        let digest = Digest::of(text.as_bytes());
        if self.holds(digest, text) {
            return Ok(digest);
        }
        let plain = self.path(digest, Form::Plain);
        let directory = files::parent(&plain);
        fs::create_dir_all(directory).tried("making", directory)?;
        let write = |form: Form| {
            let path = self.path(digest, form);
            let bytes = form.of(text.as_bytes()).tried("compressing", &path)?;
            let mut file = tempfile::NamedTempFile::new_in(directory).tried("writing in", directory)?;
            file.write_all(&bytes).tried("writing", &path)?;
            file.persist(&path).map_err(|error| error.error).tried("writing", &path)?;
            Ok(())
        };
        // Side by side, for compressing is most of what adding a package costs.
        thread::scope(|scope| {
            let gzip = scope.spawn(|| write(Form::Gzip));
            write(Form::Zstd)?;
            gzip.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        // The plain one last: where it is, the others are.
        write(Form::Plain)?;
        Ok(digest)
    }

    /// Whether it is there in all forms, whole: what was written a moment before the machine died is there by name alone.
    fn holds(&self, digest: Digest, text: &str) -> bool {
        let is_whole = |form: Form| {
            let bytes = fs::read(self.path(digest, form)).ok();
            bytes.and_then(|bytes| form.text_of(&bytes).ok()).is_some_and(|there| there == text.as_bytes())
        };
        [Form::Plain, Form::Gzip, Form::Zstd].into_iter().all(is_whole)
    }

    /// A chunk's bytes in this form. The plain one's digest is looked at: a disk forgets.
    pub(crate) fn bytes(&self, digest: Digest, form: Form) -> ArchiveResult<Vec<u8>> {
        let path = self.path(digest, form);
        let damaged = |why: &str| ArchiveError::Damaged { path: path.clone(), why: why.to_owned() };
        let bytes = files::read(&path)?.ok_or_else(|| damaged("it is missing"))?;
        if form == Form::Plain && Digest::of(&bytes) != digest {
            return Err(damaged("it is not what its name says"));
        }
        Ok(bytes)
    }

    /// A chunk's stanzas.
    pub(crate) fn stanzas(&self, digest: Digest) -> ArchiveResult<Vec<Stanza>> {
        let bytes = self.bytes(digest, Form::Plain)?;
        let text = String::from_utf8(bytes).map_err(|_| ArchiveError::Damaged {
            path: self.path(digest, Form::Plain),
            why: "it is not UTF-8".to_owned(),
        })?;
        let stanzas = text.split("\n\n").filter(|stanza| !stanza.is_empty());
        Ok(stanzas.map(|stanza| Stanza::new(&format!("{}\n", stanza.trim_end_matches('\n')))).collect())
    }

    /// Removes all chunks but these; says how many.
    pub(crate) fn keep(&self, these: &HashSet<Digest>) -> ArchiveResult<usize> {
        let mut removed = 0;
        for directory in listed(&self.directory)? {
            for path in listed(&directory)? {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let digest = name.split('.').next().and_then(|stem| Digest::try_from(stem.to_owned()).ok());
                if digest.is_none_or(|digest| !these.contains(&digest)) {
                    files::remove(&path)?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}

fn listed(directory: &Path) -> ArchiveResult<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .tried("listing", directory),
    }
}

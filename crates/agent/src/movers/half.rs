//! A volume of which not all has arrived: a file under a temporary name, and beside it a note of how much of it is durable.
//!
//! The note names the move by the hash of its ticket, so that what another move left is never taken for the beginning of
//! this one. Whatever lies behind the noted offset counts as not received.

use super::blocks::{Block, Blocks, Next, allocated};
use crate::durable;
use honcho_model::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The note of a half-arrived volume: its name with this behind it.
pub(crate) const NOTE: &str = "note";

/// Where the note of a half-arrived volume stands.
pub(crate) fn note_of(half: &Path) -> PathBuf {
    let mut name = half.as_os_str().to_owned();
    name.push(".");
    name.push(NOTE);
    PathBuf::from(name)
}

#[derive(Serialize, Deserialize)]
struct Note {
    of: Digest,
    durable: u64,
}

/// A volume of which not all has arrived.
pub(super) struct Half {
    path: PathBuf,
    file: File,
    of: Digest,
    durable: u64,
}

impl Half {
    /// Takes up what there is of this move, or begins.
    pub(super) fn open(path: &Path, of: Digest) -> Result<Self> {
        let note: Option<Note> =
            durable::read(&note_of(path))?.and_then(|contents| serde_json::from_slice(&contents).ok());
        let known = note.filter(|note| note.of == of && path.exists());
        let mut options = File::options();
        let file =
            options.read(true).write(true).create(true).truncate(known.is_none()).mode(0o600).open(path)?;
        let half = Half { path: path.to_owned(), file, of, durable: known.map_or(0, |note| note.durable) };
        if half.durable == 0 {
            half.note(0)?;
        }
        Ok(half)
    }

    /// Up to where it is durable.
    pub(super) fn durable(&self) -> u64 {
        self.durable
    }

    /// How many bytes of it are on the disk: holes take none.
    pub(super) fn held(&self) -> Result<u64> {
        allocated(&self.file)
    }

    /// Takes the size that the whole has. One that began with another size begins anew.
    pub(super) fn take_size(&mut self, size: u64) -> Result<()> {
        let length = self.file.metadata()?.len();
        if self.durable > 0 && length != size {
            return Err(Error::new(
                ErrorKind::InvalidData,
                "it has another size than when it began to arrive",
            ));
        }
        self.file.set_len(size)
    }

    /// Writes a block, if it is what its SHA-256 says.
    pub(super) fn put(&self, block: &Block) -> Result<()> {
        let found: [u8; 32] = Sha256::digest(&block.bytes).into();
        if found != block.sha256 {
            return Err(Error::new(ErrorKind::InvalidData, "a block came damaged"));
        }
        if block.offset + block.bytes.len() as u64 > self.file.metadata()?.len() {
            return Err(Error::new(ErrorKind::InvalidData, "a block came that lies behind the end"));
        }
        self.file.write_all_at(&block.bytes, block.offset)
    }

    /// Makes durable what came, and notes that all before `position` has.
    pub(super) fn keep(&mut self, position: u64) -> Result<()> {
        self.file.sync_data()?;
        self.note(position)?;
        self.durable = position;
        crate::failpoints::failpoint("arriving-noted");
        Ok(())
    }

    fn note(&self, durable: u64) -> Result<()> {
        let note = serde_json::to_vec(&Note { of: self.of, durable })?;
        durable::replace(&note_of(&self.path), &note)
    }

    /// Reads all of it back from the disk and makes it durable, if it is what the digest says; else it is begun anew.
    pub(super) fn complete(self, digest: Digest, progress: impl Fn(u64, u64)) -> Result<()> {
        self.file.sync_all()?;
        // Else it would be what memory still holds that is compared.
        rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed)?;
        let mut blocks = Blocks::new(self.file.try_clone()?)?;
        let size = blocks.size();
        while !matches!(blocks.next()?, Next::End) {
            progress(blocks.position(), size);
        }
        if blocks.digest() == digest {
            return Ok(());
        }
        self.discard()?;
        Err(Error::new(
            ErrorKind::InvalidData,
            "what has arrived is not what the other host has, so it is fetched anew: is one of the two disks failing?",
        ))
    }

    /// Forgets all that came.
    pub(super) fn discard(self) -> Result<()> {
        self.note(0)?;
        self.file.set_len(0)
    }
}

//! A raw volume as blocks: those that hold anything, and a digest of the whole.
//!
//! The digest is SHA-256 over the size, then over index and SHA-256 of each block that is not all zeros. Holes and
//! written zeros are the same to it, as they are to a guest, so that it does not depend on how either side keeps them.

use super::BLOCK;
use honcho_model::Digest;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// A block that holds something.
pub(super) struct Block {
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) sha256: [u8; 32],
}

/// What comes next of a volume.
pub(super) enum Next {
    /// A block that holds something.
    Block(Block),
    /// Nothing yet: so many blocks of written zeros were read that whoever waits has to hear of it.
    Passed,
    /// That was all.
    End,
}

/// So many blocks of zeros are read before it is said.
const ZEROS: u32 = 64;

/// Reads a volume from its start to its end.
pub(super) struct Blocks {
    file: File,
    size: u64,
    /// Where the next block is looked for: a multiple of [`BLOCK`].
    at: u64,
    digest: Sha256,
}

impl Blocks {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let mut digest = Sha256::new();
        digest.update(size.to_le_bytes());
        Ok(Blocks { file, size, at: 0, digest })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// How far it has read.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// The next block that is not all zeros.
    pub(super) fn next(&mut self) -> io::Result<Next> {
        let mut zeros = 0;
        while self.at < self.size {
            let data = match seek(&self.file, SeekFrom::Data(self.at)) {
                Ok(data) => data,
                // Nothing but a hole is left.
                Err(Errno::NXIO) => self.size,
                Err(error) => return Err(error.into()),
            };
            let offset = data / BLOCK * BLOCK;
            if data >= self.size {
                self.at = self.size;
                break;
            }
            let length = usize::try_from((self.size - offset).min(BLOCK)).unwrap_or(usize::MAX);
            let mut bytes = vec![0; length];
            self.file.read_exact_at(&mut bytes, offset)?;
            self.at = offset + BLOCK;
            if bytes.iter().all(|byte| *byte == 0) {
                zeros += 1;
                if zeros == ZEROS {
                    return Ok(Next::Passed);
                }
                continue;
            }
            let sha256: [u8; 32] = Sha256::digest(&bytes).into();
            self.digest.update((offset / BLOCK).to_le_bytes());
            self.digest.update(sha256);
            return Ok(Next::Block(Block { offset, bytes, sha256 }));
        }
        Ok(Next::End)
    }

    /// The digest of all that was read: of the whole, once that was all.
    pub(super) fn digest(self) -> Digest {
        Digest(self.digest.finalize().into())
    }
}

/// How much of a file is not a hole.
pub(super) fn allocated(file: &File) -> io::Result<u64> {
    Ok(std::os::unix::fs::MetadataExt::blocks(&file.metadata()?).saturating_mul(512))
}

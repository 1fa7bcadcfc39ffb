//! From a stream of tar.zst to an ext4 filesystem in a file, without mounting or unpacking anything.
//!
//! ```text
//!   stream --> SHA-256 --> zstd -+-> mke2fs -d - (in the sandbox) --> filesystem in a file
//!                                '-> extended attributes -------------- debugfs --^
//! ```
//!
//! mke2fs reads the tarball and lays the filesystem out itself, so that a path in the tarball is a path in that
//! filesystem and nothing else. The digest is known only when all has been read: until this module has said yes, the
//! file is under a temporary name, and whoever wanted it has not seen it.

use crate::attributes::Collector;
use crate::partial::Partial;
use crate::tool::{MKE2FS, Sandbox, ToolError, ToolMissing, last_lines};
use honcho_model::{Bytes, Digest};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use zstd::stream::raw::{InBuffer, Operation, OutBuffer};

/// What should come out of the stream.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// SHA-256 of the compressed bytes.
    pub digest: Digest,
    /// How many they are.
    pub compressed: Bytes,
    /// The sum of the sizes of the files.
    pub unpacked: Bytes,
}

/// Why no filesystem was made.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// A program is not installed.
    #[error(transparent)]
    Tool(#[from] ToolMissing),
    /// The stream broke before its end.
    #[error("the image stopped coming after {got} of {wanted} bytes ({reason})")]
    Broken {
        /// What came.
        got: u64,
        /// What should have come.
        wanted: u64,
        /// Why.
        reason: String,
    },
    /// The bytes are not those that the digest names.
    #[error(
        "the image is damaged: its bytes have the digest {found}, not {wanted}; upload it again, or build it anew"
    )]
    WrongDigest {
        /// The digest it should have.
        wanted: Digest,
        /// What it has; of the bytes up to the expected size, when there are more.
        found: Digest,
    },
    /// The bytes are as they should be, but make no filesystem.
    #[error("the image is no usable tarball: {0}; build it anew")]
    Unusable(String),
    /// There is no room.
    #[error("no space left for the image in {0}: free some, or delete guests")]
    DiskFull(String),
    /// mke2fs is too old to read tarballs.
    #[error(
        "mke2fs on this machine cannot read tarballs: run `apt-get install -t bookworm-backports e2fsprogs libarchive13`"
    )]
    TooOld,
    /// Something else about the file.
    #[error("writing the filesystem: {0}")]
    Io(#[from] std::io::Error),
}

/// ext4 with what Debian 12's kernel and tools understand, said in full so that this machine's mke2fs.conf changes
/// nothing. `metadata_csum_seed` lets a clone get its own UUID without rewriting every checksum.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,\
                        large_file,huge_file,dir_nlink,extra_isize,metadata_csum,metadata_csum_seed";

/// Size of the filesystem for files of this size together: half as much again for what ext4 needs and for small files,
/// each of which fills a block. The file is sparse, and a volume is grown to its own size anyhow.
pub fn filesystem_size(unpacked: Bytes) -> Bytes {
    let wanted = unpacked.0.saturating_add(unpacked.0 / 2).saturating_add(64 << 20);
    Bytes(wanted.div_ceil(16 << 20).saturating_mul(16 << 20))
}

/// How much is read at a time; what comes out of it is bounded as well, so that no stream can fill the memory.
const CHUNK: usize = 128 << 10;

/// Without a byte for so long, the stream is taken for broken.
const SILENCE: Duration = Duration::from_mins(2);

/// mke2fs ends soon after its input has.
const LAST_WORDS: Duration = Duration::from_mins(10);

/// Reads an image from `source` and makes it the filesystem in `target`, an empty file. `progress` hears per cent.
pub async fn unpack(
    mut source: impl AsyncRead + Unpin,
    expected: Expected,
    target: &Partial,
    progress: &(dyn Fn(u8) + Send + Sync),
) -> Result<(), UnpackError> {
    let directory = target.path().parent().unwrap_or_else(|| Path::new("/")).to_owned();
    let size = filesystem_size(expected.unpacked);
    let salt = u64::from_le_bytes(expected.digest.0[..8].try_into().unwrap_or_default());
    let sandbox = Sandbox::new(&directory, salt, size.0);
    target.file().set_len(size.0)?;
    sandbox.admit(target.file())?;

    let mut filesystem = Filesystem::begin(&sandbox, target, expected)?;
    let (mut hash, mut got, mut buffer, mut told) = (Sha256::new(), 0_u64, vec![0; CHUNK], None);
    loop {
        let n = match tokio::time::timeout(SILENCE, source.read(&mut buffer)).await {
            Ok(Ok(0)) => break,
            Ok(Ok(n)) => n,
            Ok(Err(error)) => return Err(broken(got, expected, &error.to_string())),
            Err(_) => return Err(broken(got, expected, "nothing came for two minutes")),
        };
        hash.update(&buffer[..n]);
        got += n as u64;
        if got > expected.compressed.0 {
            // Longer than it says: whatever it is, it is not that image.
            break;
        }
        // Even when it makes no filesystem, it is read on, so that the digest can tell damage from nonsense.
        filesystem.take(&buffer[..n]).await?;
        let percent = u8::try_from(u128::from(got) * 100 / u128::from(expected.compressed.0)).unwrap_or(100);
        if told.replace(percent) != Some(percent) {
            progress(percent);
        }
    }
    if got < expected.compressed.0 {
        return Err(broken(got, expected, "the other side closed the connection"));
    }
    let found = Digest(hash.finalize().into());
    if found != expected.digest {
        return Err(UnpackError::WrongDigest { wanted: expected.digest, found });
    }
    filesystem.end(&sandbox, target).await?;
    sandbox.withdraw(target.file())?;
    Ok(())
}

fn broken(got: u64, expected: Expected, reason: &str) -> UnpackError {
    UnpackError::Broken { got, wanted: expected.compressed.0, reason: reason.to_owned() }
}

/// More than this does not come out of an honest stream: tar's own blocks and padding are in it, generously.
fn longest(expected: Expected) -> u64 {
    expected.unpacked.0.saturating_mul(2).saturating_add(1 << 30)
}

/// The filesystem that mke2fs is making of what it is fed.
struct Filesystem {
    directory: PathBuf,
    mke2fs: Option<Child>,
    feed: Feed,
    /// What it said of the tarball, once it has ended or nothing more can be fed to it.
    verdict: Option<Result<(), String>>,
}

impl Filesystem {
    fn begin(sandbox: &Sandbox, target: &Partial, expected: Expected) -> Result<Self, UnpackError> {
        let mut child = start(sandbox, target, filesystem_size(expected.unpacked))?;
        let feed = Feed {
            stdin: child.stdin.take(),
            decoder: zstd::stream::raw::Decoder::new()?,
            out: vec![0; CHUNK],
            left: longest(expected),
            attributes: Collector::begin(longest(expected)),
        };
        let directory = target.path().parent().unwrap_or_else(|| Path::new("/")).to_owned();
        Ok(Filesystem { directory, mke2fs: Some(child), feed, verdict: None })
    }

    /// Feeds it. Only what is this machine's fault is an error at once.
    async fn take(&mut self, bytes: &[u8]) -> Result<(), UnpackError> {
        if self.verdict.is_some() {
            return Ok(());
        }
        match self.feed.take(bytes).await {
            Ok(()) => {}
            Err(FeedError::Nonsense(reason)) => self.verdict = Some(Err(reason)),
            // It has read tar's end mark, or it has failed.
            Err(FeedError::Deaf) => {
                self.verdict = Some(last_words(self.mke2fs.take(), &self.directory).await?);
            }
        }
        Ok(())
    }

    async fn end(self, sandbox: &Sandbox, target: &Partial) -> Result<(), UnpackError> {
        let Filesystem { directory, mke2fs, feed, verdict } = self;
        // This closes its input, upon which it ends.
        let Feed { stdin, attributes, .. } = feed;
        drop(stdin);
        let verdict = match verdict {
            Some(verdict) => verdict,
            None => last_words(mke2fs, &directory).await?,
        };
        verdict.map_err(UnpackError::Unusable)?;
        let attributes = attributes.end().await.map_err(UnpackError::Unusable)?;
        Ok(attributes.set(sandbox, &directory, target.file_name()).await?)
    }
}

fn start(sandbox: &Sandbox, target: &Partial, size: Bytes) -> Result<Child, UnpackError> {
    let mut command = sandbox.command(MKE2FS)?;
    command
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "8192", "-m", "1", "-O", FEATURES]);
    command.args(["-E", "assume_storage_prezeroed=1,lazy_itable_init=1,root_owner=0:0", "-d", "-"]);
    command.arg(target.file_name()).arg(format!("{}k", size.0 / 1024));
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    Ok(command.spawn()?)
}

/// Waits for mke2fs. The outer error is this machine's fault; the inner one, what it said of the tarball, may be the
/// tarball's.
async fn last_words(child: Option<Child>, directory: &Path) -> Result<Result<(), String>, UnpackError> {
    let Some(child) = child else { return Ok(Ok(())) };
    let too_slow = |_| ToolError::TooSlow { program: MKE2FS.program, limit: LAST_WORDS };
    let output = tokio::time::timeout(LAST_WORDS, child.wait_with_output())
        .await
        .map_err(too_slow)
        .map_err(|error| UnpackError::Io(std::io::Error::other(error)))??;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let said = last_lines(&String::from_utf8_lossy(&output.stderr));
    match fault_of_this_machine(&said, directory) {
        Some(error) => Err(error),
        None => Ok(Err(said)),
    }
}

/// What mke2fs said, if it is nothing that the image can help.
fn fault_of_this_machine(said: &str, directory: &Path) -> Option<UnpackError> {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["No space left", "Disk quota exceeded"]) {
        return Some(UnpackError::DiskFull(directory.display().to_string()));
    }
    // 1.47.2 without libarchive; 1.47.0, which takes "-" for a directory.
    has(&["you need libarchive", "attributes of \"-\"", "xattrs on root directory"])
        .then_some(UnpackError::TooOld)
}

enum FeedError {
    /// mke2fs does not listen any more.
    Deaf,
    /// The stream is no zstd, or too much of it.
    Nonsense(String),
}

/// Decompresses into mke2fs.
struct Feed {
    stdin: Option<ChildStdin>,
    decoder: zstd::stream::raw::Decoder<'static>,
    out: Vec<u8>,
    left: u64,
    attributes: Collector,
}

impl Feed {
    async fn take(&mut self, bytes: &[u8]) -> Result<(), FeedError> {
        let mut input = InBuffer::around(bytes);
        loop {
            let written = {
                let mut output = OutBuffer::around(self.out.as_mut_slice());
                self.decoder
                    .run(&mut input, &mut output)
                    .map_err(|error| FeedError::Nonsense(format!("it cannot be decompressed ({error})")))?;
                output.pos()
            };
            self.left = self
                .left
                .checked_sub(written as u64)
                .ok_or_else(|| FeedError::Nonsense("it is far larger than it says".to_owned()))?;
            if written > 0 {
                self.attributes.take(&self.out[..written]).await;
                let stdin = self.stdin.as_mut().ok_or(FeedError::Deaf)?;
                stdin.write_all(&self.out[..written]).await.map_err(|_| FeedError::Deaf)?;
            }
            // A full output buffer may mean that more is waiting inside the decoder.
            if input.pos() == bytes.len() && written < self.out.len() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;

//! From a stream of tar.zst to an ext4 filesystem in a file, without mounting or unpacking anything.
//!
//! ```text
//!   stream --> SHA-256 ==> zstd -+-> mke2fs -d - (in the sandbox) --> filesystem in a file
//!                                '-> extended attributes -------------- debugfs --^ <-- tune2fs, e2fsck
//! ```
//!
//! The three go on side by side: what comes is hashed here, decompressed and looked through in one thread (`==>`), where
//! mke2fs and the reader of attributes are given one and the same buffer, and laid out by mke2fs. Then the attributes that
//! came by are set, the filesystem gets its checksums, and it is checked.
//!
//! mke2fs reads the tarball and lays the filesystem out itself, so that a path in the tarball is a path in that
//! filesystem and nothing else. The digest is known only when all has been read: until this module has said yes, the
//! file is under a temporary name, and whoever wanted it has not seen it.

use crate::checksums::{self, Unset};
use crate::feed::{CHUNK, Feed};
use crate::partial::Partial;
use crate::tool::{MKE2FS, Sandbox, ToolError, ToolMissing, last_lines};
use bytes::BytesMut;
use honcho_model::{Bytes, Digest};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;

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
/// nothing. Checksums come afterwards, and with them `metadata_csum_seed`, which lets a clone get its own UUID without
/// rewriting every one.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,\
                        large_file,huge_file,dir_nlink,extra_isize";

/// Size of the filesystem for files of this size together: half as much again for what ext4 needs and for small files,
/// each of which fills a block. The file is sparse, and a volume is grown to its own size anyhow.
pub fn filesystem_size(unpacked: Bytes) -> Bytes {
    let wanted = unpacked.0.saturating_add(unpacked.0 / 2).saturating_add(64 << 20);
    Bytes(wanted.div_ceil(16 << 20).saturating_mul(16 << 20))
}

/// What waits for mke2fs at most; Linux allows everybody this much (pipe(7)).
const PIPE: usize = 1 << 20;

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
    let (mut hash, mut got, mut told) = (Sha256::new(), 0_u64, None);
    loop {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let n = match tokio::time::timeout(SILENCE, source.read_buf(&mut chunk)).await {
            Ok(Ok(0)) => break,
            Ok(Ok(n)) => n,
            Ok(Err(error)) => return Err(broken(got, expected, &error.to_string())),
            Err(_) => return Err(broken(got, expected, "nothing came for two minutes")),
        };
        hash.update(&chunk);
        got += n as u64;
        if got > expected.compressed.0 {
            // Longer than it says: whatever it is, it is not that image.
            break;
        }
        // Even when it makes no filesystem, it is read on, so that the digest can tell damage from nonsense.
        filesystem.feed.take(chunk.freeze()).await;
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
    mke2fs: Child,
    feed: Feed,
}

impl Filesystem {
    fn begin(sandbox: &Sandbox, target: &Partial, expected: Expected) -> Result<Self, UnpackError> {
        let (reader, writer) = std::io::pipe()?;
        // Fewer turns for both sides. Where this much is not allowed, the usual does.
        let _ = rustix::pipe::fcntl_setpipe_size(&writer, PIPE);
        let mke2fs = start(sandbox, target, filesystem_size(expected.unpacked), reader)?;
        let directory = target.path().parent().unwrap_or_else(|| Path::new("/")).to_owned();
        Ok(Filesystem { directory, mke2fs, feed: Feed::begin(writer, longest(expected)) })
    }

    async fn end(self, sandbox: &Sandbox, target: &Partial) -> Result<(), UnpackError> {
        let Filesystem { directory, mke2fs, feed } = self;
        // This closes mke2fs's input, upon which it ends.
        let fed = feed.end().await?;
        if let Some(reason) = fed.nonsense {
            return Err(UnpackError::Unusable(reason));
        }
        last_words(mke2fs, &directory).await?.map_err(UnpackError::Unusable)?;
        let attributes = fed.attributes.map_err(UnpackError::Unusable)?;
        attributes.set(sandbox, &directory, target.file_name()).await?;
        let unset = match checksums::set(sandbox, target.file_name()).await {
            Ok(()) => return Ok(()),
            Err(unset) => unset,
        };
        let (said, otherwise): (_, fn(String) -> UnpackError) = match unset {
            Unset::Tool(ToolError::Missing(missing)) => return Err(missing.into()),
            Unset::Tool(error) => return Err(UnpackError::Io(std::io::Error::other(error))),
            Unset::Failed(said) => (said, |said| UnpackError::Io(std::io::Error::other(said))),
            Unset::Broken(said) => (said, UnpackError::Unusable),
        };
        Err(fault_of_this_machine(&said, &directory).unwrap_or_else(|| otherwise(said)))
    }
}

fn start(
    sandbox: &Sandbox,
    target: &Partial,
    size: Bytes,
    tar: std::io::PipeReader,
) -> Result<Child, UnpackError> {
    let mut command = sandbox.command(MKE2FS)?;
    command
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "8192", "-m", "1", "-O", FEATURES]);
    command.args(["-E", "assume_storage_prezeroed=1,lazy_itable_init=1,root_owner=0:0", "-d", "-"]);
    command.arg(target.file_name()).arg(format!("{}k", size.0 / 1024));
    command.stdin(tar).stderr(Stdio::piped());
    Ok(command.spawn()?)
}

/// Waits for mke2fs. The outer error is this machine's fault; the inner one, what it said of the tarball, may be the
/// tarball's.
async fn last_words(child: Child, directory: &Path) -> Result<Result<(), String>, UnpackError> {
    let too_slow = |_| ToolError::TooSlow { program: MKE2FS.program, limit: LAST_WORDS };
    let output = tokio::time::timeout(LAST_WORDS, child.wait_with_output())
        .await
        .map_err(too_slow)
        .map_err(|error| UnpackError::Io(std::io::Error::other(error)))??;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let said = last_lines(&String::from_utf8_lossy(&output.stderr));
    if output.status.code().is_none() {
        let killed = format!("mke2fs was ended by a signal: {said}");
        return Err(UnpackError::Io(std::io::Error::other(killed)));
    }
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

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;

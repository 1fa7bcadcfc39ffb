//! Blobs by digest: `blobs/sha256/DIGEST`, in a directory or wherever `object_store` can keep them.
//!
//! What is put is hashed on its way in and only kept if it is what its name says; it appears all at once and survives a
//! power cut (the directory store fsyncs before it answers). What is got is not checked here: whoever uses it does.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use honcho_model::Digest;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use sha2::{Digest as _, Sha256};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

/// A place that keeps blobs.
#[derive(Clone, Debug)]
pub struct BlobStore {
    store: Arc<dyn ObjectStore>,
    /// Locked by whoever deletes (alone) or reads all there is (together), in a directory.
    deleting: Option<Arc<Path>>,
}

/// For as long as this lives, others do not delete, or one deletes.
#[derive(Debug)]
pub struct BlobsHeld {
    _lock: Option<File>,
}

/// Why a blob was not put or got.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no such blob.
    #[error("there is no blob {0}: it was deleted, or never uploaded whole")]
    Missing(Digest),
    /// What came is not what its name says.
    #[error(
        "what was uploaded has the digest {found}, not {wanted}: it was damaged on its way, or is another file; upload it again"
    )]
    WrongDigest {
        /// Its name.
        wanted: Digest,
        /// What came.
        found: Digest,
    },
    /// What came could not be read to its end.
    #[error("the upload broke off: {0}")]
    Source(std::io::Error),
    /// The store failed.
    #[error("the blob store failed: {0}")]
    Store(#[from] object_store::Error),
    /// The store could not be written.
    #[error("the blob store could not be written (is its disk full?): {0}")]
    Write(std::io::Error),
}

/// A blob, opened.
pub struct BlobReader {
    /// How long it is.
    pub size: u64,
    /// Its bytes.
    pub bytes: BoxStream<'static, std::io::Result<Bytes>>,
}

/// How much is read and written at a time.
const CHUNK: usize = 256 << 10;

impl BlobStore {
    /// Blobs in a directory, which is made if it is not there.
    pub fn in_directory(directory: &Path) -> Result<Self, BlobError> {
        let blobs = directory.join(BLOBS);
        std::fs::create_dir_all(&blobs).map_err(BlobError::Write)?;
        remove_abandoned_uploads(&blobs).map_err(BlobError::Write)?;
        let store = LocalFileSystem::new_with_prefix(directory)?.with_fsync(true);
        Ok(BlobStore { store: Arc::new(store), deleting: Some(directory.join("deleting.lock").into()) })
    }

    /// Blobs in any store.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        BlobStore { store, deleting: None }
    }

    fn lock_file(&self) -> std::io::Result<Option<File>> {
        let open =
            |path: &Path| OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        self.deleting.as_deref().map(open).transpose()
    }

    /// Keeps all blobs there are from being deleted by whoever asks [`BlobStore::hold_to_delete`], in any process. Waits for
    /// one that is just being deleted.
    pub fn hold_all(&self) -> std::io::Result<BlobsHeld> {
        let lock = self.lock_file()?;
        lock.as_ref().map_or(Ok(()), File::lock_shared)?;
        Ok(BlobsHeld { _lock: lock })
    }

    /// Before one is deleted: `None` while somebody reads all of them.
    pub fn hold_to_delete(&self) -> std::io::Result<Option<BlobsHeld>> {
        let lock = self.lock_file()?;
        match lock.as_ref().map_or(Ok(()), File::try_lock) {
            Ok(()) => Ok(Some(BlobsHeld { _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Puts a blob, if what comes is what `digest` says. One that is there already is replaced, in one step and only by
    /// what was checked: its bytes may have gone bad on the disk, and putting it again is what mends that. Gives its
    /// size.
    pub async fn put(&self, digest: Digest, source: impl AsyncRead) -> Result<u64, BlobError> {
        let mut writer = BufWriter::new(Arc::clone(&self.store), path(digest));
        let outcome = pump(source, Some(&mut writer)).await;
        let outcome = outcome.and_then(|(found, size)| {
            if found == digest { Ok(size) } else { Err(BlobError::WrongDigest { wanted: digest, found }) }
        });
        if outcome.is_ok() {
            writer.shutdown().await.map_err(BlobError::Write)?;
        } else {
            writer.abort().await?;
        }
        outcome
    }

    /// Puts a file, whatever its digest is, and says which that is and how long the file is.
    pub async fn put_file(&self, file: &Path) -> Result<(Digest, u64), BlobError> {
        let open = || async { tokio::fs::File::open(file).await.map_err(BlobError::Source) };
        let (digest, _) = pump(open().await?, None).await?;
        let size = self.put(digest, open().await?).await?;
        Ok((digest, size))
    }

    /// Opens a blob.
    pub async fn get(&self, digest: Digest) -> Result<BlobReader, BlobError> {
        let found = match self.store.get(&path(digest)).await {
            Err(object_store::Error::NotFound { .. }) => return Err(BlobError::Missing(digest)),
            other => other?,
        };
        let size = found.meta.size;
        Ok(BlobReader { size, bytes: found.into_stream().map_err(std::io::Error::other).boxed() })
    }

    /// The size of a blob, if it is there.
    pub async fn size(&self, digest: Digest) -> Result<Option<u64>, BlobError> {
        match self.store.head(&path(digest)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            other => Ok(Some(other?.size)),
        }
    }

    /// Whether a blob is there.
    pub async fn exists(&self, digest: Digest) -> Result<bool, BlobError> {
        Ok(self.size(digest).await?.is_some())
    }

    /// Every blob with its size, in the order of their digests. What is being uploaded is none yet.
    pub async fn list(&self) -> Result<Vec<(Digest, u64)>, BlobError> {
        let prefix = ObjectPath::from(BLOBS);
        let found: Vec<_> = self.store.list(Some(&prefix)).try_collect().await?;
        let blob =
            |meta: object_store::ObjectMeta| Some((meta.location.filename()?.parse().ok()?, meta.size));
        let mut blobs: Vec<(Digest, u64)> = found.into_iter().filter_map(blob).collect();
        blobs.sort();
        Ok(blobs)
    }

    /// Deletes a blob. One that is gone is fine.
    pub async fn delete(&self, digest: Digest) -> Result<(), BlobError> {
        match self.store.delete(&path(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Deletes what uploads left whose process was killed: the directory store writes to `DIGEST#N` first. One that was
/// written to in the last day may still be going on.
fn remove_abandoned_uploads(blobs: &Path) -> std::io::Result<()> {
    const DAY: std::time::Duration = std::time::Duration::from_hours(24);
    for entry in std::fs::read_dir(blobs)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().contains('#') {
            continue;
        }
        // A file from the future, after the clock was set back, has no age: it is left alone.
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if age > DAY {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Where blobs are in a store.
const BLOBS: &str = "blobs/sha256";

/// A digest's text form is hexadecimal, so that no blob's name leads out of the store.
fn path(digest: Digest) -> ObjectPath {
    ObjectPath::from(format!("{BLOBS}/{digest}"))
}

/// Reads to the end, hashing, and writes what it reads where there is a writer.
async fn pump(
    source: impl AsyncRead,
    mut writer: Option<&mut BufWriter>,
) -> Result<(Digest, u64), BlobError> {
    let mut source = std::pin::pin!(source);
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0_u64, vec![0; CHUNK]);
    loop {
        let n = source.read(&mut buffer).await.map_err(BlobError::Source)?;
        if n == 0 {
            return Ok((Digest(hash.finalize().into()), size));
        }
        hash.update(&buffer[..n]);
        size += n as u64;
        if let Some(writer) = writer.as_deref_mut() {
            writer.write_all(&buffer[..n]).await.map_err(BlobError::Write)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    async fn read(store: &BlobStore, digest: Digest) -> Vec<u8> {
        let reader = store.get(digest).await.unwrap();
        let chunks: Vec<Bytes> = reader.bytes.try_collect().await.unwrap();
        assert_eq!(reader.size, chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>());
        chunks.concat()
    }

    fn files(directory: &Path) -> usize {
        let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
        entries.map(|entry| entry.unwrap().path()).map(|p| if p.is_dir() { files(&p) } else { 1 }).sum()
    }

    #[tokio::test]
    async fn a_blob_is_put_got_and_deleted_by_its_digest() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::in_directory(directory.path()).unwrap();
        for bytes in [b"small".to_vec(), vec![7; 23 << 20]] {
            let digest = digest(&bytes);
            assert!(matches!(store.get(digest).await, Err(BlobError::Missing(_))));
            assert_eq!(store.put(digest, bytes.as_slice()).await.unwrap(), bytes.len() as u64);
            assert_eq!(store.put(digest, bytes.as_slice()).await.unwrap(), bytes.len() as u64);
            assert_eq!(read(&store, digest).await, bytes);
            assert!(directory.path().join(format!("blobs/sha256/{digest}")).is_file());
            store.delete(digest).await.unwrap();
            store.delete(digest).await.unwrap();
            assert!(!store.exists(digest).await.unwrap());
        }
    }

    #[tokio::test]
    async fn what_is_not_what_its_name_says_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::in_directory(directory.path()).unwrap();
        for bytes in [b"other".to_vec(), vec![1; 12 << 20]] {
            let error = store.put(digest(b"this"), bytes.as_slice()).await.unwrap_err();
            assert!(matches!(error, BlobError::WrongDigest { .. }), "{error}");
        }
        let broken = broken_connection();
        assert!(matches!(store.put(digest(b"x"), broken).await, Err(BlobError::Source(_))));
        assert_eq!(files(directory.path()), 0);
    }

    #[tokio::test]
    async fn a_blob_gone_bad_is_mended_by_putting_it_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::in_directory(directory.path()).unwrap();
        for bytes in [b"small".to_vec(), vec![7; 23 << 20]] {
            let digest = digest(&bytes);
            store.put(digest, bytes.as_slice()).await.unwrap();
            let at = directory.path().join(format!("blobs/sha256/{digest}"));
            std::fs::write(&at, "bad").unwrap();
            store.put(digest, b"something else".as_slice()).await.unwrap_err();
            assert_eq!(std::fs::read(&at).unwrap(), b"bad", "what is not it replaces nothing");
            store.put(digest, bytes.as_slice()).await.unwrap();
            assert_eq!(read(&store, digest).await, bytes);
        }
    }

    /// Some megabytes, then a broken connection.
    fn broken_connection() -> impl AsyncRead {
        let chunks = (0..30).map(|_| Ok(Bytes::from(vec![0; 1 << 20])));
        let broken = std::iter::once(Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)));
        tokio_util::io::StreamReader::new(futures::stream::iter(chunks.chain(broken)))
    }

    #[test]
    fn an_upload_that_was_killed_yesterday_goes() {
        let directory = tempfile::tempdir().unwrap();
        BlobStore::in_directory(directory.path()).unwrap();
        let blobs = directory.path().join(BLOBS);
        let old = std::fs::File::create(blobs.join("abc#1")).unwrap();
        std::fs::write(blobs.join("abc#2"), "").unwrap();
        old.set_modified(std::time::UNIX_EPOCH).unwrap();
        BlobStore::in_directory(directory.path()).unwrap();
        assert!(!blobs.join("abc#1").exists() && blobs.join("abc#2").exists());
    }

    #[test]
    fn none_is_deleted_while_somebody_reads_all_of_them() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::in_directory(directory.path()).unwrap();
        let (one, other) = (store.hold_all().unwrap(), BlobStore::clone(&store).hold_all().unwrap());
        assert!(store.hold_to_delete().unwrap().is_none());
        drop(one);
        assert!(store.hold_to_delete().unwrap().is_none());
        drop(other);
        let alone = store.hold_to_delete().unwrap().unwrap();
        assert!(store.hold_to_delete().unwrap().is_none());
        drop(alone);
        // Elsewhere than in a directory everybody must see to it otherwise.
        let memory = BlobStore::new(Arc::new(object_store::memory::InMemory::new()));
        let _all = memory.hold_all().unwrap();
        assert!(memory.hold_to_delete().unwrap().is_some());
    }

    #[tokio::test]
    async fn a_file_is_put_under_the_digest_it_has() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::in_directory(&directory.path().join("store")).unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "content").unwrap();
        assert_eq!(store.put_file(&file).await.unwrap(), (digest(b"content"), 7));
        assert_eq!(read(&store, digest(b"content")).await, b"content");
    }
}

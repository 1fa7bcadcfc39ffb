//! What is on its way to become an image: files that grow as they are sent, and the sealing of those that are whole.
//!
//! ```text
//!   PUT /content?offset=N --> DATA/uploads/UUID        as long as what has come; that is all that is known of it
//!   finish                --> a process seals it in    DATA/uploads/UUID.sealing/
//!                         --> blob, then image and end of the upload in one transaction, then both are deleted
//! ```
//!
//! Whoever is killed in the midst of this: what lies in the file counts, and a sealing begins anew. A file is locked by
//! whoever writes or seals it, so that of several brains (which share DATA) one does.

mod sealing;

pub(crate) use sealing::begin as begin_sealing;

use axum::body::Bytes as Piece;
use futures::{Stream, StreamExt as _};
use honcho_api::ImageUpload;
use honcho_images::BlobError;
use honcho_model::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use uuid::Uuid;

/// So large may be what customers upload, and so much may be in it, unless an operator says otherwise.
pub const LARGEST_IMAGE: Bytes = Bytes(20 << 30);

/// So much of the disk is left alone by uploads and their sealing: the database is on it.
const RESERVE: Bytes = Bytes::gib(1);

/// After so many bytes of a piece it is looked again how much room there is.
const LOOKED_EVERY: u64 = 16 << 20;

/// Where they are.
#[derive(Clone)]
pub(crate) struct Uploads {
    directory: Arc<Path>,
    pub(crate) largest: Bytes,
    /// So much is left free.
    pub(crate) reserve: Bytes,
    /// Those that this brain seals just now, and whose they are.
    sealing: Arc<Mutex<BTreeMap<i64, Option<i64>>>>,
}

/// Why nothing was added to an upload.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// Somebody else sends or seals it just now.
    Busy,
    /// It is so long, and what came begins elsewhere.
    Elsewhere(u64),
    /// The disk is nearly full. What came before is kept.
    NoRoom,
    /// More came than the whole of it has.
    TooMuch,
    /// It broke off, or could not be written. What came before is kept.
    Blob(BlobError),
}

impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> Self {
        AppendError::Blob(BlobError::Write(error))
    }
}

impl Uploads {
    pub(crate) fn in_directory(directory: &Path, largest: Bytes) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        Ok(Uploads { directory: directory.into(), largest, reserve: RESERVE, sealing: Arc::default() })
    }

    fn file(&self, uuid: Uuid) -> PathBuf {
        self.directory.join(uuid.to_string())
    }

    /// Where it is sealed.
    fn workshop(&self, uuid: Uuid) -> PathBuf {
        self.directory.join(format!("{uuid}.sealing"))
    }

    /// How much of it has come.
    pub(crate) fn received(&self, uuid: Uuid) -> io::Result<u64> {
        match std::fs::metadata(self.file(uuid)) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// An upload with how much of it has come.
    pub(crate) fn seen(&self, mut upload: ImageUpload) -> io::Result<ImageUpload> {
        if upload.status == "receiving" {
            upload.received_bytes = i64::try_from(self.received(upload.uuid)?).unwrap_or(i64::MAX);
        }
        Ok(upload)
    }

    /// Adds what comes to an upload of `size` bytes, of which `offset` are said to be there. What came is on disk when
    /// this answers, also when it answers with an error.
    pub(crate) async fn append(
        &self,
        uuid: Uuid,
        size: u64,
        offset: u64,
        pieces: impl Stream<Item = io::Result<Piece>> + Unpin,
    ) -> Result<(), AppendError> {
        if !self.is_room()? {
            return Err(AppendError::NoRoom);
        }
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.file(uuid))?;
        lock(&file)?;
        let length = file.metadata()?.len();
        if length != offset {
            return Err(AppendError::Elsewhere(length));
        }
        let mut file = tokio::fs::File::from_std(file);
        file.seek(io::SeekFrom::Start(length)).await?;
        let mut writer = tokio::io::BufWriter::with_capacity(1 << 20, file);
        let outcome = self.pour(&mut writer, pieces, size - length.min(size)).await;
        writer.flush().await?;
        writer.get_ref().sync_data().await?;
        outcome
    }

    async fn pour(
        &self,
        writer: &mut tokio::io::BufWriter<tokio::fs::File>,
        mut pieces: impl Stream<Item = io::Result<Piece>> + Unpin,
        mut left: u64,
    ) -> Result<(), AppendError> {
        let mut unlooked = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| AppendError::Blob(BlobError::Source(error)))?;
            left = left.checked_sub(piece.len() as u64).ok_or(AppendError::TooMuch)?;
            writer.write_all(&piece).await?;
            unlooked += piece.len() as u64;
            if unlooked >= LOOKED_EVERY {
                unlooked = 0;
                if !self.is_room()? {
                    return Err(AppendError::NoRoom);
                }
            }
        }
        Ok(())
    }

    /// Whether there is more than the reserve.
    pub(crate) fn is_room(&self) -> io::Result<bool> {
        self.is_room_for(0)
    }

    /// Whether that is still so when so many bytes more are kept.
    pub(crate) fn is_room_for(&self, bytes: u64) -> io::Result<bool> {
        let found = rustix::fs::statvfs(&*self.directory)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize) >= self.reserve.0.saturating_add(bytes))
    }

    /// Keeps everybody else from writing or sealing one, for as long as what this gives lives. Of which nothing has come
    /// has no file.
    pub(crate) fn hold(&self, uuid: Uuid) -> Result<Option<std::fs::File>, AppendError> {
        match std::fs::File::open(self.file(uuid)) {
            Ok(file) => lock(&file).map(|()| Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes what is left of one.
    fn remove(&self, uuid: Uuid) -> io::Result<()> {
        for removed in [std::fs::remove_dir_all(self.workshop(uuid)), std::fs::remove_file(self.file(uuid))] {
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Deletes what is of no upload among those that have not ended.
    pub(crate) fn sweep(&self, open: &BTreeSet<Uuid>) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let uuid =
                name.to_str().and_then(|name| name.strip_suffix(".sealing").unwrap_or(name).parse().ok());
            if let Some(uuid) = uuid
                && !open.contains(&uuid)
            {
                self.remove(uuid)?;
            }
        }
        Ok(())
    }

    fn sealed_now(&self) -> std::sync::MutexGuard<'_, BTreeMap<i64, Option<i64>>> {
        // Whoever panicked left a map that is whole.
        self.sealing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(file: &std::fs::File) -> Result<(), AppendError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(AppendError::Busy),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

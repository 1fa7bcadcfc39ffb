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

/// Where they are.
#[derive(Clone)]
pub(crate) struct Uploads {
    directory: Arc<Path>,
    pub(crate) largest: Bytes,
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
        Ok(Uploads { directory: directory.into(), largest, sealing: Arc::default() })
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
        let outcome = pour(&mut writer, pieces, size - length.min(size)).await;
        writer.flush().await?;
        writer.get_ref().sync_data().await?;
        outcome
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

async fn pour(
    writer: &mut tokio::io::BufWriter<tokio::fs::File>,
    mut pieces: impl Stream<Item = io::Result<Piece>> + Unpin,
    mut left: u64,
) -> Result<(), AppendError> {
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| AppendError::Blob(BlobError::Source(error)))?;
        left = left.checked_sub(piece.len() as u64).ok_or(AppendError::TooMuch)?;
        writer.write_all(&piece).await?;
    }
    Ok(())
}

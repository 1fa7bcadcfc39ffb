//! Reads the files on a volume, for an image.
//!
//! ```text
//!   lock the volume -> e2fsck -p (replays the journal, in the sandbox) -> read, pack, compress -> pieces, to whoever sends them
//! ```
//!
//! Once nobody takes the pieces any more, e2fsck is asked to end, and the reader does within some seconds, wherever they are.
//!
//! The reader is ours, in safe Rust and within bounds (`honcho_images::import::disk`); nothing is mounted, and nothing of what is
//! read is written on this host.

use super::directory::{Turn, blocking};
use super::grow::{holds_ext4, is_about_the_filesystem};
use super::layout::{Layout, RAW, stem};
use super::lock;
use crate::drivers::{DriverError, DriverResult, ProgressSink};
use honcho_images::import::ImportError;
use honcho_images::import::disk::{self, Captured};
use honcho_images::tool::{E2FSCK, Sandbox, ToolError, ToolOutput};
use honcho_model::VolumeId;
use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;

/// A filesystem that was not unmounted and is not damaged takes seconds.
const PATIENCE: Duration = Duration::from_hours(1);

/// What is handed on at a time.
const PIECE: usize = 256 << 10;

pub(super) async fn read(
    layout: Layout,
    id: VolumeId,
    uuid: Uuid,
    to: mpsc::Sender<Vec<u8>>,
    progress: ProgressSink,
    turn: Turn,
) -> DriverResult<Captured> {
    let name = format!("{}{RAW}", stem(id, uuid));
    let (opened, named) = (layout.clone(), name.clone());
    let disk = blocking(move || open(&opened, id, &named)).await??;
    replay(&layout, id, &name, &disk, &to).await?;
    blocking(move || {
        let _turn = turn;
        let taker = to.clone();
        let mut pieces = Pieces { to, piece: Vec::with_capacity(PIECE) };
        let progress = |percent| progress("", Some(percent));
        let captured = disk::capture(disk, &mut pieces, &|| !taker.is_closed(), &progress)?;
        pieces.flush()?;
        Ok(captured)
    })
    .await?
    .map_err(|error: ImportError| match error {
        ImportError::Refused(reason) => DriverError::Never(format!("its disk was not read: {reason}")),
        error => DriverError::Later(format!("reading volume {id}: {error}")),
    })
}

fn open(layout: &Layout, id: VolumeId, name: &str) -> DriverResult<File> {
    let open = File::options().read(true).write(true).open(layout.volumes().join(name));
    let file = open.map_err(|error| DriverError::Later(format!("reading volume {id}: {error}")))?;
    lock::alone(&file, id)?;
    if !holds_ext4(&file) {
        let text = "its disk was not read: there is no ext4 filesystem on it, and no other can be captured";
        return Err(DriverError::Never(text.to_owned()));
    }
    Ok(file)
}

/// What a guest that was not shut down has left in its journal comes to where it belongs, as its next start would see to.
async fn replay(
    layout: &Layout,
    id: VolumeId,
    name: &str,
    disk: &File,
    to: &mpsc::Sender<Vec<u8>>,
) -> DriverResult<()> {
    let failed = |error: io::Error| DriverError::Later(format!("reading volume {id}: {error}"));
    let length = disk.metadata().map_err(failed)?.len();
    let sandbox = Sandbox::new(&layout.volumes(), id.0.unsigned_abs(), length);
    sandbox.admit(disk).map_err(failed)?;
    let lock = disk.try_clone().map_err(failed)?;
    // It ends between two of its steps, and after what the journal holds.
    let outcome = sandbox.run_to_its_end(E2FSCK, &["-p", name], lock, PATIENCE, to.closed()).await;
    if !matches!(outcome, Err(ToolError::StillGoing { .. })) {
        sandbox.withdraw(disk).map_err(failed)?;
    }
    match outcome.map_err(|error| DriverError::Later(format!("reading volume {id}: {error}")))? {
        // Whatever it says of the filesystem that it was not to look at further.
        _ if to.is_closed() => {
            Err(DriverError::Later(format!("volume {id} is not read: nobody wants it any more")))
        }
        ToolOutput { code: Some(0..=3), .. } => Ok(()),
        output if is_about_the_filesystem(&output) => Err(DriverError::Never(format!(
            "its disk was not read: e2fsck finds its filesystem damaged. Start the guest and have it checked \
             (`touch /forcefsck`, or `e2fsck -f` in a rescue system). It said: {}",
            output.said
        ))),
        output => {
            Err(DriverError::Later(format!("e2fsck could not check volume {id}: it said: {}", output.said)))
        }
    }
}

/// Hands on what is written into it. Whoever takes it may wait, and may go.
struct Pieces {
    to: mpsc::Sender<Vec<u8>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A terabyte of zeros is a piece or two.
        if self.to.is_closed() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let n = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..n]);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.to.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

//! Consoles and their logs, for whoever waits at the brain.

use crate::brain::BrainClient;
use crate::drivers::{Drivers, Hypervisor};
use honcho_wire::{Manifest, StreamKind, StreamWanted};
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncSeekExt as _, AsyncWrite, AsyncWriteExt as _};
use uuid::Uuid;

/// How often a log that is followed is looked at.
const FOLLOW: Duration = Duration::from_millis(300);

/// What a stream leads to.
struct Target {
    guest: Uuid,
    log: PathBuf,
}

/// Opens a stream and pipes until either end has enough.
pub(crate) async fn serve(
    brain: Arc<BrainClient>,
    drivers: Drivers,
    manifest: Option<Arc<Manifest>>,
    wanted: StreamWanted,
) {
    let mut remote = match brain.open_stream(wanted.id).await {
        Ok(remote) => remote,
        Err(error) => {
            tracing::warn!(stream = %wanted.id, guest = %wanted.guest, %error, "cannot open a stream");
            return;
        }
    };
    let served = match target(manifest.as_deref(), &drivers, &wanted) {
        Some(target) => pipe(&mut remote, &drivers, &target, wanted.kind).await,
        None => Err(std::io::Error::other("this host does not have that guest")),
    };
    if let Err(error) = served {
        tracing::info!(stream = %wanted.id, guest = %wanted.guest, %error, "a stream ended");
        let last_words = format!("\r\nhoncho: {error}\r\n");
        // Whoever waited may be gone already, and then nobody needs to be told.
        let _gone = remote.write_all(last_words.as_bytes()).await;
    }
    let _gone = remote.shutdown().await;
}

fn target(manifest: Option<&Manifest>, drivers: &Drivers, wanted: &StreamWanted) -> Option<Target> {
    let manifest = manifest?;
    let guest = manifest.guests.iter().find(|guest| guest.id == wanted.guest)?;
    let pool = manifest.pools.iter().find(|pool| pool.id == guest.root.pool)?;
    let log = drivers.storage.console_log_path(pool, guest.root.id, guest.root.uuid);
    Some(Target { guest: guest.uuid, log })
}

async fn pipe<S: AsyncRead + AsyncWrite + Unpin>(
    remote: &mut S,
    drivers: &Drivers,
    target: &Target,
    kind: StreamKind,
) -> std::io::Result<()> {
    match kind {
        StreamKind::Console => console(remote, drivers.hypervisor.as_ref(), target.guest).await,
        StreamKind::Log { tail, follow } => log(remote, &target.log, tail, follow).await,
    }
}

async fn console<S: AsyncRead + AsyncWrite + Unpin>(
    remote: &mut S,
    hypervisor: &dyn Hypervisor,
    guest: Uuid,
) -> std::io::Result<()> {
    let mut console = hypervisor.console(guest).await.map_err(std::io::Error::other)?;
    tokio::io::copy_bidirectional(remote, &mut console).await?;
    Ok(())
}

/// The last `tail` bytes of a log, and with `follow` what is added, until the reader hangs up.
async fn log<S: AsyncRead + AsyncWrite + Unpin>(
    remote: &mut S,
    path: &Path,
    tail: u64,
    follow: bool,
) -> std::io::Result<()> {
    let (mut from_remote, mut to_remote) = tokio::io::split(remote);
    let mut position = match tokio::fs::metadata(path).await {
        Ok(metadata) => metadata.len().saturating_sub(tail),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let mut ignored = [0; 256];
    loop {
        position = copy_from(path, position, &mut to_remote).await?;
        if !follow {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(FOLLOW) => {}
            read = from_remote.read(&mut ignored) => if read? == 0 { return Ok(()) },
        }
    }
}

/// Copies what stands behind `position` and returns where it ends. A log that became shorter is read from its start.
async fn copy_from<W: AsyncWrite + Unpin>(path: &Path, position: u64, to: &mut W) -> std::io::Result<u64> {
    let mut file = match File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let length = file.metadata().await?.len();
    let position = if length < position { 0 } else { position };
    if length == position {
        return Ok(position);
    }
    file.seek(SeekFrom::Start(position)).await?;
    let copied = tokio::io::copy(&mut file.take(length - position), to).await?;
    to.flush().await?;
    Ok(position + copied)
}

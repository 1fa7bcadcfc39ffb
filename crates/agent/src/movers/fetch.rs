//! Fetches a volume from the host that it leaves.

use super::frames::{Answer, Piece, Question, VERSION, hear, receive, say};
use super::half::Half;
use super::{KEPT_EVERY, PATIENCE, Peers, ticket_hash};
use crate::drivers::{DriverError, DriverResult, Duplex, ProgressSink, Storage};
use honcho_model::Bytes;
use honcho_wire::{Arriving, PoolWanted};
use std::path::Path;
use std::time::Duration;

/// What an arrival leaves free for the growth of the volumes that are there: a twentieth of the pool, and no more than this.
const LARGEST_RESERVE: Bytes = Bytes::mib(256);

/// Fetches a volume, or goes on with it, and makes it complete. One that is complete is only made durable.
pub(crate) async fn fetch(
    storage: &dyn Storage,
    pool: &PoolWanted,
    arriving: &Arriving,
    peers: &dyn Peers,
    progress: &ProgressSink,
) -> DriverResult<()> {
    let Some(path) = storage.arriving(pool, arriving.volume, arriving.volume_uuid).await? else {
        return Ok(());
    };
    let of = ticket_hash(&arriving.ticket);
    let half = blocking(arriving, {
        let path = path.clone();
        move || Half::open(&path, of)
    })
    .await?;
    let mut stream = peers.connect(arriving).await?;
    let question = Question { version: VERSION, ticket: arriving.ticket.clone(), from: half.durable() };
    let asked = async {
        say(&mut stream, &question).await?;
        hear::<Answer>(&mut stream).await
    };
    let answer = in_time(arriving, asked).await?;
    let (size, data, ssh_host_key) = match answer {
        Answer::Comes { size, data, ssh_host_key } => (size, data, ssh_host_key),
        Answer::Refused(why) => {
            return Err(DriverError::Later(format!("the host that it leaves says: {why}")));
        }
    };
    let (half, held) = blocking(arriving, move || {
        let held = half.held()?;
        Ok((half, held))
    })
    .await?;
    require_room(&path, Bytes(data.saturating_sub(held)))?;
    let half = take_size(arriving, half, size).await?;
    let (half, digest) = take(arriving, &mut stream, half, size, progress).await?;
    let sink = progress.clone();
    blocking(arriving, move || half.complete(digest, |at, of| sink("compare_volume", percent(at, of))))
        .await?;
    storage.arrived(pool, arriving.volume, arriving.volume_uuid, ssh_host_key).await
}

fn percent(at: u64, of: u64) -> Option<u8> {
    u8::try_from(at.min(of).saturating_mul(100).checked_div(of)?).ok()
}

async fn take_size(arriving: &Arriving, mut half: Half, size: u64) -> DriverResult<Half> {
    blocking(arriving, move || match half.take_size(size) {
        Ok(()) => Ok(half),
        Err(error) => {
            half.discard()?;
            Err(error)
        }
    })
    .await
}

/// Takes every piece in, to the end; gives the digest that the whole should have.
async fn take(
    arriving: &Arriving,
    stream: &mut Box<dyn Duplex>,
    mut half: Half,
    size: u64,
    progress: &ProgressSink,
) -> DriverResult<(Half, honcho_model::Digest)> {
    let mut since_kept = 0;
    loop {
        match in_time(arriving, receive(stream)).await? {
            Piece::Block(block) => {
                let end = block.offset + block.bytes.len() as u64;
                since_kept += block.bytes.len() as u64;
                let keep = since_kept >= KEPT_EVERY;
                half = blocking(arriving, move || {
                    half.put(&block)?;
                    if keep {
                        half.keep(end)?;
                    }
                    Ok(half)
                })
                .await?;
                since_kept = if keep { 0 } else { since_kept };
                progress("fetch_volume", percent(end, size));
            }
            Piece::Passed(position) => progress("fetch_volume", percent(position, size)),
            Piece::End(digest) => return Ok((half, digest)),
            Piece::Broken(why) => {
                return Err(DriverError::Later(format!("the host that it leaves broke off: {why}")));
            }
        }
    }
}

/// Refuses what would leave the pool full: every guest in it would stand still.
fn require_room(path: &Path, needed: Bytes) -> DriverResult<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let stat = rustix::fs::statvfs(directory)
        .map_err(|error| DriverError::Later(format!("{}: {error}", directory.display())))?;
    let size = stat.f_blocks.saturating_mul(stat.f_frsize);
    let free = Bytes(stat.f_bavail.saturating_mul(stat.f_frsize));
    let reserve = (size / 20).min(LARGEST_RESERVE.0);
    if needed.0 == 0 || free.0 >= needed.0.saturating_add(reserve) {
        return Ok(());
    }
    Err(DriverError::Later(format!(
        "{} has {free} free, and {needed} are still to come (and some is left to spare for the guests that are there): \
         free some space, or give the move up",
        directory.display()
    )))
}

/// Waits for the other side, and not for ever.
async fn in_time<T>(arriving: &Arriving, what: impl Future<Output = std::io::Result<T>>) -> DriverResult<T> {
    let address = &arriving.address;
    let late = |patience: Duration| format!("nothing came from {address} for {} s", patience.as_secs());
    match tokio::time::timeout(PATIENCE, what).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(DriverError::Later(format!("the connection to {address} broke: {error}"))),
        Err(_) => Err(DriverError::Later(late(PATIENCE))),
    }
}

/// Runs what touches the disk on a thread of its own.
async fn blocking<T: Send + 'static>(
    arriving: &Arriving,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> DriverResult<T> {
    let volume = arriving.volume;
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| {
        DriverError::Later(format!("the step broke off, which is a defect of the agent: {error}"))
    })?;
    done.map_err(|error| DriverError::Later(format!("volume {volume} cannot be taken in: {error}")))
}

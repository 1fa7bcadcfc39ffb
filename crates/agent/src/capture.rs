//! Sends the brain what is on a stopped guest's disk, of which it makes an image.
//!
//! ```text
//!   how much has come? --> read the disk from its beginning, leave that out, send the rest --> all of it: size and digest
//!        ^                                  | cut, killed
//!        '----------------------------------'
//! ```
//!
//! Nothing is remembered here, and nothing is written: a disk that does not change reads as the same bytes each time, and whether it
//! did not says the digest, which the brain checks before it seals anything.

use crate::drivers::{DriverError, DriverResult, ProgressSink, Storage};
use async_trait::async_trait;
use honcho_model::VolumeId;
use honcho_wire::{CaptureEnd, CaptureState, PoolWanted};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

/// So much is sent at a time.
const PIECE: usize = 8 << 20;

/// So many pieces of the reader's wait.
const WAITING: usize = 8;

/// After the brain said that nothing more is wanted, the manifest that says so is on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(250);

/// While nothing is sent, the brain is asked so often whether it is wanted still: e2fsck and the reader end soon after.
const ASKED_EVERY: Duration = Duration::from_secs(5);

/// A brain that is started anew is away for seconds, for which no disk is read from its beginning.
const AWAY: Duration = Duration::from_mins(1);

/// Where it goes: the brain, in earnest.
#[async_trait]
pub trait CaptureSink: Send + Sync {
    /// How far one is.
    async fn state(&self, upload: Uuid) -> DriverResult<CaptureState>;
    /// Sends a piece that begins at `offset`; the disk has been read so far, in per cent.
    async fn piece(
        &self,
        upload: Uuid,
        offset: u64,
        percent: u8,
        piece: Vec<u8>,
    ) -> DriverResult<CaptureState>;
    /// Says how it ended here.
    async fn end(&self, upload: Uuid, end: &CaptureEnd) -> DriverResult<CaptureState>;
}

/// Which volume.
pub struct Volume<'v> {
    /// Its pool.
    pub pool: &'v PoolWanted,
    /// Its id.
    pub id: VolumeId,
    /// Its uuid.
    pub uuid: Uuid,
}

/// Sends all of it, from where the brain has it. One that cannot be read ends with the reason.
pub async fn capture(
    storage: &dyn Storage,
    volume: &Volume<'_>,
    upload: Uuid,
    sink: &dyn CaptureSink,
    progress: &ProgressSink,
) -> DriverResult<()> {
    let state = sink.state(upload).await?;
    if !state.wanted {
        tokio::time::sleep(ON_ITS_WAY).await;
        return Ok(());
    }
    let percent = Arc::new(AtomicU8::new(0));
    let (told, onward) = (Arc::clone(&percent), Arc::clone(progress));
    let progress: ProgressSink = Arc::new(move |part: &str, percent: Option<u8>| {
        told.store(percent.unwrap_or_default(), Ordering::Relaxed);
        onward(part, percent);
    });
    let (pieces, received) = mpsc::channel(WAITING);
    let reading = storage.read_files(volume.pool, volume.id, volume.uuid, pieces, &progress);
    let sending = send(sink, upload, state.received, &percent, received, ASKED_EVERY);
    let (read, sent) = tokio::join!(reading, sending);
    let end = match (sent?, read) {
        (Sent::NotWanted, _) => return Ok(()),
        (Sent::All, Ok(captured)) => CaptureEnd::Whole { size: captured.compressed, digest: captured.digest },
        (Sent::All, Err(DriverError::Never(problem))) => CaptureEnd::Impossible { problem },
        (Sent::All, Err(later)) => return Err(later),
    };
    sink.end(upload, &end).await.map(drop)
}

/// What became of it.
enum Sent {
    /// The brain has what came of the reader.
    All,
    /// It was given up meanwhile.
    NotWanted,
}

/// Sends what comes, but for what the brain has.
async fn send(
    sink: &dyn CaptureSink,
    upload: Uuid,
    mut offset: u64,
    percent: &AtomicU8,
    mut received: mpsc::Receiver<Vec<u8>>,
    asked_every: Duration,
) -> DriverResult<Sent> {
    let (mut left_out, mut waiting) = (offset, Vec::new());
    let (mut asked, mut answered) = (Instant::now(), Instant::now());
    loop {
        // e2fsck may take an hour, and so may leaving out what the brain has.
        if asked.elapsed() >= asked_every {
            match sink.state(upload).await {
                Ok(state) if !state.wanted => return Ok(Sent::NotWanted),
                Ok(_) => answered = Instant::now(),
                Err(error) if answered.elapsed() >= AWAY => return Err(error),
                // It is told once something is sent.
                Err(_) => {}
            }
            asked = Instant::now();
        }
        let Ok(more) = tokio::time::timeout_at(asked + asked_every, received.recv()).await else { continue };
        let ended = more.is_none();
        let mut more = more.unwrap_or_default();
        let known = usize::try_from(left_out).unwrap_or(usize::MAX).min(more.len());
        left_out -= known as u64;
        waiting.extend(more.drain(known..));
        if waiting.len() >= PIECE || ended && !waiting.is_empty() {
            let piece = std::mem::take(&mut waiting);
            let next = offset + piece.len() as u64;
            let state = sink.piece(upload, offset, percent.load(Ordering::Relaxed), piece).await?;
            if !state.wanted {
                return Ok(Sent::NotWanted);
            }
            if state.received != next {
                let text = format!("the brain has {} bytes of the disk, and was sent {next}", state.received);
                return Err(DriverError::Later(text));
            }
            offset = next;
            (asked, answered) = (Instant::now(), Instant::now());
        }
        if ended {
            return Ok(Sent::All);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    /// A brain that wants it when it is asked for the first time, is away when it is asked again, and wants it no more afterwards.
    #[derive(Default)]
    struct Once(AtomicU32);

    #[async_trait]
    impl CaptureSink for Once {
        async fn state(&self, _: Uuid) -> DriverResult<CaptureState> {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                1 => Err(DriverError::Later("it is started anew".to_owned())),
                asked => Ok(CaptureState { wanted: asked == 0, received: 1 << 30 }),
            }
        }

        async fn piece(&self, _: Uuid, _: u64, _: u8, _: Vec<u8>) -> DriverResult<CaptureState> {
            Err(DriverError::Later("nothing is to be sent".to_owned()))
        }

        async fn end(&self, _: Uuid, _: &CaptureEnd) -> DriverResult<CaptureState> {
            Err(DriverError::Later("it does not end here".to_owned()))
        }
    }

    #[tokio::test]
    async fn what_is_given_up_is_noticed_though_nothing_is_sent() {
        let often = Duration::from_millis(5);
        let sent = async |sink: &Once, received| {
            let percent = AtomicU8::new(0);
            let sending = send(sink, Uuid::nil(), 1 << 30, &percent, received, often);
            tokio::time::timeout(Duration::from_mins(1), sending).await.unwrap()
        };
        // The reader is silent; and it says again and again what the brain has.
        let (_silent, received) = mpsc::channel(1);
        let sink = Once::default();
        assert!(matches!(sent(&sink, received).await, Ok(Sent::NotWanted)));
        assert_eq!(sink.0.load(Ordering::Relaxed), 3);
        let (pieces, received) = mpsc::channel(1);
        let speaking = tokio::spawn(async move { while pieces.send(vec![0; 16]).await.is_ok() {} });
        let sink = Once::default();
        assert!(matches!(sent(&sink, received).await, Ok(Sent::NotWanted)));
        assert_eq!(sink.0.load(Ordering::Relaxed), 3);
        speaking.await.unwrap();
    }
}

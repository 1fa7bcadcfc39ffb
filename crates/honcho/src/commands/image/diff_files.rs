//! `honcho image diff --files`: both tarballs come as streams, and only names and digests of what is in them are remembered.

use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use crate::listing::{self, ListArguments};
use crate::progress::bytes_bar;
use crate::table::Cell;
use bytes::Bytes;
use futures::TryStreamExt as _;
use honcho_api::Image;
use honcho_api::client::ClientError;
use honcho_images::import::files::{FileDifference, FileSide, Files};
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};
use tokio::sync::mpsc;

/// So many pieces wait to be read.
const WAITING: usize = 16;

pub(super) async fn run(
    context: &Context,
    before: &Image,
    after: &Image,
    list: &ListArguments,
) -> Result<(), CommandError> {
    let lines = if before.digest == after.digest {
        Vec::new()
    } else {
        let (before, after) = (files(context, before).await?, files(context, after).await?);
        before.differences(&after)
    };
    let lines = list.arranged(lines)?;
    let headings = ["WHAT", "PATH", "IN", "BEFORE", "AFTER"];
    listing::show(context, &lines, "They hold the same files.", &headings, |line: &FileDifference| {
        vec![
            Cell::text(&line.what),
            Cell::text(&line.path),
            Cell::text(line.differs_in.join(", ")),
            Cell::maybe(line.before.as_ref().map(side).as_ref()),
            Cell::maybe(line.after.as_ref().map(side).as_ref()),
        ]
    })
}

/// As in `0644 0:0 1234`.
fn side(side: &FileSide) -> String {
    format!("{} {}:{} {}", side.mode, side.uid, side.gid, side.size)
}

/// The files in an image, out of the tarball that the brain keeps.
async fn files(context: &Context, image: &Image) -> Result<Files, CommandError> {
    let mut chunks = context.client()?.blob(&image.digest).await.map_err(|error| match &error {
        ClientError::Refused(body) if body.status == 403 => CommandError::new(
            Ending::Refused,
            "files are compared by operators alone: others cannot read tarballs",
        )
        .hint("without --files packages are compared"),
        _ => error.into(),
    })?;
    let (pieces, received) = mpsc::channel::<Bytes>(WAITING);
    let reading = tokio::task::spawn_blocking(move || {
        let mut from = Pieces { received, current: Bytes::new() };
        let files = Files::read(&mut from);
        // Whoever sends is not to wait for somebody who has gone; and the digest is of all of it.
        io::copy(&mut from, &mut io::sink()).map(|_| files)
    });
    let bar =
        bytes_bar(&format!("read {}", image.name), u64::try_from(image.compressed_bytes).unwrap_or_default());
    let mut hash = Sha256::new();
    while let Some(chunk) = chunks.try_next().await? {
        hash.update(&chunk);
        bar.inc(chunk.len() as u64);
        if pieces.send(chunk).await.is_err() {
            break;
        }
    }
    drop(pieces);
    bar.finish_and_clear();
    let damaged = || CommandError::failed(format!("image {} cannot be read", image.name));
    let files =
        reading.await.map_err(|error| damaged().cause(&error))?.map_err(|error| damaged().cause(&error))?;
    if honcho_model::Digest(hash.finalize().into()).to_string() != image.digest {
        return Err(damaged().hint("the brain's blob is damaged: `honcho image verify` says more"));
    }
    files.map_err(|error| damaged().cause(&error))
}

/// What comes, to whoever reads and may wait.
struct Pieces {
    received: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.received.blocking_recv() {
                Some(next) => self.current = next,
                None => return Ok(0),
            }
        }
        let n = buffer.len().min(self.current.len());
        buffer[..n].copy_from_slice(&self.current.split_to(n));
        Ok(n)
    }
}

//! How a tarball comes to the brain.

use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use crate::progress::bytes_bar;
use crate::values::size_text;
use futures::StreamExt;
use honcho_api::Image;
use honcho_api::client::Client;
use honcho_model::Digest;
use std::path::Path;

/// A sealed tarball on this machine.
pub(super) struct Tarball<'t> {
    pub(super) path: &'t Path,
    pub(super) digest: Digest,
    pub(super) compressed: honcho_model::Bytes,
}

/// A size for people.
pub(super) fn bytes(bytes: honcho_model::Bytes) -> String {
    size_text(i64::try_from(bytes.0).unwrap_or(i64::MAX))
}

/// The name is another image's.
pub(super) fn taken_by(taken: &Image) -> CommandError {
    let name = &taken.name;
    let text = format!("there is an image named {name} already (id {})", taken.id);
    CommandError::new(Ending::Refused, text)
        .hint(format!("--name gives the new one another name; `honcho image delete {name}` makes room"))
}

/// Sends a tarball, unless the brain has it.
pub(super) async fn send(
    context: &Context,
    client: &Client,
    tarball: &Tarball<'_>,
    name: &str,
) -> Result<(), CommandError> {
    let digest = tarball.digest.to_string();
    if client.has_blob(&digest).await? {
        context.output.note("the brain has it already");
        return Ok(());
    }
    let cannot_read =
        |error| CommandError::failed(format!("cannot read {}", tarball.path.display())).cause(&error);
    let file = tokio::fs::File::open(tarball.path).await.map_err(cannot_read)?;
    let bar = bytes_bar(&format!("send {name}"), tarball.compressed.0);
    let counter = bar.clone();
    let chunks = tokio_util::io::ReaderStream::with_capacity(file, 256 * 1024).inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            counter.inc(chunk.len() as u64);
        }
    });
    let sent = client.send_blob(&digest, tarball.compressed.0, chunks).await;
    bar.finish_and_clear();
    sent?;
    context.output.note(&format!("sent it to {}", client.url()));
    Ok(())
}

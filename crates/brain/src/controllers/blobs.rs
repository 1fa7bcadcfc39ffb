//! Deletes blobs that nothing has named for long: no image, no guest, and nobody who has just sent them.

use crate::app::App;
use crate::operations::{BlobCollect, BlobsLook};
use honcho_model::{Digest, Timestamp};
use honcho_store::{Actor, StoreResult, blobs};
use std::collections::BTreeMap;

pub(crate) async fn step(app: App) -> StoreResult<()> {
    // What a restored database does not name, a machine may.
    if honcho_store::restoring::life(app.store.reader()).await?.is_unaccepted() {
        return Ok(());
    }
    let kept: BTreeMap<_, _> = match app.blobs.list().await {
        Ok(kept) => kept.into_iter().collect(),
        Err(error) => {
            tracing::error!(%error, "the blobs cannot be listed; it is tried again");
            return Ok(());
        }
    };
    app.write(Actor::honcho(), &BlobsLook(kept.keys().copied().collect())).await?;
    for unnamed in blobs::unnamed(app.store.reader()).await? {
        let Some(size) = kept.get(&unnamed.digest) else { continue };
        let (digest, now) = (unnamed.digest, app.now());
        if !unnamed.is_over(now) {
            continue;
        }
        // Whoever reads all of them would miss one.
        let _alone = match app.blobs.hold_to_delete() {
            Ok(Some(alone)) => alone,
            Ok(None) => {
                tracing::info!("blobs that nothing names are kept while a backup reads them");
                return Ok(());
            }
            Err(error) => {
                tracing::error!(%error, "blobs cannot be locked; it is tried again");
                return Ok(());
            }
        };
        if let Some(marked) = app.write(Actor::honcho(), &BlobCollect(digest)).await? {
            delete(&app, digest, *size, marked).await;
        }
    }
    Ok(())
}

/// Deletes what was marked.
pub(crate) async fn delete(app: &App, digest: Digest, size: u64, marked: Timestamp) {
    if !blobs::may_delete(marked, app.now()) {
        tracing::warn!(%digest, "a blob was not deleted: this brain was held up after it had marked it; it is tried again");
        return;
    }
    match app.blobs.delete(digest).await {
        Ok(()) => tracing::info!(%digest, size, "a blob that nothing named was deleted"),
        Err(error) => tracing::error!(%digest, %error, "a blob could not be deleted; it is tried again"),
    }
}

//! Uploads: begins to seal those that have come whole, gives up those of which nothing comes any more.

use crate::app::App;
use crate::operations::{ImageUploadRefuse, ImageUploadsForget};
use crate::uploads::{AppendError, begin_sealing};
use honcho_store::{Actor, Scope, StoreResult, image_uploads};
use std::collections::BTreeSet;

/// Whoever asks may wait for what was begun.
pub(crate) async fn seal(app: App) -> StoreResult<()> {
    begin_sealing(&app).await?;
    Ok(())
}

pub(crate) async fn tidy(app: App) -> StoreResult<()> {
    for (id, uuid) in image_uploads::expired(app.store.reader(), app.now()).await? {
        // A long piece may be coming just now, of which nobody knows before it has come.
        let _held = match app.uploads.hold(uuid) {
            Ok(held) => held,
            Err(AppendError::Busy) => continue,
            Err(error) => {
                tracing::error!(upload = %id, ?error, "what came of an upload cannot be opened; it is tried again");
                continue;
            }
        };
        // One may have come whole meanwhile, while nobody held it.
        let still = image_uploads::expired(app.store.reader(), app.now()).await?;
        if !still.contains(&(id, uuid)) {
            continue;
        }
        let problem =
            format!("nothing more of it came for {} hours", image_uploads::PATIENCE.as_secs() / 3600);
        app.write(Actor::honcho(), &ImageUploadRefuse { scope: Scope::System, id, problem }).await?;
    }
    app.write(Actor::honcho(), &ImageUploadsForget).await?;
    let open = image_uploads::list(app.store.reader(), Scope::System, &image_uploads::open()).await?;
    let open: BTreeSet<_> = open.into_iter().map(|upload| upload.uuid).collect();
    let uploads = app.uploads.clone();
    let swept = tokio::task::spawn_blocking(move || uploads.sweep(&open)).await;
    match swept.map_err(std::io::Error::other).flatten() {
        Ok(()) => {}
        Err(error) => {
            tracing::error!(%error, "what ended uploads left could not be deleted; it is tried again");
        }
    }
    Ok(())
}

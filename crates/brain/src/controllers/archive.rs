//! Keeps what apt reads valid: a release that nobody has replaced is signed anew before it is believed no more.

use crate::app::App;
use honcho_store::StoreResult;

pub(crate) async fn step(app: App) -> StoreResult<()> {
    let Some(archive) = app.archive.clone() else { return Ok(()) };
    match archive.keep(app.now().0.div_euclid(1_000_000)).await {
        Ok(signed) => {
            for suite in signed {
                tracing::info!(%suite, "the archive was signed anew");
            }
        }
        // It is the archive's trouble and no store's; the next step tries again, and there are days left for it.
        Err(error) => tracing::error!(%error, "the archive cannot be signed anew"),
    }
    Ok(())
}

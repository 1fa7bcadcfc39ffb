//! Keeps what apt reads valid: a release that nobody has replaced is signed anew before it is believed no more. And lets go of what is old,
//! where that is wanted: never of what a guest has installed.

use crate::app::App;
use crate::archive::{OwnArchive, as_guests_say};
use honcho_archive::Pruned;
use honcho_store::{Scope, StoreResult, guest_packages, restoring};
use std::collections::HashSet;

pub(crate) async fn step(app: App) -> StoreResult<()> {
    let Some(archive) = app.archive.clone() else { return Ok(()) };
    let now = app.now().0.div_euclid(1_000_000);
    match archive.keep(now).await {
        Ok(signed) => {
            for suite in signed {
                tracing::info!(%suite, "the archive was signed anew");
            }
        }
        // It is the archive's trouble and no store's; the next step tries again, and there are days left for it.
        Err(error) => tracing::error!(%error, "the archive cannot be signed anew"),
    }
    let_go(&app, &archive, now).await
}

async fn let_go(app: &App, archive: &OwnArchive, now: i64) -> StoreResult<()> {
    let Some(retention) = archive.due(now) else { return Ok(()) };
    // Who has what is not known there: what the backup says of it may be long ago.
    if restoring::life(app.store.reader()).await?.is_unaccepted() {
        return Ok(());
    }
    let failed = |error| tracing::error!(%error, "the archive cannot be pruned");
    let loose = match archive.loose(retention).await {
        Ok(loose) => loose,
        Err(error) => {
            failed(error);
            return Ok(());
        }
    };
    let reader = app.store.reader();
    let asked: HashSet<_> = loose.iter().map(as_guests_say).collect();
    let installed = guest_packages::installed_of(reader, Scope::System, &asked).await?;
    let unknown = guest_packages::known(reader, Scope::System).await?.unknown;
    match archive.prune(retention, loose, installed.into_keys().collect(), now).await {
        Ok(Pruned { publications, packages, bytes, held, .. }) => {
            if publications + packages > 0 {
                tracing::info!(
                    publications,
                    packages,
                    bytes,
                    "old publications and packages of the archive are gone"
                );
            }
            if !held.is_empty() {
                tracing::info!(
                    packages = held.len(),
                    "stay in the archive though no publication lists them: guests have them"
                );
            }
            if packages > 0 && unknown > 0 {
                tracing::warn!(
                    guests = unknown,
                    "nobody knows what these guests have installed: it was not held for them"
                );
            }
        }
        Err(error) => failed(error),
    }
    Ok(())
}

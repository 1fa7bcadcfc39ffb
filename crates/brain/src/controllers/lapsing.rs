//! Deletes guests whose grace period has ended.

use crate::app::App;
use crate::operations::GuestLapse;
use honcho_store::{Actor, StoreResult, guests_desired};

pub(crate) async fn step(app: App) -> StoreResult<()> {
    for id in guests_desired::lapsed(app.store.reader(), app.now()).await? {
        app.write(Actor::honcho(), &GuestLapse { id }).await?;
    }
    Ok(())
}

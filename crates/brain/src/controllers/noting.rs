//! Takes away notes of which hosts changed that every brain has read by now; one that has not reads the fleet anew. And looks
//! whether these notes told everything.

use crate::app::App;
use honcho_store::{Actor, Change, StoreResult, Tx, rooms};
use std::sync::{Mutex, PoisonError};

struct ForgetChanges {
    before: Option<i64>,
}

impl Change for ForgetChanges {
    type Out = Option<i64>;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Option<i64>> {
        rooms::forget_changes(tx, self.before).await
    }
}

/// What was there at one step is taken away at the next one: whoever orders anything in between has read it.
pub(crate) async fn step(app: App, before: &Mutex<Option<i64>>) -> StoreResult<()> {
    if !app.store.is_shared() {
        return Ok(());
    }
    let change = ForgetChanges { before: *before.lock().unwrap_or_else(PoisonError::into_inner) };
    let next = app.write(Actor::honcho(), &change).await?;
    *before.lock().unwrap_or_else(PoisonError::into_inner) = next;
    Ok(())
}

/// Whether the fleet that placing keeps in this brain's memory is the one that there is. It is what every order goes by: if a change was
/// ever not heard of, the next order reads all of it, and an operator is told.
pub(crate) async fn check(app: App) -> StoreResult<()> {
    if let Some(difference) = app.standing.check(&app.store, app.now()).await? {
        tracing::error!(
            difference,
            "placing did not hear of a change; the fleet is read anew. This is a fault of Honcho: report it"
        );
    }
    Ok(())
}

//! Begins moves whose turn has come (docs/design/0008).

use crate::app::App;
use crate::operations::MoveTurn;
use crate::placing::turns::may_begin;
use honcho_store::{Actor, StoreResult, guest_moves};
use std::collections::BTreeSet;

pub(crate) async fn step(app: App) -> StoreResult<()> {
    // What was to be moved meanwhile waits until an operator has seen what differs.
    if honcho_store::restoring::life(app.store.reader()).await?.is_unaccepted() {
        return Ok(());
    }
    let mut tried = BTreeSet::new();
    loop {
        // Anew after each: what has begun may let the one behind it begin as well.
        let all = guest_moves::pending(app.store.reader()).await?;
        let next = all.iter().find(|pending| !tried.contains(&pending.id) && may_begin(&all, pending.id));
        let Some(next) = next else { return Ok(()) };
        tried.insert(next.id);
        let turn = MoveTurn { id: next.id, ticket: app.outside.secret(), rules: app.rules };
        app.write(Actor::honcho(), &turn).await?;
    }
}

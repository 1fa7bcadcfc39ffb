//! Writes down when tokens and sessions were last used, and takes away sessions that have ended by time.

use crate::app::App;
use crate::credentials::Used;
use honcho_store::{Actor, Change, StoreResult, Tx, sessions, tokens};

struct NoteUses(Used);

impl Change for NoteUses {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        tokens::note_used(tx, &self.0.tokens).await?;
        sessions::note_used(tx, &self.0.sessions).await?;
        sessions::sweep(tx).await?;
        Ok(())
    }
}

pub(crate) async fn step(app: App) -> StoreResult<()> {
    let used = app.credentials.take_used();
    if used.tokens.is_empty() && used.sessions.is_empty() {
        return Ok(());
    }
    app.write(Actor::honcho(), &NoteUses(used)).await
}

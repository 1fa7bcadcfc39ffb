//! Writes down when hosts were heard and how busy they are, and makes an event of each that fell silent.

use crate::app::App;
use honcho_model::event::ResourceKind;
use honcho_model::host::SILENT_AFTER;
use honcho_store::events::{self, NewEvent};
use honcho_store::{Actor, Change, StoreResult, Tx, hosts};

/// Writes down when hosts were heard by this brain.
struct NoteHeard {
    heard: Vec<hosts::Seen>,
}

impl Change for NoteHeard {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        hosts::note_seen(tx, &self.heard).await
    }
}

struct NoteSilence;

impl Change for NoteSilence {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        for host in hosts::take_fallen_silent(tx).await? {
            let resource = (ResourceKind::Host, host.id.0, host.name.as_str());
            let text = "its agent does not speak any more; its guests may well be running";
            events::record(tx, NewEvent::info("host.silent", resource, text).alarm()).await?;
        }
        Ok(())
    }
}

/// Of every brain: each has agents of its own.
pub(crate) async fn heard(app: App) -> StoreResult<()> {
    let heard = app.liveness.take();
    if heard.is_empty() {
        return Ok(());
    }
    let outcome = app.write(Actor::honcho(), &NoteHeard { heard: heard.clone() }).await;
    if outcome.is_err() {
        // It was so all the same: the next batch has it, unless they were heard again meanwhile.
        app.liveness.give_back(heard);
    } else if heard.iter().any(|seen| seen.load.is_some()) {
        app.standing.loads_told();
    }
    outcome
}

pub(super) async fn step(app: App) -> StoreResult<()> {
    // After its own start the brain has to listen for a while before it may call a host silent.
    let listened = app.now().since(app.started_at) > SILENT_AFTER;
    // Nobody else can write meanwhile, so nothing is begun for nothing.
    if !listened || hosts::fallen_silent(app.store.reader(), app.now()).await?.is_empty() {
        return Ok(());
    }
    app.write(Actor::honcho(), &NoteSilence).await
}

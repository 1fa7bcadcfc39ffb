//! Writes down when hosts were heard, and makes an event of each that fell silent.

use crate::app::App;
use honcho_model::event::ResourceKind;
use honcho_model::host::SILENT_AFTER;
use honcho_model::{HostId, Timestamp};
use honcho_store::events::{self, NewEvent};
use honcho_store::{Actor, Change, StoreResult, Tx, hosts};

struct NoteSilence {
    heard: Vec<(HostId, Timestamp)>,
    /// Whether the brain has listened long enough to call a host silent: after its own start it has not.
    listened: bool,
}

impl Change for NoteSilence {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        hosts::note_seen(tx, &self.heard).await?;
        if !self.listened {
            return Ok(());
        }
        for host in hosts::take_fallen_silent(tx).await? {
            let resource = (ResourceKind::Host, host.id.0, host.name.as_str());
            let text = "its agent does not speak any more; its guests may well be running";
            events::record(tx, NewEvent::info("host.silent", resource, text).alarm()).await?;
        }
        Ok(())
    }
}

pub(super) async fn step(app: App) -> StoreResult<()> {
    let heard = app.liveness.take();
    let listened = app.now().since(app.started_at) > SILENT_AFTER;
    app.write(Actor::honcho(), &NoteSilence { heard, listened }).await
}

//! Writes down when hosts were heard, and makes an event of each that fell silent.

use crate::app::App;
use honcho_model::event::ResourceKind;
use honcho_model::{HostId, Timestamp};
use honcho_store::events::{self, NewEvent};
use honcho_store::{Actor, Change, StoreResult, Tx, hosts};

struct NoteSilence {
    heard: Vec<(HostId, Timestamp)>,
}

impl Change for NoteSilence {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        hosts::note_seen(tx, &self.heard).await?;
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
    app.write(Actor::honcho(), &NoteSilence { heard }).await
}

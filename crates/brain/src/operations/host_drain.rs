//! Emptying a host: no new guest goes there. Its guests stay where they are until they are moved.

use super::operators_only;
use honcho_api::Host;
use honcho_model::HostId;
use honcho_model::event::ResourceKind;
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, Scope, StoreResult, Turn, Tx, hosts};

/// Whether a host takes guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// It is to be emptied.
    Drained,
    /// It takes guests again.
    Undrained,
}

/// Begins to empty a host, or ends that. Twice is once.
pub(crate) struct HostDrain {
    pub(crate) scope: Scope,
    pub(crate) id: HostId,
    pub(crate) wanted: Wanted,
}

impl Change for HostDrain {
    type Out = Host;
    // An order that has decided for this host comes before it, or sees it.
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Host> {
        operators_only(self.scope)?;
        let before = hosts::get(tx, self.id, tx.now).await?;
        let (since, kind, words) = match self.wanted {
            Wanted::Drained => (Some(tx.now), "host.drain", "is to be emptied: no new guest is placed on it"),
            Wanted::Undrained => (None, "host.undrain", "takes new guests again"),
        };
        if before.draining_since.is_some() == since.is_some() {
            return Ok(before);
        }
        hosts::set_draining(tx, self.id, since).await?;
        let after = hosts::get(tx, self.id, tx.now).await?;
        let resource = (ResourceKind::Host, after.id, after.name.as_str());
        let (was, is) = (serde_json::to_value(&before).ok(), serde_json::to_value(&after).ok());
        events::record(tx, NewEvent::info(kind, resource, words).change(was, is)).await?;
        Ok(after)
    }
}

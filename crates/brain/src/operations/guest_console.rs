//! Who opened a guest's console: nothing of the guest changes, but whoever sits there may do anything within it.

use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, GuestId};
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, Scope, StoreResult, Tx, guests};

/// Writes it down.
pub(crate) struct GuestConsoleOpened {
    pub(crate) scope: Scope,
    pub(crate) id: GuestId,
}

impl Change for GuestConsoleOpened {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        let guest = guests::get(tx, self.scope, self.id, tx.now).await?;
        let resource = (ResourceKind::Guest, guest.id, guest.name.as_str());
        let event = NewEvent::info("guest.console", resource, "its console was opened");
        events::record(tx, event.of(Some(AccountId(guest.account_id)))).await?;
        Ok(())
    }
}

//! Cancelling, taking back, deleting.

use super::guest_power::save;
use honcho_api::Operation;
use honcho_model::GuestId;
use honcho_model::guest::Power;
use honcho_model::operation::OperationKind;
use honcho_store::guests_desired::{self, Desired};
use honcho_store::{Change, Refusal, Scope, StoreResult, Tx, accounts};
use std::time::Duration;

/// Stops a guest and keeps its disk until the account's grace period ends.
pub(crate) struct GuestCancel {
    pub(crate) scope: Scope,
    pub(crate) id: GuestId,
}

impl Change for GuestCancel {
    type Out = Operation;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Operation> {
        let before = guests_desired::get(tx, self.scope, self.id).await?;
        refuse_deleted(&before)?;
        if before.cancelled_at.is_some() {
            return Err(Refusal::Conflict("it is cancelled already".to_owned()).into());
        }
        let account = accounts::get(tx, Scope::System, before.account).await?;
        let grace = Duration::from_secs(u64::try_from(account.grace_seconds).unwrap_or(0));
        let mut guest = before.clone();
        guest.cancelled_at = Some(tx.now);
        guest.deletes_at = Some(tx.now.plus(grace));
        save(tx, self.scope, OperationKind::Cancel, &before, &mut guest).await
    }
}

/// Takes a cancelled guest back.
pub(crate) struct GuestRestore {
    pub(crate) scope: Scope,
    pub(crate) id: GuestId,
}

impl Change for GuestRestore {
    type Out = Operation;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Operation> {
        let before = guests_desired::get(tx, self.scope, self.id).await?;
        refuse_deleted(&before)?;
        if before.cancelled_at.is_none() {
            return Err(Refusal::Conflict("it is not cancelled".to_owned()).into());
        }
        let mut guest = before.clone();
        guest.cancelled_at = None;
        guest.deletes_at = None;
        if guest.power == Power::Running {
            guest.boots_wanted += 1;
            guest.boot_hard = guest.stop_hard;
        }
        save(tx, self.scope, OperationKind::Restore, &before, &mut guest).await
    }
}

/// Deletes a guest for good: at once, or because its grace period has ended.
pub(crate) struct GuestDelete {
    pub(crate) scope: Scope,
    pub(crate) id: GuestId,
}

impl Change for GuestDelete {
    type Out = Operation;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Operation> {
        let before = guests_desired::get(tx, self.scope, self.id).await?;
        refuse_deleted(&before)?;
        let mut guest = before.clone();
        guest.cancelled_at = guest.cancelled_at.or(Some(tx.now));
        guest.deletes_at = Some(guest.deletes_at.map_or(tx.now, |at| at.min(tx.now)));
        guest.deleting_at = Some(tx.now);
        save(tx, self.scope, OperationKind::Delete, &before, &mut guest).await
    }
}

fn refuse_deleted(guest: &Desired) -> Result<(), Refusal> {
    if guest.deleting_at.is_some() || guest.deleted_at.is_some() {
        return Err(Refusal::Conflict("it is deleted".to_owned()));
    }
    Ok(())
}

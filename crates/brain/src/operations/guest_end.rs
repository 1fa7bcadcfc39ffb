//! Cancelling, taking back, deleting.

use super::guest_power::save;
use super::quotas::{self, Extra};
use crate::placing::{self, Need};
use honcho_api::Operation;
use honcho_model::guest::Power;
use honcho_model::operation::OperationKind;
use honcho_model::{Bytes, GuestId};
use honcho_store::guests_desired::{self, Desired};
use honcho_store::{Change, Refusal, Scope, StoreResult, Tx, accounts, hosts};
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
        // It may be taken back: its filesystem deserves to be told.
        guest.stop_hard = false;
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
        let extra = Extra { guests: 1, vcpus: before.vcpus, memory: before.memory, ..Extra::default() };
        quotas::check(tx, before.account, extra).await?;
        let mut guest = before.clone();
        guest.cancelled_at = None;
        guest.deletes_at = None;
        // Its disk was kept for it, its memory was not.
        let need = Need { memory: guest.memory, disk: Bytes(0), host: guest.host };
        let room = placing::room_to_grow(&hosts::rooms(tx, tx.now).await?, guest.pool, need);
        room.map_err(|why| Refusal::invalid("base", placing::said_to(self.scope, why)))?;
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

/// Deletes a guest whose grace period has ended, if that still is so: it may have been taken back since it was looked up.
pub(crate) struct GuestLapse {
    pub(crate) id: GuestId,
}

impl Change for GuestLapse {
    /// The operation; `None` when it was taken back, or deleted already.
    type Out = Option<Operation>;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Option<Operation>> {
        let guest = guests_desired::get(tx, Scope::System, self.id).await?;
        let lapsed = guest.deletes_at.is_some_and(|at| at <= tx.now) && guest.cancelled_at.is_some();
        if !lapsed || guest.deleting_at.is_some() || guest.deleted_at.is_some() {
            return Ok(None);
        }
        GuestDelete { scope: Scope::System, id: self.id }.run(tx).await.map(Some)
    }
}

fn refuse_deleted(guest: &Desired) -> Result<(), Refusal> {
    if guest.deleting_at.is_some() || guest.deleted_at.is_some() {
        return Err(Refusal::Conflict("it is deleted".to_owned()));
    }
    Ok(())
}

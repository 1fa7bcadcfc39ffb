//! Cancelling, taking back, deleting.

use super::guest_power::save;
use super::operators_only;
use super::quotas::{self, Extra};
use super::{guest_capture, guest_move};
use crate::placing::{Claim, Growth};
use honcho_api::Operation;
use honcho_model::guest::Power;
use honcho_model::operation::OperationKind;
use honcho_model::{Bytes, GuestId};
use honcho_placement::Rules;
use honcho_store::guest_moves;
use honcho_store::guests_desired::{self, Desired};
use honcho_store::rooms::{self, Claimed, Room};
use honcho_store::{Change, Refusal, Scope, StoreResult, Turn, Tx, accounts, guests, operations};
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
    /// What placing holds to.
    pub(crate) rules: Rules,
}

impl Change for GuestRestore {
    type Out = Operation;
    // What it had was given up, and is claimed again.
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Operation> {
        restore(tx, self.scope, self.id, &mut Rooms::read(tx, self.rules).await?).await
    }
}

/// Takes a cancelled guest back; `rooms` is what is left for it and for further ones.
pub(super) async fn restore(tx: &Tx, scope: Scope, id: GuestId, rooms: &mut Rooms) -> StoreResult<Operation> {
    let before = guests_desired::get(tx, scope, id).await?;
    refuse_deleted(&before)?;
    if before.cancelled_at.is_none() {
        return Err(Refusal::Conflict("it is not cancelled".to_owned()).into());
    }
    // Its memory would have to be had on both hosts.
    guest_move::refuse_moving(&before)?;
    let account = accounts::get(tx, Scope::System, before.account).await?;
    if account.cancelled_at.is_some() {
        return Err(Refusal::Conflict("its account is cancelled: restore that first".to_owned()).into());
    }
    let extra = Extra { guests: 1, vcpus: before.vcpus, memory: before.memory, ..Extra::default() };
    quotas::check(tx, before.account, extra).await?;
    let mut guest = before.clone();
    let said = take_back(&mut guest, rooms);
    let operation = save(tx, scope, OperationKind::Restore, &before, &mut guest).await?;
    if let Some(said) = said {
        operations::note(tx, operation.id.into(), said).await?;
    }
    operations::get(tx, scope, operation.id.into()).await
}

/// The room on every host, as one change takes it up.
pub(super) struct Rooms {
    rooms: Vec<Room>,
    rules: Rules,
}

impl Rooms {
    pub(super) async fn read(tx: &Tx, rules: Rules) -> StoreResult<Self> {
        Ok(Rooms { rooms: rooms::list(tx, None, tx.now).await?, rules })
    }
}

/// Makes a cancelled guest what it was. Its disk was kept for it; its memory and its vCPUs were not: where there is no room for
/// them any more, or N+1 would not be kept, it comes back stopped, and what is given says so. Starting it says what is short.
pub(super) fn take_back(guest: &mut Desired, rooms: &mut Rooms) -> Option<&'static str> {
    guest.cancelled_at = None;
    guest.deletes_at = None;
    guest.cancelled_with_account = false;
    let claim = Claim {
        rooms: &rooms.rooms,
        host: guest.host,
        pool: guest.pool,
        counted: Bytes(0),
        growth: Growth { memory: guest.memory, vcpus: guest.vcpus, disk: Bytes(0) },
        rules: rooms.rules,
    };
    // Of one that is on its way the other host would have to have room, too.
    guest.memory_claimed = !guest.moving && claim.has_room().is_ok();
    if !guest.memory_claimed {
        guest.power = Power::Stopped;
        guest.lock_version += 1;
        return Some(guests::NO_ROOM);
    }
    if let Some(room) = rooms.rooms.iter_mut().find(|room| Some(room.host) == guest.host) {
        let memory = i64::try_from(guest.memory.0).unwrap_or(i64::MAX);
        room.claimed.push(Claimed { memory, vcpus: guest.vcpus.into(), guests: 1 });
    }
    if guest.power == Power::Running && guest.suspended_at.is_none() {
        guest.boots_wanted += 1;
        guest.boot_hard = guest.stop_hard;
        guest.given_up = None;
    }
    None
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
        if before.cancelled_with_account {
            // What its customer may still look at is the operators' to end.
            operators_only(self.scope)?;
        }
        // It goes where it is, and what of it is elsewhere goes too.
        let before = match guest_moves::of_guest(tx, self.id).await? {
            Some(under_way) => guest_move::stay(tx, &before, &under_way).await?,
            None => before,
        };
        let mut guest = before.clone();
        guest.cancelled_at = guest.cancelled_at.or(Some(tx.now));
        guest.deletes_at = Some(guest.deletes_at.map_or(tx.now, |at| at.min(tx.now)));
        guest.deleting_at = Some(tx.now);
        guest_capture::give_up(tx, self.id, "its guest was deleted").await?;
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
        // With its account's cancellation it is taken back or deleted together with the account.
        let lapsed = guest.deletes_at.is_some_and(|at| at <= tx.now)
            && guest.cancelled_at.is_some()
            && !guest.cancelled_with_account;
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

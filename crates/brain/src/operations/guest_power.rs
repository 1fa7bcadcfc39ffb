//! Starting, stopping and rebooting.

use super::guest_move;
use crate::placing::{self, Claim, Growth};
use honcho_api::Operation;
use honcho_model::event::ResourceKind;
use honcho_model::guest::Power;
use honcho_model::operation::OperationKind;
use honcho_model::{Bytes, GuestId};
use honcho_placement::Rules;
use honcho_store::events::{self, NewEvent};
use honcho_store::guests_desired::{self, Desired};
use honcho_store::{Change, Refusal, Scope, StoreResult, Tx, operations, rooms};

/// Why a guest may not start.
pub(super) const SUSPENDED: &str = "its account is suspended: it may not start until that ends";

/// What to do with the power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PowerAction {
    /// Run it.
    Start,
    /// Stop it: politely, or with `hard` at once.
    Stop { hard: bool },
    /// Stop and start it.
    Reboot { hard: bool },
}

impl PowerAction {
    fn kind(self) -> OperationKind {
        match self {
            PowerAction::Start => OperationKind::Start,
            PowerAction::Stop { .. } => OperationKind::Stop,
            PowerAction::Reboot { .. } => OperationKind::Reboot,
        }
    }

    /// Changes what is desired, or says why not.
    pub(super) fn apply(self, guest: &mut Desired) -> Result<(), Refusal> {
        if guest.suspended_at.is_some() && !matches!(self, PowerAction::Stop { .. }) {
            return Err(Refusal::Conflict(SUSPENDED.to_owned()));
        }
        if guest.moving && matches!(self, PowerAction::Reboot { .. }) {
            let text = "it is being moved to another host, where it boots if it is to run: there is nothing to reboot";
            return Err(Refusal::Conflict(text.to_owned()));
        }
        // Whatever was given up before, this is another wish.
        guest.given_up = None;
        match (self, guest.power) {
            // One that runs already is left as it is: starting is not rebooting.
            (PowerAction::Start, Power::Running) => {}
            (PowerAction::Start, Power::Stopped) => {
                guest.power = Power::Running;
                // The domain that may still be stopping carries a lower number, so this start is one of its own.
                guest.boots_wanted += 1;
                guest.boot_hard = guest.stop_hard;
                guest.stop_hard = false;
            }
            (PowerAction::Stop { hard }, _) => {
                guest.power = Power::Stopped;
                guest.stop_hard = hard;
            }
            (PowerAction::Reboot { .. }, Power::Stopped) => {
                return Err(Refusal::invalid("base", "is stopped, so there is nothing to reboot: start it"));
            }
            (PowerAction::Reboot { hard }, Power::Running) => {
                guest.boots_wanted += 1;
                guest.boot_hard = hard;
            }
        }
        Ok(())
    }
}

/// Refuses to change a guest that is cancelled or gone.
pub(super) fn refuse_ended(guest: &Desired) -> Result<(), Refusal> {
    if guest.deleting_at.is_some() || guest.deleted_at.is_some() {
        Err(Refusal::Conflict("it is deleted".to_owned()))
    } else if guest.cancelled_at.is_some() {
        Err(Refusal::Conflict("it is cancelled: restore it first".to_owned()))
    } else {
        Ok(())
    }
}

/// Saves a changed guest, begins its operation and writes its event.
pub(super) async fn save(
    tx: &Tx,
    scope: Scope,
    kind: OperationKind,
    before: &Desired,
    guest: &mut Desired,
) -> StoreResult<Operation> {
    guests_desired::save(tx, guest).await?;
    let operation = operations::begin(tx, kind, guest.id, guest.account, guest.generation).await?;
    let resource = (ResourceKind::Guest, guest.id.0, guest.name.as_str());
    let word = format!("guest.{}", kind.as_str());
    let event =
        NewEvent::info(&word, resource, format!("{} was asked for (operation {operation})", kind.as_str()));
    // What a change of desired facts leaves as it is stands in both: usage is read from events alone.
    let held = guests_desired::addresses(tx, guest.id).await?;
    let (before, after) = (with_addresses(facts(before), &held), with_addresses(facts(guest), &held));
    events::record(tx, event.of(Some(guest.account)).change(Some(before), Some(after))).await?;
    operations::get(tx, scope, operation).await
}

/// What an event tells of a guest's desired facts.
pub(super) fn facts(guest: &Desired) -> serde_json::Value {
    serde_json::json!({
        "name": guest.name, "power": guest.power, "start_alone": guest.start_alone, "boots_wanted": guest.boots_wanted,
        "vcpus": guest.vcpus, "memory_bytes": guest.memory, "disk_bytes": guest.disk, "generation": guest.generation,
        "epoch": guest.epoch, "cancelled": guest.cancelled_at.is_some(), "deleting": guest.deleting_at.is_some(),
        "suspended": guest.suspended_at.is_some(), "given_up": guest.given_up.is_some(),
    })
}

/// The facts of a guest with the addresses that it holds.
pub(super) fn with_addresses(mut facts: serde_json::Value, held: &[String]) -> serde_json::Value {
    if let Some(facts) = facts.as_object_mut() {
        facts.insert("addresses".to_owned(), held.into());
    }
    facts
}

/// Claims memory and vCPUs of a guest that is to run and was taken back where there was no room for them.
pub(super) async fn claim_memory(
    tx: &Tx,
    scope: Scope,
    guest: &mut Desired,
    rules: Rules,
) -> StoreResult<()> {
    if guest.memory_claimed || guest.power == Power::Stopped {
        return Ok(());
    }
    // Neither host has taken it into account.
    guest_move::refuse_moving(guest)?;
    let found = match guest.host {
        Some(host) => rooms::list(tx, placing::to_be_read(host, rules), tx.now).await?,
        None => Vec::new(),
    };
    let claim = Claim {
        rooms: &found,
        host: guest.host,
        pool: guest.pool,
        counted: Bytes(0),
        growth: Growth { memory: guest.memory, vcpus: guest.vcpus, disk: Bytes(0) },
        rules,
    };
    claim.has_room().map_err(|why| Refusal::invalid("base", placing::said_to(scope, why)))?;
    guest.memory_claimed = true;
    Ok(())
}

/// Starts, stops or reboots a guest.
pub(crate) struct GuestPower {
    pub(crate) scope: Scope,
    pub(crate) id: GuestId,
    pub(crate) action: PowerAction,
    /// What placing holds to: one that was taken back where there was no room claims it now.
    pub(crate) rules: Rules,
}

impl Change for GuestPower {
    type Out = Operation;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Operation> {
        let before = guests_desired::get(tx, self.scope, self.id).await?;
        refuse_ended(&before)?;
        let mut guest = before.clone();
        self.action.apply(&mut guest)?;
        claim_memory(tx, self.scope, &mut guest, self.rules).await?;
        if guest.power != before.power {
            // `power` can be written, so whoever holds an older copy must not write that back.
            guest.lock_version += 1;
        }
        save(tx, self.scope, self.action.kind(), &before, &mut guest).await
    }
}

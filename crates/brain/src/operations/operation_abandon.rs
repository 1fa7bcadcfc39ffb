//! Giving up on an operation: from then on what was last seen is what is desired, so that nothing is left to be tried
//! (docs/design/0005).

use super::guest_power::{claim_memory, facts, with_addresses};
use super::{guest_capture, guest_move};
use honcho_api::Operation;
use honcho_model::event::ResourceKind;
use honcho_model::guest::Power;
use honcho_model::operation::{OperationKind, OperationState};
use honcho_model::{Bytes, GuestId, OperationId};
use honcho_placement::Rules;
use honcho_store::events::{self, NewEvent};
use honcho_store::guests_desired::{self, Desired};
use honcho_store::{Change, Refusal, Scope, StoreError, StoreResult, Tx, operations};

/// Gives up on an open operation.
pub(crate) struct OperationAbandon {
    pub(crate) scope: Scope,
    pub(crate) id: OperationId,
    /// What placing holds to: a guest that is to run on may have to claim its room.
    pub(crate) rules: Rules,
}

/// What of a guest is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// That it is made.
    Making,
    /// That it runs, is booted anew, or stops.
    Power,
    /// That it has another size.
    Size,
    /// Something that the brain holds already, and that needs no attempt.
    Held,
}

/// What is desired of the guest then. What is `None` is left to the operations that go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left {
    wish: Wish,
    power: Option<Power>,
    disk: Option<Bytes>,
}

fn conflict<T>(why: &str) -> Result<T, Refusal> {
    Err(Refusal::Conflict(why.to_owned()))
}

impl Wish {
    fn of(kind: OperationKind, guest: &Desired) -> Result<Wish, Refusal> {
        match kind {
            OperationKind::Delete => conflict(
                "a guest that is being deleted may be half gone, so this goes on until it is: giving up would leave the \
                 rest of it on its host",
            ),
            OperationKind::Cancel => conflict("it is cancelled: to keep it, restore it, which ends this"),
            OperationKind::Suspend => {
                conflict("its account is suspended: unsuspending the account ends this")
            }
            // It stops because of that, whatever else was asked.
            _ if guest.cancelled_at.is_some() => Ok(Wish::Held),
            OperationKind::Resize if !guest.existing => conflict(
                "it is not made yet, and will be made at this size: resize it again, or give up on making it",
            ),
            OperationKind::Resize => Ok(Wish::Size),
            // A move is given up in a way of its own, before anything is asked here.
            OperationKind::Rename | OperationKind::Update | OperationKind::Move => Ok(Wish::Held),
            OperationKind::Create
            | OperationKind::Start
            | OperationKind::Stop
            | OperationKind::Reboot
            | OperationKind::Restore
            | OperationKind::Unsuspend => Ok(if guest.existing { Wish::Power } else { Wish::Making }),
        }
    }

    /// What is left to be desired; `others` are the guest's other open operations.
    fn left(self, kind: OperationKind, guest: &Desired, others: &[OperationKind]) -> Result<Left, Refusal> {
        let left = |power, disk| Ok(Left { wish: self, power, disk });
        let runs = guest.seen_running && guest.suspended_at.is_none();
        match self {
            Wish::Held => left(None, None),
            Wish::Making => left(Some(Power::Stopped), None),
            // What was being made is not left running half made.
            Wish::Power if !runs || kind == OperationKind::Create => left(Some(Power::Stopped), None),
            // Another size is taken on by the boot that is not to come.
            Wish::Power if others.contains(&OperationKind::Resize) => {
                left(Some(Power::Running), Some(disk_seen(guest)?))
            }
            Wish::Power => left(Some(Power::Running), None),
            Wish::Size => {
                let disk = disk_seen(guest)?;
                let anothers = guest.suspended_at.is_some() || others.iter().any(|kind| kind.wants_power());
                let power = match (anothers, runs) {
                    (true, _) => None,
                    (false, true) => Some(Power::Running),
                    // It is off because its disk could not grow, and that is not asked any more.
                    (false, false) if disk < guest.disk => None,
                    (false, false) => Some(Power::Stopped),
                };
                left(power, Some(disk))
            }
        }
    }
}

/// How large its disk was when it was last seen; no larger than it should be.
fn disk_seen(guest: &Desired) -> Result<Bytes, Refusal> {
    match guest.seen_disk {
        Some(seen) => Ok(seen.min(guest.disk)),
        None => conflict("its host has not said yet how large its disk is: ask again when it has"),
    }
}

impl Left {
    fn apply(self, guest: &mut Desired, operation: OperationId) {
        if let Some(power) = self.power {
            guest.power = power;
            guest.boots_waived = guest.boots_wanted;
            guest.given_up = Some(operation);
        }
        if let Some(disk) = self.disk.filter(|disk| *disk < guest.disk) {
            // Its host may be at it, and has not heard of this yet.
            guest.growing_to = guest.growing_to.max(Some(guest.disk));
            guest.disk = disk;
        }
    }

    /// Whether another open operation of this kind is given up with it.
    fn ends(self, kind: OperationKind) -> bool {
        match self.wish {
            Wish::Making => !matches!(kind, OperationKind::Suspend | OperationKind::Move),
            Wish::Power => kind.wants_power() || (kind == OperationKind::Resize && self.disk.is_some()),
            Wish::Size => kind == OperationKind::Resize,
            Wish::Held => false,
        }
    }

    /// What the operations end with: how it is from now on, and what can be done.
    fn outcome(self) -> String {
        let power = match (self.wish, self.power) {
            (Wish::Held, _) => Some("it holds already, and nothing is left to be tried"),
            (Wish::Making, _) => Some("it was not made, and is not until it is started; or delete it"),
            (_, Some(Power::Running)) => Some("it runs on as it was"),
            (_, Some(Power::Stopped)) => Some("it stays stopped until it is started"),
            (_, None) => None,
        };
        let disk = self.disk.map(|disk| {
            format!("its disk stays at {disk}, and its memory and vCPUs hold from its next boot on")
        });
        let parts: Vec<String> = power.map(str::to_owned).into_iter().chain(disk).collect();
        format!("given up: {}", parts.join("; "))
    }
}

impl Change for OperationAbandon {
    type Out = Operation;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Operation> {
        let operation = operations::get(tx, self.scope, self.id).await?;
        if operation.state != OperationState::Open {
            let text = format!("it has ended already ({})", operation.state.as_str());
            return Err(Refusal::Conflict(text).into());
        }
        if operation.kind == OperationKind::Move {
            return guest_move::abandon(tx, self.scope, &operation).await;
        }
        let before = guests_desired::get(tx, self.scope, GuestId(operation.guest_id)).await?;
        let mut others = operations::open_kinds(tx, before.id).await?;
        others.retain(|(id, _)| *id != self.id);
        let kinds: Vec<OperationKind> = others.iter().map(|(_, kind)| *kind).collect();
        let left = Wish::of(operation.kind, &before)?.left(operation.kind, &before, &kinds)?;
        let mut guest = before.clone();
        left.apply(&mut guest, self.id);
        if left.power == Some(Power::Running) {
            claim(tx, self.scope, &mut guest, self.rules).await?;
            let why = "its guest did not stop, and runs on: stop it, and capture it again";
            guest_capture::give_up(tx, guest.id, why).await?;
        }
        if (guest.power, guest.disk) != (before.power, before.disk) {
            // They can be written, so whoever holds an older copy must not write them back.
            guest.lock_version += 1;
        }
        if guest != before {
            guests_desired::save(tx, &mut guest).await?;
        }
        let outcome = left.outcome();
        let shared = others.iter().filter(|(_, kind)| left.ends(*kind)).map(|(id, _)| *id);
        for id in [self.id].into_iter().chain(shared) {
            operations::end(tx, id, OperationState::Abandoned, Some(&outcome)).await?;
        }
        record(tx, &operation, &outcome, (&before, &guest)).await?;
        operations::get(tx, self.scope, self.id).await
    }
}

/// Claims the room of a guest that is to run on, and was taken back where there was no room for it.
async fn claim(tx: &Tx, scope: Scope, guest: &mut Desired, rules: Rules) -> StoreResult<()> {
    match claim_memory(tx, scope, guest, rules).await {
        Err(StoreError::Refused(_)) => {
            let text =
                "its host has no room for it any more, so that it has to stop: this goes on until it has";
            Err(Refusal::Conflict(text.to_owned()).into())
        }
        other => other,
    }
}

async fn record(
    tx: &Tx,
    operation: &Operation,
    outcome: &str,
    (before, after): (&Desired, &Desired),
) -> StoreResult<()> {
    let resource = (ResourceKind::Guest, operation.guest_id, operation.guest_name.as_str());
    let text = format!("operation {} ({}) was {outcome}", operation.id, operation.kind.as_str());
    let held = guests_desired::addresses(tx, after.id).await?;
    let change = [before, after].map(|guest| Some(with_addresses(facts(guest), &held)));
    let [before_facts, after_facts] = change;
    let event = NewEvent::info("operation.abandon", resource, text).of(Some(after.account));
    events::record(tx, event.change(before_facts, after_facts)).await?;
    Ok(())
}

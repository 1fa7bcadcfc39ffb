//! Giving up on an operation: from then on what was last seen is what is desired, so that nothing is left to be tried
//! (docs/design/0005).

use super::guest_power::{facts, with_addresses};
use honcho_api::Operation;
use honcho_model::event::ResourceKind;
use honcho_model::guest::Power;
use honcho_model::operation::{OperationKind, OperationState};
use honcho_model::{GuestId, OperationId};
use honcho_store::events::{self, NewEvent};
use honcho_store::guests_desired::{self, Desired};
use honcho_store::{Change, Refusal, Scope, StoreResult, Tx, operations};

/// Gives up on an open operation.
pub(crate) struct OperationAbandon {
    pub(crate) scope: Scope,
    pub(crate) id: OperationId,
}

/// What of a guest is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// That it is made.
    Making,
    /// That it runs, is booted anew, or stops.
    Power,
    /// That its disk grows.
    Size,
    /// Something that the brain holds already, and that needs no attempt.
    Held,
}

impl Wish {
    fn of(kind: OperationKind, guest: &Desired) -> Result<Wish, Refusal> {
        let refused = |why: &str| Err(Refusal::Conflict(why.to_owned()));
        match kind {
            OperationKind::Delete => refused(
                "a guest that is being deleted may be half gone, so this goes on until it is: giving up would leave the \
                 rest of it on its host",
            ),
            OperationKind::Cancel => refused("it is cancelled: to keep it, restore it, which ends this"),
            OperationKind::Suspend => refused("its account is suspended: unsuspending the account ends this"),
            OperationKind::Resize if !guest.existing => refused(
                "it is not made yet, and will be made at this size: resize it again, or give up on making it",
            ),
            OperationKind::Create
            | OperationKind::Start
            | OperationKind::Stop
            | OperationKind::Reboot
            | OperationKind::Restore
            | OperationKind::Unsuspend => Ok(if guest.existing { Wish::Power } else { Wish::Making }),
            OperationKind::Resize => Ok(Wish::Size),
            OperationKind::Rename | OperationKind::Update => Ok(Wish::Held),
        }
    }

    /// Whether an open operation of this kind wants the same, and ends too.
    fn is_shared_by(self, kind: OperationKind) -> bool {
        match self {
            Wish::Making => !matches!(kind, OperationKind::Suspend),
            Wish::Power => matches!(
                kind,
                OperationKind::Create
                    | OperationKind::Start
                    | OperationKind::Stop
                    | OperationKind::Reboot
                    | OperationKind::Restore
                    | OperationKind::Unsuspend
            ),
            Wish::Size => kind == OperationKind::Resize,
            Wish::Held => false,
        }
    }

    /// Changes what is desired to what is there; says what that is.
    fn give_up(self, operation: &Operation, guest: &mut Desired, boot_is_anothers: bool) -> String {
        match self {
            Wish::Making => {
                guest.power = Power::Stopped;
                guest.boots_waived = guest.boots_wanted;
                guest.given_up = Some(operation.id.into());
                "given up: it was not made, and is not until it is started; or delete it".to_owned()
            }
            Wish::Power => {
                // What was being made is not left running half made.
                let runs = guest.seen_running
                    && guest.suspended_at.is_none()
                    && operation.kind != OperationKind::Create;
                guest.power = if runs { Power::Running } else { Power::Stopped };
                guest.boots_waived = guest.boots_wanted;
                guest.given_up = Some(operation.id.into());
                if runs {
                    "given up: it runs on as it was"
                } else {
                    "given up: it stays stopped until it is started"
                }
                .to_owned()
            }
            Wish::Size => {
                guest.disk = guest.seen_disk.map_or(guest.disk, |seen| seen.min(guest.disk));
                if !boot_is_anothers {
                    guest.boots_waived = guest.boots_wanted;
                }
                format!(
                    "given up: its disk stays at {}; its memory and vCPUs hold from its next boot on",
                    guest.disk
                )
            }
            Wish::Held => "given up: it holds already, and nothing is left to be tried".to_owned(),
        }
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
        let before = guests_desired::get(tx, self.scope, GuestId(operation.guest_id)).await?;
        let mut guest = before.clone();
        let wish = Wish::of(operation.kind, &guest)?;
        let open = operations::open_kinds(tx, guest.id).await?;
        let boots = |kind: &OperationKind| matches!(kind, OperationKind::Start | OperationKind::Reboot);
        let boot_is_anothers = open.iter().any(|(_, kind)| boots(kind));
        let outcome = wish.give_up(&operation, &mut guest, boot_is_anothers);
        if (guest.power, guest.disk) != (before.power, before.disk) {
            // They can be written, so whoever holds an older copy must not write them back.
            guest.lock_version += 1;
        }
        guests_desired::save(tx, &mut guest).await?;
        for (id, kind) in open {
            if id == self.id || wish.is_shared_by(kind) {
                operations::end(tx, id, OperationState::Abandoned, Some(&outcome)).await?;
            }
        }
        let resource = (ResourceKind::Guest, operation.guest_id, operation.guest_name.as_str());
        let text = format!("operation {} ({}) was {outcome}", operation.id, operation.kind.as_str());
        let held = guests_desired::addresses(tx, guest.id).await?;
        let (before, after) = (with_addresses(facts(&before), &held), with_addresses(facts(&guest), &held));
        let event = NewEvent::info("operation.abandon", resource, text).of(Some(guest.account));
        events::record(tx, event.change(Some(before), Some(after))).await?;
        operations::get(tx, self.scope, self.id).await
    }
}

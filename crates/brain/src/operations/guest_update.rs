//! Changing a guest's attributes: name, size, power, `start_alone`.

use super::account::refuse_stale;
use super::guest_move;
use super::guest_order::{DISK, MEMORY, VCPUS};
use super::guest_power::{PowerAction, claim_memory, refuse_ended, save};
use super::problems::Problems;
use super::quotas::{self, Extra};
use crate::placing::{self, Claim, Growth};
use honcho_api::Operation;
use honcho_model::guest::Power;
use honcho_model::operation::OperationKind;
use honcho_model::{Bytes, GuestId, OperationId};
use honcho_placement::Rules;
use honcho_store::guests_desired::{self, Desired};
use honcho_store::{Change, Refusal, Scope, StoreResult, Turn, Tx, operations, rooms};

/// Whether a running guest may be restarted to take on its new size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    /// It may.
    Allowed,
    /// It may not: a running guest is not resized.
    Refused,
}

/// Changes a guest. Absent attributes stay as they are.
pub(crate) struct GuestUpdate {
    pub(crate) scope: Scope,
    pub(crate) id: GuestId,
    pub(crate) body: honcho_api::GuestUpdate,
    pub(crate) restart: Restart,
    /// What placing holds to: a guest may grow.
    pub(crate) rules: Rules,
}

impl Change for GuestUpdate {
    /// The operation; `None` when nothing changed.
    type Out = Option<Operation>;
    // It may grow.
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Option<Operation>> {
        let before = guests_desired::get(tx, self.scope, self.id).await?;
        refuse_ended(&before)?;
        let mut guest = before.clone();
        let mut problems = Problems::default();
        self.apply(&mut guest, &mut problems);
        if guest == before && problems.is_empty() {
            return Ok(None);
        }
        // First: what is wrong with an old copy is that it is old.
        refuse_stale(self.body.lock_version, before.lock_version)?;
        problems.none()?;
        self.resize(tx, &before, &mut guest).await?;
        claim_memory(tx, self.scope, &mut guest, self.rules).await?;
        guest.lock_version += 1;
        let kinds = kinds_of(&before, &guest);
        let weightiest = kinds.first().copied().unwrap_or(OperationKind::Update);
        let operation = save(tx, self.scope, weightiest, &before, &mut guest).await?;
        for kind in kinds {
            operations::supersede(tx, OperationId(operation.id), kind, self.id).await?;
        }
        Ok(Some(operation))
    }
}

/// What a change amounts to, the weightiest first: one operation stands for all of it.
fn kinds_of(before: &Desired, after: &Desired) -> Vec<OperationKind> {
    let power = if after.power == Power::Running { OperationKind::Start } else { OperationKind::Stop };
    let kinds = [
        (OperationKind::Resize, resized(before, after)),
        (power, before.power != after.power),
        (OperationKind::Rename, before.name != after.name),
    ];
    kinds.into_iter().filter(|(_, changed)| *changed).map(|(kind, _)| kind).collect()
}

fn resized(before: &Desired, after: &Desired) -> bool {
    (before.memory, before.vcpus, before.disk) != (after.memory, after.vcpus, after.disk)
}

impl GuestUpdate {
    fn apply(&self, guest: &mut Desired, problems: &mut Problems) {
        let body = &self.body;
        if let Some(name) = body.name.as_deref().and_then(|name| problems.name(Some(name))) {
            guest.name = name;
        }
        if let Some(memory) = body.memory_bytes.and_then(|n| problems.within("memory_bytes", n, MEMORY)) {
            guest.memory = Bytes(memory);
        }
        let vcpus = body.vcpus.and_then(|n| problems.within("vcpus", n, VCPUS));
        if let Some(vcpus) = vcpus.and_then(|n| u32::try_from(n).ok()) {
            guest.vcpus = vcpus;
        }
        if let Some(disk) = body.disk_bytes.and_then(|n| problems.within("disk_bytes", n, DISK)) {
            if Bytes(disk) < guest.disk {
                problems.add("disk_bytes", format!("grows and never shrinks: it is {}", guest.disk));
            }
            guest.disk = Bytes(disk);
        }
        guest.start_alone = body.start_alone.unwrap_or(guest.start_alone);
        match body.power {
            Some(Power::Running) if guest.power == Power::Stopped => {
                problems.check(
                    "power",
                    PowerAction::Start.apply(guest).map_err(|why| match why {
                        Refusal::Conflict(why) => why,
                        _ => "cannot change".to_owned(),
                    }),
                );
            }
            Some(Power::Stopped) if guest.power == Power::Running => {
                problems.check(
                    "power",
                    PowerAction::Stop { hard: false }.apply(guest).map_err(|_| "cannot change"),
                );
            }
            _ => {}
        }
    }

    /// Checks that a new size can be had, and asks for the boot that brings it about.
    async fn resize(&self, tx: &Tx, before: &Desired, guest: &mut Desired) -> StoreResult<()> {
        if !resized(before, guest) {
            return Ok(());
        }
        guest_move::refuse_moving(before)?;
        let runs = before.power == Power::Running && before.suspended_at.is_none();
        if runs && guest.power == Power::Running {
            if self.restart == Restart::Refused {
                let text = "runs, and its size changes only while it is stopped: stop it first, \
                            or let it restart (resize with restart=true)";
                return Err(Refusal::invalid("base", text).into());
            }
            guest.boots_wanted += 1;
            guest.boot_hard = false;
        }
        let more = |new: Bytes, old: Bytes| Bytes(new.0.saturating_sub(old.0));
        let memory = more(guest.memory, before.memory);
        let vcpus = guest.vcpus.saturating_sub(before.vcpus);
        // What a growth that was given up may still take is counted already.
        let disk = more(guest.disk, before.disk.max(before.growing_to.unwrap_or_default()));
        let extra = Extra { vcpus, memory, disk, ..Extra::default() };
        quotas::check(tx, guest.account, extra).await?;
        // What is not claimed takes no room, however much it is.
        let growth = if before.memory_claimed {
            Growth { memory, vcpus, disk }
        } else {
            Growth { disk, ..Growth::default() }
        };
        let found = match guest.host {
            Some(host) => rooms::list(tx, placing::to_be_read(host, self.rules), tx.now).await?,
            None => Vec::new(),
        };
        let counted = if before.memory_claimed { before.memory } else { Bytes(0) };
        let (host, pool, rules) = (guest.host, guest.pool, self.rules);
        let claim = Claim { rooms: &found, host, pool, counted, growth, rules };
        claim.may_grow().map_err(|why| Refusal::invalid("base", placing::said_to(self.scope, why)).into())
    }
}

//! Moving a guest to another host: ordered, begun, given up. What follows from hosts' reports is in `store::guest_moves`
//! (docs/design/0008).

use super::guest_capture;
use super::guest_power::{facts, with_addresses};
use super::operators_only;
use super::problems::Problems;
use crate::placing::{self, Decided, Kin, Place, Told};
use honcho_api::{GuestMoveTrial, Operation};
use honcho_model::event::ResourceKind;
use honcho_model::guest::Power;
use honcho_model::host::HostStatus;
use honcho_model::operation::{OperationKind, OperationState};
use honcho_model::{Bytes, Digest, GuestId, HostId, OperationId};
use honcho_placement::{Capability, Request, Rules};
use honcho_store::events::{self, NewEvent};
use honcho_store::guest_moves::{self, Beginning, Stage, UnderWay};
use honcho_store::guests_desired::{self, Desired};
use honcho_store::rooms;
use honcho_store::{
    Change, Refusal, Scope, StoreError, StoreResult, Turn, Tx, hosts, operations, placements,
};
use sha2::{Digest as _, Sha256};

/// Why what would change a guest is refused while it is on its way.
pub(super) const MOVING: &str =
    "it is being moved to another host: ask again when it is there, or give the move up";

/// Moves a guest to a host, or wherever it fits best.
pub(crate) struct GuestMove {
    pub(crate) scope: Scope,
    pub(crate) id: GuestId,
    pub(crate) to: Option<HostId>,
    /// Random; what one host shows the other.
    pub(crate) ticket: String,
    /// What placing holds to.
    pub(crate) rules: Rules,
}

impl Change for GuestMove {
    type Out = Operation;
    // It takes room on another host.
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Operation> {
        operators_only(self.scope)?;
        let before = guests_desired::get(tx, self.scope, self.id).await?;
        let from = self.check(tx, &before).await?;
        let planned = plan(tx, &before, self.to, self.rules).await?;
        let operation =
            operations::begin(tx, OperationKind::Move, before.id, before.account, before.generation.next())
                .await?;
        let id = guest_moves::order(tx, &before, operation, from, planned.place.host).await?;
        begin(tx, id, operation, &before, &planned, &self.ticket).await?;
        operations::get(tx, self.scope, operation).await
    }
}

/// Tries it, for [`honcho_store::Store::rehearse`]: says where it would go, and what would become of it meanwhile.
pub(crate) struct GuestMoveRehearsal(pub(crate) GuestMove);

impl Change for GuestMoveRehearsal {
    type Out = GuestMoveTrial;
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<GuestMoveTrial> {
        let order = &self.0;
        operators_only(order.scope)?;
        let guest = guests_desired::get(tx, order.scope, order.id).await?;
        let from = order.check(tx, &guest).await?;
        let planned = plan(tx, &guest, order.to, order.rules).await?;
        let to = planned.place.host;
        let [from_host, to_host] = [name_of(tx, from).await?, name_of(tx, to).await?];
        let said = what_happens(&guest, &to_host);
        Ok(GuestMoveTrial {
            guest_id: guest.id.0,
            guest: guest.name.to_string(),
            from_host_id: from.0,
            from_host,
            to_host_id: to.0,
            to_host,
            copied_bytes: i64::try_from(guest.disk.0).unwrap_or(i64::MAX),
            stops: guest.seen_running,
            said,
            placement: planned.shown(tx, guest.id).await?,
        })
    }
}

/// What a person should know before.
fn what_happens(guest: &Desired, to: &str) -> String {
    let runs = guest.power == Power::Running && guest.cancelled_at.is_none() && guest.suspended_at.is_none();
    match (guest.seen_running, runs) {
        (true, true) => format!(
            "it runs: it is asked to stop first (and forced to after 90 s), is off while its disk is copied, and starts on {to}"
        ),
        (true, false) => format!("it is being stopped, and stays off on {to}"),
        (false, true) => format!("it is off, and starts on {to} once its disk is there"),
        (false, false) => format!("it is off, and stays off on {to}"),
    }
}

async fn name_of(tx: &Tx, host: HostId) -> StoreResult<String> {
    Ok(hosts::get(tx, host, tx.now).await?.name)
}

fn conflict<T>(why: impl Into<String>) -> StoreResult<T> {
    Err(Refusal::Conflict(why.into()).into())
}

impl GuestMove {
    /// Gives the host that it leaves, or says why it cannot be moved.
    async fn check(&self, tx: &Tx, guest: &Desired) -> StoreResult<HostId> {
        if let Some(under_way) = guest_moves::of_guest(tx, guest.id).await? {
            let (to, operation) = (under_way.to_name, under_way.operation);
            return conflict(format!(
                "it is to go to {to} already (operation {operation}): give that up first, if it is to go elsewhere"
            ));
        }
        let from = movable(guest)?;
        if let Some(to) = self.to {
            let mut problems = Problems::default();
            problems.found("to_host_id", hosts::get(tx, to, tx.now).await)?;
            if to == from {
                problems.add("to_host_id", "is the host that it is on");
            }
            problems.none()?;
        }
        Ok(from)
    }
}

/// The host that a guest would leave; refused where there is nothing that could be moved.
pub(super) fn movable(guest: &Desired) -> StoreResult<HostId> {
    if guest.deleting_at.is_some() || guest.deleted_at.is_some() {
        return conflict("it is deleted");
    }
    let Some(from) = guest.host.filter(|_| guest.existing) else {
        return conflict(
            "it is not made yet, so there is nothing to move: delete it and order it anew, or wait",
        );
    };
    match guest.seen_disk {
        None => conflict("its host has not said yet how large its disk is: ask again when it has"),
        Some(seen) if seen < guest.disk => conflict(
            "its disk is still to grow, which its host does while it is off: ask again when it has grown",
        ),
        Some(_) => Ok(from),
    }
}

/// Where a guest is to go, and how it gets there.
pub(super) struct Planned {
    pub(super) place: Place,
    decided: Decided,
    address: String,
}

impl Planned {
    async fn shown(&self, tx: &Tx, guest: GuestId) -> StoreResult<honcho_api::Placement> {
        let inputs = placements::inputs(tx).await?;
        let at = jiff::Timestamp::from_microsecond(tx.now.0).unwrap_or_default();
        Ok(self.decided.shown(Some(guest), at, &inputs, Told::Kept))
    }
}

/// Decides where a guest goes, as everything stands in this transaction; refused as an order would be.
pub(super) async fn plan(tx: &Tx, guest: &Desired, to: Option<HostId>, rules: Rules) -> StoreResult<Planned> {
    let from = movable(guest)?;
    let host = hosts::get(tx, from, tx.now).await?;
    if host.status != HostStatus::Up {
        let text = format!(
            "its host {} is {}: nobody knows what runs there, and its disk cannot be read out",
            host.name,
            host.status.as_str()
        );
        return conflict(text);
    }
    let Some(address) = guest_moves::address_of(tx, from).await? else {
        return conflict(format!(
            "the agent of its host {} cannot be reached by others: its log says why (honcho-agent --movers)",
            host.name
        ));
    };
    let mut all = rooms::list(tx, None, tx.now).await?;
    all.retain(|room| room.host != from);
    let decided = decide(tx, guest, &all, to, rules).await?;
    let Some(place) = decided.place() else {
        let mut problems = Problems::default();
        decided.refused(Scope::Operator).into_iter().for_each(|why| problems.add("base", why));
        return Err(problems.into());
    };
    if guest_moves::leaves_a_copy(tx, guest.id, place.host).await? {
        return conflict(format!(
            "what it left on {} when it was there before is still being removed: ask again when it is",
            name_of(tx, place.host).await?
        ));
    }
    Ok(Planned { place, decided, address })
}

async fn decide(
    tx: &Tx,
    guest: &Desired,
    all: &[rooms::Room],
    to: Option<HostId>,
    rules: Rules,
) -> StoreResult<Decided> {
    let kin = rooms::kin_of(tx, guest.id).await?;
    let of_account = rooms::of_account(tx, guest.account).await?;
    let apart = match &kin.apart {
        Some((cluster, role)) => {
            Some((Kin::role(role.as_str()), rooms::of_role(tx, guest.account, cluster, role).await?))
        }
        None => None,
    };
    // What takes no room where it is takes none where it goes, but for its disk.
    let claims = guest.memory_claimed && guest.cancelled_at.is_none();
    let (memory, vcpus) = if claims { (guest.memory, guest.vcpus) } else { (Bytes(0), 0) };
    let mut capabilities = placing::needed(&kin.kinds, kin.architecture.as_deref(), &kin.features);
    capabilities.insert(Capability(honcho_wire::MOVES.to_owned()));
    if guest_capture::is_read(tx, guest.id).await? {
        capabilities.insert(Capability(honcho_wire::CAPTURES.to_owned()));
    }
    let request = Request {
        account: guest.account,
        apart: apart.as_ref().map(|(role, _)| role.clone()),
        capabilities,
        host: to,
        ..placing::request_of(memory, vcpus, guest.disk.max(guest.growing_to.unwrap_or_default()))
    };
    let kin = Kin { account: guest.account, of_account, apart: apart.into_iter().collect() };
    Ok(placing::decide(all, &kin, rules, request))
}

/// Begins a move: the guest's epoch rises, it is to stop, and room is taken where it goes.
pub(super) async fn begin(
    tx: &Tx,
    id: honcho_model::MoveId,
    operation: OperationId,
    before: &Desired,
    planned: &Planned,
    ticket: &str,
) -> StoreResult<()> {
    let mut guest = before.clone();
    guest.epoch.0 += 1;
    // It is moved as a whole: its filesystem deserves to be told.
    guest.stop_hard = false;
    guests_desired::save(tx, &mut guest).await?;
    let decision = planned.shown(tx, guest.id).await?;
    let ticket_hash = Digest(Sha256::digest(ticket).into());
    let (pool, address) = (planned.place.pool, planned.address.as_str());
    let beginning = Beginning { pool, ticket, ticket_hash, address, decision: &decision };
    guest_moves::begin(tx, id, &guest, &beginning).await?;
    operations::satisfied_by(tx, operation, guest.generation).await?;
    let to = name_of(tx, planned.place.host).await?;
    let text = format!("goes to {to} (operation {operation}): {}", what_happens(before, &to));
    record(tx, "guest.move", &text, (before, &guest)).await
}

pub(super) async fn record(
    tx: &Tx,
    kind: &str,
    text: &str,
    (before, after): (&Desired, &Desired),
) -> StoreResult<()> {
    let resource = (ResourceKind::Guest, after.id.0, after.name.as_str());
    let held = guests_desired::addresses(tx, after.id).await?;
    let [before_facts, after_facts] = [before, after].map(|guest| Some(with_addresses(facts(guest), &held)));
    let event = NewEvent::info(kind, resource, text).of(Some(after.account));
    events::record(tx, event.change(before_facts, after_facts)).await?;
    Ok(())
}

/// Gives a move up because somebody gave up on its operation: from now on the guest stays where it is.
pub(super) async fn abandon(tx: &Tx, scope: Scope, operation: &Operation) -> StoreResult<Operation> {
    operators_only(scope)?;
    let id = OperationId(operation.id);
    let before = guests_desired::get(tx, scope, GuestId(operation.guest_id)).await?;
    let Some(under_way) = guest_moves::of_guest(tx, before.id).await?.filter(|way| way.operation == id)
    else {
        let host = match before.host {
            Some(host) => name_of(tx, host).await?,
            None => "its host".to_owned(),
        };
        return conflict(format!(
            "all of it is on {host} already, which holds it from now on: move it back, if it is to be where it was"
        ));
    };
    let guest = stay(tx, &before, &under_way).await?;
    let runs = guest.power == Power::Running && guest.cancelled_at.is_none() && guest.suspended_at.is_none();
    let stopped = under_way.stage > Stage::Waiting && runs;
    let then = if stopped { ", and starts there again" } else { "" };
    // Its account is told, too, and not of hosts.
    let outcome = format!("given up: it stays where it is{then}");
    operations::end(tx, id, OperationState::Abandoned, Some(&outcome)).await?;
    let text = format!("operation {id} (move) was {outcome}");
    record(tx, "operation.abandon", &text, (&before, &guest)).await?;
    operations::get(tx, scope, id).await
}

/// Makes a guest stay where it is.
pub(super) async fn stay(tx: &Tx, before: &Desired, under_way: &UnderWay) -> StoreResult<Desired> {
    guest_moves::give_up(tx, under_way).await?;
    let mut guest = before.clone();
    if under_way.stage > Stage::Waiting {
        guest.moving = false;
        guests_desired::save(tx, &mut guest).await?;
    }
    Ok(guest)
}

/// Refuses what cannot be asked of a guest that is on its way.
pub(super) fn refuse_moving(guest: &Desired) -> Result<(), StoreError> {
    if guest.moving { conflict(MOVING) } else { Ok(()) }
}

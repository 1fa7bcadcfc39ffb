//! The moves of a plan: all ordered at once, each begun when its turn comes.

use super::guest_move::{begin, movable, plan, record};
use super::operators_only;
use crate::placing::turns::{may_begin, may_get_room};
use honcho_model::host::HostStatus;
use honcho_model::operation::OperationKind;
use honcho_model::{GuestId, HostId, MoveId, OperationId};
use honcho_placement::Rules;
use honcho_store::guest_moves::{self, Stage, UnderWay};
use honcho_store::{
    Change, Refusal, Scope, StoreError, StoreResult, Turn, Tx, guests_desired, hosts, operations,
};

/// Orders the moves of a plan, in its order. What changed since it was made (a guest is gone, or under way already) is left
/// out.
pub(crate) struct MovesOrder {
    pub(crate) scope: Scope,
    pub(crate) steps: Vec<(GuestId, HostId)>,
}

impl Change for MovesOrder {
    /// The operation of each guest that moves, those that were under way already among them.
    type Out = Vec<(GuestId, OperationId)>;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Self::Out> {
        operators_only(self.scope)?;
        let mut ordered = Vec::new();
        for (guest, to) in &self.steps {
            if let Some(operation) = self.order(tx, *guest, *to).await? {
                ordered.push((*guest, operation));
            }
        }
        Ok(ordered)
    }
}

impl MovesOrder {
    async fn order(&self, tx: &Tx, guest: GuestId, to: HostId) -> StoreResult<Option<OperationId>> {
        if let Some(under_way) = guest_moves::of_guest(tx, guest).await? {
            return Ok(Some(under_way.operation));
        }
        let guest = guests_desired::get(tx, self.scope, guest).await?;
        let from = match movable(&guest) {
            Ok(from) if from != to => from,
            Ok(_) | Err(StoreError::Refused(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let kind = OperationKind::Move;
        let operation = operations::begin(tx, kind, guest.id, guest.account, guest.generation).await?;
        guest_moves::order(tx, &guest, operation, from, to).await?;
        let to = hosts::get(tx, to, tx.now).await?.name;
        let text = format!("is to go to {to} when its turn comes (operation {operation})");
        record(tx, "guest.move_ordered", &text, (&guest, &guest)).await?;
        Ok(Some(operation))
    }
}

/// Begins a move whose turn has come; one that cannot be made, and for which no earlier one will leave room, is refused.
pub(crate) struct MoveTurn {
    pub(crate) id: MoveId,
    /// Random; what one host shows the other.
    pub(crate) ticket: String,
    /// What placing holds to.
    pub(crate) rules: Rules,
}

impl Change for MoveTurn {
    type Out = ();
    // It takes room on another host.
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        let all = guest_moves::pending(tx).await?;
        let under_way = guest_moves::under_way(tx).await?;
        let under_way = under_way.iter().find(|way| way.id == self.id && way.stage == Stage::Waiting);
        let Some(under_way) = under_way.filter(|_| may_begin(&all, self.id)) else { return Ok(()) };
        let guest = guests_desired::get(tx, Scope::System, under_way.guest).await?;
        if !both_are_heard(tx, under_way).await? {
            return Ok(());
        }
        let planned = match plan(tx, &guest, Some(under_way.to), self.rules).await {
            Ok(planned) => planned,
            Err(StoreError::Refused(_)) if may_get_room(&all, self.id) => return Ok(()),
            Err(StoreError::Refused(refusal)) => {
                return guest_moves::refuse(tx, under_way, &in_words(refusal)).await;
            }
            Err(error) => return Err(error),
        };
        begin(tx, self.id, under_way.operation, &guest, &planned, &self.ticket).await
    }
}

/// A move that waits for its turn waits for its hosts, too: one that was away for a moment is no reason to refuse it.
async fn both_are_heard(tx: &Tx, under_way: &UnderWay) -> StoreResult<bool> {
    for host in [under_way.from, under_way.to] {
        if hosts::get(tx, host, tx.now).await?.status != HostStatus::Up {
            return Ok(false);
        }
    }
    Ok(guest_moves::address_of(tx, under_way.from).await?.is_some())
}

fn in_words(refusal: Refusal) -> String {
    match refusal {
        Refusal::Invalid(errors) => errors.into_values().flatten().collect::<Vec<_>>().join("; "),
        Refusal::Conflict(why) | Refusal::Gone(why) | Refusal::Forbidden(why) => why,
        Refusal::NotFound(what) => format!("there is no such {what}"),
    }
}

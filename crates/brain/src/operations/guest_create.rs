//! Ordering a guest: checked, placed, given its addresses, in one transaction.

use super::guest_order::{self, Order, Uuids};
use super::problems::Problems;
use super::quotas;
use crate::placing::{self, Decided, Standing, Told};
use honcho_api::{Guest, Placement};
use honcho_model::GuestId;
use honcho_placement::Rules;
use honcho_store::{Change, Scope, StoreResult, Turn, Tx, accounts, guests, placements};
use uuid::Uuid;

/// Makes a guest.
pub(crate) struct GuestCreate {
    pub(crate) scope: Scope,
    pub(crate) uuid: Uuid,
    pub(crate) volume_uuid: Uuid,
    /// Of its cluster, should this be the first guest of it.
    pub(crate) cluster_uuid: Uuid,
    pub(crate) body: honcho_api::GuestCreate,
    /// What placing holds to.
    pub(crate) rules: Rules,
    /// What it decides by.
    pub(crate) standing: Standing,
}

impl Change for GuestCreate {
    type Out = Guest;
    // Its host's room, its distance to its kin and its addresses are looked up and taken here.
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Guest> {
        if let Some(known) = self.already(tx).await? {
            return Ok(known);
        }
        let order = guest_order::check(tx, self.scope, &self.body).await?;
        quotas::check(tx, order.account, order.extra()).await?;
        let decided = self.decide(tx, &order).await?;
        let id = self.make(tx, order, &decided).await?;
        guest_order::made(tx, id).await
    }
}

/// Tries an order, for [`honcho_store::Store::rehearse`]: gives where the guest would go and why. An operator is told so
/// also where it would go nowhere.
pub(crate) struct GuestTrial(pub(crate) GuestCreate);

impl Change for GuestTrial {
    type Out = Placement;
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Placement> {
        let create = &self.0;
        let order = guest_order::check(tx, create.scope, &create.body).await?;
        quotas::check(tx, order.account, order.extra()).await?;
        let decided = create.decide(tx, &order).await?;
        let inputs = placements::inputs(tx).await?;
        let at = jiff::Timestamp::from_microsecond(tx.now.0).unwrap_or_default();
        let shown = decided.shown(None, at, &inputs, Told::Whole);
        if decided.place().is_some() || !create.scope.is_operator() {
            create.make(tx, order, &decided).await?;
        }
        Ok(if create.scope.is_operator() { shown } else { placing::for_customers(&shown) })
    }
}

impl GuestCreate {
    /// Where it goes, as everything stands in this transaction.
    async fn decide(&self, tx: &Tx, order: &Order) -> StoreResult<Decided> {
        let now = self.standing.now(tx, self.rules).await?;
        let mut problems = Problems::default();
        // No secret of the machine room: it says what kinds of networks there can be at all.
        problems.check("base", placing::carried(now.rooms(), &order.kinds));
        problems.none()?;
        Ok(now.decide(order.request(&now)))
    }

    async fn make(&self, tx: &Tx, order: Order, decided: &Decided) -> StoreResult<GuestId> {
        let uuids = Uuids { guest: self.uuid, volume: self.volume_uuid, cluster: self.cluster_uuid };
        order.make(tx, self.scope, uuids, decided).await
    }

    /// A repeated POST with the same reference answers with the same guest.
    async fn already(&self, tx: &Tx) -> StoreResult<Option<Guest>> {
        let mut problems = Problems::default();
        let reference = problems.line("reference", self.body.reference.as_deref());
        problems.none()?;
        let account = guest_order::account_of(self.scope, self.body.account_id);
        let (Some(reference), Some(account)) = (reference, account) else { return Ok(None) };
        // Of an account that the caller may not see, no guest is given out either.
        let mut problems = Problems::default();
        match problems.found("account_id", accounts::get(tx, self.scope, account).await)? {
            Some(_) => guests::by_reference(tx, account, reference, tx.now).await,
            None => Ok(None),
        }
    }
}

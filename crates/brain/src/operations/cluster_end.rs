//! Ending a cluster, and taking it back: all its guests in one transaction, each with an operation of its own.

use super::account_end::Grace;
use super::guest_end::{GuestCancel, GuestDelete, Rooms, restore};
use honcho_api::Cluster;
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, ClusterId};
use honcho_placement::Rules;
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, Refusal, Scope, StoreResult, Turn, Tx, clusters};

/// Cancels every guest of a cluster, or deletes them at once.
pub(crate) struct ClusterCancel {
    pub(crate) scope: Scope,
    pub(crate) id: ClusterId,
    pub(crate) grace: Grace,
}

impl Change for ClusterCancel {
    type Out = Cluster;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Cluster> {
        let before = found(tx, self.scope, self.id).await?;
        if before.cancelled_at.is_some() && self.grace == Grace::Kept {
            return Err(Refusal::Conflict("it is cancelled already".to_owned()).into());
        }
        let members = clusters::members(tx, self.id).await?;
        if members.is_empty() {
            return Err(Refusal::Conflict("it is deleted".to_owned()).into());
        }
        for member in members {
            let (scope, id) = (self.scope, member.guest);
            match self.grace {
                Grace::Kept if member.cancelled_at.is_none() => {
                    GuestCancel { scope, id }.run(tx).await?;
                }
                Grace::Kept => {}
                Grace::None => {
                    GuestDelete { scope, id }.run(tx).await?;
                }
            }
        }
        let (kind, text) = match self.grace {
            Grace::Kept => ("cluster.cancel", "was cancelled, with all its guests"),
            Grace::None => ("cluster.delete", "is being deleted, with all its guests"),
        };
        record(tx, kind, text, &before).await
    }
}

/// Takes a cancelled cluster back, with the guests that were cancelled last.
pub(crate) struct ClusterRestore {
    pub(crate) scope: Scope,
    pub(crate) id: ClusterId,
    /// What placing holds to.
    pub(crate) rules: Rules,
}

impl Change for ClusterRestore {
    type Out = Cluster;
    // What its guests had was given up, and is claimed again.
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Cluster> {
        let before = found(tx, self.scope, self.id).await?;
        if before.cancelled_at.is_none() {
            return Err(Refusal::Conflict("it is not cancelled".to_owned()).into());
        }
        let members = clusters::members(tx, self.id).await?;
        // Those that went at the same time went with it; who was cancelled before that was cancelled alone.
        let last = members.iter().filter_map(|member| member.cancelled_at).max();
        let with_it: Vec<_> = members.iter().filter(|member| member.cancelled_at == last).collect();
        if with_it.is_empty() {
            return Err(Refusal::Conflict("it is deleted".to_owned()).into());
        }
        let mut rooms = Rooms::read(tx, self.rules).await?;
        for member in with_it {
            restore(tx, self.scope, member.guest, &mut rooms).await?;
        }
        record(tx, "cluster.restore", "was taken back", &before).await
    }
}

async fn found(tx: &Tx, scope: Scope, id: ClusterId) -> StoreResult<Cluster> {
    let cluster = clusters::get(tx, scope, id).await?;
    match cluster.deleted_at {
        None => Ok(cluster),
        Some(_) => Err(Refusal::Conflict("it is deleted".to_owned()).into()),
    }
}

async fn record(tx: &Tx, kind: &str, text: &str, before: &Cluster) -> StoreResult<Cluster> {
    let after = clusters::get(tx, Scope::System, ClusterId(before.id)).await?;
    let resource = (ResourceKind::Cluster, after.id, after.name.as_str());
    let event = NewEvent::info(kind, resource, text).of(Some(AccountId(after.account_id)));
    let of = |cluster: &Cluster| serde_json::to_value(cluster).ok();
    events::record(tx, event.change(of(before), of(&after))).await?;
    Ok(after)
}

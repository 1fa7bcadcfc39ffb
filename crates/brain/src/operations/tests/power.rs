//! Starting, stopping, rebooting: what is wanted, and how many boots.

use super::*;
use PowerAction::{Reboot, Start, Stop};

/// What is asked for, one after the other, and boots wanted, power, and whether boots and stops may pull the plug.
async fn check(actions: &[PowerAction], expected: (i64, Power, bool, bool)) {
    let world = World::new().await;
    let guest = world.order("web1").await;
    for action in actions {
        world.power(guest.id, *action).await.unwrap();
    }
    let id = GuestId(guest.id);
    let desired = world.ask(&Peek { id }).await.unwrap();
    let found = (desired.boots_wanted, desired.power, desired.boot_hard, desired.stop_hard);
    assert_eq!(found, expected, "{actions:?}");
    assert_eq!(desired.generation.0, 1 + i64::try_from(actions.len()).unwrap());
}

pub(super) struct Peek {
    pub(super) id: GuestId,
}

impl Change for Peek {
    type Out = honcho_store::guests_desired::Desired;
    async fn run<'a>(&'a self, tx: &'a honcho_store::Tx) -> StoreResult<Self::Out> {
        honcho_store::guests_desired::get(tx, Scope::System, self.id).await
    }
}

const SOFT: PowerAction = Stop { hard: false };
const HARD: PowerAction = Stop { hard: true };

#[tokio::test]
async fn boots_are_counted_once() {
    use Power::{Running, Stopped};
    check(&[], (1, Running, false, false)).await;
    check(&[Start], (1, Running, false, false)).await;
    check(&[Start, Start], (1, Running, false, false)).await;
    check(&[SOFT], (1, Stopped, false, false)).await;
    check(&[HARD], (1, Stopped, false, true)).await;
    // The domain that is still stopping carries the lower number, so it is not taken for the one that is wanted.
    check(&[SOFT, Start], (2, Running, false, false)).await;
    // Hard once is not hard for ever.
    check(&[HARD, Start], (2, Running, true, false)).await;
    check(&[SOFT, SOFT, Start, Start], (2, Running, false, false)).await;
    check(&[Reboot { hard: false }], (2, Running, false, false)).await;
    check(&[Reboot { hard: false }, Reboot { hard: true }], (3, Running, true, false)).await;
}

#[tokio::test]
async fn a_stopped_guest_is_not_rebooted() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.power(guest.id, SOFT).await.unwrap();
    let refused = refused(world.power(guest.id, Reboot { hard: false }).await);
    assert_eq!(refused, "base is stopped, so there is nothing to reboot: start it\n");
}

#[tokio::test]
async fn the_newer_wish_supersedes_the_older_and_both_end() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let stop = world.power(guest.id, SOFT).await.unwrap();
    let start = world.power(guest.id, Start).await.unwrap();
    world.settle(guest.id).await;
    let look = async |id: i64| {
        let id = honcho_model::OperationId(id);
        honcho_store::operations::get(world.app.store.reader(), Scope::System, id).await.unwrap()
    };
    let (stop, ended) = (look(stop.id).await, look(start.id).await);
    assert_eq!((stop.state.as_str(), stop.superseded_by), ("superseded", Some(start.id)));
    assert_eq!((ended.state.as_str(), ended.superseded_by), ("done", None));
    assert_eq!(world.guest(guest.id).await.operation_id, Some(start.id));
    // Neither can be given up any more.
    let id = honcho_model::OperationId(start.id);
    let abandon =
        world.ask(&OperationAbandon { scope: Scope::Operator, id, rules: crate::USUAL_RULES }).await;
    assert_eq!(refused(abandon), "conflict: it has ended already (done)");
}

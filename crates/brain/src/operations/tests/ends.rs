//! Cancelling, taking back, deleting, and what time alone does.

use super::power::Peek;
use super::*;
use honcho_model::guest::GuestStatus;
use honcho_store::guests_desired;

async fn cancel(world: &World, id: i64) -> StoreResult<honcho_api::Operation> {
    world.ask(&GuestCancel { scope: Scope::Operator, id: GuestId(id) }).await
}

async fn restore(world: &World, id: i64) -> StoreResult<honcho_api::Operation> {
    world.ask(&GuestRestore { scope: Scope::Operator, id: GuestId(id), rules: crate::USUAL_RULES }).await
}

async fn delete(world: &World, id: i64) -> StoreResult<honcho_api::Operation> {
    world.ask(&GuestDelete { scope: Scope::Operator, id: GuestId(id) }).await
}

#[tokio::test]
async fn a_cancelled_guest_waits_and_can_be_taken_back() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.settle(guest.id).await;
    cancel(&world, guest.id).await.unwrap();
    let cancelled = world.guest(guest.id).await;
    let waits = cancelled.deletes_at.unwrap().duration_since(cancelled.cancelled_at.unwrap()).as_secs();
    assert_eq!((cancelled.status, waits), (GuestStatus::Stopping, 100));
    assert_eq!(cancelled.address, guest.address, "it keeps its address");
    world.settle(guest.id).await;
    assert_eq!(world.guest(guest.id).await.status, GuestStatus::Cancelled);
    assert_eq!(refused(cancel(&world, guest.id).await), "conflict: it is cancelled already");
    for action in [PowerAction::Start, PowerAction::Stop { hard: true }, PowerAction::Reboot { hard: false }]
    {
        let text = "conflict: it is cancelled: restore it first";
        assert_eq!(refused(world.power(guest.id, action).await), text);
    }
    restore(&world, guest.id).await.unwrap();
    let restored = world.guest(guest.id).await;
    assert_eq!((restored.cancelled_at, restored.deletes_at, restored.boots_wanted), (None, None, 2));
    assert_eq!(restored.status, GuestStatus::Starting);
    assert_eq!(refused(restore(&world, guest.id).await), "conflict: it is not cancelled");
    world.settle(guest.id).await;
    assert_eq!(world.guest(guest.id).await.status, GuestStatus::Running);
}

#[tokio::test]
async fn one_that_was_stopped_is_taken_back_stopped() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.power(guest.id, PowerAction::Stop { hard: false }).await.unwrap();
    cancel(&world, guest.id).await.unwrap();
    restore(&world, guest.id).await.unwrap();
    let desired = world.ask(&Peek { id: GuestId(guest.id) }).await.unwrap();
    assert_eq!((desired.power, desired.boots_wanted), (Power::Stopped, 1));
}

#[tokio::test]
async fn one_is_taken_back_stopped_if_its_host_has_no_room() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    cancel(&world, guest.id).await.unwrap();
    for number in 0..15 {
        world.order(&format!("g{number}")).await;
    }
    let operation = restore(&world, guest.id).await.unwrap();
    assert!(operation.outcome.unwrap().starts_with("there was no room for it when"));
    assert_eq!(world.guest(guest.id).await.power, Power::Stopped);
    // Taken back again where there is room, it is as any other.
    cancel(&world, guest.id).await.unwrap();
    cancel(&world, guest.id + 1).await.unwrap();
    assert_eq!(restore(&world, guest.id).await.unwrap().outcome, None);
    world.power(guest.id, PowerAction::Start).await.unwrap();
}

#[tokio::test]
async fn a_deleted_guest_is_asked_for_nothing_more() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let operation = delete(&world, guest.id).await.unwrap();
    let check = async || {
        let gone = "conflict: it is deleted";
        assert_eq!(refused(delete(&world, guest.id).await), gone);
        assert_eq!(refused(cancel(&world, guest.id).await), gone);
        assert_eq!(refused(restore(&world, guest.id).await), gone);
        assert_eq!(refused(world.power(guest.id, PowerAction::Start).await), gone);
        let body = honcho_api::GuestUpdate::default();
        let (scope, id, restart) = (Scope::Operator, GuestId(guest.id), Restart::Allowed);
        assert_eq!(
            refused(world.ask(&GuestUpdate { scope, id, body, restart, rules: crate::USUAL_RULES }).await),
            gone
        );
    };
    check().await;
    world.bury(guest.id).await;
    check().await;
    let id = honcho_model::OperationId(operation.id);
    let ended = honcho_store::operations::get(world.app.store.reader(), Scope::System, id).await.unwrap();
    assert_eq!(ended.state.as_str(), "done");
    // Its name is free again.
    world.order("web1").await;
}

#[tokio::test]
async fn what_has_lapsed_is_deleted_and_nothing_else() {
    let world = World::new().await;
    let (kept, lapsing) = (world.order("kept").await, world.order("lapsing").await);
    cancel(&world, lapsing.id).await.unwrap();
    let step = async || {
        crate::controllers::lapsing_step(world.app.clone()).await.unwrap();
        (world.guest(kept.id).await.status, world.guest(lapsing.id).await.status)
    };
    // The host's agent is heard all the while.
    let heard = async || world.report(Vec::new(), Vec::new(), Vec::new()).await;
    world.pass(99);
    heard().await;
    assert_eq!(step().await, (GuestStatus::Building, GuestStatus::Cancelled));
    world.pass(1);
    heard().await;
    assert_eq!(step().await, (GuestStatus::Building, GuestStatus::Deleting));
    assert_eq!(step().await, (GuestStatus::Building, GuestStatus::Deleting));
    world.bury(lapsing.id).await;
    assert_eq!(step().await, (GuestStatus::Building, GuestStatus::Deleted));
}

#[tokio::test]
async fn one_taken_back_in_the_last_moment_is_not_deleted() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    cancel(&world, guest.id).await.unwrap();
    world.pass(100);
    world.report(Vec::new(), Vec::new(), Vec::new()).await;
    let found = guests_desired::lapsed(world.app.store.reader(), world.app.now()).await.unwrap();
    assert_eq!(found, [GuestId(guest.id)]);
    restore(&world, guest.id).await.unwrap();
    assert!(world.ask(&GuestLapse { id: found[0] }).await.unwrap().is_none());
    assert_eq!(world.guest(guest.id).await.cancelled_at, None);
}

/// What is taken back claims vCPUs as an order does, and keeps N+1 where that is kept; starting it says what is short.
#[tokio::test]
async fn what_is_taken_back_claims_what_an_order_claims() {
    let world = World::new().await;
    // The host has 4 processors, of which 64 vCPUs may be promised.
    let of_vcpus = |name: &str| honcho_api::GuestCreate { vcpus: Some(40), ..world.body(name) };
    let guest = world.order_as(Scope::Operator, of_vcpus("web1")).await.unwrap();
    cancel(&world, guest.id).await.unwrap();
    let other = world.order_as(Scope::Operator, of_vcpus("web2")).await.unwrap();
    let operation = restore(&world, guest.id).await.unwrap();
    assert!(operation.outcome.unwrap().starts_with("there was no room for it when"));
    assert_eq!(
        refused(world.power(guest.id, PowerAction::Start).await),
        "base its host has 24 vCPUs that may be promised, 40 more needed\n"
    );
    cancel(&world, other.id).await.unwrap();
    world.power(guest.id, PowerAction::Start).await.unwrap();

    // There is one host alone: whatever is on it could be restarted nowhere else.
    let rules =
        honcho_placement::Rules { n_plus_one: honcho_placement::NPlusOne::Keep, ..crate::USUAL_RULES };
    cancel(&world, guest.id).await.unwrap();
    let (scope, id) = (Scope::Operator, GuestId(guest.id));
    let operation = world.ask(&GuestRestore { scope, id, rules }).await.unwrap();
    assert!(operation.outcome.is_some());
    let start = GuestPower { scope, id, action: PowerAction::Start, rules };
    assert_eq!(
        refused(world.ask(&start).await),
        "base if h1 were lost, its guests would not all fit elsewhere any more\n"
    );
    let body = honcho_api::GuestUpdate { memory_bytes: Some(2 << 30), ..honcho_api::GuestUpdate::default() };
    // What is not claimed may be as large as it likes.
    world.ask(&GuestUpdate { scope, id, body, restart: Restart::Refused, rules }).await.unwrap();
}

#[tokio::test]
async fn nothing_grows_on_a_host_that_is_to_be_emptied() {
    let world = World::new().await;
    let body = honcho_api::GuestCreate { power: Some(Power::Stopped), ..world.body("web1") };
    let guest = world.order_as(Scope::Operator, body).await.unwrap();
    let drain = HostDrain { scope: Scope::Operator, id: HostId(world.host.id), wanted: Wanted::Drained };
    world.ask(&drain).await.unwrap();
    let resize = |scope, memory: i64| {
        let body =
            honcho_api::GuestUpdate { memory_bytes: Some(memory), ..honcho_api::GuestUpdate::default() };
        let (id, rules) = (GuestId(guest.id), crate::USUAL_RULES);
        GuestUpdate { scope, id, body, restart: Restart::Refused, rules }
    };
    assert_eq!(refused(world.ask(&resize(Scope::Operator, 2 << 30)).await), "base its host is draining\n");
    let own = Scope::Account(honcho_model::AccountId(world.account.id));
    assert_eq!(refused(world.ask(&resize(own, 2 << 30)).await), "base there is no room for that just now\n");
    world.ask(&resize(own, 512 << 20)).await.unwrap();
}

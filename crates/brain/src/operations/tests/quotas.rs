//! Quotas: what counts, what a refusal says, and that of many at the limit exactly as many succeed as fit.

#![allow(clippy::needless_raw_string_hashes)]

use super::*;
use expect_test::{Expect, expect};
use honcho_api::{Account, AccountCreate as Body};
use honcho_model::AccountId;
use honcho_store::quotas;

async fn limit(world: &World, body: Body) -> StoreResult<Account> {
    let (scope, id) = (Scope::Operator, AccountId(world.account.id));
    world.ask(&AccountUpdate { scope, id, body, lock_version: None }).await
}

async fn order_refused(world: &World, name: &str, expected: Expect) {
    expected.assert_eq(&refused(world.order_as(Scope::Operator, world.body(name)).await));
}

async fn resize(world: &World, id: i64, memory: i64, disk: i64, vcpus: i64) -> StoreResult<()> {
    let body = honcho_api::GuestUpdate {
        memory_bytes: Some(memory),
        disk_bytes: Some(disk),
        vcpus: Some(vcpus),
        ..honcho_api::GuestUpdate::default()
    };
    let change = GuestUpdate {
        scope: Scope::Operator,
        id: GuestId(id),
        body,
        restart: Restart::Allowed,
        rules: crate::USUAL_RULES,
    };
    world.ask(&change).await.map(|_| ())
}

async fn used(world: &World) -> (i64, i64, i64, i64, i64) {
    let used = quotas::used(world.app.store.reader(), AccountId(world.account.id)).await.unwrap();
    (used.guests, used.vcpus, used.memory >> 30, used.disk >> 30, used.public_addresses)
}

#[tokio::test]
async fn a_refusal_names_the_limit_how_far_and_what_is_left() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let limits = Body {
        limit_guests: Some(Some(1)),
        limit_vcpus: Some(Some(1)),
        limit_memory_bytes: Some(Some(3 << 29)),
        limit_disk_bytes: Some(Some(4 << 30)),
        ..Body::default()
    };
    let account = limit(&world, limits).await.unwrap();
    assert_eq!((account.limit_guests, account.limit_memory_bytes), (Some(1), Some(3 << 29)));
    assert_eq!(account.lock_version, world.account.lock_version + 1);
    order_refused(
        &world,
        "web2",
        expect![[r#"
        base is over the account's quota of guests: 1 asked for, 0 left (1 of 1 used)
        disk_bytes is over the account's quota of disk: 3G asked for, 1G left (3G of 4G used)
        memory_bytes is over the account's quota of memory: 1G asked for, 512M left (1G of 1.5G used)
        vcpus is over the account's quota of vCPUs: 1 asked for, 0 left (1 of 1 used)
    "#]],
    )
    .await;
    expect![[r#"
        disk_bytes is over the account's quota of disk: 2G asked for, 1G left (3G of 4G used)
        memory_bytes is over the account's quota of memory: 1G asked for, 512M left (1G of 1.5G used)
        vcpus is over the account's quota of vCPUs: 1 asked for, 0 left (1 of 1 used)
    "#]]
    .assert_eq(&refused(resize(&world, guest.id, 2 << 30, 5 << 30, 2).await));
    // To the limit exactly, and smaller again.
    resize(&world, guest.id, 3 << 29, 4 << 30, 1).await.unwrap();
    resize(&world, guest.id, 1 << 30, 4 << 30, 1).await.unwrap();
    // Null lifts a limit, absent leaves it.
    let lifted = limit(&world, Body { limit_memory_bytes: Some(None), ..Body::default() }).await.unwrap();
    assert_eq!((lifted.limit_memory_bytes, lifted.limit_guests), (None, Some(1)));
    let wrong = limit(&world, Body { limit_disk_bytes: Some(Some(-1)), ..Body::default() }).await;
    assert!(refused(wrong).starts_with("limit_disk_bytes must be from 0"));
    let own = Scope::Account(AccountId(world.account.id));
    let change = AccountUpdate {
        scope: own,
        id: AccountId(world.account.id),
        body: Body { limit_guests: Some(None), ..Body::default() },
        lock_version: None,
    };
    assert_eq!(refused(world.ask(&change).await), "forbidden: only operators may do this");
}

#[tokio::test]
async fn of_a_cancelled_guest_only_disk_and_addresses_count() {
    let world = World::new().await;
    let body = honcho_api::NetworkCreate {
        name: Some("front".into()),
        // Google's, so public for sure.
        subnet: Some("8.8.8.0/29".into()),
        ..honcho_api::NetworkCreate::default()
    };
    let uuid = world.app.outside.uuid();
    let front = world.ask(&NetworkCreate { scope: Scope::Operator, uuid, body }).await.unwrap();
    let public = |name: &str| honcho_api::GuestCreate { network_id: Some(front.id), ..world.body(name) };
    let guest = world.order_as(Scope::Operator, public("web1")).await.unwrap();
    world.order("inner").await;
    assert_eq!(used(&world).await, (2, 2, 2, 6, 1));
    world.ask(&GuestCancel { scope: Scope::Operator, id: GuestId(guest.id) }).await.unwrap();
    assert_eq!(used(&world).await, (1, 1, 1, 6, 1));
    let limits =
        Body { limit_guests: Some(Some(1)), limit_public_addresses: Some(Some(1)), ..Body::default() };
    limit(&world, limits).await.unwrap();
    expect![[r#"
        base is over the account's quota of guests: 1 asked for, 0 left (1 of 1 used)
    "#]]
    .assert_eq(&refused(
        world
            .ask(&GuestRestore { scope: Scope::Operator, id: GuestId(guest.id), rules: crate::USUAL_RULES })
            .await,
    ));
    limit(&world, Body { limit_guests: Some(None), ..Body::default() }).await.unwrap();
    expect![[r#"
        network_id is over the account's quota of public addresses: 1 asked for, 0 left (1 of 1 used)
    "#]]
    .assert_eq(&refused(world.order_as(Scope::Operator, public("web2")).await));
    // They count until the agent has reported it gone.
    world.ask(&GuestDelete { scope: Scope::Operator, id: GuestId(guest.id) }).await.unwrap();
    assert_eq!(used(&world).await, (1, 1, 1, 6, 1));
    world.bury(guest.id).await;
    assert_eq!(used(&world).await, (1, 1, 1, 3, 0));
    world.order_as(Scope::Operator, public("web2")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_exactly_as_many_succeed_as_fit() {
    let world = Arc::new(World::new().await);
    limit(&world, Body { limit_guests: Some(Some(7)), ..Body::default() }).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..32 {
        let world = world.clone();
        tasks.spawn(async move {
            world.order_as(Scope::Operator, world.body(&format!("g{number}"))).await.map(|guest| guest.id)
        });
    }
    let outcomes = tasks.join_all().await;
    let (made, refusals): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refusals.len()), (7, 25));
    for refusal in refusals {
        assert!(
            refused(refusal).starts_with("base is over the account's quota of guests: 1 asked for, 0 left")
        );
    }
    assert_eq!(used(&world).await.0, 7);
}

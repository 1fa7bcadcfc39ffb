//! Ordering a guest: what is wrong is said at once, and the same order twice is one guest.

#![allow(clippy::needless_raw_string_hashes)]

use super::*;
use expect_test::{Expect, expect};
use honcho_api::GuestCreate as Body;
use honcho_model::AccountId;

async fn check(world: &World, scope: Scope, body: Body, expected: Expect) {
    expected.assert_eq(&refused(world.order_as(scope, body).await));
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once() {
    let world = World::new().await;
    let operator = Scope::Operator;
    check(
        &world,
        operator,
        Body::default(),
        expect![[r#"
        account_id can't be blank
        disk_bytes can't be blank
        image_id can't be blank
        memory_bytes can't be blank
        name can't be blank
        network_id can't be blank
    "#]],
    )
    .await;
    let wrong = Body {
        account_id: Some(99),
        name: Some("Web 1".into()),
        reference: None,
        image_id: Some(99),
        network_id: Some(99),
        interfaces: None,
        vcpus: Some(0),
        memory_bytes: Some(1),
        disk_bytes: Some(-1),
        ssh_keys: Some(vec!["rm -rf".into(), format!("{KEY}\nssh-rsa AAAA"), KEY.into()]),
        power: None,
        start_alone: None,
        host_id: None,
        site_id: None,
        cpu_features: None,
        cluster: None,
        role: None,
    };
    check(
        &world,
        operator,
        wrong,
        expect![[r#"
            account_id does not exist
            disk_bytes must be from 16777216 to 70368744177664
            image_id does not exist
            memory_bytes must be from 67108864 to 4398046511104
            name may hold lower-case letters, digits and inner hyphens only (as in "web-1")
            network_id does not exist
            ssh_keys must each be an OpenSSH public key, as in the .pub file of ssh-keygen; must each be one line, of what can be seen
            vcpus must be from 1 to 256
        "#]],
    )
    .await;
    let small = Body { disk_bytes: Some(64 << 20), ..world.body("web1") };
    check(
        &world,
        operator,
        small,
        expect![[r#"
        disk_bytes is too small for image debian-12: 528M at least
    "#]],
    )
    .await;
    let huge = Body { memory_bytes: Some(1 << 40), ..world.body("web1") };
    check(
        &world,
        operator,
        huge,
        expect![[r#"
        base no host has room for it (h1: 15.5G of memory free, 1T needed)
    "#]],
    )
    .await;
    let wide = Body { disk_bytes: Some(1 << 40), ..world.body("web1") };
    check(
        &world,
        operator,
        wide,
        expect![[r#"
        base no host has room for it (h1: 100G of disk not yet promised in pool default, 1T needed)
    "#]],
    )
    .await;
    let elsewhere = Body { host_id: Some(77), ..world.body("web1") };
    check(
        &world,
        operator,
        elsewhere,
        expect![[r#"
        host_id does not exist
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_customer_orders_for_itself_and_learns_nothing_of_others() {
    let world = World::new().await;
    let body =
        honcho_api::AccountCreate { name: Some("rival".into()), ..honcho_api::AccountCreate::default() };
    let rival = AccountCreate { scope: Scope::Operator, uuid: Uuid::from_u128(5), body };
    let rival = world.ask(&rival).await.unwrap();
    let body = honcho_api::NetworkCreate {
        name: Some("rivals".into()),
        subnet: Some("10.78.0.0/24".into()),
        account_id: Some(rival.id),
        ..honcho_api::NetworkCreate::default()
    };
    let network = NetworkCreate { scope: Scope::Operator, uuid: Uuid::from_u128(6), body };
    let network = world.ask(&network).await.unwrap();
    let own = Scope::Account(AccountId(world.account.id));
    let body = || Body { account_id: None, ..world.body("web1") };
    check(
        &world,
        own,
        Body { account_id: Some(rival.id), ..body() },
        expect![[r#"
        account_id does not exist
    "#]],
    )
    .await;
    check(
        &world,
        own,
        Body { network_id: Some(network.id), ..body() },
        expect![[r#"
        network_id does not exist
    "#]],
    )
    .await;
    check(
        &world,
        own,
        Body { host_id: Some(world.host.id), ..body() },
        expect![[r#"
        host_id may be chosen by operators only
    "#]],
    )
    .await;
    check(
        &world,
        own,
        Body { memory_bytes: Some(1 << 40), ..body() },
        expect![[r#"
            base there is no room for that just now
        "#]],
    )
    .await;
    // An operator is told what is wrong with it.
    let foreign = Body { network_id: Some(network.id), ..world.body("web1") };
    check(
        &world,
        Scope::Operator,
        foreign,
        expect![[r#"
        network_id belongs to another account
    "#]],
    )
    .await;
    let guest = world.order_as(own, body()).await.unwrap();
    assert_eq!((guest.account_id, guest.vcpus, guest.power), (world.account.id, 1, Power::Running));
}

#[tokio::test]
async fn the_same_reference_twice_is_one_guest() {
    let world = World::new().await;
    let body = |name: &str| Body { reference: Some("order-7".into()), ..world.body(name) };
    let first = world.order_as(Scope::Operator, body("web1")).await.unwrap();
    let again = world.order_as(Scope::Operator, body("web1")).await.unwrap();
    assert_eq!(first, again);
    // Whatever else the repeated one says, also from the account itself.
    let own = Scope::Account(AccountId(world.account.id));
    let other = Body { account_id: None, memory_bytes: Some(5), ..body("other") };
    assert_eq!(world.order_as(own, other).await.unwrap(), first);
    // And when it is gone meanwhile: the order was fulfilled.
    let id = GuestId(first.id);
    world.ask(&GuestDelete { scope: Scope::Operator, id }).await.unwrap();
    world.bury(first.id).await;
    let late = world.order_as(Scope::Operator, body("web1")).await.unwrap();
    assert_eq!((late.id, late.deleted_at.is_some()), (first.id, true));
}

#[tokio::test]
async fn what_fits_no_more_is_refused_and_leaves_nothing() {
    let world = World::new().await;
    // 16G less what the host needs for itself.
    for number in 0..15 {
        world.order(&format!("g{number}")).await;
    }
    let one_more = refused(world.order_as(Scope::Operator, world.body("g15")).await);
    expect![[r#"
        base no host has room for it (h1: 512M of memory free, 1G needed)
    "#]]
    .assert_eq(&one_more);
    let small = Body { memory_bytes: Some(256 << 20), ..world.body("small") };
    world.order_as(Scope::Operator, small).await.unwrap();
    // A host that is not heard takes nothing.
    world.pass(60);
    let silent = refused(world.order_as(Scope::Operator, world.body("late")).await);
    expect![[r#"
        base no host has room for it (h1: is silent)
    "#]]
    .assert_eq(&silent);
}

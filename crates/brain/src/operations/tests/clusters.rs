//! Clusters: ordered whole or not at all, also when many are ordered at once; shown, ended and taken back as one.

#![allow(clippy::needless_raw_string_hashes)]

use super::placing::{host, hosts, placed, wide_network};
use super::*;
use expect_test::expect;
use futures::future::join_all;
use honcho_api::{Cluster, ClusterCreate as Body, ClusterPlacement, ClusterRoleCreate as Role};
use honcho_model::{AccountId, ClusterId};
use honcho_store::{Filters, clusters, placements};
use std::collections::{BTreeMap, BTreeSet};

fn role(role: &str, count: i64) -> Role {
    Role { role: Some(role.into()), count: Some(count), ..Role::default() }
}

fn body(world: &World, name: &str, roles: Vec<Role>) -> Body {
    Body {
        account_id: Some(world.account.id),
        name: Some(name.into()),
        image_id: Some(world.image.id),
        network_id: Some(world.network.id),
        memory_bytes: Some(1 << 30),
        disk_bytes: Some(3 << 30),
        roles: Some(roles),
        ..Body::default()
    }
}

fn change(world: &World, scope: Scope, body: Body) -> ClusterCreate {
    let standing = world.app.standing.clone();
    ClusterCreate { scope, outside: world.app.outside.clone(), body, rules: crate::USUAL_RULES, standing }
}

async fn order(world: &World, body: Body) -> StoreResult<Cluster> {
    world.ask(&change(world, Scope::Operator, body)).await
}

async fn trial(world: &World, scope: Scope, body: Body) -> StoreResult<ClusterPlacement> {
    let trial = ClusterTrial(change(world, scope, body));
    world.app.store.rehearse(Actor::honcho(), world.app.now(), &trial).await
}

async fn guests_of(world: &World, cluster: &str) -> Vec<Guest> {
    let filters = Filters::default().and("cluster", cluster);
    guests::list(world.app.store.reader(), Scope::System, &filters, world.app.now()).await.unwrap()
}

async fn listed(world: &World, filters: Filters) -> Vec<String> {
    let found = clusters::list(world.app.store.reader(), Scope::System, &filters).await.unwrap();
    found.into_iter().map(|cluster| cluster.name).collect()
}

async fn shown(world: &World, id: i64) -> Cluster {
    clusters::get(world.app.store.reader(), Scope::System, ClusterId(id)).await.unwrap()
}

/// How many guests of each role are on each host.
fn crowds(guests: &[Guest]) -> BTreeMap<(Option<i64>, Option<String>), usize> {
    let mut crowds = BTreeMap::new();
    for guest in guests {
        *crowds.entry((guest.host_id, guest.role.clone())).or_default() += 1;
    }
    crowds
}

#[tokio::test]
async fn a_cluster_is_ordered_as_one() {
    let world = World::new().await;
    hosts(&world, 6, Bytes::gib(16), Bytes::gib(200)).await;
    let roles = vec![
        role("front", 2),
        Role { memory_bytes: Some(2 << 30), vcpus: Some(2), ..role("app", 6) },
        Role { names: Some(vec!["db1".into(), "db2".into()]), count: None, ..role("db", 0) },
    ];
    let cluster = order(&world, body(&world, "shop", roles)).await.unwrap();
    assert_eq!((cluster.guests_count, cluster.running_count, cluster.open_operations_count), (10, 0, 10));
    let counts: Vec<_> =
        cluster.roles.iter().map(|role| (role.role.as_deref().unwrap(), role.guests_count)).collect();
    assert_eq!(counts, [("app", 6), ("db", 2), ("front", 2)]);
    let guests = guests_of(&world, "shop").await;
    let names: Vec<&str> = guests.iter().map(|guest| guest.name.as_str()).collect();
    assert_eq!(names[..3], ["shop-front-1", "shop-front-2", "shop-app-1"]);
    assert_eq!(names[7..], ["shop-app-6", "db1", "db2"]);
    assert_eq!((guests[2].memory_bytes, guests[2].vcpus, guests[8].memory_bytes), (2 << 30, 2, 1 << 30));
    assert!(
        crowds(&guests).values().all(|count| *count == 1),
        "six hosts, six of the largest role: {guests:?}"
    );
    let addresses: BTreeSet<_> = guests.iter().map(|guest| guest.address.clone().unwrap()).collect();
    let operations: BTreeSet<_> = guests.iter().map(|guest| guest.operation_id.unwrap()).collect();
    assert_eq!((addresses.len(), operations.len()), (10, 10));
    for guest in &guests {
        let kept = placements::get(world.app.store.reader(), GuestId(guest.id)).await.unwrap().unwrap();
        assert_eq!(kept.host_id, guest.host_id, "each has its own decision");
    }
}

#[tokio::test]
async fn a_repeated_order_is_the_same_cluster_and_a_name_is_taken_once() {
    let world = World::new().await;
    let again = Body { reference: Some("r-1".into()), ..body(&world, "shop", vec![role("app", 2)]) };
    let first = order(&world, again.clone()).await.unwrap();
    assert_eq!(order(&world, again).await.unwrap().id, first.id);
    assert_eq!(guests_of(&world, "shop").await.len(), 2);
    expect![[r#"
        name is taken
    "#]]
    .assert_eq(&refused(order(&world, body(&world, "shop", vec![role("web", 1)])).await));
    // A guest that is ordered alone makes the cluster that it names.
    let alone = honcho_api::GuestCreate { cluster: Some("blog".into()), ..world.body("blog1") };
    world.order_as(Scope::Operator, alone.clone()).await.unwrap();
    let second = honcho_api::GuestCreate { name: Some("blog2".into()), ..alone };
    world.order_as(Scope::Operator, second).await.unwrap();
    assert_eq!(listed(&world, Filters::default()).await, ["shop", "blog"]);
    assert_eq!(listed(&world, Filters::default().and("name", "blog")).await, ["blog"]);
}

#[tokio::test]
async fn what_is_wrong_is_said_of_its_role_and_nothing_is_made() {
    let world = World::new().await;
    let roles = vec![
        role("front", 0),
        role("App", 1),
        Role { memory_bytes: Some(1), image_id: Some(99), ..role("app", 2) },
        role("app", 1),
        Role { names: Some(vec!["db1".into(), "db1".into()]), count: Some(3), ..role("db", 3) },
        Role {
            interfaces: Some(vec![honcho_api::InterfaceCreate {
                network_id: Some(world.network.id),
                address: Some("10.77.0.9".into()),
                ..honcho_api::InterfaceCreate::default()
            }]),
            ..role("mail", 2)
        },
    ];
    expect![[r#"
        roles front: count must be 1 at least; may hold lower-case letters, digits and inner hyphens only (as in "web-1"); names app twice; db: 3 guests, and 2 names; db: names db1 twice; mail: 2 guests cannot have the one address that is named
    "#]]
    .assert_eq(&refused(order(&world, body(&world, "shop", roles)).await));
    let roles = vec![role("front", 1), Role { memory_bytes: Some(1), image_id: Some(99), ..role("app", 2) }];
    expect![[r#"
        roles app: image_id does not exist; app: memory_bytes must be from 67108864 to 4398046511104
    "#]]
    .assert_eq(&refused(order(&world, body(&world, "shop", roles)).await));
    expect![[r#"
        roles can't be blank: it has one at least, and a guest in it
    "#]]
    .assert_eq(&refused(order(&world, body(&world, "shop", vec![])).await));
    expect![[r#"
        roles must be 100 guests at most: order further ones one by one
    "#]]
    .assert_eq(&refused(order(&world, body(&world, "shop", vec![role("app", i64::MAX)])).await));
    world.order("shop-app-2").await;
    expect![[r#"
        roles app: name is taken (shop-app-2)
    "#]]
    .assert_eq(&refused(order(&world, body(&world, "shop", vec![role("app", 3)])).await));
    assert!(listed(&world, Filters { with_cancelled: true, ..Filters::default() }).await.is_empty());
    assert_eq!(placed(&world).await, [1], "the guest that was there before");
}

#[tokio::test]
async fn no_room_for_one_is_no_room_for_any() {
    let world = World::new().await;
    let roles = || vec![role("front", 2), Role { memory_bytes: Some(6 << 30), ..role("db", 3) }];
    expect![[r#"
        base no room for shop-db-3 (role db), once 2 of 5 guests are placed; nothing was made; no host has room for it (h1: 3.5G of memory free, 6G needed)
    "#]]
    .assert_eq(&refused(order(&world, body(&world, "shop", roles())).await));
    let tried = trial(&world, Scope::Operator, body(&world, "shop", roles())).await.unwrap();
    let names: Vec<_> =
        tried.guests.iter().map(|guest| (guest.name.as_str(), guest.placement.placed)).collect();
    assert_eq!(names, [("shop-db-1", true), ("shop-db-2", true), ("shop-db-3", false)]);
    assert!(!tried.placed && tried.reason.unwrap().starts_with("no room for shop-db-3 (role db)"));
    // A customer hears which of their own it is, and nothing of the machine room.
    let own = Scope::Account(AccountId(world.account.id));
    expect![[r#"
        base no room for shop-db-3 (role db), once 2 of 5 guests are placed; nothing was made; there is no room for that just now
    "#]]
    .assert_eq(&refused(trial(&world, own, body(&world, "shop", roles())).await));
    assert!(placed(&world).await.is_empty());

    // With another host they fit, and a dry run makes none of them.
    host(&world, "h2", Bytes::gib(16), Bytes::gib(100)).await;
    let tried = trial(&world, Scope::Operator, body(&world, "shop", roles())).await.unwrap();
    assert!(tried.placed && tried.guests.len() == 5 && placed(&world).await.is_empty());
    let dry: Vec<_> = tried.guests.iter().map(|guest| guest.placement.host_id).collect();
    let of_customer = trial(&world, own, body(&world, "shop", roles())).await.unwrap();
    assert!(
        of_customer.guests.iter().all(|guest| guest.placement.placed && guest.placement.host_id.is_none())
    );
    order(&world, body(&world, "shop", roles())).await.unwrap();
    let made: Vec<_> = guests_of(&world, "shop").await.iter().map(|guest| guest.host_id).collect();
    assert_eq!(dry, made, "what was said is what is done");
}

#[tokio::test]
async fn quotas_and_addresses_hold_for_all_of_it() {
    let world = World::new().await;
    let limits =
        honcho_api::AccountCreate { limit_guests: Some(Some(3)), ..honcho_api::AccountCreate::default() };
    let (scope, id) = (Scope::Operator, AccountId(world.account.id));
    let update = |body| AccountUpdate { scope, id, body, lock_version: None };
    world.ask(&update(limits)).await.unwrap();
    let refusal = refused(order(&world, body(&world, "shop", vec![role("app", 2), role("db", 2)])).await);
    assert!(refusal.contains("guests"), "{refusal}");
    let unlimited =
        honcho_api::AccountCreate { limit_guests: Some(None), ..honcho_api::AccountCreate::default() };
    world.ask(&update(unlimited)).await.unwrap();

    // A network of 8 addresses has 5 for guests.
    let small = honcho_api::NetworkCreate {
        name: Some("small".into()),
        subnet: Some("10.81.0.0/29".into()),
        ..honcho_api::NetworkCreate::default()
    };
    let small = NetworkCreate { scope, uuid: world.app.outside.uuid(), body: small };
    let small = Some(world.ask(&small).await.unwrap().id);
    let in_small =
        |name: &str, count| Body { network_id: small, ..body(&world, name, vec![role("app", count)]) };
    let refusal = refused(order(&world, in_small("large", 6)).await);
    assert!(refusal.starts_with("roles app: network_id") && refusal.contains("(large-app-6)"), "{refusal}");
    order(&world, in_small("shop", 5)).await.unwrap();
}

#[tokio::test]
async fn a_cluster_ends_and_comes_back_as_one() {
    let world = World::new().await;
    let (scope, rules) = (Scope::Operator, crate::USUAL_RULES);
    let cluster = order(&world, body(&world, "shop", vec![role("app", 3)])).await.unwrap();
    let members = guests_of(&world, "shop").await;
    for guest in &members {
        world.settle(guest.id).await;
    }
    let seen = shown(&world, cluster.id).await;
    assert_eq!((seen.running_count, seen.open_operations_count), (3, 0));
    world.ask(&GuestCancel { scope, id: GuestId(members[0].id) }).await.unwrap();
    assert_eq!(shown(&world, cluster.id).await.guests_count, 2);
    world.pass(5);
    let id = ClusterId(cluster.id);
    let ended = world.ask(&ClusterCancel { scope, id, grace: Grace::Kept }).await.unwrap();
    assert!(ended.cancelled_at.is_some() && ended.deletes_at.is_some() && ended.deleted_at.is_none());
    assert!(listed(&world, Filters::default()).await.is_empty());
    assert_eq!(
        refused(world.ask(&ClusterCancel { scope, id, grace: Grace::Kept }).await),
        "conflict: it is cancelled already"
    );
    // It comes back with those that went with it; the one that was cancelled alone stays so.
    let back = world.ask(&ClusterRestore { scope, id, rules }).await.unwrap();
    assert_eq!((back.guests_count, back.cancelled_at), (2, None));
    assert_eq!(
        refused(world.ask(&ClusterRestore { scope, id, rules }).await),
        "conflict: it is not cancelled"
    );
    assert_eq!(guests_of(&world, "shop").await.len(), 2);

    world.ask(&ClusterCancel { scope, id, grace: Grace::None }).await.unwrap();
    assert_eq!(refused(world.ask(&ClusterRestore { scope, id, rules }).await), "conflict: it is deleted");
    // Its name is free once the last of its guests is gone.
    expect![[r#"
        name is taken
    "#]]
    .assert_eq(&refused(order(&world, body(&world, "shop", vec![role("app", 1)])).await));
    for guest in &members {
        world.bury(guest.id).await;
    }
    assert!(shown(&world, cluster.id).await.deleted_at.is_some());
    let next = order(&world, body(&world, "shop", vec![role("app", 1)])).await.unwrap();
    assert!(next.id > cluster.id && next.guests_count == 1);
}

#[tokio::test]
async fn an_account_sees_its_own_clusters_alone() {
    let world = World::new().await;
    let cluster = order(&world, body(&world, "shop", vec![role("app", 1)])).await.unwrap();
    let stranger = Scope::Account(AccountId(world.account.id + 1));
    assert!(
        clusters::list(world.app.store.reader(), stranger, &Filters::default()).await.unwrap().is_empty()
    );
    let (id, grace) = (ClusterId(cluster.id), Grace::None);
    let refusal = refused(world.ask(&ClusterCancel { scope: stranger, id, grace }).await);
    assert_eq!(refusal, "there is no such cluster");
}

/// 32 clients order clusters of three roles, as often as there is room for some of them: each that is made is whole, and no
/// two of one role share a host, for each host has room for one of each role of as many clusters as fit.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clusters_that_are_ordered_at_once_are_whole_and_apart() {
    let world = World::new().await;
    let (memory, disk) = (Bytes::mib(256), Bytes::mib(528));
    // Six hosts with room for 40 guests, which is 4 clusters of 2 + 6 + 2.
    let room_for = |guests: u64| Bytes(guests * memory.0 + Bytes::mib(512).0);
    hosts(&world, 6, room_for(7), Bytes(7 * disk.0)).await;
    let network = wide_network(&world).await;
    let client = async |client: usize| {
        let roles = vec![role("front", 2), role("app", 6), role("db", 2)];
        let body = Body {
            network_id: Some(network),
            memory_bytes: Some(256 << 20),
            disk_bytes: Some(528 << 20),
            ..body(&world, &format!("shop{client}"), roles)
        };
        order(&world, body).await
    };
    let outcomes = join_all((0..32).map(client)).await;
    let (made, refusals): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 4, "42 places, 10 guests each");
    for refusal in refusals {
        let refusal = refused(refusal);
        assert!(refusal.contains("nothing was made") && refusal.contains("memory"), "{refusal}");
    }
    for cluster in made {
        let guests = guests_of(&world, &cluster.unwrap().name).await;
        assert_eq!(guests.len(), 10, "never half");
        assert!(crowds(&guests).values().all(|count| *count == 1), "{:?}", crowds(&guests));
    }
    assert_eq!(placed(&world).await.iter().sum::<i64>(), 40);
    assert!(placed(&world).await.iter().all(|guests| *guests <= 7));
    let all = Filters { with_cancelled: true, ..Filters::default() };
    assert_eq!(listed(&world, all).await.len(), 4, "of those that were refused nothing is left");
}

//! Where guests go when many are ordered at once: no host is overfilled, no kin meet, N+1 is kept, and nobody is refused
//! what there is room for.

#![allow(clippy::needless_raw_string_hashes)]

use super::*;
use expect_test::expect;
use futures::future::join_all;
use honcho_api::GuestCreate as Body;
use honcho_model::AccountId;
use honcho_placement::{NPlusOne, Rules};
use honcho_store::{placements, rooms};

/// How many ask at once.
const CLIENTS: usize = 64;

/// Hosts that are up, h2 and so on, with a pool each; the world's own is drained.
pub(super) async fn hosts(world: &World, count: usize, memory: Bytes, pool: Bytes) -> Vec<Host> {
    drain(world, world.host.id, Wanted::Drained).await;
    let mut hosts = Vec::new();
    for number in 2..count + 2 {
        hosts.push(host(world, &format!("h{number}"), memory, pool).await);
    }
    hosts
}

pub(super) async fn host(world: &World, name: &str, memory: Bytes, size: Bytes) -> Host {
    let host = world.ask(&add_host(&world.app, name)).await.unwrap();
    let body = honcho_api::PoolCreate {
        host_id: Some(host.id),
        name: Some("default".into()),
        kind: None,
        path: Some("/pool".into()),
    };
    let pool = PoolCreate { scope: Scope::Operator, uuid: world.app.outside.uuid(), body };
    let pool = world.ask(&pool).await.unwrap();
    let join = HostJoin {
        token: JoinToken::parse(host.join_token.as_deref().unwrap()).unwrap(),
        fingerprint: format!("f-{name}"),
        dmi_uuid: None,
        machine_id: None,
    };
    world.ask(&join).await.unwrap().unwrap();
    let seen = HostObserved { cpus: 64, memory, ..HostObserved::default() };
    let pool = PoolObserved { size, free: size, ..pool_ready(PoolId(pool.id)) };
    let report = Report {
        protocol: PROTOCOL,
        capabilities: honcho_wire::CAPABILITIES.iter().map(|name| (*name).to_owned()).collect(),
        boot_id: "b".to_owned(),
        run_id: Uuid::from_u128(1),
        sequence: 1,
        incarnation: None,
        manifest_generation: Generation(0),
        load: None,
        digest: String::new(),
        observation: Some(Observation { host: seen, pools: vec![pool], ..Observation::default() }),
    };
    let report = ApplyReport { host: HostId(host.id), host_name: name.to_owned(), report };
    world.ask(&report).await.unwrap();
    host
}

pub(super) async fn drain(world: &World, id: i64, wanted: Wanted) -> Host {
    world.ask(&HostDrain { scope: Scope::Operator, id: HostId(id), wanted }).await.unwrap()
}

/// A network with addresses for more guests than there is room for.
pub(super) async fn wide_network(world: &World) -> i64 {
    let body = honcho_api::NetworkCreate {
        name: Some("wide".into()),
        subnet: Some("10.80.0.0/16".into()),
        ..honcho_api::NetworkCreate::default()
    };
    let network = NetworkCreate { scope: Scope::Operator, uuid: world.app.outside.uuid(), body };
    world.ask(&network).await.unwrap().id
}

async fn order_under(world: &World, rules: Rules, body: Body) -> StoreResult<Guest> {
    let (uuid, volume_uuid) = (world.app.outside.uuid(), world.app.outside.uuid());
    let cluster_uuid = world.app.outside.uuid();
    let (scope, standing) = (Scope::Operator, world.app.standing.clone());
    world.ask(&GuestCreate { scope, uuid, volume_uuid, cluster_uuid, body, rules, standing }).await
}

async fn trial(world: &World, scope: Scope, body: Body) -> StoreResult<honcho_api::Placement> {
    let (uuid, volume_uuid) = (world.app.outside.uuid(), world.app.outside.uuid());
    let cluster_uuid = world.app.outside.uuid();
    let (rules, standing) = (crate::USUAL_RULES, world.app.standing.clone());
    let create = GuestCreate { scope, uuid, volume_uuid, cluster_uuid, body, rules, standing };
    world.app.store.rehearse(Actor::honcho(), world.app.now(), &GuestTrial(create)).await
}

/// How many guests claim memory on each host that has any.
pub(super) async fn placed(world: &World) -> Vec<i64> {
    let rooms = rooms::list(world.app.store.reader(), None, world.app.now()).await.unwrap();
    let count = |room: &rooms::Room| room.claimed.iter().map(|size| size.guests).sum::<i64>();
    rooms.iter().map(count).filter(|guests| *guests > 0).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_orders_fill_what_holds_a_thousand() {
    let world = World::new().await;
    let (memory, disk) = (Bytes::mib(64), Bytes::mib(528));
    // Each holds 100, beside what it keeps for itself.
    let memory_of_100 = Bytes(100 * memory.0 + Bytes::mib(512).0);
    let hosts = hosts(&world, 10, memory_of_100, Bytes(100 * disk.0)).await;
    let network = wide_network(&world).await;
    let body = |name: String| Body {
        network_id: Some(network),
        memory_bytes: Some(64 << 20),
        disk_bytes: Some(528 << 20),
        ssh_keys: None,
        ..world.body(&name)
    };
    let client = async |client: usize| {
        for number in (client..1000).step_by(CLIENTS) {
            world.order_as(Scope::Operator, body(format!("g{number}"))).await.unwrap();
        }
    };
    join_all((0..CLIENTS).map(client)).await;
    assert_eq!(placed(&world).await, vec![100; hosts.len()]);
    let refused = refused(world.order_as(Scope::Operator, body("one-more".into())).await);
    expect![[r#"
        base none of 11 hosts has room for it; draining: 1 host, as h1: is draining; memory: 10 hosts; nearest is h2: 0 of memory free, 64M needed, so 64M too little
    "#]]
    .assert_eq(&refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kin_that_are_ordered_at_once_never_meet() {
    let world = World::new().await;
    hosts(&world, 16, Bytes::gib(64), Bytes::gib(400)).await;
    // Of each of the four roles as many as there are hosts.
    let client = async |client: usize| {
        let role = ["app", "front", "db", "mail"][client % 4];
        let body = Body {
            cluster: Some("shop".into()),
            role: Some(role.into()),
            ..world.body(&format!("g{client}"))
        };
        world.order_as(Scope::Operator, body).await.unwrap()
    };
    let guests = join_all((0..CLIENTS).map(client)).await;
    let mut seen = std::collections::BTreeSet::new();
    for guest in guests {
        assert!(seen.insert((guest.role.clone(), guest.host_id)), "two of {:?} on one host", guest.role);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn n_plus_one_that_is_kept_is_kept_by_all_at_once() {
    let world = World::new().await;
    hosts(&world, 2, Bytes::gib(16), Bytes::gib(400)).await;
    let rules = Rules { n_plus_one: NPlusOne::Keep, ..crate::USUAL_RULES };
    let client = async |client: usize| order_under(&world, rules, world.body(&format!("g{client}"))).await;
    let outcomes = join_all((0..CLIENTS / 2).map(client)).await;
    // Each has 15.5G for guests: what is on both must fit on either.
    assert_eq!(placed(&world).await.iter().sum::<i64>(), 15);
    let refusals: Vec<String> = outcomes.into_iter().filter(Result::is_err).map(refused).collect();
    assert_eq!(refusals.len(), CLIENTS / 2 - 15);
    assert!(refusals[0].contains("were lost, its guests would not all fit elsewhere"), "{}", refusals[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_grows_comes_back_or_is_new_never_takes_the_same_room() {
    let world = World::new().await;
    hosts(&world, 1, Bytes::gib(16), Bytes::gib(400)).await;
    let mut stopped = Vec::new();
    for number in 0..12 {
        let body = Body { power: Some(Power::Stopped), ..world.body(&format!("g{number}")) };
        stopped.push(world.order_as(Scope::Operator, body).await.unwrap().id);
    }
    for id in &stopped[..6] {
        world.ask(&GuestCancel { scope: Scope::Operator, id: GuestId(*id) }).await.unwrap();
    }
    // 6G are placed and 9.5G free: 12 new ones, 6 that grow by 2G and 6 that come back want 30G.
    let grow = async |id: &i64| {
        let body =
            honcho_api::GuestUpdate { memory_bytes: Some(3 << 30), ..honcho_api::GuestUpdate::default() };
        let rules = crate::USUAL_RULES;
        let update =
            GuestUpdate { scope: Scope::Operator, id: GuestId(*id), body, restart: Restart::Allowed, rules };
        world.ask(&update).await.is_ok()
    };
    let restore = async |id: &i64| {
        world
            .ask(&GuestRestore { scope: Scope::Operator, id: GuestId(*id), rules: crate::USUAL_RULES })
            .await
            .unwrap();
        true
    };
    let order = async |number: usize| {
        world.order_as(Scope::Operator, world.body(&format!("n{number}"))).await.is_ok()
    };
    tokio::join!(
        join_all(stopped[6..].iter().map(grow)),
        join_all(stopped[..6].iter().map(restore)),
        join_all((0..12).map(order)),
    );
    let rooms = rooms::list(world.app.store.reader(), None, world.app.now()).await.unwrap();
    let full = rooms.iter().find(|room| room.memory_placed() > 0).unwrap();
    let gib = full.memory_placed() >> 30;
    assert!((14..=15).contains(&gib), "{gib}G of 15.5G");
}

#[tokio::test]
async fn a_draining_host_takes_no_new_guest_and_keeps_its_own() {
    let world = World::new().await;
    let first = world.order("g1").await;
    assert_eq!(first.host_id, Some(world.host.id));
    let other = host(&world, "h2", Bytes::gib(16), Bytes::gib(100)).await;
    let drained = drain(&world, world.host.id, Wanted::Drained).await;
    assert!(drained.draining_since.is_some());
    // Twice is once: it drains since it did.
    world.pass(5);
    assert_eq!(drain(&world, world.host.id, Wanted::Drained).await.draining_since, drained.draining_since);
    for number in 2..6 {
        assert_eq!(world.order(&format!("g{number}")).await.host_id, Some(other.id));
    }
    let there = Body { host_id: Some(world.host.id), ..world.body("there") };
    expect![[r#"
        base no host has room for it (h1: is draining)
    "#]]
    .assert_eq(&refused(world.order_as(Scope::Operator, there.clone()).await));
    assert_eq!(world.guest(first.id).await.host_id, Some(world.host.id));
    assert_eq!(drain(&world, world.host.id, Wanted::Undrained).await.draining_since, None);
    world.order_as(Scope::Operator, there).await.unwrap();
}

#[tokio::test]
async fn the_decision_is_kept_and_a_dry_run_makes_nothing() {
    let world = World::new().await;
    host(&world, "h2", Bytes::gib(2), Bytes::gib(2)).await;
    let guest = world.order("web1").await;
    let kept = placements::get(world.app.store.reader(), GuestId(guest.id)).await.unwrap().unwrap();
    assert_eq!((kept.guest_id, kept.host.as_deref()), (Some(guest.id), Some("h1")));
    assert_eq!(kept.refused.unwrap()[0].filter, "disk");
    assert_eq!(kept.best.unwrap().iter().map(|host| host.host.as_str()).collect::<Vec<_>>(), ["h1"]);
    assert!(kept.hosts.is_none() && kept.inputs.unwrap().starts_with("1."), "the table is for dry runs");

    let tried = trial(&world, Scope::Operator, world.body("web2")).await.unwrap();
    assert_eq!((tried.guest_id, tried.placed, tried.host.as_deref()), (None, true, Some("h1")));
    let hosts = tried.hosts.unwrap();
    assert!(hosts[0].score.is_some());
    assert_eq!(
        hosts[1].reason.as_deref(),
        Some("2G of disk not yet promised in pool default, 3G needed"),
        "{hosts:?}"
    );
    // An operator is shown the table also where there is no room; what is wrong with the order is said as ever.
    let huge = Body { memory_bytes: Some(1 << 40), ..world.body("web2") };
    let tried = trial(&world, Scope::Operator, huge.clone()).await.unwrap();
    assert_eq!((tried.placed, tried.hosts.unwrap().len()), (false, 2));
    assert!(tried.reason.unwrap().contains("h1: 14.5G of memory free, 1T needed"));
    let taken = trial(&world, Scope::Operator, world.body("web1")).await;
    expect![[r#"
        name is taken
    "#]]
    .assert_eq(&refused(taken));
    // A customer hears nothing of the machine room.
    let own = Scope::Account(AccountId(world.account.id));
    let tried = trial(&world, own, world.body("web2")).await.unwrap();
    assert!(tried.placed && tried.host_id.is_none() && tried.hosts.is_none() && tried.best.is_none());
    expect![[r#"
        base there is no room for that just now
    "#]]
    .assert_eq(&refused(trial(&world, own, huge).await));
    assert_eq!(placed(&world).await, [1]);
}

#[tokio::test]
async fn a_cluster_and_a_role_are_words() {
    let world = World::new().await;
    let wrong = Body { cluster: Some("My Shop".into()), role: Some(String::new()), ..world.body("web1") };
    expect![[r#"
        cluster may hold lower-case letters, digits and inner hyphens only (as in "web-1")
        role can't be blank
    "#]]
    .assert_eq(&refused(world.order_as(Scope::Operator, wrong).await));
    let alone = Body { role: Some("app".into()), ..world.body("web1") };
    expect![[r#"
        role is one in a cluster: say which, by cluster
    "#]]
    .assert_eq(&refused(world.order_as(Scope::Operator, alone).await));
    let body = Body { cluster: Some("shop".into()), role: Some("app".into()), ..world.body("web1") };
    world.order_as(Scope::Operator, body).await.unwrap();
    world.order("web2").await;
    let filters = honcho_store::Filters::default().and("cluster", "shop").and("role", "app");
    let found =
        guests::list(world.app.store.reader(), Scope::System, &filters, world.app.now()).await.unwrap();
    assert_eq!(found.iter().map(|guest| guest.name.as_str()).collect::<Vec<_>>(), ["web1"]);
}

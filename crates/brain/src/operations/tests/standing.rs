//! The fleet that a brain keeps between orders: nothing is in it that was taken back, and nothing is missing that another
//! brain did, in whatever order it was committed. Every order of every test compares what is kept with what is read anew,
//! and so does every change ([`crate::placing::Standing`]); here is what needs a special moment.

use super::placing::{drain, host, hosts, placed, wide_network};
use super::*;
use honcho_api::GuestCreate as Body;
use honcho_store::{Tx, hosts as rows};
use tokio::sync::{Notify, watch};

/// How many ask at once.
const CLIENTS: usize = 8;

fn create(app: &App, body: Body) -> GuestCreate {
    let (uuid, volume_uuid) = (app.outside.uuid(), app.outside.uuid());
    let (cluster_uuid, standing) = (app.outside.uuid(), app.standing.clone());
    let (scope, rules) = (Scope::Operator, crate::USUAL_RULES);
    GuestCreate { scope, uuid, volume_uuid, cluster_uuid, body, rules, standing }
}

#[tokio::test]
async fn what_is_tried_or_fails_leaves_nothing_in_what_is_kept() {
    let world = World::new().await;
    hosts(&world, 2, Bytes::gib(4), Bytes::gib(100)).await;
    let trial = GuestTrial(create(&world.app, world.body("g0")));
    let now = world.app.now();
    world.app.store.rehearse(Actor::honcho(), now, &trial).await.unwrap();
    assert!(world.app.standing.is_kept());
    // Its name is taken by the time that it is written, after it was decided where it goes.
    world.order("g1").await;
    refused(world.order_as(Scope::Operator, world.body("g1")).await);
    assert!(world.app.standing.is_kept());
    // Each has 3.5G: what was tried and what was refused take nothing of it.
    for number in 2..=6 {
        world.order(&format!("g{number}")).await;
    }
    assert_eq!(placed(&world).await, [3, 3]);
    refused(world.order_as(Scope::Operator, world.body("g7")).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_brains_that_keep_a_fleet_each_fill_it_together() {
    let world = World::new().await;
    let (memory, disk) = (Bytes::mib(64), Bytes::mib(528));
    hosts(&world, 4, Bytes(20 * memory.0 + Bytes::mib(512).0), Bytes(20 * disk.0)).await;
    let network = wide_network(&world).await;
    let other = world.app.beside();
    let order = async |number: usize| {
        let body = Body {
            network_id: Some(network),
            memory_bytes: Some(64 << 20),
            disk_bytes: Some(528 << 20),
            ssh_keys: None,
            ..world.body(&format!("g{number}"))
        };
        let app = if number.is_multiple_of(3) { &other } else { &world.app };
        app.write(Actor::honcho(), &create(app, body)).await
    };
    let order = &order;
    let client = |client: usize| async move {
        for number in (client..80).step_by(CLIENTS) {
            order(number).await.unwrap();
        }
    };
    futures::future::join_all((0..CLIENTS).map(client)).await;
    assert_eq!(placed(&world).await, [20; 4]);
    assert!(order(80).await.is_err() && order(81).await.is_err());
}

/// A host is to be emptied, and then nothing happens for a while.
struct Dallying<'a> {
    host: HostId,
    begun: &'a Notify,
    goes_on: watch::Receiver<bool>,
}

impl Change for Dallying<'_> {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        rows::set_draining(tx, self.host, Some(tx.now)).await?;
        self.begun.notify_one();
        let _ = self.goes_on.clone().wait_for(|goes_on| *goes_on).await;
        Ok(())
    }
}

/// On PostgreSQL what began first may be committed last: what is compared after each change is renewed in between, to a place
/// after it. (An order that chose this host would wait for it.)
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_that_is_committed_late_is_not_missed() {
    let world = World::new().await;
    let late = host(&world, "h2", Bytes::gib(64), Bytes::gib(100)).await;
    assert_eq!(world.order("g1").await.host_id, Some(late.id));
    let (begun, (go, goes_on)) = (Notify::new(), watch::channel(false));
    let dallying = Dallying { host: HostId(late.id), begun: &begun, goes_on };
    let meanwhile = async {
        begun.notified().await;
        // SQLite has one writer: nobody comes in between.
        if world.app.store.is_shared() {
            host(&world, "h3", Bytes::gib(16), Bytes::gib(100)).await;
        }
        go.send(true).unwrap();
    };
    let (done, ()) = tokio::join!(world.ask(&dallying), meanwhile);
    done.unwrap();
    assert_ne!(world.order("g2").await.host_id, Some(late.id), "it is draining");
}

#[tokio::test]
async fn what_is_kept_is_looked_at_now_and_then_and_thrown_away_if_it_is_wrong() {
    let world = World::new().await;
    hosts(&world, 2, Bytes::gib(4), Bytes::gib(100)).await;
    let snapshot = world.app.store.snapshot().await.unwrap();
    let before = honcho_store::rooms::KeptRooms::read(&snapshot, world.app.now()).await.unwrap();
    drop(snapshot);
    world.order("g1").await;
    assert!(world.app.standing.is_kept());
    assert_eq!(world.app.standing.check(&world.app.store, world.app.now()).await.unwrap(), None);
    crate::controllers::noting_check(world.app.clone()).await.unwrap();
    assert!(world.app.standing.is_kept());
    let difference = world.app.standing.compare(&before).expect("a guest came since");
    assert!(difference.contains("by now"), "{difference}");
    assert!(!world.app.standing.is_kept());
    world.order("g2").await;
    assert_eq!(placed(&world).await, [1, 1]);
}

/// A brain that has not ordered anything for long finds no note any more of what has changed since.
#[tokio::test]
async fn whoever_was_away_for_long_reads_everything() {
    let world = World::new().await;
    let other = world.app.beside();
    let by_other = async |name: &str| {
        other.write(Actor::honcho(), &create(&other, world.body(name))).await.unwrap().host_id
    };
    assert_eq!(by_other("g1").await, Some(world.host.id));
    let roomy = host(&world, "h2", Bytes::gib(64), Bytes::gib(100)).await;
    let noted = std::sync::Mutex::default();
    for _ in 0..3 {
        crate::controllers::noting_step(world.app.clone(), &noted).await.unwrap();
    }
    assert_eq!(by_other("g2").await, Some(roomy.id), "it was added meanwhile");
    // Who renews now and then misses nothing.
    drain(&world, roomy.id, Wanted::Drained).await;
    assert_eq!(by_other("g3").await, Some(world.host.id));
}

#[tokio::test]
async fn a_host_that_falls_silent_and_returns_is_left_out_meanwhile() {
    let world = World::new().await;
    let other = host(&world, "h2", Bytes::gib(64), Bytes::gib(100)).await;
    assert_eq!(world.order("g1").await.host_id, Some(other.id));
    let heard = async |id: i64| {
        let seen = rows::Seen { host: HostId(id), at: world.app.now(), load: None };
        world.ask(&super::hosts::Heard(seen)).await.unwrap();
    };
    for _ in 0..6 {
        world.pass(10);
        heard(world.host.id).await;
    }
    assert_eq!(world.order("g2").await.host_id, Some(world.host.id), "the other is silent");
    heard(other.id).await;
    assert_eq!(world.order("g3").await.host_id, Some(other.id), "it speaks again");
    world.pass(44);
    heard(other.id).await;
    world.pass(40);
    assert_eq!(world.order("g4").await.host_id, Some(other.id), "it spoke since it was read");
}

#[tokio::test]
async fn what_hosts_do_counts_once_it_is_written_down() {
    let world = World::new().await;
    let other = host(&world, "h2", Bytes::gib(16), Bytes::gib(100)).await;
    let spread = async || {
        let trial = GuestTrial(create(&world.app, world.body("g1")));
        let told = world.app.store.rehearse(Actor::honcho(), world.app.now(), &trial).await.unwrap();
        told.best.unwrap()[0].load_spread.unwrap()
    };
    assert!(spread().await < 0.01, "nobody has told");
    for (id, busy_percent) in [(world.host.id, 99), (other.id, 1)] {
        let load = honcho_wire::LoadObserved { busy_percent, io_wait_percent: 0, window_seconds: 60 };
        world.app.liveness.is_busy(HostId(id), load, world.app.now());
    }
    assert!(spread().await < 0.01, "it is in memory alone");
    world.pass(1);
    crate::controllers::heard_step(world.app.clone()).await.unwrap();
    assert!(spread().await > 0.3);
}

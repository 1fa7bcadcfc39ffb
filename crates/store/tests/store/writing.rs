//! Writing: all or nothing, generations, what indexes forbid, and files that outlive their process.

use crate::world::{World, act, connect, name, refusal};
use honcho_model::guest::Power;
use honcho_model::{Bytes, GuestId};
use honcho_store::{
    Actor, Engine, Filters, Refusal, Scope, Store, StoreError, accounts, brain, events, guests,
    guests_desired, hosts, networks, pools, tokens,
};
use sea_orm::{ConnectionTrait as _, Statement};
use std::time::Duration;
use uuid::Uuid;

#[tokio::test]
async fn a_hosts_generation_rises_once_per_write_however_much_changed() {
    let world = World::new().await;
    let other = world.new_host("h2").await;
    let (before, first, second) = (world.generation().await, world.new_guest("a"), world.new_guest("b"));
    let both = act(|tx, _| {
        Box::pin(async {
            for new in [&first, &second] {
                let id = guests_desired::create(tx, new).await?;
                let mut guest = guests_desired::get(tx, Scope::System, id).await?;
                guest.memory = Bytes::gib(1);
                guests_desired::save(tx, &mut guest).await?;
            }
            tx.touch(other);
            Ok(())
        })
    });
    world.write(&both).await.unwrap();
    assert_eq!(world.generation().await, before + 1);
    let others = hosts::generation(world.store.reader(), other).await.unwrap().unwrap();
    assert_eq!(others.0, 2);
    // What changes nothing on a host raises nothing.
    world.new_account("quiet").await;
    assert_eq!(world.generation().await, before + 1);
}

#[tokio::test]
async fn a_commit_wakes_those_it_touches_and_a_failure_nobody() {
    let world = World::new().await;
    let other = world.new_host("h2").await;
    let (mut mine, others) = (world.store.wakeups().host(world.host), world.store.wakeups().host(other));
    world.guest("web1").await;
    assert!(mine.has_changed().unwrap() && !others.has_changed().unwrap());
    mine.mark_unchanged();
    assert!(world.order(&world.new_guest("web1")).await.is_err());
    assert!(!mine.has_changed().unwrap() && !others.has_changed().unwrap());
}

/// How many rows every table holds, and every sequence of ids.
async fn rows(world: &World) -> Vec<(String, i64)> {
    let database = connect(&world.engine).await;
    let all = |sql: &str| Statement::from_string(database.get_database_backend(), sql.to_owned());
    let tables = match world.engine {
        Engine::Sqlite(_) => "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
        // A sequence gives numbers to those who fail, too: only its tables must be as they were.
        Engine::Postgres(_) => {
            "SELECT CAST(tablename AS TEXT) AS name FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
        }
    };
    let tables = database.query_all_raw(all(tables)).await.unwrap();
    let mut counts = Vec::new();
    for table in tables {
        let table: String = table.try_get("", "name").unwrap();
        let count = database.query_one_raw(all(&format!("SELECT COUNT(*) AS n FROM \"{table}\""))).await;
        counts.push((table, count.unwrap().unwrap().try_get("", "n").unwrap()));
    }
    counts
}

#[tokio::test]
async fn a_write_that_fails_leaves_nothing() {
    let world = World::new().await;
    let (before, generation) = (rows(&world).await, world.generation().await);
    let new = world.new_guest("web1");
    let failing = act::<(), _>(|tx, _| {
        Box::pin(async {
            let id = guests_desired::create(tx, &new).await?;
            let resource = (honcho_model::event::ResourceKind::Guest, id.0, "web1");
            events::record(tx, events::NewEvent::info("guest.create", resource, "")).await?;
            Err(Refusal::Conflict("after all".to_owned()).into())
        })
    });
    assert_eq!(refusal(world.write(&failing).await), Refusal::Conflict("after all".to_owned()));
    assert_eq!((rows(&world).await, world.generation().await), (before, generation));
    // And the writer goes on.
    world.guest("web1").await;
}

#[tokio::test]
async fn a_write_whose_caller_goes_away_leaves_nothing_and_blocks_nobody() {
    let world = World::new().await;
    let before = rows(&world).await;
    let new = world.new_guest("web1");
    let stuck = act::<(), _>(|tx, _| {
        Box::pin(async {
            guests_desired::create(tx, &new).await?;
            std::future::pending().await
        })
    });
    let gone = tokio::time::timeout(Duration::from_millis(200), world.write(&stuck)).await;
    assert!(gone.is_err());
    let quick = tokio::time::timeout(Duration::from_secs(5), world.new_account("next")).await;
    assert!(quick.is_ok(), "the writer is free again");
    let after = rows(&world).await;
    let changed: Vec<_> =
        before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| a.0.as_str()).collect();
    assert_eq!(changed, ["accounts"]);
}

#[tokio::test]
async fn what_is_taken_is_said_of_its_attribute() {
    let world = World::new().await;
    let check = |outcome: Result<(), StoreError>, attribute: &str, reason: &str| {
        assert_eq!(refusal(outcome), Refusal::invalid(attribute, reason));
    };
    let account = |reference: Option<&str>, text: &str| accounts::NewAccount {
        uuid: Uuid::from_u128(9),
        name: name(text),
        reference: reference.map(str::to_owned),
        grace_seconds: 0,
        limits: honcho_model::quota::Limits::default(),
    };
    let make = async |new: accounts::NewAccount| {
        world.write(&act(|tx, _| Box::pin(accounts::create(tx, &new)))).await.map(drop)
    };
    check(make(account(None, "acme")).await, "name", "is taken");
    make(account(Some("x"), "one")).await.unwrap();
    check(make(account(Some("x"), "two")).await, "reference", "is taken");
    make(account(None, "three")).await.unwrap();

    let (uuid, h1, host) = (Uuid::from_u128(8), name("h1"), world.host);
    check(
        world.write(&act(|tx, _| Box::pin(hosts::create(tx, uuid, &h1)))).await.map(drop),
        "name",
        "is taken",
    );
    let pool = async |text: &str, path: &str| {
        let name = name(text);
        world.write(&act(|tx, _| Box::pin(pools::create(tx, uuid, host, &name, path)))).await.map(drop)
    };
    check(pool("default", "/other").await, "name", "is taken on this host");
    check(pool("second", "/pool").await, "path", "is another pool's on this host");
    let subnet = honcho_model::subnet::parse("10.1.0.0/29").unwrap();
    let network = networks::NewNetwork::local(uuid, name("office"), None, subnet);
    check(
        world.write(&act(|tx, _| Box::pin(networks::create(tx, &network)))).await.map(drop),
        "name",
        "is taken",
    );
    world.guest("web1").await;
    check(world.order(&world.new_guest("web1")).await.map(drop), "name", "is taken");
    let mut referred = world.new_guest("web2");
    referred.reference = Some("order-1".to_owned());
    world.order(&referred).await.unwrap();
    referred.name = name("web3");
    referred.uuid = world.uuid();
    check(world.order(&referred).await.map(drop), "reference", "is taken");
    // Another account's names and references are its own.
    referred.account = world.new_account("rival").await;
    world.order(&referred).await.unwrap();
}

#[tokio::test]
async fn sqlite_a_file_is_whole_when_its_process_was_killed() {
    let world = World::new().await;
    let id = world.guest("web1").await;
    let path = world.directory.path().join("honcho.sqlite");
    // What a kill leaves: the files of that moment, log and all, and nobody to close them.
    let left = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(world.directory.path()).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(entry.path(), left.path().join(entry.file_name())).unwrap();
        }
    }
    assert!(std::fs::metadata(left.path().join("honcho.sqlite-wal")).unwrap().len() > 0);
    for path in [left.path().join("honcho.sqlite"), path] {
        let store = Store::open(&path).await.unwrap();
        let guest = guests::get(store.reader(), Scope::System, id, world.now()).await.unwrap();
        assert_eq!((guest.name.as_str(), guest.address.as_deref()), ("web1", Some("10.77.0.2")));
    }
}

#[tokio::test]
async fn opening_again_changes_nothing() {
    let world = World::new().await;
    world.guest("web1").await;
    let before = rows(&world).await;
    for _ in 0..2 {
        let store = Store::open(&world.engine).await.unwrap();
        let establish = brain::Establish { uuid: Uuid::from_u128(2) };
        let identity = store.write(Actor::honcho(), world.now(), &establish).await.unwrap();
        assert_eq!(identity.uuid, Uuid::from_u128(1), "a brain stays who it is");
    }
    assert_eq!(rows(&world).await, before);
}

#[tokio::test]
async fn ids_are_never_used_twice() {
    let world = World::new().await;
    let hash = async |text: &'static str| {
        world
            .write(&act(|tx, _| Box::pin(tokens::create(tx, text, tokens::TokenScope::Operator, text, None))))
            .await
            .unwrap()
    };
    let first = hash("a").await;
    let database = connect(&world.engine).await;
    database.execute_unprepared("DELETE FROM tokens").await.unwrap();
    assert!(hash("b").await > first);
}

#[tokio::test]
async fn a_buried_guest_can_still_be_looked_up_by_operations() {
    let world = World::new().await;
    let id = world.guest("web1").await;
    world.delete(id).await;
    world.report_gone(id).await;
    let desired = world.desired(id).await;
    assert_eq!((desired.deleted_at, desired.power), (Some(world.now()), Power::Running));
    let lapsed = guests_desired::lapsed(world.store.reader(), world.now()).await.unwrap();
    assert_eq!(lapsed, Vec::<GuestId>::new());
    let all = Filters { with_cancelled: true, ..Filters::default() };
    assert_eq!(guests::list(world.store.reader(), Scope::System, &all, world.now()).await.unwrap().len(), 1);
}

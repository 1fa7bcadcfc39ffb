//! Many writers at once, on both engines; and several brains on one PostgreSQL.

use crate::world::{World, act, connect, name};
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, HostId};
use honcho_store::events::{self, NewEvent};
use honcho_store::{
    Actor, Change, Engine, Filters, Refusal, Scope, Store, StoreError, StoreResult, Tx, accounts, hosts,
};
use sea_orm::{ConnectionTrait as _, Statement, TransactionTrait as _};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// Whether this run is about several brains; what only PostgreSQL has is tried when the tests run there.
fn on_postgres(world: &World) -> bool {
    matches!(world.engine, Engine::Postgres(_))
}

fn account(number: u128, text: &str, reference: Option<String>) -> accounts::NewAccount {
    accounts::NewAccount {
        uuid: Uuid::from_u128(number),
        name: name(text),
        reference,
        grace_seconds: 0,
        limits: honcho_model::quota::Limits::default(),
    }
}

/// Makes an account that is called by how many there are: serializable, or two of them are called the same.
struct Count {
    number: u128,
    host: HostId,
}

impl Change for Count {
    type Out = AccountId;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<AccountId> {
        let known = accounts::list(tx, Scope::System, &Filters::default()).await?.len();
        tx.touch(self.host);
        accounts::create(tx, &account(self.number, &format!("n{known}"), None)).await
    }
}

/// Makes an account unless there is one with this reference.
struct Once {
    number: u128,
}

impl Change for Once {
    type Out = AccountId;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<AccountId> {
        let known = Filters::default().and("reference", "order-1");
        match accounts::list(tx, Scope::System, &known).await?.first() {
            Some(known) => Ok(AccountId(known.id)),
            None => accounts::create(tx, &account(self.number, "once", Some("order-1".to_owned()))).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_who_write_at_once_none_is_lost() {
    let world = Arc::new(World::new().await);
    let before = world.generation().await;
    let writers = (0..64).map(|number| {
        let world = world.clone();
        tokio::spawn(async move {
            let write = Count { number, host: world.host };
            world.write(&write).await.unwrap()
        })
    });
    let mut ids = BTreeSet::<AccountId>::new();
    for writer in writers.collect::<Vec<_>>() {
        assert!(ids.insert(writer.await.unwrap()), "an id was given twice");
    }
    let names = accounts::list(world.store.reader(), Scope::System, &Filters::default()).await.unwrap();
    let names: BTreeSet<String> = names.into_iter().map(|account| account.name).collect();
    let expected: BTreeSet<String> =
        (1..=64).map(|number| format!("n{number}")).chain(["acme".to_owned()]).collect();
    assert_eq!(names, expected);
    assert_eq!(world.generation().await, before + 64, "each raised the host's generation");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reference_repeated_at_once_is_one_object() {
    let world = Arc::new(World::new().await);
    let writers = (0..16).map(|number| {
        let world = world.clone();
        tokio::spawn(async move {
            let write = Once { number };
            world.write(&write).await.unwrap()
        })
    });
    let mut ids = BTreeSet::new();
    for writer in writers.collect::<Vec<_>>() {
        ids.insert(writer.await.unwrap());
    }
    assert_eq!(ids.len(), 1);
}

fn wish(name: &str) -> NewEvent<'_> {
    NewEvent::info("test.event", (ResourceKind::Account, 1, name), "")
}

async fn note(world: &World, text: &str) {
    world.write(&act(|tx, _| Box::pin(events::record(tx, wish(text))))).await.unwrap();
}

/// The names of the events after a place, and the place after those.
async fn read_on(world: &World, after: &str) -> (Vec<String>, String) {
    let filters = Filters::parse([("after".to_owned(), after.to_owned())]).unwrap().and("kind", "test.event");
    let found = events::list(world.store.reader(), Scope::System, &filters).await.unwrap();
    let place = found.last().map_or_else(|| after.to_owned(), |event| event.cursor.clone());
    (found.into_iter().map(|event| event.resource_name).collect(), place)
}

/// Waits until nothing is held back behind what other tests have under way in the same cluster.
async fn settled(world: &World) {
    while events::is_held_back(world.store.reader()).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn cursors_are_places_in_the_log() {
    let world = World::new().await;
    for text in ["a", "b", "c"] {
        note(&world, text).await;
    }
    settled(&world).await;
    let (all, end) = read_on(&world, "0").await;
    assert_eq!(all, ["a", "b", "c"]);
    assert_eq!(read_on(&world, &end).await, (vec![], end.clone()));
    // A bare id goes on after that event; one that names none, after the last before it.
    let listed =
        events::list(world.store.reader(), Scope::System, &Filters::default().and("kind", "test.event"))
            .await
            .unwrap();
    assert_eq!(read_on(&world, &listed[0].id.to_string()).await.0, ["b", "c"]);
    assert_eq!(read_on(&world, &(listed[2].id + 1000).to_string()).await.0, Vec::<String>::new());
    // The newest first, and further back from there.
    let page = async |query: &[(&str, &str)]| {
        let pairs = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let filters = Filters::parse(pairs).unwrap().and("kind", "test.event");
        events::list(world.store.reader(), Scope::System, &filters).await.unwrap()
    };
    let newest = page(&[("order", "descending"), ("limit", "1")]).await;
    assert_eq!(newest[0].resource_name, "c");
    let earlier = page(&[("order", "descending"), ("after", &newest[0].cursor)]).await;
    assert_eq!(earlier.iter().map(|event| event.resource_name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    // Another life's cursor.
    let (_, rest) = end.split_once('.').unwrap();
    let other = Filters::parse([("after".to_owned(), format!("7.{rest}"))]).unwrap();
    let refused = events::list(world.store.reader(), Scope::System, &other).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused(Refusal::Gone(_))), "{refused}");
    // Nothing else has cursors.
    let refused = accounts::list(world.store.reader(), Scope::System, &other).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused(Refusal::Invalid(_))), "{refused}");
}

#[tokio::test]
async fn no_event_is_skipped_behind_a_transaction_that_is_held_open() {
    let world = World::new().await;
    if !on_postgres(&world) {
        return;
    }
    note(&world, "first").await;
    settled(&world).await;
    let (_, place) = read_on(&world, "0").await;
    // Written before the others, committed after them.
    let database = connect(&world.engine).await;
    let slow = database.begin().await.unwrap();
    let sql = "INSERT INTO events (kind, severity, resource, resource_id, resource_name, actor, created_at) \
               VALUES ('test.event', 'info', 'account', 1, 'slow', 'x', 0)";
    slow.execute_unprepared(sql).await.unwrap();
    note(&world, "quick 1").await;
    note(&world, "quick 2").await;
    let (told, place) = read_on(&world, &place).await;
    assert_eq!(told, Vec::<String>::new(), "who goes on after them would miss the slow one");
    assert!(events::is_held_back(world.store.reader()).await.unwrap());
    // Who only looks sees them at once, and can go on from there as well.
    let look = Filters::parse([("order".to_owned(), "descending".to_owned())]).unwrap();
    let seen = events::list(world.store.reader(), Scope::System, &look).await.unwrap();
    assert_eq!(seen[0].resource_name, "quick 2");
    slow.commit().await.unwrap();
    settled(&world).await;
    let (told, place) = read_on(&world, &place).await;
    assert_eq!(told, ["slow", "quick 1", "quick 2"]);
    assert_eq!(read_on(&world, &place).await.0, Vec::<String>::new());
    assert!(read_on(&world, &seen[0].cursor).await.0.contains(&"slow".to_owned()));
}

/// A change that PostgreSQL refuses as one of two that got in each other's way, so many times.
async fn contend(world: &World, times: u32) -> (u32, Result<AccountId, StoreError>) {
    let tried = AtomicU32::new(0);
    let write = act(|tx, _| {
        Box::pin(async {
            let id = accounts::create(tx, &account(99, "contended", None)).await?;
            if tried.fetch_add(1, Ordering::SeqCst) < times {
                let raise = "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$";
                honcho_store::Connection::inner(tx).execute_unprepared(raise).await?;
            }
            Ok(id)
        })
    });
    let outcome = world.write(&write).await;
    (tried.load(Ordering::SeqCst), outcome)
}

#[tokio::test]
async fn a_change_is_run_again_and_not_for_ever() {
    let world = World::new().await;
    if !on_postgres(&world) {
        return;
    }
    let (tried, outcome) = contend(&world, u32::MAX).await;
    assert!(matches!(outcome, Err(StoreError::Contended(_))), "{outcome:?}");
    assert_eq!(tried, 8);
    let (tried, outcome) = contend(&world, 5).await;
    assert_eq!(tried, 6);
    let kept = accounts::get(world.store.reader(), Scope::System, outcome.unwrap()).await.unwrap();
    assert_eq!(kept.name, "contended");
}

#[tokio::test]
async fn a_commit_that_broke_off_is_no_success() {
    let world = World::new().await;
    if !on_postgres(&world) {
        return;
    }
    let database = connect(&world.engine).await;
    database
        .execute_unprepared(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER dying AFTER INSERT ON accounts DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW WHEN (NEW.name = 'doomed') EXECUTE FUNCTION die()",
        )
        .await
        .unwrap();
    let doomed = account(5, "doomed", None);
    let outcome = world.write(&act(|tx, _| Box::pin(accounts::create(tx, &doomed)))).await;
    assert!(matches!(outcome, Err(StoreError::OutcomeUnknown(_))), "{outcome:?}");
    world.new_account("next").await;
}

/// Ends connections to this world's database, those of this name.
async fn cut(world: &World, application: &str) -> u64 {
    let database = connect(&world.engine).await;
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND application_name LIKE $1 AND pid <> pg_backend_pid()";
    let statement =
        Statement::from_sql_and_values(database.get_database_backend(), sql, [application.into()]);
    database.query_all_raw(statement).await.unwrap().len() as u64
}

#[tokio::test]
async fn connections_that_were_cut_are_made_anew() {
    let world = World::new().await;
    if !on_postgres(&world) {
        return;
    }
    assert!(cut(&world, "honcho%").await >= 3);
    world.new_account("after").await;
    assert_eq!(
        accounts::list(world.store.reader(), Scope::System, &Filters::default()).await.unwrap().len(),
        2
    );
}

#[tokio::test]
async fn a_change_wakes_who_waits_at_another_brain() {
    let world = World::new().await;
    if !on_postgres(&world) {
        return;
    }
    let other = Store::open(&world.engine).await.unwrap();
    let idle = world.new_host("idle").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (mut waiting, mut anything) = (other.wakeups().host(world.host), other.wakeups().anything());
    let bystander = other.wakeups().host(idle);
    world.guest("web1").await;
    let second = Duration::from_secs(5);
    tokio::time::timeout(second, waiting.changed()).await.expect("it is woken").unwrap();
    tokio::time::timeout(second, anything.changed()).await.expect("it is woken").unwrap();
    assert!(!bystander.has_changed().unwrap());
    // A connection that is lost wakes everybody, for what was said meanwhile; and it is heard again.
    assert!(cut(&world, "honcho waking").await >= 2);
    tokio::time::timeout(second, waiting.changed()).await.expect("it is woken").unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    waiting.mark_unchanged();
    world.guest("web2").await;
    tokio::time::timeout(second, waiting.changed()).await.expect("it is woken").unwrap();
    assert_eq!(
        hosts::generation(other.reader(), world.host).await.unwrap(),
        hosts::generation(world.store.reader(), world.host).await.unwrap()
    );
}

#[tokio::test]
async fn one_brain_has_the_lead_and_loses_it_with_its_connection() {
    let world = World::new().await;
    let (first, second) = (world.store.lead(), world.store.lead());
    assert!(first.is_ours().await);
    if !on_postgres(&world) {
        assert!(second.is_ours().await, "a file has one brain");
        return;
    }
    assert!(!second.is_ours().await && first.is_ours().await && !second.is_ours().await);
    assert!(cut(&world, "honcho controllers").await >= 1);
    assert!(!first.is_ours().await, "it notices at the next step");
    // Whoever asks first has it now.
    let mut took = false;
    for _ in 0..20 {
        took = took || second.is_ours().await;
    }
    assert!(took && !first.is_ours().await);
    drop(second);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(first.is_ours().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn brains_that_start_at_once_bring_the_schema_up_once() {
    let world = World::new().await;
    if !on_postgres(&world) {
        return;
    }
    let engine = Engine::Postgres(honcho_test_postgres::cluster().create_empty());
    let starting = (0..4).map(|_| {
        let engine = engine.clone();
        tokio::spawn(async move { Store::open(&engine).await.map(drop) })
    });
    for brain in starting.collect::<Vec<_>>() {
        brain.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn texts_are_as_long_as_they_are() {
    let world = World::new().await;
    let long = "x".repeat(5000);
    note(&world, &long).await;
    let found = events::list(world.store.reader(), Scope::System, &Filters::default()).await.unwrap();
    assert_eq!(found.last().unwrap().resource_name, long);
    let actor = Actor { who: "w".repeat(3000), source: None };
    let write = act(|tx, _| Box::pin(events::record(tx, wish("by"))));
    world.store.write(actor, world.now(), &write).await.unwrap();
}

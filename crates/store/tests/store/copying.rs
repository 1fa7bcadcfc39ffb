//! Copies of a database that is in use, as backups hold them.

use crate::world::{World, connect, saw, seen};
use honcho_model::{GuestId, Timestamp};
use honcho_store::copying::{Contents, copy_database, look_into};
use honcho_store::{
    Engine, Filters, Scope, Store, StoreError, StoreResult, brain, events, guests, restoring,
};
use sea_orm::ConnectionTrait as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

async fn copied(world: &World, name: &str) -> (PathBuf, Contents) {
    let path = world.directory.path().join(name);
    let contents = copy_database(&world.engine, &path, &|_, _, _| {}).await.unwrap();
    (path, contents)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_of_one_moment_while_others_write() {
    let world = Arc::new(World::new().await);
    let ending = Arc::new(AtomicBool::new(false));
    let writing = {
        let (world, ending) = (Arc::clone(&world), Arc::clone(&ending));
        tokio::spawn(async move {
            let mut number = 0;
            while !ending.load(Ordering::SeqCst) {
                // The network has 253 addresses, and not all of them may be gone before the last copy.
                if number < 240 {
                    number += 1;
                    world.guest(&format!("g{number}")).await;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            number
        })
    };
    let mut counts = Vec::new();
    for number in 0..4 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let (_, contents) = copied(&world, &format!("copy-{number}")).await;
        // One order is one transaction: a guest with its volume, its card and its operation.
        let held = |table: &str| contents.tables[table];
        assert_eq!(
            (held("volumes"), held("interfaces"), held("operations")),
            (held("guests"), held("guests"), held("guests"))
        );
        counts.push(held("guests"));
    }
    ending.store(true, Ordering::SeqCst);
    let written = writing.await.unwrap();
    assert!(counts.is_sorted() && counts[0] < counts[3] && counts[3] <= written, "{counts:?} of {written}");
}

#[tokio::test]
async fn a_new_life_begins_with_everything_and_above_every_id() {
    let world = World::new().await;
    let guest = world.guest("web1").await;
    let gone = world.guest("gone").await;
    world.report(saw(vec![seen(guest, 1), seen(gone, 1)])).await;
    world.delete(gone).await;
    world.report_gone(gone).await;
    let (path, contents) = copied(&world, "copy").await;
    assert_eq!((contents.tables["guests"], contents.incarnation), (2, 1));
    assert_eq!(contents.images.len(), 1);
    let all = Filters { with_cancelled: true, ..Filters::default() };
    let before = guests::list(world.store.reader(), Scope::System, &all, world.now()).await.unwrap();
    let told = events::list(world.store.reader(), Scope::System, &Filters::default()).await.unwrap();

    let now = Timestamp(7_000_000_000_000);
    assert_eq!(restoring::begin_life(&path, world.now(), now).await.unwrap().0, 7_000_000);
    let store = Store::open(&path).await.unwrap();
    let identity = brain::get(store.reader()).await.unwrap().unwrap();
    assert_eq!((identity.uuid, identity.incarnation.0), (contents.brain, 7_000_000));
    let after = guests::list(store.reader(), Scope::System, &all, world.now()).await.unwrap();
    let shown = |guests: &[honcho_api::Guest]| {
        let shown =
            |guest: &honcho_api::Guest| (guest.id, guest.name.clone(), guest.uuid, guest.interfaces.clone());
        guests.iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(shown(&after), shown(&before));
    // The log is in order on an engine whose transactions have other numbers.
    let again = events::list(store.reader(), Scope::System, &Filters::default()).await.unwrap();
    let ids = |events: &[honcho_api::Event]| events.iter().map(|event| event.id).collect::<Vec<_>>();
    let mut sorted = ids(&told);
    sorted.sort_unstable();
    assert_eq!(ids(&again), sorted);
    let new = world.new_guest("new");
    let make = crate::world::act(|tx, _| Box::pin(honcho_store::guests_desired::create(tx, &new)));
    let id: GuestId = store.write(honcho_store::Actor::honcho(), now, &make).await.unwrap();
    assert!(id.0 > 1_000_000, "{id}");
}

/// A database that somebody made to act by itself, or that is damaged.
#[tokio::test]
async fn a_forged_copy_is_refused() {
    let world = World::new().await;
    world.guest("web1").await;
    let check = async |name: &str, sql: &[&str], said: &str| {
        let (path, _) = copied(&world, name).await;
        let database = connect(&Engine::from(&path)).await;
        for sql in sql {
            database.execute_unprepared(sql).await.unwrap();
        }
        database.close().await.unwrap();
        let error = look(&path).await.unwrap_err();
        assert!(error.to_string().contains(said), "{name}: {error}");
    };
    let trigger = "CREATE TRIGGER t AFTER INSERT ON guests BEGIN DELETE FROM guests; END";
    check("trigger", &[trigger], "trigger t").await;
    check("view", &["CREATE VIEW v AS SELECT * FROM guests"], "view v").await;
    let virtual_table = "CREATE VIRTUAL TABLE v USING fts5(x)";
    check("virtual", &[virtual_table], "which no brain makes").await;
    check("keys", &["PRAGMA foreign_keys = OFF", "DELETE FROM hosts"], "refers to one that is not there")
        .await;
    check("newer", &["INSERT INTO seaql_migrations VALUES ('m9999_x', 0)"], "m9999_x").await;
    check("empty", &["DELETE FROM brain"], "no brain has ever served").await;
    let (path, _) = copied(&world, "torn").await;
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[half..half + 4096].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    look(&path).await.unwrap_err();
    let (path, _) = copied(&world, "short").await;
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(8192).unwrap();
    look(&path).await.unwrap_err();
}

async fn look(path: &Path) -> StoreResult<Contents> {
    look_into(path).await
}

#[tokio::test]
async fn what_a_newer_program_wrote_is_not_copied() {
    let world = World::new().await;
    let database = connect(&world.engine).await;
    database.execute_unprepared("INSERT INTO seaql_migrations VALUES ('m9999_x', 0)").await.unwrap();
    let outcome = copy_database(&world.engine, &world.directory.path().join("copy"), &|_, _, _| {}).await;
    assert!(matches!(&outcome, Err(StoreError::Newer(version)) if version == "m9999_x"), "{outcome:?}");
}

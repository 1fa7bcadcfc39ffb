//! Pages of guests: one that was read a moment ago is given again, and never when anything has changed since.

use crate::world::{World, connect, saw, seen};
use honcho_model::Timestamp;
use honcho_model::host::SILENT_AFTER;
use honcho_model::operation::OperationKind;
use honcho_store::{Engine, Filters, Scope, guests};
use sea_orm::ConnectionTrait as _;

/// What is given, after looking that it is what there is.
async fn page(world: &World, scope: Scope) -> guests::Page {
    let (reader, all) = (world.store.reader(), Filters { limit: Some(100), ..Filters::default() });
    let page = guests::page(reader, scope, &all, world.now()).await.unwrap();
    // Whoever else asks meanwhile gets the same.
    let again = guests::page(reader, scope, &all, world.now()).await.unwrap();
    assert_eq!(page, again);
    let remembered = page.json.as_ptr() == again.json.as_ptr();
    assert_eq!(remembered, matches!(world.engine, Engine::Sqlite(_)), "SQLite's readers alone remember");
    let guests = guests::list(reader, scope, &all, world.now()).await.unwrap();
    assert_eq!(page.json, serde_json::to_string(&guests).unwrap());
    page
}

#[tokio::test]
async fn a_page_shows_what_was_committed_before_it_was_asked_for() {
    let world = World::new().await;
    let other = world.new_account("globex").await;
    assert_eq!(page(&world, Scope::System).await.json, "[]");
    let web1 = world.guest("web1").await;
    let ordered = page(&world, Scope::System).await;
    assert_eq!((ordered.count, ordered.last), (1, Some(web1.0)));
    assert_eq!(page(&world, Scope::Account(world.account)).await.count, 1);
    assert_eq!(page(&world, Scope::Account(other)).await.count, 0, "what others were given is not theirs");

    // What is wanted, what an agent sees, and what somebody writes into the file beside us.
    let mut before = ordered;
    world.change(web1, OperationKind::Resize, |guest| guest.memory.0 *= 2).await;
    let generation = world.desired(web1).await.generation.0;
    let resized = page(&world, Scope::System).await;
    assert_ne!(resized, std::mem::replace(&mut before, resized.clone()));
    world.report(saw(vec![seen(web1, generation)])).await;
    let reported = page(&world, Scope::System).await;
    assert_ne!(reported, std::mem::replace(&mut before, reported.clone()));
    let beside = connect(&world.engine).await;
    beside.execute_unprepared("UPDATE guests SET name = 'www'").await.unwrap();
    let renamed = page(&world, Scope::System).await;
    assert_ne!(renamed, before);
    assert!(String::from_utf8_lossy(&renamed.json).contains("\"name\":\"www\""), "{renamed:?}");

    // Nothing is written when a host falls silent: time alone passes.
    world.pass(i64::try_from(SILENT_AFTER.as_secs()).unwrap() + 1);
    let silent = page(&world, Scope::System).await;
    assert_ne!(silent, renamed);
    assert!(String::from_utf8_lossy(&silent.json).contains("\"status\":\"unknown\""), "{silent:?}");
}

#[tokio::test]
async fn pages_that_are_too_long_or_too_many_are_read_anew_and_no_other() {
    let world = World::new().await;
    for number in 0..200 {
        world.guest(&format!("web{number}")).await;
    }
    let reader = world.store.reader();
    let asked = async |limit: i64, at: i64| {
        let filters = Filters { limit: Some(limit), ..Filters::default() };
        guests::page(reader, Scope::System, &filters, Timestamp(world.now().0 + at * 1_000_000))
            .await
            .unwrap()
    };
    let remembered = async |limit: i64| {
        let (first, again) = (asked(limit, 0).await, asked(limit, 0).await);
        assert_eq!(first, again);
        first.json.as_ptr() == again.json.as_ptr()
    };
    let sqlite = matches!(world.engine, Engine::Sqlite(_));
    assert!(asked(200, 0).await.json.len() > 128 << 10);
    assert_eq!([remembered(100).await, remembered(200).await], [sqlite, false]);
    // Of pages that come and come, what is remembered is bounded: this one is among those that went.
    let first = asked(50, 0).await;
    for second in 0..200 {
        assert_eq!(asked(50, second).await.count, 50);
    }
    assert_ne!(asked(50, 0).await.json.as_ptr(), first.json.as_ptr());
}

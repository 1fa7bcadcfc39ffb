//! Up to where webhooks were told the log.

use crate::world::{World, act, connect};
use honcho_model::event::ResourceKind;
use honcho_model::{Timestamp, WebhookId};
use honcho_store::events::{self, NewEvent};
use honcho_store::webhooks::{self, Attempt, From, Told, WebhookFields};
use honcho_store::{Cursor, Filters, Scope, watching};
use sea_orm::ConnectionTrait as _;
use std::time::Duration;

async fn note(world: &World, text: &str) {
    let write = act(|tx, _| {
        let event = NewEvent::info("test.event", (ResourceKind::Account, 1, text), "");
        Box::pin(events::record(tx, event))
    });
    world.write(&write).await.unwrap();
}

/// Waits until nothing is held back behind what other tests have under way in the same cluster.
async fn settled(world: &World) {
    while events::is_held_back(world.store.reader()).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn hook(world: &World) -> WebhookId {
    let fields = WebhookFields {
        url: "https://acme.example/".to_owned(),
        description: String::new(),
        events: vec!["*".to_owned()],
        allow_http: false,
    };
    let fields = &fields;
    world.write(&act(|tx, _| Box::pin(webhooks::create(tx, None, fields, "whsec_x")))).await.unwrap()
}

async fn told(world: &World, id: WebhookId) -> Told {
    let far = Timestamp(i64::MAX);
    webhooks::is_due(world.store.reader(), id, far).await.unwrap().unwrap()
}

/// What there is to tell: the events' names and places.
async fn to_tell(world: &World, id: WebhookId) -> Vec<(String, Cursor)> {
    let filters = Filters { cursor: Some(told(world, id).await.place), ..Filters::default() };
    let found = events::list(world.store.reader(), Scope::Operator, &filters).await.unwrap();
    found.into_iter().map(|event| (event.resource_name, event.cursor.parse().unwrap())).collect()
}

async fn attempted(world: &World, id: WebhookId, place: Cursor, error: Option<&str>) -> Option<Timestamp> {
    let attempt = Attempt {
        webhook: id,
        event: Some(place),
        kind: "test.event".to_owned(),
        status: Some(if error.is_some() { 503 } else { 204 }),
        latency: Duration::from_millis(3),
        error: error.map(str::to_owned),
        next_try_at: error.map(|_| Timestamp(i64::MAX)),
    };
    let attempt = &attempt;
    world.write(&act(|tx, _| Box::pin(webhooks::note(tx, attempt)))).await.unwrap()
}

fn names(events: &[(String, Cursor)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn a_webhook_goes_on_after_what_was_delivered_and_never_back() {
    let world = World::new().await;
    note(&world, "before").await;
    settled(&world).await;
    let id = hook(&world).await;
    for text in ["a", "b", "c"] {
        note(&world, text).await;
    }
    settled(&world).await;
    let all = to_tell(&world, id).await;
    assert_eq!(names(&all), ["a", "b", "c"]);
    assert!(attempted(&world, id, all[0].1, Some("answered 503")).await.is_some(), "since when it fails");
    assert_eq!(names(&to_tell(&world, id).await), ["a", "b", "c"], "a failure moves nothing");
    assert_eq!(told(&world, id).await.hook.failures, 1);
    assert_eq!(attempted(&world, id, all[0].1, None).await, None);
    assert_eq!(attempted(&world, id, all[1].1, None).await, None);
    assert_eq!(names(&to_tell(&world, id).await), ["c"]);
    // Somebody who noted it late moves it back by nothing.
    attempted(&world, id, all[0].1, None).await;
    world.write(&act(|tx, _| Box::pin(webhooks::pass(tx, id, &all[0].1)))).await.unwrap();
    assert_eq!(names(&to_tell(&world, id).await), ["c"]);
    world.write(&act(|tx, _| Box::pin(webhooks::pass(tx, id, &all[2].1)))).await.unwrap();
    assert_eq!(told(&world, id).await.place, all[2].1);
    let tried = webhooks::deliveries(world.store.reader(), id, &Filters::default()).await.unwrap();
    let tried: Vec<_> = tried.iter().map(|one| (one.event_id.unwrap(), one.attempt, one.status)).collect();
    let (a, b) = (all[0].1.event().0, all[1].1.event().0);
    assert_eq!(tried, [(a, 1, Some(503)), (a, 2, Some(204)), (b, 1, Some(204)), (a, 3, Some(204))]);
}

#[tokio::test]
async fn what_happened_meanwhile_can_be_passed_over() {
    let world = World::new().await;
    let id = hook(&world).await;
    note(&world, "meanwhile").await;
    settled(&world).await;
    let disable = async || world.write(&act(|tx, _| Box::pin(webhooks::disable(tx, id)))).await.unwrap();
    let enable =
        async |from| world.write(&act(|tx, _| Box::pin(webhooks::enable(tx, id, from)))).await.unwrap();
    disable().await;
    assert_eq!(webhooks::is_due(world.store.reader(), id, world.now()).await.unwrap(), None);
    enable(From::WhereItStopped).await;
    assert_eq!(names(&to_tell(&world, id).await), ["meanwhile"]);
    enable(From::Now).await;
    note(&world, "then").await;
    settled(&world).await;
    assert_eq!(names(&to_tell(&world, id).await), ["then"]);
}

#[tokio::test]
async fn another_life_of_the_brain_keeps_the_id_and_not_the_transaction() {
    let world = World::new().await;
    note(&world, "a").await;
    settled(&world).await;
    let id = hook(&world).await;
    let before = told(&world, id).await.place;
    let connection = connect(&world.engine).await;
    connection.execute_unprepared("UPDATE brain SET incarnation = incarnation + 1").await.unwrap();
    connection.close().await.unwrap();
    let newest = webhooks::newest(world.store.reader()).await.unwrap();
    assert!(!before.is_of_the_same_life(&newest));
    world.write(&act(|tx, _| Box::pin(webhooks::carry_over(tx, id, &newest)))).await.unwrap();
    let after = told(&world, id).await.place;
    assert!(after.is_of_the_same_life(&newest));
    assert_eq!(after.event(), before.event());
    note(&world, "b").await;
    settled(&world).await;
    assert_eq!(to_tell(&world, id).await.last().unwrap().0, "b");
}

#[tokio::test]
async fn what_is_watched_is_counted_and_events_once() {
    let world = World::new().await;
    hook(&world).await;
    settled(&world).await;
    let begun = webhooks::newest(world.store.reader()).await.unwrap();
    note(&world, "a").await;
    note(&world, "b").await;
    settled(&world).await;
    let read = async |after| watching::read(world.store.reader(), world.now(), after).await.unwrap();
    let watched = read(&begun).await;
    assert_eq!(watched.events, [("info".to_owned(), 2)]);
    assert_eq!((watched.webhooks.working, watched.webhooks.failing, watched.webhooks.off), (1, 0, 0));
    assert_eq!(watched.hosts.len(), 1);
    assert_eq!(read(&watched.place).await.events, []);
}

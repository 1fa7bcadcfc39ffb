//! When hosts were heard, and what every request of an agent asks: the same however many hosts there are.

use crate::world::{RUN, World, act, connect, name};
use honcho_model::{Generation, HostId, Incarnation, Timestamp};
use honcho_store::hosts::Seen;
use honcho_store::reports::{self, ApplyReport};
use honcho_store::{Filters, Scope, events, hosts};
use honcho_wire::{LoadObserved, Observation, PROTOCOL, Report, ReportAnswer};
use sea_orm::{ConnectionTrait as _, Statement};
use uuid::Uuid;

async fn heard(world: &World, seen: &[(HostId, Timestamp)]) {
    let load = Some(LoadObserved { busy_percent: 7, io_wait_percent: 1, window_seconds: 60 });
    let seen: Vec<Seen> = seen.iter().map(|(host, at)| Seen { host: *host, at: *at, load }).collect();
    let seen = &seen;
    world.write(&act(|tx, _| Box::pin(hosts::note_seen(tx, seen)))).await.unwrap();
}

async fn last_seen(world: &World, host: HostId) -> i64 {
    let host = hosts::get(world.store.reader(), host, world.now()).await.unwrap();
    host.last_seen_at.unwrap().as_microsecond()
}

async fn returned(world: &World) -> Vec<i64> {
    let filters = Filters::default().and("kind", "host.heard");
    let events = events::list(world.store.reader(), Scope::Operator, &filters).await.unwrap();
    events.into_iter().map(|event| event.resource_id).collect()
}

/// More than one statement's worth, of which two had been noted as silent.
#[tokio::test]
async fn many_hosts_are_noted_as_heard_at_once() {
    let world = World::new().await;
    let creation = act(|tx, _| {
        Box::pin(async move {
            let mut made = Vec::new();
            for number in 0..1_100 {
                let uuid = Uuid::from_u128(0x9000 + number);
                made.push(hosts::create(tx, uuid, &name(&format!("m{number}"))).await?);
            }
            Ok(made)
        })
    });
    let made = world.write(&creation).await.unwrap();
    for (number, host) in made.iter().enumerate() {
        // Only what has ever reported is heard.
        let run = Uuid::from_u128(number as u128 + 1);
        world.report_as(*host, run, 1, "a", Some(Observation::default())).await;
    }
    world.pass(100);
    let silent = world.write(&act(|tx, _| Box::pin(hosts::take_fallen_silent(tx)))).await.unwrap();
    assert_eq!(silent.len(), made.len());
    assert!(
        hosts::fallen_silent(world.store.reader(), world.now()).await.unwrap().is_empty(),
        "noted already"
    );
    let now = world.now();
    let all: Vec<(HostId, Timestamp)> = made[2..].iter().map(|host| (*host, now)).collect();
    heard(&world, &all).await;
    assert_eq!(returned(&world).await.len(), made.len() - 2);
    heard(&world, &[(made[2], Timestamp(now.0 - 5)), (made[0], now)]).await;
    assert_eq!(returned(&world).await.len(), made.len() - 1, "each returns once");
    assert_eq!(last_seen(&world, made[2]).await, now.0, "an older word takes nothing back");
    assert_eq!(last_seen(&world, made[0]).await, now.0);
    assert!(last_seen(&world, made[1]).await < now.0);
}

#[tokio::test]
async fn a_heartbeat_is_held_only_of_its_run_its_digest_and_this_life() {
    let world = World::new().await;
    let report = |incarnation, run_id, digest: &str| Report {
        protocol: PROTOCOL,
        capabilities: Vec::new(),
        boot_id: "boot-1".to_owned(),
        run_id,
        sequence: 1,
        incarnation,
        manifest_generation: Generation(1),
        digest: digest.to_owned(),
        observation: Some(Observation::default()),
        load: None,
    };
    let told = report(Some(Incarnation(1)), RUN, "a");
    let apply = ApplyReport { host: world.host, host_name: "h1".to_owned(), report: told.clone() };
    assert_eq!(world.write(&apply).await.unwrap(), ReportAnswer::Applied);
    let check = async |report: Report, held: bool| {
        assert_eq!(
            reports::holds(world.store.reader(), world.host, &report).await.unwrap(),
            held,
            "{report:?}"
        );
    };
    check(told, true).await;
    check(report(Some(Incarnation(1)), RUN, "b"), false).await;
    check(report(Some(Incarnation(1)), Uuid::from_u128(0xb), "a"), false).await;
    check(report(Some(Incarnation(2)), RUN, "a"), false).await;
    check(report(None, RUN, "a"), false).await;
}

/// Whose a certificate is, is asked with every request of every agent.
#[tokio::test]
async fn sqlite_finds_a_certificate_without_reading_all_hosts() {
    let world = World::new().await;
    let database = connect(&world.engine).await;
    let sql = "EXPLAIN QUERY PLAN SELECT id FROM hosts WHERE (certificate = 'a' OR certificate_next = 'a') AND deleted_at IS NULL";
    let plan = Statement::from_string(database.get_database_backend(), sql);
    let plan = database.query_all_raw(plan).await.unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
    assert!(plan.iter().all(|step| !step.contains("SCAN")), "{plan:?}");
    assert!(plan.iter().any(|step| step.contains("hosts_certificate_next")), "{plan:?}");
}

#[tokio::test]
async fn a_certificate_is_good_before_and_after_its_renewal() {
    let world = World::new().await;
    let host = world.host;
    world.write(&act(|tx, _| Box::pin(hosts::bind_certificate(tx, host, "old")))).await.unwrap();
    let bound = act(|tx, _| Box::pin(hosts::bind_next_certificate(tx, host, "old", "new")));
    assert!(world.write(&bound).await.unwrap());
    let proven =
        async |fingerprint: &str| hosts::by_certificate(world.store.reader(), fingerprint).await.unwrap();
    let first_use =
        async |fingerprint: &str| proven(fingerprint).await.map(|proven| (proven.id, proven.first_use));
    assert_eq!(first_use("old").await, Some((host, false)));
    assert_eq!(first_use("new").await, Some((host, true)));
    assert_eq!(first_use("other").await, None);
    assert!(world.write(&act(|tx, _| Box::pin(hosts::use_next_certificate(tx, host, "new")))).await.unwrap());
    assert_eq!((first_use("old").await, first_use("new").await), (None, Some((host, false))));
    let version = hosts::version(world.store.reader(), host).await.unwrap().unwrap();
    assert_eq!((version.0, version.1.0), (Incarnation(1), world.generation().await));
}

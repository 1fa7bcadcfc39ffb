//! The status in a list, against the pure function: random rows, and the facts worked out here from what was drawn.

use crate::world::{World, connect};
use honcho_model::Timestamp;
use honcho_model::guest::{Fact, Facts, Power, status};
use honcho_model::host::{HostStatus, SILENT_AFTER};
use honcho_store::{Engine, Filters, Scope, guests, hosts};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};

const NOW: i64 = 10_000_000_000;

/// A host: when it was heard (before now, in microseconds) and whether it is frozen.
type HostDraw = (Option<i64>, bool);

#[derive(Clone, Debug)]
struct GuestDraw {
    host: Option<usize>,
    cancelled: bool,
    suspended: bool,
    deleting: bool,
    deleted: bool,
    running_wanted: bool,
    boots_wanted: i64,
    boots_waived: i64,
    given_up: bool,
    moving: Moving,
    generation: i64,
    volume: Option<bool>,
    observed: Option<Observed>,
}

/// How far a guest is on its way to another host.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moving {
    No,
    Waiting,
    Begun,
    Failing,
}

#[derive(Clone, Debug)]
struct Observed {
    epoch: i64,
    generation: i64,
    settled: bool,
    running: bool,
    boots_done: Option<i64>,
    volume_state: &'static str,
    failing: bool,
}

fn host_draws() -> impl Strategy<Value = Vec<HostDraw>> {
    let limit = i64::try_from(SILENT_AFTER.as_micros()).unwrap();
    let heard = prop_oneof![Just(0), Just(limit - 1), Just(limit), Just(limit + 1), 0..limit * 2];
    proptest::collection::vec((proptest::option::weighted(0.9, heard), proptest::bool::weighted(0.2)), 8)
}

fn guest_draw() -> impl Strategy<Value = GuestDraw> {
    let state =
        prop_oneof![5 => Just("present"), 1 => Just("unmade"), 1 => Just("missing"), 1 => Just("unknown")];
    let observed = (
        prop_oneof![3 => Just(1_i64), 1 => Just(2)],
        1..4_i64,
        any::<bool>(),
        any::<bool>(),
        proptest::option::of(0..4_i64),
        state,
    )
        .prop_flat_map(|drawn| (Just(drawn), proptest::bool::weighted(0.2)))
        .prop_map(|((epoch, generation, settled, running, boots_done, volume_state), failing)| Observed {
            epoch,
            generation,
            settled,
            running,
            boots_done,
            volume_state,
            failing,
        });
    (
        proptest::option::weighted(0.9, 0..8_usize),
        (
            proptest::bool::weighted(0.2),
            proptest::bool::weighted(0.2),
            proptest::bool::weighted(0.1),
            proptest::bool::weighted(0.1),
        ),
        any::<bool>(),
        (
            0..4_i64,
            prop_oneof![3 => Just(0_i64), 1 => 0..4_i64],
            proptest::bool::weighted(0.2),
            prop_oneof![6 => Just(Moving::No), 1 => Just(Moving::Waiting), 2 => Just(Moving::Begun), 1 => Just(Moving::Failing)],
        ),
        1..4_i64,
        proptest::option::weighted(0.9, proptest::bool::weighted(0.8)),
        proptest::option::weighted(0.8, observed),
    )
        .prop_map(
            |(
                host,
                (cancelled, suspended, deleting, deleted),
                running_wanted,
                (boots_wanted, boots_waived, given_up, moving),
                generation,
                volume,
                observed,
            )| {
                GuestDraw {
                    host,
                    cancelled,
                    suspended,
                    deleting,
                    deleted,
                    running_wanted,
                    boots_wanted,
                    boots_waived,
                    given_up,
                    moving,
                    generation,
                    volume,
                    observed,
                }
            },
        )
}

fn facts(draw: &GuestDraw, hosts: &[HostDraw]) -> Facts {
    let limit = i64::try_from(SILENT_AFTER.as_micros()).unwrap();
    let host = draw.host.map(|host| hosts[host]);
    // Only what was seen of the current epoch, which is 1, counts.
    let observed = draw.observed.as_ref().filter(|observed| observed.epoch == 1);
    let seen = |fact: &dyn Fn(&Observed) -> bool| observed.is_some_and(fact);
    Facts::default()
        .with(Fact::Deleted, draw.deleted)
        .with(Fact::Deleting, draw.deleting)
        .with(Fact::Cancelled, draw.cancelled)
        .with(Fact::Suspended, draw.suspended)
        .with(Fact::Placed, host.is_some())
        .with(Fact::HostSilent, host.is_none_or(|(heard, _)| heard.is_none_or(|before| before > limit)))
        .with(Fact::HostFrozen, host.is_some_and(|(_, frozen)| frozen))
        .with(Fact::Damaged, seen(&|seen| matches!(seen.volume_state, "missing" | "unknown")))
        .with(Fact::Failing, seen(&|seen| seen.failing) || draw.moving == Moving::Failing)
        // One that waits for its turn is where it was, and as it was.
        .with(Fact::Moving, matches!(draw.moving, Moving::Begun | Moving::Failing))
        .with(Fact::Built, draw.volume == Some(true))
        .with(Fact::WantedRunning, draw.running_wanted && !draw.cancelled && !draw.suspended)
        .with(Fact::SeenRunning, seen(&|seen| seen.running))
        .with(Fact::GivenUp, draw.given_up)
        .with(
            Fact::BootDue,
            draw.boots_wanted > draw.boots_waived
                && seen(&|seen| seen.boots_done.is_some_and(|done| done < draw.boots_wanted)),
        )
        .with(Fact::Settled, seen(&|seen| seen.settled && seen.generation >= draw.generation))
}

async fn insert(world: &World, hosts: &[HostDraw], guests: &[GuestDraw]) {
    let database = connect(&world.engine).await;
    let tx = database.begin().await.unwrap();
    let run = async |sql: String| tx.execute_unprepared(&sql).await.unwrap();
    let uuid = |id: usize| match world.engine {
        Engine::Sqlite(_) => format!("x'{id:032x}'"),
        Engine::Postgres(_) => format!("'{id:032x}'"),
    };
    let null = |value: Option<i64>| value.map_or("NULL".to_owned(), |value| value.to_string());
    for (index, (heard, frozen)) in hosts.iter().enumerate() {
        let id = 100 + index;
        let frozen = if *frozen { "5, 'cloned'" } else { "NULL, NULL" };
        run(format!(
            "INSERT INTO hosts (id, uuid, name, generation, frozen_at, frozen_reason, created_at, joined_at, lock_version) \
             VALUES ({id}, {}, 'r{index}', 1, {frozen}, 0, 1, 1)",
            uuid(id)
        ))
        .await;
        if let Some(before) = heard {
            run(format!(
                "INSERT INTO host_observed (host_id, last_seen_at, silent_noted, sequence, manifest_generation) \
                 VALUES ({id}, {}, FALSE, 1, 1)",
                NOW - before
            ))
            .await;
        }
    }
    for (index, draw) in guests.iter().enumerate() {
        let id = 1000 + index;
        let at = |holds: bool| null(holds.then_some(5));
        let power = if draw.running_wanted { "running" } else { "stopped" };
        run(format!(
            "INSERT INTO guests (id, uuid, account_id, name, image_id, host_id, power, start_alone, boots_wanted, boot_hard, \
             stop_hard, vcpus, memory, epoch, generation, lock_version, created_at, cancelled_at, deletes_at, deleting_at, \
             deleted_at, suspended_at, boots_waived, given_up_operation) VALUES ({id}, {}, 1, 'g{index}', 1, {}, '{power}', FALSE, {}, FALSE, FALSE, 1, 1, 1, {}, 1, \
             0, {}, NULL, {}, {}, {}, {}, {})",
            uuid(id),
            null(draw.host.map(|host| 100 + i64::try_from(host).unwrap())),
            draw.boots_wanted,
            draw.generation,
            at(draw.cancelled),
            at(draw.deleting),
            at(draw.deleted),
            at(draw.suspended),
            draw.boots_waived,
            at(draw.given_up),
        ))
        .await;
        if draw.moving != Moving::No {
            let begun = if draw.moving == Moving::Waiting { "NULL" } else { "5" };
            run(format!(
                "INSERT INTO moves (id, guest_id, operation_id, from_host_id, from_pool_id, to_host_id, volume_id, volume_uuid, \
                 size, ordered_at, begun_at) VALUES ({id}, {id}, 1, 100, 1, 101, 1, {}, 1, 1, {begun})",
                uuid(id)
            ))
            .await;
        }
        if draw.moving == Moving::Failing {
            run(format!(
                "INSERT INTO move_observed (move_id, failure) VALUES \
                 ({id}, '{{\"step\":\"s\",\"error\":\"e\",\"attempts\":1,\"next_try_ms\":null}}')"
            ))
            .await;
        }
        if let Some(existing) = draw.volume {
            run(format!(
                "INSERT INTO volumes (uuid, guest_id, pool_id, size, existing) VALUES ({}, {id}, 1, 1, {existing})",
                uuid(id)
            ))
            .await;
        }
        if let Some(seen) = &draw.observed {
            let failure = r#"'{"step":"s","error":"e","attempts":1,"next_try_ms":null}'"#;
            run(format!(
                "INSERT INTO guest_observed (guest_id, epoch, generation, settled, power, boots_done, volume_state, failure, \
                 unexpected_stops) VALUES ({id}, {}, {}, {}, '{}', {}, '{}', {}, 0)",
                seen.epoch,
                seen.generation,
                seen.settled,
                if seen.running { Power::Running } else { Power::Stopped }.as_str(),
                null(seen.boots_done),
                seen.volume_state,
                if seen.failing { failure } else { "NULL" },
            ))
            .await;
        }
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn the_status_in_lists_is_what_the_rules_say() {
    let world = World::new().await;
    let mut runner = TestRunner::deterministic();
    let hosts = host_draws().new_tree(&mut runner).unwrap().current();
    let draws: Vec<_> = (0..5000).map(|_| guest_draw().new_tree(&mut runner).unwrap().current()).collect();
    insert(&world, &hosts, &draws).await;
    let (reader, now) = (world.store.reader(), Timestamp(NOW));
    let all = Filters { with_cancelled: true, ..Filters::default() };
    let listed = guests::list(reader, Scope::System, &all, now).await.unwrap();
    assert_eq!(listed.len(), draws.len());
    let mut met = std::collections::BTreeMap::<&str, Vec<i64>>::new();
    for (guest, draw) in listed.iter().zip(&draws) {
        let expected = status(&facts(draw, &hosts));
        assert_eq!(
            guest.status,
            expected,
            "guest {}: {draw:?} on {:?}",
            guest.id,
            draw.host.map(|h| hosts[h])
        );
        met.entry(expected.as_str()).or_default().push(guest.id);
    }
    assert_eq!(
        met.len(),
        honcho_model::guest::GuestStatus::ALL.len(),
        "every status was met: {:?}",
        met.keys()
    );
    // A page is written as those guests would be, whoever looks.
    for scope in [Scope::System, Scope::Account(honcho_model::AccountId(listed[0].account_id))] {
        let listed = guests::list(reader, scope, &all, now).await.unwrap();
        let page = guests::page(reader, scope, &all, now).await.unwrap();
        assert_eq!((page.count, page.last), (listed.len(), listed.last().map(|guest| guest.id)));
        assert_eq!(page.json, serde_json::to_string(&listed).unwrap());
    }
    // Filtering by it finds exactly those.
    for (word, ids) in met {
        let found = guests::list(reader, Scope::System, &all.clone().and("status", word), now).await.unwrap();
        assert_eq!(found.iter().map(|guest| guest.id).collect::<Vec<_>>(), ids, "{word}");
    }
    for (host, (heard, frozen)) in
        hosts::list(reader, &Filters::default(), now).await.unwrap()[1..].iter().zip(&hosts)
    {
        let expected = HostStatus::of(true, *frozen, heard.map(|before| Timestamp(NOW - before)), now);
        assert_eq!(host.status, expected);
    }
}

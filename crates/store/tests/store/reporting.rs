//! Reports: applied only if newer, only about what is placed there, and what follows from them.

use crate::world::{RUN, World, saw, seen};
use honcho_model::guest::{GuestStatus, Power};
use honcho_model::operation::OperationKind;
use honcho_model::{Bytes, Epoch, Generation, GuestId, PoolId};
use honcho_store::{Filters, Scope, accounts, addresses, events, guests, hosts, pools};
use honcho_wire::{
    Failure, Gone, GuestObserved, Observation, Orphan, PoolObserved, PoolState, ReportAnswer, VolumeState,
};
use uuid::Uuid;

/// Each step: run, sequence, digest, whether it carries an observation, and the answer.
async fn check_answers(steps: &[(u128, u64, &str, bool, ReportAnswer)]) {
    let world = World::new().await;
    for (number, (run, sequence, digest, full, expected)) in steps.iter().enumerate() {
        let observation = full.then(Observation::default);
        let run = Uuid::from_u128(*run);
        let answer = world.report_as(world.host, run, *sequence, digest, observation).await;
        assert_eq!(answer, *expected, "step {number}");
    }
}

#[tokio::test]
async fn a_report_is_applied_only_if_it_is_newer() {
    use ReportAnswer::{Applied, SendEverything, Stale};
    check_answers(&[(1, 1, "a", true, Applied), (1, 1, "a", true, Stale), (1, 2, "b", true, Applied)]).await;
    check_answers(&[(1, 9, "a", true, Applied), (1, 8, "b", true, Stale), (1, 9, "a", false, Stale)]).await;
    // A restarted agent counts from the beginning.
    check_answers(&[(1, 9, "a", true, Applied), (2, 1, "a", true, Applied)]).await;
    // A heartbeat speaks of what the brain holds, or everything is asked for.
    check_answers(&[(1, 1, "a", false, SendEverything), (1, 2, "a", true, Applied)]).await;
    check_answers(&[
        (1, 1, "a", true, Applied),
        (1, 2, "a", false, Applied),
        (1, 3, "b", false, SendEverything),
        (1, 4, "b", false, SendEverything),
        (1, 5, "a", false, Applied),
    ])
    .await;
    // What an earlier run reported is not what this one means, whatever the digest says.
    check_answers(&[(1, 1, "a", true, Applied), (2, 1, "a", false, SendEverything)]).await;
}

#[tokio::test]
async fn a_stale_report_changes_nothing() {
    let world = World::new().await;
    let id = world.guest("web1").await;
    world.report_as(world.host, RUN, 5, "a", Some(Observation::default())).await;
    let before = world.generation().await;
    world.report_as(world.host, RUN, 5, "b", Some(saw(vec![seen(id, 1)]))).await;
    assert_eq!(status(&world, id).await, GuestStatus::Building);
    assert_eq!(world.generation().await, before);
}

async fn status(world: &World, id: GuestId) -> GuestStatus {
    guests::get(world.store.reader(), Scope::System, id, world.now()).await.unwrap().status
}

#[tokio::test]
async fn a_host_says_nothing_about_guests_that_are_not_its_own_or_of_another_epoch() {
    let world = World::new().await;
    let id = world.guest("web1").await;
    let stranger = world.new_host("h2").await;
    let check = async |expected: GuestStatus| {
        assert_eq!(status(&world, id).await, expected);
    };
    world.report(Observation::default()).await;

    world.report_as(stranger, RUN, 1, "a", Some(saw(vec![seen(id, 1)]))).await;
    check(GuestStatus::Building).await;
    world.report(saw(vec![GuestObserved { epoch: Epoch(2), ..seen(id, 1) }])).await;
    check(GuestStatus::Building).await;
    world.report(saw(vec![seen(GuestId(99), 1), seen(id, 1)])).await;
    check(GuestStatus::Running).await;
    // Nor can it say that one is gone.
    world.delete(id).await;
    let wanted = world.desired(id).await;
    let gone =
        |epoch, generation| Observation { gone: vec![Gone::Guest { id, epoch, generation }], ..saw(vec![]) };
    world.report_as(stranger, RUN, 2, "a", Some(gone(wanted.epoch, wanted.generation))).await;
    check(GuestStatus::Deleting).await;
}

#[tokio::test]
async fn gone_at_an_older_generation_or_epoch_buries_nothing() {
    let world = World::new().await;
    let id = world.guest("web1").await;
    world.report(saw(vec![seen(id, 1)])).await;
    let report = async |epoch: i64, generation: i64| {
        let gone = Gone::Guest { id, epoch: Epoch(epoch), generation: Generation(generation) };
        world.report(Observation { gone: vec![gone], ..Observation::default() }).await;
        status(&world, id).await
    };
    assert_eq!(report(1, 1).await, GuestStatus::Running, "it was never to go");
    world.delete(id).await;
    assert_eq!(report(1, 1).await, GuestStatus::Deleting, "an older generation");
    assert_eq!(report(0, 2).await, GuestStatus::Deleting, "an older epoch");
    assert_eq!(report(2, 2).await, GuestStatus::Deleting, "an epoch that never was");
    assert_eq!(report(1, 2).await, GuestStatus::Deleted);
    assert_eq!(report(1, 2).await, GuestStatus::Deleted, "said twice");
}

#[tokio::test]
async fn burying_frees_addresses_name_volume_and_memory() {
    let world = World::new().await;
    let id = world.guest("web1").await;
    world.report(saw(vec![seen(id, 1)])).await;
    let held = async || {
        let held = addresses::list(world.store.reader(), Scope::System, &Filters::default()).await.unwrap();
        held.iter().filter(|address| address.guest_id.is_some()).count()
    };
    let disk = async || pools::get(world.store.reader(), world.pool).await.unwrap().placed_bytes;
    let guests =
        async || hosts::get(world.store.reader(), world.host, world.now()).await.unwrap().guests_count;
    world.delete(id).await;
    assert_eq!((held().await, disk().await, guests().await), (1, 3 << 30, 1), "kept until it is gone");
    assert!(world.order(&world.new_guest("web1")).await.is_err(), "the name is taken until it is gone");
    world.report_gone(id).await;
    assert_eq!((held().await, disk().await, guests().await), (0, 0, 0));
    world.guest("web1").await;
    let gone = guests::get(world.store.reader(), Scope::System, id, world.now()).await.unwrap();
    assert_eq!((gone.address, gone.disk_bytes, gone.status), (None, 0, GuestStatus::Deleted));
    assert!(accounts::get(world.store.reader(), Scope::System, world.account).await.is_ok());
}

#[tokio::test]
async fn a_volume_seen_complete_is_existing_from_then_on() {
    let world = World::new().await;
    let id = world.guest("web1").await;
    let existence = async || world.manifest().await.guests[0].root.existence;
    let volume = |state| GuestObserved {
        volume: honcho_wire::VolumeObserved { state, ..seen(id, 1).volume },
        ..seen(id, 1)
    };
    let before = world.generation().await;
    world.report(saw(vec![volume(VolumeState::Unmade)])).await;
    assert_eq!((existence().await, world.generation().await), (honcho_wire::Existence::Make, before));
    world.report(saw(vec![volume(VolumeState::Present)])).await;
    assert_eq!((existence().await, world.generation().await), (honcho_wire::Existence::Existing, before + 1));
    for state in [VolumeState::Missing, VolumeState::Unmade, VolumeState::Unknown, VolumeState::Present] {
        world.report(saw(vec![volume(state)])).await;
        let now = (existence().await, world.generation().await);
        assert_eq!(now, (honcho_wire::Existence::Existing, before + 1), "{state:?}");
    }
}

#[tokio::test]
async fn a_pool_seen_ready_is_existing_from_then_on() {
    let world = World::new().await;
    let pool = |id: PoolId, state| PoolObserved {
        id,
        state,
        problem: None,
        size: Bytes::gib(10),
        free: Bytes::gib(9),
        reflink: true,
    };
    let report = async |state| {
        let pools = vec![pool(world.pool, state)];
        world.report(Observation { pools, ..Observation::default() }).await;
        let wanted = world.manifest().await.pools.remove(0);
        (wanted.existence, wanted.generation.0)
    };
    assert_eq!(report(PoolState::Blank).await, (honcho_wire::Existence::Make, 1));
    assert_eq!(report(PoolState::Ready).await, (honcho_wire::Existence::Existing, 2));
    assert_eq!(report(PoolState::Wrong).await, (honcho_wire::Existence::Existing, 2));
    // Another host's pool is none of its business.
    let other = world.new_host("h2").await;
    let pools = vec![pool(world.pool, PoolState::Ready)];
    world.report_as(other, RUN, 1, "a", Some(Observation { pools, ..Observation::default() })).await;
    assert_eq!(pools::get(world.store.reader(), world.pool).await.unwrap().status, "wrong");
}

/// What is seen, one report after the other, and the kinds of the events that come of it.
async fn check_events(reports: Vec<GuestObserved>, expected: &[&str]) {
    let world = World::new().await;
    world.guest("web1").await;
    for guest in reports {
        world.report(saw(vec![guest])).await;
    }
    let all = events::list(world.store.reader(), Scope::System, &Filters::default()).await.unwrap();
    let kinds: Vec<_> = all
        .iter()
        .map(|event| format!("{}{}", event.kind, if event.severity == "alarm" { "!" } else { "" }))
        .collect();
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn what_changed_becomes_an_event_once() {
    let id = GuestId(1);
    let at = |settled| GuestObserved { settled, ..seen(id, 1) };
    let stopped = || GuestObserved { power: Power::Stopped, boots_done: None, ..at(false) };
    let fell = |times| GuestObserved { unexpected_stops: times, ..stopped() };
    let failing = |error: &str, attempts| GuestObserved {
        failure: Some(Failure {
            step: "fetch_image".to_owned(),
            error: error.to_owned(),
            attempts,
            next_try_ms: Some(1000),
        }),
        ..stopped()
    };
    let missing = || GuestObserved {
        volume: honcho_wire::VolumeObserved { state: VolumeState::Missing, ..stopped().volume },
        ..stopped()
    };
    check_events(vec![at(true), at(true)], &["guest.running", "guest.create_done"]).await;
    check_events(
        vec![at(false), stopped(), stopped(), at(false)],
        &["guest.running", "guest.stopped", "guest.running"],
    )
    .await;
    check_events(vec![at(false), fell(1), fell(1)], &["guest.running", "guest.stopped_by_itself"]).await;
    check_events(
        vec![failing("no route", 1), failing("no route", 2), failing("disk full", 3)],
        &["guest.step_failed", "guest.step_failed"],
    )
    .await;
    check_events(vec![missing(), missing()], &["guest.volume_missing!"]).await;
}

#[tokio::test]
async fn while_the_pool_is_away_the_reason_stands_and_the_host_key_is_still_known() {
    let world = World::new().await;
    let id = world.guest("web1").await;
    let key = Some("ssh-ed25519 AAAA".to_owned());
    world.report(saw(vec![GuestObserved { ssh_host_key: key.clone(), ..seen(id, 1) }])).await;
    let wanted = world.desired(id).await;
    let error = "its pool is not mounted".to_owned();
    let look = Failure { step: honcho_wire::LOOK.to_owned(), error, attempts: 1, next_try_ms: None };
    world.report(saw(vec![GuestObserved { failure: Some(look), ssh_host_key: None, ..seen(id, 1) }])).await;
    let guest = guests::get(world.store.reader(), Scope::System, wanted.id, world.now()).await.unwrap();
    assert_eq!(guest.ssh_host_key, key);
    assert_eq!(guest.status_reason.as_deref(), Some("its pool is not mounted"), "nothing about trying again");
}

#[tokio::test]
async fn orphans_are_told_of_once_and_a_boot_too() {
    let world = World::new().await;
    let orphan =
        |name: &str| Orphan { kind: "domain".to_owned(), name: name.to_owned(), ..Orphan::default() };
    for names in [vec![], vec!["a"], vec!["a"], vec!["a", "b"], vec![]] {
        let orphans = names.into_iter().map(orphan).collect();
        world.report(Observation { orphans, ..Observation::default() }).await;
    }
    let all = events::list(world.store.reader(), Scope::System, &Filters::default()).await.unwrap();
    let kinds: Vec<_> = all.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["host.orphans", "host.orphans"]);
}

#[tokio::test]
async fn an_operation_is_done_when_its_generation_has_settled() {
    let world = World::new().await;
    let id = world.guest("web1").await;
    let stop = world.change(id, OperationKind::Stop, |guest| guest.power = Power::Stopped).await;
    let state = async || {
        honcho_store::operations::get(world.store.reader(), Scope::System, stop).await.unwrap().state.as_str()
    };
    world.report(saw(vec![seen(id, 1)])).await;
    assert_eq!(state().await, "open", "an earlier generation has settled");
    world.report(saw(vec![GuestObserved { settled: false, ..seen(id, 2) }])).await;
    assert_eq!(state().await, "open", "there is still something to do");
    world.report(saw(vec![seen(id, 2)])).await;
    assert_eq!(state().await, "done");
}

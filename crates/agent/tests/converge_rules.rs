//! Single rules of `converge`, each shown as the plan that comes of it.
#![allow(clippy::unwrap_used, clippy::needless_raw_string_hashes, clippy::needless_pass_by_value)]

#[path = "rules/capturing.rs"]
mod capturing;
#[path = "rules/failing.rs"]
mod failing;
#[path = "rules/giving_up.rs"]
mod giving_up;
#[path = "rules/moving.rs"]
mod moving;
#[allow(dead_code)]
mod world;

use expect_test::{Expect, expect};
use honcho_model::guest::Power;
use honcho_wire::{Existence, StopMode};
use std::fmt::Write as _;
use std::time::Duration;
use uuid::Uuid;
use world::World;

/// A host with one running guest, at rest.
fn running() -> World {
    let mut world = World::new(1);
    world.add_guest(1, &[1], Power::Running);
    rest(&mut world);
    world
}

fn rest(world: &mut World) {
    for _ in 0..8 {
        world.round();
    }
    world.tell();
}

/// The plan of now, as people would be told it.
fn check(world: &mut World, expected: Expect) {
    let observed = world.look();
    world.mind.notice(&observed, world.now);
    let manifest = world.mind.manifest.clone().unwrap();
    let plan = honcho_agent_lib::converge::converge(&manifest, &observed, &world.mind, world.now);
    let mut text = String::new();
    for step in &plan.steps {
        write!(text, "{} {}", step.resource, step.action.name()).unwrap();
        if !step.after.is_empty() {
            write!(text, " after {:?}", step.after).unwrap();
        }
        match step.not_before.filter(|moment| *moment > world.now) {
            Some(moment) => write!(text, " in {} s", moment.since(world.now).as_secs()).unwrap(),
            None if step.hopeless => write!(text, " when something else is wanted").unwrap(),
            None => {}
        }
        text.push('\n');
    }
    for (id, verdict) in &plan.guests {
        let settled = if verdict.settled { "settled" } else { "unsettled" };
        let (power, volume) = (verdict.power.as_str(), verdict.volume.state);
        writeln!(text, "guest {id}: {settled}, {power}, volume {volume:?}").unwrap();
        if let Some(failure) = &verdict.failure {
            writeln!(text, "  {}: {} (try {})", failure.step, failure.error, failure.attempts).unwrap();
        }
    }
    for verdict in &plan.arrivals {
        writeln!(text, "arriving {}: {:?}", verdict.guest, verdict.state).unwrap();
        if let Some(failure) = &verdict.failure {
            writeln!(text, "  {}: {} (try {})", failure.step, failure.error, failure.attempts).unwrap();
        }
    }
    plan.gone.iter().for_each(|gone| writeln!(text, "{gone:?}").unwrap());
    plan.orphans.iter().for_each(|orphan| writeln!(text, "orphan {} {}", orphan.kind, orphan.name).unwrap());
    expected.assert_eq(&text);
}

#[test]
fn a_new_guest_waits_for_its_image_and_nothing_else_waits_for_it() {
    let mut world = World::new(1);
    world.add_guest(1, &[1], Power::Running);
    check(
        &mut world,
        expect![[r#"
        pool/1 init_pool
        pool/2 init_pool
        network/1 ensure_network
        network/2 ensure_network
        image/1/0101010101010101010101010101010101010101010101010101010101010101 fetch_image after [0]
        guest/1 build_volume after [4]
        guest 1: unsettled, stopped, volume Unmade
    "#]],
    );
    world.round();
    check(
        &mut world,
        expect![[r#"
        image/1/0101010101010101010101010101010101010101010101010101010101010101 fetch_image
        guest/1 build_volume after [0]
        guest 1: unsettled, stopped, volume Unmade
    "#]],
    );
}

#[test]
fn a_guest_at_rest_is_left_alone() {
    check(
        &mut running(),
        expect![[r#"
        guest 1: settled, running, volume Present
    "#]],
    );
}

#[test]
fn a_missing_volume_is_an_alarm_and_never_made_anew() {
    let mut world = running();
    world.change(0, |guest| guest.power = Power::Stopped);
    rest(&mut world);
    world.pools.values_mut().for_each(|pool| pool.volumes.clear());
    check(
        &mut world,
        expect![[r#"
        guest 1: unsettled, stopped, volume Missing
          look: its volume 1 (uuid 00000000-0000-0004-0000-000000000001) is missing from pool 1, where it once was: bring it back, or delete the guest; it is never made anew (try 1)
    "#]],
    );
    // Also when the brain has never heard of it.
    world.change(0, |guest| guest.root.existence = Existence::Make);
    check(
        &mut world,
        expect![[r#"
        guest 1: unsettled, stopped, volume Missing
          look: its volume 1 (uuid 00000000-0000-0004-0000-000000000001) is missing from pool 1, where it once was: bring it back, or delete the guest; it is never made anew (try 1)
    "#]],
    );
}

#[test]
fn on_an_unmounted_pool_there_are_no_steps_and_its_guest_runs_on() {
    let mut world = running();
    world.pools.values_mut().for_each(|pool| pool.mounted = false);
    world.change(0, |guest| guest.boots_wanted += 1);
    check(
        &mut world,
        expect![[r#"
        guest 1: unsettled, running, volume Unknown
          look: its pool 1 cannot be used: it is not what it should be (try 1)
    "#]],
    );
}

#[test]
fn stopping_is_asked_again_and_then_forced() {
    let mut world = running();
    world.change(0, |guest| guest.power = Power::Stopped);
    check(
        &mut world,
        expect![[r#"
        guest/1 ask_to_stop
        guest 1: unsettled, running, volume Present
    "#]],
    );
    let observed = world.look();
    let manifest = world.mind.manifest.clone().unwrap();
    let plan = honcho_agent_lib::converge::converge(&manifest, &observed, &world.mind, world.now);
    world.mind.step_begins(&plan.steps[0], &observed.boot_id, world.now);
    check(
        &mut world,
        expect![[r#"
        guest/1 ask_to_stop in 10 s
        guest 1: unsettled, running, volume Present
    "#]],
    );
    world.now = world.now.plus(Duration::from_secs(11));
    check(
        &mut world,
        expect![[r#"
        guest/1 ask_to_stop
        guest 1: unsettled, running, volume Present
    "#]],
    );
    world.now = world.now.plus(Duration::from_secs(80));
    check(
        &mut world,
        expect![[r#"
        guest/1 destroy
        guest 1: unsettled, running, volume Present
    "#]],
    );
    world.change(0, |guest| guest.stop_mode = StopMode::Hard);
    check(
        &mut world,
        expect![[r#"
        guest/1 destroy
        guest 1: unsettled, running, volume Present
    "#]],
    );
}

#[test]
fn after_the_hosts_boot_only_those_start_that_may_start_alone() {
    let mut world = running();
    world.add_guest(1, &[1], Power::Running);
    world.change(1, |guest| guest.start_alone = true);
    rest(&mut world);
    world.host_reboots();
    check(
        &mut world,
        expect![[r#"
        network/1 ensure_network
        guest/2 start after [0]
        guest 1: unsettled, stopped, volume Present
        guest 2: unsettled, stopped, volume Present
    "#]],
    );
    world.tell();
    check(
        &mut world,
        expect![[r#"
        network/1 ensure_network
        network/2 ensure_network
        guest/1 start after [0]
        guest/2 start after [0]
        guest 1: unsettled, stopped, volume Present
        guest 2: unsettled, stopped, volume Present
    "#]],
    );
}

#[test]
fn a_frozen_host_starts_and_deletes_nothing() {
    let mut world = running();
    world.add_guest(1, &[1], Power::Running);
    world.add_guest(2, &[2], Power::Running);
    rest(&mut world);
    world.add_guest(1, &[1], Power::Running);
    world.delete_guest(1);
    world.change(0, |guest| guest.boots_wanted += 1);
    world.change(1, |guest| guest.power = Power::Stopped);
    world.wanted.frozen = Some("two agents".into());
    world.tell();
    check(
        &mut world,
        expect![[r#"
        guest/3 ask_to_stop
        guest 1: unsettled, running, volume Present
        guest 3: unsettled, running, volume Present
        guest 4: unsettled, stopped, volume Unmade
    "#]],
    );
}

#[test]
fn while_a_restored_brain_is_unaccepted_there_is_no_step_at_all() {
    let mut world = running();
    world.add_guest(1, &[1], Power::Running);
    world.add_guest(2, &[2], Power::Running);
    rest(&mut world);
    world.add_guest(1, &[1], Power::Running);
    world.delete_guest(1);
    world.delete_network(2);
    world.change(0, |guest| guest.boots_wanted += 1);
    world.change(1, |guest| guest.power = Power::Stopped);
    world.wanted.unaccepted = Some("restored".into());
    world.tell();
    check(
        &mut world,
        expect![[r#"
        guest 1: unsettled, running, volume Present
        guest 3: unsettled, running, volume Present
        guest 4: unsettled, stopped, volume Unmade
    "#]],
    );
    // What the backup does not know is ours all the same; one of a later epoch than it knows, too.
    world.wanted.guests.remove(0);
    world.change(0, |guest| guest.epoch = honcho_model::Epoch(0));
    check(
        &mut world,
        expect![[r#"
        guest 3: unsettled, running, volume Present
          look: a domain of this guest runs here at epoch 1, later than the epoch 0 that is wanted; it is left alone: was the brain restored from an older backup? (try 1)
        guest 4: unsettled, stopped, volume Unmade
        orphan domain honcho-g1
        orphan domain honcho-g3
        orphan volume volume 1 in pool 1
    "#]],
    );
}

#[test]
fn an_empty_manifest_makes_orphans_and_destroys_nothing() {
    let mut world = running();
    let mut empty = world.wanted.clone();
    empty.guests.clear();
    empty.networks.clear();
    world.give(empty.clone());
    check(
        &mut world,
        expect![[r#"
        orphan domain honcho-g1
        orphan volume volume 1 in pool 1
        orphan bridge hb2
        orphan bridge hb1
    "#]],
    );
    empty.pools.clear();
    world.give(empty);
    check(
        &mut world,
        expect![[r#"
        orphan domain honcho-g1
        orphan bridge hb2
        orphan bridge hb1
    "#]],
    );
}

#[test]
fn an_older_epoch_is_ended_first_and_a_later_one_left_alone() {
    let mut world = running();
    world.change(0, |guest| guest.epoch.0 = 5);
    check(
        &mut world,
        expect![[r#"
        guest/1 ask_to_stop
        guest 1: unsettled, running, volume Present
    "#]],
    );
    rest(&mut world);
    world.change(0, |guest| guest.epoch.0 = 4);
    check(
        &mut world,
        expect![[r#"
            guest 1: unsettled, running, volume Present
              look: a domain of this guest runs here at epoch 5, later than the epoch 4 that is wanted; it is left alone: was the brain restored from an older backup? (try 1)
            orphan domain honcho-g1
        "#]],
    );
}

#[test]
fn a_guest_goes_domain_first_and_is_gone_when_that_was_seen() {
    let mut world = running();
    world.delete_guest(0);
    world.delete_network(1);
    check(
        &mut world,
        expect![[r#"
        guest/1 destroy
        guest/1 delete_volumes after [0]
    "#]],
    );
    world.round();
    check(
        &mut world,
        expect![[r#"
        guest/1 delete_volumes
        network/1 remove_network
    "#]],
    );
    world.round();
    world.round();
    check(
        &mut world,
        expect![[r#"
        Guest { id: GuestId(1), epoch: Epoch(1), generation: Generation(2) }
        Network { id: NetworkId(1), generation: Generation(2) }
    "#]],
    );
}

/// The first step of the plan of now ends like this.
#[test]
fn a_guest_starts_once_every_network_of_its_cards_stands() {
    let mut world = World::new(1);
    world.add_guest(1, &[2, 1, 2], Power::Running);
    rest(&mut world);
    world.host_reboots();
    world.tell();
    check(
        &mut world,
        expect![[r#"
        network/1 ensure_network
        network/2 ensure_network
        guest/1 start after [1, 0]
        guest 1: unsettled, stopped, volume Present
    "#]],
    );
    rest(&mut world);
    // The network loses IPv4 under a running guest: its bridge changes, and the guest runs on.
    world.change_network(2);
    check(
        &mut world,
        expect![[r#"
        network/2 ensure_network
        guest 1: unsettled, running, volume Present
    "#]],
    );
}

#[test]
fn a_guest_is_gone_when_its_last_tap_is() {
    let mut world = World::new(1);
    world.add_guest(1, &[1, 2], Power::Running);
    rest(&mut world);
    let second = world.wanted.guests[0].interfaces[1].id;
    world.delete_guest(0);
    // Somebody else's domain holds the second card.
    let mut theirs = world.domains[0].clone();
    (theirs.name, theirs.uuid, theirs.interfaces) = ("theirs".to_owned(), Uuid::from_u128(1), vec![second]);
    world.domains.push(theirs);
    rest(&mut world);
    check(&mut world, expect![[""]]);
    world.domains.pop();
    check(
        &mut world,
        expect![[r#"
        Guest { id: GuestId(1), epoch: Epoch(1), generation: Generation(2) }
    "#]],
    );
}

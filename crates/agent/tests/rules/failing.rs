//! What fails, stops by itself or hangs: said, tried again after pauses that grow, and never made worse.

use super::world::World;
use super::{check, rest, running};
use expect_test::expect;
use honcho_agent_lib::clock::Moment;
use honcho_agent_lib::drivers::{DriverError, Stuck};
use honcho_model::Bytes;
use honcho_model::guest::Power;
use honcho_wire::StopMode;
use std::time::Duration;

fn end_first_step(world: &mut World, result: &Result<(), DriverError>) {
    let observed = world.look();
    let manifest = world.mind.manifest.clone().unwrap();
    let plan = honcho_agent_lib::converge::converge(&manifest, &observed, &world.mind, world.now);
    world.mind.step_ended(&plan.steps[0], result, &observed.boot_id, world.now);
}

#[test]
fn what_stops_by_itself_is_started_after_pauses_that_grow() {
    let mut world = running();
    for expected in [
        expect![[r#"
        guest/1 start in 2 s
        guest 1: unsettled, stopped, volume Present
    "#]],
        expect![[r#"
        guest/1 start in 4 s
        guest 1: unsettled, stopped, volume Present
    "#]],
        expect![[r#"
        guest/1 start in 8 s
        guest 1: unsettled, stopped, volume Present
    "#]],
    ] {
        world.stops_itself(2);
        check(&mut world, expected);
        world.now = world.now.plus(Duration::from_mins(1));
        rest(&mut world);
    }
    // A boot that somebody asks for does not wait.
    world.stops_itself(2);
    check(
        &mut world,
        expect![[r#"
        guest/1 start in 16 s
        guest 1: unsettled, stopped, volume Present
    "#]],
    );
    world.change(0, |guest| guest.boots_wanted += 1);
    check(
        &mut world,
        expect![[r#"
        guest/1 start
        guest 1: unsettled, stopped, volume Present
    "#]],
    );
    assert_eq!(world.mind.guests.values().next().unwrap().unexpected_stops, 4);
    // One that ran long has recovered.
    rest(&mut world);
    world.now = world.now.plus(Duration::from_mins(11));
    world.stops_itself(2);
    check(
        &mut world,
        expect![[r#"
        guest/1 start in 2 s
        guest 1: unsettled, stopped, volume Present
    "#]],
    );
}

#[test]
fn failed_steps_wait_and_hopeless_ones_until_something_else_is_wanted() {
    let mut world = running();
    world.change(0, |guest| guest.power = Power::Stopped);
    rest(&mut world);
    world.change(0, |guest| guest.root.size = Bytes(200));
    let fail = |world: &mut World, error: DriverError| {
        let observed = world.look();
        let manifest = world.mind.manifest.clone().unwrap();
        let plan = honcho_agent_lib::converge::converge(&manifest, &observed, &world.mind, world.now);
        world.mind.step_ended(&plan.steps[0], &Err(error), &observed.boot_id, world.now);
    };
    fail(&mut world, DriverError::Later("no space left on device".into()));
    check(
        &mut world,
        expect![[r#"
        guest/1 grow_volume in 1 s
        guest 1: unsettled, stopped, volume Present
          grow_volume: no space left on device (try 1)
    "#]],
    );
    fail(&mut world, DriverError::Later("no space left on device".into()));
    fail(&mut world, DriverError::Later("no space left on device".into()));
    check(
        &mut world,
        expect![[r#"
        guest/1 grow_volume in 4 s
        guest 1: unsettled, stopped, volume Present
          grow_volume: no space left on device (try 3)
    "#]],
    );
    // In the next boot of the host nobody waits for a pause of the last.
    world.boot += 1;
    world.now = Moment(1);
    world.tell();
    check(
        &mut world,
        expect![[r#"
        guest/1 grow_volume
        guest 1: unsettled, stopped, volume Present
          grow_volume: no space left on device (try 3)
    "#]],
    );
    fail(&mut world, DriverError::Never("the filesystem cannot be grown".into()));
    check(
        &mut world,
        expect![[r#"
        guest/1 grow_volume when something else is wanted
        guest 1: unsettled, stopped, volume Present
          grow_volume: the filesystem cannot be grown (try 4)
    "#]],
    );
    world.change(0, |guest| guest.root.size = Bytes(201));
    check(
        &mut world,
        expect![[r#"
        guest/1 grow_volume
        guest 1: unsettled, stopped, volume Present
    "#]],
    );
}

#[test]
fn a_guest_paused_by_a_full_pool_is_said_and_resumed_after_pauses_that_grow() {
    let mut world = running();
    world.gets_stuck(2, Stuck::DiskError);
    check(
        &mut world,
        expect![[r#"
        guest/1 resume
        guest 1: unsettled, running, volume Present
          look: it is paused because its disk gave an error, as a full pool does: free some space in pool 1; it goes on by itself then (try 1)
    "#]],
    );
    // It is resumed, and paused again before anybody looks.
    end_first_step(&mut world, &Ok(()));
    check(
        &mut world,
        expect![[r#"
        guest/1 resume in 1 s
        guest 1: unsettled, running, volume Present
          resume: it is paused because its disk gave an error, as a full pool does: free some space in pool 1; it goes on by itself then (try 1)
    "#]],
    );
    world.now = world.now.plus(Duration::from_secs(1));
    end_first_step(&mut world, &Ok(()));
    check(
        &mut world,
        expect![[r#"
        guest/1 resume in 2 s
        guest 1: unsettled, running, volume Present
          resume: it is paused because its disk gave an error, as a full pool does: free some space in pool 1; it goes on by itself then (try 2)
    "#]],
    );
    // There is space again.
    world.now = world.now.plus(Duration::from_secs(2));
    world.round();
    world.now = world.now.plus(Duration::from_secs(5));
    check(
        &mut world,
        expect![[r#"
        guest 1: settled, running, volume Present
    "#]],
    );
    // It has got on for longer than the pause, so the next time is the first again.
    world.gets_stuck(2, Stuck::DiskError);
    check(
        &mut world,
        expect![[r#"
        guest/1 resume
        guest 1: unsettled, running, volume Present
          look: it is paused because its disk gave an error, as a full pool does: free some space in pool 1; it goes on by itself then (try 1)
    "#]],
    );
    world.wanted.frozen = Some("two agents".into());
    world.tell();
    check(
        &mut world,
        expect![[r#"
        guest 1: unsettled, running, volume Present
          look: it is paused because its disk gave an error, as a full pool does: free some space in pool 1; it goes on by itself then (try 1)
    "#]],
    );
}

#[test]
fn a_guest_that_somebody_paused_is_said_and_left_alone() {
    let mut world = running();
    world.gets_stuck(2, Stuck::Other("somebody paused it: virsh resume honcho-g1".into()));
    check(
        &mut world,
        expect![[r#"
        guest 1: unsettled, running, volume Present
          look: somebody paused it: virsh resume honcho-g1 (try 1)
    "#]],
    );
}

#[test]
fn a_volume_that_can_never_be_grown_keeps_its_guest_running_and_is_said() {
    let mut world = running();
    world.change(0, |guest| {
        guest.root.size = Bytes(200);
        guest.boots_wanted += 1;
        guest.boot_mode = StopMode::Hard;
    });
    world.round();
    check(
        &mut world,
        expect![[r#"
        guest/1 grow_volume
        guest 1: unsettled, stopped, volume Present
    "#]],
    );
    end_first_step(&mut world, &Err(DriverError::Never("e2fsck refuses".into())));
    check(
        &mut world,
        expect![[r#"
        guest/1 start
        guest 1: unsettled, stopped, volume Present
          grow_volume: e2fsck refuses (try 1)
    "#]],
    );
    // That its start fails does not bring the growing back.
    end_first_step(&mut world, &Err(DriverError::Later("no memory".into())));
    check(
        &mut world,
        expect![[r#"
        guest/1 start in 1 s
        guest 1: unsettled, stopped, volume Present
          start: no memory (try 1)
    "#]],
    );
    world.now = world.now.plus(Duration::from_secs(2));
    world.round();
    check(
        &mut world,
        expect![[r#"
        guest 1: unsettled, running, volume Present
          grow_volume: e2fsck refuses (try 1)
    "#]],
    );
    // Another generation shows it still, and tries once more when the guest is off.
    world.change(0, |guest| guest.boots_wanted += 1);
    check(
        &mut world,
        expect![[r#"
        guest/1 destroy
        guest 1: unsettled, running, volume Present
          grow_volume: e2fsck refuses (try 1)
    "#]],
    );
    world.round();
    check(
        &mut world,
        expect![[r#"
        guest/1 grow_volume
        guest 1: unsettled, stopped, volume Present
    "#]],
    );
    rest(&mut world);
    check(
        &mut world,
        expect![[r#"
        guest 1: settled, running, volume Present
    "#]],
    );
}

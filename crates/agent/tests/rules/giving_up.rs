//! What somebody gave up on.

use super::world::World;
use super::{check, rest, running};
use expect_test::expect;
use honcho_model::guest::Power;
use std::time::Duration;

#[test]
fn what_somebody_gave_up_on_is_left_as_it_is_until_it_is_asked_for() {
    // A boot that is missing is not made up for, and the next one is.
    let mut world = running();
    world.change(0, |guest| {
        guest.boots_wanted += 1;
        guest.boots_waived = guest.boots_wanted;
    });
    check(
        &mut world,
        expect![[r#"
        guest 1: settled, running, volume Present
    "#]],
    );
    world.change(0, |guest| guest.boots_wanted += 1);
    check(
        &mut world,
        expect![[r#"
        guest/1 ask_to_stop
        guest 1: unsettled, running, volume Present
    "#]],
    );
    // One that stops by itself is started, as any: the boot that is missing comes with that.
    world.change(0, |guest| guest.boots_waived = guest.boots_wanted);
    world.stops_itself(2);
    check(
        &mut world,
        expect![[r#"
            guest/1 start in 2 s
            guest 1: unsettled, stopped, volume Present
        "#]],
    );
    // A volume that was not made is neither made nor missed.
    let mut world = World::new(2);
    world.add_guest(1, &[1], Power::Running);
    world.give_up(0);
    rest(&mut world);
    check(
        &mut world,
        expect![[r#"
        guest 1: settled, stopped, volume Unmade
    "#]],
    );
    world.change(0, |guest| {
        guest.root.given_up = false;
        guest.power = Power::Running;
    });
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
fn a_stop_that_was_withdrawn_by_giving_up_is_not_remembered_against_the_next() {
    // A reboot is asked of a guest that does not heed it, and somebody gives up on that.
    let mut world = running();
    world.change(0, |guest| guest.boots_wanted += 1);
    let observed = world.look();
    let manifest = world.mind.manifest.clone().unwrap();
    let plan = honcho_agent_lib::converge::converge(&manifest, &observed, &world.mind, world.now);
    world.mind.step_begins(&plan.steps[0], &observed.boot_id, world.now);
    world.give_up(0);
    check(
        &mut world,
        expect![[r#"
            guest 1: settled, running, volume Present
        "#]],
    );
    // Months later it is to stop: it is asked first, and not destroyed as one that was asked months ago.
    world.now = world.now.plus(Duration::from_hours(2000));
    world.change(0, |guest| guest.power = Power::Stopped);
    check(
        &mut world,
        expect![[r#"
            guest/1 ask_to_stop
            guest 1: unsettled, running, volume Present
        "#]],
    );
    // One that ends by itself with a waived boot is started after a pause, as any that does.
    let mut world = running();
    world.change(0, |guest| guest.boots_wanted += 1);
    world.give_up(0);
    world.stops_itself(2);
    check(
        &mut world,
        expect![[r#"
        guest/1 start in 2 s
        guest 1: unsettled, stopped, volume Present
    "#]],
    );
    let guest = &world.mind.guests[&honcho_model::GuestId(1)];
    assert_eq!(guest.unexpected_stops, 1, "nobody told it to");
}

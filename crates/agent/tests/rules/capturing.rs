//! An image is made of a guest's disk: it is read while the guest is off, and the guest starts when that has ended.

use super::{check, rest};
use crate::world::World;
use expect_test::expect;
use honcho_model::Digest;
use honcho_model::guest::Power;
use honcho_wire::{Capture, GuestWanted, Leaving};
use uuid::Uuid;

fn captured(guest: &mut GuestWanted) {
    guest.capture = Some(Capture { upload: Uuid::from_u128(9) });
}

/// A host with one guest that is off, at rest.
fn off() -> World {
    let mut world = World::new(1);
    world.add_guest(1, &[1], Power::Stopped);
    rest(&mut world);
    world
}

#[test]
fn a_disk_is_read_while_its_guest_is_off_and_nothing_waits_for_it() {
    let mut world = off();
    world.change(0, captured);
    check(
        &mut world,
        expect![[r#"
        guest/1 capture
        guest 1: settled, stopped, volume Present
    "#]],
    );
}

#[test]
fn a_guest_that_is_to_run_starts_when_its_disk_was_read() {
    let mut world = off();
    world.change(0, |guest| {
        captured(guest);
        guest.power = Power::Running;
    });
    check(
        &mut world,
        expect![[r#"
        guest/1 capture
        guest 1: unsettled, stopped, volume Present
    "#]],
    );
    world.change(0, |guest| guest.capture = None);
    check(
        &mut world,
        expect![[r#"
        guest/1 start
        guest 1: unsettled, stopped, volume Present
    "#]],
    );
}

#[test]
fn a_guest_that_may_start_alone_does_not_wait_for_a_brain_that_does_not_answer() {
    let mut world = off();
    world.change(0, |guest| {
        captured(guest);
        guest.power = Power::Running;
        guest.start_alone = true;
    });
    world.host_reboots();
    check(
        &mut world,
        expect![[r#"
            network/1 ensure_network
            guest/1 start after [0]
            guest 1: unsettled, stopped, volume Present
        "#]],
    );
}

#[test]
fn a_disk_of_a_guest_that_runs_is_not_read() {
    let mut world = super::running();
    world.change(0, captured);
    check(
        &mut world,
        expect![[r#"
        guest 1: settled, running, volume Present
    "#]],
    );
    world.change(0, |guest| guest.power = Power::Stopped);
    check(
        &mut world,
        expect![[r#"
        guest/1 ask_to_stop
        guest 1: unsettled, running, volume Present
    "#]],
    );
}

#[test]
fn a_disk_is_not_read_on_its_way_to_another_host_nor_before_it_is_made() {
    let mut world = off();
    world.change(0, |guest| {
        captured(guest);
        guest.leaving = Some(Leaving { ticket: Digest([1; 32]), certificates: Vec::new() });
    });
    check(
        &mut world,
        expect![[r#"
        guest 1: unsettled, stopped, volume Present
    "#]],
    );
    let mut world = World::new(1);
    world.add_guest(1, &[1], Power::Stopped);
    world.change(0, captured);
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
}

#[test]
fn a_disk_grows_before_it_is_read() {
    let mut world = off();
    world.change(0, |guest| {
        captured(guest);
        guest.root.size.0 += 1;
    });
    check(
        &mut world,
        expect![[r#"
        guest/1 grow_volume
        guest 1: unsettled, stopped, volume Present
    "#]],
    );
}

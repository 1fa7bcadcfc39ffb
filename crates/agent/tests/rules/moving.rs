//! A guest on its way to another host, or from one.

use super::*;
use honcho_model::{Bytes, Digest, Epoch, GuestId, PoolId, VolumeId};
use honcho_wire::{Absent, Arriving, GuestWanted, Leaving, VolumeAbsent};

fn leaves(guest: &mut GuestWanted) {
    guest.epoch.0 += 1;
    guest.power = Power::Stopped;
    guest.leaving = Some(Leaving { ticket: Digest([1; 32]), certificates: Vec::new() });
}

fn held(world: &World) -> bool {
    world.plan.guests[&GuestId(1)].held
}

fn arriving() -> Arriving {
    Arriving {
        guest: GuestId(9),
        uuid: world::uuid(3, 9),
        epoch: Epoch(2),
        volume: VolumeId(9),
        volume_uuid: world::uuid(4, 9),
        pool: PoolId(1),
        address: "h1:7073".into(),
        certificates: Vec::new(),
        ticket: "secret".into(),
    }
}

#[test]
fn one_that_leaves_is_stopped_softly_and_held_only_once_it_is_off() {
    let mut world = running();
    world.change(0, leaves);
    check(
        &mut world,
        expect![[r#"
            guest/1 ask_to_stop
            guest 1: unsettled, running, volume Present
        "#]],
    );
    world.round();
    assert!(!held(&world), "it ran when it was looked at");
    for _ in 0..20 {
        world.round();
        world.wait();
    }
    assert!(held(&world));
    check(
        &mut world,
        expect![[r#"
            guest 1: unsettled, stopped, volume Present
        "#]],
    );
    // Also if a broken brain should say that it is to run.
    world.change(0, |guest| guest.power = Power::Running);
    check(
        &mut world,
        expect![[r#"
            guest 1: unsettled, stopped, volume Present
        "#]],
    );
    // The move was given up: it runs again, here.
    world.change(0, |guest| guest.leaving = None);
    check(
        &mut world,
        expect![[r#"
            guest/1 start
            guest 1: unsettled, stopped, volume Present
        "#]],
    );
}

#[test]
fn one_that_leaves_grows_first_and_is_not_held_while_its_host_is_frozen() {
    let mut world = running();
    world.change(0, leaves);
    world.change(0, |guest| guest.root.size = Bytes(200));
    for _ in 0..20 {
        world.round();
        world.wait();
    }
    assert!(held(&world));
    assert_eq!(world.pools[&PoolId(1)].volumes[&world::uuid(4, 1)].size, Bytes(200));
    world.wanted.frozen = Some("two agents".to_owned());
    world.tell();
    world.round();
    assert!(!held(&world));
}

#[test]
fn what_arrives_is_fetched_and_said_once_it_is_durable_for_sure() {
    let mut world = running();
    world.wanted.arrivals.push(arriving());
    world.tell();
    check(
        &mut world,
        expect![[r#"
            guest/9 fetch_volume
            guest 1: settled, running, volume Present
            arriving 9: Coming
        "#]],
    );
    world.round();
    check(
        &mut world,
        expect![[r#"
            guest 1: settled, running, volume Present
            arriving 9: Durable
        "#]],
    );
    // A run that was killed after the rename does not know that it is durable.
    world.mind.volumes_arrived.clear();
    check(
        &mut world,
        expect![[r#"
            guest/9 fetch_volume
            guest 1: settled, running, volume Present
            arriving 9: Coming
        "#]],
    );
    // Given up: it goes again, and nothing was ever started for it.
    world.wanted.arrivals.clear();
    world.wanted.absent.push(Absent::Guest {
        id: GuestId(9),
        uuid: world::uuid(3, 9),
        epoch: Epoch(2),
        generation: honcho_model::Generation(1),
        volumes: vec![VolumeAbsent { id: VolumeId(9), uuid: world::uuid(4, 9), pool: PoolId(1) }],
        interfaces: Vec::new(),
    });
    world.tell();
    check(
        &mut world,
        expect![[r#"
            guest/9 delete_volumes
            guest 1: settled, running, volume Present
        "#]],
    );
    for _ in 0..3 {
        world.round();
    }
    assert!(world.wanted.absent.is_empty(), "it was told that it is gone");
}

#[test]
fn nothing_arrives_in_a_pool_that_is_not_what_it_should_be() {
    let mut world = running();
    world.pools.get_mut(&PoolId(1)).unwrap().mounted = false;
    world.wanted.arrivals.push(arriving());
    world.tell();
    check(
        &mut world,
        expect![[r#"
            guest 1: unsettled, running, volume Unknown
              look: its pool 1 cannot be used: it is not what it should be (try 1)
            arriving 9: Coming
              look: its pool 1 cannot be used: it is not what it should be (try 1)
        "#]],
    );
}

//! `converge` and the journal, driven through random lives with crashes between any two steps and within them.
#![allow(clippy::unwrap_used)]

mod world;

use honcho_agent_lib::drivers::Stuck;
use honcho_model::Bytes;
use honcho_model::guest::Power;
use honcho_wire::{Manifest, StopMode};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;
use world::{BRAIN, World};

/// Something that happens to a host.
#[derive(Clone, Debug)]
enum Happening {
    AddGuest { pool: i64, networks: Vec<i64>, running: bool },
    Start(usize),
    Stop(usize, bool),
    Reboot(usize, bool),
    GiveUp(usize),
    Grow(usize),
    RaiseEpoch(usize),
    StartAlone(usize),
    Capture(usize),
    Delete(usize),
    DeleteNetwork(i64),
    ChangeNetwork(i64),
    StopsItself(usize),
    DiskFails(usize),
    HostReboots,
    BrainAnswers,
    Unmount(i64),
    Mount(i64),
    Freeze,
    Thaw,
    Truncate(u8),
    Empty,
    Contradict(usize),
    DropImages,
    Rounds(u8),
    Wait(u16),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening as H;
    let which = 0..8_usize;
    prop_oneof![
        4 => (1..=2_i64, prop::collection::vec(1..=2_i64, 0..4), any::<bool>())
            .prop_map(|(pool, networks, running)| H::AddGuest { pool, networks, running }),
        2 => which.clone().prop_map(H::Start),
        2 => (which.clone(), any::<bool>()).prop_map(|(w, hard)| H::Stop(w, hard)),
        2 => (which.clone(), any::<bool>()).prop_map(|(w, hard)| H::Reboot(w, hard)),
        2 => which.clone().prop_map(H::GiveUp),
        1 => which.clone().prop_map(H::Grow),
        1 => which.clone().prop_map(H::RaiseEpoch),
        1 => which.clone().prop_map(H::StartAlone),
        1 => which.clone().prop_map(H::Capture),
        2 => which.clone().prop_map(H::Delete),
        1 => (1..=2_i64).prop_map(H::DeleteNetwork),
        1 => (1..=2_i64).prop_map(H::ChangeNetwork),
        1 => which.clone().prop_map(H::StopsItself),
        1 => which.prop_map(H::DiskFails),
        1 => Just(H::HostReboots),
        1 => Just(H::BrainAnswers),
        1 => (1..=2_i64).prop_map(H::Unmount),
        1 => (1..=2_i64).prop_map(H::Mount),
        1 => Just(H::Freeze),
        1 => Just(H::Thaw),
        1 => any::<u8>().prop_map(H::Truncate),
        1 => Just(H::Empty),
        1 => (0..8_usize).prop_map(H::Contradict),
        1 => Just(H::DropImages),
        8 => (1..6_u8).prop_map(H::Rounds),
        2 => (0..200_u16).prop_map(H::Wait),
    ]
}

fn mode(hard: bool) -> StopMode {
    if hard { StopMode::Hard } else { StopMode::Soft }
}

fn happen(world: &mut World, happening: &Happening) {
    match *happening {
        Happening::AddGuest { pool, ref networks, running } => {
            let there = |id: &&i64| world.wanted.networks.iter().any(|wanted| wanted.id.0 == **id);
            let networks: Vec<i64> = networks.iter().filter(there).copied().collect();
            world.add_guest(pool, &networks, if running { Power::Running } else { Power::Stopped });
        }
        Happening::Start(which) => world.change(which, |guest| {
            guest.root.given_up = false;
            if guest.power == Power::Stopped {
                guest.power = Power::Running;
                guest.boots_wanted += 1;
            }
        }),
        Happening::Stop(which, hard) => world.change(which, |guest| {
            guest.root.given_up = false;
            guest.power = Power::Stopped;
            guest.stop_mode = mode(hard);
        }),
        Happening::Reboot(which, hard) => world.change(which, |guest| {
            guest.boots_wanted += 1;
            guest.boot_mode = mode(hard);
        }),
        Happening::GiveUp(which) => world.give_up(which),
        Happening::Grow(which) => {
            world.change(which, |guest| guest.root.size = Bytes(guest.root.size.0 + 10));
        }
        Happening::RaiseEpoch(which) => world.change(which, |guest| guest.epoch.0 += 1),
        Happening::StartAlone(which) => world.change(which, |guest| guest.start_alone = !guest.start_alone),
        Happening::Capture(which) => world.change(which, |guest| {
            let upload = world::uuid(9, guest.generation.0);
            guest.capture = Some(honcho_wire::Capture { upload });
        }),
        Happening::Delete(which) => world.delete_guest(which),
        Happening::DeleteNetwork(id) => world.delete_network(id),
        Happening::ChangeNetwork(id) => world.change_network(id),
        Happening::StopsItself(which) => world.stops_itself(which),
        Happening::DiskFails(which) => world.gets_stuck(which, Stuck::DiskError),
        Happening::HostReboots => world.host_reboots(),
        Happening::BrainAnswers => world.tell(),
        Happening::Unmount(pool) => mount(world, pool, false),
        Happening::Mount(pool) => mount(world, pool, true),
        Happening::Freeze => {
            world.wanted.frozen = Some("two agents".to_owned());
            world.tell();
        }
        Happening::Thaw => {
            world.wanted.frozen = None;
            world.tell();
        }
        Happening::Truncate(mask) => {
            let truncated = truncated(&world.wanted, mask);
            world.give(truncated);
        }
        Happening::Empty => {
            let truncated = truncated(&world.wanted, 0);
            world.give(truncated);
        }
        Happening::Contradict(which) => world.contradict(which),
        Happening::DropImages => world.pools.values_mut().for_each(|pool| pool.images.clear()),
        Happening::Rounds(count) => (0..count).for_each(|_| {
            world.round();
            world.wait();
        }),
        Happening::Wait(seconds) => world.now = world.now.plus(Duration::from_secs(seconds.into())),
    }
}

/// A pool that was never seen made cannot be told from an empty mount point, so those stay as they are.
fn mount(world: &mut World, pool: i64, mounted: bool) {
    let known = world.is_known(pool.into());
    if let Some(real) = world.pools.get_mut(&pool.into()).filter(|_| known) {
        real.mounted = mounted;
    }
}

/// What a broken brain might say: anything may be left out.
fn truncated(manifest: &Manifest, mask: u8) -> Manifest {
    let mut truncated = manifest.clone();
    let mut bit = 0;
    let mut keep = || {
        bit += 1;
        mask >> (bit % 8) & 1 == 1
    };
    truncated.pools.retain(|_| keep());
    truncated.networks.retain(|_| keep());
    truncated.guests.retain(|_| keep());
    truncated.absent.retain(|_| keep());
    truncated
}

fn assert_as_wanted(world: &World) {
    let ours: BTreeSet<_> = world
        .domains
        .iter()
        .filter_map(|domain| domain.mark)
        .filter(|mark| mark.brain == BRAIN)
        .map(|mark| mark.guest)
        .collect();
    let mut unmade = BTreeSet::new();
    for guest in &world.wanted.guests {
        assert_eq!(ours.contains(&guest.id), guest.power == Power::Running, "guest {}", guest.id);
        let volumes = &world.pools[&guest.root.pool].volumes;
        if guest.root.given_up && !volumes.contains_key(&guest.root.uuid) {
            unmade.insert(guest.root.uuid);
            continue;
        }
        let volume = &volumes[&guest.root.uuid];
        assert!(volume.size >= guest.root.size, "volume {} is too small", volume.id);
    }
    let volumes: usize = world.pools.values().map(|pool| pool.volumes.len()).sum();
    assert_eq!(volumes, world.wanted.guests.len() - unmade.len(), "volumes are left over");
    // Half of one that somebody gave up on waits for another wish.
    let halves_are_wanted = world.pools.values().all(|pool| pool.partials.is_subset(&unmade));
    assert!(halves_are_wanted, "half-made volumes are left over");
    let running = world.wanted.guests.iter().filter(|guest| guest.power == Power::Running).count();
    assert_eq!(world.domains.len(), running + 2, "the two foreign domains, and one for each running guest");
    assert_eq!(
        world.bridges.len(),
        world.wanted.networks.len() + 1,
        "the foreign bridge, and one for each network"
    );
    for network in &world.wanted.networks {
        assert_eq!(world.made_for.get(&network.id), Some(&network.kind), "network {}", network.id);
    }
    assert_eq!(world.plan.orphans, []);
    assert!(world.domains.iter().all(|domain| domain.stuck.is_none()), "somebody was left paused");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happened, in the end everything is as wanted, and then there is nothing more to do. That no wanted
    /// volume is deleted, that no guest runs twice or starts twice for one reason, that a truncated manifest destroys
    /// nothing, and the rest of what must always hold, is asserted by the world at every step.
    #[test]
    fn every_life_ends_as_wanted(
        seed in any::<u64>(),
        crash_one_in in prop_oneof![Just(0_u32), 3..30_u32],
        fail_one_in in prop_oneof![Just(0_u32), 3..30_u32],
        happenings in prop::collection::vec(happening(), 1..60),
    ) {
        let mut world = World::new(seed);
        world.crash_one_in = crash_one_in;
        world.fail_one_in = fail_one_in;
        for happening in &happenings {
            happen(&mut world, happening);
        }
        prop_assert!(world.settle(), "never came to rest: {:#?}", world.plan);
        assert_as_wanted(&world);
        let rested = world.plan.clone();
        world.now = world.now.plus(Duration::from_hours(1));
        world.round();
        prop_assert_eq!(&world.plan, &rested);
    }
}

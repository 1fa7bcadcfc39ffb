//! What must hold whatever the fleet: no filter violated, the same input the same decision, nothing below nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use honcho_model::host::{Duty, HostStatus};
use honcho_model::{AccountId, Bytes, GuestId, HostId, PoolId, RackId};
use honcho_placement::spread::Limits;
use honcho_placement::{
    Balance, ClusterId, ClusterRole, Draining, Fleet, Guest, Holds, Host, NPlusOne, Pool, Reach, Request,
    Rules, Verdict, balance, capacity, drain, if_lost, place, place_all, stranded,
};
use proptest::prelude::*;
use std::sync::Arc;

fn host(id: i64, memory: u64, cpus: u32, disk: u64, rack: i64, kind: u8) -> Host {
    Host {
        id: HostId(id),
        name: format!("h{id}"),
        site: None,
        rack: Some(RackId(rack)),
        status: if kind == 1 { HostStatus::Silent } else { HostStatus::Up },
        duties: if kind == 2 { vec![Duty::Storage] } else { vec![Duty::Hypervisor] },
        draining: if kind == 3 { Draining::Yes } else { Draining::No },
        capabilities: Arc::default(),
        memory: Bytes::gib(memory),
        memory_reserved: Bytes::mib(512),
        cpus,
        load: honcho_placement::HostLoad::default(),
        pools: vec![Pool { id: PoolId(id), name: "default".into(), size: Bytes::gib(disk), taken: Bytes(0) }],
        networks: Reach::All,
    }
}

fn request(memory: u64, vcpus: u32, disk: u64, role: u8) -> Request {
    let mut request = Request::of_size(Bytes::mib(memory * 256), vcpus, Bytes::gib(disk));
    request.account = AccountId(i64::from(role % 3));
    request.apart =
        (role > 0).then(|| ClusterRole { cluster: ClusterId(i64::from(role)), role: "database".into() });
    request
}

fn requests(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Request>> {
    let one = (1u64..16, 1u32..5, 1u64..30, 0u8..5);
    proptest::collection::vec(
        one.prop_map(|(memory, vcpus, disk, role)| request(memory, vcpus, disk, role)),
        count,
    )
}

fn hosts() -> impl Strategy<Value = Vec<Host>> {
    let one = (2u64..24, 2u32..16, 20u64..200, 1i64..4, 0u8..8);
    proptest::collection::vec(one, 1..8).prop_map(|hosts| {
        let made = hosts.into_iter().zip(1..);
        made.map(|((memory, cpus, disk, rack, kind), id)| host(id, memory, cpus, disk, rack, kind)).collect()
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    let n_plus_one = prop_oneof![Just(NPlusOne::Keep), Just(NPlusOne::Prefer), Just(NPlusOne::Ignore)];
    (prop_oneof![Just(None), Just(Some(2.0))], n_plus_one)
        .prop_map(|(vcpus_per_cpu, n_plus_one)| Rules { vcpus_per_cpu, n_plus_one })
}

/// A fleet into which guests were placed: onto their host by number, where they fit.
fn fleets() -> impl Strategy<Value = Fleet> {
    (hosts(), requests(0..30), proptest::collection::vec((0usize..8, 0u8..10), 30), rules()).prop_map(
        |(hosts, requests, spots, rules)| {
            let loose = Rules { n_plus_one: NPlusOne::Ignore, ..rules };
            let mut guests: Vec<Guest> = Vec::new();
            for ((needs, (spot, kind)), id) in requests.into_iter().zip(spots).zip(1..) {
                let spot = &hosts[spot % hosts.len()];
                let fleet = Fleet::new(hosts.clone(), guests.clone(), loose);
                let wanted = Request { host: Some(spot.id), ..needs.clone() };
                let Some(choice) = place(&fleet, &wanted).choice else { continue };
                let holds = if kind == 0 { Holds::DiskOnly } else { Holds::All };
                let pool = choice.pool.unwrap_or(PoolId(0));
                guests.push(Guest { id: GuestId(id), host: choice.host, pool, holds, load: 1.0, needs });
            }
            Fleet::new(hosts, guests, rules)
        },
    )
}

/// Reckoned anew, not by the tallies that are tested: what is left of memory, disk and vCPUs on a host.
fn left(fleet: &Fleet, id: HostId) -> (i128, i128, i128) {
    let host = &fleet.hosts()[fleet.position(id).unwrap()];
    let mut memory = i128::from(host.memory.0) - i128::from(host.memory_reserved.0);
    let mut disk: i128 = host.pools.iter().map(|pool| i128::from(pool.size.0)).sum();
    let mut vcpus = fleet.rules().vcpus_per_cpu.map_or(1_000_000, |_| 2 * i128::from(host.cpus));
    for guest in fleet.guests().iter().filter(|guest| guest.host == id) {
        disk -= i128::from(guest.needs.disk.0);
        if guest.holds == Holds::All {
            memory -= i128::from(guest.needs.memory.0);
            vcpus -= i128::from(guest.needs.vcpus);
        }
    }
    (memory, disk, vcpus)
}

fn same_role(fleet: &Fleet, id: HostId, request: &Request) -> usize {
    let here = fleet.guests().iter().filter(|guest| guest.host == id && guest.holds == Holds::All);
    here.filter(|guest| guest.needs.apart.is_some() && guest.needs.apart == request.apart).count()
}

fn with(fleet: &Fleet, needs: &Request, host: HostId) -> Fleet {
    let mut guests = fleet.guests().to_vec();
    let id = GuestId(1000 + i64::try_from(guests.len()).unwrap());
    guests.push(Guest { id, host, pool: PoolId(host.0), holds: Holds::All, load: 1.0, needs: needs.clone() });
    Fleet::new(fleet.hosts().to_vec(), guests, fleet.rules())
}

fn may_take(fleet: &Fleet, id: HostId) -> bool {
    let host = &fleet.hosts()[fleet.position(id).unwrap()];
    host.status == HostStatus::Up && host.draining == Draining::No && host.duties.contains(&Duty::Hypervisor)
}

fn moved(fleet: &Fleet, guest: GuestId, to: HostId) -> Fleet {
    let mut guests = fleet.guests().to_vec();
    for one in guests.iter_mut().filter(|one| one.id == guest) {
        (one.host, one.pool) = (to, PoolId(to.0));
    }
    Fleet::new(fleet.hosts().to_vec(), guests, fleet.rules())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_filter_is_violated(fleet in fleets(), needs in requests(1..2)) {
        let needs = &needs[0];
        let decision = place(&fleet, needs);
        prop_assert_eq!(&decision, &place(&fleet, needs), "the same input gives the same decision");
        prop_assert_eq!(decision.verdicts.len(), fleet.hosts().len());
        let Some(choice) = decision.choice else {
            let refused = |verdict: &Verdict| matches!(verdict, Verdict::Refused(_));
            prop_assert!(decision.verdicts.iter().all(refused), "nowhere, and yet a host was scored");
            return Ok(());
        };
        prop_assert!(may_take(&fleet, choice.host));
        let after = with(&fleet, needs, choice.host);
        let (memory, disk, vcpus) = left(&after, choice.host);
        prop_assert!(memory >= 0 && disk >= 0 && vcpus >= 0, "{:?}", (memory, disk, vcpus));
        if fleet.rules().n_plus_one == NPlusOne::Keep {
            let before = stranded(&fleet);
            let new = stranded(&after).into_iter().find(|host| !before.contains(host));
            prop_assert_eq!(new, None, "a host was stranded");
        }
        if same_role(&fleet, choice.host, needs) > 0 {
            let other = decision.best(usize::MAX).into_iter()
                .find(|(host, _)| same_role(&fleet, fleet.hosts()[*host].id, needs) == 0);
            prop_assert!(other.is_none(), "another host could have taken it");
        }
    }

    #[test]
    fn all_or_nothing(fleet in fleets(), wanted in requests(1..6)) {
        match place_all(&fleet, &wanted) {
            Err(impossible) => prop_assert!(impossible.decision.choice.is_none()),
            Ok(decisions) => {
                prop_assert_eq!(decisions.len(), wanted.len());
                let mut after = fleet.clone();
                for (needs, decision) in wanted.iter().zip(&decisions) {
                    after = with(&after, needs, decision.choice.unwrap().host);
                }
                for decision in decisions {
                    let (memory, disk, vcpus) = left(&after, decision.choice.unwrap().host);
                    prop_assert!(memory >= 0 && disk >= 0 && vcpus >= 0);
                }
            }
        }
    }

    #[test]
    fn another_host_makes_nothing_unplaceable(
        fleet in fleets(), needs in requests(1..2), memory in 2u64..24, rack in 1i64..6, kind in 0u8..5,
    ) {
        let needs = &needs[0];
        if place(&fleet, needs).choice.is_some() {
            let mut hosts = fleet.hosts().to_vec();
            hosts.push(host(99, memory, 8, 100, rack, kind));
            let larger = Fleet::new(hosts, fleet.guests().to_vec(), fleet.rules());
            prop_assert!(place(&larger, needs).choice.is_some());
        }
    }

    #[test]
    fn capacity_is_what_can_be_placed(fleet in fleets(), needs in requests(1..2)) {
        let needs = Request { apart: None, ..needs[0].clone() };
        let counted = capacity(&fleet, &needs);
        prop_assert!(counted.fit_with_n_plus_one <= counted.fit);
        let loose = Rules { n_plus_one: NPlusOne::Ignore, ..fleet.rules() };
        let mut filled = Fleet::new(fleet.hosts().to_vec(), fleet.guests().to_vec(), loose);
        let mut placed = 0;
        while let Some(choice) = place(&filled, &needs).choice {
            filled = with(&filled, &needs, choice.host);
            placed += 1;
        }
        prop_assert_eq!(counted.fit, placed);
        prop_assert_eq!(counted.fit == 0, place(&Fleet::new(fleet.hosts().to_vec(), fleet.guests().to_vec(), loose), &needs).choice.is_none());
    }

    #[test]
    fn every_move_is_legal_and_ends_where_it_said(fleet in fleets(), most in 0usize..10) {
        let limits = Limits { max_moves: Some(most), ..Limits::NONE };
        let Balance { score_before, score_after, moves } = balance(&fleet, &limits);
        prop_assert!(moves.len() <= most);
        prop_assert!(score_after <= score_before + 1e-9, "{} {}", score_before, score_after);
        let mut now = fleet.clone();
        for one in &moves {
            let guest = now.guests().iter().find(|guest| guest.id == one.guest).unwrap().clone();
            prop_assert_eq!(guest.host, one.from);
            prop_assert!(may_take(&now, one.to));
            prop_assert_eq!(same_role(&now, one.to, &guest.needs), 0);
            let before = stranded(&now);
            now = moved(&now, one.guest, one.to);
            let (memory, disk, vcpus) = left(&now, one.to);
            prop_assert!(memory >= 0 && disk >= 0 && vcpus >= 0);
            if now.rules().n_plus_one != NPlusOne::Ignore {
                prop_assert!(stranded(&now).iter().all(|host| before.contains(host)));
            }
        }
        let none = Limits { max_moves: Some(0), ..Limits::NONE };
        let said = if moves.is_empty() { score_before } else { moves[moves.len() - 1].score_after };
        prop_assert!((said - score_after).abs() < 1e-9);
        prop_assert!((balance(&now, &none).score_before - score_after).abs() < 1e-6);
    }

    #[test]
    fn a_drain_leaves_nothing_unsaid(fleet in fleets(), spot in 0usize..8) {
        let emptied = fleet.hosts()[spot % fleet.hosts().len()].id;
        let plan = drain(&fleet, emptied).unwrap();
        let there = fleet.guests().iter().filter(|guest| guest.host == emptied).count();
        prop_assert_eq!(plan.rehoused.len() + plan.homeless.len(), there);
        let mut now = fleet.clone();
        for (guest, choice) in plan.rehoused {
            prop_assert!(choice.host != emptied && may_take(&now, choice.host));
            now = moved(&now, guest, choice.host);
            let (memory, disk, vcpus) = left(&now, choice.host);
            prop_assert!(memory >= 0 && disk >= 0 && vcpus >= 0);
        }
    }
}

/// The same fleet as one of sums, in which only the guests of one host are told apart.
fn summed(fleet: &Fleet, apart: HostId) -> Fleet {
    let mut hosts = fleet.hosts().to_vec();
    let mut sums = honcho_placement::Sums::default();
    for guest in fleet.guests() {
        let host = hosts.iter_mut().find(|host| host.id == guest.host).unwrap();
        for pool in host.pools.iter_mut().filter(|pool| pool.id == guest.pool) {
            pool.taken.0 += guest.needs.disk.0;
        }
        if guest.holds == Holds::All {
            let (host, memory) = (guest.host, guest.needs.memory);
            let vcpus = guest.needs.vcpus.into();
            sums.alike.push(honcho_placement::Alike { host, memory, guests: 1, vcpus });
            sums.accounts.push((guest.needs.account, host, 1));
            sums.roles.extend(guest.needs.apart.clone().map(|role| (role, host, 1)));
        }
    }
    let guests = fleet.guests().iter().filter(|guest| guest.host == apart).cloned().collect();
    Fleet::of_sums(hosts, &sums, fleet.rules()).with_guests(guests)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Of the guests of other hosts it is enough to know what they come to.
    #[test]
    fn sums_tell_what_a_drain_and_a_loss_come_to(fleet in fleets(), spot in 0usize..8, asked in requests(1..3)) {
        let guests = fleet.guests().iter().map(|guest| Guest { load: 0.0, ..guest.clone() }).collect();
        let fleet = Fleet::new(fleet.hosts().to_vec(), guests, fleet.rules());
        let host = fleet.hosts()[spot % fleet.hosts().len()].id;
        let summed = summed(&fleet, host);
        prop_assert_eq!(drain(&summed, host), drain(&fleet, host));
        let (told_apart, summed) = (if_lost(&fleet, host).unwrap(), if_lost(&summed, host).unwrap());
        prop_assert_eq!(&summed.rehoused, &told_apart.rehoused);
        prop_assert_eq!(&summed.homeless, &told_apart.homeless);
        for request in asked {
            prop_assert_eq!(capacity(&summed.after, &request), capacity(&told_apart.after, &request));
            prop_assert_eq!(place(&summed.after, &request), place(&told_apart.after, &request));
        }
    }
}

/// What the guests of a host come to, if each of these is one.
fn sums_of(host: HostId, guests: &[(u64, u32, u8)]) -> honcho_placement::Sums {
    let mut sums = honcho_placement::Sums::default();
    for (memory, vcpus, role) in guests {
        let needs = request(*memory, *vcpus, 1, *role);
        let (memory, vcpus) = (needs.memory, i64::from(needs.vcpus));
        sums.alike.push(honcho_placement::Alike { host, memory, guests: 1, vcpus });
        sums.accounts.push((needs.account, host, 1));
        sums.roles.extend(needs.apart.map(|role| (role, host, 1)));
    }
    sums
}

fn together(all: &[honcho_placement::Sums]) -> honcho_placement::Sums {
    let mut sum = honcho_placement::Sums::default();
    for one in all {
        sum.alike.extend(one.alike.iter().copied());
        sum.accounts.extend(one.accounts.iter().copied());
        sum.roles.extend(one.roles.iter().cloned());
    }
    sum
}

fn some_guests() -> impl Strategy<Value = Vec<(u64, u32, u8)>> {
    proptest::collection::vec((1u64..16, 1u32..5, 0u8..5), 0..6)
}

proptest! {
    /// A fleet in which hosts are taken in place of what they were is the fleet that is made of them at once.
    #[test]
    fn a_fleet_that_is_renewed_is_the_one_that_is_made_anew(
        before in hosts(),
        changes in proptest::collection::vec((0usize..8, 2u64..24, 0u8..8, some_guests()), 0..20),
        first in proptest::collection::vec(some_guests(), 8),
        loads in proptest::collection::vec(0.0f64..1.0, 8),
        rules in rules(),
    ) {
        let mut hosts = before;
        let mut sums: Vec<_> = hosts.iter().zip(&first).map(|(host, guests)| sums_of(host.id, guests)).collect();
        let mut renewed = Fleet::of_sums(hosts.clone(), &together(&sums), rules);
        for (spot, memory, kind, guests) in changes {
            let spot = spot % hosts.len();
            let id = hosts[spot].id;
            hosts[spot] = host(id.0, memory, 8, 100, id.0 % 3, kind);
            let before = std::mem::replace(&mut sums[spot], sums_of(id, &guests));
            let told = honcho_placement::Told { host: hosts[spot].clone(), before, now: sums[spot].clone() };
            for (host, seen) in hosts.iter_mut().zip(&loads) {
                host.load.seen = *seen;
            }
            renewed.renew(vec![told], |position| (hosts[position].status, hosts[position].load));
            prop_assert_eq!(&renewed, &Fleet::of_sums(hosts.clone(), &together(&sums), rules));
        }
    }
}

/// A fleet of sums decides what one of guests decides, whatever they are.
#[test]
fn sums_are_as_good_as_guests() {
    use honcho_placement::{Alike, Sums};
    let hosts: Vec<Host> =
        (1..=5).map(|id| host(id, 16 + u64::try_from(id).unwrap(), 8, 100, id, 0)).collect();
    let guest = |id: i64, at: i64, gib: u64, vcpus: u32| Guest {
        id: GuestId(id),
        host: HostId(at),
        pool: PoolId(0),
        holds: Holds::All,
        load: 0.0,
        needs: Request { account: AccountId(id % 3), ..Request::of_size(Bytes::gib(gib), vcpus, Bytes(0)) },
    };
    let guests: Vec<Guest> =
        (0..24_i64).map(|id| guest(id, 1 + id % 4, 1 + u64::try_from(id % 3).unwrap(), 2)).collect();
    let mut sums = Sums::default();
    for guest in &guests {
        let (host, memory) = (guest.host, guest.needs.memory);
        sums.alike.push(Alike { host, memory, guests: 1, vcpus: guest.needs.vcpus.into() });
        sums.accounts.push((guest.needs.account, host, 1));
    }
    let rules = Rules { vcpus_per_cpu: Some(4.0), ..Rules::default() };
    let (told_apart, summed) =
        (Fleet::new(hosts.clone(), guests, rules), Fleet::of_sums(hosts, &sums, rules));
    for (account, gib) in [(0, 1), (1, 4), (2, 9), (9, 17)] {
        let request =
            Request { account: AccountId(account), ..Request::of_size(Bytes::gib(gib), 1, Bytes::gib(1)) };
        assert_eq!(place(&told_apart, &request), place(&summed, &request), "{gib}G");
    }
}

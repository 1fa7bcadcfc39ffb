//! Rooms and orders by hand: who is chosen, and what whoever is refused is told.

use super::*;
use honcho_model::host::{Duty, HostStatus};
use honcho_model::{AccountId, GuestId, Timestamp};
use honcho_placement::spread::Limits;
use honcho_store::Scope;
use honcho_store::rooms::{Claimed, Claims, PlacedGuest, PoolRoom};

const GIB: i64 = 1 << 30;

/// A host with so much memory, and so many guests of 1 GiB.
fn room(id: i64, memory_gib: i64, guests: i64) -> Room {
    let pool =
        PoolRoom { pool: PoolId(id * 10), name: "default".into(), size: 100 * GIB, placed: 3 * guests * GIB };
    let claimed = (guests > 0).then_some(Claimed { memory: GIB, vcpus: guests, guests });
    Room {
        host: HostId(id),
        host_name: format!("h{id}"),
        site: None,
        rack: None,
        status: HostStatus::Up,
        last_seen_at: None,
        duties: vec![Duty::Hypervisor],
        draining_since: None,
        capabilities: [NetworkKind::Local.capability()].into(),
        memory: memory_gib * GIB,
        cpus: 8,
        load: None,
        architecture: None,
        features: "".into(),
        claimed: claimed.into_iter().collect(),
        pools: vec![pool],
    }
}

const LOCAL: &[NetworkKind] = &[NetworkKind::Local];

fn order(kinds: &[NetworkKind]) -> Request {
    Request { capabilities: capabilities(kinds), ..request_of(Bytes::gib(1), 1, Bytes::gib(10)) }
}

fn chosen(rooms: &[Room], kinds: &[NetworkKind]) -> Result<i64, String> {
    let decided = decide(rooms, &Kin::default(), USUAL_RULES, order(kinds));
    decided.place().map(|place| place.host.0).ok_or_else(|| decided.refused(Scope::Operator).join("\n"))
}

#[test]
fn a_network_is_carried_where_the_agent_can() {
    let both = [NetworkKind::Local, NetworkKind::Vlan];
    let mut rooms = [room(1, 64, 0), room(2, 16, 0)];
    let refusal = carried(&rooms, &both).unwrap_err();
    assert!(refusal.starts_with("no host can carry a VLAN network yet"), "{refusal}");
    rooms[1].capabilities.insert("network.vlan");
    assert_eq!(carried(&rooms, &both), Ok(()));
    assert_eq!(chosen(&rooms, &both), Ok(2), "though the other is emptier");
    rooms[1].status = HostStatus::Silent;
    assert_eq!(
        chosen(&rooms, &both).unwrap_err(),
        "no host has room for it (h1: its agent cannot carry a VLAN network; h2: is silent)"
    );
}

#[test]
fn the_emptiest_host_is_chosen() {
    assert_eq!(chosen(&[room(1, 16, 8), room(2, 64, 4), room(3, 16, 4)], LOCAL), Ok(2));
}

/// Two hosts alike but for what they do: the one that does less is chosen, and one that has not told counts as usual.
#[test]
fn whoever_does_less_is_chosen() {
    let busy = |loads: [Option<f64>; 3]| {
        let rooms: Vec<Room> =
            (1..=3).zip(loads).map(|(id, load)| Room { load, ..room(id, 16, 4) }).collect();
        chosen(&rooms, LOCAL)
    };
    assert_eq!(busy([None, None, None]), Ok(1), "nobody told: the first of equals");
    assert_eq!(busy([Some(0.9), Some(0.2), Some(0.8)]), Ok(2));
    assert_eq!(busy([Some(0.9), Some(0.8), Some(0.1)]), Ok(3));
    assert_eq!(busy([Some(0.9), None, Some(0.8)]), Ok(3), "as busy as the others is no less than the least");
    assert_eq!(busy([Some(0.9), None, Some(0.9)]), Ok(1), "equals again");
    // It weighs among other things: where there is no memory nothing is placed, however idle.
    let mut rooms = [room(1, 4, 3), room(2, 16, 3)];
    (rooms[0].load, rooms[1].load) = (Some(0.0), Some(0.9));
    assert_eq!(chosen(&rooms, LOCAL), Ok(2));
}

#[test]
fn processors_have_to_be_what_a_guest_needs() {
    let avx2: honcho_model::CpuFeature = "avx2".parse().unwrap();
    let mut rooms = [room(1, 64, 0), room(2, 32, 0), room(3, 16, 0), room(4, 16, 0)];
    (rooms[0].architecture, rooms[1].architecture) = (Some("aarch64".into()), Some("x86_64".into()));
    rooms[2].architecture = Some("x86_64".into());
    rooms[2].features = " avx avx2 ".into();
    let chosen = |rooms: &[Room], architecture, features: &[honcho_model::CpuFeature]| {
        let needed = needed(LOCAL, architecture, &features.iter().cloned().collect());
        let request = Request { capabilities: needed, ..order(LOCAL) };
        let decided = decide(rooms, &Kin::default(), USUAL_RULES, request);
        decided.place().map(|place| place.host.0).ok_or_else(|| decided.refused(Scope::Operator).join("\n"))
    };
    assert_eq!(chosen(&rooms, None, &[]), Ok(1));
    assert_eq!(chosen(&rooms, Some("x86_64"), &[]), Ok(2));
    assert_eq!(
        chosen(&rooms, Some("x86_64"), std::slice::from_ref(&avx2)),
        Ok(3),
        "though others are emptier"
    );
    assert_eq!(chosen(&rooms[3..], Some("x86_64"), &[]), Ok(4), "its agent has not said what it is");
    rooms[2].features = " avx avx22 ".into();
    assert_eq!(
        chosen(&rooms, Some("x86_64"), &[avx2]).unwrap_err(),
        "no host has room for it (h1: its processors are aarch64, x86_64 needed; h2: its processors have no avx2; \
         h3: its processors have no avx2; h4: its processors have no avx2)"
    );
}

#[test]
fn a_refusal_says_why_for_every_host() {
    let mut silent = room(1, 16, 0);
    silent.status = HostStatus::Silent;
    let mut no_disk = room(3, 16, 0);
    no_disk.pools[0].placed = 95 * GIB;
    let mut firewall = room(4, 64, 0);
    firewall.duties = vec![Duty::Firewall, Duty::Storage];
    let mut draining = room(5, 64, 0);
    draining.draining_since = Some(Timestamp(1));
    let mut few_cpus = room(6, 64, 16);
    few_cpus.cpus = 1;
    let rooms = [silent, room(2, 4, 3), no_disk, firewall, draining, few_cpus];
    assert_eq!(
        chosen(&rooms, LOCAL).unwrap_err(),
        "no host has room for it (h1: is silent; h2: 512M of memory free, 1G needed; \
         h3: 5G of disk not yet promised in pool default, 10G needed; h4: has not the duty hypervisor; \
         h5: is draining; h6: 0 vCPUs free, 1 needed)"
    );
    assert!(chosen(&[], LOCAL).unwrap_err().starts_with("there is no host"));
}

#[test]
fn of_many_hosts_each_filter_says_how_many_and_who_is_nearest() {
    let mut rooms: Vec<Room> = (1..=20).map(|id| room(id, 4, 3)).collect();
    rooms[6].memory += 256 << 20;
    rooms[19].status = HostStatus::Silent;
    assert_eq!(
        chosen(&rooms, LOCAL).unwrap_err(),
        "none of 20 hosts has room for it\n\
         enabled: 1 host, as h20: is silent\n\
         memory: 19 hosts; nearest is h7: 768M of memory free, 1G needed, so 256M too little"
    );
    let decided = decide(&rooms, &Kin::default(), USUAL_RULES, order(LOCAL));
    let customer = Scope::Account(AccountId(1));
    assert_eq!(decided.refused(customer), ["there is no room for that just now"]);
}

#[test]
fn kin_are_kept_apart_while_others_have_room() {
    let account = AccountId(5);
    let role = Kin::role("app");
    let ask = |rooms: &[Room], on: &[i64]| {
        let there: honcho_store::rooms::Counts = on.iter().map(|id| (HostId(*id), 1)).collect();
        let kin = Kin { account, of_account: there.clone(), apart: vec![(role.clone(), there)] };
        let request = Request { account, apart: Some(role.clone()), ..order(LOCAL) };
        decide(rooms, &kin, USUAL_RULES, request).place().map(|place| place.host.0)
    };
    let rooms = [room(1, 64, 1), room(2, 16, 8), room(3, 16, 9)];
    assert_eq!(ask(&rooms, &[]), Some(1));
    assert_eq!(ask(&rooms, &[1]), Some(2));
    assert_eq!(ask(&rooms, &[1, 2]), Some(3));
    assert!(ask(&rooms, &[1, 2, 3]).is_some(), "another host makes nothing unplaceable");
}

/// What an order is decided by is the same, whether sums are looked at or every guest.
#[test]
fn sums_decide_as_guests_do() {
    let (account, other) = (AccountId(5), AccountId(6));
    let mut lot = 1_u64;
    let mut draw = |below: u64| {
        lot = lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (lot >> 33) % below
    };
    for round in 0..50 {
        let mut rooms: Vec<Room> = (1..=6).map(|id| room(id, 16, 0)).collect();
        let mut guests = Vec::new();
        let (mut of_account, mut of_role) =
            (honcho_store::rooms::Counts::new(), honcho_store::rooms::Counts::new());
        for id in 1..=i64::try_from(draw(40)).unwrap() {
            let at = usize::try_from(draw(6)).unwrap();
            let (memory, vcpus) = (GIB << draw(2), 1 + u32::try_from(draw(3)).unwrap());
            let (own, app) = (draw(2) == 0, draw(3) == 0);
            let room = &mut rooms[at];
            room.pools[0].placed += 2 * GIB;
            match room.claimed.iter_mut().find(|size| size.memory == memory) {
                Some(size) => (size.vcpus, size.guests) = (size.vcpus + i64::from(vcpus), size.guests + 1),
                None => room.claimed.push(Claimed { memory, vcpus: vcpus.into(), guests: 1 }),
            }
            if own {
                *of_account.entry(room.host).or_default() += 1;
            }
            if own && app {
                *of_role.entry(room.host).or_default() += 1;
            }
            guests.push(PlacedGuest {
                account: if own { account } else { other },
                memory: Bytes(u64::try_from(memory).unwrap()),
                vcpus,
                disk: Bytes::gib(2),
                apart: app.then(|| ("shop".to_owned(), "app".to_owned())),
                ..placed(id, room.host.0, None)
            });
        }
        let kin = Kin { account, of_account, apart: vec![(Kin::role("app"), of_role)] };
        let request = Request { account, apart: Some(Kin::role("app")), ..order(LOCAL) };
        let summed = decide(&rooms, &kin, USUAL_RULES, request.clone());
        // The account's own cluster is the first one that is met, or no guest of it is there.
        let own_first: Vec<PlacedGuest> = {
            let (own, others): (Vec<_>, Vec<_>) =
                guests.into_iter().partition(|guest| guest.account == account);
            own.into_iter().chain(others).collect()
        };
        let none = !own_first.iter().any(|guest| guest.account == account && guest.apart.is_some());
        let whole = whole(&rooms, &own_first, USUAL_RULES);
        let request = if none { Request { apart: None, ..request } } else { request };
        let decision = place(&whole, &request);
        assert_eq!(summed.decision.choice, decision.choice, "round {round}");
        assert_eq!(summed.decision.counts(), decision.counts(), "round {round}");
    }
}

/// A guest of 1 GiB that keeps so many processors busy, as far as that was seen.
fn placed(id: i64, host: i64, busy: Option<f64>) -> PlacedGuest {
    PlacedGuest {
        id: GuestId(id),
        name: format!("g{id}"),
        account: AccountId(id),
        host: HostId(host),
        pool: PoolId(host * 10),
        memory: Bytes::gib(1),
        vcpus: 1,
        disk: Bytes::gib(3),
        claims: Claims::All,
        apart: None,
        kinds: vec![NetworkKind::Local],
        architecture: None,
        features: std::collections::BTreeSet::new(),
        busy,
    }
}

#[test]
fn what_guests_do_is_taken_out_of_what_their_host_does() {
    let told = |load| move |room| Room { load: Some(load), ..room };
    let rooms: Vec<Room> =
        [(1, 0.75), (2, 0.25)].into_iter().map(|(id, load)| told(load)(room(id, 64, 2))).collect();
    let guests = [placed(1, 1, Some(4.0)), placed(2, 1, None), placed(3, 2, Some(3.0)), placed(4, 2, None)];
    let fleet = whole(&rooms, &guests, USUAL_RULES);
    let seen: Vec<f64> = fleet.hosts().iter().map(|host| host.load.seen).collect();
    assert_eq!(seen, [0.25, 0.0], "6 of 8 less 4; and 2 less 3 is nothing");
    let loads: Vec<f64> = fleet.guests().iter().map(|guest| guest.load).collect();
    assert_eq!(loads, [4.0, 0.0, 3.0, 0.0]);
    // One more host, which does nothing: whoever does most goes there first.
    let mut rooms = rooms;
    rooms.push(told(0.0)(room(3, 64, 0)));
    let plan =
        plans::balance_of(&rooms, &guests, USUAL_RULES, &Limits { max_moves: Some(1), ..Limits::NONE });
    assert_eq!(plan.moves.iter().map(|one| (one.guest_id, one.to_host_id)).collect::<Vec<_>>(), [(1, 3)]);
}

/// Whether one guest of so many GiB may grow by so much on the first of these hosts.
fn grow(rooms: &[Room], counted: u64, growth: Growth, rules: Rules) -> Result<(), String> {
    let (host, pool, counted) = (Some(HostId(1)), PoolId(10), Bytes::gib(counted));
    Claim { rooms, host, pool, counted, growth, rules }.may_grow()
}

fn growth(memory: u64, vcpus: u32, disk: u64) -> Growth {
    Growth { memory: Bytes::gib(memory), vcpus, disk: Bytes::gib(disk) }
}

#[test]
fn what_grows_needs_room_where_it_is() {
    let rooms = [room(1, 16, 8)];
    let grow = |memory, vcpus, disk| grow(&rooms, 1, growth(memory, vcpus, disk), USUAL_RULES);
    assert_eq!(grow(7, 120, 76), Ok(()));
    assert_eq!(grow(8, 0, 0).unwrap_err(), "its host has 7.5G of memory free, 8G more needed");
    assert_eq!(grow(0, 121, 0).unwrap_err(), "its host has 120 vCPUs that may be promised, 121 more needed");
    assert_eq!(grow(0, 0, 77).unwrap_err(), "its pool has 76G not yet promised, 77G more needed");
}

#[test]
fn what_takes_no_new_guest_lets_none_grow() {
    let mut rooms = [room(1, 16, 8)];
    rooms[0].draining_since = Some(Timestamp(1));
    let grown = |rooms: &[Room], memory| grow(rooms, 1, growth(memory, 0, 0), USUAL_RULES);
    assert_eq!(grown(&rooms, 1).unwrap_err(), "its host is draining");
    assert_eq!(grown(&rooms, 0), Ok(()), "nothing is claimed");
    rooms[0].draining_since = None;
    rooms[0].duties.clear();
    assert_eq!(grown(&rooms, 1).unwrap_err(), "its host has not the duty hypervisor");
    rooms[0].duties = vec![Duty::Hypervisor];
    rooms[0].status = HostStatus::Silent;
    assert_eq!(grown(&rooms, 1), Ok(()), "once it speaks again");
}

#[test]
fn what_grows_keeps_n_plus_one_where_that_is_kept() {
    // 15.5G each: the seven of the first, if it is lost, have 8.5G on the second.
    let rooms = [room(1, 16, 7), room(2, 16, 7)];
    let keep = Rules { n_plus_one: NPlusOne::Keep, ..USUAL_RULES };
    assert_eq!(grow(&rooms, 1, growth(1, 0, 0), keep), Ok(()));
    let stranded = "if h1 were lost, its guests would not all fit elsewhere any more";
    assert_eq!(grow(&rooms, 1, growth(2, 0, 0), keep).unwrap_err(), stranded);
    // One of 8G and more fits nowhere else, though the sums would allow it.
    let three = [room(1, 16, 1), room(2, 16, 8), room(3, 16, 8)];
    assert_eq!(grow(&three, 1, growth(6, 0, 0), keep), Ok(()));
    assert_eq!(grow(&three, 1, growth(7, 0, 0), keep).unwrap_err(), stranded);
    // Preferred, it is not asked for where there is no other host to choose.
    assert_eq!(grow(&three, 1, growth(7, 0, 0), USUAL_RULES), Ok(()));
    assert_eq!(grow(&three, 1, growth(0, 1, 1), keep), Ok(()));
}

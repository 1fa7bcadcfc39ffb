//! Placing as an operator meets it: who is chosen, and what the others hear.
#![allow(clippy::format_push_string, clippy::needless_pass_by_value, reason = "a test need not be fast")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them so")]

use expect_test::{Expect, expect};
use honcho_model::host::{Duty, HostStatus};
use honcho_model::{AccountId, Bytes, GuestId, HostId, NetworkId, PoolId, RackId, SiteId};
use honcho_placement::spread::Limits;
use honcho_placement::{
    Capability, ClusterId, ClusterRole, Draining, Fleet, Guest, Holds, Host, HostLoad, NPlusOne, Pool, Reach,
    Refusal, Request, Rules, Verdict, balance, capacity, drain, if_lost, place, place_all, stranded,
};
use std::collections::BTreeSet;
use std::sync::Arc;

fn host(id: i64, memory: u64) -> Host {
    Host {
        id: HostId(id),
        name: format!("h{id}"),
        site: Some(SiteId(1)),
        rack: Some(RackId(id)),
        status: HostStatus::Up,
        duties: vec![Duty::Hypervisor],
        draining: Draining::No,
        capabilities: Arc::default(),
        memory: Bytes::gib(memory),
        memory_reserved: Bytes::mib(512),
        cpus: 8,
        load: HostLoad::default(),
        pools: vec![Pool {
            id: PoolId(id * 10),
            name: "default".into(),
            size: Bytes::gib(100),
            taken: Bytes(0),
        }],
        networks: Reach::All,
    }
}

fn guest(id: i64, host: i64, memory: u64) -> Guest {
    Guest {
        id: GuestId(id),
        host: HostId(host),
        pool: PoolId(host * 10),
        holds: Holds::All,
        load: 1.0,
        needs: Request { account: AccountId(id), ..Request::of_size(Bytes::gib(memory), 1, Bytes::gib(10)) },
    }
}

fn database(mut guest: Guest) -> Guest {
    guest.needs.apart = Some(role());
    guest
}

fn role() -> ClusterRole {
    ClusterRole { cluster: ClusterId(1), role: "database".into() }
}

fn small() -> Request {
    Request::of_size(Bytes::gib(1), 1, Bytes::gib(10))
}

fn check(fleet: &Fleet, request: &Request, expected: Expect) {
    let decision = place(fleet, request);
    let name = |id: HostId| fleet.hosts()[fleet.position(id).unwrap()].name.clone();
    let mut text = String::new();
    for (verdict, host) in decision.verdicts.iter().zip(fleet.hosts()) {
        text.push_str(&match verdict {
            Verdict::Scored(score) => format!("{}: {:.3}\n", host.name, score.total),
            Verdict::Refused(refusal) => {
                format!(
                    "{}: {}: {}\n",
                    host.name,
                    refusal.filter().as_str(),
                    refusal.text(host, request, name)
                )
            }
        });
    }
    text.push_str(
        &decision.choice.map_or("nowhere".to_owned(), |choice| format!("to {}", name(choice.host))),
    );
    expected.assert_eq(&text);
}

#[test]
fn each_filter_says_why() {
    let mut hosts: Vec<Host> = (1..=11).map(|id| host(id, 16)).collect();
    hosts[0].status = HostStatus::Silent;
    hosts[1].duties = vec![Duty::Storage];
    hosts[2].draining = Draining::Yes;
    hosts[4].networks = Reach::Only(BTreeSet::from([NetworkId(2)]));
    hosts[5].memory = Bytes::gib(1);
    hosts[6].pools[0].taken = Bytes::gib(95);
    hosts[7].cpus = 0;
    hosts[8].site = Some(SiteId(2));
    hosts[10].pools.clear();
    let kvm = Capability("kvm".into());
    for (index, one) in hosts.iter_mut().enumerate() {
        if index != 3 {
            Arc::make_mut(&mut one.capabilities).insert(kvm.clone());
        }
    }
    let rules = Rules { vcpus_per_cpu: Some(2.0), ..Rules::default() };
    let fleet = Fleet::new(hosts, vec![], rules);
    let wants = Request {
        capabilities: BTreeSet::from([kvm]),
        networks: BTreeSet::from([NetworkId(1)]),
        site: Some(SiteId(1)),
        ..small()
    };
    check(
        &fleet,
        &wants,
        expect![[r#"
        h1: enabled: is silent
        h2: duty: has not the duty hypervisor
        h3: draining: is draining
        h4: capability: lacks kvm
        h5: network: does not reach network 1
        h6: memory: 512M of memory free, 1G needed
        h7: disk: 5G of disk not yet promised in pool default, 10G needed
        h8: vcpus: 0 vCPUs free, 1 needed
        h9: wanted: another is wanted
        h10: 0.942
        h11: disk: has no ready pool
        to h10"#]],
    );
}

#[test]
fn a_cancelled_guest_holds_its_disk_and_no_memory() {
    let mut cancelled = guest(1, 1, 15);
    cancelled.holds = Holds::DiskOnly;
    cancelled.needs.disk = Bytes::gib(95);
    let fleet = Fleet::new(vec![host(1, 16)], vec![cancelled], Rules::default());
    check(
        &fleet,
        &small(),
        expect![[r#"
        h1: disk: 5G of disk not yet promised in pool default, 10G needed
        nowhere"#]],
    );
    let without_disk = Request { disk: Bytes(0), ..small() };
    assert_eq!(place(&fleet, &without_disk).choice.unwrap().host, HostId(1));
}

#[test]
fn two_of_a_role_share_a_host_only_when_no_other_takes_one() {
    let mut second_rack = host(3, 16);
    second_rack.rack = Some(RackId(1));
    let hosts = vec![host(1, 64), host(2, 4), second_rack];
    let wants = Request { apart: Some(role()), ..small() };
    let one = vec![database(guest(1, 1, 1))];
    check(
        &Fleet::new(hosts.clone(), one, Rules::default()),
        &wants,
        expect![[r#"
        h1: anti_affinity: has one of the same cluster and role
        h2: 0.741
        h3: failure_domain: its rack has one of the same cluster and role
        to h2"#]],
    );
    let each = vec![database(guest(1, 1, 1)), database(guest(2, 2, 1)), database(guest(3, 3, 1))];
    check(
        &Fleet::new(hosts, each, Rules::default()),
        &wants,
        expect![[r#"
        h1: 0.725
        h2: 0.846
        h3: 0.722
        to h3"#]],
    );
}

#[test]
fn n_plus_one_is_kept() {
    // Each of the two can just take the other's guests.
    let hosts = vec![host(1, 9), host(2, 9)];
    let guests = vec![guest(1, 1, 4), guest(2, 2, 4)];
    let keep = Rules { n_plus_one: NPlusOne::Keep, ..Rules::default() };
    let fleet = Fleet::new(hosts, guests, keep);
    assert_eq!(stranded(&fleet), []);
    check(
        &fleet,
        &small(),
        expect![[r#"
        h1: n_plus_one: if h1 were lost, its guests would not all fit elsewhere
        h2: n_plus_one: if h1 were lost, its guests would not all fit elsewhere
        nowhere"#]],
    );
    let counted = capacity(&fleet, &small());
    assert_eq!((counted.fit, counted.fit_with_n_plus_one), (8, 0));
}

#[test]
fn a_cluster_is_placed_as_one_or_not_at_all() {
    let fleet = Fleet::new(vec![host(1, 8), host(2, 8), host(3, 8)], vec![], Rules::default());
    let database = Request { apart: Some(role()), ..Request::of_size(Bytes::gib(4), 1, Bytes::gib(10)) };
    let placed = place_all(&fleet, &[database.clone(), database.clone(), database.clone()]).unwrap();
    let mut hosts: Vec<i64> = placed.iter().map(|decision| decision.choice.unwrap().host.0).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, [1, 2, 3]);
    let impossible =
        place_all(&fleet, &[database.clone(), database.clone(), database.clone(), database.clone()])
            .unwrap_err();
    assert!(impossible.decision.refusals(&fleet, &database).contains("h1: 3.5G of memory free, 4G needed"));
}

#[test]
fn a_drain_names_who_does_not_fit() {
    let fleet = Fleet::new(
        vec![host(1, 16), host(2, 6)],
        vec![guest(1, 1, 4), guest(2, 1, 3), guest(3, 1, 1)],
        Rules::default(),
    );
    let plan = drain(&fleet, HostId(1)).unwrap();
    let rehoused: Vec<i64> = plan.rehoused.iter().map(|(guest, _)| guest.0).collect();
    assert_eq!(rehoused, [1, 3]);
    assert_eq!(
        plan.homeless,
        [(
            GuestId(2),
            "no host has room for it (h1: is draining; h2: 1.5G of memory free, 3G needed)".to_owned()
        )]
    );
    let loss = if_lost(&fleet, HostId(1)).unwrap();
    let fit = capacity(&loss.after, &small()).fit;
    assert_eq!((loss.rehoused.len(), loss.homeless.len(), fit), (2, 1, 0));
    // It is thought lost: that it is silent is not said, for it speaks.
    assert_eq!(
        loss.homeless[0].1,
        "no host has room for it (h1: is thought lost; h2: 1.5G of memory free, 3G needed)"
    );
    assert!(drain(&fleet, HostId(9)).is_none());
}

/// A host with so many CPUs, of which 1 does what no guest is known for.
fn seen(id: i64, cpus: u32) -> Host {
    let load = HostLoad { seen: 1.0 / f64::from(cpus), of_one: 1.0 / f64::from(cpus) };
    Host { cpus, load, ..host(id, u64::from(cpus) * 4) }
}

#[test]
fn guests_that_do_much_are_spread_like_any_other_burden() {
    let busy = |id, host, load| {
        let needs = Request { load, ..guest(id, host, 4).needs };
        Guest { load, needs, ..guest(id, host, 4) }
    };
    let guests = || vec![busy(1, 1, 3.0), busy(2, 1, 3.0), busy(3, 2, 0.0), busy(4, 2, 0.0)];
    let moves = |hosts: Vec<Host>, guests: Vec<Guest>| {
        let plan = balance(&Fleet::new(hosts, guests, Rules::default()), &Limits::NONE);
        assert!(plan.score_after <= plan.score_before);
        plan.moves.iter().map(|one| (one.guest.0, one.from.0, one.to.0)).collect::<Vec<_>>()
    };
    // Nothing but what they do tells them apart: one that does much goes, and one that does nothing comes.
    let made = moves(vec![seen(1, 8), seen(2, 8)], guests());
    assert_eq!(made.len(), 2, "{made:?}");
    assert!(made.contains(&(1, 1, 2)) || made.contains(&(2, 1, 2)), "{made:?}");
    // Where nobody knows what they do, they stay.
    let idle = guests().into_iter().map(|guest| Guest { load: 0.0, ..guest }).collect();
    assert_eq!(moves(vec![seen(1, 8), seen(2, 8)], idle), []);
    // 6 of 16 and 6 of 16: a host with twice as many CPUs is as busy with twice as much.
    let wide = vec![busy(1, 1, 3.0), busy(2, 2, 3.0), busy(3, 2, 3.0)];
    assert_eq!(moves(vec![seen(1, 8), seen(2, 16)], wide), []);
    // A drain takes along what its guests do: both would go where nobody is, if that did not count.
    let drained = |guests: Vec<Guest>| {
        let fleet = Fleet::new(vec![seen(1, 8), seen(2, 8), seen(3, 8)], guests, Rules::default());
        let plan = drain(&fleet, HostId(1)).unwrap();
        let mut to: Vec<i64> = plan.rehoused.iter().map(|(_, to)| to.host.0).collect();
        to.sort_unstable();
        to
    };
    let idle = guests().into_iter().map(|guest| Guest { load: 0.0, ..guest }).collect();
    assert_eq!((drained(guests()), drained(idle)), (vec![2, 3], vec![3, 3]));
}

#[test]
fn of_however_many_kinds_hosts_are_each_is_asked_what_it_has() {
    let has = |kind: i64| -> BTreeSet<Capability> {
        (0..4).filter(|bit| kind & (1 << bit) != 0).map(|bit| Capability(format!("c{bit}"))).collect()
    };
    // Of sixteen kinds, each again after the others.
    let hosts = (1..=48).map(|id| Host { capabilities: Arc::new(has(id % 16)), ..host(id, 16) });
    let fleet = Fleet::new(hosts.collect(), Vec::new(), Rules::default());
    let request = Request { capabilities: has(0b101), ..small() };
    let decision = place(&fleet, &request);
    for (verdict, host) in decision.verdicts.iter().zip(fleet.hosts()) {
        let lacks = request.capabilities.iter().position(|needed| !host.capabilities.contains(needed));
        match verdict {
            Verdict::Scored(_) => assert_eq!(lacks, None, "{}", host.name),
            Verdict::Refused(refusal) => {
                assert_eq!(Some(*refusal), lacks.map(Refusal::Lacks), "{}", host.name);
            }
        }
    }
}

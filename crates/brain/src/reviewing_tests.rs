//! What comes of what was reported, as people are told it.
#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them so")]
#![allow(clippy::needless_pass_by_value, reason = "expectations are made to be given away")]

use super::*;
use expect_test::{Expect, expect};
use honcho_model::{
    AccountId, Digest, HostId, Incarnation, InterfaceId, Mac, Name, NetworkId, PoolId, VolumeId,
};
use honcho_wire::{
    AddressWanted, ImageWanted, InterfaceWanted, Leaving, PROTOCOL, StopMode, VolumeAbsent, VolumeWanted,
};
use std::fmt::Write as _;
use std::net::IpAddr;
use uuid::Uuid;

fn uuid(kind: u128, id: i64) -> Uuid {
    Uuid::from_u128(kind << 64 | u128::from(id.unsigned_abs()))
}

fn wanted(id: i64) -> GuestWanted {
    GuestWanted {
        id: GuestId(id),
        uuid: uuid(1, id),
        name: Name::new(&format!("web{id}")).unwrap(),
        account: AccountId(2),
        epoch: Epoch(1),
        generation: Generation(3),
        power: Power::Running,
        start_alone: false,
        boots_wanted: 1,
        boots_waived: 0,
        boot_mode: StopMode::Soft,
        stop_mode: StopMode::Soft,
        memory: Bytes::mib(512),
        vcpus: 1,
        root: VolumeWanted {
            id: VolumeId(id + 100),
            uuid: uuid(2, id),
            pool: PoolId(1),
            size: Bytes::gib(3),
            existence: Existence::Existing,
            given_up: false,
            image: ImageWanted { digest: Digest([7; 32]), compressed: Bytes(1), unpacked: Bytes(1) },
        },
        interfaces: vec![InterfaceWanted {
            id: InterfaceId(id + 200),
            network: NetworkId(1),
            mac: Mac::of_interface(InterfaceId(id + 200)),
            addresses: vec![AddressWanted {
                address: IpAddr::from([10, 0, 0, 2]),
                prefix: 24,
                gateway: Some(IpAddr::from([10, 0, 0, 1])),
            }],
        }],
        ssh_keys: Vec::new(),
        leaving: None,
        capture: None,
    }
}

fn known(id: i64) -> GuestReview {
    GuestReview {
        id,
        uuid: uuid(1, id),
        name: format!("web{id}"),
        account_id: 2,
        epoch: 1,
        generation: 3,
        boots_wanted: 1,
        boots_waived: 0,
        given_up: false,
        power: "running".to_owned(),
        held_down: false,
        vcpus: 1,
        memory: 512 << 20,
        disk: 3 << 30,
        deleting: false,
        existing: true,
        volume_state: Some("present".to_owned()),
        volume_size: Some(3 << 30),
        seen_running: true,
        boots_done: Some(1),
    }
}

fn gone(id: i64) -> GuestReview {
    GuestReview {
        volume_state: Some("missing".to_owned()),
        seen_running: false,
        boots_done: None,
        ..known(id)
    }
}

fn domain(id: i64) -> Orphan {
    Orphan {
        kind: "domain".to_owned(),
        name: format!("honcho-g{id}"),
        uuid: Some(uuid(1, id)),
        id,
        epoch: Some(Epoch(4)),
        boots: Some(9),
        interfaces: vec![InterfaceId(999)],
    }
}

fn review(guests: Vec<GuestReview>, former: Vec<GuestWanted>, absent: Vec<Absent>) -> HostReview {
    HostReview {
        id: HostId(7),
        name: "h7".to_owned(),
        generation: Generation(10),
        joined: true,
        reported: true,
        refused: None,
        former: Some(Manifest {
            protocol: PROTOCOL,
            brain: uuid(9, 9),
            incarnation: Incarnation(1),
            generation: Generation(20),
            host: HostId(7),
            frozen: None,
            unaccepted: None,
            pools: Vec::new(),
            networks: Vec::new(),
            guests: former,
            arrivals: Vec::new(),
            absent,
        }),
        orphans: Vec::new(),
        guests,
    }
}

fn check(review: &HostReview, missing: Missing, obstacles: &[(i64, &str)], expected: Expect) {
    let obstacles = obstacles.iter().map(|(id, why)| (GuestId(*id), (*why).to_owned())).collect();
    let findings = Findings { obstacles, ..Findings::default() };
    let places = Whereabouts::of(std::slice::from_ref(review), |_| true);
    expected.assert_eq(&said(review, &places, &findings, missing));
}

fn said(review: &HostReview, places: &Whereabouts, findings: &Findings, missing: Missing) -> String {
    let mut text = String::new();
    for decision in [of_known(review, places, missing), of_unknown(review, places, findings)].concat() {
        if let Some(it) = decision.difference {
            writeln!(text, "{} {:?} {}: {}", it.kind, it.guest_id, it.name, it.text).unwrap();
        }
        for step in decision.steps {
            match step {
                Step::Raise(id, to) => writeln!(
                    text,
                    "- raise {id} above generation {}, to epoch {} and {} boots",
                    to.generation, to.epoch, to.boots
                ),
                Step::TakeOver(both) => writeln!(text, "- take over {}", both.0.id),
                Step::NoteMade(id) => writeln!(text, "- never make {id} again"),
                Step::Stop(id, why) => writeln!(text, "- stop {id}: {why}"),
                Step::Forget(id) => writeln!(text, "- forget {id}"),
                Step::Adopt(guest, volume) => writeln!(text, "- adopt {} (volume {volume:?})", guest.id),
                Step::MoveHere(both) => writeln!(text, "- {} is here", both.0.id),
            }
            .unwrap();
        }
    }
    text
}

/// Another host, which has these guests by its last manifest.
fn other(former: Vec<GuestWanted>) -> HostReview {
    HostReview { id: HostId(8), name: "h8".to_owned(), ..review(Vec::new(), former, Vec::new()) }
}

#[test]
fn what_was_moved_after_the_backup_is_where_the_latest_wish_has_it() {
    let arrived = || GuestWanted { generation: Generation(6), epoch: Epoch(2), ..wanted(1) };
    let moved = Findings { moved: [(GuestId(1), ("h7".to_owned(), gone(1)))].into(), ..Findings::default() };
    // Its first host knows nothing of it any more; or it has not heard that the guest was handed over.
    let leaving = GuestWanted {
        generation: Generation(5),
        epoch: Epoch(2),
        leaving: Some(Leaving { ticket: Digest([1; 32]), certificates: Vec::new() }),
        ..wanted(1)
    };
    for here in [
        review(vec![gone(1)], Vec::new(), Vec::new()),
        review(vec![known(1)], vec![leaving.clone()], Vec::new()),
    ] {
        let there = other(vec![arrived()]);
        let both = [here.clone(), there.clone()];
        let places = Whereabouts::of(&both, |_| true);
        let none = Findings::default();
        expect![[r#"
            moved Some(1) web1: was moved to h8 after the backup, and is taken over there
        "#]]
        .assert_eq(&said(&here, &places, &none, Missing::Forgotten));
        expect![[r#"
            moved Some(1) web1: is here and was moved here from h7 after the backup: it is taken over here, as it is
            - 1 is here
            - take over 1
            - raise 1 above generation 6, to epoch 2 and 1 boots
        "#]]
        .assert_eq(&said(&there, &places, &moved, Missing::Kept));
        // Accepted without the other one, it is not started here.
        let places = Whereabouts::of(&both, |host| host == here.id);
        let alone = said(&here, &places, &none, Missing::Forgotten);
        assert!(
            alone.contains("once h8 is accepted, and not started here") && alone.contains("- stop 1"),
            "{alone}"
        );
    }
    // The other host has never been heard: whether it was handed over, nobody can say.
    let off = GuestReview { seen_running: false, ..known(1) };
    let here = review(vec![off], vec![leaving.clone()], Vec::new());
    let silent = HostReview { reported: false, former: None, ..other(Vec::new()) };
    let places = Whereabouts::of(&[here.clone(), silent.clone()], |host| host == here.id);
    let alone = said(&here, &places, &Findings::default(), Missing::Kept);
    assert!(alone.contains("it stays stopped") && alone.contains("- stop 1"), "{alone}");
    // Nor is one that came here after the backup and was to go on; while it runs, it is nobody else's.
    let went_on = HostReview { guests: Vec::new(), ..here.clone() };
    for findings in [&moved, &Findings::default()] {
        let alone = said(&went_on, &places, findings, Missing::Kept);
        assert!(alone.contains("it stays stopped") && alone.ends_with("looked at\n"), "{alone}");
        let runs = HostReview { orphans: vec![domain(1)], ..went_on.clone() };
        let alone = said(&runs, &places, findings, Missing::Kept);
        assert!(alone.contains("runs here") && !alone.contains("- stop"), "{alone}");
    }
    // All were heard, and nobody has it: it goes on where it is.
    let places = Whereabouts::of(&[here.clone(), other(Vec::new())], |_| true);
    let heard = said(&here, &places, &Findings::default(), Missing::Kept);
    assert!(!heard.contains("- stop 1") && heard.contains("- take over 1"), "{heard}");
    // What an old manifest of another host says does not count: the backup is later.
    let late = GuestReview { generation: 9, ..known(1) };
    let here = review(vec![late], vec![GuestWanted { generation: Generation(9), ..wanted(1) }], Vec::new());
    let places = Whereabouts::of(&[here.clone(), other(vec![arrived()])], |_| true);
    let said = said(&here, &places, &Findings::default(), Missing::Kept);
    assert!(!said.contains("moved"), "{said}");
}

#[test]
fn what_is_as_it_was_is_not_spoken_of() {
    let review = review(vec![known(1)], vec![wanted(1)], Vec::new());
    check(
        &review,
        Missing::Kept,
        &[],
        expect![[r#"
            - raise 1 above generation 3, to epoch 1 and 1 boots
        "#]],
    );
}

#[test]
fn what_was_wanted_after_the_backup_is_wanted_again_and_no_boot_is_repeated() {
    let later = GuestWanted {
        generation: Generation(6),
        name: Name::new("shop").unwrap(),
        boots_wanted: 3,
        memory: Bytes::gib(1),
        power: Power::Stopped,
        ..wanted(1)
    };
    let rebooted = GuestWanted { generation: Generation(4), boots_wanted: 2, ..wanted(2) };
    let due = known(2);
    let done = GuestReview { boots_done: Some(3), ..known(1) };
    check(
        &review(vec![done, due], vec![later, rebooted], Vec::new()),
        Missing::Kept,
        &[],
        expect![[r#"
        changed Some(1) web1: was changed after the backup, and is taken over so: its name web1 became shop; its power running became stopped; its memory 512M became 1G; 2 boots were asked for, none of which is repeated
        - take over 1
        - raise 1 above generation 6, to epoch 1 and 3 boots
        changed Some(2) web2: was changed after the backup, and is taken over so: 1 boot was asked for, which is still to come
        - take over 2
        - raise 2 above generation 4, to epoch 1 and 2 boots
    "#]],
    );
}

#[test]
fn what_was_given_up_after_the_backup_stays_given_up() {
    // A reboot that was waived is not still to come, and a disk that could not grow is as small as it was.
    let waived = GuestWanted { generation: Generation(6), boots_wanted: 2, boots_waived: 2, ..wanted(1) };
    let root = VolumeWanted { existence: Existence::Make, given_up: true, ..wanted(2).root };
    let unmade = GuestWanted { generation: Generation(4), power: Power::Stopped, root, ..wanted(2) };
    let small = GuestWanted { generation: Generation(5), ..wanted(3) };
    let again = GuestWanted { generation: Generation(5), ..wanted(4) };
    let ordered = GuestReview { existing: false, volume_state: Some("unmade".to_owned()), ..gone(2) };
    let grown = GuestReview { disk: 20 << 30, ..known(3) };
    let was_given_up =
        GuestReview { power: "stopped".to_owned(), given_up: true, existing: false, ..known(4) };
    check(
        &review(vec![known(1), ordered, grown, was_given_up], vec![waived, unmade, small, again], Vec::new()),
        Missing::Kept,
        &[],
        expect![[r#"
            changed Some(1) web1: was changed after the backup, and is taken over so: 1 boot was asked for, which is not repeated
            - take over 1
            - raise 1 above generation 6, to epoch 1 and 2 boots
            changed Some(2) web2: was changed after the backup, and is taken over so: its power running became stopped; somebody gave up on what was asked of it
            - take over 2
            - raise 2 above generation 4, to epoch 1 and 1 boots
            changed Some(3) web3: was changed after the backup, and is taken over so: its disk 20G became 3G
            - take over 3
            - raise 3 above generation 5, to epoch 1 and 1 boots
            changed Some(4) web4: was changed after the backup, and is taken over so: its power stopped became running; it was asked for again
            - take over 4
            - raise 4 above generation 5, to epoch 1 and 1 boots
        "#]],
    );
}

#[test]
fn what_was_deleted_after_the_backup_is_not_made_again() {
    let absent = Absent::Guest {
        id: GuestId(2),
        uuid: uuid(1, 2),
        epoch: Epoch(1),
        generation: Generation(4),
        volumes: vec![VolumeAbsent { id: VolumeId(102), uuid: uuid(2, 2), pool: PoolId(1) }],
        interfaces: Vec::new(),
    };
    // Ordered just before the backup, built and deleted after it.
    let never_seen = GuestReview { existing: false, volume_state: Some("unmade".to_owned()), ..gone(3) };
    let going_before = GuestReview { deleting: true, ..known(4) };
    let review = review(vec![gone(1), known(2), never_seen, going_before], Vec::new(), vec![absent]);
    check(
        &review,
        Missing::Kept,
        &[],
        expect![[r#"
        deleted Some(1) web1: was deleted after the backup, and its disk is gone: it stays with an alarm and is never made again; --forget-missing deletes it here, too
        - never make 1 again
        - raise 1 above generation 0, to epoch 0 and 0 boots
        deleting Some(2) web2: was being deleted when the brain was lost, and its disk is there: it stays, stopped; delete it again, or start it
        - never make 2 again
        - stop 2: its deletion was under way
        - raise 2 above generation 0, to epoch 0 and 1 boots
        deleted Some(3) web3: was deleted after the backup, and its disk is gone: it stays with an alarm and is never made again; --forget-missing deletes it here, too
        - never make 3 again
        - raise 3 above generation 0, to epoch 0 and 0 boots
        - raise 4 above generation 0, to epoch 0 and 1 boots
    "#]],
    );
    check(
        &review,
        Missing::Forgotten,
        &[],
        expect![[r#"
        deleted Some(1) web1: was deleted after the backup, and its disk is gone: it is deleted here, too
        - forget 1
        deleting Some(2) web2: was being deleted when the brain was lost, and its disk is there: it stays, stopped; delete it again, or start it
        - never make 2 again
        - stop 2: its deletion was under way
        - raise 2 above generation 0, to epoch 0 and 1 boots
        deleted Some(3) web3: was deleted after the backup, and its disk is gone: it is deleted here, too
        - forget 3
        - raise 4 above generation 0, to epoch 0 and 1 boots
    "#]],
    );
}

#[test]
fn what_its_agent_was_never_told_of_is_made_as_ordered() {
    let ordered = GuestReview { existing: false, volume_state: Some("unmade".to_owned()), ..gone(1) };
    let mut told_less = review(vec![ordered.clone()], Vec::new(), Vec::new());
    told_less.former.as_mut().unwrap().generation = Generation(9);
    check(
        &told_less,
        Missing::Forgotten,
        &[],
        expect![[r#"
            - raise 1 above generation 0, to epoch 0 and 0 boots
        "#]],
    );
    // Nobody knows, for its agent has lost its journal: a disk that was seen is an alarm all the same.
    let mut lost = review(vec![ordered, gone(2)], Vec::new(), Vec::new());
    lost.former = None;
    check(
        &lost,
        Missing::Kept,
        &[],
        expect![[r#"
        - raise 1 above generation 0, to epoch 0 and 0 boots
        deleted Some(2) web2: was deleted after the backup, and its disk is gone: it stays with an alarm and is never made again; --forget-missing deletes it here, too
        - never make 2 again
        - raise 2 above generation 0, to epoch 0 and 0 boots
    "#]],
    );
}

#[test]
fn what_was_ordered_after_the_backup_is_written_down_or_left_alone() {
    let unmade =
        GuestWanted { root: VolumeWanted { existence: Existence::Make, ..wanted(3).root }, ..wanted(3) };
    let mut review = review(Vec::new(), vec![wanted(1), wanted(2), unmade], Vec::new());
    review.orphans = vec![domain(1), domain(2), domain(8)];
    check(
        &review,
        Missing::Kept,
        &[(2, "its network 1 is not in the backup")],
        expect![[r#"
        ordered Some(1) web1: runs here and was ordered after the backup: it becomes a guest of account 2 again, as it is
        - adopt 1 (volume Once)
        unmanaged Some(2) web2: runs here and cannot be written down again: its network 1 is not in the backup. It stays as it is, and nobody manages it
        ordered Some(3) web3: is not made yet and was ordered after the backup: it becomes a guest of account 2 again, as it is
        - adopt 3 (volume Never)
        stray Some(8) domain honcho-g8: carries our mark, and neither the backup nor the host's last manifest speaks of it: it stays as it is
    "#]],
    );
    assert_eq!(
        ids(&review),
        Ids { accounts: 2, pools: 0, networks: 0, guests: 8, volumes: 103, interfaces: 999 }
    );
}

#[test]
fn a_domain_of_a_later_epoch_raises_the_guests() {
    let mut review = review(vec![known(1)], vec![wanted(1)], Vec::new());
    review.orphans = vec![domain(1)];
    check(
        &review,
        Missing::Kept,
        &[],
        expect![[r#"
            - raise 1 above generation 3, to epoch 4 and 9 boots
        "#]],
    );
}

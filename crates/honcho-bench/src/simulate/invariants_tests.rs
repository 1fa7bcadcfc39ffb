//! Each invariant finds the history that breaks it, and no other does.

use super::super::witness::{SeenEvent, SeenOperation};
use super::*;
use honcho_model::operation::OperationKind;

const HOST: HostId = HostId(1);
const OTHER: HostId = HostId(2);
const GUEST: GuestId = GuestId(7);
const VOLUME: Uuid = Uuid::from_u128(70);

fn entry(ledger: &mut Vec<Entry>, host: HostId, deed: Deed) {
    let at = Duration::from_secs(ledger.len() as u64);
    ledger.push(Entry { at, host, deed });
}

fn started(guest: GuestId, boots: u64) -> Deed {
    let mac = Mac([2, 0, 0, 0, 0, u8::try_from(guest.0).unwrap_or(0)]);
    Deed::Started { guest, epoch: Epoch(1), boots, memory: Bytes::gib(2), macs: vec![mac] }
}

fn made(volume: Uuid, last: u8) -> Deed {
    let addresses = vec![(NetworkId(1), IpAddr::from([10, 0, 0, last]))];
    let name = format!("g{last}");
    Deed::Made { volume, name, size: Bytes::gib(20), addresses }
}

fn ended(guest: GuestId, why: End) -> Deed {
    Deed::Ended { guest, why }
}

fn event(history: &mut History, kind: &str, resource: i64, addresses: &[&str]) {
    let place = format!("1.0.{}", history.events.len() + 1).parse().unwrap_or_default();
    let addresses = addresses.iter().map(|text| (*text).to_owned()).collect();
    history.events.push(SeenEvent { place, kind: kind.to_owned(), resource, addresses });
}

/// Two hosts; a guest that was ordered, made, started, rebooted and resized, beside one that came and went. Its host lost
/// power once, and the brain was down once, while a host booted.
fn sound() -> History {
    let mut history = History::default();
    let gone = GuestId(8);
    for host in [HOST, OTHER] {
        history.machines.insert(host, (Bytes::gib(4), Bytes::gib(50)));
    }
    let ledger = &mut history.ledger;
    entry(ledger, HOST, Deed::PoweredOn);
    entry(ledger, HOST, made(VOLUME, 5));
    entry(ledger, HOST, started(GUEST, 1));
    entry(ledger, HOST, ended(GUEST, End::Asked));
    entry(ledger, HOST, started(GUEST, 2));
    entry(ledger, HOST, ended(GUEST, End::PowerLost));
    entry(ledger, HOST, Deed::PoweredOff);
    entry(ledger, HOST, Deed::PoweredOn);
    entry(ledger, HOST, started(GUEST, 2));
    entry(ledger, OTHER, made(Uuid::from_u128(80), 6));
    entry(ledger, OTHER, started(gone, 1));
    entry(ledger, OTHER, ended(gone, End::Destroyed));
    entry(ledger, OTHER, Deed::Deleted { volume: Uuid::from_u128(80) });
    // Within the outage.
    entry(ledger, OTHER, Deed::PoweredOff);
    entry(ledger, OTHER, Deed::PoweredOn);
    history.outages.push((Duration::from_secs(13), Duration::from_secs(14)));
    let mut operation = |id: i64, guest: GuestId, kind: OperationKind, what: Asked| {
        history.operations.push(SeenOperation { id, guest, kind, state: OperationState::Done });
        history.acknowledged.push(Acknowledged { guest, operation: id, what });
    };
    operation(1, GUEST, OperationKind::Create, Asked::Create(Bytes::gib(1)));
    operation(2, GUEST, OperationKind::Reboot, Asked::Reboot);
    operation(3, GUEST, OperationKind::Resize, Asked::Resize(Bytes::gib(2)));
    operation(4, gone, OperationKind::Create, Asked::Create(Bytes::gib(2)));
    operation(5, gone, OperationKind::Delete, Asked::Cancel);
    event(&mut history, "guest.create", 7, &["10.0.0.5"]);
    event(&mut history, "guest.create_done", 7, &[]);
    event(&mut history, "guest.reboot_done", 7, &[]);
    event(&mut history, "guest.resize_done", 7, &[]);
    event(&mut history, "guest.create", 8, &["10.0.0.6"]);
    event(&mut history, "guest.create_done", 8, &[]);
    event(&mut history, "guest.delete_done", 8, &[]);
    event(&mut history, "guest.deleted", 8, &[]);
    let mut guest = |id, name: &str, boots, standing| {
        let (name, host, memory) = (name.to_owned(), Some(HOST), Bytes::gib(2));
        history.guests.push(SeenGuest { id, name, host, memory, boots, standing });
    };
    guest(GUEST, "g5", 2, Standing::Runs);
    guest(gone, "g6", 1, Standing::Gone);
    history
}

/// Breaks a sound history and expects just these invariants to say so.
fn broken(expected: &[&str], break_it: impl FnOnce(&mut History)) {
    let mut history = sound();
    break_it(&mut history);
    let found: Vec<&str> = check(&history)
        .into_iter()
        .filter(|finding| finding.broken > 0)
        .map(|finding| finding.invariant)
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_sound_history_breaks_nothing_and_every_invariant_looks_at_something() {
    for finding in check(&sound()) {
        assert_eq!((finding.broken, &finding.examples), (0, &Vec::new()), "{}", finding.invariant);
        assert!(finding.checked > 0, "{} looked at nothing", finding.invariant);
    }
}

const TWICE: &str = "a guest never runs twice";
const EPOCHS: &str = "a guest's epoch never falls, and it changes hosts only with a higher one";
const BOOTS: &str = "each boot is fulfilled once, unless the machine lost power";
const LOST: &str = "nothing acknowledged is lost";
const END: &str = "at the end what is wanted runs where it is placed, and nothing else does";
const OPERATIONS: &str = "every operation ends, and its guest has one event for each that is done";

#[test]
fn a_guest_that_runs_twice_is_found() {
    // On another host, with a higher epoch that nobody waited for.
    broken(&[TWICE, END], |history| {
        let Deed::Started { macs, .. } = started(GUEST, 3) else { return };
        let deed = Deed::Started { guest: GUEST, epoch: Epoch(2), boots: 3, memory: Bytes::gib(2), macs };
        entry(&mut history.ledger, OTHER, deed);
    });
    // For a boot that was fulfilled, at the same epoch.
    broken(&[TWICE, EPOCHS, BOOTS, END], |history| entry(&mut history.ledger, OTHER, started(GUEST, 2)));
}

#[test]
fn a_boot_that_is_fulfilled_twice_is_found() {
    broken(&[BOOTS], |history| {
        entry(&mut history.ledger, HOST, ended(GUEST, End::Asked));
        entry(&mut history.ledger, HOST, started(GUEST, 2));
    });
}

#[test]
fn an_address_that_belongs_to_two_is_found() {
    broken(&["a hardware address is on one running guest at a time", END], |history| {
        let Deed::Started { macs, .. } = started(GUEST, 1) else { return };
        let stranger = GuestId(9);
        let deed = Deed::Started { guest: stranger, epoch: Epoch(1), boots: 0, memory: Bytes::gib(1), macs };
        entry(&mut history.ledger, OTHER, deed);
    });
    broken(&["an address is on one volume at a time, from its making to its deletion"], |history| {
        entry(&mut history.ledger, OTHER, made(Uuid::from_u128(90), 5));
    });
    broken(&["the brain gives an address out again only when its guest is gone"], |history| {
        event(history, "guest.create", 9, &["10.0.0.5"]);
    });
}

#[test]
fn what_is_overfilled_is_found() {
    broken(&["the guests that run on a host fit its memory", END], |history| {
        let deed = Deed::Started {
            guest: GuestId(9),
            epoch: Epoch(1),
            boots: 0,
            memory: Bytes::gib(3),
            macs: Vec::new(),
        };
        entry(&mut history.ledger, HOST, deed);
    });
    broken(&["the volumes on a host fit its pool"], |history| {
        entry(&mut history.ledger, HOST, Deed::Grown { volume: VOLUME, size: Bytes::gib(51) });
    });
}

#[test]
fn a_volume_that_is_made_again_or_deleted_unasked_is_found() {
    broken(&["a volume is made once, and never again after its deletion"], |history| {
        entry(&mut history.ledger, OTHER, made(Uuid::from_u128(80), 6));
    });
    broken(&["only what was cancelled is deleted"], |history| {
        entry(&mut history.ledger, HOST, Deed::Deleted { volume: VOLUME });
    });
}

#[test]
fn what_was_acknowledged_and_is_lost_is_found() {
    broken(&[LOST], |history| {
        history.acknowledged.push(Acknowledged {
            guest: GuestId(9),
            operation: 1,
            what: Asked::Create(Bytes(1)),
        });
    });
    broken(&[LOST], |history| {
        history.acknowledged.push(Acknowledged {
            guest: GUEST,
            operation: 3,
            what: Asked::Resize(Bytes::gib(3)),
        });
    });
    broken(&[LOST], |history| {
        let reboot = Acknowledged { guest: GUEST, operation: 2, what: Asked::Reboot };
        history.acknowledged.push(reboot);
    });
    broken(&[LOST], |history| {
        history.acknowledged.push(Acknowledged { guest: GUEST, operation: 3, what: Asked::Cancel });
    });
}

#[test]
fn an_operation_that_stays_open_or_ends_twice_is_found() {
    broken(&[OPERATIONS], |history| {
        let open =
            SeenOperation { id: 9, guest: GUEST, kind: OperationKind::Stop, state: OperationState::Open };
        history.operations.push(open);
    });
    broken(&[OPERATIONS], |history| event(history, "guest.reboot_done", 7, &[]));
    broken(&["the event log is read in order, each event once"], |history| {
        let last = history.events.last().cloned();
        history.events.extend(last.map(|event| SeenEvent { kind: "guest.running".into(), ..event }));
    });
}

#[test]
fn what_happens_without_a_brain_is_found() {
    let longer = |history: &mut History| history.outages[0].1 = Duration::from_secs(100);
    broken(&["the brain being down stops no guest", END], |history| {
        longer(history);
        entry(&mut history.ledger, HOST, ended(GUEST, End::Asked));
    });
    broken(&["a host that boots while the brain is down starts nothing before it answers", END], |history| {
        longer(history);
        entry(&mut history.ledger, OTHER, started(GuestId(9), 0));
    });
}

#[test]
fn a_guest_that_is_not_what_it_should_be_at_the_end_is_found() {
    broken(&[END], |history| history.guests[0].standing = Standing::ShouldRun);
    broken(&[END], |history| history.guests[0].host = Some(OTHER));
    broken(&[END], |history| {
        entry(&mut history.ledger, HOST, ended(GUEST, End::Destroyed));
    });
}

//! What must always hold (DESIGN's list, as ARCHITECTURE.md has it), checked over a whole simulated history.
//!
//! Three witnesses are heard: the machines' own ledger (what ran when, what was made and deleted), the brain's event log
//! and operations, and whoever gave the orders (what was acknowledged). Pure: a history goes in, findings come out, each
//! with how many things were looked at, so that "nothing is broken" cannot mean "nothing was looked at".

use super::ledger::{Deed, End, Entry};
use super::witness::{Acknowledged, Asked, History, SeenGuest, Standing};
use honcho_model::operation::OperationState;
use honcho_model::{Bytes, Epoch, GuestId, HostId, Mac, NetworkId};
use honcho_store::Cursor;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;
use uuid::Uuid;

/// So many breaches of one invariant are told in words.
const TOLD: usize = 5;

/// What was found of one invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What must hold.
    pub(crate) invariant: &'static str,
    /// How many things were looked at.
    pub(crate) checked: usize,
    /// How many of them broke it.
    pub(crate) broken: usize,
    /// The first few of those, in words.
    pub(crate) examples: Vec<String>,
}

impl Finding {
    fn of(invariant: &'static str) -> Self {
        Finding { invariant, checked: 0, broken: 0, examples: Vec::new() }
    }

    fn check(&mut self, holds: Holds, words: impl FnOnce() -> String) {
        self.checked += 1;
        if holds == Holds::No {
            self.broken += 1;
            if self.examples.len() < TOLD {
                self.examples.push(words());
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
}

fn holds(condition: bool) -> Holds {
    if condition { Holds::Yes } else { Holds::No }
}

/// Checks everything.
pub(crate) fn check(history: &History) -> Vec<Finding> {
    vec![
        no_guest_twice(history),
        epochs_never_fall(history),
        each_boot_once(history),
        no_mac_twice(history),
        no_address_twice(history),
        no_address_given_twice(history),
        memory_never_overfilled(history),
        disks_never_overfilled(history),
        volumes_made_once(history),
        only_what_was_cancelled_is_deleted(history),
        nothing_acknowledged_is_lost(history),
        operations_end_once(history),
        events_are_in_order(history),
        no_brain_stops_no_guest(history),
        nothing_starts_unasked_after_a_boot(history),
        what_is_wanted_runs(history),
    ]
}

fn seconds(at: Duration) -> String {
    format!("{:.3} s", at.as_secs_f64())
}

fn no_guest_twice(history: &History) -> Finding {
    let mut finding = Finding::of("a guest never runs twice");
    let mut running: HashMap<GuestId, HostId> = HashMap::new();
    for entry in &history.ledger {
        match &entry.deed {
            Deed::Started { guest, .. } => {
                let other = running.insert(*guest, entry.host);
                finding.check(holds(other.is_none()), || {
                    let other = other.unwrap_or_default();
                    format!(
                        "guest {guest} started on host {} at {} and ran on host {other}",
                        entry.host,
                        seconds(entry.at)
                    )
                });
            }
            // One that ends elsewhere is not the one that runs last.
            Deed::Ended { guest, .. } if running.get(guest) == Some(&entry.host) => {
                running.remove(guest);
            }
            _ => {}
        }
    }
    finding
}

fn epochs_never_fall(history: &History) -> Finding {
    let mut finding = Finding::of("a guest's epoch never falls, and it changes hosts only with a higher one");
    let mut last: HashMap<GuestId, (Epoch, HostId)> = HashMap::new();
    for entry in &history.ledger {
        let Deed::Started { guest, epoch, .. } = &entry.deed else { continue };
        let before = last.insert(*guest, (*epoch, entry.host));
        let fine = before.is_none_or(|(was, host)| *epoch > was || (*epoch == was && host == entry.host));
        finding.check(holds(fine), || {
            format!("guest {guest} started on host {} at epoch {epoch}, after {before:?}", entry.host)
        });
    }
    finding
}

fn each_boot_once(history: &History) -> Finding {
    let mut finding = Finding::of("each boot is fulfilled once, unless the machine lost power");
    let mut last: HashMap<GuestId, (u64, Option<End>)> = HashMap::new();
    for entry in &history.ledger {
        match &entry.deed {
            Deed::Started { guest, boots, .. } => {
                let before = last.insert(*guest, (*boots, None));
                let fine = match before {
                    None => true,
                    Some((was, why)) => *boots > was || (*boots == was && why == Some(End::PowerLost)),
                };
                finding.check(holds(fine), || {
                    format!("guest {guest} started for boot {boots} after {before:?}")
                });
            }
            Deed::Ended { guest, why } => {
                if let Some((_, ended)) = last.get_mut(guest) {
                    *ended = Some(*why);
                }
            }
            _ => {}
        }
    }
    finding
}

fn no_mac_twice(history: &History) -> Finding {
    let mut finding = Finding::of("a hardware address is on one running guest at a time");
    let mut held: HashMap<Mac, GuestId> = HashMap::new();
    let mut of_guest: HashMap<GuestId, Vec<Mac>> = HashMap::new();
    for entry in &history.ledger {
        match &entry.deed {
            Deed::Started { guest, macs, .. } => {
                for mac in macs {
                    let other = held.insert(*mac, *guest);
                    finding.check(holds(other.is_none_or(|other| other == *guest)), || {
                        format!("{mac} on guests {guest} and {}", other.unwrap_or_default())
                    });
                }
                of_guest.insert(*guest, macs.clone());
            }
            Deed::Ended { guest, .. } => {
                for mac in of_guest.remove(guest).unwrap_or_default() {
                    if held.get(&mac) == Some(guest) {
                        held.remove(&mac);
                    }
                }
            }
            _ => {}
        }
    }
    finding
}

fn no_address_twice(history: &History) -> Finding {
    let mut finding = Finding::of("an address is on one volume at a time, from its making to its deletion");
    let mut held: HashMap<(NetworkId, IpAddr), Uuid> = HashMap::new();
    let mut of_volume: HashMap<Uuid, Vec<(NetworkId, IpAddr)>> = HashMap::new();
    for entry in &history.ledger {
        match &entry.deed {
            Deed::Made { volume, addresses, .. } => {
                for address in addresses {
                    let other = held.insert(*address, *volume);
                    finding.check(holds(other.is_none_or(|other| other == *volume)), || {
                        format!("{} of network {} on volumes {volume} and {other:?}", address.1, address.0)
                    });
                }
                of_volume.insert(*volume, addresses.clone());
            }
            Deed::Deleted { volume } => {
                for address in of_volume.remove(volume).unwrap_or_default() {
                    if held.get(&address) == Some(volume) {
                        held.remove(&address);
                    }
                }
            }
            _ => {}
        }
    }
    finding
}

/// By the event log alone: from the order that gave it to the event that says its guest is gone.
fn no_address_given_twice(history: &History) -> Finding {
    let mut finding = Finding::of("the brain gives an address out again only when its guest is gone");
    let mut held: HashMap<&str, i64> = HashMap::new();
    for event in &history.events {
        match event.kind.as_str() {
            "guest.create" => {
                for address in &event.addresses {
                    let other = held.insert(address, event.resource);
                    finding.check(holds(other.is_none()), || {
                        format!(
                            "{address} given to guest {} while guest {} had it",
                            event.resource,
                            other.unwrap_or(0)
                        )
                    });
                }
            }
            "guest.deleted" => held.retain(|_, guest| *guest != event.resource),
            _ => {}
        }
    }
    finding
}

fn memory_never_overfilled(history: &History) -> Finding {
    let mut finding = Finding::of("the guests that run on a host fit its memory");
    let mut used: HashMap<HostId, BTreeMap<GuestId, u64>> = HashMap::new();
    for entry in &history.ledger {
        match &entry.deed {
            Deed::Started { guest, memory, .. } => {
                let here = used.entry(entry.host).or_default();
                here.insert(*guest, memory.0);
                let sum: u64 = here.values().sum();
                let has = history.machines.get(&entry.host).map_or(0, |machine| machine.0.0);
                finding.check(holds(sum <= has), || {
                    format!(
                        "host {} ran {} of guests at {} and has {}",
                        entry.host,
                        Bytes(sum),
                        seconds(entry.at),
                        Bytes(has)
                    )
                });
            }
            Deed::Ended { guest, .. } => {
                if let Some(here) = used.get_mut(&entry.host) {
                    here.remove(guest);
                }
            }
            _ => {}
        }
    }
    finding
}

fn disks_never_overfilled(history: &History) -> Finding {
    let mut finding = Finding::of("the volumes on a host fit its pool");
    let mut used: HashMap<HostId, (u64, HashMap<Uuid, u64>)> = HashMap::new();
    for entry in &history.ledger {
        let (sum, volumes) = used.entry(entry.host).or_default();
        match &entry.deed {
            Deed::Made { volume, size, .. } | Deed::Grown { volume, size } => {
                *sum -= volumes.insert(*volume, size.0).unwrap_or(0);
                *sum += size.0;
                let (sum, has) = (*sum, history.machines.get(&entry.host).map_or(0, |machine| machine.1.0));
                finding.check(holds(sum <= has), || {
                    format!("host {} held {} of volumes and has {}", entry.host, Bytes(sum), Bytes(has))
                });
            }
            Deed::Deleted { volume } => *sum -= volumes.remove(volume).unwrap_or(0),
            _ => {}
        }
    }
    finding
}

fn volumes_made_once(history: &History) -> Finding {
    let mut finding = Finding::of("a volume is made once, and never again after its deletion");
    let mut made: HashMap<Uuid, HostId> = HashMap::new();
    for entry in &history.ledger {
        let Deed::Made { volume, .. } = &entry.deed else { continue };
        let before = made.insert(*volume, entry.host);
        finding.check(holds(before.is_none()), || {
            format!("volume {volume} was made on host {} and before on host {before:?}", entry.host)
        });
    }
    finding
}

/// Absence is never an instruction: there is an order behind every deletion.
fn only_what_was_cancelled_is_deleted(history: &History) -> Finding {
    let mut finding = Finding::of("only what was cancelled is deleted");
    let cancelled: HashSet<GuestId> = history
        .acknowledged
        .iter()
        .filter(|acknowledged| acknowledged.what == Asked::Cancel)
        .map(|acknowledged| acknowledged.guest)
        .collect();
    let ids: HashMap<&str, GuestId> =
        history.guests.iter().map(|guest| (guest.name.as_str(), guest.id)).collect();
    let mut names: HashMap<Uuid, &str> = HashMap::new();
    for entry in &history.ledger {
        match &entry.deed {
            Deed::Made { volume, name, .. } => {
                names.insert(*volume, name);
            }
            Deed::Deleted { volume } => {
                let name = names.get(volume).copied().unwrap_or("nobody");
                let asked = ids.get(name).is_some_and(|guest| cancelled.contains(guest));
                finding.check(holds(asked), || {
                    format!("host {} deleted the volume of {name} at {}", entry.host, seconds(entry.at))
                });
            }
            _ => {}
        }
    }
    for guest in &history.guests {
        if guest.standing == Standing::Gone {
            finding.check(holds(cancelled.contains(&guest.id)), || {
                format!("guest {} is deleted and nobody cancelled it", guest.id)
            });
        }
    }
    finding
}

fn nothing_acknowledged_is_lost(history: &History) -> Finding {
    let mut finding = Finding::of("nothing acknowledged is lost");
    let guests: HashMap<GuestId, &SeenGuest> = history.guests.iter().map(|guest| (guest.id, guest)).collect();
    let operations: HashSet<i64> = history.operations.iter().map(|operation| operation.id).collect();
    let created: HashSet<i64> = history
        .events
        .iter()
        .filter(|event| event.kind == "guest.create")
        .map(|event| event.resource)
        .collect();
    let mut last_size: HashMap<GuestId, Bytes> = HashMap::new();
    let mut reboots: HashMap<GuestId, u64> = HashMap::new();
    let mut cancelled: HashSet<GuestId> = HashSet::new();
    for acknowledged in &history.acknowledged {
        let Acknowledged { guest, operation, what } = acknowledged;
        finding.check(holds(guests.contains_key(guest) && operations.contains(operation)), || {
            format!(
                "{what:?} of guest {guest} (operation {operation}) was acknowledged, and nobody knows of it"
            )
        });
        match what {
            Asked::Create(memory) => {
                finding.check(holds(created.contains(&guest.0)), || {
                    format!("guest {guest} has no event of its order")
                });
                last_size.insert(*guest, *memory);
            }
            Asked::Resize(memory) => {
                last_size.insert(*guest, *memory);
            }
            Asked::Reboot => *reboots.entry(*guest).or_default() += 1,
            Asked::Cancel => {
                cancelled.insert(*guest);
            }
        }
    }
    for (id, memory) in &last_size {
        let Some(guest) = guests.get(id) else { continue };
        finding.check(holds(guest.memory == *memory), || {
            format!("guest {id} has {} of memory, and {memory} was acknowledged last", guest.memory)
        });
        let asked = reboots.get(id).copied().unwrap_or(0);
        // Its first boot was asked for by its order.
        finding.check(holds(guest.boots > asked), || {
            format!("guest {id} counts {} boots, and {asked} reboots were acknowledged", guest.boots)
        });
        if cancelled.contains(id) {
            let ended = matches!(guest.standing, Standing::Off | Standing::Gone);
            finding.check(holds(ended), || format!("guest {id} was cancelled, and is {:?}", guest.standing));
        }
    }
    finding
}

fn operations_end_once(history: &History) -> Finding {
    let mut finding = Finding::of("every operation ends, and its guest has one event for each that is done");
    let mut done: HashMap<(i64, &str), usize> = HashMap::new();
    for event in &history.events {
        if let Some(kind) = event.kind.strip_prefix("guest.").and_then(|kind| kind.strip_suffix("_done")) {
            *done.entry((event.resource, kind)).or_default() += 1;
        }
    }
    let mut wanted: HashMap<(i64, &str), usize> = HashMap::new();
    for operation in &history.operations {
        finding.check(holds(operation.state != OperationState::Open), || {
            format!(
                "operation {} ({}) of guest {} is open",
                operation.id,
                operation.kind.as_str(),
                operation.guest
            )
        });
        if operation.state == OperationState::Done {
            *wanted.entry((operation.guest.0, operation.kind.as_str())).or_default() += 1;
        }
    }
    let all: BTreeSet<(i64, &str)> = wanted.keys().chain(done.keys()).copied().collect();
    for key in all {
        let (ended, told) = (wanted.get(&key).copied().unwrap_or(0), done.get(&key).copied().unwrap_or(0));
        finding.check(holds(ended == told), || {
            format!("guest {}: {ended} {} operations are done, and {told} events say so", key.0, key.1)
        });
    }
    finding
}

fn events_are_in_order(history: &History) -> Finding {
    let mut finding = Finding::of("the event log is read in order, each event once");
    let mut last: Option<Cursor> = None;
    for event in &history.events {
        let before = last.replace(event.place);
        let follows = before.is_none_or(|before| before.is_before(&event.place));
        finding.check(holds(follows), || format!("event {} comes after {before:?}", event.place));
    }
    finding
}

/// While there is no brain, only a machine that loses power ends a guest, and what had been asked for before.
fn no_brain_stops_no_guest(history: &History) -> Finding {
    let mut finding = Finding::of("the brain being down stops no guest");
    for (from, until) in &history.outages {
        let mut running: HashSet<GuestId> = HashSet::new();
        for entry in &history.ledger {
            match &entry.deed {
                Deed::Started { guest, .. } if entry.at < *from => {
                    running.insert(*guest);
                }
                Deed::Ended { guest, .. } if entry.at < *from => {
                    running.remove(guest);
                }
                Deed::Ended { guest, why } if entry.at <= *until && *why != End::PowerLost => {
                    finding.check(Holds::No, || {
                        format!("guest {guest} ended ({why:?}) at {}", seconds(entry.at))
                    });
                }
                _ => {}
            }
        }
        finding.checked += running.len();
    }
    finding
}

/// A machine that boots while there is no brain starts nothing: none of its guests is marked `start_alone`.
fn nothing_starts_unasked_after_a_boot(history: &History) -> Finding {
    let mut finding =
        Finding::of("a host that boots while the brain is down starts nothing before it answers");
    for (from, until) in &history.outages {
        let inside = |entry: &&Entry| entry.at >= *from && entry.at <= *until;
        let mut booted: BTreeMap<HostId, usize> = BTreeMap::new();
        for entry in history.ledger.iter().filter(inside) {
            match &entry.deed {
                Deed::PoweredOn => {
                    booted.insert(entry.host, 0);
                }
                Deed::Started { .. } => {
                    if let Some(starts) = booted.get_mut(&entry.host) {
                        *starts += 1;
                    }
                }
                _ => {}
            }
        }
        for (host, starts) in booted {
            finding.check(holds(starts == 0), || format!("host {host} started {starts} guests by itself"));
        }
    }
    finding
}

fn what_is_wanted_runs(history: &History) -> Finding {
    let mut finding = Finding::of("at the end what is wanted runs where it is placed, and nothing else does");
    let mut running: HashMap<GuestId, HostId> = HashMap::new();
    for entry in &history.ledger {
        match &entry.deed {
            Deed::Started { guest, .. } => {
                running.insert(*guest, entry.host);
            }
            Deed::Ended { guest, .. } if running.get(guest) == Some(&entry.host) => {
                running.remove(guest);
            }
            _ => {}
        }
    }
    for guest in &history.guests {
        let runs_on = running.remove(&guest.id);
        let fine = match guest.standing {
            Standing::Runs => runs_on.is_some() && runs_on == guest.host,
            Standing::ShouldRun => false,
            Standing::Off | Standing::Gone => runs_on.is_none(),
        };
        finding.check(holds(fine), || {
            format!(
                "guest {} is {:?} on host {:?} and runs on {runs_on:?}",
                guest.id, guest.standing, guest.host
            )
        });
    }
    for (guest, host) in running {
        finding.check(Holds::No, || format!("guest {guest} runs on host {host}, and nobody knows of it"));
    }
    finding
}

#[cfg(test)]
#[path = "invariants_tests.rs"]
mod tests;

//! Emptying a host: where each of its guests goes, or why it cannot.

use crate::fleet::{Draining, Fleet, Holds};
use crate::place::{Choice, commit, decide};
use honcho_model::{GuestId, HostId};
use std::cmp::Reverse;

/// A plan to empty a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Drain {
    /// Where its guests go, in the order in which they go: each step is legal once those before it are made.
    pub rehoused: Vec<(GuestId, Choice)>,
    /// Those that fit nowhere, each with the reasons.
    pub homeless: Vec<(GuestId, String)>,
}

/// Plans where the guests of a host go; `None` if there is no such host. None goes to a host that is draining. Of the other
/// hosts' guests it is enough to know what they come to.
pub fn drain(fleet: &Fleet, host: HostId) -> Option<Drain> {
    let position = fleet.position(host)?;
    let mut draining = fleet.clone();
    draining.hosts[position].draining = Draining::Yes;
    Some(rehouse(&draining, position))
}

/// Places the guests of a host that takes none any more, the largest first.
pub(crate) fn rehouse(fleet: &Fleet, position: usize) -> Drain {
    let id = fleet.hosts[position].id;
    // The host is open to guests no more, and what is spread is spread without it.
    let mut tallies = fleet.tallies.clone();
    tallies.look_at(&fleet.hosts);
    let mut guests: Vec<_> = fleet.guests.iter().filter(|guest| guest.host == id).collect();
    guests.sort_by_key(|guest| (Reverse((guest.needs.memory, guest.needs.disk)), guest.id));
    let mut plan = Drain { rehoused: Vec::new(), homeless: Vec::new() };
    for guest in guests {
        let mut needs = guest.needs.clone();
        needs.host = None;
        needs.load = guest.load;
        if guest.holds == Holds::DiskOnly {
            needs.memory = honcho_model::Bytes(0);
            needs.vcpus = 0;
        }
        let mut without = tallies.clone();
        without.remove(&fleet.hosts, position, guest);
        let decision = decide(fleet, &without, &needs);
        match decision.choice {
            Some(choice) => {
                commit(fleet, &mut without, &needs, choice);
                tallies = without;
                plan.rehoused.push((guest.id, choice));
            }
            None => plan.homeless.push((guest.id, decision.refusals(fleet, &needs))),
        }
    }
    plan
}

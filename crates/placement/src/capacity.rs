//! How many more guests of a size fit, what runs out first, and what the loss of a host would mean.

use crate::drain::rehouse;
use crate::filter::{Filter, Filters};
use crate::fleet::{Draining, Fleet, Request};
use crate::place::Choice;
use crate::survive::Survival;
use crate::tallies::Tallies;
use honcho_model::{GuestId, HostId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// How many more fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// How many.
    pub fit: usize,
    /// How many, if every host's guests are to stay restartable elsewhere.
    pub fit_with_n_plus_one: usize,
    /// Whether even more fit: counting ends at [`MOST_COUNTED`].
    pub capped: bool,
    /// Of the hosts that could run one, how many were full of what, once no more fitted; what ended most first.
    pub runs_out: Vec<(Filter, usize)>,
}

/// So many are counted: where a size takes next to nothing, there is no end.
pub const MOST_COUNTED: usize = 1_000_000;

/// Counts how many more guests of a size fit, the roomiest host first. Guests that must be kept apart are counted as if
/// they need not be.
pub fn capacity(fleet: &Fleet, request: &Request) -> Capacity {
    let (found, full) = fill(fleet, request, MOST_COUNTED + 1);
    let (fit, capped) = (found.min(MOST_COUNTED), found > MOST_COUNTED);
    let mut counts: BTreeMap<Filter, usize> = BTreeMap::new();
    let mut filters = Filters::new(request, &fleet.rules);
    for (host, tally) in fleet.hosts.iter().zip(&full.hosts) {
        let Err(refusal) = filters.fit(host, tally) else { continue };
        if matches!(refusal.filter(), Filter::Memory | Filter::Disk | Filter::Vcpus) {
            *counts.entry(refusal.filter()).or_default() += 1;
        }
    }
    let mut runs_out: Vec<(Filter, usize)> = counts.into_iter().collect();
    runs_out.sort_by_key(|(filter, hosts)| (Reverse(*hosts), *filter));
    Capacity { fit, fit_with_n_plus_one: with_n_plus_one(fleet, request, fit), capped, runs_out }
}

/// The most of them with which no host's loss leaves more without a place than now.
fn with_n_plus_one(fleet: &Fleet, request: &Request, most: usize) -> usize {
    let short = |tallies: &Tallies| -> Vec<i64> {
        let survival = Survival::new(&fleet.hosts, tallies, 0);
        (0..fleet.hosts.len()).map(|host| survival.short(host)).collect()
    };
    let before = short(&fleet.tallies);
    let kept = |count: usize| {
        let (_, tallies) = fill(fleet, request, count);
        short(&tallies).iter().zip(&before).all(|(after, before)| after <= before)
    };
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if kept(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// Places up to `most` of them, always on the host with the most memory left for its size. Says how many went.
fn fill(fleet: &Fleet, request: &Request, most: usize) -> (usize, Tallies) {
    let mut tallies = fleet.tallies.clone();
    let mut filters = Filters::new(request, &fleet.rules);
    let rank = |tallies: &Tallies, host: usize| {
        let whole = i128::from(fleet.hosts[host].memory.0.max(1));
        (i128::from(tallies.hosts[host].memory_free) * 1_000_000 / whole, Reverse(host))
    };
    let mut roomiest: BinaryHeap<(i128, Reverse<usize>)> = (0..fleet.hosts.len())
        .filter(|host| filters.fit(&fleet.hosts[*host], &tallies.hosts[*host]).is_ok())
        .map(|host| rank(&tallies, host))
        .collect();
    let mut placed = 0;
    while placed < most
        && let Some((_, Reverse(host))) = roomiest.pop()
    {
        if let Ok(pool) = filters.fit(&fleet.hosts[host], &tallies.hosts[host]) {
            tallies.add(&fleet.hosts, host, pool, request, request.load);
            placed += 1;
            roomiest.push(rank(&tallies, host));
        }
    }
    (placed, tallies)
}

/// What the loss of a host would mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// Where its guests would go.
    pub rehoused: Vec<(GuestId, Choice)>,
    /// Those that would fit nowhere, each with the reasons.
    pub homeless: Vec<(GuestId, String)>,
    /// What would be afterwards.
    pub after: Fleet,
}

/// What would happen if this host were lost; `None` if there is no such host. Of the other hosts' guests it is enough to know what
/// they come to.
pub fn if_lost(fleet: &Fleet, lost: HostId) -> Option<Loss> {
    let position = fleet.position(lost)?;
    let mut without = fleet.clone();
    without.hosts[position].draining = Draining::Lost;
    let plan = rehouse(&without, position);
    let moved: BTreeMap<GuestId, Choice> = plan.rehoused.iter().copied().collect();
    let Fleet { hosts, guests, rules, mut tallies } = without;
    let guests = guests.into_iter().filter_map(|mut guest| {
        if guest.host != lost {
            return Some(guest);
        }
        tallies.remove(&hosts, position, &guest);
        let choice = moved.get(&guest.id)?;
        guest.host = choice.host;
        guest.pool = choice.pool.unwrap_or(guest.pool);
        tallies.put(&hosts, &guest);
        Some(guest)
    });
    let guests = guests.collect();
    tallies.look_at(&hosts);
    let after = Fleet { hosts, guests, rules, tallies };
    Some(Loss { rehoused: plan.rehoused, homeless: plan.homeless, after })
}

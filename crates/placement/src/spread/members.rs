//! Hosts and guests that are spread.

use super::{HostIndex, Place};
use std::collections::BTreeMap;

/// A host and what is on it. Sizes are in MiB.
#[derive(Clone, Debug, PartialEq)]
pub struct SpreadHost {
    /// Memory, of which shares are computed.
    pub memory: f64,
    /// Disk, likewise; 0 where there is none.
    pub disk: f64,
    /// Physical CPUs, likewise.
    pub cpus: f64,
    /// How many spindles guests may use.
    pub spindles_limit: f64,
    /// vCPUs that guests may use; `None` is no limit.
    pub vcpus_limit: Option<f64>,
    /// Whether it takes part: counted in the deviations, and open to guests.
    pub online: Online,
    /// A rack, say: what [`SpreadGuest::domain_tags`] are counted in.
    pub domain: u32,
    /// Memory not taken by guests that run.
    pub memory_free: i64,
    /// Memory not taken if every guest ran.
    pub memory_free_if_all_ran: i64,
    /// Memory that the host itself says is free: what mirrored guests could be started in.
    pub memory_reported: i64,
    /// Disk not taken.
    pub disk_free: i64,
    /// vCPUs taken.
    pub vcpus: i64,
    /// Spindles taken.
    pub spindles: f64,
    /// Load of the guests that run here.
    pub load: f64,
    /// Load of the guests that run or are mirrored here.
    pub disk_load: f64,
    /// What a load of 1 counts here.
    pub load_of_one: f64,
    /// Guests that run here.
    pub primaries: u32,
    /// Guests mirrored here.
    pub secondaries: u32,
    /// The most memory that is needed here if one other host dies.
    pub reserved: i64,
    /// Memory that is needed here if that host dies.
    pub(super) peers: BTreeMap<HostIndex, i64>,
    /// Exclusion tags here, and how many guests have each.
    pub(super) tags: Vec<(u32, u32)>,
    /// Whether free memory that is just what mirrors need is enough.
    pub(super) just_enough: JustEnough,
}

/// Whether a host that has just as much memory free as mirrors may need counts as safe. Ganeti says that it does when it reads
/// a file, and that it does not once a guest has come or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JustEnough {
    /// It does.
    IsSafe,
    /// It does not.
    IsUnsafe,
}

/// Whether a host takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Online {
    /// Counted, and open to guests.
    Yes,
    /// Its guests should go.
    No,
    /// It is not of this fleet: a guest of the fleet is mirrored there, or one of its guests here. It is left alone.
    Outside,
}

impl SpreadHost {
    /// An empty host.
    pub fn new(memory: f64, disk: f64, cpus: f64) -> Self {
        SpreadHost {
            memory,
            disk,
            cpus,
            spindles_limit: f64::INFINITY,
            vcpus_limit: None,
            online: Online::Yes,
            domain: 0,
            memory_free: 0,
            memory_free_if_all_ran: 0,
            memory_reported: 0,
            disk_free: 0,
            vcpus: 0,
            spindles: 0.0,
            load: 0.0,
            disk_load: 0.0,
            load_of_one: 1.0,
            primaries: 0,
            secondaries: 0,
            reserved: 0,
            peers: BTreeMap::new(),
            tags: Vec::new(),
            just_enough: JustEnough::IsSafe,
        }
    }

    pub(super) fn has_tag(&self, tag: u32) -> u32 {
        self.tags.iter().find(|(known, _)| *known == tag).map_or(0, |(_, count)| *count)
    }
}

/// A guest. Sizes are in MiB.
#[derive(Clone, Debug, PartialEq)]
pub struct SpreadGuest {
    /// Memory.
    pub memory: i64,
    /// Memory it takes now: none while it is stopped.
    pub memory_now: i64,
    /// Memory a mirror's host must keep for it.
    pub memory_mirrored: i64,
    /// Disk it takes of its host's own; 0 if it lies elsewhere.
    pub disk: i64,
    /// What copying it costs, in MiB.
    pub cost: i64,
    /// vCPUs it takes now.
    pub vcpus: i64,
    /// Spindles.
    pub spindles: f64,
    /// How much it does; 1 where nothing was measured.
    pub load: f64,
    /// No two guests that share one of these should be on one host.
    pub tags: Vec<u32>,
    /// No two guests that share one of these should be in one domain.
    pub domain_tags: Vec<u32>,
    /// Which hosts may run it: a place in [`Spread::classes`].
    pub class: u32,
    /// Whether it may be moved at all.
    pub movable: Movable,
    /// Where it is.
    pub place: Place,
}

/// Whether a guest may be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movable {
    /// It may.
    Yes,
    /// It stays.
    No,
}

pub(super) fn add_tags(counts: &mut Vec<(u32, u32)>, tags: &[u32]) {
    for tag in tags {
        match counts.iter_mut().find(|(known, _)| known == tag) {
            Some((_, count)) => *count += 1,
            None => counts.push((*tag, 1)),
        }
    }
}

pub(super) fn remove_tags(counts: &mut Vec<(u32, u32)>, tags: &[u32]) {
    for tag in tags {
        if let Some(at) = counts.iter().position(|(known, _)| known == tag) {
            counts[at].1 -= 1;
            if counts[at].1 == 0 {
                counts.swap_remove(at);
            }
        }
    }
}

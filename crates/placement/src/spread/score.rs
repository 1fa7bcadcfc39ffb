//! What the score is made of: Ganeti's components, of the hosts' values.

use super::members::{JustEnough, Online, SpreadHost};

/// How many components are standard deviations.
pub(super) const DEVIATIONS: usize = 8;

/// Free memory; the same as if stopped guests ran; free disk; vCPUs per CPU; spindles; memory reserved for mirrors;
/// load of what runs; load of what runs or is mirrored. The weights are Ganeti's, where equal components are added up:
/// free disk, vCPUs and spindles count twice there ("forthcoming"), and the load thrice (CPU, memory, network).
pub(super) const WEIGHTS: [f64; DEVIATIONS] = [0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0];
const WEIGHT_UNSAFE: f64 = 1.0;
const WEIGHT_ON_OFFLINE: f64 = 4.0;
const WEIGHT_RUNS_ON_OFFLINE: f64 = 16.0;
const WEIGHT_CROWDED: f64 = 2.0;
const WEIGHT_RESERVED: f64 = 0.25;

/// Sum and sum of squares, around a fixed value near the mean, so that no precision is lost in large fleets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Moments {
    pub(crate) around: f64,
    pub(crate) sum: f64,
    pub(crate) squares: f64,
}

impl Moments {
    pub(crate) fn add(&mut self, value: f64) {
        let value = value - self.around;
        self.sum += value;
        self.squares += value * value;
    }

    #[inline]
    pub(crate) fn replace(&mut self, old: f64, new: f64) {
        let (old, new) = (old - self.around, new - self.around);
        self.sum += new - old;
        self.squares += new * new - old * old;
    }

    #[inline]
    pub(crate) fn deviation(&self, count: f64) -> f64 {
        let count = count.max(1.0);
        let mean = self.sum / count;
        let variance = self.squares / count - mean * mean;
        // Less is what rounding leaves where all are equal.
        if variance < 1e-14 { 0.0 } else { variance.sqrt() }
    }
}

/// The components that are sums.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) unsafe_guests: f64,
    pub(super) on_offline: f64,
    pub(super) run_on_offline: f64,
    pub(super) crowded: f64,
    pub(super) reserved: f64,
}

impl Sums {
    #[inline]
    pub(super) fn score(&self) -> f64 {
        self.unsafe_guests * WEIGHT_UNSAFE
            + self.on_offline * WEIGHT_ON_OFFLINE
            + self.run_on_offline * WEIGHT_RUNS_ON_OFFLINE
            + self.crowded * WEIGHT_CROWDED
            + self.reserved * WEIGHT_RESERVED
    }
}

/// What one of each thing is of a host: divided once, for it is asked for often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares {
    pub(super) memory: f64,
    pub(super) disk: f64,
    pub(super) vcpus: f64,
    pub(super) spindles: f64,
    pub(super) load: f64,
}

impl Shares {
    /// Nothing of a host that is not counted.
    pub(super) fn of(host: &SpreadHost) -> Self {
        if host.online != Online::Yes {
            return Shares { memory: 0.0, disk: 0.0, vcpus: 0.0, spindles: 0.0, load: 0.0 };
        }
        let one_of = |whole: f64| if whole == 0.0 { 0.0 } else { 1.0 / whole };
        Shares {
            memory: one_of(host.memory),
            disk: one_of(host.disk),
            vcpus: one_of(host.cpus),
            spindles: one_of(host.spindles_limit),
            load: host.load_of_one,
        }
    }
}

/// What the deviations are taken of.
#[inline]
pub(super) fn values(host: &SpreadHost) -> [f64; DEVIATIONS] {
    [
        share(host.memory_free, host.memory),
        share(host.memory_free_if_all_ran, host.memory),
        if host.disk == 0.0 { 1.0 } else { share(host.disk_free, host.disk) },
        share(host.vcpus, host.cpus),
        if host.spindles == 0.0 || host.spindles_limit == 0.0 {
            0.0
        } else {
            host.spindles / host.spindles_limit
        },
        share(host.reserved, host.memory),
        host.load * host.load_of_one,
        host.disk_load * host.load_of_one,
    ]
}

#[inline]
#[expect(clippy::cast_precision_loss, reason = "sizes in MiB are far below 2^52")]
fn share(part: i64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part as f64 / whole }
}

/// What a host adds to the sums.
pub(super) fn sums_of(host: &SpreadHost) -> Sums {
    let mut sums = Sums::default();
    let (primaries, secondaries) = (f64::from(host.primaries), f64::from(host.secondaries));
    match host.online {
        Online::Yes => {}
        Online::No => {
            sums.on_offline = primaries + secondaries;
            sums.run_on_offline = primaries;
            return sums;
        }
        Online::Outside => return sums,
    }
    if is_unsafe(host) {
        sums.unsafe_guests = primaries + secondaries;
    }
    sums.crowded = f64::from(host.tags.iter().map(|(_, count)| count - 1).sum::<u32>());
    sums.reserved = share(host.reserved, host.memory);
    sums
}

/// Whether the guests mirrored here could not all be started if the wrong host died.
pub(super) fn is_unsafe(host: &SpreadHost) -> bool {
    is_short(host.memory_reported, host.reserved, host.just_enough)
}

/// The same of a host with so much memory free, and so much reserved.
pub(super) fn is_short(free: i64, reserved: i64, just_enough: JustEnough) -> bool {
    free < reserved || just_enough == JustEnough::IsUnsafe && free == reserved
}

//! What a simulated guest takes: made up, the same for the same guest at the same time, and of the shape that real ones
//! have (a day's swing, and quicker ones on it).
//!
//! Counters are integrals in closed form, so that nothing is kept of any guest, and what one took in the past can be told too.

use crate::sampling::taken::Counters;
use honcho_model::{Bytes, GuestId};
use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::time::Duration;
use uuid::Uuid;

/// Swings, each of a period in seconds and a part of the mean; together they take less than all of it away.
const SWINGS: [(f64, f64); 4] = [(86_400.0, 0.45), (5_820.0, 0.2), (1_380.0, 0.15), (420.0, 0.1)];

/// A number from 0 to 1 that belongs to a guest, one of several.
fn lot(guest: GuestId, which: u64) -> f64 {
    let mut mixed = guest.0.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ which.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 29;
    #[expect(clippy::cast_precision_loss, reason = "53 bits of it are enough")]
    let lot = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
    lot
}

/// Where in a swing something of a guest begins. Days are nearly the same for all: most is asked of them in the afternoon (UTC).
fn phase(guest: GuestId, which: u64, period: f64) -> f64 {
    let lot = lot(guest, which);
    if period >= 86_400.0 { 0.6 + 0.15 * lot } else { lot }
}

/// How far above its mean (1.0) something of a guest is at a moment.
fn swing(guest: GuestId, which: u64, at: f64) -> f64 {
    SWINGS.iter().zip(which * 16..).fold(1.0, |sum, ((period, part), which)| {
        sum + part * (TAU * (at / period + phase(guest, which, *period))).sin()
    })
}

/// The integral of [`swing`] from the beginning of all time: what has been counted, of something whose mean is 1 per second.
fn counted(guest: GuestId, which: u64, at: f64) -> f64 {
    SWINGS.iter().zip(which * 16..).fold(at, |sum, ((period, part), which)| {
        let phase = TAU * phase(guest, which, *period);
        sum + part * period / TAU * (phase.cos() - (TAU * at / period + phase).cos())
    })
}

/// The counters of a machine whose guests were always there: theirs together, and a little of its own.
pub fn of_machine(guests: impl Iterator<Item = Counters>) -> Counters {
    let sum =
        |one: Option<u64>, other: Option<u64>| Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0)));
    guests.fold(Counters { memory: Some(Bytes::gib(2)), ..Counters::default() }, |all, guest| Counters {
        cpu_ns: sum(all.cpu_ns, guest.cpu_ns),
        memory: all.memory.zip(guest.memory).map(|(all, guest)| Bytes(all.0.saturating_add(guest.0))),
        disk_read: sum(all.disk_read, guest.disk_read),
        disk_written: sum(all.disk_written, guest.disk_written),
        disk_reads: sum(all.disk_reads, guest.disk_reads),
        disk_writes: sum(all.disk_writes, guest.disk_writes),
        received: sum(all.received, guest.received),
        sent: sum(all.sent, guest.sent),
    })
}

/// A machine's counters: what its guests have taken while they were there, and a little of its own.
#[derive(Debug, Default)]
pub struct OfMachine {
    sum: Counters,
    last: BTreeMap<Uuid, Counters>,
}

impl OfMachine {
    /// Counts what these guests, all that there are, took since they were counted last. What a guest took before it came is none of it.
    pub fn counted(&mut self, guests: &[(Uuid, Counters)]) -> Counters {
        let mut memory = Bytes::gib(2);
        for (uuid, now) in guests {
            memory.0 = memory.0.saturating_add(now.memory.map_or(0, |memory| memory.0));
            let before = self.last.get(uuid).unwrap_or(now);
            let sum = |all: Option<u64>, of: fn(&Counters) -> Option<u64>| {
                let rise = of(now).unwrap_or(0).saturating_sub(of(before).unwrap_or(0));
                Some(all.unwrap_or(0).saturating_add(rise))
            };
            self.sum = Counters {
                cpu_ns: sum(self.sum.cpu_ns, |one| one.cpu_ns),
                memory: None,
                disk_read: sum(self.sum.disk_read, |one| one.disk_read),
                disk_written: sum(self.sum.disk_written, |one| one.disk_written),
                disk_reads: sum(self.sum.disk_reads, |one| one.disk_reads),
                disk_writes: sum(self.sum.disk_writes, |one| one.disk_writes),
                received: sum(self.sum.received, |one| one.received),
                sent: sum(self.sum.sent, |one| one.sent),
            };
        }
        self.last = guests.iter().copied().collect();
        Counters { memory: Some(memory), ..self.sum }
    }
}

/// A guest's counters at a moment, which may be one of its machine or of the world.
pub fn counters(guest: GuestId, vcpus: u32, memory: Bytes, at: Duration) -> Counters {
    let at = at.as_secs_f64();
    // A few are busy and most are not.
    let busy = 0.04 + 0.5 * lot(guest, 1).powi(3);
    let counted = |which: u64, mean: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it only rises, from 0")]
        let number = (counted(guest, which, at) * mean) as u64;
        Some(number)
    };
    let (reads, writes, traffic) =
        (4.0 * lot(guest, 3) * busy, 60.0 * lot(guest, 4) * busy, 3e6 * lot(guest, 5) * busy);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size"
    )]
    let memory =
        Bytes((memory.0 as f64 * (0.35 + 0.3 * lot(guest, 2)) * (0.92 + 0.08 * swing(guest, 2, at))) as u64);
    Counters {
        cpu_ns: counted(1, busy * f64::from(vcpus) * 1e9),
        memory: Some(memory),
        disk_reads: counted(3, reads),
        disk_read: counted(3, reads * 24_000.0),
        disk_writes: counted(4, writes),
        disk_written: counted(4, writes * 9_000.0),
        received: counted(5, traffic * 0.3),
        sent: counted(5, traffic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::taken::taken;

    #[test]
    fn a_machine_takes_what_its_guests_take_while_they_are_there() {
        let of = |guest: i64, minute: u64| {
            let at = Duration::from_secs(1_700_000_000 + 60 * minute);
            (Uuid::from_u64_pair(0, guest.unsigned_abs()), counters(GuestId(guest), 1, Bytes::gib(1), at))
        };
        let mut machine = OfMachine::default();
        let mut last = machine.counted(&[of(1, 0)]);
        // One comes, one goes, one comes back: none of them brings its past along.
        for guests in [vec![of(1, 1), of(2, 1)], vec![of(2, 2)], vec![of(1, 3), of(2, 3)], vec![]] {
            let now = machine.counted(&guests);
            let cpu_ms = taken(&last, &now).cpu_ms.unwrap();
            assert!(cpu_ms <= 2 * 60_000, "{cpu_ms} ms in a minute");
            last = now;
        }
        assert_eq!(last.memory, Some(Bytes::gib(2)), "what it holds is what it holds now");
    }

    #[test]
    fn it_only_rises_stays_within_the_guest_and_is_the_same_again() {
        let (vcpus, memory) = (2, Bytes::gib(2));
        let mut most: f64 = 0.0;
        for guest in (1..40).map(GuestId) {
            let at = |minute: u64| counters(guest, vcpus, memory, Duration::from_secs(60 * minute));
            assert_eq!(at(77), at(77));
            let mut rates = Vec::new();
            for minute in 0..1500 {
                let taken = taken(&at(minute), &at(minute + 1));
                let cpu_ms = taken.cpu_ms.unwrap();
                assert!(cpu_ms <= 2 * 60_000, "{guest}: {cpu_ms}");
                assert!(taken.memory.unwrap() <= memory && taken.sent.is_some());
                rates.push(cpu_ms);
            }
            let (low, high) = (rates.iter().min().unwrap(), rates.iter().max().unwrap());
            assert!(*high > *low, "{guest}: it stands still");
            #[expect(clippy::cast_precision_loss, reason = "a minute of milliseconds")]
            let high = *high as f64;
            most = most.max(high / 60_000.0);
        }
        assert!(most > 0.5, "somebody is busy: {most}");
    }
}

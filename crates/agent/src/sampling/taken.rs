//! What was taken between two readings of counters.

use honcho_model::Bytes;
use honcho_wire::Taken;
use uuid::Uuid;

/// What has been counted of a domain since it started, or of the machine since it booted; memory is what is held now. What
/// is not counted here is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Nanoseconds of processors.
    pub cpu_ns: Option<u64>,
    /// Memory held.
    pub memory: Option<Bytes>,
    /// Bytes read from disks.
    pub disk_read: Option<u64>,
    /// Bytes written to them.
    pub disk_written: Option<u64>,
    /// Read operations.
    pub disk_reads: Option<u64>,
    /// Write operations.
    pub disk_writes: Option<u64>,
    /// Bytes received from networks.
    pub received: Option<u64>,
    /// Bytes sent into them.
    pub sent: Option<u64>,
}

/// A machine's counters, and those of the domains on it that are alive, as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct MachineCounters {
    /// The machine's.
    pub host: Counters,
    /// The domains', by their uuids.
    pub domains: Vec<(Uuid, Counters)>,
}

impl Counters {
    /// Whether something has begun to count anew since.
    fn began_anew(&self, before: &Counters) -> bool {
        let fell =
            |now: Option<u64>, before: Option<u64>| now.zip(before).is_some_and(|(now, before)| now < before);
        fell(self.cpu_ns, before.cpu_ns)
            || fell(self.disk_read, before.disk_read)
            || fell(self.disk_written, before.disk_written)
            || fell(self.disk_reads, before.disk_reads)
            || fell(self.disk_writes, before.disk_writes)
            || fell(self.received, before.received)
            || fell(self.sent, before.sent)
    }
}

/// What was taken in between. A counter that went back has begun anew (the guest has rebooted), and with it all of them:
/// nothing was taken that anybody knows of.
pub fn taken(before: &Counters, now: &Counters) -> Taken {
    if now.began_anew(before) {
        return Taken::default();
    }
    let rise = |now: Option<u64>, before: Option<u64>| now?.checked_sub(before?);
    Taken {
        cpu_ms: rise(now.cpu_ns, before.cpu_ns).map(|nanoseconds| nanoseconds / 1_000_000),
        memory: now.memory,
        disk_read: rise(now.disk_read, before.disk_read),
        disk_written: rise(now.disk_written, before.disk_written),
        disk_reads: rise(now.disk_reads, before.disk_reads),
        disk_writes: rise(now.disk_writes, before.disk_writes),
        received: rise(now.received, before.received),
        sent: rise(now.sent, before.sent),
        filled: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_are_taken_and_a_counter_that_went_back_is_no_negative_rate() {
        let before = Counters {
            cpu_ns: Some(5_000_000_000),
            disk_read: Some(100),
            received: None,
            sent: Some(7),
            ..Counters::default()
        };
        let now = Counters {
            cpu_ns: Some(6_500_000_000),
            memory: Some(Bytes::mib(5)),
            disk_read: Some(100),
            received: Some(9),
            sent: None,
            ..Counters::default()
        };
        let expected =
            Taken { cpu_ms: Some(1500), memory: Some(Bytes::mib(5)), disk_read: Some(0), ..Taken::default() };
        assert_eq!(taken(&before, &now), expected, "what only one reading has is not known");
        let rebooted = Counters { disk_read: Some(99), ..now };
        assert_eq!(taken(&before, &rebooted), Taken::default());
    }
}

//! What agents told of load and is not written yet: held in memory, written in batches by a controller.
//!
//! An agent forgets a sample once it has heard that it is kept, and not before: what is lost here with the process is told
//! again.

use honcho_model::load::{Measure, Sample};
use honcho_model::{HostId, Timestamp};
use honcho_store::load::{Told, ToldSample};
use honcho_wire::{LoadReport, LoadSample, SAMPLES_KEPT, Taken};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// An interval that is shorter says more of chance than of load.
const SHORTEST: Duration = Duration::from_secs(1);
/// One that is longer says nothing of any minute in it.
const LONGEST: Duration = Duration::from_mins(10);
/// Agents keep samples for a quarter of an hour; what is said to be older is not believed.
pub(crate) const OLDEST: Duration = Duration::from_mins(20);

/// Samples that are not written yet.
#[derive(Clone, Default)]
pub(crate) struct Loads {
    waiting: Arc<Mutex<HashMap<HostId, Waiting>>>,
}

struct Waiting {
    run: Uuid,
    samples: BTreeMap<u64, ToldSample>,
}

impl Loads {
    /// Takes in what a host's agent told, without what is `kept`. When a sample was is told by when it is first heard of:
    /// the same one later comes to the same time but for what the way took.
    pub(crate) fn hear(&self, host: HostId, report: LoadReport, kept: u64, now: Timestamp) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let of_host =
            waiting.entry(host).or_insert_with(|| Waiting { run: report.run_id, samples: BTreeMap::new() });
        if of_host.run != report.run_id {
            // What its earlier run told last, a minute at most, goes.
            *of_host = Waiting { run: report.run_id, samples: BTreeMap::new() };
        }
        of_host.samples.retain(|number, _| *number > kept);
        let new = report.samples.into_iter().rev().take(SAMPLES_KEPT).filter(|sample| sample.number > kept);
        for sample in new {
            if !of_host.samples.contains_key(&sample.number)
                && let Some(told) = told(&sample, now)
            {
                of_host.samples.insert(told.number, told);
            }
        }
        while of_host.samples.len() > SAMPLES_KEPT {
            of_host.samples.pop_first();
        }
        if of_host.samples.is_empty() {
            waiting.remove(&host);
        }
    }

    /// Takes all that waits.
    pub(crate) fn take(&self) -> Vec<Told> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let told = waiting.drain().map(|(host, Waiting { run, samples })| {
            let samples = samples.into_values().collect();
            Told { host, run, samples }
        });
        let mut told: Vec<Told> = told.collect();
        told.sort_by_key(|told| told.host);
        told
    }
}

/// A sample by the brain's clock; `None` if what it says cannot be.
fn told(sample: &LoadSample, now: Timestamp) -> Option<ToldSample> {
    let (lasted, ago) = (Duration::from_millis(sample.lasted_ms), Duration::from_millis(sample.ended_ms_ago));
    if !(SHORTEST..=LONGEST).contains(&lasted) || ago > OLDEST {
        return None;
    }
    let back = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    let until = Timestamp(now.0.saturating_sub(back(ago)));
    Some(ToldSample {
        number: sample.number,
        from: Timestamp(until.0.saturating_sub(back(lasted))),
        until,
        host: sample.host.map(|taken| rates(&taken, lasted)),
        guests: sample.guests.iter().map(|guest| (guest.id, rates(&guest.taken, lasted))).collect(),
    })
}

/// What was taken, by the second.
pub(crate) fn rates(taken: &Taken, lasted: Duration) -> Sample {
    #[expect(clippy::cast_precision_loss, reason = "a picture has no more than 52 bits")]
    let number = |count: u64| count as f64;
    let seconds = lasted.as_secs_f64();
    let rate = |count: Option<u64>| count.map(|count| number(count) / seconds);
    let cpu = rate(taken.cpu_ms).map(|milliseconds| milliseconds / 1000.0);
    Sample::default()
        .with(Measure::Cpu, cpu)
        .with(Measure::CpuPeak, cpu)
        .with(Measure::Memory, taken.memory.map(|bytes| number(bytes.0)))
        .with(Measure::DiskRead, rate(taken.disk_read))
        .with(Measure::DiskWritten, rate(taken.disk_written))
        .with(Measure::DiskReads, rate(taken.disk_reads))
        .with(Measure::DiskWrites, rate(taken.disk_writes))
        .with(Measure::Received, rate(taken.received))
        .with(Measure::Sent, rate(taken.sent))
        .with(Measure::Filled, taken.filled.map(|bytes| number(bytes.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use honcho_model::GuestId;
    use honcho_wire::GuestTaken;

    const SECOND: i64 = 1_000_000;

    fn sample(number: u64, seconds_ago: u64, lasted: u64) -> LoadSample {
        let taken = Taken { cpu_ms: Some(30_000), disk_read: Some(6000), ..Taken::default() };
        let guests = vec![GuestTaken { id: GuestId(5), taken }];
        LoadSample { number, ended_ms_ago: seconds_ago * 1000, lasted_ms: lasted * 1000, host: None, guests }
    }

    fn report(run: u128, samples: Vec<LoadSample>) -> LoadReport {
        LoadReport { run_id: Uuid::from_u128(run), samples }
    }

    fn check(loads: &Loads, expected: &[(u64, i64, i64)]) {
        let told = loads.take();
        let told: Vec<_> = told.iter().flat_map(|told| &told.samples).collect();
        let told: Vec<_> =
            told.iter().map(|one| (one.number, one.from.0 / SECOND, one.until.0 / SECOND)).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_sample_is_heard_once_and_its_time_is_the_brains() {
        let (loads, host) = (Loads::default(), HostId(1));
        loads.hear(host, report(1, vec![sample(1, 60, 60), sample(2, 0, 60)]), 0, Timestamp(1000 * SECOND));
        // The same, on another day's way.
        loads.hear(host, report(1, vec![sample(2, 57, 60), sample(3, 0, 60)]), 1, Timestamp(1060 * SECOND));
        check(&loads, &[(2, 940, 1000), (3, 1000, 1060)]);
        assert!(loads.take().is_empty());
        loads.hear(host, report(1, vec![sample(3, 60, 60)]), 3, Timestamp(1120 * SECOND));
        assert!(loads.take().is_empty(), "all is kept");
        // Another run begins anew.
        loads.hear(host, report(1, vec![sample(4, 0, 60)]), 3, Timestamp(1200 * SECOND));
        loads.hear(host, report(2, vec![sample(1, 0, 60)]), 0, Timestamp(1260 * SECOND));
        check(&loads, &[(1, 1200, 1260)]);
    }

    #[test]
    fn what_cannot_be_is_not_believed_and_there_is_an_end() {
        let (loads, host, now) = (Loads::default(), HostId(1), Timestamp(100_000 * SECOND));
        loads.hear(host, report(1, vec![sample(1, 3600, 60), sample(2, 0, 0), sample(3, 0, 900)]), 0, now);
        assert!(loads.take().is_empty());
        let many = (1..100).map(|number| sample(number, 0, 60)).collect();
        loads.hear(host, report(1, many), 0, now);
        let told = loads.take().remove(0).samples;
        assert_eq!((told.len(), told.last().map(|last| last.number)), (SAMPLES_KEPT, Some(99)));
        let (guest, rates) = told[0].guests[0];
        assert_eq!(guest, GuestId(5));
        let get = |measure| rates.get(measure);
        assert_eq!(
            (get(Measure::Cpu), get(Measure::DiskRead), get(Measure::Sent)),
            (Some(0.5), Some(100.0), None)
        );
    }
}

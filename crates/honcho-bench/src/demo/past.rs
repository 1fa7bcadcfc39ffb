//! What guests and hosts took in the last 90 days, as their simulated machines would have told it; from now on they tell it themselves.
//!
//! Written past the brain, which does not run meanwhile: agents tell of the last quarter of an hour alone.

use anyhow::Result;
use honcho_agent_lib::sampling::taken::{Counters, taken};
use honcho_agent_lib::simulated::load::{counters, of_machine};
use honcho_api::Guest;
use honcho_model::load::{Kind, Measure, Sample, Span};
use honcho_model::{Bytes, GuestId, Timestamp};
use honcho_store::load::{Rolled, Samples, put};
use honcho_store::{Actor, Change, Store, StoreResult, Tx};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// So many guests are written at once.
const AT_ONCE: usize = 50;

struct Put<'s> {
    span: Span,
    samples: &'s Samples,
}

impl Change for Put<'_> {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        put(tx, self.span, self.samples).await
    }
}

/// Writes it into a brain's database.
pub(crate) async fn write(data: &Path, guests: &[Guest], now: Timestamp) -> Result<()> {
    let store = Store::open(&data.join("honcho.sqlite")).await?;
    let mut hosts: BTreeMap<i64, Vec<&Guest>> = BTreeMap::new();
    for guest in guests {
        if let Some(host) = guest.host_id {
            hosts.entry(host).or_default().push(guest);
        }
    }
    for span in Span::ALL {
        let mut samples = Samples::new();
        for guest in guests {
            samples.insert((Kind::Guest, guest.id), past(span, now, |at| of_guest(guest, at)));
            if samples.len() == AT_ONCE {
                store.write(Actor::honcho(), now, &Put { span, samples: &samples }).await?;
                samples.clear();
            }
        }
        for (host, guests) in &hosts {
            let of_host = |at| of_machine(guests.iter().map(|guest| of_guest(guest, at)));
            samples.insert((Kind::Host, *host), past(span, now, of_host));
        }
        store.write(Actor::honcho(), now, &Put { span, samples: &samples }).await?;
        if span.finer().is_some() {
            store.write(Actor::honcho(), now, &Rolled { span, until: span.begin(now) }).await?;
        }
    }
    store.close().await?;
    Ok(())
}

fn of_guest(guest: &Guest, at: Timestamp) -> Counters {
    let memory = Bytes(u64::try_from(guest.memory_bytes).unwrap_or(0));
    let at = Duration::from_micros(u64::try_from(at.0).unwrap_or(0));
    counters(GuestId(guest.id), u32::try_from(guest.vcpus).unwrap_or(1), memory, at)
}

/// All samples of a span up to now.
fn past(span: Span, now: Timestamp, counted: impl Fn(Timestamp) -> Counters) -> Vec<(Timestamp, Sample)> {
    let first = span.first_shown(now);
    let mut samples = Vec::new();
    let mut before = counted(first);
    for number in 1..span.samples() {
        let (begins, ends) =
            (Timestamp(first.0 + (number - 1) * span.step()), Timestamp(first.0 + number * span.step()));
        let after = counted(ends);
        samples.push((begins, sample(&before, &after, span)));
        before = after;
    }
    samples
}

#[expect(clippy::cast_precision_loss, reason = "a picture has no more than 52 bits")]
fn sample(before: &Counters, after: &Counters, span: Span) -> Sample {
    let taken = taken(before, after);
    let seconds = span.step() as f64 / 1e6;
    let rate = |count: Option<u64>| count.map(|count| count as f64 / seconds);
    let cpu = rate(taken.cpu_ms).map(|milliseconds| milliseconds / 1000.0);
    // Within a longer time some minute is busier than the others.
    let peak = if span == Span::Minutes { 1.0 } else { 1.25 };
    Sample::default()
        .with(Measure::Cpu, cpu)
        .with(Measure::CpuPeak, cpu.map(|cpu| cpu * peak))
        .with(Measure::Memory, taken.memory.map(|bytes| bytes.0 as f64))
        .with(Measure::DiskRead, rate(taken.disk_read))
        .with(Measure::DiskWritten, rate(taken.disk_written))
        .with(Measure::DiskReads, rate(taken.disk_reads))
        .with(Measure::DiskWrites, rate(taken.disk_writes))
        .with(Measure::Received, rate(taken.received))
        .with(Measure::Sent, rate(taken.sent))
        .with(Measure::Filled, None)
}

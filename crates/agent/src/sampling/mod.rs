//! What guests and the machine take, read once a minute and told at once; kept for a quarter of an hour while the brain is away.
//!
//! It is beside the loop and below it: a look, a step or a report waits for none of it (libvirt has a thread for it alone), and
//! what fails here is a gap in a graph. Where nobody answers for the guests, the machine's own counters are told all the same.
//! Nothing is remembered across the agent's end.

pub mod machine;
pub mod taken;

use crate::brain::{BrainClient, BrainError};
use crate::drivers::Hypervisor;
use crate::reporter::Snapshot;
use honcho_model::{Bytes, GuestId};
use honcho_wire::{GuestTaken, LoadAnswer, LoadReport, LoadSample, PoolState, SAMPLES_KEPT, Taken};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use taken::{Counters, MachineCounters, taken};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

/// How often counters are read.
const EVERY: Duration = Duration::from_mins(1);

/// Over longer, what was counted says nothing of any minute in it: the machine slept, or its hypervisor did not answer.
const LONGEST: Duration = Duration::from_mins(5);

/// The guests that are wanted here, by their domains' uuids.
pub(crate) type Guests = Arc<BTreeMap<Uuid, GuestId>>;

/// Samples until the agent ends.
pub(crate) async fn sample_forever(
    brain: Arc<BrainClient>,
    hypervisor: Arc<dyn Hypervisor>,
    news: watch::Receiver<Option<Arc<Snapshot>>>,
    guests: watch::Receiver<Guests>,
    run_id: Uuid,
) {
    let mut samples = Samples::default();
    // Agents that were started together do not come together each minute ever after.
    let first = Instant::now() + EVERY.mul_f64(rand::random_range(0.1..1.0));
    let mut ticks = tokio::time::interval_at(first, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut reading, mut telling) = (Trouble::default(), Trouble::default());
    loop {
        let counters = read(&*hypervisor, &mut reading).await;
        let filled = filled(news.borrow().as_deref());
        let known = guests.borrow().clone();
        samples.read(Instant::now(), counters, &known, filled);
        if samples.are_there() {
            let report = samples.report(run_id, Instant::now());
            samples.heard(brain.load(&report).await, &mut telling);
        }
        ticks.tick().await;
    }
}

/// What the counters say now: of the machine always, of the guests if the hypervisor answers.
async fn read(hypervisor: &dyn Hypervisor, trouble: &mut Trouble) -> MachineCounters {
    let domains = match hypervisor.domain_counters().await {
        Ok(domains) => {
            if trouble.ends() {
                tracing::info!("what guests take can be read again");
            }
            domains
        }
        Err(error) => {
            if trouble.begins() {
                tracing::warn!(%error, "what guests take cannot be read; their graphs have a gap");
            }
            Vec::new()
        }
    };
    MachineCounters { host: hypervisor.machine_counters(), domains }
}

/// What is told of once, and then not again until it is over.
#[derive(Default)]
struct Trouble(bool);

impl Trouble {
    /// Whether it is new.
    fn begins(&mut self) -> bool {
        !std::mem::replace(&mut self.0, true)
    }

    /// Whether there was some.
    fn ends(&mut self) -> bool {
        std::mem::take(&mut self.0)
    }
}

/// What the last look says of the pools that are all right.
fn filled(snapshot: Option<&Snapshot>) -> Option<Bytes> {
    let pools = &snapshot?.observation.pools;
    let ready = pools.iter().filter(|pool| pool.state == PoolState::Ready);
    ready.map(|pool| Bytes(pool.size.0.saturating_sub(pool.free.0))).reduce(|sum, pool| Bytes(sum.0 + pool.0))
}

/// What was read last, and the samples that are not known to be kept.
#[derive(Default)]
struct Samples {
    before: Option<(Instant, MachineCounters)>,
    numbered: u64,
    /// Each with when it ended.
    waiting: VecDeque<(Instant, LoadSample)>,
}

impl Samples {
    /// Takes in what the counters say now.
    fn read(
        &mut self,
        now: Instant,
        counters: MachineCounters,
        guests: &BTreeMap<Uuid, GuestId>,
        filled: Option<Bytes>,
    ) {
        let Some((then, before)) = self.before.replace((now, counters)) else { return };
        let lasted = now.duration_since(then);
        let Some((_, counters)) = self.before.as_ref().filter(|_| lasted <= LONGEST) else { return };
        let earlier: BTreeMap<Uuid, &Counters> =
            before.domains.iter().map(|(uuid, domain)| (*uuid, domain)).collect();
        let taken_by = |(uuid, counters): &(Uuid, Counters)| {
            let taken = taken(earlier.get(uuid)?, counters);
            (taken != Taken::default()).then_some(GuestTaken { id: *guests.get(uuid)?, taken })
        };
        let guests: Vec<GuestTaken> = counters.domains.iter().filter_map(taken_by).collect();
        let host = Taken { filled, ..taken(&before.host, &counters.host) };
        let host = Some(host).filter(|taken| *taken != Taken::default());
        if host.is_none() && guests.is_empty() {
            return;
        }
        self.numbered += 1;
        let sample = LoadSample {
            number: self.numbered,
            ended_ms_ago: 0,
            lasted_ms: crate::clock::millis(lasted),
            host,
            guests,
        };
        self.waiting.push_back((now, sample));
        while self.waiting.len() > SAMPLES_KEPT {
            self.waiting.pop_front();
        }
    }

    fn are_there(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What is to be told now.
    fn report(&self, run_id: Uuid, now: Instant) -> LoadReport {
        let samples = self.waiting.iter().map(|(ended, sample)| LoadSample {
            ended_ms_ago: crate::clock::millis(now.duration_since(*ended)),
            ..sample.clone()
        });
        LoadReport { run_id, samples: samples.collect() }
    }

    /// Takes in what the brain says of a report. What it refuses is told again, and people are told that it does.
    fn heard(&mut self, answer: Result<LoadAnswer, BrainError>, trouble: &mut Trouble) {
        match answer {
            Ok(LoadAnswer { kept }) => {
                trouble.ends();
                self.forget(kept);
            }
            // An older brain knows of no load, and never will of these samples.
            Err(BrainError::Refused { status: 404, .. }) => self.forget(u64::MAX),
            Err(error @ (BrainError::Refused { .. } | BrainError::Unreadable(_))) => {
                if trouble.begins() {
                    tracing::warn!(%error, "the brain takes no load of this host; its graphs have a gap");
                }
            }
            Err(error @ BrainError::Unreachable { .. }) => {
                tracing::debug!(%error, "what was taken could not be told; it is told later");
            }
        }
    }

    /// Forgets what the brain keeps.
    fn forget(&mut self, kept: u64) {
        self.waiting.retain(|(_, sample)| sample.number > kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: Uuid = Uuid::from_u128(7);
    const OTHERS: Uuid = Uuid::from_u128(9);

    fn counted(seconds: u64) -> MachineCounters {
        let counters = Counters { cpu_ns: Some(seconds * 1_000_000_000), ..Counters::default() };
        MachineCounters { host: counters, domains: vec![(WEB, counters), (OTHERS, counters)] }
    }

    fn check(told: &Samples, now: Instant, expected: &[(u64, u64, u64, usize)]) {
        let told = told.report(Uuid::nil(), now).samples;
        let told: Vec<_> = told
            .iter()
            .map(|one| (one.number, one.ended_ms_ago / 1000, one.lasted_ms / 1000, one.guests.len()))
            .collect();
        assert_eq!(told, expected);
    }

    #[tokio::test]
    async fn the_machine_is_told_of_while_nobody_answers_for_its_guests() {
        let directory = tempfile::tempdir().unwrap();
        let drivers = crate::simulated::open(directory.path()).unwrap();
        std::fs::write(directory.path().join("settings.json"), r#"{"fail": {"counters": "it hangs"}}"#)
            .unwrap();
        let (mut samples, mut trouble, begun) = (Samples::default(), Trouble::default(), Instant::now());
        for minute in 0..2 {
            let counters = read(&*drivers.hypervisor, &mut trouble).await;
            assert!(trouble.0 && counters.domains.is_empty());
            samples.read(begun + Duration::from_mins(minute), counters, &BTreeMap::new(), None);
        }
        let told = samples.report(Uuid::nil(), begun).samples;
        assert!(told.len() == 1 && told[0].host.unwrap().memory.is_some(), "{told:?}");
        std::fs::write(directory.path().join("settings.json"), "{}").unwrap();
        read(&*drivers.hypervisor, &mut trouble).await;
        assert!(!trouble.0, "it is over");
    }

    #[test]
    fn of_what_the_brain_refuses_people_hear_once() {
        let (mut samples, mut trouble, begun) = (Samples::default(), Trouble::default(), Instant::now());
        for minute in 0..2 {
            let at = begun + Duration::from_mins(minute);
            samples.read(at, counted(minute * 30), &BTreeMap::new(), None);
        }
        let refused = |status| {
            Err(BrainError::Refused { status, code: "invalid".into(), message: "no".into(), hint: None })
        };
        let unreachable = || Err(BrainError::Unreachable { address: "here".into(), cause: "down".into() });
        samples.heard(unreachable(), &mut trouble);
        assert!(!trouble.0, "the agent says so elsewhere");
        samples.heard(refused(422), &mut trouble);
        assert!(trouble.0 && samples.are_there(), "they are told again");
        assert!(!trouble.begins(), "once");
        samples.heard(Ok(LoadAnswer { kept: 0 }), &mut trouble);
        assert!(!trouble.0 && samples.are_there());
        samples.heard(refused(404), &mut trouble);
        assert!(!trouble.0 && !samples.are_there());
    }

    #[test]
    fn samples_wait_for_the_brain_and_are_told_with_their_age() {
        let (mut samples, begun) = (Samples::default(), Instant::now());
        let guests = BTreeMap::from([(WEB, GuestId(3))]);
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        samples.read(at(0), counted(0), &guests, None);
        assert!(!samples.are_there(), "one reading says nothing");
        samples.read(at(60), counted(30), &guests, None);
        samples.read(at(121), counted(40), &guests, Some(Bytes(5)));
        check(&samples, at(122), &[(1, 62, 60, 1), (2, 1, 61, 1)]);
        let first = samples.report(Uuid::nil(), at(122)).samples.remove(0);
        assert_eq!((first.guests[0].id, first.guests[0].taken.cpu_ms), (GuestId(3), Some(30_000)));
        samples.forget(1);
        check(&samples, at(180), &[(2, 59, 61, 1)]);
        // The machine slept: nobody knows when it was that so much was taken.
        samples.read(at(900), counted(50), &guests, None);
        samples.read(at(960), counted(60), &BTreeMap::new(), None);
        check(&samples, at(960), &[(2, 839, 61, 1), (3, 0, 60, 0)]);
        for minute in 0..30 {
            samples.read(at(1020 + 60 * minute), counted(60 + minute), &guests, None);
        }
        assert_eq!(samples.waiting.len(), SAMPLES_KEPT);
        assert_eq!(samples.waiting.back().map(|(_, sample)| sample.number), Some(33));
    }
}

//! Tells the brain what was seen: at once when it changed (but a few times a second at most), and every heartbeat.
//!
//! What was seen long ago is not told: an agent whose looks do not end any more must not go on saying that all is well,
//! and falls silent instead.

use crate::brain::BrainClient;
use crate::clock::growing;
use crate::drivers::Hypervisor;
use honcho_model::{Generation, Incarnation, host};
use honcho_wire::{CAPABILITIES, LoadObserved, Observation, PROTOCOL, Report, ReportAnswer};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

/// At most so often a report is sent.
const LEAST_GAP: Duration = Duration::from_millis(250);
/// The longest pause while the brain cannot be reached.
const MOST_PAUSE: Duration = Duration::from_secs(10);

/// What was seen longer ago is not told. A look that is slowed down by everything at once ends well within it.
const STALE_AFTER: Duration = Duration::from_mins(1);

/// What is to be told.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The boot id of the look.
    pub boot_id: String,
    /// The manifest acted on.
    pub acting_on: Option<(Incarnation, Generation)>,
    /// What was seen.
    pub observation: Observation,
    /// Its digest.
    pub digest: String,
    /// When the look had ended.
    looked_at: Instant,
}

impl Snapshot {
    /// With the digest computed.
    pub fn new(
        boot_id: String,
        acting_on: Option<(Incarnation, Generation)>,
        observation: Observation,
        looked_at: Instant,
    ) -> Self {
        let digest = hex::encode(Sha256::digest(observation.digest_input()));
        Snapshot { boot_id, acting_on, observation, digest, looked_at }
    }

    /// Whether it is still true enough to be told.
    fn is_fresh(&self, now: Instant) -> bool {
        now.duration_since(self.looked_at) <= STALE_AFTER
    }

    fn same_as(&self, other: &Snapshot) -> bool {
        self.digest == other.digest && self.acting_on == other.acting_on && self.boot_id == other.boot_id
    }
}

/// Reports until the agent ends.
pub async fn report_forever(
    brain: Arc<BrainClient>,
    mut news: watch::Receiver<Option<Arc<Snapshot>>>,
    run_id: Uuid,
    hypervisor: Arc<dyn Hypervisor>,
) {
    let mut load_told: Option<LoadObserved> = None;
    let mut sequence = 0;
    let mut told: Option<Arc<Snapshot>> = None;
    let mut failures: u32 = 0;
    let mut was_fresh = true;
    let mut pulse = Pulse::new(Instant::now());
    loop {
        let current = news.borrow_and_update().clone();
        let changed = match (&current, &told) {
            (Some(current), Some(told)) => !current.same_as(told),
            (current, _) => current.is_some(),
        };
        let now = Instant::now();
        let due = changed || pulse.is_due(now);
        let fresh = current.as_ref().is_none_or(|snapshot| snapshot.is_fresh(now));
        if fresh != was_fresh {
            was_fresh = fresh;
            if fresh {
                tracing::info!("looks end again");
            } else {
                tracing::error!(
                    "no look has ended for {} s; nothing is told until one does",
                    STALE_AFTER.as_secs()
                );
            }
        }
        let tellable = current.is_some() && fresh;
        let Some(snapshot) = current.filter(|_| due && fresh) else {
            if !tellable {
                pulse.waits(now);
            }
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(pulse.next) => {}
            }
            continue;
        };
        sequence += 1;
        let load = hypervisor.load().filter(|load| load.is_news_after(load_told.as_ref()));
        let report = Report { load, ..report_of(&snapshot, run_id, sequence, told.as_deref()) };
        match brain.report(&report).await {
            Ok(answer) => {
                if failures > 0 {
                    tracing::info!("the brain takes reports again");
                }
                failures = 0;
                load_told = load.or(load_told);
                told = match answer {
                    ReportAnswer::Applied => Some(snapshot),
                    ReportAnswer::SendEverything => None,
                    ReportAnswer::Stale => {
                        tracing::warn!(
                            "the brain says that it has a newer report of this host than run {run_id}'s"
                        );
                        told
                    }
                };
                pulse.told(Instant::now(), rand::random_range(0.8..=1.0));
                tokio::time::sleep(LEAST_GAP).await;
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                if failures == 1 {
                    tracing::warn!(%error, "cannot report; will try again");
                } else {
                    tracing::debug!(%error, failures, "cannot report; will try again");
                }
                tokio::time::sleep(jittered(growing(LEAST_GAP, failures, MOST_PAUSE))).await;
            }
        }
    }
}

/// When the next heartbeat is due.
struct Pulse {
    next: Instant,
}

impl Pulse {
    /// The first is due at once.
    fn new(now: Instant) -> Self {
        Pulse { next: now }
    }

    fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// There is nothing that could be told, before the first look and long after the last: it would be due again and again.
    fn waits(&mut self, now: Instant) {
        self.next = self.next.max(now + LEAST_GAP);
    }

    /// Something was told. Agents that were started together, or that a brain's restart has brought together, drift apart
    /// by `lot`.
    fn told(&mut self, now: Instant, lot: f64) {
        self.next = now + host::HEARTBEAT.mul_f64(lot);
    }
}

fn report_of(snapshot: &Snapshot, run_id: Uuid, sequence: u64, told: Option<&Snapshot>) -> Report {
    let known = told.is_some_and(|told| snapshot.same_as(told));
    Report {
        protocol: PROTOCOL,
        capabilities: CAPABILITIES.iter().map(|name| (*name).to_owned()).collect(),
        boot_id: snapshot.boot_id.clone(),
        run_id,
        sequence,
        incarnation: snapshot.acting_on.map(|(incarnation, _)| incarnation),
        manifest_generation: snapshot.acting_on.map_or(Generation(0), |(_, generation)| generation),
        digest: snapshot.digest.clone(),
        observation: (!known).then(|| snapshot.observation.clone()),
        load: None,
    }
}

/// Between half of a pause and all of it, so that a room full of agents does not come back at one instant.
pub fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent that sleeps until the next heartbeat finds it due when it wakes.
    #[test]
    fn a_heartbeat_is_due_when_its_time_has_come() {
        let now = Instant::now();
        let mut pulse = Pulse::new(now);
        assert!(pulse.is_due(now));
        pulse.told(now, 1.0);
        assert!(!pulse.is_due(now) && pulse.is_due(pulse.next));
        assert_eq!(pulse.next, now + host::HEARTBEAT);
        // Without anything to tell it does not wake at once, again and again.
        let late = now + host::HEARTBEAT;
        pulse.waits(late);
        assert!(pulse.next > late && pulse.is_due(pulse.next));
    }

    #[test]
    fn what_was_seen_long_ago_is_not_told() {
        let looked_at = Instant::now();
        let snapshot = Snapshot::new("boot".to_owned(), None, Observation::default(), looked_at);
        assert!(snapshot.is_fresh(looked_at));
        assert!(snapshot.is_fresh(looked_at + STALE_AFTER));
        assert!(!snapshot.is_fresh(looked_at + STALE_AFTER + Duration::from_secs(1)));
    }
}

//! Tells the brain what was seen: at once when it changed (but a few times a second at most), and every heartbeat.

use crate::brain::BrainClient;
use crate::clock::growing;
use honcho_model::{Generation, Incarnation, host};
use honcho_wire::{CAPABILITIES, Observation, PROTOCOL, Report, ReportAnswer};
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
}

impl Snapshot {
    /// With the digest computed.
    pub fn new(
        boot_id: String,
        acting_on: Option<(Incarnation, Generation)>,
        observation: Observation,
    ) -> Self {
        let digest = hex::encode(Sha256::digest(observation.digest_input()));
        Snapshot { boot_id, acting_on, observation, digest }
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
) {
    let mut sequence = 0;
    let mut told: Option<Arc<Snapshot>> = None;
    let mut failures: u32 = 0;
    let mut heartbeat = Instant::now();
    loop {
        let current = news.borrow_and_update().clone();
        let changed = match (&current, &told) {
            (Some(current), Some(told)) => !current.same_as(told),
            (current, _) => current.is_some(),
        };
        let due = changed || Instant::now() >= heartbeat;
        let Some(snapshot) = current.filter(|_| due) else {
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(heartbeat) => {
                    // Before the first look there is nothing to tell.
                    heartbeat = heartbeat.max(Instant::now() + LEAST_GAP.saturating_sub(Duration::from_millis(1)));
                }
            }
            continue;
        };
        sequence += 1;
        let report = report_of(&snapshot, run_id, sequence, told.as_deref());
        match brain.report(&report).await {
            Ok(answer) => {
                if failures > 0 {
                    tracing::info!("the brain takes reports again");
                }
                failures = 0;
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
                heartbeat = Instant::now() + host::HEARTBEAT;
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
    }
}

/// Between half of a pause and all of it, so that a room full of agents does not come back at one instant.
pub fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}

//! Honcho's own side: what `honcho balance --ganeti` and `honcho placement explain --ganeti` do, timed.

use crate::process::processor_of_thread;
use anyhow::{Context as _, Result};
use honcho_model::Bytes;
use honcho_placement::ganeti::{Cluster, read, write};
use honcho_placement::spread::{self, Limits};
use honcho_placement::{Fleet, Request, Rules, Verdict, place};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// What balancing came to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ours {
    pub(crate) score_before: f64,
    pub(crate) score_after: f64,
    /// The score after each move.
    pub(crate) scores: Vec<f64>,
    /// Processor time of reading the file, balancing, and writing the other.
    pub(crate) processor_seconds: f64,
}

impl Ours {
    pub(crate) fn moves(&self) -> usize {
        self.scores.len()
    }
}

/// Balances a file into another.
pub(crate) fn balance(file: &Path, after: &Path) -> Result<Ours> {
    let (outcome, processor_seconds) = timed(|| {
        let mut cluster = parse(&std::fs::read_to_string(file)?)?;
        let mut group = cluster.spread(0);
        let outcome = spread::balance(&mut group.spread, &Limits::NONE);
        cluster.apply(&group, &outcome.steps);
        std::fs::write(after, write(&cluster))?;
        Ok(outcome)
    })?;
    Ok(Ours {
        score_before: outcome.score_before,
        score_after: outcome.score_after,
        scores: outcome.steps.iter().map(|step| step.score_after).collect(),
        processor_seconds,
    })
}

/// The kernel brings a thread's time up to date every few milliseconds: what is shorter is done again and again.
const LEAST: Duration = Duration::from_millis(400);

/// Does it until that took a while. Gives what it came to last, and the mean processor time.
fn timed<T>(mut once: impl FnMut() -> Result<T>) -> Result<(T, f64)> {
    let begun = processor_of_thread()?;
    let mut rounds = 0.0;
    loop {
        let came_to = once()?;
        rounds += 1.0;
        let took = processor_of_thread()?.saturating_sub(begun);
        if took >= LEAST {
            return Ok((came_to, took.as_secs_f64() / rounds));
        }
    }
}

/// How long one more guest takes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Allocated {
    pub(crate) hosts: usize,
    pub(crate) guests: usize,
    /// The decision, with a verdict for every host.
    pub(crate) decide_seconds: f64,
    /// That, and every host's reason as a text.
    pub(crate) explain_seconds: f64,
}

/// Places one more guest of 2 GiB, 2 vCPUs and 20 GiB, again and again.
pub(crate) fn allocate(text: &str) -> Result<Allocated> {
    let cluster = parse(text)?;
    let fleet = cluster.fleet(0, Rules::default());
    let request = Request::of_size(Bytes::gib(2), 2, Bytes(0));
    let (decision, decide_seconds) = timed(|| Ok(place(&fleet, &request)))?;
    anyhow::ensure!(decision.choice.is_some(), "the made cluster has no room for one more guest");
    let (_, explain_seconds) = timed(|| {
        let decision = place(&fleet, &request);
        let reasons =
            decision.verdicts.iter().zip(fleet.hosts()).filter_map(|(verdict, host)| match verdict {
                Verdict::Refused(refusal) => Some(refusal.text(host, &request, |id| name(&fleet, id))),
                Verdict::Scored(_) => None,
            });
        Ok(reasons.collect::<Vec<String>>())
    })?;
    Ok(Allocated {
        hosts: fleet.hosts().len(),
        guests: fleet.guests().len(),
        decide_seconds,
        explain_seconds,
    })
}

fn name(fleet: &Fleet, id: honcho_model::HostId) -> String {
    fleet.position(id).map_or_else(|| id.to_string(), |host| fleet.hosts()[host].name.clone())
}

fn parse(text: &str) -> Result<Cluster> {
    read(text).context("what was made cannot be read")
}

//! Puts together what the brain is told: what was seen, what was decided about it, what is being done.

use crate::converge::{may_be_initialised, network_is_ready};
use crate::journal::Journal;
use crate::observed::Observed;
use crate::plan::{ArrivalVerdict, CAPTURE, Plan, Resource, Verdict};
use honcho_model::{Bytes, CpuFeature};
use honcho_wire::{
    ArrivalObserved, ArrivalState, CpuObserved, Failure, GuestObserved, GuestWanted, HostObserved, Manifest,
    NetworkObserved, Observation, PoolObserved, PoolState, PoolWanted, Progress,
};
use std::collections::BTreeMap;

/// Free space is told in steps of this, so that every write is not a change.
const FREE_STEP: u64 = 64 << 20;

/// What the brain is told. `doing` holds the steps under way.
pub fn observation(
    host: HostObserved,
    manifest: Option<&Manifest>,
    observed: &Observed,
    journal: &Journal,
    plan: &Plan,
    doing: &BTreeMap<Resource, Progress>,
    refused: Option<String>,
) -> Observation {
    let mut said = Observation {
        host: HostObserved { problem: observed.domains.as_ref().err().cloned(), ..host },
        gone: plan.gone.clone(),
        orphans: plan.orphans.clone(),
        refused,
        former: journal.former_if_unaccepted().cloned().map(Box::new),
        ..Observation::default()
    };
    let Some(manifest) = manifest else { return said };
    said.pools =
        manifest.pools.iter().filter_map(|pool| pool_observed(pool, observed, journal, plan)).collect();
    said.networks = manifest
        .networks
        .iter()
        .map(|network| {
            let ready = network_is_ready(manifest, observed, network);
            let failure = match &observed.bridges {
                Err(error) => Some(cannot_look(error)),
                Ok(_) => failure_of(plan, Resource::Network(network.id)),
            };
            NetworkObserved { id: network.id, ready, failure }
        })
        .collect();
    said.arrivals = plan.arrivals.iter().map(|verdict| arrival_observed(verdict, doing)).collect();
    for guest in &manifest.guests {
        if let Some(verdict) = plan.guests.get(&guest.id) {
            said.guests.push(guest_observed(guest, verdict, journal, plan, doing));
        }
    }
    said
}

fn pool_observed(
    pool: &PoolWanted,
    observed: &Observed,
    journal: &Journal,
    plan: &Plan,
) -> Option<PoolObserved> {
    let seen = observed.pools.get(&pool.id)?;
    let lost = seen.state == PoolState::Blank && !may_be_initialised(pool, journal);
    let failure = failure_of(plan, Resource::Pool(pool.id)).map(|failure| failure.error);
    let problem = if lost {
        Some("it is empty, and was in use before: is the right filesystem mounted?".to_owned())
    } else {
        seen.problem.clone().or(failure)
    };
    let ready = seen.state == PoolState::Ready;
    Some(PoolObserved {
        id: pool.id,
        state: if lost { PoolState::Wrong } else { seen.state },
        problem,
        size: if ready { seen.size } else { Bytes(0) },
        free: if ready { Bytes(seen.free.0 / FREE_STEP * FREE_STEP) } else { Bytes(0) },
        reflink: seen.reflink,
    })
}

fn guest_observed(
    guest: &GuestWanted,
    verdict: &Verdict,
    journal: &Journal,
    plan: &Plan,
    doing: &BTreeMap<Resource, Progress>,
) -> GuestObserved {
    let own = doing.get(&Resource::Guest(guest.id));
    // What only reads its disk leaves it as settled as it is.
    let changes = own.is_some_and(|progress| progress.step != CAPTURE);
    let awaited = || verdict.waits_for.iter().find_map(|step| doing_behind(plan, *step, doing));
    GuestObserved {
        id: guest.id,
        epoch: guest.epoch,
        generation: guest.generation,
        settled: verdict.settled && !changes,
        power: verdict.power,
        boots_done: verdict.boots_done,
        volume: verdict.volume.clone(),
        interfaces: verdict.interfaces.clone(),
        ssh_host_key: verdict.ssh_host_key.clone(),
        progress: own.cloned().or_else(awaited),
        failure: verdict.failure.clone(),
        unexpected_stops: journal.guests.get(&guest.id).map_or(0, |memory| memory.unexpected_stops),
        held: verdict.held && own.is_none(),
    }
}

/// A step under way may still be making it durable.
fn arrival_observed(verdict: &ArrivalVerdict, doing: &BTreeMap<Resource, Progress>) -> ArrivalObserved {
    let own = doing.get(&Resource::Guest(verdict.guest));
    ArrivalObserved {
        guest: verdict.guest,
        epoch: verdict.epoch,
        state: if own.is_none() { verdict.state } else { ArrivalState::Coming },
        size: verdict.size,
        progress: own.cloned(),
        failure: verdict.failure.clone(),
    }
}

fn doing_behind(plan: &Plan, step: usize, doing: &BTreeMap<Resource, Progress>) -> Option<Progress> {
    let step = plan.steps.get(step)?;
    let earlier = || step.after.iter().find_map(|earlier| doing_behind(plan, *earlier, doing));
    doing.get(&step.resource).cloned().or_else(earlier)
}

fn failure_of(plan: &Plan, resource: Resource) -> Option<Failure> {
    plan.steps.iter().filter(|step| step.resource == resource).find_map(|step| step.failure.clone())
}

fn cannot_look(error: &str) -> Failure {
    Failure { step: honcho_wire::LOOK.to_owned(), error: error.to_owned(), attempts: 1, next_try_ms: None }
}

/// What `/proc/cpuinfo` says of the first processor: a host's are alike. Its lines are named otherwise on a PC and on ARM.
fn cpu(cpuinfo: &str) -> CpuObserved {
    let value = |names: [&str; 2]| {
        cpuinfo.lines().take_while(|line| !line.trim().is_empty()).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            names.contains(&name.trim()).then(|| value.trim().to_owned())
        })
    };
    let mut features: Vec<String> = value(["flags", "Features"])
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.parse::<CpuFeature>().ok())
        .map(|feature| feature.to_string())
        .collect();
    features.sort_unstable();
    features.dedup();
    CpuObserved {
        architecture: rustix::system::uname().machine().to_string_lossy().into_owned(),
        model: value(["model name", "Processor"]),
        features,
    }
}

/// What is known of the machine without looking at any driver.
pub fn machine() -> std::io::Result<HostObserved> {
    let meminfo = std::fs::read_to_string("/proc/meminfo")?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    let total = total.ok_or_else(|| std::io::Error::other("/proc/meminfo has no MemTotal in kB"))?;
    let cpus = std::thread::available_parallelism()?.get();
    Ok(HostObserved {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory: Bytes(total.saturating_mul(1024)),
        cpu: Some(cpu(&std::fs::read_to_string("/proc/cpuinfo")?)),
        ..HostObserved::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_processor_says_what_all_can() {
        let pc = "processor\t: 0\nmodel name\t: Some CPU @ 2GHz\nflags\t\t: fpu avx2 aes avx2\n\nprocessor\t: 1\nflags\t: x\n";
        let seen = cpu(pc);
        assert_eq!(
            (seen.model.as_deref(), seen.features),
            (Some("Some CPU @ 2GHz"), vec!["aes".into(), "avx2".into(), "fpu".into()])
        );
        let arm = cpu("processor : 0\nFeatures : fp asimd\n");
        assert_eq!((arm.model, arm.features), (None, vec!["asimd".to_owned(), "fp".to_owned()]));
        assert!(!arm.architecture.is_empty());
    }
}

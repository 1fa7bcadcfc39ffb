//! `honcho capacity`: how many more guests of a size fit. It reckons with a file of Ganeti's.

use crate::command_error::CommandError;
use crate::context::Context;
use crate::ganeti_file::{GanetiArguments, GuestSize, guest_size};
use honcho_model::GuestId;
use honcho_placement::ganeti::Cluster;
use honcho_placement::{Capacity, Loss, Rules, capacity, if_lost};
use serde::Serialize;

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
With N+1 is how many fit so that, whichever host dies, its guests could still be restarted on
the others.

Examples:
  honcho capacity --ganeti cluster.data --size 2G,2cpu,20G
  honcho capacity --ganeti cluster.data --size 2G,2cpu,0 --if-lost node7")]
pub(crate) struct CapacityArguments {
    #[command(flatten)]
    ganeti: GanetiArguments,
    /// Memory, vCPUs and disk; a disk outside the nodes is 0
    #[arg(long, value_name = "MEMORY,VCPUS,DISK", value_parser = guest_size)]
    size: GuestSize,
    /// What would be left if this host were lost, and where its guests would go
    #[arg(long, value_name = "HOST")]
    if_lost: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    fit: usize,
    fit_with_n_plus_one: usize,
    runs_out: Vec<RunsOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<Lost>,
}

#[derive(Serialize)]
struct RunsOut {
    what: &'static str,
    hosts: usize,
}

#[derive(Serialize)]
struct Lost {
    host: String,
    restarted: usize,
    homeless: Vec<Homeless>,
}

#[derive(Serialize)]
struct Homeless {
    guest: String,
    reason: String,
}

pub(crate) fn run(context: &Context, arguments: &CapacityArguments) -> Result<(), CommandError> {
    let file = arguments.ganeti.read()?;
    let fleet = file.cluster.fleet(file.group, Rules::default());
    let request = arguments.size.request();
    let answer = match &arguments.if_lost {
        None => answer(&capacity(&fleet, &request), None),
        Some(name) => {
            let host = fleet.hosts().iter().find(|host| host.name == *name);
            let loss = host.and_then(|host| if_lost(&fleet, host.id, &request));
            let loss = loss.ok_or_else(|| {
                CommandError::failed(format!("there is no host {name} in {}", file.path.display()))
                    .hint("its name stands first on its line in the file; give all of it")
            })?;
            answer(&loss.capacity, Some(lost(&file.cluster, name, &loss)))
        }
    };
    let output = &context.output;
    if output.json { output.json(&answer) } else { output.print(&text(&answer, arguments.size)) }
}

fn answer(capacity: &Capacity, lost: Option<Lost>) -> Answer {
    let runs_out =
        capacity.runs_out.iter().map(|(filter, hosts)| RunsOut { what: filter.as_str(), hosts: *hosts });
    Answer {
        fit: capacity.fit,
        fit_with_n_plus_one: capacity.fit_with_n_plus_one,
        runs_out: runs_out.collect(),
        lost,
    }
}

fn lost(cluster: &Cluster, name: &str, loss: &Loss) -> Lost {
    let instance = |id: GuestId| {
        let index = usize::try_from(id.0 - 1).ok();
        index
            .and_then(|index| cluster.instances.get(index))
            .map_or_else(|| id.to_string(), |one| one.name.clone())
    };
    let homeless =
        loss.homeless.iter().map(|(id, reason)| Homeless { guest: instance(*id), reason: reason.clone() });
    Lost { host: name.to_owned(), restarted: loss.rehoused.len(), homeless: homeless.collect() }
}

fn text(answer: &Answer, size: GuestSize) -> String {
    let mut lines = Vec::new();
    if let Some(lost) = &answer.lost {
        let restarted = match lost.restarted {
            1 => "1 guest could".to_owned(),
            count => format!("{count} guests could"),
        };
        lines.push(format!("Without {}: {restarted} be restarted elsewhere.", lost.host));
        lines.extend(lost.homeless.iter().map(|one| format!("  {} could not: {}", one.guest, one.reason)));
        lines.push(String::new());
    }
    lines.push(format!("{} more guests of {size} fit", answer.fit));
    lines.push(format!(
        "{} with N+1: if any host died, all could be restarted elsewhere",
        answer.fit_with_n_plus_one
    ));
    let ends: Vec<String> = answer
        .runs_out
        .iter()
        .map(|one| format!("{} on {} {}", one.what, one.hosts, if one.hosts == 1 { "host" } else { "hosts" }))
        .collect();
    if !ends.is_empty() {
        lines.push(format!("What runs out: {}", ends.join(", ")));
    }
    lines.join("\n")
}

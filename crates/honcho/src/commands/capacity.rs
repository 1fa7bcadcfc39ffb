//! `honcho capacity`: how many more guests of a size fit, in the brain's fleet or in a file of Ganeti's.

use crate::clean::clean;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::ganeti_file::{GanetiArguments, GuestSize, guest_size};
use crate::resolve;
use honcho_api::Host;
use honcho_model::GuestId;
use honcho_placement::ganeti::Cluster;
use honcho_placement::{Capacity, Loss, MOST_COUNTED, Rules, capacity, if_lost};
use serde::Serialize;

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
With N+1 is how many fit so that, whichever host dies, its guests could still be restarted on
the others.

Examples:
  honcho capacity --size 2G,2cpu,20G
  honcho capacity --size 2G,2cpu,20G --if-lost h7
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
    capped: bool,
    runs_out: Vec<RunsOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<Lost>,
}

#[derive(Serialize)]
struct RunsOut {
    what: String,
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

pub(crate) async fn run(context: &Context, arguments: &CapacityArguments) -> Result<(), CommandError> {
    if !arguments.ganeti.is_given() {
        return of_brain(context, arguments).await;
    }
    let file = arguments.ganeti.read()?;
    let fleet = file.cluster.fleet(file.group, Rules::default());
    let request = arguments.size.request();
    let answer = match &arguments.if_lost {
        None => answer(&capacity(&fleet, &request), None),
        Some(name) => {
            let host = fleet.hosts().iter().find(|host| host.name == *name);
            let loss = host.and_then(|host| if_lost(&fleet, host.id));
            let loss = loss.ok_or_else(|| {
                CommandError::failed(format!("there is no host {name} in {}", file.path.display()))
                    .hint("its name stands first on its line in the file; give all of it")
            })?;
            answer(&capacity(&loss.after, &request), Some(lost(&file.cluster, name, &loss)))
        }
    };
    let output = &context.output;
    if output.json { output.json(&answer) } else { output.print(&text(&answer, arguments.size)) }
}

/// The brain's own fleet.
async fn of_brain(context: &Context, arguments: &CapacityArguments) -> Result<(), CommandError> {
    let mut query = arguments.size.query().to_vec();
    let lost = match &arguments.if_lost {
        Some(name) => Some(resolve::one::<Host>(context, name).await?),
        None => None,
    };
    query.extend(lost.as_ref().map(|host| ("if_lost", host.id.to_string())));
    let capacity: honcho_api::Capacity = context.client()?.get_path("/v1/capacity.json", &query).await?;
    let output = &context.output;
    if output.json {
        return output.json(&capacity);
    }
    let number = |n: i64| usize::try_from(n).unwrap_or(0);
    let runs_out =
        capacity.runs_out.iter().map(|one| RunsOut { what: clean(&one.filter), hosts: number(one.hosts) });
    let homeless = capacity.homeless.unwrap_or_default().into_iter();
    let homeless = homeless.map(|one| Homeless { guest: clean(&one.guest), reason: clean(&one.reason) });
    let answer = Answer {
        fit: number(capacity.fit),
        fit_with_n_plus_one: number(capacity.fit_with_n_plus_one),
        capped: capacity.capped,
        runs_out: runs_out.collect(),
        lost: lost.map(|host| Lost {
            host: clean(&host.name),
            restarted: number(capacity.restarted.unwrap_or(0)),
            homeless: homeless.collect(),
        }),
    };
    output.print(&text(&answer, arguments.size))
}

fn answer(capacity: &Capacity, lost: Option<Lost>) -> Answer {
    let runs_out = capacity
        .runs_out
        .iter()
        .map(|(filter, hosts)| RunsOut { what: filter.as_str().to_owned(), hosts: *hosts });
    Answer {
        fit: capacity.fit,
        fit_with_n_plus_one: capacity.fit_with_n_plus_one,
        capped: capacity.capped,
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
    let counted = |fit: usize| {
        if answer.capped && fit == MOST_COUNTED { "More than 1,000,000".to_owned() } else { fit.to_string() }
    };
    lines.push(format!("{} more guests of {size} fit", counted(answer.fit)));
    lines.push(format!(
        "{} with N+1: if any host died, all could be restarted elsewhere",
        counted(answer.fit_with_n_plus_one)
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

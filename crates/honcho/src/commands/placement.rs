//! `honcho placement`: where a guest would go, and what each host says to it.

use crate::command_error::CommandError;
use crate::context::Context;
use crate::ganeti_file::{GanetiArguments, GuestSize, guest_size};
use crate::output::{Output, Tone};
use crate::table::{Cell, table};
use honcho_placement::{Decision, Filter, Fleet, Request, Rules, Score, Verdict, place};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum PlacementCommand {
    /// Where a guest of a size would go, and what each host says to it
    #[command(after_help = "\
A host is refused by the first filter that it does not pass, or scored: the lower, the more
evenly would guests be spread with this one on it. The parts of a score are the standard
deviations over all hosts of free memory, free disk, vCPUs per CPU and load.

Example:
  honcho placement explain --ganeti cluster.data --size 2G,2cpu,20G")]
    Explain {
        #[command(flatten)]
        ganeti: GanetiArguments,
        /// Memory, vCPUs and disk; a disk outside the nodes is 0
        #[arg(long, value_name = "MEMORY,VCPUS,DISK", value_parser = guest_size)]
        size: GuestSize,
    },
}

#[derive(Serialize)]
struct Explanation<'a> {
    host: Option<&'a str>,
    refused: BTreeMap<&'static str, usize>,
    hosts: Vec<Explained<'a>>,
}

#[derive(Serialize)]
struct Explained<'a> {
    host: &'a str,
    score: Option<f64>,
    parts: Option<Parts>,
    filter: Option<&'static str>,
    reason: Option<String>,
}

#[derive(Serialize)]
struct Parts {
    memory: f64,
    disk: f64,
    vcpus: f64,
    load: f64,
    owner: f64,
}

pub(crate) fn run(context: &Context, command: &PlacementCommand) -> Result<(), CommandError> {
    match command {
        PlacementCommand::Explain { ganeti, size } => {
            let file = ganeti.read()?;
            let fleet = file.cluster.fleet(file.group, Rules::default());
            let request = size.request();
            let decision = place(&fleet, &request);
            let explanation = explain(&fleet, &request, &decision);
            let output = &context.output;
            if output.json {
                return output.json(&explanation);
            }
            output.page(&text(output, &fleet, &decision, &explanation, *size))
        }
    }
}

fn explain<'a>(fleet: &'a Fleet, request: &Request, decision: &Decision) -> Explanation<'a> {
    let name = |id| fleet.position(id).map_or("?", |host| fleet.hosts()[host].name.as_str());
    let hosts = decision.verdicts.iter().zip(fleet.hosts()).map(|(verdict, host)| match verdict {
        Verdict::Scored(score) => Explained {
            host: &host.name,
            score: Some(score.total),
            parts: Some(parts(score)),
            filter: None,
            reason: None,
        },
        Verdict::Refused(refusal) => Explained {
            host: &host.name,
            score: None,
            parts: None,
            filter: Some(refusal.filter().as_str()),
            reason: Some(match refusal.filter() {
                // A file has no agents that could be silent.
                Filter::Enabled => "is offline".to_owned(),
                _ => refusal.text(host, request, |id| name(id).to_owned()),
            }),
        },
    });
    Explanation {
        host: decision.choice.map(|choice| name(choice.host)),
        refused: decision.counts().into_iter().map(|(filter, count)| (filter.as_str(), count)).collect(),
        hosts: hosts.collect(),
    }
}

fn parts(score: &Score) -> Parts {
    let [memory, disk, vcpus, load] = score.spread;
    Parts { memory, disk, vcpus, load, owner: score.owner }
}

fn text(
    output: &Output,
    fleet: &Fleet,
    decision: &Decision,
    explanation: &Explanation<'_>,
    size: GuestSize,
) -> String {
    let best = decision.best(usize::MAX);
    let scored = best.iter().map(|(host, score)| scored_row(explanation.hosts[*host].host, score));
    let refused = explanation.hosts.iter().filter_map(refused_row);
    let rows: Vec<Vec<Cell>> = scored.chain(refused).collect();
    let headings = ["HOST", "SCORE", "MEMORY", "DISK", "VCPUS", "LOAD", "REFUSED BY", "WHY"];
    let sentence = match explanation.host {
        Some(host) => format!("A guest of {size} goes to {host}."),
        None => format!("A guest of {size} fits on none of {} hosts.", fleet.hosts().len()),
    };
    format!("{}\n\n{sentence}", table(output, &headings, rows))
}

fn scored_row(name: &str, score: &Score) -> Vec<Cell> {
    let number = |value: f64| Cell::number(format!("{value:.4}"));
    let mut row = vec![Cell::text(name), number(score.total).tone(Tone::Good)];
    row.extend(score.spread.map(number));
    row.extend([Cell::none(), Cell::none()]);
    row
}

fn refused_row(host: &Explained<'_>) -> Option<Vec<Cell>> {
    let mut row = vec![Cell::text(host.host)];
    row.extend([(); 5].map(|()| Cell::none()));
    row.push(Cell::text(host.filter?).tone(Tone::Bad));
    row.push(Cell::text(host.reason.as_ref()?));
    Some(row)
}

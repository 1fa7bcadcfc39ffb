//! `honcho placement`: where a guest would go, and what each host says to it.

use crate::age::age;
use crate::clean::clean;
use crate::command_error::CommandError;
use crate::completion::{accounts, guests};
use crate::context::Context;
use crate::ganeti_file::{GanetiArguments, GuestSize, guest_size};
use crate::output::{Output, Tone};
use crate::resolve::{self, Cancelled};
use crate::table::{Cell, table};
use crate::values::size_text;
use crate::waiting::{self, WaitArguments};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Placement, PlacementHost, PlannedMove};
use honcho_placement::{Decision, Filter, Fleet, Request, Rules, Score, Verdict, place};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum PlacementCommand {
    /// Why a guest is where it is; or, of a Ganeti cluster, where one of a size would go
    #[command(after_help = "\
A host is refused by the first filter that it does not pass, or scored: the lower, the more
evenly would guests be spread with this one on it. The parts of a score are the standard
deviations over all hosts of free memory, free disk, vCPUs per CPU and load.

Kept with a guest are how many hosts each filter refused and the ten best. Where a new guest
would go, with every host: honcho guest create --dry-run.

Examples:
  honcho placement explain web3
  honcho placement explain --ganeti cluster.data --size 2G,2cpu,20G")]
    Explain {
        /// The guest: its name or id
        #[arg(value_name = "GUEST", required_unless_present = "ganeti", conflicts_with = "ganeti",
            add = ArgValueCandidates::new(guests))]
        guest: Option<String>,
        /// The account that owns it, where several have a guest of that name
        #[arg(long, value_name = "ACCOUNT", conflicts_with = "ganeti", add = ArgValueCandidates::new(accounts))]
        account: Option<String>,
        #[command(flatten)]
        ganeti: GanetiArguments,
        /// Memory, vCPUs and disk; a disk outside the nodes is 0
        #[arg(long, value_name = "MEMORY,VCPUS,DISK", value_parser = guest_size, required_unless_present = "guest",
            requires = "ganeti")]
        size: Option<GuestSize>,
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

pub(crate) async fn run(context: &Context, command: &PlacementCommand) -> Result<(), CommandError> {
    match command {
        PlacementCommand::Explain { guest: Some(guest), account, .. } => {
            let guest = resolve::guest(context, guest, account.as_deref(), Cancelled::Too).await?;
            let path = format!("/v1/guests/{}/placement.json", guest.id);
            let placement: Placement = context.client()?.get_path(&path, &[]).await?;
            show(context, &clean(&guest.name), &placement)
        }
        PlacementCommand::Explain { ganeti, size, .. } => {
            let size = size
                .ok_or_else(|| CommandError::usage("--size is needed: memory, vCPUs and disk of a guest"))?;
            let file = ganeti.read()?;
            let fleet = file.cluster.fleet(file.group, Rules::default());
            let request = size.request();
            let decision = place(&fleet, &request);
            let explanation = explain(&fleet, &request, &decision);
            let output = &context.output;
            if output.json {
                return output.json(&explanation);
            }
            output.page(&text(output, &fleet, &decision, &explanation, size))
        }
    }
}

/// A decision of the brain's: why a guest is where it is, or where it would go.
pub(crate) fn show(context: &Context, name: &str, placement: &Placement) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(placement);
    }
    let mut parts = Vec::new();
    let hosts = placement.hosts.as_ref().or(placement.best.as_ref());
    if hosts.is_some_and(|hosts| !hosts.is_empty()) {
        parts.push(table_of(output, placement));
    }
    let refused: Vec<String> = placement
        .refused
        .iter()
        .flatten()
        .map(|count| format!("{} by {}", count.hosts, clean(&count.filter)))
        .collect();
    if placement.hosts.is_none() && !refused.is_empty() {
        parts.push(format!("Hosts that could not take it: {}.", refused.join(", ")));
    }
    parts.push(sentence(output, name, placement));
    output.page(&parts.join("\n\n"))
}

/// What each host says: all of them, or the best ones where no more is known.
pub(super) fn table_of(output: &Output, placement: &Placement) -> String {
    let hosts = placement.hosts.as_ref().or(placement.best.as_ref());
    let headings = ["HOST", "SCORE", "MEMORY", "DISK", "VCPUS", "LOAD", "OWNER", "REFUSED BY", "WHY"];
    table(output, &headings, hosts.into_iter().flatten().map(host_row).collect())
}

fn sentence(output: &Output, name: &str, placement: &Placement) -> String {
    let would = placement.guest_id.is_none();
    match (&placement.host, would, placement.decided_at) {
        (Some(host), true, _) => format!("{name} would go to {}. Nothing was made.", clean(host)),
        (Some(host), false, at) => {
            let when = at.map_or_else(String::new, |at| format!(" {}", age(at, output.now())));
            let inputs = placement
                .inputs
                .as_deref()
                .map_or_else(String::new, |inputs| format!(" (as of {})", clean(inputs)));
            format!("{name} was placed on {}{when}{inputs}.", clean(host))
        }
        (None, true, _) if placement.placed => format!("{name} would find room. Nothing was made."),
        (None, true, _) => format!(
            "{name} would find no room: {}.",
            clean(placement.reason.as_deref().unwrap_or("nobody says why"))
        ),
        (None, false, Some(at)) => format!("{name} was placed {}.", age(at, output.now())),
        (None, false, None) => {
            format!("{name} was placed before decisions were kept: nobody knows why it is there.")
        }
    }
}

fn host_row(host: &PlacementHost) -> Vec<Cell> {
    let number =
        |value: Option<f64>| value.map_or_else(Cell::none, |value| Cell::number(format!("{value:.4}")));
    vec![
        Cell::text(&host.host),
        number(host.score).tone(Tone::Good),
        number(host.memory_spread),
        number(host.disk_spread),
        number(host.vcpus_spread),
        number(host.load_spread),
        number(host.owner_part),
        Cell::maybe(host.filter.as_ref()).tone(Tone::Bad),
        Cell::maybe(host.reason.as_ref()),
    ]
}

/// Planned moves, in their order.
pub(crate) fn moves(output: &Output, moves: &[PlannedMove]) -> String {
    let scored = moves.iter().any(|one| one.score_after.is_some());
    let ordered = moves.iter().any(|one| one.operation_id.is_some());
    let row = |(one, number): (&PlannedMove, i64)| {
        let mut row = vec![
            Cell::number(number),
            Cell::text(&one.guest),
            Cell::text(&one.from_host),
            Cell::text(&one.to_host),
            Cell::size(one.copied_bytes),
        ];
        if scored {
            let score = one.score_after.map(|score| Cell::number(format!("{score:.8}")));
            row.push(score.unwrap_or_else(Cell::none));
        }
        if ordered {
            row.push(one.operation_id.map_or_else(Cell::none, Cell::number));
        }
        row
    };
    let mut headings = vec!["MOVE", "GUEST", "FROM", "TO", "COPIED"];
    headings.extend(scored.then_some("SCORE AFTER"));
    headings.extend(ordered.then_some("OPERATION"));
    table(output, &headings, moves.iter().zip(1_i64..).map(row).collect())
}

/// What making these moves comes to, before somebody says yes.
pub(crate) fn said_of(moves: &[PlannedMove]) -> String {
    let copied: i64 = moves.iter().map(|one| one.copied_bytes).sum();
    match moves.len() {
        0 => "move no guest".to_owned(),
        1 => format!("move 1 guest ({}): it is off while its disk is copied", size_text(copied)),
        count => format!("move {count} guests ({}): each is off while its disk is copied", size_text(copied)),
    }
}

/// After moves were ordered: waits for all of them if that was said, and says where to look if not.
pub(crate) async fn moved(
    context: &Context,
    moves: &[PlannedMove],
    wait: &WaitArguments,
) -> Result<(), CommandError> {
    let ordered: Vec<i64> = moves.iter().filter_map(|one| one.operation_id).collect();
    let left = moves.len() - ordered.len();
    if left > 0 {
        context.output.note(&format!("{left} of them cannot be moved any more: something changed meanwhile"));
    }
    if !wait.wait {
        if !ordered.is_empty() {
            context.output.note(
                "`honcho operation list --kind move --state open` shows how they go; --wait waits for them",
            );
        }
        return Ok(());
    }
    let deadline = tokio::time::Instant::now() + wait.patience.wait_timeout;
    let mut failed = None;
    for id in ordered {
        let operation = context.client()?.operation(id).await?;
        let ended = waiting::until_ended(context, operation, wait.patience, deadline).await?;
        if !context.output.json {
            context.output.print(&waiting::ended_line(&ended))?;
        }
        // The others are waited for all the same.
        failed = failed.or(waiting::judge(&ended).err());
    }
    failed.map_or(Ok(()), Err)
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

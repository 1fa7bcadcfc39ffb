//! `honcho balance`: moves that spread guests more evenly, planned for the brain's fleet or for a file of Ganeti's.

use crate::command_error::CommandError;
use crate::context::Context;
use crate::ganeti_file::{GanetiArguments, GanetiFile};
use crate::output::Output;
use crate::question::{Answer, ConfirmArguments};
use crate::table::{Cell, table};
use crate::values::{size, size_text};
use crate::waiting::WaitArguments;
use honcho_placement::ganeti::{Cluster, GroupSpread, write};
use honcho_placement::spread::{self, Limits, Outcome, Place, Spread};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Each move is legal when its turn comes: there is memory, disk and vCPUs for it, no two guests
with the same exclusion tag meet, and no node loses the memory that mirrored guests need (N+1).
The score is Ganeti's own, 0 is perfect: what `hbal -l 0` says of the same file. Instances on
plain disks stay where they are, as with hbal.

Of the brain's own fleet this is a plan until --apply makes the moves: two at a time for each host,
in the plan's order, each guest stopped while its disk is copied (honcho guest move --help).

Examples:
  honcho balance --max-moves 20 --max-cost 500
  honcho balance --max-moves 20 --apply --wait
  honcho balance --ganeti cluster.data
  honcho balance --ganeti cluster.data --max-moves 20 --max-cost 500 --save after.data
  honcho balance --ganeti cluster.data --json | jq '.moves | length'")]
pub(crate) struct BalanceArguments {
    #[command(flatten)]
    ganeti: GanetiArguments,
    /// Move no more guests than this
    #[arg(long, value_name = "N")]
    max_moves: Option<usize>,
    /// Copy no more than this: a number of GiB, or a size as in 2T; disks outside the nodes cost nothing
    #[arg(long, value_name = "GIB", value_parser = cost)]
    max_cost: Option<i64>,
    /// By how much a move must lower the score to be worth its trouble [default: 0.03 at 20 nodes, less at more]
    #[arg(long, value_name = "SCORE", value_parser = gain)]
    min_gain: Option<f64>,
    /// Write the cluster as it is after the moves, with free memory and disk reckoned anew, for `hbal -t OUT -l 0`
    #[arg(long, value_name = "OUT", requires = "ganeti")]
    save: Option<PathBuf>,
    /// Make the moves, of the brain's own fleet
    #[arg(long, conflicts_with = "ganeti")]
    apply: bool,
    #[command(flatten)]
    confirm: ConfirmArguments,
    #[command(flatten)]
    wait: WaitArguments,
}

/// What may be copied, in MiB: a number alone is GiB.
fn cost(text: &str) -> Result<i64, String> {
    match text.parse::<i64>() {
        Ok(gib @ 0..=1_000_000_000) => Ok(gib << 10),
        Ok(_) => Err("write how many GiB may be copied, or a size as in 2T".to_owned()),
        Err(_) => size(text).map(|bytes| bytes >> 20),
    }
}

fn gain(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(gain) if gain.is_finite() && gain >= 0.0 => Ok(gain),
        _ => Err("write a number that is not negative, as in 0.01".to_owned()),
    }
}

#[derive(Serialize)]
struct Plan<'a> {
    score_before: f64,
    score_after: f64,
    moves: Vec<PlannedMove<'a>>,
    seconds: f64,
}

#[derive(Serialize)]
struct PlannedMove<'a> {
    guest: &'a str,
    from: &'a str,
    to: &'a str,
    secondary_from: Option<&'a str>,
    secondary_to: Option<&'a str>,
    score_after: f64,
    cost_gib: f64,
    #[serde(skip)]
    cost_bytes: i64,
}

pub(crate) async fn run(context: &Context, arguments: &BalanceArguments) -> Result<(), CommandError> {
    if !arguments.ganeti.is_given() {
        return of_brain(context, arguments).await;
    }
    let output = &context.output;
    let GanetiFile { mut cluster, group, .. } = arguments.ganeti.read()?;
    let begun = output.now();
    let mut group = cluster.spread(group);
    let before = group.spread.clone();
    let limits =
        Limits { max_moves: arguments.max_moves, max_cost: arguments.max_cost, min_gain: arguments.min_gain };
    let outcome = spread::balance(&mut group.spread, &limits);
    let seconds = output.now().duration_since(begun).as_secs_f64();
    let names = cluster.clone();
    if let Some(file) = &arguments.save {
        cluster.apply(&group, &outcome.steps);
        std::fs::write(file, write(&cluster)).map_err(|error| {
            CommandError::failed(format!("cannot write {}", file.display())).cause(&error)
        })?;
    }
    let plan = plan(&names, &group, &outcome, seconds);
    if output.json { output.json(&plan) } else { output.page(&text(output, &plan, &before, &group.spread)) }
}

/// A plan for the brain's own fleet.
async fn of_brain(context: &Context, arguments: &BalanceArguments) -> Result<(), CommandError> {
    let asked = [
        ("max_moves", arguments.max_moves.map(|moves| moves.to_string())),
        ("max_cost_bytes", arguments.max_cost.map(|mib| (mib << 20).to_string())),
        ("min_gain", arguments.min_gain.map(|gain| gain.to_string())),
    ];
    let query: Vec<_> = asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let plan: honcho_api::Balance = context.client()?.get_path("/v1/balance.json", &query).await?;
    let output = &context.output;
    let apply = arguments.apply && !arguments.confirm.dry_run;
    if output.json && !apply {
        return output.json(&plan);
    }
    if plan.moves.is_empty() && !output.json {
        return output.print(&format!(
            "The score is {:.8}: no move is allowed that is worth its trouble.",
            plan.score_before
        ));
    }
    if !apply {
        return output.page(&format!(
            "{}\n\nThe score would go from {:.8} to {:.8}. This is a plan: --apply makes the moves.",
            super::placement::moves(output, &plan.moves),
            plan.score_before,
            plan.score_after
        ));
    }
    if arguments.confirm.ask(context, &super::placement::said_of(&plan.moves))? == Answer::Stop {
        return Ok(());
    }
    let made: honcho_api::Balance = context.client()?.post_path("/v1/balance.json", &query).await?;
    if output.json {
        output.json(&made)?;
    } else {
        output.page(&super::placement::moves(output, &made.moves))?;
    }
    super::placement::moved(context, &made.moves, &arguments.wait).await
}

#[expect(clippy::cast_precision_loss, reason = "no disk has 2^52 MiB")]
fn plan<'a>(cluster: &'a Cluster, group: &GroupSpread, outcome: &Outcome, seconds: f64) -> Plan<'a> {
    let name = |host: u32| cluster.nodes[group.nodes[host as usize]].name.as_str();
    let mirror = |place: Place| place.secondary.map(name);
    let moves = outcome.steps.iter().map(|step| PlannedMove {
        guest: &cluster.instances[group.instance(step.guest)].name,
        from: name(step.from.primary),
        to: name(step.to.primary),
        secondary_from: mirror(step.from),
        secondary_to: mirror(step.to),
        score_after: step.score_after,
        cost_gib: step.cost as f64 / 1024.0,
        cost_bytes: step.cost << 20,
    });
    Plan {
        score_before: outcome.score_before,
        score_after: outcome.score_after,
        moves: moves.collect(),
        seconds,
    }
}

fn text(output: &Output, plan: &Plan<'_>, before: &Spread, after: &Spread) -> String {
    let broken = broken(before, after);
    if plan.moves.is_empty() {
        return format!(
            "The score is {:.8}: no move is allowed that is worth its trouble.{broken}",
            plan.score_before
        );
    }
    let place = |primary: &str, secondary: Option<&str>| match secondary {
        Some(secondary) => format!("{primary}, mirror {secondary}"),
        None => primary.to_owned(),
    };
    let rows = plan.moves.iter().zip(1_i64..).map(|(one, number)| {
        vec![
            Cell::number(number),
            Cell::text(one.guest),
            Cell::text(place(one.from, one.secondary_from)),
            Cell::text(place(one.to, one.secondary_to)),
            Cell::number(format!("{:.8}", one.score_after)),
            Cell::size(one.cost_bytes),
        ]
    });
    let copied: i64 = plan.moves.iter().map(|one| one.cost_bytes).sum();
    let count = plan.moves.len();
    format!(
        "{}\n\nThe score goes from {:.8} to {:.8} by {count} {}; {} copied.{broken}",
        table(output, &["MOVE", "GUEST", "FROM", "TO", "SCORE AFTER", "COPIED"], rows.collect()),
        plan.score_before,
        plan.score_after,
        if count == 1 { "move" } else { "moves" },
        if copied == 0 { "nothing is".to_owned() } else { format!("{} are", size_text(copied)) },
    )
}

/// What was broken before the moves, and how much of it is mended: nothing, where all was well.
fn broken(before: &Spread, after: &Spread) -> String {
    let mut text = String::new();
    let hosts = (before.hosts_without_n_plus_one(), after.hosts_without_n_plus_one());
    if hosts.0 > 0 {
        let _ = write!(
            text,
            "\nN+1: on {} nodes not all mirrored guests could be started, after the moves on {}.",
            hosts.0, hosts.1
        );
    }
    let guests = (before.crowded_guests(), after.crowded_guests());
    if guests.0 > 0 {
        let _ = write!(
            text,
            "\nExclusion tags: {} guests share a node with one of the same tag, after the moves {}.",
            guests.0, guests.1
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_gib_or_a_size() {
        assert_eq!(cost("500"), Ok(500 << 10));
        assert_eq!(cost("2T"), Ok(2 << 20));
        assert_eq!(cost("0"), Ok(0));
        assert!(cost("-1").is_err() && cost("much").is_err());
        assert_eq!(gain("0.01"), Ok(0.01));
        assert!(gain("-0.01").is_err() && gain("NaN").is_err());
    }
}

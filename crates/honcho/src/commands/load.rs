//! `honcho guest load` and `honcho host load`: what they took over time, as figures and lines of a line's height.

use crate::command_error::CommandError;
use crate::completion::hosts;
use crate::context::Context;
use crate::resolve::{self, Cancelled, GuestArgument};
use crate::table::{Cell, table};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Host, Load};

/// How many signs a line has.
const WIDTH: usize = 48;

/// Where nobody looked.
const GAP: char = '·';

const GUEST_EXAMPLES: &str = "\
Memory is what the guest's process holds on its host. A dot in a line is a time at which nobody looked: the guest did not run, \
or its host was silent.

Examples:
  honcho guest load web1
  honcho guest load web1 --span 90d
  honcho guest load web1 --json | jq '.cpus | map(select(. != null)) | max'";

const HOST_EXAMPLES: &str = "\
Disks and networks are the machine's own: what is stacked on them counts once. A dot in a line is a time at which nobody looked.

Examples:
  honcho host load h1
  honcho host load h1 --span 2d";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = GUEST_EXAMPLES)]
pub(crate) struct GuestLoadArguments {
    #[command(flatten)]
    guest: GuestArgument,
    #[command(flatten)]
    span: SpanArgument,
}

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HOST_EXAMPLES)]
pub(crate) struct HostLoadArguments {
    /// Name or id
    #[arg(add = ArgValueCandidates::new(hosts))]
    host: String,
    #[command(flatten)]
    span: SpanArgument,
}

#[derive(Clone, Debug, clap::Args)]
struct SpanArgument {
    /// How far back: each minute of 6 hours, every five of 2 days, each hour of 90 days
    #[arg(long, default_value = "6h", value_parser = ["6h", "2d", "90d"])]
    span: String,
}

pub(crate) async fn of_guest(context: &Context, arguments: &GuestLoadArguments) -> Result<(), CommandError> {
    let guest = arguments.guest.find(context, Cancelled::Too).await?;
    show(context, &format!("/v1/guests/{}/load.json", guest.id), &arguments.span).await
}

pub(crate) async fn of_host(context: &Context, arguments: &HostLoadArguments) -> Result<(), CommandError> {
    let host: Host = resolve::one(context, &arguments.host).await?;
    show(context, &format!("/v1/hosts/{}/load.json", host.id), &arguments.span).await
}

async fn show(context: &Context, path: &str, span: &SpanArgument) -> Result<(), CommandError> {
    let load: Load = context.client()?.get_path(path, &[("span", span.span.clone())]).await?;
    if context.output.json {
        return context.output.json(&load);
    }
    let rows: Vec<Vec<Cell>> =
        measured(&load).into_iter().map(|(name, values, unit)| row(name, values, unit)).collect();
    let last = format!("LAST {}", load.span.to_uppercase());
    context.output.print(&table(&context.output, &["OF", "NOW", "MEAN", "MOST", &last], rows))
}

/// What a value is counted in.
#[derive(Clone, Copy)]
enum Unit {
    Processors,
    Bytes,
    BytesPerSecond,
    PerSecond,
}

fn measured(load: &Load) -> Vec<(&'static str, &[Option<f64>], Unit)> {
    let mut measured: Vec<(&'static str, &[Option<f64>], Unit)> = vec![
        ("processors", &load.cpus, Unit::Processors),
        ("processors, peak", &load.cpus_peak, Unit::Processors),
        ("memory", &load.memory_bytes, Unit::Bytes),
        ("disk, read", &load.disk_read, Unit::BytesPerSecond),
        ("disk, written", &load.disk_written, Unit::BytesPerSecond),
        ("disk, reads", &load.disk_reads, Unit::PerSecond),
        ("disk, writes", &load.disk_writes, Unit::PerSecond),
        ("network, received", &load.received, Unit::BytesPerSecond),
        ("network, sent", &load.sent, Unit::BytesPerSecond),
    ];
    if let Some(filled) = &load.filled_bytes {
        measured.push(("pools, filled", filled, Unit::Bytes));
    }
    // On the finest span a peak is the same.
    measured.retain(|(name, ..)| *name != "processors, peak" || load.step_seconds > 60);
    measured
}

fn row(name: &str, values: &[Option<f64>], unit: Unit) -> Vec<Cell> {
    let known: Vec<f64> = values.iter().copied().flatten().collect();
    let said = |value: Option<f64>| value.map_or_else(Cell::none, |value| Cell::number(words(value, unit)));
    // The last step is not over, and there may be nothing of it yet.
    let now = values.iter().rev().take(3).copied().flatten().next();
    vec![
        Cell::text(name),
        said(now),
        said(mean(&known)),
        said(known.iter().copied().reduce(f64::max)),
        Cell::text(line(values)),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn words(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Processors => format!("{value:.2}"),
        Unit::Bytes => bytes(value),
        Unit::BytesPerSecond => format!("{}/s", bytes(value)),
        Unit::PerSecond if value < 10.0 => format!("{value:.1}/s"),
        Unit::PerSecond => format!("{value:.0}/s"),
    }
}

/// About so many bytes.
fn bytes(value: f64) -> String {
    let mut value = value;
    if value == 0.0 {
        return "0".to_owned();
    }
    for unit in ["B", "K", "M", "G", "T"] {
        if value < 1000.0 || unit == "T" {
            return if value < 10.0 && unit != "B" {
                format!("{value:.1}{unit}")
            } else {
                format!("{value:.0}{unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.0}")
}

/// A line of the height of a line: from nothing to the most there is.
fn line(values: &[Option<f64>]) -> String {
    const SIGNS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let per_sign = values.len().div_ceil(WIDTH).max(1);
    let parts: Vec<Option<f64>> = values
        .chunks(per_sign)
        .map(|part| mean(&part.iter().copied().flatten().collect::<Vec<f64>>()))
        .collect();
    let most = parts.iter().copied().flatten().fold(0.0, f64::max);
    let sign = |part: &Option<f64>| {
        let Some(value) = part else { return GAP };
        if most <= 0.0 {
            return SIGNS[0];
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
        let height = (value / most * 7.0).round() as usize;
        SIGNS[height.min(7)]
    };
    parts.iter().map(sign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_words() {
        let mut values = vec![None; 360];
        values[0] = Some(4.0);
        values[8] = Some(0.0);
        values[359] = Some(2.0);
        let drawn = line(&values);
        assert_eq!(drawn.chars().count(), 45);
        assert!(drawn.starts_with("█▁··") && drawn.ends_with("·▅"), "{drawn}");
        assert_eq!(line(&[None, None]), "··");
        assert_eq!(line(&[Some(0.0)]), "▁");
        let words = [0.0, 512.0, 1500.0, 3e9, 5e13, 1e17].map(bytes);
        assert_eq!(words, ["0", "512B", "1.5K", "2.8G", "45T", "90949T"]);
    }
}

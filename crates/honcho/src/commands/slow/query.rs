//! `honcho slow query`: all about one query.

use super::words::{RangeArguments, for_each_sent, known_of, seconds, sparkline, times};
use crate::age::age;
use crate::clean::clean;
use crate::command_error::CommandError;
use crate::context::Context;
use honcho_api::{SlowBin, SlowPoint, SlowQuery, SlowQueryDetails, SlowServer, SlowShare};
use std::fmt::Write as _;

pub(super) const EXAMPLES: &str = "\
Of the last seven days, compared with the seven before, unless --since says otherwise. Its sample is the slowest one ever. Who asks \
is known by the day (UTC).

Examples:
  honcho slow query 42
  honcho slow query 42 --since 48h
  honcho slow query 42 --json | jq '.series[] | [.begins_at, .p95_seconds]'";

/// How wide text is broken, and how much room pictures have.
const WIDTH: usize = 100;
const BARS: usize = 40;
/// So many of those who ask are shown.
const MOST_NAMES: usize = 5;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct QueryArguments {
    /// The query's id, as `honcho slow queries` shows it
    id: i64,
    #[command(flatten)]
    range: RangeArguments,
}

pub(super) async fn run(context: &Context, arguments: &QueryArguments) -> Result<(), CommandError> {
    let query = arguments.range.query(context.output.now())?;
    let path = format!("/v1/slow_queries/{}.json", arguments.id);
    let found: SlowQueryDetails = context.client()?.get_path(&path, &query).await?;
    if context.output.json {
        return context.output.json(&found);
    }
    let server: SlowServer = context.client()?.get(found.query.slow_server_id).await?;
    context.output.page(text(&found, &server, context.output.now()).trim_end())
}

/// What is printed.
fn text(found: &SlowQueryDetails, server: &SlowServer, now: jiff::Timestamp) -> String {
    let query = &found.query;
    let mut out = format!("query {} of {}: {}", query.id, clean(&found.slow_server_node), query.query_id);
    let mut said = query.flags.clone();
    said.extend((query.state != "new").then(|| query.state.clone()));
    if !said.is_empty() {
        let _ = write!(out, " ({})", said.join(", "));
    }
    out.push('\n');
    let fingerprint = if query.fingerprint.is_empty() {
        "(all queries for which there was no place)"
    } else {
        &query.fingerprint
    };
    wrapped(&mut out, "  ", fingerprint);
    out.push('\n');
    line(&mut out, "server", &known_of(server, now));
    numbers(&mut out, query, now);
    over_time(&mut out, &found.series, &found.resolution);
    histogram(&mut out, &found.histogram);
    for (name, shares) in
        [("databases", &found.by_database), ("users", &found.by_user), ("hosts", &found.by_host)]
    {
        names(&mut out, name, shares);
    }
    for table in &found.tables {
        let columns =
            if table.columns.is_empty() { String::new() } else { format!(" ({})", table.columns.join(", ")) };
        line(&mut out, "table", &format!("{}{columns}", table.name));
    }
    sample(&mut out, found);
    for advice in &query.advice {
        let index = advice.index.as_ref().map_or_else(String::new, |index| {
            format!(": index on {} ({})", index.table, index.columns.join(", "))
        });
        line(&mut out, "advice", &format!("{} ({}){index}", advice.rule, advice.confidence));
        wrapped(&mut out, &" ".repeat(13), &advice.reason);
    }
    for mark in &found.marks {
        let at = mark.at.strftime("%Y-%m-%d %H:%M");
        line(&mut out, "mark", &format!("{at} {} ({}, mark {})", mark.text, mark.actor, mark.id));
    }
    for note in &found.notes {
        let state = note.state.as_ref().map_or_else(String::new, |state| format!("{state}: "));
        let text = format!("{state}{} ({}, {})", note.text, note.actor, age(note.created_at, now));
        line(&mut out, "note", &text);
    }
    out
}

fn numbers(out: &mut String, query: &SlowQuery, now: jiff::Timestamp) {
    if query.events_count == 0 {
        line(out, "time", "it was not asked in this range");
    } else {
        let time = format!(
            "{} ({:.1}% of the server's), mean {}, p50 {}, p95 {}, p99 {}, slowest {}",
            seconds(query.total_seconds),
            query.share * 100.0,
            seconds(query.mean_seconds),
            seconds(query.p50_seconds),
            seconds(query.p95_seconds),
            seconds(query.p99_seconds),
            seconds(query.max_seconds),
        );
        line(out, "time", &time);
        line(out, "count", &query.events_count.to_string());
    }
    if let (Some(before), Some(share)) = (query.before_events_count, query.before_share) {
        let was = match (query.before_mean_seconds, query.before_p95_seconds) {
            (Some(mean), Some(p95)) => {
                format!("{before} times, mean {}, p95 {}, {:.1}%", seconds(mean), seconds(p95), share * 100.0)
            }
            _ => "it was not asked".to_owned(),
        };
        line(out, "before", &was);
    }
    if let (Some(count), Some(mean), Some(p95)) = (query.events_ratio, query.mean_ratio, query.p95_ratio) {
        line(out, "trend", &format!("count {}, mean {}, p95 {}", times(count), times(mean), times(p95)));
    }
    if query.events_count > 0 {
        let ratio = for_each_sent(query.rows_examined_for_each_sent).filter(|_| query.rows_sent_count > 0);
        let ratio = ratio.map_or_else(String::new, |ratio| format!(" ({ratio} read for each sent)"));
        let rows = format!("read {}, sent {}{ratio}", query.rows_examined_count, query.rows_sent_count);
        line(out, "rows", &rows);
        line(out, "locks", &format!("waited {}", seconds(query.lock_seconds)));
    }
    let seen = format!("first {}, last {}", age(query.first_seen_at, now), age(query.last_seen_at, now));
    line(out, "seen", &seen);
}

fn over_time(out: &mut String, series: &[SlowPoint], resolution: &str) {
    let last = &series[series.len().saturating_sub(WIDTH - 20)..];
    let Some(first) = last.first().filter(|_| last.len() > 1) else { return };
    let since = first.begins_at.strftime("%Y-%m-%d %H:%M");
    for (name, value) in [
        ("count", (|point| f64_of(point.events_count)) as fn(&SlowPoint) -> f64),
        ("p95", |point| point.p95_seconds.unwrap_or(0.0)),
    ] {
        let values: Vec<f64> = last.iter().map(value).collect();
        let highest = values.iter().copied().fold(0.0, f64::max);
        let highest = if name == "count" { format!("{highest:.0}") } else { seconds(highest) };
        line(out, name, &format!("|{}| up to {highest}, by {resolution} since {since}", sparkline(&values)));
    }
}

#[expect(clippy::cast_precision_loss, reason = "for a picture")]
fn f64_of(count: i64) -> f64 {
    count as f64
}

fn histogram(out: &mut String, bins: &[SlowBin]) {
    let most = bins.iter().map(|bin| bin.events_count).max().unwrap_or(0);
    for (at, bin) in bins.iter().enumerate() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length")]
        let length = (f64_of(bin.events_count) / f64_of(most.max(1)) * f64_of(40)).ceil() as usize;
        let span = format!("{} to {}", seconds(bin.from_seconds), seconds(bin.below_seconds));
        let bar = "#".repeat(length.min(BARS));
        line(
            out,
            if at == 0 { "took" } else { "" },
            format!("{span:<22} {bar} {}", bin.events_count).trim_end(),
        );
    }
}

fn names(out: &mut String, name: &str, shares: &[SlowShare]) {
    if shares.is_empty() || shares.iter().all(|share| share.name.is_empty()) {
        return;
    }
    let shown = shares.iter().take(MOST_NAMES).map(|share| {
        let name = if share.name.is_empty() { "(not known)" } else { &share.name };
        format!("{name} {:.1}%", share.share * 100.0)
    });
    let mut shown: Vec<String> = shown.collect();
    if shares.len() > MOST_NAMES {
        shown.push(format!("{} more", shares.len() - MOST_NAMES));
    }
    line(out, name, &shown.join(", "));
}

fn sample(out: &mut String, found: &SlowQueryDetails) {
    let query = &found.query;
    if query.sample.is_empty() {
        return;
    }
    let who = format!("{}@{}", query.sample_user, query.sample_host);
    let database = &query.sample_database;
    let within = if database.is_empty() { String::new() } else { format!(" in {database}") };
    line(out, "slowest", &format!("{}, by {who}{within}", query.sample_at.strftime("%Y-%m-%d %H:%M:%S")));
    wrapped(out, &" ".repeat(13), &query.sample);
    if let Some(explain) = &found.explain {
        for row in explain.lines() {
            line(out, "", row);
        }
    }
}

fn line(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "  {name:<10} {}", clean(text));
}

/// Breaks a text between words.
fn wrapped(out: &mut String, indent: &str, text: &str) {
    let mut row = String::new();
    for word in clean(text).split_whitespace() {
        if !row.is_empty() && row.chars().count() + word.chars().count() >= WIDTH - indent.len() {
            let _ = writeln!(out, "{indent}{row}");
            row.clear();
        }
        if !row.is_empty() {
            row.push(' ');
        }
        row.push_str(word);
    }
    let _ = writeln!(out, "{indent}{row}");
}

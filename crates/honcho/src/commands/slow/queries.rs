//! `honcho slow queries`: which queries of a server took the time.

use super::condition;
use crate::clean::clean;
use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use crate::table::{Cell, table};
use honcho_api::{SlowQuery, SlowServer};

pub(super) const EXAMPLES: &str = "\
Ranked by the time they took together, out of the slow logs that the server has sent. Ranges count in whole hours (UTC), of more \
than eight days in whole days. Percentiles are within 0.8 percent. --json has samples (without values) and advice.

Examples:
  honcho slow queries --server guest-7 --since 24h
  honcho slow queries --server db1 --since 2026-11-01 --until 2026-12-01 --top 50
  honcho slow queries --server db1 --json | jq '.[0].advice'";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct QueriesArguments {
    /// The server: its node's name, or id
    #[arg(long, value_name = "NODE")]
    server: String,
    /// From this time on: 2026-11-27, '2026-11-27 06:00', 2h (ago); from the first, if not given
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Show so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
}

pub(super) async fn run(context: &Context, arguments: &QueriesArguments) -> Result<(), CommandError> {
    let now = context.output.now();
    let mut query = vec![("limit", arguments.top.to_string())];
    for (option, text) in [("since", &arguments.since), ("until", &arguments.until)] {
        let Some(text) = text else { continue };
        let time = condition::time(text, now).map_err(|error| {
            CommandError::usage(format!("--{option} {text}: {error}"))
                .hint("as in 2026-11-27, '2026-11-27 06:00', 90m, 2h, 3d, or seconds since 1970")
        })?;
        query.push((option, jiff::Timestamp::from_microsecond(time).unwrap_or(now).to_string()));
    }
    let server: SlowServer = named(context, &arguments.server).await?;
    let path = format!("/v1/slow_servers/{}/queries.json", server.id);
    let queries: Vec<SlowQuery> = context.client()?.get_path(&path, &query).await?;
    if context.output.json {
        return context.output.json(&queries);
    }
    if queries.is_empty() {
        return context.output.print("There were none then.");
    }
    let headings = ["SHARE", "TIME", "COUNT", "MEAN", "P95", "ROWS READ:SENT", "QUERY"];
    context.output.page(&table(&context.output, &headings, queries.iter().map(row).collect()))
}

/// A server by the name of its node, which is nobody else's, or by its id.
async fn named(context: &Context, name: &str) -> Result<SlowServer, CommandError> {
    let by_node = context.client()?.list::<SlowServer>(&[("node", name.to_owned())]).await?;
    let id = name.parse::<i64>().ok();
    match (by_node.into_iter().next(), id) {
        (Some(server), _) => Ok(server),
        (None, Some(id)) => Ok(context.client()?.get(id).await?),
        (None, None) => {
            Err(CommandError::new(Ending::Refused, format!("no slow log of {} has come", clean(name)))
                .hint("honcho slow servers lists those that send some"))
        }
    }
}

fn row(query: &SlowQuery) -> Vec<Cell> {
    let share = format!("{:.1}%", query.share * 100.0);
    let text: String = query.fingerprint.chars().take(160).collect();
    vec![
        Cell::number(share),
        Cell::number(seconds(query.total_seconds)),
        Cell::number(query.events_count),
        Cell::number(seconds(query.mean_seconds)),
        Cell::number(seconds(query.p95_seconds)),
        Cell::number(format!("{}:{}", query.rows_examined_count, query.rows_sent_count)),
        Cell::text(if text.is_empty() { "(others)" } else { &text }),
    ]
}

fn seconds(seconds: f64) -> String {
    match seconds {
        0.0..0.001 => format!("{:.0} µs", seconds * 1e6),
        0.001..1.0 => format!("{:.1} ms", seconds * 1e3),
        1.0..100.0 => format!("{seconds:.2} s"),
        _ => format!("{seconds:.0} s"),
    }
}

//! `honcho slow queries`: which queries took the time, and what became of them.

use super::words::{self, RangeArguments, seconds};
use crate::clean::clean;
use crate::command_error::{CommandError, Ending};
use crate::completion::accounts;
use crate::context::Context;
use crate::output::Tone;
use crate::resolve;
use crate::table::{Cell, table};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, SlowQuery, SlowServer};

pub(super) const EXAMPLES: &str = "\
Ranked by the time they took together, out of the slow logs that came by mail; of one server, or of all servers of an account. Each \
is compared with the range before that is as long: TREND is how many times as often it is asked (n) and how many times as long it takes \
on the average (t). It is `new` if it was never seen before, `worse` or `better` if its days say so: one and a half times as \
slow (or fast) in the middle, and too regularly for chance (honcho slow --help names the guide). Ranges count in whole hours (UTC), of \
more than two days in whole days. Percentiles are within 0.8 percent. What is ignored is left out. --json has samples and advice.

Examples:
  honcho slow queries --server guest-7
  honcho slow queries --account acme --since 24h --flag new --flag worse
  honcho slow queries --server db1 --since 2026-11-20 --until 2026-11-27 --against-since 2026-10-20 --against-until 2026-10-27
  honcho slow queries --server db1 --json | jq '.[0].advice'";

/// The brain gives no more at a time.
const PAGE: usize = 1_000;

/// Of more servers than this not each has a line.
const MOST_SERVERS: usize = 10;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct QueriesArguments {
    /// The server: its node's name, or id
    #[arg(long, value_name = "NODE", required_unless_present = "account", conflicts_with = "account")]
    server: Option<String>,
    /// All servers of this account
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    #[command(flatten)]
    range: RangeArguments,
    /// Only these; may be repeated
    #[arg(long, value_parser = ["new", "looked_at", "accepted", "ignored"])]
    state: Vec<String>,
    /// Only these; may be repeated
    #[arg(long, value_parser = ["new", "worse", "better"])]
    flag: Vec<String>,
    /// Show so many
    #[arg(long, visible_alias = "limit", value_name = "N", default_value_t = 20)]
    top: usize,
    /// Leave out so many first
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: usize,
}

pub(super) async fn run(context: &Context, arguments: &QueriesArguments) -> Result<(), CommandError> {
    let mut query = arguments.range.query(context.output.now())?;
    query.extend(arguments.state.iter().map(|state| ("state", state.clone())));
    query.extend(arguments.flag.iter().map(|flag| ("flag", flag.clone())));
    let (path, servers) = asked(context, arguments).await?;
    let queries = ranked(context, &path, &query, arguments).await?;
    let output = &context.output;
    if output.json {
        return output.json(&queries);
    }
    let above = above(&servers, output.now());
    if queries.is_empty() {
        output.note(&format!("{above}There were none then."));
        return Ok(());
    }
    let mut headings = vec!["ID", "SHARE", "TIME", "COUNT", "MEAN", "P95", "READ:SENT", "TREND", "", "QUERY"];
    if arguments.account.is_some() {
        headings.insert(1, "SERVER");
    }
    let rows = queries.iter().map(|query| {
        let mut cells = row(query);
        if arguments.account.is_some() {
            let server = servers.iter().find(|server| server.id == query.slow_server_id);
            let name =
                server.map_or_else(|| format!("#{}", query.slow_server_id), |server| server.node.clone());
            cells.insert(1, Cell::text(name));
        }
        cells
    });
    output.page(&format!("{above}\n{}", table(output, &headings, rows.collect())))
}

/// As many as are asked for, by as many pages as that takes.
async fn ranked(
    context: &Context,
    path: &str,
    query: &[(&str, String)],
    arguments: &QueriesArguments,
) -> Result<Vec<SlowQuery>, CommandError> {
    let mut queries: Vec<SlowQuery> = Vec::new();
    loop {
        let limit = (arguments.top - queries.len()).min(PAGE);
        let offset = arguments.offset.saturating_add(queries.len());
        let page = [("limit", limit.to_string()), ("offset", offset.to_string())];
        let came: Vec<SlowQuery> = context.client()?.get_path(path, &[query, &page].concat()).await?;
        let last = came.len() < PAGE;
        queries.extend(came);
        if last || queries.len() >= arguments.top {
            return Ok(queries);
        }
    }
}

/// What is known of the servers' logs, a line each.
fn above(servers: &[SlowServer], now: jiff::Timestamp) -> String {
    let line = |server: &SlowServer| format!("{}: {}", clean(&server.node), words::known_of(server, now));
    let mut lines: Vec<String> = servers.iter().take(MOST_SERVERS).map(line).collect();
    if servers.len() > MOST_SERVERS {
        lines.push(format!("and {} more: honcho slow servers lists them", servers.len() - MOST_SERVERS));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What to ask the brain for, and the servers that it is about.
async fn asked(
    context: &Context,
    arguments: &QueriesArguments,
) -> Result<(String, Vec<SlowServer>), CommandError> {
    if let Some(account) = &arguments.account {
        let account: Account = resolve::account(context, account).await?;
        let servers = context.client()?.list::<SlowServer>(&[("account_id", account.id.to_string())]).await?;
        return Ok((format!("/v1/accounts/{}/slow_queries.json", account.id), servers));
    }
    let server = named(context, arguments.server.as_deref().unwrap_or_default()).await?;
    Ok((format!("/v1/slow_servers/{}/queries.json", server.id), vec![server]))
}

/// A server by the name of its node, which is nobody else's, or by its id.
pub(super) async fn named(context: &Context, name: &str) -> Result<SlowServer, CommandError> {
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
    let text: String = query.fingerprint.chars().take(160).collect();
    let mut said: Vec<&str> = query.flags.iter().map(String::as_str).collect();
    said.extend((query.state != "new").then_some(query.state.as_str()));
    let tone = if query.flags.iter().any(|flag| flag == "worse") { Tone::Bad } else { Tone::Plain };
    vec![
        Cell::number(query.id),
        Cell::number(format!("{:.1}%", query.share * 100.0)),
        Cell::number(seconds(query.total_seconds)),
        Cell::number(query.events_count),
        Cell::number(seconds(query.mean_seconds)),
        Cell::number(seconds(query.p95_seconds)),
        Cell::number(
            words::for_each_sent(query.rows_examined_for_each_sent).unwrap_or_else(|| "-".to_owned()),
        ),
        Cell::maybe(trend(query)),
        Cell::text(said.join(" ")).tone(tone),
        Cell::text(if text.is_empty() { "(others)" } else { &text }),
    ]
}

/// Of numbers and of time.
fn trend(query: &SlowQuery) -> Option<String> {
    let count = words::times(query.events_ratio?);
    Some(format!("n {count}, t {}", words::times(query.mean_ratio?)))
}

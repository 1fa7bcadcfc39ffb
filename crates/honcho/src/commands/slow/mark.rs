//! `honcho slow mark`: moments on the time line of slow queries.

use super::queries::named;
use super::words;
use crate::command_error::CommandError;
use crate::completion::accounts;
use crate::context::Context;
use crate::listing::{self, ListArguments, Names};
use crate::resolve;
use crate::table::{Cell, details};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, SlowMark, SlowMarkCreate, SlowServer};

pub(super) const EXAMPLES: &str = "\
A mark is of one server, or of all servers of an account. The hour (UTC) that it is in is neither before it nor after.

Examples:
  honcho slow mark 'shop 4.2 deployed' --account acme
  honcho slow mark 'index on orders (customer_id)' --server guest-7 --at '2026-11-27 06:00'
  honcho slow queries --account acme --before-after 3";

pub(super) const LIST_EXAMPLES: &str = "\
Examples:
  honcho slow marks
  honcho slow marks --account acme --sort=-at";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MarkArguments {
    /// What happened then, in a line
    text: String,
    /// The server: its node's name, or id
    #[arg(long, value_name = "NODE", required_unless_present = "account", conflicts_with = "account")]
    server: Option<String>,
    /// All servers of this account
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    /// When: 2026-11-27, '2026-11-27 06:00', 2h (ago); now, if not given
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MarksArguments {
    /// Only those of this server
    #[arg(long, value_name = "NODE")]
    server: Option<String>,
    /// Only those of this account and its servers
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    #[command(flatten)]
    list: ListArguments,
}

pub(super) async fn run(context: &Context, arguments: &MarkArguments) -> Result<(), CommandError> {
    let at = arguments.at.as_ref().map(|at| words::time("at", at, context.output.now())).transpose()?;
    let account_id = resolve::optional_id::<Account>(context, arguments.account.as_deref()).await?;
    let slow_server_id = match &arguments.server {
        Some(server) => Some(named(context, server).await?.id),
        None => None,
    };
    let body = SlowMarkCreate { account_id, slow_server_id, at, text: Some(arguments.text.clone()) };
    show(context, &context.client()?.create::<SlowMark>(&body).await?)
}

pub(super) async fn delete(context: &Context, id: i64) -> Result<(), CommandError> {
    let mark = context.client()?.delete::<SlowMark, SlowMark>(id, &[]).await?;
    super::super::deleted(context, &mark)
}

fn show(context: &Context, mark: &SlowMark) -> Result<(), CommandError> {
    if context.output.json {
        return context.output.json(mark);
    }
    let rows = vec![
        ("at", Cell::text(mark.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())),
        ("text", Cell::text(&mark.text)),
        ("by", Cell::text(&mark.actor)),
    ];
    context.output.print(&details(&context.output, &format!("mark {}", mark.id), rows))
}

pub(super) async fn list(context: &Context, arguments: &MarksArguments) -> Result<(), CommandError> {
    let mut filters = vec![];
    if let Some(server) = &arguments.server {
        filters.push(("slow_server_id", named(context, server).await?.id.to_string()));
    }
    if let Some(id) = resolve::optional_id::<Account>(context, arguments.account.as_deref()).await? {
        filters.push(("account_id", id.to_string()));
    }
    let marks: Vec<SlowMark> = arguments.list.fetch(context, filters).await?;
    let accounts = Names::of::<Account>(context).await?;
    let servers = Names::of::<SlowServer>(context).await?;
    let headings = ["ID", "AT", "ACCOUNT", "SERVER", "BY", "TEXT"];
    listing::show(context, &marks, "There are no such marks.", &headings, |mark| {
        let server = mark.slow_server_id.map_or_else(|| "(all)".to_owned(), |id| servers.get(id));
        vec![
            Cell::number(mark.id),
            Cell::text(mark.at.strftime("%Y-%m-%d %H:%M").to_string()),
            accounts.cell(mark.account_id),
            Cell::text(server),
            Cell::text(&mark.actor),
            Cell::text(&mark.text),
        ]
    })
}

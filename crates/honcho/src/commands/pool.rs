//! `honcho pool`: the storage of hosts.

use crate::age::age;
use crate::clean::clean;
use crate::command_error::CommandError;
use crate::completion::{hosts, pools};
use crate::context::Context;
use crate::listing::{self, ListArguments, Names};
use crate::output::Tone;
use crate::question::{Answer, ConfirmArguments};
use crate::resolve;
use crate::table::{Cell, details};
use crate::values::size_text;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Host, Pool, PoolCreate};

const CREATE_EXAMPLES: &str = "\
The directory must exist on the host and be empty; where its filesystem can reflink (btrfs, xfs), \
copies are instant.

Example:
  honcho pool create main --host rack1-07 --path /srv/honcho";

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum PoolCommand {
    /// Make a pool on a host
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// Its name, unique on its host
        name: String,
        /// The host
        #[arg(long, value_name = "HOST", add = ArgValueCandidates::new(hosts))]
        host: String,
        /// What it is made of
        #[arg(long, value_parser = ["directory"], default_value = "directory")]
        kind: String,
        /// Absolute path of an empty directory
        #[arg(long, value_name = "DIR")]
        path: String,
    },
    /// List pools
    #[command(
        after_help = "Examples:\n  honcho pools list --host rack1-07\n  honcho pools list --status wrong"
    )]
    List {
        /// Only those of this host
        #[arg(long, value_name = "HOST", add = ArgValueCandidates::new(hosts))]
        host: Option<String>,
        /// Only those of this status
        #[arg(long, value_parser = ["unknown", "blank", "ready", "wrong"])]
        status: Option<String>,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Show one
    Show {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(pools))]
        pool: String,
    },
    /// Delete one that holds nothing any more; its directory stays as it is
    #[command(after_help = "Example:\n  honcho pool delete main")]
    Delete {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(pools))]
        pool: String,
        #[command(flatten)]
        confirm: ConfirmArguments,
    },
}

pub(crate) async fn run(context: &Context, command: PoolCommand) -> Result<(), CommandError> {
    match command {
        PoolCommand::Create { name, host, kind, path } => {
            let host: Host = resolve::one(context, &host).await?;
            let body =
                PoolCreate { host_id: Some(host.id), name: Some(name), kind: Some(kind), path: Some(path) };
            show(context, &context.client()?.create::<Pool>(&body).await?).await
        }
        PoolCommand::List { host, status, list } => {
            let host = resolve::optional_id::<Host>(context, host.as_deref()).await?;
            let mut filters: Vec<_> = host.map(|id| ("host_id", id.to_string())).into_iter().collect();
            filters.extend(status.map(|status| ("status", status)));
            let pools: Vec<Pool> = list.fetch(context, filters).await?;
            let hosts = Names::of::<Host>(context).await?;
            let nothing =
                "There are no such pools: `honcho pool create NAME --host HOST --path DIR` makes one.";
            let headings = ["ID", "NAME", "HOST", "STATUS", "SIZE", "FREE", "PLACED", "PATH"];
            listing::show(context, &pools, nothing, &headings, |pool| {
                vec![
                    Cell::number(pool.id),
                    Cell::text(&pool.name),
                    hosts.cell(Some(pool.host_id)),
                    status_cell(pool),
                    pool.size_bytes.map_or_else(Cell::none, Cell::size),
                    pool.free_bytes.map_or_else(Cell::none, Cell::size),
                    Cell::size(pool.placed_bytes),
                    Cell::text(&pool.path),
                ]
            })
        }
        PoolCommand::Show { pool } => show(context, &resolve::one(context, &pool).await?).await,
        PoolCommand::Delete { pool, confirm } => {
            let pool: Pool = resolve::one(context, &pool).await?;
            let what = format!(
                "delete pool {} (id {}, {} placed): {} on its host stays as it is, and is no pool any more.",
                clean(&pool.name),
                pool.id,
                size_text(pool.placed_bytes),
                clean(&pool.path)
            );
            if confirm.ask(context, &what)? == Answer::Stop {
                return Ok(());
            }
            super::deleted(context, &context.client()?.delete::<Pool, Pool>(pool.id, &[]).await?)
        }
    }
}

fn status_cell(pool: &Pool) -> Cell {
    Cell::text(&pool.status).tone(match pool.status.as_str() {
        "ready" => Tone::Good,
        "wrong" => Tone::Bad,
        _ => Tone::Busy,
    })
}

async fn show(context: &Context, pool: &Pool) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(pool);
    }
    let hosts = Names::of::<Host>(context).await?;
    let rows = vec![
        ("id", Cell::text(pool.id.to_string())),
        ("uuid", Cell::text(pool.uuid.to_string())),
        ("host", hosts.cell(Some(pool.host_id))),
        ("kind", Cell::text(&pool.kind)),
        ("path", Cell::text(&pool.path)),
        ("status", status_cell(pool)),
        ("reason", Cell::maybe(pool.status_reason.as_ref())),
        ("size", Cell::maybe(pool.size_bytes.map(size_text))),
        ("free", Cell::maybe(pool.free_bytes.map(size_text))),
        ("placed", Cell::text(size_text(pool.placed_bytes))),
        ("reflink", Cell::maybe(pool.reflink.map(|reflink| if reflink { "yes" } else { "no" }))),
        ("created", Cell::text(age(pool.created_at, output.now()))),
    ];
    output.print(&details(output, &format!("pool {}", pool.name), rows))
}

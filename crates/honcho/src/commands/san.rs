//! `honcho san`: storage that several hosts reach. Written down only.

use crate::age::age;
use crate::command_error::CommandError;
use crate::completion::{hosts, sans};
use crate::context::Context;
use crate::listing::{self, ListArguments, Names};
use crate::output::Tone;
use crate::question::{Answer, ConfirmArguments};
use crate::resolve;
use crate::table::{Cell, details};
use crate::values::{size, size_text};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Host, San, SanCreate};

const NOTE: &str = "\
A SAN is written down and found again; no agent can use one yet, and no guest is placed on it.

Example:
  honcho san create san1 --target 10.0.9.1:3260 --size 40T --vendor NetApp --host h1 --host h2";

/// What can be said about a SAN.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct SanArguments {
    /// Who made it; '' forgets it, here and below
    #[arg(long, value_name = "TEXT")]
    vendor: Option<String>,
    /// What its maker calls it
    #[arg(long, value_name = "TEXT")]
    model: Option<String>,
    /// Its maker's number for it
    #[arg(long, value_name = "TEXT")]
    serial: Option<String>,
    /// How much it holds
    #[arg(long, value_name = "SIZE", value_parser = size)]
    size: Option<i64>,
    /// A host that reaches it; again for each
    #[arg(long = "host", value_name = "HOST", add = ArgValueCandidates::new(hosts))]
    hosts: Vec<String>,
}

impl SanArguments {
    async fn body(self, context: &Context) -> Result<SanCreate, CommandError> {
        let mut ids = Vec::new();
        for host in &self.hosts {
            ids.push(resolve::one::<Host>(context, host).await?.id);
        }
        Ok(SanCreate {
            vendor: self.vendor.map(super::emptied),
            model: self.model.map(super::emptied),
            serial: self.serial.map(super::emptied),
            size_bytes: self.size.map(Some),
            host_ids: (!ids.is_empty()).then_some(ids),
            ..SanCreate::default()
        })
    }
}

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum SanCommand {
    /// Write a SAN down
    #[command(after_help = NOTE)]
    Create {
        /// Its name: lower-case letters, digits and hyphens
        name: String,
        /// Where hosts reach it: an iSCSI portal or an NFS export
        #[arg(long)]
        target: String,
        #[command(flatten)]
        arguments: SanArguments,
    },
    /// List SANs
    List {
        #[command(flatten)]
        list: ListArguments,
    },
    /// Show one
    Show {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(sans))]
        san: String,
    },
    /// Change one; hosts that are named are then all that reach it
    Update {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(sans))]
        san: String,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        /// Where hosts reach it
        #[arg(long)]
        target: Option<String>,
        #[command(flatten)]
        arguments: SanArguments,
    },
    /// Delete one
    Delete {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(sans))]
        san: String,
        #[command(flatten)]
        confirm: ConfirmArguments,
    },
}

pub(crate) async fn run(context: &Context, command: SanCommand) -> Result<(), CommandError> {
    match command {
        SanCommand::Create { name, target, arguments } => {
            let body = SanCreate { name: Some(name), target: Some(target), ..arguments.body(context).await? };
            show(context, &context.client()?.create::<San>(&body).await?).await
        }
        SanCommand::List { list } => {
            let sans: Vec<San> = list.fetch(context, vec![]).await?;
            let nothing = "There are no SANs: `honcho san create NAME --target TARGET` writes one down.";
            listing::show(
                context,
                &sans,
                nothing,
                &["ID", "NAME", "STATUS", "TARGET", "SIZE", "HOSTS"],
                |san| {
                    vec![
                        Cell::number(san.id),
                        Cell::text(&san.name),
                        Cell::text(&san.status).tone(Tone::Faint),
                        Cell::text(&san.target),
                        san.size_bytes.map_or_else(Cell::none, Cell::size),
                        Cell::number(san.host_ids.len()),
                    ]
                },
            )
        }
        SanCommand::Show { san } => show(context, &resolve::one(context, &san).await?).await,
        SanCommand::Update { san, name, target, arguments } => {
            let san: San = resolve::one(context, &san).await?;
            let body = SanCreate { name, target, ..arguments.body(context).await? };
            show(context, &context.client()?.update::<San>(san.id, &body).await?).await
        }
        SanCommand::Delete { san, confirm } => {
            let san: San = resolve::one(context, &san).await?;
            let what =
                format!("delete SAN {} (id {}): only what is written down about it.", san.name, san.id);
            if confirm.ask(context, &what)? == Answer::Stop {
                return Ok(());
            }
            super::deleted(context, &context.client()?.delete::<San, San>(san.id, &[]).await?)
        }
    }
}

async fn show(context: &Context, san: &San) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(san);
    }
    let hosts = Names::of::<Host>(context).await?;
    let reaching: Vec<String> = san.host_ids.iter().map(|id| hosts.get(*id)).collect();
    let rows = vec![
        ("id", Cell::text(san.id.to_string())),
        ("uuid", Cell::text(san.uuid.to_string())),
        ("status", Cell::text(&san.status)),
        ("reason", Cell::maybe(san.status_reason.as_ref())),
        ("target", Cell::text(&san.target)),
        ("size", Cell::maybe(san.size_bytes.map(size_text))),
        ("vendor", Cell::maybe(san.vendor.as_ref())),
        ("model", Cell::maybe(san.model.as_ref())),
        ("serial", Cell::maybe(san.serial.as_ref())),
        ("hosts", Cell::maybe((!reaching.is_empty()).then(|| reaching.join(", ")))),
        ("created", Cell::text(age(san.created_at, output.now()))),
    ];
    output.print(&details(output, &format!("SAN {}", san.name), rows))
}

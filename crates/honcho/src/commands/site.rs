//! `honcho site`: where racks stand.

use crate::age::age;
use crate::command_error::CommandError;
use crate::completion::sites;
use crate::context::Context;
use crate::listing::{self, ListArguments};
use crate::question::{Answer, ConfirmArguments};
use crate::resolve;
use crate::table::{Cell, details};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Site, SiteCreate};

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum SiteCommand {
    /// Make a site
    #[command(
        after_help = "Example:\n  honcho site create fra1 --location 'Hanauer Landstr. 302, Frankfurt, room 4'"
    )]
    Create {
        /// Its name: lower-case letters, digits and hyphens
        name: String,
        /// Where it is
        #[arg(long, value_name = "TEXT")]
        location: Option<String>,
    },
    /// List sites
    #[command(after_help = "Example:\n  honcho sites list --sort name")]
    List {
        #[command(flatten)]
        list: ListArguments,
    },
    /// Show one
    Show {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(sites))]
        site: String,
    },
    /// Change one
    #[command(after_help = "Example:\n  honcho site update fra1 --name fra-one --location ''")]
    Update {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(sites))]
        site: String,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        /// Where it is; '' forgets it
        #[arg(long, value_name = "TEXT")]
        location: Option<String>,
    },
    /// Delete one in which nothing is
    Delete {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(sites))]
        site: String,
        #[command(flatten)]
        confirm: ConfirmArguments,
    },
}

pub(crate) async fn run(context: &Context, command: SiteCommand) -> Result<(), CommandError> {
    match command {
        SiteCommand::Create { name, location } => {
            let body = SiteCreate { name: Some(name), location: location.map(Some) };
            show(context, &context.client()?.create::<Site>(&body).await?)
        }
        SiteCommand::List { list } => {
            let sites: Vec<Site> = list.fetch(context, vec![]).await?;
            let nothing = "There are no sites yet: `honcho site create NAME` makes one.";
            listing::show(context, &sites, nothing, &["ID", "NAME", "RACKS", "HOSTS", "LOCATION"], |site| {
                vec![
                    Cell::number(site.id),
                    Cell::text(&site.name),
                    Cell::number(site.racks_count),
                    Cell::number(site.hosts_count),
                    Cell::maybe(site.location.as_ref()),
                ]
            })
        }
        SiteCommand::Show { site } => show(context, &resolve::one(context, &site).await?),
        SiteCommand::Update { site, name, location } => {
            let site: Site = resolve::one(context, &site).await?;
            let body = SiteCreate { name, location: location.map(super::emptied) };
            show(context, &context.client()?.update::<Site>(site.id, &body).await?)
        }
        SiteCommand::Delete { site, confirm } => {
            let site: Site = resolve::one(context, &site).await?;
            let holds = format!("it holds {} racks and {} hosts", site.racks_count, site.hosts_count);
            let what = format!("delete site {} (id {}): {holds}.", site.name, site.id);
            if confirm.ask(context, &what)? == Answer::Stop {
                return Ok(());
            }
            super::deleted(context, &context.client()?.delete::<Site, Site>(site.id, &[]).await?)
        }
    }
}

fn show(context: &Context, site: &Site) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(site);
    }
    let rows = vec![
        ("id", Cell::text(site.id.to_string())),
        ("uuid", Cell::text(site.uuid.to_string())),
        ("location", Cell::maybe(site.location.as_ref())),
        ("racks", Cell::text(site.racks_count.to_string())),
        ("hosts", Cell::text(site.hosts_count.to_string())),
        ("created", Cell::text(age(site.created_at, output.now()))),
    ];
    output.print(&details(output, &format!("site {}", site.name), rows))
}

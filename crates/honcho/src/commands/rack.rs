//! `honcho rack`: what hosts are screwed into.

mod drawing;

use crate::command_error::CommandError;
use crate::completion::{racks, sites};
use crate::context::Context;
use crate::listing::{self, ListArguments, Names};
use crate::question::{Answer, ConfirmArguments};
use crate::resolve;
use crate::table::{Cell, details};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Host, Rack, RackCreate, Site};

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum RackCommand {
    /// Make a rack
    #[command(after_help = "Example:\n  honcho rack create r1 --site fra1 --height 47")]
    Create {
        /// Its name, unique in its site
        name: String,
        /// The site it stands in
        #[arg(long, value_name = "SITE", add = ArgValueCandidates::new(sites))]
        site: String,
        /// How many units it has
        #[arg(long, value_name = "UNITS", default_value_t = honcho_model::rack::USUAL_HEIGHT)]
        height: i64,
    },
    /// List racks
    #[command(after_help = "Example:\n  honcho racks list --site fra1")]
    List {
        /// Only those of this site
        #[arg(long, value_name = "SITE", add = ArgValueCandidates::new(sites))]
        site: Option<String>,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Show one with what is in it, from the top
    #[command(
        after_help = "Examples:\n  honcho rack show r1\n  honcho rack show r1 --json | jq '.units[] | select(.host == null) | .unit'"
    )]
    Show {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(racks))]
        rack: String,
    },
    /// Change one; what is in it moves with it
    #[command(after_help = "Example:\n  honcho rack update r1 --height 42 --site fra2")]
    Update {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(racks))]
        rack: String,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        /// The site it stands in
        #[arg(long, value_name = "SITE", add = ArgValueCandidates::new(sites))]
        site: Option<String>,
        /// How many units it has
        #[arg(long, value_name = "UNITS")]
        height: Option<i64>,
    },
    /// Delete one in which nothing is
    Delete {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(racks))]
        rack: String,
        #[command(flatten)]
        confirm: ConfirmArguments,
    },
}

pub(crate) async fn run(context: &Context, command: RackCommand) -> Result<(), CommandError> {
    match command {
        RackCommand::Create { name, site, height } => {
            let site: Site = resolve::one(context, &site).await?;
            let body = RackCreate { name: Some(name), site_id: Some(site.id), height_units: Some(height) };
            show(context, &context.client()?.create::<Rack>(&body).await?).await
        }
        RackCommand::List { site, list } => {
            let site = resolve::optional_id::<Site>(context, site.as_deref()).await?;
            let filters = site.map(|id| ("site_id", id.to_string())).into_iter().collect();
            let racks: Vec<Rack> = list.fetch(context, filters).await?;
            let sites = Names::of::<Site>(context).await?;
            let nothing = "There are no such racks: `honcho rack create NAME --site SITE` makes one.";
            listing::show(
                context,
                &racks,
                nothing,
                &["ID", "NAME", "SITE", "UNITS", "FREE", "HOSTS"],
                |rack| {
                    vec![
                        Cell::number(rack.id),
                        Cell::text(&rack.name),
                        sites.cell(Some(rack.site_id)),
                        Cell::number(rack.height_units),
                        Cell::number(rack.height_units - rack.units_used),
                        Cell::number(rack.hosts_count),
                    ]
                },
            )
        }
        RackCommand::Show { rack } => show(context, &resolve::one(context, &rack).await?).await,
        RackCommand::Update { rack, name, site, height } => {
            let rack: Rack = resolve::one(context, &rack).await?;
            let site_id = resolve::optional_id::<Site>(context, site.as_deref()).await?;
            let body = RackCreate { name, site_id, height_units: height };
            show(context, &context.client()?.update::<Rack>(rack.id, &body).await?).await
        }
        RackCommand::Delete { rack, confirm } => {
            let rack: Rack = resolve::one(context, &rack).await?;
            let what =
                format!("delete rack {} (id {}): it holds {} hosts.", rack.name, rack.id, rack.hosts_count);
            if confirm.ask(context, &what)? == Answer::Stop {
                return Ok(());
            }
            super::deleted(context, &context.client()?.delete::<Rack, Rack>(rack.id, &[]).await?)
        }
    }
}

async fn show(context: &Context, rack: &Rack) -> Result<(), CommandError> {
    let output = &context.output;
    let hosts: Vec<Host> = context.client()?.list(&[("rack_id", rack.id.to_string())]).await?;
    let units = drawing::units(rack.height_units, &hosts);
    if output.json {
        let mut object = serde_json::to_value(rack)
            .map_err(|error| CommandError::failed("cannot write JSON").cause(&error))?;
        object["units"] = serde_json::json!(units);
        return output.json(&object);
    }
    let sites = Names::of::<Site>(context).await?;
    let rows = vec![
        ("id", Cell::text(rack.id.to_string())),
        ("site", sites.cell(Some(rack.site_id))),
        ("units", Cell::text(format!("{}, {} free", rack.height_units, rack.height_units - rack.units_used))),
    ];
    let head = details(output, &format!("rack {}", rack.name), rows);
    let loose: Vec<&str> =
        hosts.iter().filter(|host| host.position.is_none()).map(|host| host.name.as_str()).collect();
    let loose = match loose.as_slice() {
        [] => String::new(),
        loose => format!("\nin it without a position: {}", crate::clean::clean(&loose.join(", "))),
    };
    output.page(&format!("{head}\n\n{}{loose}", drawing::draw(&units)))
}

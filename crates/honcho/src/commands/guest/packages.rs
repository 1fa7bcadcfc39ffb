//! `honcho guest packages`.

use crate::command_error::CommandError;
use crate::completion::guests;
use crate::context::Context;
use crate::listing::{self, ListArguments};
use crate::resolve::{self, Cancelled};
use crate::table::Cell;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::ImagePackage;

const AFTER_HELP: &str = "\
What the guest said last that it has installed; of one that never did, what its image was made with. A guest says it with its own \
token, best after each run of dpkg (the guide has the lines for it):

  curl -fsS -T /var/lib/dpkg/status -H \"Authorization: Bearer TOKEN\" https://BRAIN/v1/guests/ID/packages

Examples:
  honcho guest packages web1 | grep openssl
  honcho guests list --with 'openssl<3.0.15'";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct PackagesArguments {
    /// Name or id
    #[arg(add = ArgValueCandidates::new(guests))]
    guest: String,
    #[command(flatten)]
    list: ListArguments,
}

pub(crate) async fn run(context: &Context, arguments: PackagesArguments) -> Result<(), CommandError> {
    let guest = resolve::guest(context, &arguments.guest, None, Cancelled::Too).await?;
    let path = format!("/v1/guests/{}/packages", guest.id);
    let packages: Vec<ImagePackage> = context.client()?.get_path(&path, &[]).await?;
    let packages = arguments.list.arranged(packages)?;
    listing::show(
        context,
        &packages,
        "It has no packages.",
        &["NAME", "VERSION", "ARCHITECTURE"],
        |package| {
            vec![Cell::text(&package.name), Cell::text(&package.version), Cell::text(&package.architecture)]
        },
    )
}

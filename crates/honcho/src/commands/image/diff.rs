//! `honcho image diff`: which packages two images differ in.

use crate::command_error::CommandError;
use crate::completion::images;
use crate::context::Context;
use crate::listing::{self, ListArguments};
use crate::resolve;
use crate::table::Cell;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Image, ImagePackage};
use honcho_images::Package;
use honcho_images::packages::{Difference, differences};
use serde::{Deserialize, Serialize};

const AFTER_HELP: &str = "\
Packages are compared by name, architecture and version, versions as dpkg does. With --files the files are, by kind, mode, owner, size, content and \
extended attributes: both tarballs are read to their end, which operators alone may.

Examples:
  honcho image diff debian-12-2026-10 debian-12-2026-11
  honcho image diff debian-12-2026-10 debian-12-2026-11 --files --limit 100
  honcho image diff base front --json | jq -r '.[] | select(.what == \"upgraded\") | .name'";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DiffArguments {
    /// Name or id of the first
    #[arg(add = ArgValueCandidates::new(images))]
    first: String,
    /// Name or id of the second
    #[arg(add = ArgValueCandidates::new(images))]
    second: String,
    /// Compare files instead of packages
    #[arg(long)]
    files: bool,
    #[command(flatten)]
    list: ListArguments,
}

/// A line of the comparison.
#[derive(Serialize, Deserialize)]
pub(super) struct DifferenceLine {
    what: String,
    name: String,
    architecture: String,
    before: Option<String>,
    after: Option<String>,
}

impl From<Difference> for DifferenceLine {
    fn from(difference: Difference) -> Self {
        let what = difference.what().to_owned();
        let Difference { name, architecture, before, after } = difference;
        DifferenceLine { what, name, architecture, before, after }
    }
}

pub(crate) async fn run(context: &Context, arguments: &DiffArguments) -> Result<(), CommandError> {
    let (before, after): (Image, Image) =
        (resolve::one(context, &arguments.first).await?, resolve::one(context, &arguments.second).await?);
    if arguments.files {
        return super::diff_files::run(context, &before, &after, &arguments.list).await;
    }
    let (before, after) = (packages(context, &before).await?, packages(context, &after).await?);
    let lines = differences(&before, &after).into_iter().map(DifferenceLine::from).collect();
    show(context, &arguments.list, lines, "They hold the same packages.")
}

pub(super) fn show(
    context: &Context,
    list: &ListArguments,
    lines: Vec<DifferenceLine>,
    nothing: &str,
) -> Result<(), CommandError> {
    let lines = list.arranged(lines)?;
    let headings = ["WHAT", "NAME", "ARCHITECTURE", "BEFORE", "AFTER"];
    listing::show(context, &lines, nothing, &headings, |line| {
        vec![
            Cell::text(&line.what),
            Cell::text(&line.name),
            Cell::text(&line.architecture),
            Cell::maybe(line.before.as_ref()),
            Cell::maybe(line.after.as_ref()),
        ]
    })
}

/// The packages in an image.
pub(super) async fn packages(context: &Context, image: &Image) -> Result<Vec<Package>, CommandError> {
    let path = format!("/v1/images/{}/packages.json", image.id);
    let packages: Vec<ImagePackage> = context.client()?.get_path(&path, &[]).await?;
    let package =
        |it: ImagePackage| Package { name: it.name, version: it.version, architecture: it.architecture };
    Ok(packages.into_iter().map(package).collect())
}

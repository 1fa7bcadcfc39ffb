//! `honcho archive guests`: who has what a suite serves.

use crate::age::age;
use crate::command_error::CommandError;
use crate::completion::suites;
use crate::context::Context;
use crate::listing;
use crate::output::Tone;
use crate::table::Cell;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{InstalledVersion, Suite, SuitePackage, SuitePackageGuest};
use std::collections::BTreeSet;

pub(super) const HELP: &str = "\
The brain that serves the archive is asked. What guests have they say themselves (`honcho guest packages` has the lines for it); of one that \
never said anything counts what its image was made with. dpkg does not write down where a package came from: what has the same name counts.

Examples:
  honcho archive guests bookworm
  honcho archive guests bookworm --outdated
  honcho archive guests bookworm --package openssl --outdated
  honcho archive guests bookworm --package openssl --json | jq -r '.[].name'";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct GuestsArguments {
    /// The suite
    #[arg(add = ArgValueCandidates::new(suites))]
    suite: honcho_archive::SuiteName,
    /// The guests that have this package
    #[arg(long, value_name = "NAME")]
    package: Option<honcho_archive::PackageName>,
    /// Only those that have an older version than the suite serves
    #[arg(long)]
    outdated: bool,
    /// Packages that no guest has, too
    #[arg(long, conflicts_with_all = ["package", "outdated"])]
    all: bool,
    /// Show so many at most
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(crate) async fn run(context: &Context, arguments: GuestsArguments) -> Result<(), CommandError> {
    match &arguments.package {
        Some(package) => of_package(context, &arguments, package).await,
        None => of_suite(context, &arguments).await,
    }
}

impl GuestsArguments {
    fn filters(&self) -> Vec<(&'static str, String)> {
        self.outdated.then(|| ("outdated", "true".to_owned())).into_iter().collect()
    }
}

async fn of_suite(context: &Context, arguments: &GuestsArguments) -> Result<(), CommandError> {
    let client = context.client()?;
    let path = format!("/v1/suites/{}/packages.json", arguments.suite);
    let mut packages: Vec<SuitePackage> = client.get_path(&path, &arguments.filters()).await?;
    packages.retain(|package| arguments.all || package.guests_count > 0);
    packages.truncate(arguments.limit.unwrap_or(usize::MAX));
    let headings = ["PACKAGE", "SERVED", "GUESTS", "OUTDATED", "THEY HAVE"];
    listing::show(context, &packages, "No guest has any of it.", &headings, |one| {
        let outdated = Cell::number(one.outdated_count);
        vec![
            Cell::text(&one.package),
            Cell::text(one.versions.join(", ")),
            Cell::number(one.guests_count),
            if one.outdated_count > 0 { outdated.tone(Tone::Bad) } else { outdated },
            Cell::text(they_have(&one.installed)),
        ]
    })?;
    if context.output.json {
        return Ok(());
    }
    let suites: Vec<Suite> = client.get_path("/v1/suites.json", &[]).await?;
    let suite = suites.iter().find(|suite| suite.name == arguments.suite.as_str());
    for text in suite.into_iter().flat_map(unsaid) {
        context.output.note(&text);
    }
    Ok(())
}

/// `1.0 (3), 1.1`: how many have a version, where not all have the same.
fn they_have(installed: &[InstalledVersion]) -> String {
    let architectures: BTreeSet<&str> = installed.iter().map(|one| one.architecture.as_str()).collect();
    let words = installed.iter().map(|one| {
        let InstalledVersion { version, architecture, guests_count, .. } = one;
        match (installed.len(), architectures.len()) {
            (1, _) => version.clone(),
            (_, 1) => format!("{version} ({guests_count})"),
            _ => format!("{version} {architecture} ({guests_count})"),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Of whom it is not known, or by their image alone.
fn unsaid(suite: &Suite) -> Vec<String> {
    let guests = |count: i64| if count == 1 { "1 guest".to_owned() } else { format!("{count} guests") };
    let mut told = Vec::new();
    if suite.guests_by_image_count > 0 {
        let count = guests(suite.guests_by_image_count);
        told.push(format!("{count} never said what they have: what their images were made with counts"));
    }
    if suite.guests_unknown_count > 0 {
        let count = guests(suite.guests_unknown_count);
        told.push(format!(
            "of {count} nothing is known: `honcho guest packages --help` says how they tell it"
        ));
    }
    told
}

async fn of_package(
    context: &Context,
    arguments: &GuestsArguments,
    package: &honcho_archive::PackageName,
) -> Result<(), CommandError> {
    let mut filters = arguments.filters();
    filters.extend(arguments.limit.map(|limit| ("limit", limit.to_string())));
    // A plus is a space to some who read paths.
    let name = package.as_str().replace('+', "%2B");
    let path = format!("/v1/suites/{}/packages/{name}/guests.json", arguments.suite);
    let guests: Vec<SuitePackageGuest> = context.client()?.get_path(&path, &filters).await?;
    let clock = context.output.now();
    let headings = ["GUEST", "ID", "HAS", "", "SAID"];
    listing::show(context, &guests, "No guest has it.", &headings, |one| {
        let has = one.installed.iter().map(|package| format!("{} {}", package.version, package.architecture));
        vec![
            Cell::text(&one.name),
            Cell::number(one.guest_id),
            Cell::text(has.collect::<Vec<_>>().join(", ")),
            if one.is_outdated { Cell::text("outdated").tone(Tone::Bad) } else { Cell::text("") },
            match one.reported_at {
                Some(at) => Cell::text(age(at, clock)),
                None => Cell::text("never: by its image"),
            },
        ]
    })
}

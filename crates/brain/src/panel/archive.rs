//! The archive, where this brain serves one: its suites, what they serve, what guests have of it and which of it is older.
//!
//! Everybody sees what is served, for apt is told it too; and of guests their own. What guests have is counted beside the pages, which
//! are quick for it and may be some minutes behind.

use super::failure::PanelResult;
use super::shell::{Section, Shell, page};
use super::shown::{self, Badge, Moment};
use super::visitor::{Asking, Guarded};
use crate::app::App;
use crate::archive::OwnArchive;
use crate::http::{ApiError, ApiResult};
use crate::installed::{self, FIRST, Holders, SuiteInstalled};
use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use honcho_api::{InstalledVersion, Suite, SuitePackage};
use honcho_store::Filters;
use honcho_store::names::{self, Named};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::sync::Arc;

/// So many packages, or guests, are on a page.
const ROWS: usize = FIRST;

/// Days before apt believes a suite no more in which somebody should look: the brain that leads signs it anew long before.
const SOON: i64 = 3;

/// The archive, or 404.
pub(super) fn own(app: &App) -> ApiResult<Arc<OwnArchive>> {
    app.archive.clone().ok_or_else(|| ApiError::not_found("page"))
}

/// Whether apt believes a suite, and for how long.
pub(super) fn valid(suite: &Suite, app: &App) -> (Badge, Option<Moment>) {
    let Some(until) = suite.valid_until else {
        return (Badge { word: "not published", tone: "off" }, None);
    };
    let left = until.as_microsecond() - app.now().0;
    let badge = if left <= 0 {
        Badge { word: "not any more", tone: "bad" }
    } else if left < SOON * 86_400_000_000 {
        Badge { word: "not for long", tone: "warn" }
    } else {
        Badge { word: "valid", tone: "good" }
    };
    (badge, Some(shown::moment(until, app.now())))
}

/// A suite as pages show it.
struct SuiteRow {
    name: String,
    description: String,
    valid: Badge,
    until: Option<Moment>,
    packages: String,
    /// How many of its packages some guest has in an older version, once that was counted.
    outdated: Option<usize>,
    parts: String,
    published: Option<Moment>,
}

fn suite_row(suite: &Suite, app: &App, outdated: Option<usize>) -> SuiteRow {
    let (valid, until) = valid(suite, app);
    SuiteRow {
        name: suite.name.clone(),
        description: suite.description.clone().unwrap_or_default(),
        valid,
        until,
        packages: shown::count(suite.packages_count),
        outdated,
        parts: format!("{}: {}", suite.components.join(", "), suite.architectures.join(", ")),
        published: suite.published_at.map(|at| shown::moment(at, app.now())),
    }
}

#[derive(Template)]
#[template(path = "archive.html")]
struct ArchivePage {
    shell: Shell,
    suites: Vec<SuiteRow>,
    /// Of how many guests it is known what they have.
    known: String,
    keys: Vec<String>,
    is_operator: bool,
}

fn known(suite: &Suite) -> String {
    let mut words =
        vec![format!("Guests that told what they have: {}", shown::count(suite.guests_said_count))];
    for (count, text) in
        [(suite.guests_by_image_count, "known by their image"), (suite.guests_unknown_count, "not known")]
    {
        if count > 0 {
            words.push(format!("{text}: {}", shown::count(count)));
        }
    }
    format!("{}.", words.join("; "))
}

/// The suites.
pub(super) async fn show(State(app): State<App>, guarded: Guarded) -> PanelResult<Response> {
    let archive = own(&app)?;
    let visitor = &guarded.visitor;
    let suites = installed::suites(&app, visitor.scope()).await?;
    let mut rows = Vec::new();
    for suite in &suites {
        let (seen, is_counted) = SuiteInstalled::lately(&app, visitor.scope(), &suite.name).await?;
        let outdated = || seen.packages(|_| true).filter(|one| one.outdated_count > 0).count();
        rows.push(suite_row(suite, &app, is_counted.then(outdated)));
    }
    let mut keys = Vec::new();
    if visitor.is_operator() {
        keys = archive.keys().await.map_err(ApiError::of_archive)?;
    }
    page(&ArchivePage {
        shell: Shell::new(&app, &guarded.visit, Section::Archive, "Archive"),
        known: suites.first().map(known).unwrap_or_default(),
        suites: rows,
        keys,
        is_operator: visitor.is_operator(),
    })
}

/// Which packages of a suite are shown.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// Nothing, `had` or `outdated`.
    show: String,
    name: String,
    from: String,
}

impl Asked {
    fn from(&self) -> ApiResult<usize> {
        let from = if self.from.is_empty() { Ok(0) } else { self.from.parse() };
        from.map_err(|_| ApiError::invalid("from", "must be a whole number"))
    }

    fn address(&self, suite: &str, show: &str, from: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("show", show), ("name", self.name.as_str())] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if from > 0 {
            query.append_pair("from", &from.to_string());
        }
        let query = query.finish();
        if query.is_empty() { format!("/archive/{suite}") } else { format!("/archive/{suite}?{query}") }
    }
}

/// Which packages are shown.
type Which = fn(&SuitePackage) -> bool;

struct Choice {
    label: &'static str,
    address: String,
    count: String,
    is_chosen: bool,
}

struct PackageRow {
    name: String,
    address: String,
    newest: String,
    older: String,
    architectures: String,
    guests: i64,
    outdated: i64,
}

#[derive(Template)]
#[template(path = "archive_suite.html")]
struct SuitePage {
    shell: Shell,
    suite: SuiteRow,
    choices: Vec<Choice>,
    asked: Asked,
    is_counted: bool,
    rows: Vec<PackageRow>,
    before: Option<String>,
    after: Option<String>,
}

/// Where a package of a suite has its page.
pub(super) fn package_address(suite: &str, package: &str) -> String {
    format!("/archive/{suite}/packages/{}", utf8_percent_encode(package, NON_ALPHANUMERIC))
}

fn package_row(suite: &str, mut package: SuitePackage) -> PackageRow {
    let newest = package.versions.pop().unwrap_or_default();
    package.versions.reverse();
    PackageRow {
        address: package_address(suite, &package.package),
        name: package.package,
        newest,
        older: package.versions.join(", "),
        architectures: package.architectures.join(", "),
        guests: package.guests_count,
        outdated: package.outdated_count,
    }
}

/// What stands in the address of a page below a suite.
pub(super) fn named<T>(path: Result<Path<T>, PathRejection>) -> ApiResult<T> {
    path.map(|path| path.0).map_err(|_| ApiError::not_found("page"))
}

async fn suite_of(app: &App, guarded: &Guarded, name: &str) -> ApiResult<Suite> {
    own(app)?;
    let suites = installed::suites(app, guarded.visitor.scope()).await?;
    suites.into_iter().find(|suite| suite.name == name).ok_or_else(|| ApiError::not_found("page"))
}

/// What a suite serves.
pub(super) async fn suite(
    State(app): State<App>,
    guarded: Guarded,
    path: Result<Path<String>, PathRejection>,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let suite = suite_of(&app, &guarded, &named(path)?).await?;
    let from = asked.from()?;
    if !["", "had", "outdated"].contains(&asked.show.as_str()) {
        return Err(ApiError::invalid("show", "must be had or outdated").into());
    }
    let (seen, is_counted) = SuiteInstalled::lately(&app, guarded.visitor.scope(), &suite.name).await?;
    let sought = asked.name.trim().to_ascii_lowercase();
    let found: Vec<SuitePackage> = seen.packages(|name| name.contains(&sought)).collect();
    let had: Which = |one| one.guests_count > 0;
    let outdated: Which = |one| one.outdated_count > 0;
    let choice = |show: &'static str, label, which: Which| Choice {
        label,
        address: asked.address(&suite.name, show, 0),
        count: shown::count(i64::try_from(found.iter().filter(|one| which(one)).count()).unwrap_or(i64::MAX)),
        is_chosen: asked.show == show,
    };
    let choices = vec![
        choice("", "All", |_| true),
        choice("had", "that guests have", had),
        choice("outdated", "outdated", outdated),
    ];
    let all_outdated = is_counted.then(|| found.iter().filter(|one| outdated(one)).count());
    let which = match asked.show.as_str() {
        "had" => had,
        "outdated" => outdated,
        _ => |_: &SuitePackage| true,
    };
    let mut shown_ones: Vec<SuitePackage> = found.into_iter().filter(which).collect();
    if asked.show == "outdated" {
        shown_ones.sort_by_key(|one| std::cmp::Reverse(one.outdated_count));
    }
    let count = shown_ones.len();
    let rows =
        shown_ones.into_iter().skip(from).take(ROWS).map(|one| package_row(&suite.name, one)).collect();
    let beside = |from: usize| asked.address(&suite.name, &asked.show, from);
    page(&SuitePage {
        shell: Shell::new(&app, &guarded.visit, Section::Archive, suite.name.clone()),
        choices,
        is_counted,
        rows,
        before: (from > 0).then(|| beside(from.saturating_sub(ROWS))),
        after: (count > from.saturating_add(ROWS)).then(|| beside(from + ROWS)),
        suite: suite_row(&suite, &app, all_outdated),
        asked,
    })
}

struct HolderRow {
    id: i64,
    name: String,
    versions: String,
    is_outdated: bool,
    account: String,
    said: Option<Moment>,
}

#[derive(Template)]
#[template(path = "archive_package.html")]
struct PackagePage {
    shell: Shell,
    suite: String,
    name: String,
    versions: Vec<String>,
    architectures: String,
    guests: i64,
    /// On how many guests it is outdated, once that was counted.
    outdated: Option<i64>,
    installed: Vec<InstalledVersion>,
    rows: Vec<HolderRow>,
    is_operator: bool,
    after: Option<String>,
}

/// Behind which guest a list goes on.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Behind {
    after: String,
}

/// A package of a suite, and who has it.
pub(super) async fn package(
    State(app): State<App>,
    guarded: Guarded,
    path: Result<Path<(String, String)>, PathRejection>,
    Asking(asked): Asking<Behind>,
) -> PanelResult<Response> {
    let (suite, name) = named(path)?;
    let suite = suite_of(&app, &guarded, &suite).await?.name;
    let scope = guarded.visitor.scope();
    let (seen, is_counted) = SuiteInstalled::lately(&app, scope, &suite).await?;
    let package = seen.package(&name).ok_or_else(|| ApiError::not_found("page"))?;
    let after = match asked.after.as_str() {
        "" => None,
        after => Some(after.parse().map_err(|_| ApiError::invalid("after", "must be a whole number"))?),
    };
    let limit = i64::try_from(ROWS + 1).unwrap_or(i64::MAX);
    let filters = Filters { after, limit: Some(limit), ..Filters::default() };
    let holders = Holders::of(&app, scope, &suite, &name).await?;
    let mut holders = match after {
        None if is_counted => holders.first_of(&seen, limit).await?,
        // To look through every guest's list takes longer than somebody who opens a page waits.
        None => Vec::new(),
        Some(_) => holders.page(None, &filters).await?,
    };
    let has_more = holders.len() > ROWS;
    holders.truncate(ROWS);
    let accounts = holders.iter().map(|holder| holder.account_id);
    let accounts = names::of(app.store.reader(), Named::Account, accounts).await?;
    let address = package_address(&suite, &name);
    let after = holders.last().filter(|_| has_more);
    page(&PackagePage {
        shell: Shell::new(&app, &guarded.visit, Section::Archive, format!("{name} of {suite}")),
        after: after.map(|last| format!("{address}?after={}", last.guest_id)),
        suite,
        name,
        versions: package.versions,
        architectures: package.architectures.join(", "),
        guests: package.guests_count,
        outdated: is_counted.then_some(package.outdated_count),
        installed: package.installed,
        rows: holders
            .into_iter()
            .map(|holder| HolderRow {
                id: holder.guest_id,
                name: holder.name,
                versions: holder
                    .installed
                    .iter()
                    .map(|one| format!("{} {}", one.version, one.architecture))
                    .collect::<Vec<_>>()
                    .join(", "),
                is_outdated: holder.is_outdated,
                account: accounts.get(&holder.account_id).cloned().unwrap_or_default(),
                said: holder.reported_at.map(|at| shown::moment(at, app.now())),
            })
            .collect(),
        is_operator: guarded.visitor.is_operator(),
    })
}

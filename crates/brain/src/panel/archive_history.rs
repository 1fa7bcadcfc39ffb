//! What was published of a suite, and what changed from one publication to another.

use super::archive::{named, own};
use super::failure::PanelResult;
use super::shell::{Section, Shell, page};
use super::shown::{self, Badge, Moment};
use super::visitor::{Asking, Guarded};
use crate::app::App;
use crate::http::ApiError;
use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use honcho_archive::{Change, Publication, SuiteName, compare_versions};
use serde::Deserialize;
use std::cmp::Ordering;

/// So many changes are listed.
const CHANGES: usize = 500;

/// So many publications are listed, the newest first.
const PUBLICATIONS: usize = 200;

/// Which two are compared.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    from: String,
    to: String,
}

struct Row {
    number: u64,
    made: Moment,
    valid: Moment,
    note: String,
    is_served: bool,
    /// The one before it that is kept.
    before: Option<u64>,
    is_from: bool,
    is_to: bool,
}

struct ChangeRow {
    package: String,
    what: Badge,
    removed: String,
    added: String,
    place: String,
}

#[derive(Template)]
#[template(path = "archive_history.html")]
struct HistoryPage {
    shell: Shell,
    suite: String,
    rows: Vec<Row>,
    compared: Option<(u64, u64)>,
    counts: Vec<(&'static str, usize)>,
    changes: Vec<ChangeRow>,
    unshown: usize,
}

fn what(change: &Change) -> Badge {
    let (word, tone) = match (change.removed.as_slice(), change.added.as_slice()) {
        ([from], [to]) => match compare_versions(from, to) {
            Ordering::Less => ("upgraded", "good"),
            Ordering::Greater => ("downgraded", "warn"),
            Ordering::Equal => ("rebuilt", "busy"),
        },
        ([], _) => ("added", "good"),
        (_, []) => ("removed", "bad"),
        _ => ("changed", "busy"),
    };
    Badge { word, tone }
}

fn change_row(change: &Change) -> ChangeRow {
    ChangeRow {
        what: what(change),
        package: change.package.clone(),
        removed: change.removed.join(", "),
        added: change.added.join(", "),
        place: format!("{}, {}", change.component, change.architecture),
    }
}

fn moment(seconds: i64, app: &App) -> Moment {
    shown::moment(jiff::Timestamp::from_second(seconds).unwrap_or_default(), app.now())
}

fn counts(changes: &[Change]) -> Vec<(&'static str, usize)> {
    let mut counts: Vec<(&'static str, usize)> = Vec::new();
    for change in changes {
        let word = what(change).word;
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    counts
}

/// The page.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    path: Result<Path<String>, PathRejection>,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let archive = own(&app)?;
    let suite: SuiteName = named(path)?.parse().map_err(|_| ApiError::not_found("page"))?;
    if !archive.has(suite.clone()).await.map_err(ApiError::of_archive)? {
        return Err(ApiError::not_found("page").into());
    }
    let number = |attribute: &str, text: &str| {
        text.parse().map_err(|_| ApiError::invalid(attribute, "is the number of no publication"))
    };
    let compared: Option<(u64, u64)> = match (asked.from.as_str(), asked.to.as_str()) {
        ("", "") => None,
        (from, to) => Some((number("from", from)?, number("to", to)?)),
    };
    let (served, mut all) = archive.history(suite.clone()).await.map_err(ApiError::of_archive)?;
    let changes = match compared {
        None => Vec::new(),
        Some((from, to)) => {
            for (attribute, number) in [("from", from), ("to", to)] {
                if !all.iter().any(|one| one.number == number) {
                    return Err(
                        ApiError::invalid(attribute, "is the number of no publication that is kept").into()
                    );
                }
            }
            archive.changes(suite.clone(), from, to).await.map_err(ApiError::of_archive)?
        }
    };
    all.reverse();
    let before: Vec<Option<u64>> =
        all.iter().skip(1).map(|one| Some(one.number)).chain(std::iter::once(None)).collect();
    // What changed last, until something else is asked.
    let last = all.get(1).map(|one| one.number);
    let row = |(publication, before): (Publication, Option<u64>)| Row {
        made: moment(publication.made_at, &app),
        valid: moment(publication.valid_until, &app),
        note: publication.note.unwrap_or_default(),
        is_served: served == Some(publication.number),
        is_from: compared.map_or(last, |(from, _)| Some(from)) == Some(publication.number),
        is_to: compared.is_some_and(|(_, to)| to == publication.number),
        number: publication.number,
        before,
    };
    page(&HistoryPage {
        shell: Shell::new(&app, &guarded.visit, Section::Archive, format!("What was published of {suite}")),
        suite: suite.to_string(),
        rows: all.into_iter().zip(before).take(PUBLICATIONS).map(row).collect(),
        compared,
        counts: counts(&changes),
        unshown: changes.len().saturating_sub(CHANGES),
        changes: changes.iter().take(CHANGES).map(change_row).collect(),
    })
}

//! Two images beside each other: which packages came, went, or have another version.

use super::failure::PanelResult;
use super::shell::{Section, Shell, page};
use super::shown;
use super::visitor::{Asking, Guarded, PageId, Visitor};
use crate::app::App;
use crate::http::{ApiError, ApiResult};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use honcho_images::Package;
use honcho_images::packages::{Difference, differences};
use honcho_model::ImageId;
use honcho_store::{Filters, images};
use serde::Deserialize;

/// So many images can be chosen to compare with.
const IMAGES: i64 = 500;

/// With which other one.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    with: String,
}

struct Row {
    name: String,
    architecture: String,
    what: String,
    tone: &'static str,
    before: String,
    after: String,
}

#[derive(Template)]
#[template(path = "image_diff.html")]
struct DiffPage {
    shell: Shell,
    id: i64,
    name: String,
    with: Option<(i64, String)>,
    choices: Vec<(i64, String, bool)>,
    rows: Vec<Row>,
    /// How many packages are alike in both.
    alike: String,
    counts: Vec<(String, usize)>,
}

async fn packages(app: &App, id: ImageId) -> PanelResult<Vec<Package>> {
    let found = images::packages(app.store.reader(), id, &Filters::default()).await?;
    let package = |one: honcho_api::ImagePackage| Package {
        name: one.name,
        version: one.version,
        architecture: one.architecture,
    };
    Ok(found.into_iter().map(package).collect())
}

async fn name(app: &App, visitor: &Visitor, id: i64) -> ApiResult<String> {
    Ok(images::get(app.store.reader(), visitor.scope(), ImageId(id)).await?.name)
}

fn row(difference: Difference) -> Row {
    let what = difference.what().to_owned();
    let tone = match what.as_str() {
        "added" => "good",
        "removed" => "bad",
        "downgraded" => "warn",
        _ => "busy",
    };
    Row {
        name: difference.name,
        architecture: difference.architecture,
        tone,
        before: difference.before.unwrap_or_default(),
        after: difference.after.unwrap_or_default(),
        what,
    }
}

/// The page.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let visitor = &guarded.visitor;
    let own = name(&app, visitor, id).await?;
    let with = match asked.with.as_str() {
        "" => None,
        with => {
            let with = with.parse().map_err(|_| ApiError::invalid("with", "is no image"))?;
            Some((with, name(&app, visitor, with).await?))
        }
    };
    let filters = Filters { limit: Some(IMAGES), descending: true, ..Filters::default() };
    let all = images::list(app.store.reader(), visitor.scope(), &filters).await?;
    let (mut rows, mut alike) = (Vec::new(), 0);
    if let Some((with, _)) = &with {
        let (before, after) = (packages(&app, ImageId(id)).await?, packages(&app, ImageId(*with)).await?);
        rows = differences(&before, &after).into_iter().map(row).collect();
        let gone_or_changed = rows.iter().filter(|row: &&Row| !row.before.is_empty()).count();
        alike = before.len().saturating_sub(gone_or_changed);
    }
    let mut counts: Vec<(String, usize)> = Vec::new();
    for row in &rows {
        match counts.iter_mut().find(|(what, _)| *what == row.what) {
            Some((_, count)) => *count += 1,
            None => counts.push((row.what.clone(), 1)),
        }
    }
    page(&DiffPage {
        shell: Shell::new(&app, &guarded.visit, Section::Images, format!("{own} compared")),
        id,
        name: own,
        choices: all
            .into_iter()
            .filter(|image| image.id != id)
            .map(|image| (image.id, image.name, with.as_ref().is_some_and(|(with, _)| *with == image.id)))
            .collect(),
        with,
        rows,
        alike: shown::count(i64::try_from(alike).unwrap_or(i64::MAX)),
        counts,
    })
}

//! Images: what guests are made of, who runs them, and the packages in each.

use super::failure::PanelResult;
use super::guests::counted_by_image;
use super::shell::{Section, Shell, page};
use super::shown::{self, Moment};
use super::visitor::{Asking, Guarded, PageId};
use crate::app::App;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{Image, ImagePackage};
use honcho_model::ImageId;
use honcho_store::names::{self, Named};
use honcho_store::{Filters, images};
use serde::Deserialize;

/// How many images a page has, and how many packages.
const ROWS: i64 = 100;
const PACKAGES: i64 = 500;

struct Row {
    id: i64,
    name: String,
    account: Option<String>,
    compressed: String,
    unpacked: String,
    packages: String,
    architecture: String,
    guests: i64,
    made: Moment,
}

#[derive(Template)]
#[template(path = "images.html")]
struct ImagesPage {
    shell: Shell,
    rows: Vec<Row>,
    more: Option<String>,
}

/// From where on a list is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    after: Option<i64>,
    /// Of packages, which have no ids: how many come before.
    offset: Option<i64>,
}

/// The table.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let (reader, scope) = (app.store.reader(), guarded.visitor.scope());
    let filters = Filters { limit: Some(ROWS), after: asked.after, ..Filters::default() };
    let found = images::list(reader, scope, &filters).await?;
    let accounts =
        names::of(reader, Named::Account, found.iter().filter_map(|image| image.account_id)).await?;
    let counts = counted_by_image(&app, scope).await?;
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count == ROWS);
    let more = found.last().filter(|_| is_full).map(|last| format!("/images?after={}", last.id));
    let row = |image: Image| Row {
        id: image.id,
        account: image.account_id.map(|id| accounts.get(&id).cloned().unwrap_or_default()),
        compressed: shown::size(image.compressed_bytes),
        unpacked: shown::size(image.unpacked_bytes),
        packages: shown::count(image.packages_count),
        architecture: image.architecture.unwrap_or_default(),
        guests: counts.get(&image.id).copied().unwrap_or(0),
        made: shown::moment(image.created_at, app.now()),
        name: image.name,
    };
    let rows = found.into_iter().map(row).collect();
    page(&ImagesPage { shell: Shell::new(&app, &guarded.visit, Section::Images, "Images"), rows, more })
}

#[derive(Template)]
#[template(path = "image.html")]
struct ImagePage {
    shell: Shell,
    image: Image,
    account: Option<String>,
    compressed: String,
    unpacked: String,
    made: Moment,
    guests: i64,
    packages: Vec<ImagePackage>,
    said: String,
    more: Option<String>,
}

/// The page of one, with its packages.
pub(super) async fn one(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let (reader, scope) = (app.store.reader(), guarded.visitor.scope());
    let image = images::get(reader, scope, ImageId(id)).await?;
    let offset = asked.offset.unwrap_or(0).max(0);
    let filters = Filters { limit: Some(PACKAGES), offset: Some(offset), ..Filters::default() };
    let packages = images::packages(reader, ImageId(id), &filters).await?;
    let accounts = names::of(reader, Named::Account, image.account_id).await?;
    let counts = counted_by_image(&app, scope).await?;
    let until = offset.saturating_add(i64::try_from(packages.len()).unwrap_or(0));
    let more = (until < image.packages_count).then(|| format!("/images/{id}?offset={until}"));
    let all = shown::count(image.packages_count);
    page(&ImagePage {
        shell: Shell::new(&app, &guarded.visit, Section::Images, image.name.clone()),
        account: image.account_id.map(|id| accounts.get(&id).cloned().unwrap_or_default()),
        compressed: shown::size(image.compressed_bytes),
        unpacked: shown::size(image.unpacked_bytes),
        made: shown::moment(image.created_at, app.now()),
        guests: counts.get(&id).copied().unwrap_or(0),
        said: if offset > 0 || more.is_some() { format!("{} to {until} of {all}", offset + 1) } else { all },
        packages,
        more,
        image,
    })
}

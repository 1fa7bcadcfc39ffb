//! What a guest has installed, and what of it the archive serves newer.

use super::archive::package_address;
use super::failure::PanelResult;
use super::shell::{Section, Shell, page};
use super::shown::{self, Moment};
use super::visitor::{Asking, Guarded, PageId};
use crate::app::App;
use crate::installed;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use honcho_api::ImagePackage;
use honcho_model::{GuestId, ImageId};
use honcho_store::{Filters, guest_packages, guests, images};
use serde::Deserialize;
use std::collections::BTreeSet;

/// So many packages are listed.
const MOST: usize = 500;

/// A part of a name.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    name: String,
}

struct BehindRow {
    name: String,
    address: String,
    has: String,
    served: String,
    suite: String,
}

#[derive(Template)]
#[template(path = "guest_packages.html")]
struct PackagesPage {
    shell: Shell,
    id: i64,
    guest: String,
    said: Option<Moment>,
    /// Whether this brain serves an archive.
    serves: bool,
    behind: Vec<BehindRow>,
    /// Of how many packages: one may be newer in several suites.
    behind_count: usize,
    count: String,
    name: String,
    rows: Vec<ImagePackage>,
    unshown: usize,
}

/// The page.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let reader = app.store.reader();
    let guest = guests::get(reader, guarded.visitor.scope(), GuestId(id), app.now()).await?;
    let reported = guest_packages::of(reader, GuestId(id)).await?;
    let said = reported.as_ref().map(|reported| {
        let at = jiff::Timestamp::from_microsecond(reported.reported_at.0).unwrap_or_default();
        shown::moment(at, app.now())
    });
    let all = match reported {
        Some(reported) => reported.packages,
        None => images::packages(reader, ImageId(guest.image_id), &Filters::default()).await?,
    };
    let behind = installed::behind(&app, &all).await?;
    let behind_names: BTreeSet<&str> = behind.iter().map(|one| one.package.name.as_str()).collect();
    let behind_count = behind_names.len();
    let count = shown::count(i64::try_from(all.len()).unwrap_or(i64::MAX));
    let sought = asked.name.trim().to_ascii_lowercase();
    let mut rows: Vec<ImagePackage> =
        all.into_iter().filter(|one| one.name.to_ascii_lowercase().contains(&sought)).collect();
    let unshown = rows.len().saturating_sub(MOST);
    rows.truncate(MOST);
    page(&PackagesPage {
        shell: Shell::new(&app, &guarded.visit, Section::Guests, format!("Packages of {}", guest.name)),
        id,
        guest: guest.name,
        said,
        serves: app.archive.is_some(),
        behind_count,
        behind: behind
            .into_iter()
            .map(|one| BehindRow {
                address: package_address(&one.suite, &one.package.name),
                name: one.package.name,
                has: one.package.version,
                served: one.served,
                suite: one.suite,
            })
            .collect(),
        count,
        name: asked.name,
        rows,
        unshown,
    })
}

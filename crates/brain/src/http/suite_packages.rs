//! `/v1/suites` and what is below them: what the archive serves, and what guests have of it.

use super::error::{ApiError, ApiResult};
use super::extract::{Body, Caller, ListQuery, Operator};
use super::listing::{Listed, listed};
use crate::app::App;
use crate::installed::{self, SuiteInstalled};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use honcho_api::{
    ErrorBody, InstalledPackage, InstalledPackages, InstalledPackagesAsked, Suite, SuitePackage,
    SuitePackageGuest,
};
use honcho_store::guest_packages::{self, Known};
use honcho_store::{Filters, Scope};
use std::collections::HashSet;

/// So many packages are asked for at once.
const MOST: usize = 5000;

impl Listed for SuitePackageGuest {
    fn go_behind(&self, filters: &mut Filters) {
        filters.after = Some(self.guest_id);
    }
}

/// Takes `outdated` out of filters.
fn outdated(filters: &mut Filters) -> ApiResult<Option<bool>> {
    let (asked, others): (Vec<_>, Vec<_>) =
        std::mem::take(&mut filters.equals).into_iter().partition(|(name, _)| name == "outdated");
    filters.equals = others;
    match asked.last().map(|(_, value)| value.parse()) {
        None => Ok(None),
        Some(Ok(outdated)) => Ok(Some(outdated)),
        Some(Err(_)) => Err(ApiError::invalid("outdated", "must be true or false")),
    }
}

/// Lists the suites.
#[utoipa::path(get, path = "/v1/suites", tag = "archive",
    description = "Lists the suites of the archive that this brain serves (`honcho serve --archive`); and of how many guests it is known what they have, of which accounts \
        are told their own.",
    responses((status = 200, body = [Suite]), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "This brain serves no archive")))]
pub(super) async fn list(State(app): State<App>, caller: Caller) -> ApiResult<Json<Vec<Suite>>> {
    installed::suites(&app, caller.scope).await.map(Json)
}

/// Lists the packages of a suite.
#[utoipa::path(get, path = "/v1/suites/{suite}/packages", tag = "archive",
    params(("suite" = String, Path), ("package" = Option<String>, Query, description = "Filterable"),
        ("outdated" = Option<bool>, Query, description = "Only those of which some guest has an older version, or only the others"),
        ("limit" = Option<i64>, Query, description = "At most so many"),
        ("offset" = Option<i64>, Query, description = "Leave out so many first")),
    description = "Lists what a suite serves, by name, and what guests have of it: each guest as it said last; one that never said anything, as its image was made. \
        dpkg does not write down where a package came from: what has the same name counts. Accounts see their own guests. May be some seconds old.",
    responses((status = 200, body = [SuitePackage]), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn packages(
    State(app): State<App>,
    caller: Caller,
    named: Result<Path<String>, PathRejection>,
    ListQuery(mut filters): ListQuery,
) -> ApiResult<Json<Vec<SuitePackage>>> {
    let Path(suite) = named.map_err(|_| ApiError::not_found("suite"))?;
    let outdated = outdated(&mut filters)?;
    if filters.after.is_some() || filters.cursor.is_some() {
        return Err(ApiError::invalid("after", "packages have no ids: use offset"));
    }
    if let Some((other, _)) = filters.equals.iter().find(|(name, _)| name != "package") {
        return Err(ApiError::invalid(other, "is not a filter here; filters are: package, outdated"));
    }
    let all = SuiteInstalled::of(&app, caller.scope, &suite).await?;
    let number = |asked: Option<i64>, absent: usize| {
        asked.map_or(absent, |number| usize::try_from(number).unwrap_or(usize::MAX))
    };
    let named =
        |name: &str| filters.equals.is_empty() || filters.equals.iter().any(|(_, asked)| asked == name);
    let found = all
        .packages(named)
        .filter(|one| outdated.is_none_or(|outdated| (one.outdated_count > 0) == outdated))
        .skip(number(filters.offset, 0))
        .take(number(filters.limit, usize::MAX));
    Ok(Json(found.collect()))
}

/// Lists the guests that have a package of a suite.
#[utoipa::path(get, path = "/v1/suites/{suite}/packages/{package}/guests", tag = "archive",
    params(("suite" = String, Path), ("package" = String, Path),
        ("outdated" = Option<bool>, Query, description = "Only those that have an older version than the suite serves for their architecture, or only the others"),
        ("limit" = Option<i64>, Query, description = "At most so many"),
        ("offset" = Option<i64>, Query, description = "Leave out so many first"),
        ("after" = Option<i64>, Query, description = "Only guests whose id is above this one")),
    description = "Lists the guests that have a package that this suite serves, and in which version: as each said last; one that never said anything, as its image was made. \
        Accounts see their own.",
    responses((status = 200, body = [SuitePackageGuest]), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn guests(
    State(app): State<App>,
    caller: Caller,
    named: Result<Path<(String, String)>, PathRejection>,
    ListQuery(mut filters): ListQuery,
) -> ApiResult<Response> {
    let Path((suite, package)) = named.map_err(|_| ApiError::not_found("suite"))?;
    let outdated = outdated(&mut filters)?;
    let found = installed::Holders::of(&app, caller.scope, &suite, &package).await?;
    let read = move |filters: Filters| {
        let found = found.clone();
        async move { found.page(outdated, &filters).await }
    };
    listed(filters, read).await
}

/// Says which of these packages guests have.
#[utoipa::path(post, path = "/v1/installed_packages", tag = "archive", request_body = InstalledPackagesAsked,
    description = "Says which of these packages, in exactly this version and architecture, some guest has that is not deleted. Nothing is changed: whoever prunes an archive \
        asks it. For operators, who are told of all guests.",
    responses((status = 200, body = InstalledPackages), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn installed_packages(
    State(app): State<App>,
    _: Operator,
    body: Body<InstalledPackagesAsked>,
) -> ApiResult<Json<InstalledPackages>> {
    let asked = body.value.packages.ok_or_else(|| ApiError::invalid("packages", "is missing"))?;
    if asked.len() > MOST {
        return Err(ApiError::invalid("packages", format!("has more than {MOST}: ask several times")));
    }
    let (reader, asked) = (app.store.reader(), HashSet::from_iter(asked));
    let found = guest_packages::installed_of(reader, Scope::Operator, &asked).await?;
    let Known { said, by_image, unknown } = guest_packages::known(reader, Scope::Operator).await?;
    let mut packages: Vec<InstalledPackage> = found
        .into_iter()
        .map(|(one, guests_count)| InstalledPackage {
            name: one.name,
            version: one.version,
            architecture: one.architecture,
            guests_count,
        })
        .collect();
    packages.sort_by(|one, other| {
        (&one.name, &one.version, &one.architecture).cmp(&(&other.name, &other.version, &other.architecture))
    });
    Ok(Json(InstalledPackages {
        packages,
        guests_said_count: said,
        guests_by_image_count: by_image,
        guests_unknown_count: unknown,
    }))
}

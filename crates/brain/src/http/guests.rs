//! `/v1/guests`.

use super::accounts::created;
use super::error::{ApiError, ApiResult};
use super::extract::{Arguments, Body, Caller, Id, ListQuery, Meant, Operator, Writer, WriterOrMachine};
use super::listing::listed;
use crate::app::{App, Trial};
use crate::operations::{
    GuestCancel, GuestCapture, GuestCreate, GuestDelete, GuestMove, GuestMoveRehearsal, GuestPower,
    GuestRestore, GuestTrial, GuestUpdate, PowerAction, Restart,
};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use honcho_api::{ErrorBody, Guest, GuestMoveTrial, ImagePackage, ImageUpload, Operation, Placement};
use honcho_images::packages::{Requirement, RequirementError};
use honcho_model::{AccountId, GuestId, HostId};
use honcho_store::{Filters, Having, Scope, accounts, guest_packages, guests, images};
use serde::Deserialize;

type Accepted = (StatusCode, Json<Operation>);

fn accepted(operation: Operation) -> Accepted {
    (StatusCode::ACCEPTED, Json(operation))
}

/// Lists guests.
#[utoipa::path(get, path = "/v1/guests", tag = "guests",
    params(("name" = Option<String>, Query, description = "Filterable"),
        ("account_id" = Option<i64>, Query, description = "Filterable"),
        ("host_id" = Option<i64>, Query, description = "Filterable"),
        ("image_id" = Option<i64>, Query, description = "Filterable"),
        ("status" = Option<String>, Query, description = "Filterable"),
        ("power" = Option<String>, Query, description = "Filterable"),
        ("cluster" = Option<String>, Query, description = "Filterable"),
        ("role" = Option<String>, Query, description = "Filterable"),
        ("reference" = Option<String>, Query, description = "Filterable"),
        ("with" = Option<String>, Query, description = "Only guests that have this package: openssl, openssl<3.0.15 (also <=, =, >=, >). Of those that never said what they have, what their image was made with counts"),
        ("cancelled" = Option<bool>, Query, description = "Also what is cancelled or deleted"),
        ("limit" = Option<i64>, Query, description = "At most so many"),
        ("offset" = Option<i64>, Query, description = "Leave out so many first"),
        ("after" = Option<i64>, Query, description = "Only ids above this one")),
    responses((status = 200, body = [Guest]), (status = 401, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let scope = caller.scope;
    let filters = with_packages(&app, scope, filters).await?;
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { guests::page(app.store.reader(), scope, &filters, app.now()).await }
    };
    listed(filters, read).await
}

/// Replaces `with` by who has such a package: guests that say so, and of those that say nothing the images. Which version is older
/// only dpkg's rules tell, and no SQL.
async fn with_packages(app: &App, scope: Scope, mut filters: Filters) -> ApiResult<Filters> {
    let (with, others): (Vec<_>, Vec<_>) = filters.equals.into_iter().partition(|(name, _)| name == "with");
    filters.equals = others;
    if with.is_empty() {
        return Ok(filters);
    }
    let mut having = Having::default();
    for (_, text) in with {
        let wanted: Requirement =
            text.parse().map_err(|error: RequirementError| ApiError::invalid("with", error.to_string()))?;
        let fits = |package: &ImagePackage| wanted.fits(&package.version);
        let reader = app.store.reader();
        having.images.extend(images::with_package(reader, scope, &wanted.name, &fits).await?);
        having.guests.extend(guest_packages::with_package(reader, scope, &wanted.name, &fits).await?);
    }
    Ok(Filters { having: Some(having), ..filters })
}

/// Lists the guests of an account.
#[utoipa::path(get, path = "/v1/accounts/{id}/guests", tag = "guests", params(("id" = i64, Path)),
    responses((status = 200, body = [Guest]), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn list_of_account(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let account = accounts::get(app.store.reader(), caller.scope, AccountId(id)).await?;
    let filters = filters.and("account_id", account.id);
    let scope = caller.scope;
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { guests::page(app.store.reader(), scope, &filters, app.now()).await }
    };
    listed(filters, read).await
}

async fn order(app: App, caller: Writer, meant: Meant, body: honcho_api::GuestCreate) -> ApiResult<Response> {
    let change = GuestCreate {
        scope: caller.scope,
        uuid: app.outside.uuid(),
        volume_uuid: app.outside.uuid(),
        cluster_uuid: app.outside.uuid(),
        body,
        rules: app.rules,
        standing: app.standing.clone(),
    };
    match meant.trial()? {
        Trial::InEarnest => Ok(created(app.write(caller.actor, &change).await?).into_response()),
        trial @ Trial::DryRun => {
            let placement = app.write_or_try(caller.actor, &GuestTrial(change), trial).await?;
            Ok(Json(placement).into_response())
        }
    }
}

/// Orders a guest.
#[utoipa::path(post, path = "/v1/guests", tag = "guests", request_body = honcho_api::GuestCreate,
    params(("dry_run" = Option<bool>, Query, description = "Say where it would go and why, and make nothing")),
    responses((status = 201, body = Guest), (status = 200, body = Placement, description = "Of a dry run"),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Writer,
    Arguments(meant): Arguments<Meant>,
    body: Body<honcho_api::GuestCreate>,
) -> ApiResult<Response> {
    order(app, caller, meant, body.value).await
}

/// Orders a guest for an account.
#[utoipa::path(post, path = "/v1/accounts/{id}/guests", tag = "guests",
    params(("id" = i64, Path),
        ("dry_run" = Option<bool>, Query, description = "Say where it would go and why, and make nothing")),
    request_body = honcho_api::GuestCreate,
    responses((status = 201, body = Guest), (status = 200, body = Placement, description = "Of a dry run"),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn create_of_account(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    Arguments(meant): Arguments<Meant>,
    body: Body<honcho_api::GuestCreate>,
) -> ApiResult<Response> {
    let account = accounts::get(app.store.reader(), caller.scope, AccountId(id)).await?;
    order(app, caller, meant, honcho_api::GuestCreate { account_id: Some(account.id), ..body.value }).await
}

/// What a look at one guest may say.
#[derive(Deserialize)]
pub(super) struct Show {
    cancelled: Option<bool>,
}

/// Shows a guest.
#[utoipa::path(get, path = "/v1/guests/{id}", tag = "guests",
    params(("id" = i64, Path), ("cancelled" = Option<bool>, Query, description = "Answer 200 also when it is cancelled")),
    responses((status = 200, body = Guest), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 410, body = Guest, description = "It is cancelled or deleted")))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Arguments(query): Arguments<Show>,
) -> ApiResult<Response> {
    let guest = guests::get(app.store.reader(), caller.scope, GuestId(id), app.now()).await?;
    let ended = guest.cancelled_at.is_some() || guest.deleted_at.is_some();
    let status = if ended && query.cancelled != Some(true) { StatusCode::GONE } else { StatusCode::OK };
    Ok((status, Json(guest)).into_response())
}

/// What can be written, and cannot be nothing.
const WRITABLE: &[&str] = &["name", "power", "start_alone", "vcpus", "memory_bytes", "disk_bytes"];

async fn change(
    app: App,
    caller: Writer,
    id: i64,
    body: Body<honcho_api::GuestUpdate>,
) -> ApiResult<Json<Guest>> {
    body.refuse_null(WRITABLE)?;
    let (scope, body) = (caller.scope, body.value);
    let change = GuestUpdate { scope, id: GuestId(id), body, restart: Restart::Refused, rules: app.rules };
    app.write(caller.actor, &change).await?;
    Ok(Json(guests::get(app.store.reader(), scope, GuestId(id), app.now()).await?))
}

/// Changes a guest.
#[utoipa::path(put, path = "/v1/guests/{id}", tag = "guests", params(("id" = i64, Path)), request_body = Guest,
    description = "Read-only and unknown attributes are ignored.",
    responses((status = 200, body = Guest), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn replace(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<honcho_api::GuestUpdate>,
) -> ApiResult<Json<Guest>> {
    change(app, caller, id, body).await
}

/// Changes some attributes of a guest.
#[utoipa::path(patch, path = "/v1/guests/{id}", tag = "guests", params(("id" = i64, Path)),
    request_body = honcho_api::GuestUpdate, description = "Absent attributes stay as they are.",
    responses((status = 200, body = Guest), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<honcho_api::GuestUpdate>,
) -> ApiResult<Json<Guest>> {
    change(app, caller, id, body).await
}

/// How a guest is to be ended.
#[derive(Deserialize)]
pub(super) struct Delete {
    now: Option<bool>,
}

/// Cancels or deletes a guest.
#[utoipa::path(delete, path = "/v1/guests/{id}", tag = "guests",
    params(("id" = i64, Path), ("now" = Option<bool>, Query, description = "Without the grace period")),
    description = "Cancels a guest: it stops, and is deleted when its account's grace period ends.",
    responses((status = 202, body = Operation), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody)))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    Arguments(query): Arguments<Delete>,
) -> ApiResult<Accepted> {
    let (scope, id) = (caller.scope, GuestId(id));
    let operation = if query.now == Some(true) {
        app.write(caller.actor, &GuestDelete { scope, id }).await?
    } else {
        app.write(caller.actor, &GuestCancel { scope, id }).await?
    };
    Ok(accepted(operation))
}

/// Whether to pull the plug.
#[derive(Deserialize)]
pub(super) struct Hard {
    hard: Option<bool>,
}

impl Hard {
    fn hard(&self) -> bool {
        self.hard == Some(true)
    }
}

async fn power(app: App, caller: Writer, id: i64, action: PowerAction) -> ApiResult<Accepted> {
    let change = GuestPower { scope: caller.scope, id: GuestId(id), action, rules: app.rules };
    Ok(accepted(app.write(caller.actor, &change).await?))
}

/// The new size; what is absent stays.
#[derive(Deserialize)]
pub(super) struct Resize {
    memory_bytes: Option<i64>,
    vcpus: Option<i64>,
    disk_bytes: Option<i64>,
    restart: Option<bool>,
}

async fn resized(app: App, caller: Writer, id: i64, size: Resize) -> ApiResult<Accepted> {
    if size.memory_bytes.is_none() && size.vcpus.is_none() && size.disk_bytes.is_none() {
        return Err(ApiError::invalid("base", "names no new size: give memory_bytes, vcpus or disk_bytes"));
    }
    let body = honcho_api::GuestUpdate {
        memory_bytes: size.memory_bytes,
        vcpus: size.vcpus,
        disk_bytes: size.disk_bytes,
        ..honcho_api::GuestUpdate::default()
    };
    let restart = if size.restart == Some(true) { Restart::Allowed } else { Restart::Refused };
    let change = GuestUpdate { scope: caller.scope, id: GuestId(id), body, restart, rules: app.rules };
    let operation = app.write(caller.actor, &change).await?;
    operation.map(accepted).ok_or_else(|| ApiError::invalid("base", "is that large already"))
}

async fn restored(app: App, caller: Writer, id: i64) -> ApiResult<Accepted> {
    let change = GuestRestore { scope: caller.scope, id: GuestId(id), rules: app.rules };
    Ok(accepted(app.write(caller.actor, &change).await?))
}

/// A member action under PUT, as a stock ActiveResource client calls it, and under POST, with any body.
macro_rules! action {
    ($summary:literal, $path:literal, $put:ident, $post:ident, $caller:ident, $arguments:ty, [$($parameter:tt)*], $run:expr) => {
        #[doc = $summary]
        #[utoipa::path(put, path = $path, summary = $summary, tag = "guests", params(("id" = i64, Path), $($parameter)*),
            responses((status = 202, body = Operation), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
                (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
        pub(super) async fn $put(
            State(app): State<App>,
            caller: $caller,
            Id(id): Id,
            Arguments(arguments): Arguments<$arguments>,
        ) -> ApiResult<Accepted> {
            let run = $run;
            run(app, caller, id, arguments).await
        }

        #[doc = $summary]
        #[utoipa::path(post, path = $path, summary = $summary, tag = "guests", params(("id" = i64, Path), $($parameter)*),
            responses((status = 202, body = Operation), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
                (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
        pub(super) async fn $post(
            state: State<App>,
            caller: $caller,
            id: Id,
            arguments: Arguments<$arguments>,
        ) -> ApiResult<Accepted> {
            $put(state, caller, id, arguments).await
        }
    };
}

/// No arguments.
#[derive(Deserialize)]
pub(super) struct Nothing {}

action!(
    "Starts a guest.",
    "/v1/guests/{id}/start",
    start,
    start_by_post,
    WriterOrMachine,
    Nothing,
    [],
    |app, caller: WriterOrMachine, id, _: Nothing| { power(app, caller.0, id, PowerAction::Start) }
);
action!("Stops a guest.", "/v1/guests/{id}/stop", stop, stop_by_post, WriterOrMachine, Hard,
    [("hard" = Option<bool>, Query, description = "Pull the plug")],
    |app, caller: WriterOrMachine, id, hard: Hard| power(app, caller.0, id, PowerAction::Stop { hard: hard.hard() }));
action!("Reboots a guest.", "/v1/guests/{id}/reboot", reboot, reboot_by_post, WriterOrMachine, Hard,
    [("hard" = Option<bool>, Query, description = "Pull the plug")],
    |app, caller: WriterOrMachine, id, hard: Hard| power(app, caller.0, id, PowerAction::Reboot { hard: hard.hard() }));
action!("Resizes a guest.", "/v1/guests/{id}/resize", resize, resize_by_post, Writer, Resize,
    [("memory_bytes" = Option<i64>, Query), ("vcpus" = Option<i64>, Query), ("disk_bytes" = Option<i64>, Query),
        ("restart" = Option<bool>, Query, description = "A running guest may be rebooted for it")],
    resized);
/// Where a guest is to go.
#[derive(Deserialize)]
pub(super) struct MoveTo {
    to_host_id: Option<i64>,
}

/// Moves a guest to another host.
#[utoipa::path(put, path = "/v1/guests/{id}/move", tag = "guests",
    description = "It is stopped if it runs, its disk is copied from host to host, and it starts there if it is to run. Until all of \
        it is there it is where it was: giving up on the operation leaves it there.",
    params(("id" = i64, Path),
        ("to_host_id" = Option<i64>, Query, description = "The host; wherever it fits best, if it is not said"),
        ("dry_run" = Option<bool>, Query, description = "Say where it would go and what would become of it, and do nothing")),
    responses((status = 202, body = Operation), (status = 200, body = GuestMoveTrial, description = "Of a dry run"),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn move_to(
    State(app): State<App>,
    Operator(caller): Operator,
    Id(id): Id,
    Arguments(to): Arguments<MoveTo>,
    Arguments(meant): Arguments<Meant>,
) -> ApiResult<Response> {
    let (scope, ticket) = (caller.scope, app.outside.secret());
    let to_host = to.to_host_id.map(HostId);
    let change = GuestMove { scope, id: GuestId(id), to: to_host, ticket, rules: app.rules };
    match meant.trial()? {
        Trial::InEarnest => Ok(accepted(app.write(caller.actor, &change).await?).into_response()),
        trial @ Trial::DryRun => {
            let rehearsed = app.write_or_try(caller.actor, &GuestMoveRehearsal(change), trial).await?;
            Ok(Json(rehearsed).into_response())
        }
    }
}

/// Moves a guest to another host.
#[utoipa::path(post, path = "/v1/guests/{id}/move", tag = "guests",
    description = "It is stopped if it runs, its disk is copied from host to host, and it starts there if it is to run. Until all of \
        it is there it is where it was: giving up on the operation leaves it there.",
    params(("id" = i64, Path),
        ("to_host_id" = Option<i64>, Query, description = "The host; wherever it fits best, if it is not said"),
        ("dry_run" = Option<bool>, Query, description = "Say where it would go and what would become of it, and do nothing")),
    responses((status = 202, body = Operation), (status = 200, body = GuestMoveTrial, description = "Of a dry run"),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn move_by_post(
    state: State<App>,
    operator: Operator,
    id: Id,
    to: Arguments<MoveTo>,
    meant: Arguments<Meant>,
) -> ApiResult<Response> {
    move_to(state, operator, id, to, meant).await
}

/// The image that a guest's disk is to become.
#[derive(Deserialize)]
pub(super) struct CaptureAs {
    name: Option<String>,
}

/// Makes an image of a guest's disk.
#[utoipa::path(put, path = "/v1/guests/{id}/capture", tag = "guests",
    description = "Makes an image of the disk of a guest that is stopped, for its account. Its host reads the disk, without what makes it \
        that guest's (host name, machine-id, SSH host keys, root's authorized keys, seeds, leases, logs, /etc/honcho), and the brain \
        checks it and packs it anew. If it is started meanwhile, it starts when its disk was read. `GET /v1/image_uploads/ID` tells how \
        far that is; the same name again is the same image.",
    params(("id" = i64, Path), ("name" = Option<String>, Query, description = "The image's name, a DNS label"),
        ("dry_run" = Option<bool>, Query, description = "Say whether it could be, and do nothing")),
    responses((status = 202, body = ImageUpload), (status = 200, body = ImageUpload, description = "Of a dry run"),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "It runs, is not made yet, or is moved"), (status = 422, body = ErrorBody)))]
pub(super) async fn capture(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    Arguments(CaptureAs { name }): Arguments<CaptureAs>,
    Arguments(meant): Arguments<Meant>,
) -> ApiResult<(StatusCode, Json<ImageUpload>)> {
    let (uuid, trial) = (app.outside.uuid(), meant.trial()?);
    let change = GuestCapture { scope: caller.scope, id: GuestId(id), uuid, name };
    let upload = app.write_or_try(caller.actor, &change, trial).await?;
    let status = if matches!(trial, Trial::DryRun) { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(upload)))
}

/// Makes an image of a guest's disk.
#[utoipa::path(post, path = "/v1/guests/{id}/capture", tag = "guests", description = "The same as by PUT.",
    params(("id" = i64, Path), ("name" = Option<String>, Query, description = "The image's name, a DNS label"),
        ("dry_run" = Option<bool>, Query, description = "Say whether it could be, and do nothing")),
    responses((status = 202, body = ImageUpload), (status = 200, body = ImageUpload, description = "Of a dry run"),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn capture_by_post(
    state: State<App>,
    caller: Writer,
    id: Id,
    name: Arguments<CaptureAs>,
    meant: Arguments<Meant>,
) -> ApiResult<(StatusCode, Json<ImageUpload>)> {
    capture(state, caller, id, name, meant).await
}

action!(
    "Takes a cancelled guest back.",
    "/v1/guests/{id}/restore",
    restore,
    restore_by_post,
    Writer,
    Nothing,
    [],
    |app, caller, id, _: Nothing| { restored(app, caller, id) }
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::ImageCreate;
    use crate::operations::tests::World;

    async fn image(world: &World, name: &str, version: &str) -> i64 {
        let openssl =
            ImagePackage { name: "openssl".into(), version: version.into(), architecture: "amd64".into() };
        let other =
            ImagePackage { name: "openssl-extra".into(), version: "9".into(), architecture: "all".into() };
        let body = honcho_api::ImageCreate {
            name: Some(name.to_owned()),
            digest: Some("ab".repeat(32)),
            unpacked_bytes: Some(1),
            packages: Some(vec![openssl, other]),
            ..Default::default()
        };
        let change =
            ImageCreate { scope: Scope::Operator, uuid: world.app.outside.uuid(), blob_size: Some(1), body };
        world.ask(&change).await.unwrap().id
    }

    #[tokio::test]
    async fn guests_are_found_by_what_their_image_was_made_with() {
        let world = World::new().await;
        let (old, new) =
            (image(&world, "old", "3.0.14-1~deb12u2").await, image(&world, "new", "3.0.15-1").await);
        for (name, image) in [("one", old), ("two", new), ("three", old)] {
            let body = honcho_api::GuestCreate { image_id: Some(image), ..world.body(name) };
            world.order_as(Scope::Operator, body).await.unwrap();
        }
        world.order("without").await;
        let check = async |scope: Scope, query: &[(&str, &str)], expected: &[&str]| {
            let pairs = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let filters = with_packages(&world.app, scope, Filters::parse(pairs).unwrap()).await.unwrap();
            let reader = world.app.store.reader();
            let found = guests::list(reader, scope, &filters, world.app.now()).await.unwrap();
            let names: Vec<String> = found.into_iter().map(|guest| guest.name).collect();
            assert_eq!(names, expected, "{query:?}");
        };
        let operator = Scope::Operator;
        check(operator, &[("with", "openssl<3.0.15")], &["one", "three"]).await;
        check(operator, &[("with", "openssl>=3.0.15")], &["two"]).await;
        check(operator, &[("with", "openssl")], &["one", "two", "three"]).await;
        check(operator, &[("with", "openssl<3.0.15"), ("name", "one")], &["one"]).await;
        check(operator, &[("with", "openssl"), ("image_id", &new.to_string())], &["two"]).await;
        check(operator, &[("with", "openssl<1")], &[]).await;
        check(operator, &[("with", "ssl")], &[]).await;
        check(Scope::Account(AccountId(world.account.id)), &[("with", "openssl<3.0.15")], &["one", "three"])
            .await;
        check(Scope::Account(AccountId(world.account.id + 1000)), &[("with", "openssl")], &[]).await;
        // What a guest says counts, and not what its image was made with.
        let named = Filters::default().and("name", "one");
        let one = guests::list(world.app.store.reader(), operator, &named, world.app.now()).await.unwrap();
        let id = GuestId(one[0].id);
        let upgraded =
            "Package: openssl\nStatus: install ok installed\nVersion: 3.0.16-1\nArchitecture: amd64\n";
        let report = crate::operations::GuestPackagesReport::read(operator, id, upgraded);
        world.ask(&report.unwrap()).await.unwrap();
        check(operator, &[("with", "openssl<3.0.15")], &["three"]).await;
        check(operator, &[("with", "openssl>=3.0.15")], &["one", "two"]).await;
        check(operator, &[("with", "openssl-extra")], &["two", "three"]).await;
    }
}

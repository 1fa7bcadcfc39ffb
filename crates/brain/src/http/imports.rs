//! `/v1/imports/…`: tables of the machine room out of CSV files. Operators only.

use super::bodies;
use super::error::{ApiError, ApiResult};
use super::extract::{Arguments, Body, Caller, Meant, Operator};
use crate::app::{App, Trial};
use crate::tables::netbox::NetboxImport;
use crate::tables::{Table, addresses, hosts, networks};
use axum::Json;
use axum::extract::{Request, State};
use honcho_api::{ErrorBody, ImportChange, ImportFiles, ImportOutcome};
use honcho_store::{Change, Refusal, StoreError, StoreResult};

/// The largest file.
pub(super) const LARGEST: usize = 10 << 20;

/// Runs an import; what it would make has no id yet.
async fn run<C: Change<Out = ImportOutcome>>(
    app: &App,
    caller: Caller,
    trial: Trial,
    import: StoreResult<C>,
) -> ApiResult<Json<ImportOutcome>> {
    let outcome = match import {
        Ok(import) => app.write_or_try(caller.actor, &import, trial).await,
        Err(error) => Err(error),
    };
    let refused = |error| match error {
        error @ StoreError::Refused(Refusal::Invalid(_)) => {
            ApiError::from(error).hint("nothing was changed: mend these lines and import the file again")
        }
        error => error.into(),
    };
    let outcome = outcome.map_err(refused)?;
    if trial == Trial::InEarnest {
        return Ok(Json(outcome));
    }
    let without_id = |change: ImportChange| match change.action.as_str() {
        "create" => ImportChange { id: None, ..change },
        _ => change,
    };
    let changes = outcome.changes.into_iter().map(without_id).collect();
    Ok(Json(ImportOutcome { dry_run: true, changes, ..outcome }))
}

/// Reads a table with these columns, and runs the import that `make` makes of it.
async fn run_table<C: Change<Out = ImportOutcome>>(
    app: &App,
    caller: Caller,
    meant: &Meant,
    request: Request,
    columns: &'static [&'static str],
    make: impl FnOnce(Table) -> C,
) -> ApiResult<Json<ImportOutcome>> {
    let (trial, bytes) = (meant.trial()?, bodies::whole(request, app).await?);
    let import = Table::read(&bytes, columns).map(make).map_err(StoreError::from);
    run(app, caller, trial, import).await
}

/// Imports hosts.
#[utoipa::path(post, path = "/v1/imports/hosts", tag = "imports",
    description = "Adds the hosts of a CSV file that are not there, by id or else by name, and changes those that are: all lines \
        or none. `errors` names each bad line (`line 7`). The columns are those of `/v1/hosts.csv`, in any order; one that \
        is not there leaves its attribute as it is, an empty cell empties it. 20,000 lines and 10 MiB at most.",
    params(("dry_run" = Option<bool>, Query, description = "Say what would be done, and do nothing")),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = ImportOutcome), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn import_hosts(
    State(app): State<App>,
    Operator(caller): Operator,
    Arguments(meant): Arguments<Meant>,
    request: Request,
) -> ApiResult<Json<ImportOutcome>> {
    let (scope, outside) = (caller.scope, app.outside.clone());
    let make = |table| hosts::HostsImport { scope, outside, table };
    run_table(&app, caller, &meant, request, hosts::COLUMNS, make).await
}

/// Imports networks.
#[utoipa::path(post, path = "/v1/imports/networks", tag = "imports",
    description = "Makes the networks of a CSV file that are not there, by id or else by name and account, and changes the names \
        and reserved ranges of those that are: all lines or none. `errors` names each bad line (`line 7`). The columns are those \
        of `/v1/networks.csv`, in any order; an empty cell says nothing, save that of `reserved_ranges`. 20,000 lines and \
        10 MiB at most.",
    params(("dry_run" = Option<bool>, Query, description = "Say what would be done, and do nothing")),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = ImportOutcome), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn import_networks(
    State(app): State<App>,
    Operator(caller): Operator,
    Arguments(meant): Arguments<Meant>,
    request: Request,
) -> ApiResult<Json<ImportOutcome>> {
    let (scope, outside) = (caller.scope, app.outside.clone());
    let make = |table| networks::NetworksImport { scope, outside, table };
    run_table(&app, caller, &meant, request, networks::COLUMNS, make).await
}

/// Imports addresses.
#[utoipa::path(post, path = "/v1/imports/addresses", tag = "imports",
    description = "Allocates the free addresses of a CSV file to the accounts that it names, and changes the names of those that \
        are held: all lines or none. `errors` names each bad line (`line 7`). The columns are those of `/v1/addresses.csv`, in \
        any order; `status` and `guest_id` are not read. An empty cell of `name` or `reverse_name` forgets it. 20,000 lines and \
        10 MiB at most.",
    params(("dry_run" = Option<bool>, Query, description = "Say what would be done, and do nothing")),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = ImportOutcome), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn import_addresses(
    State(app): State<App>,
    Operator(caller): Operator,
    Arguments(meant): Arguments<Meant>,
    request: Request,
) -> ApiResult<Json<ImportOutcome>> {
    let scope = caller.scope;
    let make = |table| addresses::AddressesImport { scope, table };
    run_table(&app, caller, &meant, request, addresses::COLUMNS, make).await
}

/// Imports devices, prefixes and VLANs from NetBox.
#[utoipa::path(post, path = "/v1/imports/netbox", tag = "imports",
    description = "Takes CSV exports of devices, prefixes and VLANs, several at once, and makes sites, racks, hosts and networks of them: \
        all or none. `errors` names each bad line (`devices.csv line 7`); `notes` says what Honcho has no place for. 10 MiB at most.",
    params(("dry_run" = Option<bool>, Query, description = "Say what would be done, and do nothing")),
    request_body = ImportFiles,
    responses((status = 200, body = ImportOutcome), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn import_netbox(
    State(app): State<App>,
    Operator(caller): Operator,
    Arguments(meant): Arguments<Meant>,
    files: Body<ImportFiles>,
) -> ApiResult<Json<ImportOutcome>> {
    let (trial, files) = (meant.trial()?, files.value.files.unwrap_or_default());
    let import = NetboxImport::read(caller.scope, app.outside.clone(), &files);
    run(&app, caller, trial, import).await
}

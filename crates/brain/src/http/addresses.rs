//! `/v1/addresses`.

use super::accounts::{Created, created};
use super::error::ApiResult;
use super::extract::{Body, Caller, Id, ListQuery, Writer};
use super::listing::listed;
use crate::app::App;
use crate::operations::{AddressCreate, AddressRelease, AddressUpdate};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{Address, ErrorBody};
use honcho_model::{AccountId, AddressId, NetworkId};
use honcho_store::{Filters, Scope, accounts, addresses, networks};

async fn listing(app: App, scope: Scope, filters: Filters) -> ApiResult<Response> {
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { addresses::list(app.store.reader(), scope, &filters).await }
    };
    listed(filters, read).await
}

/// Lists addresses.
#[utoipa::path(get, path = "/v1/addresses", tag = "addresses",
    params(("network_id" = Option<i64>, Query, description = "Filterable"),
        ("account_id" = Option<i64>, Query, description = "Filterable"),
        ("family" = Option<i64>, Query, description = "Filterable"),
        ("address" = Option<String>, Query, description = "Filterable"),
        ("status" = Option<String>, Query, description = "Filterable"),
        ("name" = Option<String>, Query, description = "Filterable"),
        ("reverse_name" = Option<String>, Query, description = "Filterable"),
        ("reference" = Option<String>, Query, description = "Filterable"),
        ("guest_id" = Option<i64>, Query, description = "Filterable"),
        ("interface_id" = Option<i64>, Query, description = "Filterable")),
    responses((status = 200, body = [Address]), (status = 401, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    listing(app, caller.scope, filters).await
}

/// Lists the addresses of a network.
#[utoipa::path(get, path = "/v1/networks/{id}/addresses", tag = "addresses", params(("id" = i64, Path)),
    responses((status = 200, body = [Address]), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn list_of_network(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let network = networks::get(app.store.reader(), caller.scope, NetworkId(id)).await?;
    listing(app, caller.scope, filters.and("network_id", network.id)).await
}

/// Lists the addresses that an account holds.
#[utoipa::path(get, path = "/v1/accounts/{id}/addresses", tag = "addresses", params(("id" = i64, Path)),
    responses((status = 200, body = [Address]), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn list_of_account(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let account = accounts::get(app.store.reader(), caller.scope, AccountId(id)).await?;
    listing(app, caller.scope, filters.and("account_id", account.id)).await
}

async fn allocate(app: App, caller: Writer, body: honcho_api::AddressCreate) -> ApiResult<Created<Address>> {
    let change = AddressCreate { scope: caller.scope, body };
    Ok(created(app.write(caller.actor, &change).await?))
}

/// Allocates an address.
#[utoipa::path(post, path = "/v1/addresses", tag = "addresses", request_body = honcho_api::AddressCreate,
    description = "The account holds it until it is released, on a guest or on none.",
    responses((status = 201, body = Address), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Writer,
    body: Body<honcho_api::AddressCreate>,
) -> ApiResult<Created<Address>> {
    allocate(app, caller, body.value).await
}

/// Allocates an address of a network.
#[utoipa::path(post, path = "/v1/networks/{id}/addresses", tag = "addresses", params(("id" = i64, Path)),
    request_body = honcho_api::AddressCreate,
    responses((status = 201, body = Address), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn create_of_network(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<honcho_api::AddressCreate>,
) -> ApiResult<Created<Address>> {
    let network = networks::addressing(app.store.reader(), caller.scope, NetworkId(id)).await?;
    let network_id = Some(network.id.0);
    allocate(app, caller, honcho_api::AddressCreate { network_id, ..body.value }).await
}

/// Allocates an address for an account.
#[utoipa::path(post, path = "/v1/accounts/{id}/addresses", tag = "addresses", params(("id" = i64, Path)),
    request_body = honcho_api::AddressCreate,
    responses((status = 201, body = Address), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn create_of_account(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<honcho_api::AddressCreate>,
) -> ApiResult<Created<Address>> {
    let account = accounts::get(app.store.reader(), caller.scope, AccountId(id)).await?;
    allocate(app, caller, honcho_api::AddressCreate { account_id: Some(account.id), ..body.value }).await
}

/// Shows an address.
#[utoipa::path(get, path = "/v1/addresses/{id}", tag = "addresses", params(("id" = i64, Path)),
    responses((status = 200, body = Address), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> ApiResult<Json<Address>> {
    Ok(Json(addresses::get(app.store.reader(), caller.scope, AddressId(id)).await?))
}

async fn change(
    app: App,
    caller: Writer,
    id: i64,
    body: honcho_api::AddressUpdate,
) -> ApiResult<Json<Address>> {
    let change = AddressUpdate { scope: caller.scope, id: AddressId(id), body };
    Ok(Json(app.write(caller.actor, &change).await?))
}

/// Names an address.
#[utoipa::path(put, path = "/v1/addresses/{id}", tag = "addresses", params(("id" = i64, Path)), request_body = Address,
    description = "Only the names can change.",
    responses((status = 200, body = Address), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn replace(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<honcho_api::AddressUpdate>,
) -> ApiResult<Json<Address>> {
    change(app, caller, id, body.value).await
}

/// Names an address.
#[utoipa::path(patch, path = "/v1/addresses/{id}", tag = "addresses", params(("id" = i64, Path)),
    request_body = honcho_api::AddressUpdate, description = "Only the names can change.",
    responses((status = 200, body = Address), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    body: Body<honcho_api::AddressUpdate>,
) -> ApiResult<Json<Address>> {
    change(app, caller, id, body.value).await
}

/// Releases an address.
#[utoipa::path(delete, path = "/v1/addresses/{id}", tag = "addresses", params(("id" = i64, Path)),
    description = "Gives back an address that no guest has. The answer is what it was.",
    responses((status = 200, body = Address), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn delete(State(app): State<App>, caller: Writer, Id(id): Id) -> ApiResult<Json<Address>> {
    let change = AddressRelease { scope: caller.scope, id: AddressId(id) };
    Ok(Json(app.write(caller.actor, &change).await?))
}

//! Where guests are and why, what would fit, and plans: `/v1/guests/7/placement`, `/v1/hosts/3/drain`, `/v1/capacity`,
//! `/v1/balance`. Nothing here moves a guest.

use super::error::{ApiError, ApiResult};
use super::extract::{Arguments, Caller, Id, Meant, Operator};
use crate::app::{App, Trial};
use crate::operations::{HostDrain, Wanted};
use crate::placing::{self, Size};
use axum::Json;
use axum::extract::State;
use honcho_api::{Balance, Capacity, Drain, ErrorBody, Placement};
use honcho_model::{Bytes, GuestId, HostId};
use honcho_placement::Rules;
use honcho_placement::spread::Limits;
use honcho_store::rooms::{PlacedGuest, Room};
use honcho_store::{Refusal, StoreError, guests, placements, rooms};
use serde::Deserialize;

/// Tells why a guest is where it is.
#[utoipa::path(get, path = "/v1/guests/{id}/placement", tag = "guests", params(("id" = i64, Path)),
    description = "The decision as it was made: how many hosts each filter refused, and the ten best. Customers are told that it was \
        placed, and nothing of the machine room.",
    responses((status = 200, body = Placement), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn of_guest(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> ApiResult<Json<Placement>> {
    let guest = guests::get(app.store.reader(), caller.scope, GuestId(id), app.now()).await?;
    let kept = placements::get(app.store.reader(), GuestId(id)).await?;
    let placement = kept.unwrap_or(Placement {
        guest_id: Some(guest.id),
        placed: guest.host_id.is_some(),
        host_id: guest.host_id,
        host: None,
        pool_id: None,
        decided_at: None,
        inputs: None,
        reason: None,
        refused: None,
        best: None,
        hosts: None,
    });
    Ok(Json(if caller.scope.is_operator() { placement } else { placing::for_customers(&placement) }))
}

/// Makes a plan of what everything is at one moment; on a thread that may be kept busy.
async fn planned<T: Send + 'static>(
    app: &App,
    plan: impl FnOnce(&[Room], &[PlacedGuest], Rules) -> Option<T> + Send + 'static,
) -> ApiResult<T> {
    let snapshot = app.store.snapshot().await?;
    let mut rooms = rooms::list(&snapshot, None, app.now()).await?;
    let guests = rooms::guests(&snapshot).await?;
    let wanted = guests.iter().flat_map(|guest| guest.features.iter().cloned()).collect();
    rooms::look_for_features(&snapshot, &mut rooms, &wanted).await?;
    drop(snapshot);
    let rules = app.rules;
    let made = tokio::task::spawn_blocking(move || plan(&rooms, &guests, rules)).await;
    let made = made.map_err(|error| StoreError::Damaged { what: "plan", why: error.to_string() })?;
    made.ok_or_else(|| StoreError::from(Refusal::NotFound("host")).into())
}

async fn plan_of(app: &App, id: i64) -> ApiResult<Json<Drain>> {
    let plan = planned(app, move |rooms, guests, rules| placing::drain_of(rooms, guests, rules, HostId(id)));
    Ok(Json(plan.await?))
}

/// Plans where the guests of a host would go.
#[utoipa::path(get, path = "/v1/hosts/{id}/drain", tag = "hosts", params(("id" = i64, Path)),
    description = "What emptying it would come to, whether it drains or not. Nothing moves guests yet: they stay until they are moved \
        by hand.",
    responses((status = 200, body = Drain), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn drain_plan(State(app): State<App>, _: Operator, Id(id): Id) -> ApiResult<Json<Drain>> {
    plan_of(&app, id).await
}

async fn want(app: App, Operator(caller): Operator, id: i64, wanted: Wanted) -> ApiResult<Json<Drain>> {
    let change = HostDrain { scope: caller.scope, id: HostId(id), wanted };
    app.write(caller.actor, &change).await?;
    plan_of(&app, id).await
}

async fn drained(app: App, operator: Operator, id: i64, meant: Meant) -> ApiResult<Json<Drain>> {
    match meant.trial()? {
        Trial::DryRun => plan_of(&app, id).await,
        Trial::InEarnest => want(app, operator, id, Wanted::Drained).await,
    }
}

/// Begins to empty a host.
#[utoipa::path(put, path = "/v1/hosts/{id}/drain", tag = "hosts",
    params(("id" = i64, Path), ("dry_run" = Option<bool>, Query, description = "Show the plan, and change nothing")),
    description = "No new guest is placed on it from now on. Its guests stay until they are moved.",
    responses((status = 200, body = Drain), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn drain(
    State(app): State<App>,
    operator: Operator,
    Id(id): Id,
    Arguments(meant): Arguments<Meant>,
) -> ApiResult<Json<Drain>> {
    drained(app, operator, id, meant).await
}

/// Begins to empty a host.
#[utoipa::path(post, path = "/v1/hosts/{id}/drain", tag = "hosts",
    params(("id" = i64, Path), ("dry_run" = Option<bool>, Query, description = "Show the plan, and change nothing")),
    description = "No new guest is placed on it from now on. Its guests stay until they are moved.",
    responses((status = 200, body = Drain), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn drain_by_post(
    State(app): State<App>,
    operator: Operator,
    Id(id): Id,
    Arguments(meant): Arguments<Meant>,
) -> ApiResult<Json<Drain>> {
    drained(app, operator, id, meant).await
}

/// Lets a host take guests again.
#[utoipa::path(put, path = "/v1/hosts/{id}/undrain", tag = "hosts", params(("id" = i64, Path)),
    responses((status = 200, body = Drain), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn undrain(
    State(app): State<App>,
    operator: Operator,
    Id(id): Id,
) -> ApiResult<Json<Drain>> {
    want(app, operator, id, Wanted::Undrained).await
}

/// Lets a host take guests again.
#[utoipa::path(post, path = "/v1/hosts/{id}/undrain", tag = "hosts", params(("id" = i64, Path)),
    responses((status = 200, body = Drain), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn undrain_by_post(
    State(app): State<App>,
    operator: Operator,
    Id(id): Id,
) -> ApiResult<Json<Drain>> {
    want(app, operator, id, Wanted::Undrained).await
}

/// Of which size guests are to be counted.
#[derive(Deserialize)]
pub(super) struct OfSize {
    memory_bytes: u64,
    vcpus: u32,
    disk_bytes: u64,
    if_lost: Option<i64>,
}

/// Tells how many more guests of a size fit.
#[utoipa::path(get, path = "/v1/capacity", tag = "hosts",
    params(("memory_bytes" = i64, Query), ("vcpus" = i64, Query), ("disk_bytes" = i64, Query),
        ("if_lost" = Option<i64>, Query, description = "The id of a host that is thought lost: its guests are restarted elsewhere first")),
    responses((status = 200, body = Capacity), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn capacity(
    State(app): State<App>,
    _: Operator,
    Arguments(asked): Arguments<OfSize>,
) -> ApiResult<Json<Capacity>> {
    if asked.memory_bytes < 1 << 20 {
        return Err(ApiError::invalid(
            "memory_bytes",
            "must be 1M at least: that many would fit without end",
        ));
    }
    let size = Size { memory: Bytes(asked.memory_bytes), vcpus: asked.vcpus, disk: Bytes(asked.disk_bytes) };
    let lost = asked.if_lost.map(HostId);
    let counted =
        planned(&app, move |rooms, guests, rules| placing::capacity_of(rooms, guests, rules, size, lost));
    Ok(Json(counted.await?))
}

/// How far balancing may go.
#[derive(Deserialize)]
pub(super) struct Within {
    max_moves: Option<usize>,
    max_cost_bytes: Option<i64>,
    min_gain: Option<f64>,
}

/// Plans moves that would spread guests more evenly.
#[utoipa::path(get, path = "/v1/balance", tag = "hosts",
    params(("max_moves" = Option<i64>, Query, description = "At most so many"),
        ("max_cost_bytes" = Option<i64>, Query, description = "At most so much is copied"),
        ("min_gain" = Option<f64>, Query, description = "By how much a move must lower the score")),
    description = "A plan alone: nothing moves guests yet.",
    responses((status = 200, body = Balance), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn balance(
    State(app): State<App>,
    _: Operator,
    Arguments(within): Arguments<Within>,
) -> ApiResult<Json<Balance>> {
    if within.min_gain.is_some_and(|gain| !gain.is_finite() || gain < 0.0) {
        return Err(ApiError::invalid("min_gain", "must be a number that is not negative"));
    }
    let limits = Limits {
        max_moves: within.max_moves,
        max_cost: within.max_cost_bytes.map(|bytes| bytes >> 20),
        min_gain: within.min_gain,
    };
    let plan =
        planned(&app, move |rooms, guests, rules| Some(placing::balance_of(rooms, guests, rules, &limits)));
    Ok(Json(plan.await?))
}

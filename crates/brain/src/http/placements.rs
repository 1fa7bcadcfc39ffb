//! Where guests are and why, what would fit, and plans: `/v1/guests/7/placement`, `/v1/hosts/3/drain`, `/v1/capacity`,
//! `/v1/balance`. A plan changes nothing until it is asked to be carried out, which orders its moves.

use super::error::{ApiError, ApiResult};
use super::extract::{Arguments, Caller, Id, Meant, Operator};
use crate::app::{App, Trial};
use crate::operations::{HostDrain, MovesOrder, Wanted};
use crate::placing::{self, Lost, Size};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use honcho_api::{Balance, Capacity, Drain, ErrorBody, Placement, PlannedMove};
use honcho_model::{Bytes, GuestId, HostId};
use honcho_placement::spread::Limits;
use honcho_placement::{Fleet, Rules};
use honcho_store::rooms::{PlacedGuest, Room};
use honcho_store::{Refusal, StoreError, guests, hosts, placements, rooms};
use serde::Deserialize;
use std::sync::Arc;

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
    let mut guests = rooms::guests(&snapshot, None).await?;
    rooms::look_at_the_day(&snapshot, &mut rooms, &mut guests, app.now()).await?;
    drop(snapshot);
    let rules = app.rules;
    made(move || plan(&rooms, &guests, rules)).await
}

/// Makes a plan that rehouses the guests of one host: of all others it is kept what they come to.
async fn with_guests_of<T: Send + 'static>(
    app: &App,
    host: HostId,
    plan: impl FnOnce(&Fleet, &[PlacedGuest]) -> Option<T> + Send + 'static,
) -> ApiResult<T> {
    let seen = app.standing.seen_with_guests_of(&app.store, app.now(), app.rules, host).await?;
    made(move || plan(&seen.0, &seen.1)).await
}

/// Has a plan made on a thread that may be kept busy.
async fn made<T: Send + 'static>(plan: impl FnOnce() -> Option<T> + Send + 'static) -> ApiResult<T> {
    let made = tokio::task::spawn_blocking(plan).await;
    let made = made.map_err(|error| StoreError::Damaged { what: "plan", why: error.to_string() })?;
    made.ok_or_else(|| StoreError::from(Refusal::NotFound("host")).into())
}

/// What emptying a host would come to.
pub(crate) async fn plan_of(app: &App, id: i64) -> ApiResult<Drain> {
    let host = hosts::get(app.store.reader(), HostId(id), app.now()).await?;
    let plan =
        with_guests_of(app, HostId(id), move |fleet, guests| placing::drain_of(fleet, guests, HostId(id)));
    Ok(Drain { draining_since: host.draining_since, ..plan.await? })
}

/// What the loss of a host would mean.
pub(crate) async fn lost(app: &App, host: HostId) -> ApiResult<Lost> {
    with_guests_of(app, host, move |fleet, guests| Lost::of(fleet, guests, host)).await
}

/// Plans where the guests of a host would go.
#[utoipa::path(get, path = "/v1/hosts/{id}/drain", tag = "hosts", params(("id" = i64, Path)),
    description = "What emptying it would come to, whether it drains or not. It changes nothing.",
    responses((status = 200, body = Drain), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn drain_plan(State(app): State<App>, _: Operator, Id(id): Id) -> ApiResult<Json<Drain>> {
    Ok(Json(plan_of(&app, id).await?))
}

async fn want(app: &App, caller: Caller, id: i64, wanted: Wanted) -> ApiResult<Drain> {
    let change = HostDrain { scope: caller.scope, id: HostId(id), wanted };
    app.write(caller.actor, &change).await?;
    plan_of(app, id).await
}

/// What becomes of the moves of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moves {
    /// They are made.
    Ordered,
    /// They are left to whoever reads the plan.
    Left,
}

/// Begins to empty a host; gives the plan, in which each move that was ordered has its operation.
pub(crate) async fn drain_ordered(app: &App, caller: Caller, id: i64, moves: Moves) -> ApiResult<Drain> {
    let mut plan = want(app, caller.clone(), id, Wanted::Drained).await?;
    if moves == Moves::Ordered {
        apply(app, caller, &mut plan.moves).await?;
    }
    Ok(plan)
}

/// Lets a host take guests again.
pub(crate) async fn undrained(app: &App, caller: Caller, id: i64) -> ApiResult<Drain> {
    want(app, caller, id, Wanted::Undrained).await
}

/// Whether the moves of a plan are to be made.
#[derive(Deserialize)]
pub(super) struct Apply {
    apply: Option<bool>,
}

/// Orders the moves of a plan; each is told its operation.
async fn apply(app: &App, caller: Caller, moves: &mut [PlannedMove]) -> ApiResult<()> {
    let steps = moves.iter().map(|one| (GuestId(one.guest_id), HostId(one.to_host_id))).collect();
    let ordered = app.write(caller.actor, &MovesOrder { scope: caller.scope, steps }).await?;
    for one in moves {
        let operation = ordered.iter().find(|(guest, _)| guest.0 == one.guest_id);
        one.operation_id = operation.map(|(_, operation)| operation.0);
    }
    Ok(())
}

async fn drained(
    app: App,
    operator: Operator,
    id: i64,
    meant: Meant,
    asked: Apply,
) -> ApiResult<Json<Drain>> {
    if meant.trial()? == Trial::DryRun {
        return Ok(Json(plan_of(&app, id).await?));
    }
    let moves = if asked.apply == Some(true) { Moves::Ordered } else { Moves::Left };
    Ok(Json(drain_ordered(&app, operator.0, id, moves).await?))
}

/// Begins to empty a host.
#[utoipa::path(put, path = "/v1/hosts/{id}/drain", tag = "hosts",
    params(("id" = i64, Path), ("dry_run" = Option<bool>, Query, description = "Show the plan, and change nothing"),
        ("apply" = Option<bool>, Query, description = "Move its guests, too, in the plan's order and a few at a time")),
    description = "No new guest is placed on it from now on. Its guests stay until they are moved.",
    responses((status = 200, body = Drain), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn drain(
    State(app): State<App>,
    operator: Operator,
    Id(id): Id,
    Arguments(meant): Arguments<Meant>,
    Arguments(asked): Arguments<Apply>,
) -> ApiResult<Json<Drain>> {
    drained(app, operator, id, meant, asked).await
}

/// Begins to empty a host.
#[utoipa::path(post, path = "/v1/hosts/{id}/drain", tag = "hosts",
    params(("id" = i64, Path), ("dry_run" = Option<bool>, Query, description = "Show the plan, and change nothing"),
        ("apply" = Option<bool>, Query, description = "Move its guests, too, in the plan's order and a few at a time")),
    description = "No new guest is placed on it from now on. Its guests stay until they are moved.",
    responses((status = 200, body = Drain), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn drain_by_post(
    State(app): State<App>,
    operator: Operator,
    Id(id): Id,
    Arguments(meant): Arguments<Meant>,
    Arguments(asked): Arguments<Apply>,
) -> ApiResult<Json<Drain>> {
    drained(app, operator, id, meant, asked).await
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
    Ok(Json(undrained(&app, operator.0, id).await?))
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
    Ok(Json(undrained(&app, operator.0, id).await?))
}

/// How many more guests of each of these sizes fit, all of what is at one moment.
pub(crate) async fn capacities(app: &App, sizes: Vec<Size>) -> ApiResult<Vec<Capacity>> {
    let fleet = app.standing.seen(&app.store, app.now(), app.rules).await?.fleet;
    let counting = tokio::task::spawn_blocking(move || {
        sizes.into_iter().map(|size| placing::fitting(&fleet, size)).collect()
    });
    counting.await.map_err(|error| StoreError::Damaged { what: "plan", why: error.to_string() }.into())
}

/// The same, if a host were lost.
pub(crate) async fn capacities_without(lost: Arc<Lost>, sizes: Vec<Size>) -> ApiResult<Vec<Capacity>> {
    made(move || Some(sizes.into_iter().map(|size| lost.fitting(size)).collect())).await
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
    let mut counted = match asked.if_lost {
        None => capacities(&app, vec![size]).await?,
        Some(host) => capacities_without(Arc::new(lost(&app, HostId(host)).await?), vec![size]).await?,
    };
    Ok(Json(counted.remove(0)))
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
    description = "A plan: it changes nothing.",
    responses((status = 200, body = Balance), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn balance(
    State(app): State<App>,
    _: Operator,
    Arguments(within): Arguments<Within>,
) -> ApiResult<Json<Balance>> {
    Ok(Json(balance_plan(&app, &within).await?))
}

async fn balance_plan(app: &App, within: &Within) -> ApiResult<Balance> {
    if within.min_gain.is_some_and(|gain| !gain.is_finite() || gain < 0.0) {
        return Err(ApiError::invalid("min_gain", "must be a number that is not negative"));
    }
    let limits = Limits {
        max_moves: within.max_moves,
        max_cost: within.max_cost_bytes.map(|bytes| bytes >> 20),
        min_gain: within.min_gain,
    };
    let plan =
        planned(app, move |rooms, guests, rules| Some(placing::balance_of(rooms, guests, rules, &limits)));
    plan.await
}

/// Moves guests so that they are spread more evenly.
#[utoipa::path(post, path = "/v1/balance", tag = "hosts",
    params(("max_moves" = Option<i64>, Query, description = "At most so many"),
        ("max_cost_bytes" = Option<i64>, Query, description = "At most so much is copied"),
        ("min_gain" = Option<f64>, Query, description = "By how much a move must lower the score")),
    description = "Makes the moves of the plan, in its order and a few at a time: each is an operation.",
    responses((status = 202, body = Balance), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn balance_by_moves(
    State(app): State<App>,
    Operator(caller): Operator,
    Arguments(within): Arguments<Within>,
) -> ApiResult<(StatusCode, Json<Balance>)> {
    let mut plan = balance_plan(&app, &within).await?;
    apply(&app, caller, &mut plan.moves).await?;
    Ok((StatusCode::ACCEPTED, Json(plan)))
}

//! `/v1/clusters`: guests that are ordered, shown and ended as one.
//!
//! An operation is about one guest, so ending a cluster and taking it back answer 202 with the cluster: it says how many
//! operations of its guests have not ended.

use super::accounts::created;
use super::error::ApiResult;
use super::extract::{Arguments, Body, Caller, Id, ListQuery, Meant, Writer};
use super::listing::listed;
use crate::app::{App, Trial};
use crate::operations::{ClusterCancel, ClusterCreate, ClusterRestore, ClusterTrial, Grace};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use honcho_api::{Cluster, ClusterPlacement, ErrorBody};
use honcho_model::ClusterId;
use honcho_store::{Filters, clusters};
use serde::Deserialize;

type Accepted = (StatusCode, Json<Cluster>);

/// Lists clusters.
#[utoipa::path(get, path = "/v1/clusters", tag = "clusters",
    params(("name" = Option<String>, Query, description = "Filterable"),
        ("account_id" = Option<i64>, Query, description = "Filterable"),
        ("reference" = Option<String>, Query, description = "Filterable"),
        ("cancelled" = Option<bool>, Query, description = "Also what is cancelled or deleted"),
        ("limit" = Option<i64>, Query, description = "At most so many"),
        ("offset" = Option<i64>, Query, description = "Leave out so many first"),
        ("after" = Option<i64>, Query, description = "Only ids above this one")),
    responses((status = 200, body = [Cluster]), (status = 401, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let scope = caller.scope;
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { clusters::list(app.store.reader(), scope, &filters).await }
    };
    listed(filters, read).await
}

/// Orders a cluster.
#[utoipa::path(post, path = "/v1/clusters", tag = "clusters", request_body = honcho_api::ClusterCreate,
    description = "All its guests are made, or none: they are placed together, those of one role on different hosts, racks and sites \
        while others have room. Each has an operation of its own.",
    params(("dry_run" = Option<bool>, Query, description = "Say where each guest would go and why, and make nothing")),
    responses((status = 201, body = Cluster), (status = 200, body = ClusterPlacement, description = "Of a dry run"),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Writer,
    Arguments(meant): Arguments<Meant>,
    body: Body<honcho_api::ClusterCreate>,
) -> ApiResult<Response> {
    let (scope, outside, body, rules) = (caller.scope, app.outside.clone(), body.value, app.rules);
    let change = ClusterCreate { scope, outside, body, rules, standing: app.standing.clone() };
    match meant.trial()? {
        Trial::InEarnest => Ok(created(app.write(caller.actor, &change).await?).into_response()),
        trial @ Trial::DryRun => {
            Ok(Json(app.write_or_try(caller.actor, &ClusterTrial(change), trial).await?).into_response())
        }
    }
}

/// What a look at one cluster may say.
#[derive(Deserialize)]
pub(super) struct Show {
    cancelled: Option<bool>,
}

/// Shows a cluster.
#[utoipa::path(get, path = "/v1/clusters/{id}", tag = "clusters",
    params(("id" = i64, Path), ("cancelled" = Option<bool>, Query, description = "Answer 200 also when it is cancelled")),
    responses((status = 200, body = Cluster), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 410, body = Cluster, description = "It is cancelled or deleted")))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Arguments(query): Arguments<Show>,
) -> ApiResult<Response> {
    let cluster = clusters::get(app.store.reader(), caller.scope, ClusterId(id)).await?;
    let ended = cluster.cancelled_at.is_some() || cluster.deleted_at.is_some();
    let status = if ended && query.cancelled != Some(true) { StatusCode::GONE } else { StatusCode::OK };
    Ok((status, Json(cluster)).into_response())
}

/// How a cluster is to be ended.
#[derive(Deserialize)]
pub(super) struct Delete {
    now: Option<bool>,
}

/// Cancels or deletes a cluster.
#[utoipa::path(delete, path = "/v1/clusters/{id}", tag = "clusters",
    params(("id" = i64, Path), ("now" = Option<bool>, Query, description = "Without the grace period")),
    description = "Cancels every guest of it: they stop, and are deleted when their account's grace period ends.",
    responses((status = 202, body = Cluster), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    Arguments(query): Arguments<Delete>,
) -> ApiResult<Accepted> {
    let grace = if query.now == Some(true) { Grace::None } else { Grace::Kept };
    let change = ClusterCancel { scope: caller.scope, id: ClusterId(id), grace };
    Ok((StatusCode::ACCEPTED, Json(app.write(caller.actor, &change).await?)))
}

/// Takes a cancelled cluster back, with the guests that were cancelled with it.
#[utoipa::path(put, path = "/v1/clusters/{id}/restore", tag = "clusters", params(("id" = i64, Path)),
    responses((status = 202, body = Cluster), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn restore(State(app): State<App>, caller: Writer, Id(id): Id) -> ApiResult<Accepted> {
    let change = ClusterRestore { scope: caller.scope, id: ClusterId(id), rules: app.rules };
    Ok((StatusCode::ACCEPTED, Json(app.write(caller.actor, &change).await?)))
}

/// Takes a cancelled cluster back, with the guests that were cancelled with it.
#[utoipa::path(post, path = "/v1/clusters/{id}/restore", tag = "clusters", params(("id" = i64, Path)),
    responses((status = 202, body = Cluster), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn restore_by_post(state: State<App>, caller: Writer, id: Id) -> ApiResult<Accepted> {
    restore(state, caller, id).await
}

//! `/v1/hosts.csv` and its like: lists as CSV, with the columns that imports take. Read in chunks and streamed, as the
//! lists in [`super::listing`] are.

use super::error::ApiResult;
use super::extract::Operator;
use super::listing::Listed;
use crate::app::App;
use crate::tables::addresses::{self as address_table, Surroundings};
use crate::tables::hosts::{self as host_table, Places};
use crate::tables::networks as network_table;
use crate::tables::owners::Owners;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use honcho_api::{Address, ErrorBody, Host, Network};
use honcho_store::{Filters, StoreError, StoreResult, addresses, hosts, networks};

/// How many rows are read at a time.
const CHUNK: i64 = 500;

/// Answers with a header and a line for each row that `read` gives.
async fn exported<T, F, Reading, Line>(columns: &[&str], read: F, line: Line) -> ApiResult<Response>
where
    T: Listed,
    F: Fn(Filters) -> Reading + Send + 'static,
    Reading: Future<Output = StoreResult<Vec<T>>> + Send,
    Line: Fn(&T) -> Vec<u8> + Send + 'static,
{
    let asked = Filters { limit: Some(CHUNK), ..Filters::default() };
    // The first rows are read before anything is sent, so that what is refused is refused.
    let rows = read(asked.clone()).await?;
    let mut first = crate::tables::written(columns.iter().copied());
    first.extend(rows.iter().flat_map(&line));
    let next = behind(asked, &rows);
    drop(rows);
    let start = futures::stream::once(async move { Ok::<_, StoreError>(Bytes::from(first)) });
    let rest = futures::stream::unfold((next, read, line), |(next, read, line)| async move {
        let asked = next?;
        let (bytes, next) = match read(asked.clone()).await {
            Ok(rows) => (Ok(rows.iter().flat_map(&line).collect::<Bytes>()), behind(asked, &rows)),
            Err(error) => {
                tracing::error!(%error, "an export broke off: its reader's connection is cut");
                (Err(error), None)
            }
        };
        Some((bytes, (next, read, line)))
    });
    let body = Body::from_stream(futures::StreamExt::chain(start, rest));
    let kind = HeaderValue::from_static("text/csv; charset=utf-8");
    Ok(([(CONTENT_TYPE, kind)], body).into_response())
}

/// Where to go on behind these rows, if there may be more.
fn behind<T: Listed>(mut asked: Filters, rows: &[T]) -> Option<Filters> {
    let full = i64::try_from(rows.len()).is_ok_and(|count| count >= CHUNK);
    rows.last().filter(|_| full)?.go_behind(&mut asked);
    Some(asked)
}

/// All hosts as CSV.
#[utoipa::path(get, path = "/v1/hosts.csv", tag = "hosts",
    description = "Sites and racks stand by their names. What is exported imports again by `/v1/imports/hosts` and changes nothing. \
        A text that a spreadsheet would take for a formula has an apostrophe before it.",
    responses((status = 200, body = String, content_type = "text/csv"), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub(super) async fn export_hosts(State(app): State<App>, _: Operator) -> ApiResult<Response> {
    let places = Places::read(app.store.reader()).await?;
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { hosts::list(app.store.reader(), &filters, app.now()).await }
    };
    exported(host_table::COLUMNS, read, move |host: &Host| host_table::line(host, &places)).await
}

/// All networks as CSV.
#[utoipa::path(get, path = "/v1/networks.csv", tag = "networks",
    description = "Accounts stand by their names. What is exported imports again by `/v1/imports/networks` and changes nothing. \
        A text that a spreadsheet would take for a formula has an apostrophe before it.",
    responses((status = 200, body = String, content_type = "text/csv"), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub(super) async fn export_networks(
    State(app): State<App>,
    Operator(caller): Operator,
) -> ApiResult<Response> {
    let scope = caller.scope;
    let owners = Owners::read(app.store.reader(), scope).await?;
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { networks::list(app.store.reader(), scope, &filters).await }
    };
    let line = move |network: &Network| network_table::line(network, &owners);
    exported(network_table::COLUMNS, read, line).await
}

/// All addresses that somebody holds, as CSV.
#[utoipa::path(get, path = "/v1/addresses.csv", tag = "addresses",
    description = "Those that an account holds, with a guest or without. Networks and accounts stand by their names. What is \
        exported imports again by `/v1/imports/addresses` and changes nothing. A text that a spreadsheet would take for a \
        formula has an apostrophe before it.",
    responses((status = 200, body = String, content_type = "text/csv"), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)))]
pub(super) async fn export_addresses(
    State(app): State<App>,
    Operator(caller): Operator,
) -> ApiResult<Response> {
    let scope = caller.scope;
    let around = Surroundings::read(app.store.reader(), scope).await?;
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { addresses::list(app.store.reader(), scope, &address_table::held(filters)).await }
    };
    let line = move |address: &Address| address_table::line(address, &around);
    exported(address_table::COLUMNS, read, line).await
}

//! `/v1/accounts/5/usage` and `/v1/usage`: what guests were in a month, as JSON and as CSV.
//!
//! It is read and sent a few guests at a time: a month of everybody's is never held at once.

use super::error::{ApiError, ApiResult};
use super::extract::{Arguments, Caller, Id, Operator};
use crate::app::App;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use honcho_api::{ErrorBody, Usage};
use honcho_model::usage::{Window, intervals};
use honcho_model::{AccountId, Timestamp};
use honcho_store::usage::{GuestEntries, entries};
use honcho_store::{Scope, StoreError, StoreResult, accounts};

/// How many guests are read at a time.
const CHUNK: i64 = 200;

/// What stands in the query.
type Asked = Vec<(String, String)>;

/// The month that is asked for. All else is refused: who bills by what only looks filtered bills wrongly.
fn asked_month(asked: &Asked) -> ApiResult<Window> {
    if let Some((name, _)) = asked.iter().find(|(name, _)| name != "month") {
        return Err(ApiError::invalid(name, "is not a filter here; month is the only one"));
    }
    month(asked.first().map(|(_, text)| text.as_str()))
}

/// A month of the calendar, in UTC, as in 2026-11.
fn month(text: Option<&str>) -> ApiResult<Window> {
    let text = text.ok_or_else(|| ApiError::invalid("month", "can't be blank: give one, as in 2026-11"))?;
    let wrong = || ApiError::invalid("month", "must be a month, as in 2026-11");
    let well_formed = text.len() == 7 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let first: jiff::civil::Date = Some(format!("{text}-01"))
        .filter(|_| well_formed)
        .and_then(|day| day.parse().ok())
        .ok_or_else(wrong)?;
    let next = first.checked_add(jiff::Span::new().months(1)).map_err(|_| wrong())?;
    let begin = |day: jiff::civil::Date| {
        let at = day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
        Ok::<_, ApiError>(Timestamp(at.timestamp().as_microsecond()))
    };
    Ok(Window { from: begin(first)?, until: begin(next)? })
}

/// How it is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
}

/// What is to be read.
struct Wanted {
    app: App,
    scope: Scope,
    account: Option<AccountId>,
    window: Window,
    form: Form,
}

/// What a guest was, as rows.
fn to_api(guest: &GuestEntries, window: Window) -> impl Iterator<Item = Usage> {
    let time = |at: Timestamp| jiff::Timestamp::from_microsecond(at.0).unwrap_or_default();
    intervals(&guest.entries, window).into_iter().map(move |interval| Usage {
        account_id: guest.account_id,
        guest_id: guest.id,
        guest_name: guest.name.clone(),
        state: interval.state.as_str().to_owned(),
        vcpus: interval.size.vcpus,
        memory_bytes: interval.size.memory,
        disk_bytes: interval.size.disk,
        addresses_count: interval.size.addresses,
        public_addresses_count: interval.size.public_addresses,
        begun_at: time(interval.from),
        ended_at: time(interval.until),
        seconds: interval.seconds(),
        event_id: interval.event.0,
    })
}

impl Wanted {
    /// The rows of the guests behind this one, written; and the last of those guests, if there may be more.
    async fn chunk(&self, after: i64, anything_sent: &mut bool) -> StoreResult<(Vec<u8>, Option<i64>)> {
        let reader = self.app.store.reader();
        let guests = entries(reader, self.scope, self.account, self.window, after, CHUNK).await?;
        let mut bytes = Vec::new();
        for usage in guests.iter().flat_map(|guest| to_api(guest, self.window)) {
            if self.form == Form::Csv {
                bytes.extend_from_slice(usage.csv_line().as_bytes());
                continue;
            }
            if std::mem::replace(anything_sent, true) {
                bytes.push(b',');
            }
            serde_json::to_writer(&mut bytes, &usage)
                .map_err(|error| StoreError::Damaged { what: "usage", why: error.to_string() })?;
        }
        let full = i64::try_from(guests.len()).is_ok_and(|count| count == CHUNK);
        Ok((bytes, guests.last().map(|guest| guest.id).filter(|_| full)))
    }

    /// Answers; the first guests are read before anything is sent, so that what is refused is refused.
    async fn answer(self) -> ApiResult<Response> {
        let (kind, mut first, end) = match self.form {
            Form::Json => ("application/json", b"[".to_vec(), "]"),
            Form::Csv => {
                ("text/csv; charset=utf-8", format!("{}\n", Usage::COLUMNS.join(",")).into_bytes(), "")
            }
        };
        let mut anything_sent = false;
        let (rows, next) = self.chunk(0, &mut anything_sent).await?;
        first.extend_from_slice(&rows);
        let start = futures::stream::once(async move { Ok::<_, StoreError>(Bytes::from(first)) });
        let rest =
            futures::stream::unfold((next, anything_sent, self), |(next, mut sent, wanted)| async move {
                let after = next?;
                let chunk = wanted.chunk(after, &mut sent).await;
                let (bytes, next) = match chunk {
                    Ok((bytes, next)) => (Ok(Bytes::from(bytes)), next),
                    Err(error) => {
                        tracing::error!(%error, "a month's usage broke off: its reader's connection is cut");
                        (Err(error), None)
                    }
                };
                Some((bytes, (next, sent, wanted)))
            });
        let end = futures::stream::once(async move { Ok(Bytes::from_static(end.as_bytes())) });
        let body = futures::StreamExt::chain(futures::StreamExt::chain(start, rest), end);
        Ok(([(CONTENT_TYPE, HeaderValue::from_static(kind))], Body::from_stream(body)).into_response())
    }
}

/// The month, up to now: what is to come has not been used.
fn window(app: &App, asked: &Asked) -> ApiResult<Window> {
    Ok(up_to_now(app, asked_month(asked)?))
}

fn up_to_now(app: &App, month: Window) -> Window {
    Window { until: month.until.min(app.now()), ..month }
}

/// A month of the calendar, up to now.
pub(crate) fn month_window(app: &App, text: &str) -> ApiResult<Window> {
    Ok(up_to_now(app, month(Some(text))?))
}

/// What an account's guests were in a month, as CSV.
pub(crate) async fn month_csv(app: App, scope: Scope, id: i64, text: &str) -> ApiResult<Response> {
    let account = AccountId(accounts::find(app.store.reader(), scope, AccountId(id)).await?.id);
    let window = month_window(&app, text)?;
    Wanted { app, scope, account: Some(account), window, form: Form::Csv }.answer().await
}

async fn of_account(app: App, caller: Caller, id: i64, asked: Asked, form: Form) -> ApiResult<Response> {
    let account = AccountId(accounts::find(app.store.reader(), caller.scope, AccountId(id)).await?.id);
    let window = window(&app, &asked)?;
    Wanted { app, scope: caller.scope, account: Some(account), window, form }.answer().await
}

/// Shows what an account's guests were in a month.
#[utoipa::path(get, path = "/v1/accounts/{id}/usage", tag = "accounts",
    params(("id" = i64, Path), ("month" = String, Query, description = "In UTC, as in 2026-11")),
    description = "From when to when each guest was what, up to now: rows of one guest follow each other without gap or \
        overlap, from its order until its deletion is asked for.",
    responses((status = 200, body = [Usage]), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn account(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Arguments(asked): Arguments<Asked>,
) -> ApiResult<Response> {
    of_account(app, caller, id, asked, Form::Json).await
}

/// The same as CSV.
#[utoipa::path(get, path = "/v1/accounts/{id}/usage.csv", tag = "accounts",
    params(("id" = i64, Path), ("month" = String, Query, description = "In UTC, as in 2026-11")),
    responses((status = 200, body = String, content_type = "text/csv"), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn account_csv(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Arguments(asked): Arguments<Asked>,
) -> ApiResult<Response> {
    of_account(app, caller, id, asked, Form::Csv).await
}

async fn of_all(app: App, caller: Caller, asked: Asked, form: Form) -> ApiResult<Response> {
    let window = window(&app, &asked)?;
    Wanted { app, scope: caller.scope, account: None, window, form }.answer().await
}

/// Shows what everybody's guests were in a month.
#[utoipa::path(get, path = "/v1/usage", tag = "accounts",
    params(("month" = String, Query, description = "In UTC, as in 2026-11")),
    responses((status = 200, body = [Usage]), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn all(
    State(app): State<App>,
    Operator(caller): Operator,
    Arguments(asked): Arguments<Asked>,
) -> ApiResult<Response> {
    of_all(app, caller, asked, Form::Json).await
}

/// The same as CSV.
#[utoipa::path(get, path = "/v1/usage.csv", tag = "accounts",
    params(("month" = String, Query, description = "In UTC, as in 2026-11")),
    responses((status = 200, body = String, content_type = "text/csv"), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn all_csv(
    State(app): State<App>,
    Operator(caller): Operator,
    Arguments(asked): Arguments<Asked>,
) -> ApiResult<Response> {
    of_all(app, caller, asked, Form::Csv).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_one_of_the_calendar_in_utc() {
        let read = |text: &str| month(Some(text)).ok().map(|window| (window.from.0, window.until.0));
        let day = 86_400 * 1_000_000_i64;
        assert_eq!(read("1970-01"), Some((0, 31 * day)));
        assert_eq!(read("2024-02").map(|(from, until)| (until - from) / day), Some(29));
        assert_eq!(read("2026-11").map(|(from, _)| from), Some(1_793_491_200_000_000));
        for wrong in
            ["", "2026", "2026-13", "2026-00", "2026-1", "2026-11-01", "november", "2026/11", "+026-11"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(month(None).is_err());
    }

    #[test]
    fn what_is_no_filter_of_usage_is_refused() {
        let asked = |pairs: &[(&str, &str)]| {
            asked_month(&pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
        };
        assert!(asked(&[("month", "2026-11")]).is_ok());
        for wrong in ["guest_id", "limit", "after"] {
            let refused =
                asked(&[("month", "2026-11"), (wrong, "7")]).err().map(|error| format!("{error:?}"));
            assert!(
                refused.is_some_and(|text| text.contains(wrong) && text.contains("is not a filter here"))
            );
        }
        assert!(asked(&[]).is_err());
    }
}

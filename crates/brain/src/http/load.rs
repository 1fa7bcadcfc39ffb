//! `/v1/guests/7/load` and `/v1/hosts/1/load`: what they took over time.

use super::error::{ApiError, ApiResult};
use super::extract::{Arguments, Caller, Id, Operator};
use crate::app::App;
use axum::Json;
use axum::extract::State;
use honcho_api::{ErrorBody, Load};
use honcho_model::load::{Kind, Measure, Sample, Span};
use honcho_model::{GuestId, HostId, Timestamp};
use honcho_store::load;
use serde::Deserialize;

/// What stands in the query.
#[derive(Deserialize)]
pub(super) struct Asked {
    span: Option<String>,
}

impl Asked {
    fn span(&self) -> ApiResult<Span> {
        let name = self.span.as_deref().unwrap_or(Span::Minutes.as_str());
        Span::named(name).ok_or_else(|| ApiError::invalid("span", "must be 6h, 2d or 90d"))
    }
}

/// Tells what a guest took over time.
#[utoipa::path(get, path = "/v1/guests/{id}/load", tag = "guests",
    params(("id" = i64, Path),
        ("span" = Option<String>, Query, description = "6h (a value each minute; so when left out), 2d (every five minutes) or 90d (each hour)")),
    responses((status = 200, body = Load), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn of_guest(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Arguments(asked): Arguments<Asked>,
) -> ApiResult<Json<Load>> {
    let (span, now) = (asked.span()?, app.now());
    let samples = load::of_guest(app.store.reader(), caller.scope, GuestId(id), span, now).await?;
    Ok(Json(Load { guest_id: Some(id), ..shown(Kind::Guest, span, now, &samples) }))
}

/// Tells what a host took over time.
#[utoipa::path(get, path = "/v1/hosts/{id}/load", tag = "hosts",
    params(("id" = i64, Path),
        ("span" = Option<String>, Query, description = "6h (a value each minute; so when left out), 2d (every five minutes) or 90d (each hour)")),
    responses((status = 200, body = Load), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn of_host(
    State(app): State<App>,
    _: Operator,
    Id(id): Id,
    Arguments(asked): Arguments<Asked>,
) -> ApiResult<Json<Load>> {
    let (span, now) = (asked.span()?, app.now());
    let samples = load::of_host(app.store.reader(), HostId(id), span, now).await?;
    Ok(Json(Load { host_id: Some(id), ..shown(Kind::Host, span, now, &samples) }))
}

/// With all its digits a value would say more than is known of it.
fn rounded(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let digits = 3.0 - value.abs().log10().floor();
    let scale = 10_f64.powf(digits.abs());
    if digits >= 0.0 { (value * scale).round() / scale } else { (value / scale).round() * scale }
}

/// Samples as the API has them: one for each step.
fn shown(kind: Kind, span: Span, now: Timestamp, samples: &[(Timestamp, Sample)]) -> Load {
    let first = span.first_shown(now);
    let count = usize::try_from(span.samples()).unwrap_or(0);
    let of = |measure: Measure| {
        let mut values = vec![None; count];
        for (at, sample) in samples {
            let place = usize::try_from((at.0 - first.0) / span.step()).ok();
            if let Some(value) = place.and_then(|place| values.get_mut(place)) {
                *value = sample.get(measure).map(rounded);
            }
        }
        values
    };
    Load {
        guest_id: None,
        host_id: None,
        span: span.as_str().to_owned(),
        step_seconds: span.step() / 1_000_000,
        begins_at: jiff::Timestamp::from_microsecond(first.0).unwrap_or_default(),
        cpus: of(Measure::Cpu),
        cpus_peak: of(Measure::CpuPeak),
        memory_bytes: of(Measure::Memory),
        disk_read: of(Measure::DiskRead),
        disk_written: of(Measure::DiskWritten),
        disk_reads: of(Measure::DiskReads),
        disk_writes: of(Measure::DiskWrites),
        received: of(Measure::Received),
        sent: of(Measure::Sent),
        filled_bytes: (kind == Kind::Host).then(|| of(Measure::Filled)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_their_places_and_gaps_are_null() {
        let now = Timestamp(1_000_000 * 60_000_000 + 5);
        let sample = Sample::default().with(Measure::Cpu, Some(0.123_456)).with(Measure::Filled, Some(7.0));
        let samples = [(Timestamp(999_999 * 60_000_000), sample)];
        let load = shown(Kind::Guest, Span::Minutes, now, &samples);
        assert_eq!((load.cpus.len(), load.step_seconds), (360, 60));
        assert_eq!((load.cpus[358], load.cpus[359], load.sent[358]), (Some(0.1235), None, None));
        assert_eq!(load.filled_bytes, None);
        assert_eq!(load.begins_at.as_microsecond(), (1_000_000 - 359) * 60_000_000);
        let host = shown(Kind::Host, Span::Minutes, now, &samples);
        assert_eq!(host.filled_bytes.unwrap()[358], Some(7.0));
        let rounds =
            [0.0, 1.0, 12_345.6, 1_234_567_890.0, 0.001_234_56].map(|value| rounded(value).to_string());
        assert_eq!(rounds, ["0", "1", "12350", "1235000000", "0.001235"]);
    }
}

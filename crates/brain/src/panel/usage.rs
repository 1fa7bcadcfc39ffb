//! What an account's guests were in a month, added up for each guest; the rows behind it are there as CSV.

use super::failure::PanelResult;
use super::shell::{Section, Shell, page};
use super::shown;
use super::visitor::{Asking, Guarded, PageId};
use crate::app::App;
use crate::http::{ApiError, month_csv, month_window};
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use honcho_model::AccountId;
use honcho_model::usage::{State as UsageState, intervals};
use honcho_store::{accounts, usage};
use jiff::ToSpan as _;
use jiff::civil::Date;
use serde::Deserialize;

/// How many guests a page has.
const ROWS: i64 = 100;

/// Which month, and from which guest on.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    month: String,
    after: Option<i64>,
}

/// Seconds in which something was there, and those times how much of it.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    running: i64,
    kept: i64,
    vcpu: i128,
    memory: i128,
    disk: i128,
    public_addresses: i128,
}

impl Sums {
    fn add(&mut self, other: &Sums) {
        self.running += other.running;
        self.kept += other.kept;
        self.vcpu += other.vcpu;
        self.memory += other.memory;
        self.disk += other.disk;
        self.public_addresses += other.public_addresses;
    }
}

struct Row {
    /// Its page, if it has one still.
    id: i64,
    name: String,
    running: String,
    kept: String,
    vcpu: String,
    memory: String,
    disk: String,
    public_addresses: String,
}

#[derive(Template)]
#[template(path = "usage.html")]
struct UsagePage {
    shell: Shell,
    account: honcho_api::Account,
    month: String,
    said: String,
    before: Option<String>,
    after: Option<String>,
    csv: String,
    rows: Vec<Row>,
    sum: Row,
    /// The sum is of this page alone.
    is_part: bool,
    more: Option<String>,
}

fn of_guest(guest: &usage::GuestEntries, window: honcho_model::usage::Window) -> Sums {
    let mut sums = Sums::default();
    for interval in intervals(&guest.entries, window) {
        let (seconds, size) = (interval.seconds(), interval.size);
        if interval.state == UsageState::Running {
            sums.running += seconds;
            // What does not run takes no processor and no memory, whatever it is promised.
            sums.vcpu += i128::from(seconds) * i128::from(size.vcpus);
            sums.memory += i128::from(seconds) * i128::from(size.memory);
        } else {
            sums.kept += seconds;
        }
        sums.disk += i128::from(seconds) * i128::from(size.disk);
        sums.public_addresses += i128::from(seconds) * i128::from(size.public_addresses);
    }
    sums
}

/// Hours, or hours times something.
fn hours(seconds: i128, unit: i128) -> String {
    let tenths = (seconds * 10 + unit * 1_800) / (unit * 3_600);
    let whole = shown::count(i64::try_from(tenths / 10).unwrap_or(i64::MAX));
    format!("{whole}.{}", tenths % 10)
}

const GIB: i128 = 1 << 30;

fn row(id: i64, name: String, sums: &Sums) -> Row {
    Row {
        id,
        name,
        running: hours(i128::from(sums.running), 1),
        kept: hours(i128::from(sums.kept), 1),
        vcpu: hours(sums.vcpu, 1),
        memory: hours(sums.memory, GIB),
        disk: hours(sums.disk, GIB),
        public_addresses: hours(sums.public_addresses, 1),
    }
}

fn month_of(app: &App) -> String {
    let now = jiff::Timestamp::from_microsecond(app.now().0).unwrap_or_default();
    now.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m").to_string()
}

/// The page.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let (reader, scope) = (app.store.reader(), guarded.visitor.scope());
    let account = accounts::get(reader, scope, AccountId(id)).await?;
    let this_month = month_of(&app);
    let month = if asked.month.is_empty() { this_month.clone() } else { asked.month };
    let window = month_window(&app, &month)?;
    let first: Date = format!("{month}-01").parse().map_err(|_| ApiError::not_found("month"))?;
    let found =
        usage::entries(reader, scope, Some(AccountId(account.id)), window, asked.after.unwrap_or(0), ROWS)
            .await?;
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count == ROWS);
    let mut together = Sums::default();
    let mut rows = Vec::with_capacity(found.len());
    let last = found.last().map(|guest| guest.id);
    for guest in found {
        let sums = of_guest(&guest, window);
        together.add(&sums);
        rows.push(row(guest.id, guest.name, &sums));
    }
    let path = format!("/accounts/{id}/usage");
    let of = |day: Date| format!("{path}?month={}", day.strftime("%Y-%m"));
    let next = first.saturating_add(1.month());
    page(&UsagePage {
        shell: Shell::new(&app, &guarded.visit, Section::Accounts, format!("Usage of {}", account.name)),
        said: first.strftime("%B %Y").to_string(),
        before: Some(of(first.saturating_sub(1.month()))),
        after: (month < this_month).then(|| of(next)),
        csv: format!("{path}.csv?month={month}"),
        sum: row(0, String::new(), &together),
        is_part: is_full || asked.after.is_some(),
        more: last.filter(|_| is_full).map(|last| format!("{path}?month={month}&after={last}")),
        rows,
        month,
        account,
    })
}

/// The same, row by row, for whoever writes invoices.
pub(super) async fn csv(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let month = if asked.month.is_empty() { month_of(&app) } else { asked.month };
    let mut answer = month_csv(app, guarded.visitor.scope(), id, &month).await?;
    // What is a month holds digits and a hyphen.
    let name = format!("attachment; filename=\"usage-{id}-{month}.csv\"");
    if let Ok(name) = HeaderValue::from_str(&name) {
        answer.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_to_tenths_of_hours() {
        assert_eq!(
            [0, 179, 180, 3_600, 3_600 * 1_234 + 1_800].map(|n| hours(n, 1)),
            ["0.0", "0.0", "0.1", "1.0", "1,234.5"]
        );
        assert_eq!(hours(3_600 * 3 * (1 << 29), GIB), "1.5");
    }
}

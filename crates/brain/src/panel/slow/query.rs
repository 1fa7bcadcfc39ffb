//! One query: what to do first, then since when, how long, by whom, and what people make of it.

use super::asked::Asked;
use super::charts::{Chart, Timeline};
use super::ranking::{MOST_MARKS, MarkRow, mark_rows};
use super::rows::{confidence, examined, flags, index_line, rule, state, width};
use super::servers::Whose;
use super::sheet::Sheet;
use crate::app::App;
use crate::http::{ApiResult, slow_ranking};
use crate::operations::SlowQueryJudge;
use crate::panel::failure::PanelResult;
use crate::panel::fields::Fields;
use crate::panel::problems::Problems;
use crate::panel::shell::{Flash, Section, Shell, go, page_with};
use crate::panel::shown::{self, Badge, Moment};
use crate::panel::visitor::{Asking, Guarded, PageId};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use honcho_api::{SlowBin, SlowPoint, SlowQuery, SlowQueryDetails, SlowShare};
use honcho_model::SlowQueryId;
use honcho_model::account::SampleValues;
use honcho_model::slow::QueryState;
use honcho_store::accounts;
use honcho_store::slow::{self, short_name};
use std::collections::BTreeMap;

struct Advice {
    title: String,
    confidence: Badge,
    reason: String,
    index: Option<String>,
}

/// Something before and now.
struct Compared {
    label: &'static str,
    before: String,
    now: String,
    change: Option<String>,
    is_worse: bool,
}

struct Bin {
    label: String,
    before: Option<(String, String)>,
    bar: String,
    count: String,
}

struct Asker {
    name: String,
    bar: String,
    share: String,
    count: String,
}

struct Askers {
    label: &'static str,
    rows: Vec<Asker>,
}

struct Figure {
    when: String,
    is_before: bool,
    count: String,
    total: String,
    mean: String,
    p95: String,
}

struct Note {
    at: Moment,
    actor: String,
    state: Option<String>,
    text: String,
}

struct StateChoice {
    word: &'static str,
    label: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "slow_query.html")]
struct QueryPage {
    shell: Shell,
    query: SlowQuery,
    name: String,
    whose: String,
    whose_path: String,
    server: String,
    flags: Vec<Badge>,
    state: Option<Badge>,
    sheet: Sheet,
    advice: Vec<Advice>,
    is_asked: bool,
    compared: Vec<Compared>,
    has_before: bool,
    facts: Vec<(&'static str, String)>,
    totals: Chart,
    times: Option<Chart>,
    each: &'static str,
    marks: Vec<MarkRow>,
    figures: Vec<Figure>,
    bins: Vec<Bin>,
    askers: Vec<Askers>,
    sample_at: Moment,
    keeps_values: bool,
    settings: Option<i64>,
    tables: Vec<honcho_api::SlowTable>,
    explain: Option<String>,
    first_seen: Moment,
    last_seen: Moment,
    may_change: bool,
    states: Vec<StateChoice>,
    note: String,
    problems: Problems,
    notes: Vec<Note>,
}

impl QueryPage {
    /// The time that is looked at, as an address has it: who says something comes back to it.
    fn time_query(&self) -> String {
        self.sheet.asked.time_alone().with("", |_| {})
    }
}

/// The page.
pub(in crate::panel) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    shown_with(&app, &guarded, id, asked, None).await
}

/// What somebody filled in that has something wrong in it.
struct Refused {
    state: String,
    note: String,
    problems: Problems,
}

async fn shown_with(
    app: &App,
    guarded: &Guarded,
    id: i64,
    asked: Asked,
    refused: Option<Refused>,
) -> PanelResult<Response> {
    let (visitor, reader) = (&guarded.visitor, app.store.reader());
    let known = slow::find_query(reader, visitor.scope(), SlowQueryId(id)).await?;
    let whose = Whose::server(app, visitor, known.server.0).await?;
    let server = super::servers::rows(app, &whose.all).await?;
    let server = server.into_iter().find(|row| row.id == known.server.0).map(|row| row.name);
    let path = format!("/slow_queries/{id}");
    let asked = Asked { server_id: String::new(), state: String::new(), flag: String::new(), ..asked };
    let mut filters = asked.filters(app.now())?;
    filters.offset = None;
    let ranking = slow_ranking(app, visitor.scope(), &filters, vec![known.server]).await?;
    let details = slow::query(reader, visitor.scope(), known, ranking).await?;
    let of_server = Asked { server_id: details.query.slow_server_id.to_string(), ..asked.clone() };
    let all_marks = whose.marks(app, visitor, MOST_MARKS).await?;
    let all_marks: Vec<_> = all_marks
        .into_iter()
        .filter(|mark| mark.slow_server_id.is_none_or(|id| id == details.query.slow_server_id))
        .collect();
    let keeps_values = match details.account_id {
        Some(id) => {
            let account = accounts::get(reader, visitor.scope(), honcho_model::AccountId(id)).await?;
            account.sample_values == SampleValues::Kept
        }
        None => false,
    };
    let timeline = timeline(&details);
    let marks: Vec<_> =
        details.marks.iter().filter(|mark| timeline.holds(mark.at.as_microsecond())).cloned().collect();
    let status = if refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let (chosen, note, problems) = match refused {
        Some(refused) => (refused.state, refused.note, refused.problems),
        None => (details.query.state.clone(), String::new(), Problems::default()),
    };
    let moment = |at| shown::moment(at, app.now());
    let name = short_name(&details.query.fingerprint);
    let page = QueryPage {
        shell: Shell::new(app, &guarded.visit, Section::SlowQueries, name.clone()),
        name,
        whose: whose.name(),
        whose_path: of_server.with(&whose.path, |asked| {
            // A page of one server alone has no server to choose.
            if whose.account.is_none() {
                asked.server_id.clear();
            }
        }),
        server: server.unwrap_or_else(|| details.slow_server_node.clone()),
        flags: flags(&details.query),
        state: state(&details.query.state),
        sheet: Sheet::new(app, &all_marks, &asked, &path)?,
        advice: details.query.advice.iter().map(advice).collect(),
        is_asked: details.query.events_count > 0,
        compared: compared(&details),
        has_before: details.query.before_events_count.is_some(),
        facts: facts(&details.query),
        totals: totals(&timeline, &details, &marks),
        times: times(&timeline, &details, &marks),
        each: if details.resolution == "hour" { "hour" } else { "day" },
        marks: mark_rows(app, &marks, &asked, &path),
        figures: figures(&timeline, &details),
        bins: bins(&details.before_histogram, &details.histogram),
        askers: vec![
            askers("Users", &details.by_user),
            askers("Hosts", &details.by_host),
            askers("Databases", &details.by_database),
        ],
        sample_at: moment(details.query.sample_at),
        keeps_values,
        settings: details.account_id,
        first_seen: moment(details.query.first_seen_at),
        last_seen: moment(details.query.last_seen_at),
        may_change: whose.may_change(visitor),
        states: states(&chosen),
        note,
        problems,
        notes: details
            .notes
            .into_iter()
            .map(|note| Note {
                at: moment(note.created_at),
                actor: note.actor,
                state: note.state.as_deref().map(shown::words),
                text: note.text,
            })
            .collect(),
        tables: details.tables,
        explain: details.explain,
        query: details.query,
    };
    page_with(status, &page)
}

fn advice(one: &honcho_api::SlowAdvice) -> Advice {
    Advice {
        title: rule(&one.rule),
        confidence: confidence(&one.confidence),
        reason: one.reason.clone(),
        index: one.index.as_ref().map(index_line),
    }
}

/// The periods of both series.
fn timeline(details: &SlowQueryDetails) -> Timeline {
    let period = if details.resolution == "hour" { 3_600_000_000 } else { 86_400_000_000 };
    let range = |series: &[SlowPoint]| {
        let begins = |point: &SlowPoint| point.begins_at.as_microsecond();
        Some((begins(series.first()?), begins(series.last()?) + period))
    };
    let after = range(&details.series).unwrap_or((0, period));
    Timeline::new(range(&details.before_series), after, after.1, period)
}

fn points(details: &SlowQueryDetails) -> impl Iterator<Item = &SlowPoint> {
    details.before_series.iter().chain(&details.series)
}

fn totals(timeline: &Timeline, details: &SlowQueryDetails, marks: &[honcho_api::SlowMark]) -> Chart {
    let values: Vec<(i64, f64)> =
        points(details).map(|point| (point.begins_at.as_microsecond(), point.total_seconds)).collect();
    Chart::bars(timeline, &values, marks, "The time that it took altogether")
}

fn times(timeline: &Timeline, details: &SlowQueryDetails, marks: &[honcho_api::SlowMark]) -> Option<Chart> {
    let value =
        |point: &SlowPoint| Some((point.begins_at.as_microsecond(), point.mean_seconds?, point.p95_seconds?));
    let values: Vec<(i64, f64, f64)> = points(details).filter_map(value).collect();
    (!values.is_empty()).then(|| Chart::lines(timeline, &values, marks))
}

fn figures(timeline: &Timeline, details: &SlowQueryDetails) -> Vec<Figure> {
    let figure = |is_before: bool| {
        move |point: &SlowPoint| Figure {
            when: timeline.said(point.begins_at.as_microsecond()),
            is_before,
            count: shown::count(point.events_count),
            total: shown::seconds(point.total_seconds),
            mean: point.mean_seconds.map(shown::seconds).unwrap_or_default(),
            p95: point.p95_seconds.map(shown::seconds).unwrap_or_default(),
        }
    };
    let asked = |point: &&SlowPoint| point.events_count > 0;
    let before = details.before_series.iter().filter(asked).map(figure(true));
    before.chain(details.series.iter().filter(asked).map(figure(false))).collect()
}

fn compared(details: &SlowQueryDetails) -> Vec<Compared> {
    let query = &details.query;
    let none = || "\u{2013}".to_owned();
    let row = |label, before: Option<String>, now: String, ratio: Option<f64>| Compared {
        label,
        before: before.unwrap_or_else(none),
        now,
        change: ratio.and_then(shown::times),
        is_worse: ratio.is_some_and(|ratio| ratio > 1.05),
    };
    let asked = |text: String| if query.events_count > 0 { text } else { none() };
    let share = query.before_share.filter(|was| *was > 0.0).map(|was| query.share / was);
    vec![
        row("Share of the time", query.before_share.map(shown::percent), shown::percent(query.share), share),
        row(
            "Asked (the change by the hour)",
            query.before_events_count.map(shown::count),
            shown::count(query.events_count),
            query.events_ratio,
        ),
        row(
            "Mean",
            query.before_mean_seconds.map(shown::seconds),
            asked(shown::seconds(query.mean_seconds)),
            query.mean_ratio,
        ),
        row(
            "95th percentile",
            query.before_p95_seconds.map(shown::seconds),
            asked(shown::seconds(query.p95_seconds)),
            query.p95_ratio,
        ),
    ]
}

fn facts(query: &SlowQuery) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Altogether", shown::seconds(query.total_seconds)),
        (
            "Median, 99th percentile",
            format!("{}, {}", shown::seconds(query.p50_seconds), shown::seconds(query.p99_seconds)),
        ),
        ("Slowest", shown::seconds(query.max_seconds)),
        ("Rows read for each one sent", examined(query)),
        ("Rows read", shown::count(query.rows_examined_count)),
        ("Rows sent", shown::count(query.rows_sent_count)),
    ];
    let more = [
        ("Rows changed", query.rows_affected_count),
        ("Read a whole table", query.full_scans_count),
        ("Made temporary tables", query.temporary_tables_count),
        ("Asked row by row", query.events_in_bursts_count),
    ];
    facts.extend(more.into_iter().filter(|(_, n)| *n > 0).map(|(label, n)| (label, shown::count(n))));
    if query.lock_seconds > 0.0 {
        facts.push(("Waited for locks", shown::seconds(query.lock_seconds)));
    }
    facts
}

#[expect(clippy::cast_precision_loss, reason = "widths of bars")]
fn bins(before: &[SlowBin], now: &[SlowBin]) -> Vec<Bin> {
    // Each bin is twice as wide as the one before: their beginnings, in microseconds, are whole numbers.
    #[expect(clippy::cast_possible_truncation, reason = "what a column held")]
    let key = |bin: &SlowBin| (bin.from_seconds * 1e6).round() as i64;
    let mut all: BTreeMap<i64, (f64, f64, i64, i64)> = BTreeMap::new();
    for bin in before {
        all.entry(key(bin)).or_insert((bin.from_seconds, bin.below_seconds, 0, 0)).2 += bin.events_count;
    }
    for bin in now {
        all.entry(key(bin)).or_insert((bin.from_seconds, bin.below_seconds, 0, 0)).3 += bin.events_count;
    }
    let sum = |which: fn(&(f64, f64, i64, i64)) -> i64| all.values().map(which).sum::<i64>().max(1) as f64;
    let (sum_before, sum_now) = (sum(|bin| bin.2), sum(|bin| bin.3));
    let most = all
        .values()
        .map(|bin| (bin.2 as f64 / sum_before).max(bin.3 as f64 / sum_now))
        .fold(f64::MIN_POSITIVE, f64::max);
    let bar =
        |count: i64, sum: f64| if count > 0 { width(count as f64 / sum / most) } else { "0".to_owned() };
    all.values()
        .map(|(from, below, was, is)| Bin {
            label: format!("{} to {}", shown::seconds(*from), shown::seconds(*below)),
            before: (!before.is_empty()).then(|| (bar(*was, sum_before), shown::count(*was))),
            bar: bar(*is, sum_now),
            count: shown::count(*is),
        })
        .collect()
}

fn askers(label: &'static str, shares: &[SlowShare]) -> Askers {
    let row = |share: &SlowShare| Asker {
        name: if share.name.is_empty() { "(not known)".to_owned() } else { share.name.clone() },
        bar: width(share.share),
        share: shown::percent(share.share),
        count: shown::count(share.events_count),
    };
    Askers { label, rows: shares.iter().map(row).collect() }
}

fn states(chosen: &str) -> Vec<StateChoice> {
    let label = |state: QueryState| match state {
        QueryState::New => "new: nobody has looked",
        QueryState::LookedAt => "looked at: something will be done",
        QueryState::Accepted => "accepted: as slow as it has to be",
        QueryState::Ignored => "ignored: not to be seen",
    };
    let choice = |state: &QueryState| StateChoice {
        word: state.as_str(),
        label: label(*state).to_owned(),
        is_chosen: state.as_str() == chosen,
    };
    QueryState::ALL.iter().map(choice).collect()
}

async fn judged(app: &App, guarded: &Guarded, id: i64, fields: &Fields) -> ApiResult<()> {
    let writer = guarded.visitor.writer()?;
    let change = SlowQueryJudge {
        scope: writer.scope,
        id: SlowQueryId(id),
        who: writer.actor.who.clone(),
        state: fields.text("state"),
        note: fields.text("note"),
    };
    Ok(app.write(writer.actor, &change).await?)
}

/// Says what is made of it.
pub(in crate::panel) async fn judge(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    Asking(asked): Asking<Asked>,
    fields: Fields,
) -> PanelResult<Response> {
    match judged(&app, &guarded, id, &fields).await {
        Ok(()) => {
            let to = asked.time_alone().with(&format!("/slow_queries/{id}"), |_| {});
            let flash = Flash::done("What is made of this query is written down.");
            Ok(go(&to, Some(flash), guarded.visit.transport))
        }
        Err(error) => {
            let refused = Refused {
                state: fields.raw("state").to_owned(),
                note: fields.raw("note").to_owned(),
                problems: Problems::of(error)?,
            };
            shown_with(&app, &guarded, id, asked, Some(refused)).await
        }
    }
}

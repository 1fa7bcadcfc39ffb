//! The ranking: what hurts most, what is new and worse, then all by their share of the time, and what got better.

use super::asked::{Asked, ROWS};
use super::charts::{Chart, Timeline};
use super::rows::{Row, first_advice, index_line, rows, rule};
use super::servers::{self, ServerRow, Whose};
use super::sheet::{Choice, Sheet};
use crate::app::App;
use crate::http::slow_ranking;
use crate::panel::failure::PanelResult;
use crate::panel::shell::{Section, Shell, go, page};
use crate::panel::shown;
use crate::panel::visitor::{Asking, Guarded, PageId};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use honcho_api::SlowMark;
use honcho_model::slow::{QueryFlag, QueryState};
use honcho_store::slow::{Drawn, Overview};
use std::collections::HashMap;

/// So many of what is new, worse or better stand apart.
const MOST_NEWS: usize = 5;
/// So many servers are named above the ranking; all of them are below it.
const MOST_SERVERS: usize = 12;
/// So many marks can be chosen.
pub(super) const MOST_MARKS: i64 = 50;

/// What somebody should look at before anything else.
struct Worst {
    row: Row,
    index: Option<String>,
    rule: Option<String>,
    reason: String,
}

/// Whether it is one server of several that is shown.
struct ServerChoice {
    row: ServerRow,
    address: String,
    is_chosen: bool,
}

/// A mark on the chart, and what was before and after it.
pub(super) struct MarkRow {
    pub(super) number: usize,
    pub(super) text: String,
    pub(super) at: shown::Moment,
    pub(super) compare: String,
}

#[derive(Template)]
#[template(path = "slow_ranking.html")]
struct RankingPage {
    shell: Shell,
    name: String,
    account: Option<i64>,
    has_several_accounts: bool,
    marks_path: String,
    sheet: Sheet,
    servers: Vec<ServerChoice>,
    names_servers: bool,
    everything: String,
    is_filtered: bool,
    path: String,
    asked: Asked,
    total: String,
    total_before: Option<String>,
    worst: Option<Worst>,
    chart: Option<Chart>,
    marks: Vec<MarkRow>,
    news: Vec<Row>,
    all_news: Vec<Choice>,
    better: Vec<Row>,
    rows: Vec<Row>,
    found: String,
    states: Vec<Choice>,
    flags: Vec<Choice>,
    before: Option<String>,
    after: Option<String>,
    /// A day of which there is something, where there is nothing to show.
    elsewhere: Option<Choice>,
}

/// Of all servers of an account, or of one of them.
pub(in crate::panel) async fn of_account(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let whose = Whose::account(&app, &guarded.visitor, id).await?;
    ranking(&app, &guarded, whose, asked).await
}

/// Of a server. One that is an account's is shown among that account's.
pub(in crate::panel) async fn of_server(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let whose = Whose::server(&app, &guarded.visitor, id).await?;
    if whose.account.is_some() {
        let to = asked.with(&whose.path, |asked| asked.server_id = id.to_string());
        return Ok(go(&to, guarded.visit.flash.clone(), guarded.visit.transport));
    }
    ranking(&app, &guarded, whose, asked).await
}

async fn ranking(app: &App, guarded: &Guarded, whose: Whose, asked: Asked) -> PanelResult<Response> {
    let visitor = &guarded.visitor;
    let chosen = whose.chosen(&asked.server_id)?;
    let marks = whose.marks(app, visitor, MOST_MARKS).await?;
    let filters = asked.filters(app.now())?;
    let ranking = slow_ranking(app, visitor.scope(), &filters, chosen).await?;
    let overview = ranking.overview(app.store.reader(), MOST_NEWS).await?;
    let timeline = Timeline::new(overview.before, overview.after, overview.covered, overview.period);
    let servers = servers::rows(app, &whose.all).await?;
    let names_servers = servers.len() > 1 && asked.server_id.is_empty();
    let names: HashMap<i64, String> = if names_servers {
        servers.iter().map(|server| (server.id, server.name.clone())).collect()
    } else {
        HashMap::new()
    };
    let sheet = Sheet::new(app, &marks, &asked, &whose.path)?;
    let drawn_marks = on_chart(marks, &timeline, &asked);
    let is_filtered =
        [&asked.state, &asked.flag, &asked.text].into_iter().any(|text| !text.trim().is_empty());
    let page_number = asked.page()?;
    let plain = !is_filtered && page_number == 0;
    let all = |drawn: &[Drawn]| rows(drawn, &timeline, &names, &asked);
    let at = |page: i64| asked.with(&whose.path, |asked| asked.page = (page + 1).to_string());
    let shown_to = (page_number + 1) * ROWS;
    let found = i64::try_from(overview.found).unwrap_or(i64::MAX);
    let has_any = overview.total_seconds > 0.0;
    let bars =
        || Chart::bars(&timeline, &overview.over_time, &drawn_marks, "The time of all queries together");
    page(&RankingPage {
        shell: Shell::new(
            app,
            &guarded.visit,
            Section::SlowQueries,
            format!("Slow queries of {}", whose.name()),
        ),
        name: whose.name(),
        account: whose.account.as_ref().map(|(id, _)| *id),
        has_several_accounts: visitor.is_operator() || visitor.session.grants.len() > 1,
        marks_path: whose.marks_path(),
        sheet,
        names_servers,
        everything: asked.with(&whose.path, |asked| asked.server_id.clear()),
        is_filtered,
        total: shown::seconds(overview.total_seconds),
        total_before: overview.before.map(|_| shown::seconds(overview.before_total_seconds)),
        worst: overview.queries.first().filter(|_| plain).map(|one| worst(one, &all)),
        chart: has_any.then(bars),
        marks: mark_rows(app, &drawn_marks, &asked, &whose.path),
        news: if plain { all(&overview.news) } else { Vec::new() },
        all_news: more_news(&overview, &asked, &whose.path),
        better: if plain { all(&overview.better) } else { Vec::new() },
        rows: all(&overview.queries),
        found: shown::count(found),
        states: state_choices(&overview, &asked, &whose.path),
        flags: flag_choices(&overview, &asked, &whose.path),
        before: (page_number > 0).then(|| at(page_number - 1)),
        after: (shown_to < found).then(|| at(page_number + 1)),
        elsewhere: if has_any { None } else { elsewhere(&whose, &asked) },
        path: whose.path.clone(),
        servers: servers
            .into_iter()
            .map(|row| ServerChoice {
                address: asked.with(&whose.path, |asked| asked.server_id = row.id.to_string()),
                is_chosen: row.id.to_string() == asked.server_id,
                row,
            })
            .collect(),
        asked,
    })
}

impl RankingPage {
    /// The servers that are named above the ranking.
    fn named_servers(&self) -> &[ServerChoice] {
        if self.servers.len() > MOST_SERVERS { &[] } else { &self.servers }
    }

    /// Those with which something is wrong.
    fn troubled(&self) -> impl Iterator<Item = &ServerRow> {
        self.servers.iter().map(|choice| &choice.row).filter(|row| !row.why.is_empty()).take(MOST_SERVERS)
    }
}

fn worst(one: &Drawn, all: &impl Fn(&[Drawn]) -> Vec<Row>) -> Worst {
    let advice = first_advice(&one.query);
    Worst {
        row: all(std::slice::from_ref(one)).remove(0),
        index: advice.and_then(|advice| advice.index.as_ref()).map(index_line),
        rule: advice.map(|advice| rule(&advice.rule)),
        reason: advice.map(|advice| advice.reason.clone()).unwrap_or_default(),
    }
}

/// The marks of what is shown that are on the chart, the oldest first.
fn on_chart(marks: Vec<SlowMark>, timeline: &Timeline, asked: &Asked) -> Vec<SlowMark> {
    let own = |mark: &SlowMark| {
        let one = asked.server_id.is_empty() || mark.slow_server_id.is_none();
        one || mark.slow_server_id.is_some_and(|id| id.to_string() == asked.server_id)
    };
    let seen = |mark: &SlowMark| own(mark) && timeline.holds(mark.at.as_microsecond());
    let mut marks: Vec<SlowMark> = marks.into_iter().filter(seen).collect();
    marks.sort_by_key(|mark| (mark.at, mark.id));
    marks
}

/// Marks of a chart, with their numbers on it.
pub(super) fn mark_rows(app: &App, marks: &[SlowMark], asked: &Asked, path: &str) -> Vec<MarkRow> {
    let row = |(at, mark): (usize, &SlowMark)| MarkRow {
        number: at + 1,
        text: mark.text.clone(),
        at: shown::moment(mark.at, app.now()),
        compare: asked.with(path, |asked| {
            asked.mark_id = mark.id.to_string();
            asked.day.clear();
            asked.against.clear();
        }),
    };
    marks.iter().enumerate().map(row).collect()
}

/// Where all that is new or worse is, if not all of it is shown.
fn more_news(overview: &Overview, asked: &Asked, path: &str) -> Vec<Choice> {
    let of = |flag: QueryFlag| overview.flags.iter().find(|(own, _)| *own == flag).map_or(0, |(_, n)| *n);
    let all = [(QueryFlag::New, "new"), (QueryFlag::Worse, "worse")];
    if all.iter().map(|(flag, _)| of(*flag)).sum::<usize>() <= overview.news.len() {
        return Vec::new();
    }
    let choice = |(flag, word): (QueryFlag, &str)| Choice {
        label: format!("All {} that are {word}", of(flag)),
        address: asked.with(path, |asked| flag.as_str().clone_into(&mut asked.flag)),
        is_chosen: false,
    };
    all.into_iter().filter(|(flag, _)| of(*flag) > 0).map(choice).collect()
}

fn state_choices(overview: &Overview, asked: &Asked, path: &str) -> Vec<Choice> {
    let all = overview.states.iter().filter(|(state, _)| *state != QueryState::Ignored);
    let every = Choice {
        label: format!("All but ignored {}", all.map(|(_, count)| count).sum::<usize>()),
        address: asked.with(path, |asked| asked.state.clear()),
        is_chosen: asked.state.is_empty(),
    };
    let choice = |(state, count): &(QueryState, usize)| {
        let is_chosen = asked.state == state.as_str();
        let word = if *state == QueryState::New {
            "nobody has looked".to_owned()
        } else {
            shown::words(state.as_str())
        };
        (*count > 0 || is_chosen).then(|| Choice {
            label: format!("{word} {count}"),
            address: asked.with(path, |asked| state.as_str().clone_into(&mut asked.state)),
            is_chosen,
        })
    };
    std::iter::once(every).chain(overview.states.iter().filter_map(choice)).collect()
}

fn flag_choices(overview: &Overview, asked: &Asked, path: &str) -> Vec<Choice> {
    let choice = |(flag, count): &(QueryFlag, usize)| {
        let is_chosen = asked.flag == flag.as_str();
        let word = flag.as_str();
        (*count > 0 || is_chosen).then(|| Choice {
            label: format!("{word} {count}"),
            address: asked.with(path, |asked| {
                if is_chosen { asked.flag.clear() } else { word.clone_into(&mut asked.flag) }
            }),
            is_chosen,
        })
    };
    overview.flags.iter().filter_map(choice).collect()
}

/// The last day of which there is something.
fn elsewhere(whose: &Whose, asked: &Asked) -> Option<Choice> {
    let own = whose
        .all
        .iter()
        .filter(|server| asked.server_id.is_empty() || server.id.to_string() == asked.server_id);
    let last = own.filter_map(|server| server.last_event_at).max()?;
    let day = last.to_zoned(jiff::tz::TimeZone::UTC).date();
    let asked_then = Asked { day: day.to_string(), server_id: asked.server_id.clone(), ..Asked::default() };
    Some(Choice {
        label: day.strftime("%-d %b %Y").to_string(),
        address: asked_then.with(&whose.path, |_| {}),
        is_chosen: false,
    })
}

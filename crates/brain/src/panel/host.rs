//! The page of a host, and emptying it: the plan is shown before anything is done.

use super::failure::{PanelResult, unwritable};
use super::fields::Fields;
use super::guests::{Row, rows};
use super::hosts::{Used, used};
use super::live::{self, Pace};
use super::load::{Asked, Graphs};
use super::shell::{Flash, Section, Shell, go, page};
use super::shown::{self, Badge, Moment};
use super::visitor::{Asking, Guarded, PageId, Visit};
use crate::app::App;
use crate::http::{Moves, drain_ordered, drain_plan, undrained};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{Drain, Host, Pool};
use honcho_model::HostId;
use honcho_model::load::{Kind, Span};
use honcho_store::names::{self, Named};
use honcho_store::{Filters, guests, hosts, load, pools};

/// How many guests are listed on its page.
const GUESTS: i64 = 50;

struct PoolRow {
    name: String,
    path: String,
    status: Badge,
    reason: String,
    filled: Option<Used>,
    promised: String,
}

#[derive(Template)]
#[template(path = "host.html")]
struct HostPage {
    shell: Shell,
    host: Host,
    status: Badge,
    place: Option<String>,
    seen: Option<Moment>,
    draining: Option<Moment>,
    memory: Option<Used>,
    pools: Vec<PoolRow>,
    graphs: Graphs,
    rows: Vec<Row>,
    has_more: bool,
    is_operator: bool,
    shows_accounts: bool,
    shows_hosts: bool,
}

fn pool_row(pool: Pool) -> PoolRow {
    let filled = pool.size_bytes.zip(pool.free_bytes).and_then(|(size, free)| used(size - free, Some(size)));
    let (word, tone) = match pool.status.as_str() {
        "ready" => ("ready", "good"),
        "blank" => ("blank", "busy"),
        "wrong" => ("wrong", "bad"),
        _ => ("unknown", "warn"),
    };
    PoolRow {
        name: pool.name,
        path: pool.path,
        status: Badge { word, tone },
        reason: pool.status_reason.unwrap_or_default(),
        filled,
        promised: shown::size(pool.placed_bytes),
    }
}

async fn place(app: &App, host: &Host) -> PanelResult<Option<String>> {
    let reader = app.store.reader();
    let racks = names::of(reader, Named::Rack, host.rack_id).await?;
    let sites = names::of(reader, Named::Site, host.site_id).await?;
    let site = host.site_id.and_then(|id| sites.get(&id).cloned());
    let rack = host.rack_id.and_then(|id| racks.get(&id)).map(|rack| format!("rack {rack}"));
    let unit = host.position.map(|unit| format!("unit {unit}"));
    let words: Vec<String> = site.into_iter().chain(rack).chain(unit).collect();
    Ok(Some(words.join(", ")).filter(|words| !words.is_empty()))
}

/// The page.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    guarded.visitor.operator()?;
    let reader = app.store.reader();
    let host = hosts::get(reader, HostId(id), app.now()).await?;
    let limit = Some(GUESTS + 1);
    let filters = Filters { limit, with_cancelled: true, without_deleted: true, ..Filters::default() }
        .and("host_id", id);
    let mut found = guests::list(reader, guarded.visitor.scope(), &filters, app.now()).await?;
    let limit = usize::try_from(GUESTS).unwrap_or(usize::MAX);
    let has_more = found.len() > limit;
    found.truncate(limit);
    let of_host = pools::list(reader, &Filters::default().and("host_id", id)).await?;
    page(&HostPage {
        graphs: graphs(&app, id, asked.span()).await?,
        shell: Shell::new(&app, &guarded.visit, Section::Hosts, host.name.clone()),
        status: shown::host_status(host.status),
        place: place(&app, &host).await?,
        seen: host.last_seen_at.map(|at| shown::moment(at, app.now())),
        draining: host.draining_since.map(|at| shown::moment(at, app.now())),
        memory: used(host.memory_placed_bytes, host.memory_bytes),
        pools: of_host.into_iter().map(pool_row).collect(),
        rows: rows(&app, &guarded, found).await?,
        has_more,
        is_operator: true,
        shows_accounts: true,
        shows_hosts: false,
        host,
    })
}

async fn graphs(app: &App, id: i64, span: Span) -> PanelResult<Graphs> {
    let samples = load::of_host(app.store.reader(), HostId(id), span, app.now()).await?;
    Ok(Graphs::new(format!("/hosts/{id}"), Kind::Host, span, app.now(), &samples))
}

/// Its graphs, as they grow.
pub(super) async fn load_live(
    State(app): State<App>,
    visit: Visit,
    PageId(id): PageId,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let Some(visitor) = visit.visitor else { return Ok(live::nobody()) };
    visitor.operator()?;
    hosts::get(app.store.reader(), HostId(id), app.now()).await?;
    let of = app.clone();
    let span = asked.span();
    let render = move |_| {
        let app = of.clone();
        async move {
            let graphs = graphs(&app, id, span).await?;
            Ok(graphs.render().map_err(|error| unwritable(&error))?)
        }
    };
    live::follow(app, visitor, Pace::Clock, render).await
}

/// How many guests that fit nowhere are listed.
const HOMELESS: usize = 50;

/// How much of a reason is shown at first, in characters: it may name every host.
const REASON: usize = 160;

/// A guest that fits nowhere else.
struct Staying {
    guest_id: i64,
    guest: String,
    reason: String,
    /// The whole reason, where that is more.
    whole: Option<String>,
}

fn staying(guest: &honcho_api::Homeless) -> Staying {
    let cut = guest.reason.char_indices().nth(REASON).map(|(at, _)| at);
    Staying {
        guest_id: guest.guest_id,
        guest: guest.guest.clone(),
        reason: cut.map_or_else(|| guest.reason.clone(), |at| format!("{}…", &guest.reason[..at])),
        whole: cut.map(|_| guest.reason.clone()),
    }
}

struct MoveRow {
    guest_id: i64,
    guest: String,
    to_id: i64,
    to: String,
    copied: String,
}

#[derive(Template)]
#[template(path = "drain.html")]
struct DrainPage {
    shell: Shell,
    plan: Drain,
    moves: Vec<MoveRow>,
    copied: String,
    homeless: Vec<Staying>,
    is_draining: bool,
}

/// What emptying it would come to. Nothing is changed by looking.
pub(super) async fn plan(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
) -> PanelResult<Response> {
    guarded.visitor.operator()?;
    let plan = drain_plan(&app, id).await?;
    let moves = plan.moves.iter().map(|one| MoveRow {
        guest_id: one.guest_id,
        guest: one.guest.clone(),
        to_id: one.to_host_id,
        to: one.to_host.clone(),
        copied: shown::size(one.copied_bytes),
    });
    page(&DrainPage {
        shell: Shell::new(&app, &guarded.visit, Section::Hosts, format!("Empty {}", plan.host)),
        moves: moves.collect(),
        copied: shown::size(plan.moves.iter().map(|one| one.copied_bytes).sum()),
        homeless: plan.homeless.iter().take(HOMELESS).map(staying).collect(),
        is_draining: plan.draining_since.is_some(),
        plan,
    })
}

/// Begins to empty it, with the moves of the plan or without; or ends that.
pub(super) async fn drain(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    fields: Fields,
) -> PanelResult<Response> {
    guarded.visitor.operator()?;
    let caller = guarded.visitor.caller.clone();
    let said = match fields.raw("wanted") {
        "moves" => {
            let plan = drain_ordered(&app, caller, id, Moves::Ordered).await?;
            let count = plan.moves.iter().filter(|one| one.operation_id.is_some()).count();
            format!("{} is being emptied: {count} moves are ordered, a few are made at a time.", plan.host)
        }
        "undrained" => format!("{} takes new guests again.", undrained(&app, caller, id).await?.host),
        _ => {
            let plan = drain_ordered(&app, caller, id, Moves::Left).await?;
            format!("No new guest is placed on {} any more.", plan.host)
        }
    };
    Ok(go(&format!("/hosts/{id}"), Some(Flash::done(said)), guarded.visit.transport))
}

//! The page of a guest: what it is and why, what is being done, and what can be done.

use super::event_log::{self, EventRow};
use super::failure::{PanelResult, unwritable};
use super::live::{self, Pace};
use super::load::{Asked, Graphs};
use super::problems::Problems;
use super::shell::{Section, Shell, form_token, page_with};
use super::shown::{self, Badge, Moment};
use super::visitor::{Asking, Guarded, PageId, Visit, Visitor};
use crate::app::App;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use honcho_api::{Guest, Operation, Placement};
use honcho_model::GuestId;
use honcho_model::guest::Power;
use honcho_model::load::{Kind, Span};
use honcho_model::operation::{OperationKind, OperationState};
use honcho_store::names::{self, Named};
use honcho_store::{Filters, events, guests, load, operations, placements, slow};

/// How many operations and events are shown.
const NEWEST: i64 = 12;

struct OperationRow {
    what: String,
    state: Badge,
    step: String,
    percent: Option<i64>,
    problem: String,
    outcome: String,
    asked: Moment,
    took: String,
    is_open: bool,
}

/// The part of the page that is live.
#[derive(Template)]
#[template(path = "guest_live.html")]
struct LivePart {
    id: i64,
    /// For the forms in it: one that stays as it is while somebody looks.
    token: String,
    may_change: bool,
    is_running: bool,
    is_cancelled: bool,
    /// Whether it is on a host, and has a console there.
    is_reached: bool,
    deletes: Option<Moment>,
    gives_up: Option<(i64, String)>,
    name: String,
    status: Badge,
    reason: String,
    operations: Vec<OperationRow>,
    events: Vec<EventRow>,
}

struct Card {
    network_id: i64,
    network: String,
    mac: String,
    address: String,
    address6: String,
}

struct Candidate {
    host_id: i64,
    host: String,
    score: String,
    said: String,
}

/// Why it is where it is.
struct Placed {
    decided: Option<Moment>,
    refused: Vec<(String, i64)>,
    best: Vec<Candidate>,
}

/// A size as the form has it.
pub(super) struct SizeForm {
    pub(super) vcpus: String,
    pub(super) memory: String,
    pub(super) disk: String,
    pub(super) restart: bool,
    pub(super) problems: Problems,
}

#[derive(Template)]
#[template(path = "guest.html")]
struct GuestPage {
    shell: Shell,
    guest: Guest,
    live: LivePart,
    graphs: Graphs,
    account: String,
    image: String,
    host: Option<(i64, String)>,
    moving_to: Option<String>,
    memory: String,
    disk: String,
    made: Moment,
    cards: Vec<Card>,
    placed: Option<Placed>,
    size: SizeForm,
    is_operator: bool,
    may_change: bool,
    is_running: bool,
    is_cancelled: bool,
    /// The server that it is, if it sends slow logs.
    slow_server: Option<i64>,
}

fn operation_row(operation: &Operation, app: &App) -> OperationRow {
    let now = jiff::Timestamp::from_microsecond(app.now().0).unwrap_or_default();
    OperationRow {
        what: shown::words(operation.kind.as_str()),
        state: shown::operation_state(operation.state, operation.problem.as_deref()),
        step: operation.step.as_deref().map(shown::words).unwrap_or_default(),
        percent: operation.percent,
        problem: operation.problem.clone().unwrap_or_default(),
        outcome: operation.outcome.clone().unwrap_or_default(),
        asked: shown::moment(operation.created_at, app.now()),
        took: operation.ended_at.map_or_else(
            || format!("for {}", shown::span(operation.created_at, now)),
            |ended| shown::span(operation.created_at, ended),
        ),
        is_open: operation.state == OperationState::Open,
    }
}

async fn newest_operations(app: &App, visitor: &Visitor, id: GuestId) -> PanelResult<Vec<Operation>> {
    let filters = Filters { limit: Some(NEWEST), descending: true, ..Filters::default() }.and("guest_id", id);
    Ok(operations::list(app.store.reader(), visitor.scope(), &filters).await?)
}

/// What a visitor may do with a guest, as it is.
struct Possible {
    may_change: bool,
    is_running: bool,
    is_cancelled: bool,
}

fn possible(visitor: &Visitor, guest: &Guest) -> Possible {
    let ended = guest.cancelled_at.is_some() || guest.deleted_at.is_some();
    let is_gone = guest.deleted_at.is_some() || guest.status == honcho_model::guest::GuestStatus::Deleting;
    Possible {
        may_change: visitor.may_change(guest.account_id) && !is_gone,
        is_running: guest.power == Power::Running && !ended,
        is_cancelled: guest.cancelled_at.is_some() && !is_gone,
    }
}

async fn live_part(
    app: &App,
    visitor: &Visitor,
    guest: &Guest,
    done: &[Operation],
    token: String,
) -> PanelResult<LivePart> {
    let filters = Filters { limit: Some(NEWEST), descending: true, ..Filters::default() }
        .and("resource", "guest")
        .and("resource_id", guest.id);
    let log = events::list(app.store.reader(), visitor.scope(), &filters).await?;
    let Possible { may_change, is_running, is_cancelled } = possible(visitor, guest);
    // Moves are the operators'.
    let may_end = |operation: &&Operation| visitor.is_operator() || operation.kind != OperationKind::Move;
    let open = done.iter().filter(may_end).find(|operation| operation.state == OperationState::Open);
    Ok(LivePart {
        id: guest.id,
        token,
        may_change,
        is_running,
        is_cancelled,
        is_reached: guest.host_id.is_some() && guest.deleted_at.is_none(),
        deletes: guest.deletes_at.map(|at| shown::moment(at, app.now())),
        gives_up: open.map(|operation| (operation.id, shown::words(operation.kind.as_str()))),
        name: guest.name.clone(),
        status: shown::guest_status(guest.status),
        reason: guest.status_reason.clone().unwrap_or_default(),
        operations: done.iter().map(|operation| operation_row(operation, app)).collect(),
        events: log.into_iter().map(|event| event_log::row(event, app, visitor)).collect(),
    })
}

fn candidate(host: &honcho_api::PlacementHost) -> Candidate {
    Candidate {
        host_id: host.host_id,
        host: host.host.clone(),
        score: host.score.map(|score| format!("{score:.3}")).unwrap_or_default(),
        said: host.reason.clone().unwrap_or_default(),
    }
}

fn placed(placement: Placement, app: &App) -> Placed {
    let refused = placement.refused.unwrap_or_default();
    Placed {
        decided: placement.decided_at.map(|at| shown::moment(at, app.now())),
        refused: refused.into_iter().map(|count| (shown::filter(&count.filter), count.hosts)).collect(),
        best: placement.best.unwrap_or_default().iter().map(candidate).collect(),
    }
}

impl SizeForm {
    fn of(guest: &Guest) -> SizeForm {
        SizeForm {
            vcpus: guest.vcpus.to_string(),
            memory: shown::plain_size(guest.memory_bytes),
            disk: shown::plain_size(guest.disk_bytes),
            restart: false,
            problems: Problems::default(),
        }
    }
}

async fn cards(app: &App, guest: &Guest) -> PanelResult<Vec<Card>> {
    let networks = guest.interfaces.iter().map(|card| card.network_id);
    let names = names::of(app.store.reader(), Named::Network, networks).await?;
    let card = |card: &honcho_api::Interface| Card {
        network_id: card.network_id,
        network: names.get(&card.network_id).cloned().unwrap_or_default(),
        mac: card.mac.clone(),
        address: card.address.clone().unwrap_or_default(),
        address6: card.address6.clone().unwrap_or_default(),
    };
    Ok(guest.interfaces.iter().map(card).collect())
}

/// The page, as it is or with a form that has something wrong in it.
pub(super) async fn shown_with(
    app: &App,
    guarded: &Guarded,
    id: i64,
    form: Option<SizeForm>,
    span: Span,
) -> PanelResult<Response> {
    let (visit, visitor): (&Visit, &Visitor) = (&guarded.visit, &guarded.visitor);
    let reader = app.store.reader();
    let guest = guests::get(reader, visitor.scope(), GuestId(id), app.now()).await?;
    let done = newest_operations(app, visitor, GuestId(id)).await?;
    let shell = Shell::new(app, visit, Section::Guests, guest.name.clone());
    let live = live_part(app, visitor, &guest, &done, shell.token.clone()).await?;
    let accounts = names::of(reader, Named::Account, [guest.account_id]).await?;
    let images = names::of(reader, Named::Image, [guest.image_id]).await?;
    let mut hosts = std::collections::HashMap::new();
    let mut decision = None;
    if visitor.is_operator() {
        let both = guest.host_id.into_iter().chain(guest.moving_to_host_id);
        hosts = names::of(reader, Named::Host, both).await?;
        decision = placements::get(reader, GuestId(id)).await?.map(|placement| placed(placement, app));
    }
    let status = if form.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let Possible { may_change, is_running, is_cancelled } = possible(visitor, &guest);
    let of_guest = Filters { limit: Some(1), ..Filters::default() }.and("guest_id", id);
    let servers = slow::list(reader, visitor.scope(), &of_guest).await?;
    let graphs = graphs(app, visitor, id, span).await?;
    let page = GuestPage {
        graphs,
        slow_server: servers.first().map(|server| server.id),
        shell,
        account: accounts.get(&guest.account_id).cloned().unwrap_or_default(),
        image: images.get(&guest.image_id).cloned().unwrap_or_default(),
        host: guest.host_id.and_then(|id| Some((id, hosts.get(&id)?.clone()))),
        moving_to: guest.moving_to_host_id.and_then(|id| hosts.get(&id).cloned()),
        memory: shown::size(guest.memory_bytes),
        disk: shown::size(guest.disk_bytes),
        made: shown::moment(guest.created_at, app.now()),
        cards: cards(app, &guest).await?,
        placed: decision,
        size: form.unwrap_or_else(|| SizeForm::of(&guest)),
        is_operator: visitor.is_operator(),
        may_change,
        is_running,
        is_cancelled,
        live,
        guest,
    };
    page_with(status, &page)
}

/// The page.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    shown_with(&app, &guarded, id, None, asked.span()).await
}

/// What changes of it while somebody looks.
pub(super) async fn live(State(app): State<App>, visit: Visit, PageId(id): PageId) -> PanelResult<Response> {
    let token = form_token(&app, &visit);
    let Some(visitor) = visit.visitor else { return Ok(live::nobody()) };
    let (of, by) = (app.clone(), visitor.clone());
    let render = move |_| {
        let (app, visitor, token) = (of.clone(), by.clone(), token.clone());
        async move {
            let guest = guests::get(app.store.reader(), visitor.scope(), GuestId(id), app.now()).await?;
            let done = newest_operations(&app, &visitor, GuestId(id)).await?;
            let part = live_part(&app, &visitor, &guest, &done, token).await?;
            Ok(part.render().map_err(|error| unwritable(&error))?)
        }
    };
    live::follow(app, visitor, Pace::Changes, render).await
}

async fn graphs(app: &App, visitor: &Visitor, id: i64, span: Span) -> PanelResult<Graphs> {
    let samples = load::of_guest(app.store.reader(), visitor.scope(), GuestId(id), span, app.now()).await?;
    Ok(Graphs::new(format!("/guests/{id}"), Kind::Guest, span, app.now(), &samples))
}

/// Its graphs, as they grow.
pub(super) async fn load_live(
    State(app): State<App>,
    visit: Visit,
    PageId(id): PageId,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let Some(visitor) = visit.visitor else { return Ok(live::nobody()) };
    let (of, by) = (app.clone(), visitor.clone());
    let span = asked.span();
    let render = move |_| {
        let (app, visitor) = (of.clone(), by.clone());
        async move {
            let graphs = graphs(&app, &visitor, id, span).await?;
            Ok(graphs.render().map_err(|error| unwritable(&error))?)
        }
    };
    live::follow(app, visitor, Pace::Clock, render).await
}

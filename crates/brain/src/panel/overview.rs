//! What an operator sees first: what needs attention now, what there is, what just happened.

use super::event_log::{self, EventRow};
use super::failure::{PanelError, PanelResult, unwritable};
use super::live::{self, Pace};
use super::shell::{Section, Shell, go, page};
use super::shown::{self, Badge};
use super::visitor::{Guarded, Visit, Visitor};
use super::{archive, capacity};
use crate::app::App;
use crate::installed::{self, SuiteInstalled};
use crate::shared::{self, COUNTS};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use honcho_model::Timestamp;
use honcho_model::guest::GuestStatus;
use honcho_store::{Filters, attention, guests, networks};

/// So many of each kind are listed at most.
const MOST: i64 = 12;

/// How many networks are looked at.
const NETWORKS: i64 = 500;

/// A network with less than one of so many parts left is nearly full.
const PARTS: i64 = 10;

/// How many of the newest events are shown.
const NEWEST: i64 = 14;

/// Something that somebody should look at.
struct Concern {
    badge: Badge,
    name: String,
    /// Its page, if it has one.
    address: Option<String>,
    text: String,
}

/// How many there are of something, and where they are listed.
struct Tally {
    label: &'static str,
    count: i64,
    address: String,
    tone: &'static str,
}

/// How many more guests of a size fit.
struct Room {
    size: String,
    fit: String,
    fit_with_n_plus_one: String,
}

/// The part of the page that is live.
#[derive(Template)]
#[template(path = "overview_live.html")]
struct LivePart {
    concerns: Vec<Concern>,
    hosts: Vec<Tally>,
    guests: Vec<Tally>,
    room: Vec<Room>,
    events: Vec<EventRow>,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    shell: Shell,
    live: String,
}

fn of_host(host: attention::TroubledHost, app: &App) -> Concern {
    let silent = || match host.heard_at {
        Some(at) => format!(
            "its agent was last heard at {}; its guests may well be running",
            shown::moment(at, app.now()).short
        ),
        None => "its agent was never heard".to_owned(),
    };
    Concern {
        badge: shown::host_status(host.status),
        address: Some(format!("/hosts/{}", host.id)),
        text: host.reason.clone().unwrap_or_else(silent),
        name: host.name,
    }
}

fn of_pool(pool: &attention::TroubledPool) -> Concern {
    let is_ready = pool.status == "ready";
    let left = || {
        let (free, all) = (pool.free.unwrap_or(0), pool.size.unwrap_or(0));
        format!("only {} of {} are free", shown::size(free), shown::size(all))
    };
    Concern {
        badge: if is_ready {
            Badge { word: "nearly full", tone: "warn" }
        } else {
            Badge { word: "pool", tone: "bad" }
        },
        address: Some(format!("/hosts/{}", pool.host_id)),
        text: match pool.reason.clone() {
            Some(reason) if !is_ready => reason,
            _ if is_ready => left(),
            _ => format!("is {}", pool.status),
        },
        name: format!("{} on {}", pool.name, pool.host_name),
    }
}

fn of_operation(operation: honcho_api::Operation) -> Concern {
    Concern {
        badge: Badge { word: "held up", tone: "bad" },
        address: Some(format!("/guests/{}", operation.guest_id)),
        text: format!("{}: {}", shown::words(operation.kind.as_str()), operation.problem.unwrap_or_default()),
        name: operation.guest_name,
    }
}

/// A network whose IPv4 addresses are nearly all held.
fn of_network(network: honcho_api::Network) -> Option<Concern> {
    let is_full = network.addresses_free.saturating_mul(PARTS) < network.addresses_count;
    is_full.then(|| Concern {
        badge: Badge { word: "nearly full", tone: "warn" },
        address: Some(format!("/networks/{}", network.id)),
        text: format!("{} of {} IPv4 addresses are free", network.addresses_free, network.addresses_count),
        name: network.name,
    })
}

fn of_server(server: attention::TroubledServer) -> Concern {
    let (word, text) = if server.silent_since.is_some() {
        ("silent", "sends no slow logs any more")
    } else if server.missing_since.is_some() {
        ("missing", "mails with slow logs are missing")
    } else {
        ("late", "its mails with slow logs take more than six hours")
    };
    Concern {
        badge: Badge { word, tone: "warn" },
        address: Some(format!("/slow_servers/{}", server.id)),
        text: text.to_owned(),
        name: server.reported_name,
    }
}

/// Suites that apt will not believe for long, and those of whose packages guests have older ones.
async fn of_archive(app: &App, visitor: &Visitor) -> PanelResult<Vec<Concern>> {
    let mut all = Vec::new();
    if app.archive.is_none() {
        return Ok(all);
    }
    for suite in installed::suites(app, visitor.scope()).await? {
        let (badge, until) = archive::valid(&suite, app);
        if let Some(until) = until.filter(|_| badge.tone != "good") {
            all.push(Concern {
                badge: Badge { word: "archive", tone: badge.tone },
                address: Some(format!("/archive/{}", suite.name)),
                text: format!("apt believes it until {}, and it is not signed anew", until.short),
                name: suite.name.clone(),
            });
        }
        let (seen, _) = SuiteInstalled::lately(app, visitor.scope(), &suite.name).await?;
        let behind = seen.packages(|_| true).filter(|package| package.outdated_count > 0);
        let behind: Vec<_> = behind.collect();
        let Some(most) = behind.iter().max_by_key(|package| package.outdated_count) else { continue };
        let text = match behind.len() {
            1 => format!(
                "guests have an older {} than it serves: {} of them",
                most.package, most.outdated_count
            ),
            count => format!(
                "guests have older ones of {count} of its packages: {} most, on {}",
                most.package, most.outdated_count
            ),
        };
        all.push(Concern {
            badge: Badge { word: "outdated", tone: "warn" },
            address: Some(format!("/archive/{}?show=outdated", suite.name)),
            text,
            name: suite.name,
        });
    }
    Ok(all)
}

/// Where what fits could not be counted none is shown.
#[expect(clippy::needless_pass_by_value, reason = "it takes the place of what there is not")]
fn unknown_room(error: PanelError) -> Vec<Room> {
    tracing::error!(?error, "what fits still could not be found out");
    Vec::new()
}

/// What fits still, of the usual sizes.
async fn room(app: &App) -> PanelResult<Vec<Room>> {
    let sizes = capacity::usual_sizes();
    let labels: Vec<String> = sizes.iter().map(capacity::size_said).collect();
    let counted = capacity::counted_lately(app, sizes).await?;
    let room = |(size, counted): (String, &honcho_api::Capacity)| Room {
        size,
        fit: capacity::count(counted.fit, counted.capped),
        fit_with_n_plus_one: shown::count(counted.fit_with_n_plus_one),
    };
    Ok(labels.into_iter().zip(counted.iter()).map(room).collect())
}

async fn concerns(app: &App, visitor: &Visitor) -> PanelResult<Vec<Concern>> {
    let reader = app.store.reader();
    let mut all: Vec<Concern> = Vec::new();
    let hosts = attention::hosts(reader, app.now(), MOST).await?;
    all.extend(hosts.into_iter().map(|host| of_host(host, app)));
    let held_up = attention::operations(reader, visitor.scope(), MOST).await?;
    all.extend(held_up.into_iter().map(of_operation));
    all.extend(attention::pools(reader, MOST).await?.iter().map(of_pool));
    let filters = Filters { limit: Some(NETWORKS), ..Filters::default() };
    let found = networks::list(reader, visitor.scope(), &filters).await?;
    let most = usize::try_from(MOST).unwrap_or(usize::MAX);
    all.extend(found.into_iter().filter_map(of_network).take(most));
    all.extend(attention::slow_servers(reader, MOST).await?.into_iter().map(of_server));
    // A page that tells what is wrong is not to be one of the things that are.
    all.extend(of_archive(app, visitor).await.unwrap_or_else(|error| {
        tracing::error!(?error, "what the archive needs could not be found out");
        vec![Concern {
            badge: Badge { word: "archive", tone: "bad" },
            address: None,
            text: "cannot be read, or what guests have of it cannot be counted: the brain's log says why"
                .to_owned(),
            name: "the archive".to_owned(),
        }]
    }));
    Ok(all)
}

async fn live_part(app: &App, visitor: &Visitor) -> PanelResult<LivePart> {
    let reader = app.store.reader();
    let counted = attention::hosts_counted(reader, app.now()).await?;
    let up = counted.all - counted.waiting - counted.silent - counted.frozen;
    let hosts = [
        ("up", up, "good"),
        ("silent", counted.silent, "warn"),
        ("frozen", counted.frozen, "bad"),
        ("waiting", counted.waiting, "off"),
        ("being emptied", counted.draining, "busy"),
    ];
    let of_guests = guests::counted(reader, visitor.scope(), app.now()).await?;
    let guests = GuestStatus::ALL.into_iter().filter_map(|status| {
        let (_, count) = of_guests.iter().find(|(word, _)| word == status.as_str())?;
        let badge = shown::guest_status(status);
        let address = format!("/guests?status={}", status.as_str());
        Some(Tally { label: badge.word, tone: badge.tone, count: *count, address })
    });
    Ok(LivePart {
        concerns: concerns(app, visitor).await?,
        hosts: hosts
            .into_iter()
            .filter(|(label, count, _)| *count > 0 || *label == "up")
            .map(|(label, count, tone)| Tally { label, count, tone, address: "/hosts".to_owned() })
            .collect(),
        guests: guests.collect(),
        room: if counted.all > 0 { room(app).await.unwrap_or_else(unknown_room) } else { Vec::new() },
        events: event_log::newest(app, visitor, NEWEST).await?,
    })
}

/// The live part, made at `since` or later: once for all operators, for it is the same for each of them.
async fn rendered(app: &App, visitor: &Visitor, since: Timestamp) -> PanelResult<String> {
    let make = async || {
        let part = live_part(app, visitor).await?;
        PanelResult::Ok(part.render().map_err(|error| unwritable(&error))?)
    };
    app.looks.overview.get((), since, || app.now(), make).await
}

/// The page. Customers begin with their guests.
pub(super) async fn show(State(app): State<App>, guarded: Guarded) -> PanelResult<Response> {
    if !guarded.visitor.is_operator() {
        return Ok(go("/guests", guarded.visit.flash.clone(), guarded.visit.transport));
    }
    let live = rendered(&app, &guarded.visitor, shared::since(app.now(), COUNTS)).await?;
    let shell = Shell::new(&app, &guarded.visit, Section::Overview, "Overview");
    page(&OverviewPage { shell, live })
}

/// What changes of it while somebody looks.
pub(super) async fn live(State(app): State<App>, visit: Visit) -> PanelResult<Response> {
    let Some(visitor) = visit.visitor else { return Ok(live::nobody()) };
    visitor.operator()?;
    let (of, by) = (app.clone(), visitor.clone());
    let render = move |seen| {
        let (app, visitor) = (of.clone(), by.clone());
        async move { rendered(&app, &visitor, seen).await }
    };
    live::follow(app, visitor, Pace::Changes, render).await
}

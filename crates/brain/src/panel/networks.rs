//! Networks, and the addresses of one as a picture.

use super::failure::PanelResult;
use super::hosts::Used;
use super::shell::{Section, Shell, page};
use super::visitor::{Asking, Guarded, PageId};
use crate::app::App;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{Address, Network};
use honcho_model::NetworkId;
use honcho_store::names::{self, Named};
use honcho_store::{Filters, Scope, addresses, networks};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr};

/// How many rows the table has.
const ROWS: i64 = 200;

/// How many addresses are drawn at a time: a /24.
const DRAWN: u32 = 256;

struct Row {
    id: i64,
    name: String,
    kind: String,
    subnets: String,
    account: Option<String>,
    held: Option<Used>,
    held6: i64,
}

#[derive(Template)]
#[template(path = "networks.html")]
struct NetworksPage {
    shell: Shell,
    rows: Vec<Row>,
    more: Option<String>,
}

/// From where on a list is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    after: Option<i64>,
    /// The first address of the part that is drawn.
    from: Option<Ipv4Addr>,
}

/// How many of its addresses are not free, and how many there are.
fn held(network: &Network) -> Option<Used> {
    let all = network.addresses_count;
    let held = all - network.addresses_free;
    (all > 0).then(|| Used { percent: held * 100 / all, said: format!("{held} of {all}") })
}

fn subnets(network: &Network) -> String {
    let both: Vec<&str> =
        [&network.subnet, &network.subnet6].into_iter().flatten().map(String::as_str).collect();
    both.join(", ")
}

fn kind(network: &Network) -> String {
    match (network.vlan_id, network.vxlan_id) {
        (Some(id), _) => format!("vlan {id}"),
        (None, Some(id)) => format!("vxlan {id}"),
        (None, None) => network.kind.clone(),
    }
}

/// The table. Customers have no page of it: what they hold stands at their guests.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    guarded.visitor.operator()?;
    let reader = app.store.reader();
    let filters = Filters { limit: Some(ROWS), after: asked.after, ..Filters::default() };
    let found = networks::list(reader, guarded.visitor.scope(), &filters).await?;
    let accounts = names::of(reader, Named::Account, found.iter().filter_map(|one| one.account_id)).await?;
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count == ROWS);
    let more = found.last().filter(|_| is_full).map(|last| format!("/networks?after={}", last.id));
    let row = |network: Network| Row {
        id: network.id,
        kind: kind(&network),
        subnets: subnets(&network),
        account: network.account_id.and_then(|id| accounts.get(&id).cloned()),
        held: held(&network),
        held6: network.addresses6_held,
        name: network.name,
    };
    let rows = found.into_iter().map(row).collect();
    let shell = Shell::new(&app, &guarded.visit, Section::Networks, "Networks");
    page(&NetworksPage { shell, rows, more })
}

/// An address of the picture.
struct Cell {
    /// Its last number.
    short: u8,
    address: String,
    /// `free`, `reserved`, `allocated`, `used`, or `not` for one that no guest can have.
    state: &'static str,
    /// The guest that has it.
    guest: Option<i64>,
    said: String,
}

/// A part of the network that can be drawn.
struct Part {
    first: String,
    is_drawn: bool,
}

#[derive(Template)]
#[template(path = "network.html")]
struct NetworkPage {
    shell: Shell,
    network: Network,
    kind: String,
    account: Option<String>,
    held: Option<Used>,
    drawn: String,
    lines: Vec<Vec<Cell>>,
    parts: Vec<Part>,
}

/// Word of an address's state, as the drawing has it.
fn state(address: &Address) -> &'static str {
    match address.status.as_str() {
        "used" => "used",
        "allocated" => "allocated",
        "reserved" => "reserved",
        _ => "free",
    }
}

async fn lines(app: &App, network: &Network, first: u32, count: u32) -> PanelResult<Vec<Vec<Cell>>> {
    let all: Vec<IpAddr> =
        (first..=first.saturating_add(count - 1)).map(|at| Ipv4Addr::from(at).into()).collect();
    let equals = all.iter().map(|address| ("address".to_owned(), address.to_string())).collect();
    let filters = Filters { equals, ..Filters::default() }.and("network_id", network.id);
    let found = addresses::list(app.store.reader(), Scope::Operator, &filters).await?;
    let reader = app.store.reader();
    let owners = names::of(reader, Named::Account, found.iter().filter_map(|one| one.account_id)).await?;
    let guests = names::of(reader, Named::Guest, found.iter().filter_map(|one| one.guest_id)).await?;
    let cell = |address: &IpAddr| {
        let text = address.to_string();
        let known = found.iter().find(|one| one.address == text);
        let owner = known.and_then(|one| owners.get(&one.account_id?));
        let guest = known.and_then(|one| guests.get(&one.guest_id?));
        let word = known.map_or("not", state);
        let said = match (guest, owner) {
            (Some(guest), Some(owner)) => format!("{guest} of {owner}"),
            (None, Some(owner)) => format!("held by {owner}"),
            (_, None) if Some(&text) == network.gateway.as_ref() => "the gateway".to_owned(),
            (_, None) if word == "not" => "for no guest".to_owned(),
            (_, None) => word.to_owned(),
        };
        let short = match address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        };
        Cell { short, address: text, state: word, guest: known.and_then(|one| one.guest_id), said }
    };
    let cells: Vec<Cell> = all.iter().map(cell).collect();
    let mut lines: Vec<Vec<Cell>> = Vec::new();
    for cell in cells {
        match lines.last_mut().filter(|line| line.len() < 16) {
            Some(line) => line.push(cell),
            None => lines.push(vec![cell]),
        }
    }
    Ok(lines)
}

/// The page of one.
pub(super) async fn one(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    guarded.visitor.operator()?;
    let network = networks::get(app.store.reader(), guarded.visitor.scope(), NetworkId(id)).await?;
    let net = network.subnet.as_deref().and_then(|text| text.parse::<ipnet::Ipv4Net>().ok());
    let (mut drawn, mut cells, mut parts) = (String::new(), Vec::new(), Vec::new());
    if let Some(net) = net {
        let (lowest, size) = (u32::from(net.network()), 1_u32 << (32 - u32::from(net.prefix_len())));
        let count = size.min(DRAWN);
        let asked = asked.from.map_or(lowest, u32::from);
        let inside = (lowest..=lowest + (size - 1)).contains(&asked);
        let first = if inside { asked - (asked - lowest) % count } else { lowest };
        drawn = format!("{} to {}", Ipv4Addr::from(first), Ipv4Addr::from(first + (count - 1)));
        cells = lines(&app, &network, first, count).await?;
        if size > DRAWN {
            parts = (0..size / DRAWN)
                .map(|number| lowest + number * DRAWN)
                .map(|at| Part { first: Ipv4Addr::from(at).to_string(), is_drawn: at == first })
                .collect();
        }
    }
    let owner = names::of(app.store.reader(), Named::Account, network.account_id).await?;
    page(&NetworkPage {
        shell: Shell::new(&app, &guarded.visit, Section::Networks, network.name.clone()),
        kind: kind(&network),
        account: network.account_id.and_then(|id| owner.get(&id).cloned()),
        held: held(&network),
        drawn,
        lines: cells,
        parts,
        network,
    })
}

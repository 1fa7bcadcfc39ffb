//! Ordering a guest.

use super::failure::PanelResult;
use super::fields::Fields;
use super::problems::Problems;
use super::shell::{Flash, Section, Shell, go, page_with};
use super::shown;
use super::visitor::{Asking, Guarded, Visitor};
use crate::app::App;
use crate::http::ApiResult;
use crate::operations::GuestCreate;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use honcho_api::Guest;
use honcho_store::{Filters, accounts, images, networks};
use serde::Deserialize;

/// How many things a list to choose from has at most.
const MOST: i64 = 500;

/// Something to choose.
struct Choice {
    id: i64,
    name: String,
    said: String,
}

/// What somebody filled in.
#[derive(Default)]
struct Order {
    account: String,
    name: String,
    image: String,
    network: String,
    vcpus: String,
    memory: String,
    disk: String,
    keys: String,
}

#[derive(Template)]
#[template(path = "guest_new.html")]
struct OrderPage {
    shell: Shell,
    order: Order,
    accounts: Vec<Choice>,
    images: Vec<Choice>,
    networks: Vec<Choice>,
    problems: Problems,
}

/// For which account.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    account_id: String,
}

async fn chosen_accounts(app: &App, visitor: &Visitor) -> PanelResult<Vec<Choice>> {
    if !visitor.is_operator() {
        let admin = visitor.session.grants.iter().filter(|grant| grant.scope == "admin");
        let choice = |grant: &honcho_api::Grant| Choice {
            id: grant.account_id,
            name: grant.account_name.clone(),
            said: String::new(),
        };
        return Ok(admin.map(choice).collect());
    }
    let filters = Filters { limit: Some(MOST), ..Filters::default() };
    let found = accounts::list(app.store.reader(), visitor.scope(), &filters).await?;
    Ok(found
        .into_iter()
        .map(|account| Choice { id: account.id, name: account.name, said: String::new() })
        .collect())
}

async fn form(app: &App, guarded: &Guarded, order: Order, problems: Problems) -> PanelResult<Response> {
    let (visitor, reader) = (&guarded.visitor, app.store.reader());
    let filters = Filters { limit: Some(MOST), ..Filters::default() };
    let image = |image: honcho_api::Image| Choice {
        id: image.id,
        name: image.name,
        said: format!("{} unpacked", shown::size(image.unpacked_bytes)),
    };
    let network = |network: honcho_api::Network| Choice {
        id: network.id,
        said: match network.subnet {
            Some(subnet) => format!("{subnet}, {} free", network.addresses_free),
            None => network.subnet6.unwrap_or_default(),
        },
        name: network.name,
    };
    let of_images = images::list(reader, visitor.scope(), &filters).await?;
    // Of networks hosts carry the local ones alone.
    let of_networks = networks::list(reader, visitor.scope(), &filters.and("kind", "local")).await?;
    let status = if problems.0.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = OrderPage {
        shell: Shell::new(app, &guarded.visit, Section::Guests, "Order a guest"),
        accounts: chosen_accounts(app, visitor).await?,
        images: of_images.into_iter().map(image).collect(),
        networks: of_networks.into_iter().map(network).collect(),
        order,
        problems,
    };
    page_with(status, &page)
}

/// The form.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    guarded.visitor.writer()?;
    let order = Order {
        account: asked.account_id,
        vcpus: "1".to_owned(),
        memory: "1G".to_owned(),
        disk: "10G".to_owned(),
        ..Order::default()
    };
    form(&app, &guarded, order, Problems::default()).await
}

async fn ordered(app: &App, guarded: &Guarded, fields: &Fields) -> ApiResult<Guest> {
    let writer = guarded.visitor.writer()?;
    let keys: Vec<String> = fields
        .raw("ssh_keys")
        .lines()
        .map(str::trim)
        .filter(|key| !key.is_empty())
        .map(str::to_owned)
        .collect();
    let body = honcho_api::GuestCreate {
        account_id: fields.number("account_id")?,
        name: fields.text("name"),
        image_id: fields.number("image_id")?,
        network_id: fields.number("network_id")?,
        vcpus: fields.number("vcpus")?,
        memory_bytes: fields.size("memory_bytes")?,
        disk_bytes: fields.size("disk_bytes")?,
        ssh_keys: Some(keys),
        ..honcho_api::GuestCreate::default()
    };
    let change = GuestCreate {
        scope: writer.scope,
        uuid: app.outside.uuid(),
        volume_uuid: app.outside.uuid(),
        cluster_uuid: app.outside.uuid(),
        body,
        rules: app.rules,
        standing: app.standing.clone(),
    };
    Ok(app.write(writer.actor, &change).await?)
}

/// Orders it.
pub(super) async fn order(State(app): State<App>, guarded: Guarded, fields: Fields) -> PanelResult<Response> {
    match ordered(&app, &guarded, &fields).await {
        Ok(guest) => {
            let flash = Flash::done(format!("{} is ordered.", guest.name));
            Ok(go(&format!("/guests/{}", guest.id), Some(flash), guarded.visit.transport))
        }
        Err(error) => {
            let raw = |name: &str| fields.raw(name).to_owned();
            let order = Order {
                account: raw("account_id"),
                name: raw("name"),
                image: raw("image_id"),
                network: raw("network_id"),
                vcpus: raw("vcpus"),
                memory: raw("memory_bytes"),
                disk: raw("disk_bytes"),
                keys: raw("ssh_keys"),
            };
            form(&app, &guarded, order, Problems::of(error)?).await
        }
    }
}

//! Reads what the brain knows at the end: its event log, operations and guests, a page at a time.

use super::customers::{Customers, bytes};
use super::ledger::Ledger;
use super::machine::Build;
use super::progress::Progress;
use super::witness::{History, SeenEvent, SeenGuest, SeenOperation, Standing};
use anyhow::{Context as _, Result};
use honcho_api::client::Client;
use honcho_api::{Guest, Operation};
use honcho_model::guest::{GuestStatus, Power};
use honcho_model::{GuestId, HostId};
use serde::Deserialize;
use std::time::Duration;

/// So many are asked for at once.
const PAGE: usize = 1000;

/// An event, as far as it is read.
#[derive(Deserialize)]
struct Event {
    cursor: String,
    kind: String,
    resource_id: i64,
    after: Option<After>,
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    addresses: Vec<String>,
}

/// Reads everything. The simulation must have come to rest.
pub(crate) async fn read(
    client: &Client,
    customers: &Customers,
    ledger: &Ledger,
    build: Build,
    hosts: &[HostId],
    outages: Vec<(Duration, Duration)>,
    progress: &Progress,
) -> Result<History> {
    Ok(History {
        ledger: ledger.entries(),
        machines: hosts.iter().map(|host| (*host, (build.memory, build.disk))).collect(),
        acknowledged: customers.acknowledged(),
        events: events(client, progress).await.context("reading the event log")?,
        operations: operations(client, progress).await.context("reading operations")?,
        guests: guests(client, progress).await.context("reading guests")?,
        outages,
    })
}

async fn events(client: &Client, progress: &Progress) -> Result<Vec<SeenEvent>> {
    let (mut seen, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let query = [("limit", PAGE.to_string()), ("after", after.clone())];
        let page: Vec<Event> = client.get_path("/v1/events.json", &query).await?;
        let Some(last) = page.last() else { return Ok(seen) };
        after.clone_from(&last.cursor);
        for event in page {
            let place = event.cursor.parse();
            seen.push(SeenEvent {
                place: place.map_err(|_| anyhow::anyhow!("{} is no cursor of an event", event.cursor))?,
                resource: event.resource_id,
                addresses: event.after.map(|after| after.addresses).unwrap_or_default(),
                kind: event.kind,
            });
        }
        progress.tell("reading events", seen.len(), None);
    }
}

async fn operations(client: &Client, progress: &Progress) -> Result<Vec<SeenOperation>> {
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let query = [("limit", PAGE.to_string()), ("after", after.to_string())];
        let page: Vec<Operation> = client.get_path("/v1/operations.json", &query).await?;
        let Some(last) = page.last() else { return Ok(seen) };
        after = last.id;
        seen.extend(page.into_iter().map(|operation| SeenOperation {
            id: operation.id,
            guest: GuestId(operation.guest_id),
            kind: operation.kind,
            state: operation.state,
        }));
        progress.tell("reading operations", seen.len(), None);
    }
}

/// All guests, the deleted ones too.
pub(crate) async fn guests(client: &Client, progress: &Progress) -> Result<Vec<SeenGuest>> {
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let query =
            [("limit", PAGE.to_string()), ("after", after.to_string()), ("cancelled", "true".to_owned())];
        let page: Vec<Guest> = client.list(&query).await?;
        let Some(last) = page.last() else { return Ok(seen) };
        after = last.id;
        seen.extend(page.into_iter().map(|guest| SeenGuest {
            standing: standing(&guest),
            id: GuestId(guest.id),
            host: guest.host_id.map(HostId),
            memory: bytes(guest.memory_bytes),
            boots: u64::try_from(guest.boots_wanted).unwrap_or(0),
            name: guest.name,
        }));
        progress.tell("reading guests", seen.len(), None);
    }
}

fn standing(guest: &Guest) -> Standing {
    if guest.deleted_at.is_some() {
        Standing::Gone
    } else if guest.cancelled_at.is_some() || guest.power == Power::Stopped {
        Standing::Off
    } else if guest.status == GuestStatus::Running {
        Standing::Runs
    } else {
        Standing::ShouldRun
    }
}

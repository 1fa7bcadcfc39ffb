//! One scrape.

use super::{
    FileLabels, HostLabels, NetworkLabels, Numbers, PoolLabels, SeverityLabels, StateLabels, StatusLabels,
};
use crate::app::App;
use honcho_model::Timestamp;
use honcho_model::guest::GuestStatus;
use honcho_model::host::HostStatus;
use honcho_model::operation::OperationState;
use honcho_store::watching::Watched;
use honcho_store::{Cursor, Filters, Scope, StoreResult, networks, watching, webhooks};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a page is good: however many scrape, the database is asked once.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// So many hosts and networks are named; the rest is in the totals alone.
const NAMED: usize = 1000;

/// How long the database may take; a scrape that says so is worth more than one that comes too late.
const PATIENCE: Duration = Duration::from_secs(8);

/// The page, in the text format of Prometheus.
pub(crate) async fn scrape(app: &App) -> Arc<str> {
    let watching = &app.watching;
    let mut kept = watching.kept.lock().await;
    if let Some((at, text)) = &kept.text
        && at.elapsed() < GOOD_FOR
    {
        return text.clone();
    }
    let begun = Instant::now();
    let numbers = &*watching.numbers;
    let first = kept.place.is_none();
    let asked = tokio::time::timeout(PATIENCE, ask(app, kept.place)).await;
    match asked {
        Ok(Ok((watched, networks))) => {
            numbers.database_up.set(1);
            kept.place = Some(watched.place);
            show(numbers, &watched, app.now(), first);
            show_networks(numbers, &networks);
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "the database did not answer a scrape");
            numbers.database_up.set(0);
        }
        Err(_) => {
            tracing::error!(seconds = PATIENCE.as_secs(), "the database took too long to answer a scrape");
            numbers.database_up.set(0);
        }
    }
    let retries = app.store.retries();
    numbers.retries.inc_by(retries.saturating_sub(kept.retries));
    kept.retries = retries;
    show_files(numbers, app);
    numbers.process.read();
    numbers.scrape_seconds.set(begun.elapsed().as_secs_f64());
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = prometheus_client::encoding::prometheus_text::encode(&mut text, &watching.registry);
    let text: Arc<str> = text.into();
    kept.text = Some((Instant::now(), text.clone()));
    text
}

async fn ask(app: &App, after: Option<Cursor>) -> StoreResult<(Watched, Vec<honcho_api::Network>)> {
    let after = match after {
        Some(place) => place,
        None => webhooks::newest(app.store.reader()).await?,
    };
    let watched = watching::read(app.store.reader(), app.now(), &after).await?;
    let filters = Filters { limit: i64::try_from(NAMED).ok(), ..Filters::default() };
    Ok((watched, networks::list(app.store.reader(), Scope::System, &filters).await?))
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn show(numbers: &Numbers, watched: &Watched, now: Timestamp, first: bool) {
    // Words that nothing has now are zero, so that an alert on them has something to look at.
    let count = |counted: &watching::Counted, word: &str| {
        counted.iter().find(|(known, _)| known == word).map_or(0, |(_, count)| *count)
    };
    for status in GuestStatus::ALL.map(GuestStatus::as_str) {
        let labels = StatusLabels { status: status.to_owned() };
        numbers.guests.get_or_create(&labels).set(count(&watched.guests, status));
    }
    for state in OperationState::ALL.map(OperationState::as_str) {
        let labels = StateLabels { state: state.to_owned() };
        numbers.operations.get_or_create(&labels).set(count(&watched.operations, state));
    }
    numbers.operations_failing.set(watched.open.failing);
    let oldest = watched.open.oldest.map_or(0.0, |at| seconds(now.since(Timestamp(at))));
    numbers.operations_oldest.set(oldest);
    for status in [HostStatus::Waiting, HostStatus::Up, HostStatus::Silent, HostStatus::Frozen] {
        let n = watched.hosts.iter().filter(|host| host.status == status).count();
        let labels = StatusLabels { status: status.as_str().to_owned() };
        numbers.hosts.get_or_create(&labels).set(i64::try_from(n).unwrap_or(i64::MAX));
    }
    let behind = watched.hosts.iter().filter(|host| host.behind > 0).count();
    numbers.hosts_behind.set(i64::try_from(behind).unwrap_or(i64::MAX));
    numbers.host_silence.clear();
    numbers.host_behind.clear();
    for host in watched.hosts.iter().filter(|host| host.status != HostStatus::Waiting).take(NAMED) {
        let labels = HostLabels { host: host.name.clone() };
        let silence = host.heard_at.map_or(0.0, |at| seconds(now.since(at)));
        numbers.host_silence.get_or_create(&labels).set(silence);
        numbers.host_behind.get_or_create(&labels).set(host.behind);
    }
    for severity in ["info", "alarm"] {
        let counter = numbers.events.get_or_create_owned(&SeverityLabels { severity: severity.to_owned() });
        if !first {
            counter.inc_by(u64::try_from(count(&watched.events, severity)).unwrap_or(0));
        }
    }
    if let Some(size) = watched.database_bytes {
        let labels = FileLabels { file: "database".to_owned() };
        numbers.database_bytes.get_or_create(&labels).set(size);
    }
    let webhooks = &watched.webhooks;
    for (status, n) in [("working", webhooks.working), ("failing", webhooks.failing), ("off", webhooks.off)] {
        numbers.webhooks.get_or_create(&StatusLabels { status: status.to_owned() }).set(n);
    }
    let behind = webhooks.failing_since.map_or(0.0, |at| seconds(now.since(Timestamp(at))));
    numbers.webhook_behind.set(behind);
}

fn show_networks(numbers: &Numbers, networks: &[honcho_api::Network]) {
    numbers.addresses.clear();
    numbers.addresses_free.clear();
    // Of IPv6 there is always enough.
    for network in networks.iter().filter(|network| network.subnet.is_some()) {
        // Names are unique within an account only.
        let name = match network.account_id {
            Some(account) => format!("{} (account {account})", network.name),
            None => network.name.clone(),
        };
        let labels = NetworkLabels { network: name };
        numbers.addresses.get_or_create(&labels).set(network.addresses_count);
        numbers.addresses_free.get_or_create(&labels).set(network.addresses_free);
    }
}

fn show_files(numbers: &Numbers, app: &App) {
    for pool in app.store.pools() {
        let labels = PoolLabels { pool: pool.purpose.to_owned() };
        numbers.connections.get_or_create(&labels).set(i64::from(pool.open));
        numbers.connections_used.get_or_create(&labels).set(i64::from(pool.used));
    }
    for (file, path) in app.database_files.iter() {
        // The log is not there until something was written.
        let size = std::fs::metadata(path).map_or(0, |found| found.len());
        let labels = FileLabels { file: (*file).to_owned() };
        numbers.database_bytes.get_or_create(&labels).set(i64::try_from(size).unwrap_or(i64::MAX));
    }
    if let Ok(found) = rustix::fs::statvfs(&*app.data) {
        let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(found.f_frsize)).unwrap_or(i64::MAX);
        numbers.data_size.set(bytes(found.f_blocks));
        numbers.data_free.set(bytes(found.f_bavail));
    }
}

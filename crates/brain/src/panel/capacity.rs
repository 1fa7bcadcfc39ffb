//! What fits still, by size, and what would be left if a host were lost.

use super::failure::PanelResult;
use super::shell::{Section, Shell, page};
use super::shown;
use super::visitor::{Asking, Guarded};
use crate::app::App;
use crate::http::{self, ApiError, ApiResult, capacities, capacities_without};
use crate::placing::{Lost, Size};
use crate::shared::{CAPACITIES, WAIT, age, since};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use honcho_model::{Bytes, HostId};
use honcho_store::{Filters, hosts};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Sizes that are counted if none is asked for: memory in GiB, processors, disk in GiB.
const SIZES: [(u64, u32, u64); 5] = [(1, 1, 10), (2, 2, 20), (4, 2, 40), (8, 4, 80), (16, 8, 160)];

/// So many hosts can be chosen.
const HOSTS: i64 = 1_000;

/// Which size, and which host is thought lost. Empty fields of the form ask for nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    memory: String,
    vcpus: String,
    disk: String,
    if_lost: String,
}

struct Row {
    size: String,
    fit: String,
    fit_with_n_plus_one: String,
    runs_out: String,
}

struct LostHost {
    name: String,
    restarted: i64,
    homeless: Vec<honcho_api::Homeless>,
}

#[derive(Template)]
#[template(path = "capacity.html")]
struct CapacityPage {
    shell: Shell,
    asked: Asked,
    rows: Vec<Row>,
    /// Each that can be chosen, and whether it is.
    hosts: Vec<(i64, String, bool)>,
    lost: Option<LostHost>,
}

pub(super) fn bytes(attribute: &str, text: &str) -> ApiResult<Bytes> {
    text.trim().parse::<Bytes>().map_err(|error| ApiError::invalid(attribute, error.to_string()))
}

/// The sizes that are counted if none is asked for.
pub(super) fn usual_sizes() -> Vec<Size> {
    let size = |(memory, vcpus, disk): (u64, u32, u64)| Size {
        memory: Bytes(memory << 30),
        vcpus,
        disk: Bytes(disk << 30),
    };
    SIZES.into_iter().map(size).collect()
}

fn sizes(asked: &Asked) -> ApiResult<Vec<Size>> {
    if [&asked.memory, &asked.vcpus, &asked.disk].into_iter().all(|text| text.trim().is_empty()) {
        return Ok(usual_sizes());
    }
    let memory = bytes("memory", &asked.memory)?;
    if memory.0 < 1 << 20 {
        return Err(ApiError::invalid("memory", "must be 1M at least: that many would fit without end"));
    }
    let vcpus =
        asked.vcpus.trim().parse().map_err(|_| ApiError::invalid("vcpus", "must be a whole number"))?;
    Ok(vec![Size { memory, vcpus, disk: bytes("disk", &asked.disk)? }])
}

pub(super) fn count(n: i64, capped: bool) -> String {
    if capped { format!("more than {}", shown::count(n)) } else { shown::count(n) }
}

/// What ends first, in words.
pub(super) fn runs_out(capacity: &honcho_api::Capacity) -> String {
    let said =
        |one: &honcho_api::PlacementCount| format!("{} on {} hosts", shown::filter(&one.filter), one.hosts);
    capacity.runs_out.iter().map(said).collect::<Vec<_>>().join(", ")
}

/// A size in words.
pub(super) fn size_said(size: &Size) -> String {
    let bytes = |bytes: Bytes| shown::size(i64::try_from(bytes.0).unwrap_or(i64::MAX));
    let vcpus = if size.vcpus == 1 { "vCPU" } else { "vCPUs" };
    format!("{}, {} {vcpus}, {} disk", bytes(size.memory), size.vcpus, bytes(size.disk))
}

/// What the loss of a host would mean, a few seconds old at most.
pub(super) async fn lost(app: &App, host: HostId) -> ApiResult<Arc<Lost>> {
    let look = async || Ok(Arc::new(http::lost(app, host).await?));
    app.looks.losses.recent(host, CAPACITIES, || app.now(), look).await
}

/// How many fit, a few seconds old at most.
pub(super) async fn counted(
    app: &App,
    sizes: Vec<Size>,
    lost: Option<&Arc<Lost>>,
) -> ApiResult<Arc<[honcho_api::Capacity]>> {
    let asked = (sizes.clone(), lost.map(|lost| lost.host));
    let count = async || {
        Ok(match lost {
            None => capacities(app, sizes).await?,
            Some(lost) => capacities_without(lost.clone(), sizes).await?,
        }
        .into())
    };
    app.looks.capacities.recent(asked, CAPACITIES, || app.now(), count).await
}

/// What is older than that is not shown while it is counted anew, nor where that fails.
const TOO_OLD: Duration = age(Duration::from_hours(1));

/// The same for a page where it stands beside other things: as it was counted last, and counted anew beside the page. Where it never
/// was a page waits for a moment.
pub(super) async fn counted_lately(app: &App, sizes: Vec<Size>) -> ApiResult<Arc<[honcho_api::Capacity]>> {
    let known = app.looks.capacities.last((sizes.clone(), None));
    let of = app.clone();
    let counting = tokio::spawn(async move {
        let counted = counted(&of, sizes, None).await;
        // Nobody may be waiting for it any more.
        if let Err(error) = &counted {
            tracing::error!(?error, "what fits could not be counted");
        }
        counted
    });
    let since = since(app.now(), TOO_OLD);
    if let Some((_, counted)) = known.filter(|(made, _)| !cfg!(test) && (since..=app.now()).contains(made)) {
        return Ok(counted);
    }
    match tokio::time::timeout(WAIT, counting).await {
        Err(_) => Ok(Arc::new([])),
        Ok(Ok(counted)) => counted,
        Ok(Err(error)) => {
            tracing::error!(%error, "what fits could not be counted");
            Err(ApiError::internal("what fits could not be counted"))
        }
    }
}

/// The host that is thought lost.
pub(super) async fn thought_lost(app: &App, if_lost: &str) -> ApiResult<Option<Arc<Lost>>> {
    if if_lost.is_empty() {
        return Ok(None);
    }
    let id = if_lost.parse().map_err(|_| ApiError::invalid("if_lost", "is no host"))?;
    Ok(Some(lost(app, HostId(id)).await?))
}

/// The page.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    guarded.visitor.operator()?;
    let sizes = sizes(&asked)?;
    let lost = thought_lost(&app, &asked.if_lost).await?;
    let labels: Vec<String> = sizes.iter().map(size_said).collect();
    let counted = counted(&app, sizes, lost.as_ref()).await?;
    let filters = Filters { limit: Some(HOSTS), ..Filters::default() };
    let all = hosts::list(app.store.reader(), &filters, app.now()).await?;
    let mut hosts: Vec<(i64, String)> = all.into_iter().map(|host| (host.id, host.name)).collect();
    if let Some(lost) = lost.as_ref().filter(|lost| hosts.iter().all(|(id, _)| *id != lost.host.0)) {
        hosts.push((lost.host.0, lost.name.clone()));
    }
    let lost = lost.map(|lost| LostHost {
        name: lost.name.clone(),
        restarted: lost.restarted,
        homeless: lost.homeless.clone(),
    });
    let row = |(capacity, size): (&honcho_api::Capacity, String)| Row {
        size,
        fit: count(capacity.fit, capacity.capped),
        fit_with_n_plus_one: shown::count(capacity.fit_with_n_plus_one),
        runs_out: runs_out(capacity),
    };
    page(&CapacityPage {
        shell: Shell::new(&app, &guarded.visit, Section::Capacity, "Capacity"),
        rows: counted.iter().zip(labels).map(row).collect(),
        hosts: hosts.into_iter().map(|(id, name)| (id, name, id.to_string() == asked.if_lost)).collect(),
        lost,
        asked,
    })
}

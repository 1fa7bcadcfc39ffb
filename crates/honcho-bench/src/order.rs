//! What is ordered, and where it comes to stand: on this machine, or nothing here could be measured.

use anyhow::{Context as _, Result, bail};
use honcho_api::client::Client;
use honcho_api::{Account, GuestCreate, Host, Image, Network, Pool, Resource};
use serde::Deserialize;
use std::path::Path;
use uuid::Uuid;

/// What the guests are made of.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) account: Account,
    pub(crate) image: Image,
    pub(crate) network: Network,
    pub(crate) host: Host,
    pub(crate) pool: Pool,
    pub(crate) memory_bytes: i64,
    pub(crate) disk_bytes: i64,
}

impl Order {
    /// The order for one guest.
    pub(crate) fn guest(&self, name: &str) -> GuestCreate {
        GuestCreate {
            account_id: Some(self.account.id),
            name: Some(name.to_owned()),
            image_id: Some(self.image.id),
            network_id: Some(self.network.id),
            memory_bytes: Some(self.memory_bytes),
            disk_bytes: Some(self.disk_bytes),
            host_id: Some(self.host.id),
            ..GuestCreate::default()
        }
    }
}

/// The one of that name; without a name the only one there is.
pub(crate) async fn choose<T: Resource>(client: &Client, name: Option<&str>) -> Result<T> {
    let (all, word) = (client.list::<T>(&[]).await?, T::WORD);
    let names = all.iter().map(T::name).collect::<Vec<_>>().join(", ");
    let there_is = if names.is_empty() {
        format!("make one: honcho {word} --help")
    } else {
        format!("there is {names}")
    };
    let mut fitting = all.into_iter().filter(|item| name.is_none_or(|name| item.name() == name));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => bail!("which {word}? give --{word} NAME ({there_is})"),
        (None, _) => match name {
            Some(name) => bail!("the brain has no {word} {name}; {there_is}"),
            None => bail!("the brain has no {word}; {there_is}"),
        },
    }
}

/// The file that makes a directory a pool, as the agent writes it.
#[derive(Deserialize)]
struct Marker {
    pool: Uuid,
}

/// The host that this machine is, and its pool: known by the pool's uuid, which lies in the pool.
pub(crate) async fn this_host(client: &Client) -> Result<(Host, Pool)> {
    let pools: Vec<Pool> = client.list(&[]).await?;
    let Some(pool) = pools.iter().find(|pool| is_here(pool)) else {
        let places = pools.iter().map(|pool| pool.path.clone()).collect::<Vec<_>>().join(", ");
        bail!(
            "no pool of this brain is on this machine (looked at: {}): run this on the agent's own machine, as root",
            if places.is_empty() { "it has none at all".to_owned() } else { places }
        );
    };
    if pool.status != "ready" {
        let reason = pool.status_reason.as_deref().unwrap_or("its agent has not said why");
        bail!("pool {} is {}: {reason}", pool.name, pool.status);
    }
    let host = client.get(pool.host_id).await.context("the pool's host")?;
    Ok((host, pool.clone()))
}

fn is_here(pool: &Pool) -> bool {
    let marker = std::fs::read(Path::new(&pool.path).join("honcho-pool.json")).ok();
    let marker = marker.and_then(|bytes| serde_json::from_slice::<Marker>(&bytes).ok());
    marker.is_some_and(|marker| marker.pool == pool.uuid)
}

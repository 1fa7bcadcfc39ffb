//! Sites, racks, and hosts in them.

use crate::simulate::agents::{Founding, SimulatedHost};
use crate::simulate::ledger::Ledger;
use crate::simulate::machine::Build;
use crate::simulate::progress::Progress;
use anyhow::{Context as _, Result};
use futures::{StreamExt as _, stream};
use honcho_agent_lib::clock::Clock;
use honcho_api::client::Client;
use honcho_api::{HostCreate, Nic, Pool, Rack, RackCreate, Site, SiteCreate};
use honcho_model::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Hosts of one rack, each two units high with one unit of air above it.
const IN_A_RACK: usize = 12;
/// How long pools may take to be made.
const PATIENCE: Duration = Duration::from_mins(2);

/// How large it is.
pub(crate) struct Plan {
    pub(crate) hosts: usize,
    pub(crate) guests: usize,
    pub(crate) step: Duration,
    pub(crate) seed: u64,
}

/// What hosts are bought as: processors, memory and disk in GiB.
const MODELS: [(&str, u32, u64, u64); 3] =
    [("S1", 16, 48, 2_000), ("S2", 32, 80, 4_000), ("S3", 48, 128, 8_000)];

impl Plan {
    /// A host of each model holds so many guests more or less, that all of them fill half of the room.
    fn build(&self, number: usize) -> (&'static str, Build) {
        let (model, cpus, memory, disk) = MODELS[number % MODELS.len()];
        // The room is made for 20 guests a host; more guests get larger hosts.
        let times = u64::try_from((self.guests / self.hosts.max(1)).div_ceil(20).max(1)).unwrap_or(1);
        let build = Build {
            cpus: cpus * u32::try_from(times).unwrap_or(1),
            memory: Bytes::gib(memory * times),
            disk: Bytes::gib(disk * times),
            step: self.step,
            tells_load: true,
        };
        (model, build)
    }

    /// Makes all of it; the hosts are on.
    pub(crate) async fn found(
        &self,
        client: &Client,
        ledger: &Arc<Ledger>,
        clock: Clock,
        progress: &Progress,
    ) -> Result<Vec<Arc<SimulatedHost>>> {
        let racks = self.racks(client).await?;
        let mut founding: Vec<(usize, Founding, HostCreate)> = Vec::new();
        for number in 0..self.hosts {
            let rack = &racks[number / IN_A_RACK];
            let (model, build) = self.build(number);
            let position = i64::try_from(number % IN_A_RACK)? * 3 + 2;
            let order = HostCreate {
                name: Some(format!("{}-{:02}", rack.name, number % IN_A_RACK + 1)),
                rack_id: Some(Some(rack.id)),
                position: Some(Some(position)),
                height_units: Some(2),
                vendor: Some(Some("Simulated".to_owned())),
                model: Some(Some(model.to_owned())),
                serial: Some(Some(format!("SIM{:05}", 1_000 + number))),
                cores: Some(Some(i64::from(build.cpus))),
                memory_bought_bytes: Some(Some(i64::try_from(build.memory.0)?)),
                bmc_address: Some(Some(format!("10.99.{}.{}", number / 200, number % 200 + 10))),
                nics: Some(vec![Nic {
                    name: "eno1".to_owned(),
                    mac: format!("02:53:49:4d:{:02x}:{:02x}", number >> 8, number & 255),
                }]),
                ..HostCreate::default()
            };
            let with = Founding {
                client: client.clone(),
                build,
                ledger: Arc::clone(ledger),
                seed: self.seed,
                prefix: "sim".to_owned(),
                clock: clock.clone(),
            };
            founding.push((number, with, order));
        }
        let mut joining = stream::iter(founding)
            .map(|(number, with, order)| async move { SimulatedHost::found_as(&with, number, order).await })
            .buffer_unordered(8);
        let mut hosts = Vec::new();
        while let Some(host) = joining.next().await {
            hosts.push(host?);
            progress.tell("hosts join", hosts.len(), Some(self.hosts));
        }
        drop(joining);
        hosts.sort_by_key(|host| host.id);
        pools_are_ready(client).await?;
        progress.say(&format!("{} hosts in {} racks have joined", hosts.len(), racks.len()));
        Ok(hosts)
    }

    async fn racks(&self, client: &Client) -> Result<Vec<Rack>> {
        let mut racks = Vec::new();
        for number in 0..self.hosts.div_ceil(IN_A_RACK) {
            let place = if number % 2 == 0 { "north" } else { "south" };
            let there: Vec<Site> = client.list(&[("name", place.to_owned())]).await?;
            let site = if let Some(site) = there.into_iter().next() {
                site
            } else {
                let location = format!("{place} hall, simulated");
                let order = SiteCreate { name: Some(place.to_owned()), location: Some(Some(location)) };
                client.create(&order).await.context("making a site")?
            };
            let order = RackCreate {
                name: Some(format!("{}{}", &place[..1], number / 2 + 1)),
                site_id: Some(site.id),
                height_units: Some(42),
            };
            racks.push(client.create(&order).await.context("making a rack")?);
        }
        Ok(racks)
    }
}

async fn pools_are_ready(client: &Client) -> Result<()> {
    let begun = Instant::now();
    loop {
        let pools: Vec<Pool> = client.list(&[("limit", "1000".to_owned())]).await?;
        if pools.iter().all(|pool| pool.status == "ready") {
            return Ok(());
        }
        anyhow::ensure!(begun.elapsed() < PATIENCE, "pools were not made within {} s", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

//! Many agents in one process, each with its machine, its certificate and its own connections to the brain.

use super::ledger::Ledger;
use super::machine::{Build, Machine};
use anyhow::{Context as _, Result};
use honcho_agent_lib::agent::{self, AgentOptions, BootId};
use honcho_agent_lib::brain::Contact;
use honcho_agent_lib::clock::Clock;
use honcho_agent_lib::identity::{Identity, new_private_key};
use honcho_agent_lib::join::{JoinToken, join_with};
use honcho_agent_lib::machine::MachineIds;
use honcho_api::client::Client;
use honcho_api::{Host, HostCreate, Pool, PoolCreate};
use honcho_model::HostId;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A simulated host: a machine, and the agent on it while it is on.
pub(crate) struct SimulatedHost {
    /// Its id.
    pub(crate) id: HostId,
    /// What it stands on.
    pub(crate) machine: Arc<Machine>,
    /// What the brain has answered its agent, over all its boots.
    pub(crate) contact: Arc<Contact>,
    identity: Identity,
    ids: MachineIds,
    clock: Clock,
    running: Mutex<Option<JoinHandle<()>>>,
}

/// With what hosts are made.
pub(crate) struct Founding {
    /// The operator's client.
    pub(crate) client: Client,
    /// What each machine is made of.
    pub(crate) build: Build,
    /// Where they write down what happens.
    pub(crate) ledger: Arc<Ledger>,
    /// What chance is made of.
    pub(crate) seed: u64,
    /// Begins every name.
    pub(crate) prefix: String,
    /// The clock.
    pub(crate) clock: Clock,
}

impl SimulatedHost {
    /// Adds a host that is called by its number.
    pub(crate) async fn found(founding: &Founding, number: usize) -> Result<Arc<Self>> {
        let name = format!("{}-h{number}", founding.prefix);
        let order = HostCreate { name: Some(name), ..HostCreate::default() };
        SimulatedHost::found_as(founding, number, order).await
    }

    /// Adds a host, joins it in the ordinary way (a token, a key, a certificate of the brain's CA), gives it a pool, and
    /// switches it on.
    pub(crate) async fn found_as(founding: &Founding, number: usize, order: HostCreate) -> Result<Arc<Self>> {
        let client = &founding.client;
        let name = order.name.clone().unwrap_or_default();
        let host: Host = client.create(&order).await.with_context(|| format!("adding host {name}"))?;
        let token = host.join_token.context("a new host has a join token")?;
        let token: JoinToken = token.parse().map_err(anyhow::Error::msg)?;
        let machine_id = Uuid::from_u64_pair(founding.seed, number as u64).simple().to_string();
        let ids = MachineIds { dmi_uuid: None, machine_id: Some(machine_id) };
        let identity = join_with(client.url(), &token, new_private_key()?, ids.clone()).await?;
        let pool = PoolCreate {
            host_id: Some(host.id),
            name: Some("default".to_owned()),
            path: Some("/simulated".to_owned()),
            ..PoolCreate::default()
        };
        let _: Pool = client.create(&pool).await.with_context(|| format!("giving host {name} a pool"))?;
        let id = HostId(host.id);
        let made = Arc::new(SimulatedHost {
            id,
            machine: Machine::new(id, founding.build, Arc::clone(&founding.ledger), founding.seed),
            contact: Arc::default(),
            identity,
            ids,
            clock: founding.clock.clone(),
            running: Mutex::default(),
        });
        made.power_on()?;
        Ok(made)
    }

    /// Switches the machine on; its agent starts with it.
    pub(crate) fn power_on(&self) -> Result<()> {
        let on = self.machine.power_on()?;
        let options = AgentOptions {
            memory: on.memory,
            journal: on.journal,
            boot_id: BootId::Known(on.boot.to_string()),
            machine: self.machine.described(),
            machine_ids: self.ids.clone(),
            contact: Arc::clone(&self.contact),
            drivers: on.drivers,
            clock: self.clock.clone(),
            // Here the real world comes in.
            #[allow(clippy::disallowed_methods)]
            wall_clock: std::time::SystemTime::now,
            movers: None,
            run_id: Uuid::new_v4(),
        };
        let identity = self.identity.clone();
        let agent = tokio::spawn(async move {
            if let Err(error) = agent::run(identity, options, std::future::pending()).await {
                tracing::error!(error = format!("{error:#}"), "an agent broke off");
            }
        });
        let before = self.lock().replace(agent);
        debug_assert!(before.is_none(), "it was on");
        Ok(())
    }

    /// Pulls the plug: machine and agent are gone at once.
    pub(crate) fn power_off(&self) {
        self.machine.power_off();
        if let Some(agent) = self.lock().take() {
            agent.abort();
        }
    }

    /// Whether its machine is on.
    pub(crate) fn is_on(&self) -> bool {
        self.lock().is_some()
    }

    /// How many reports the brain has answered.
    pub(crate) fn reports(&self) -> u64 {
        self.contact.reports.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the brain has answered all of them together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answered {
    /// Questions for a manifest.
    pub(crate) polls: u64,
    /// Reports.
    pub(crate) reports: u64,
    /// Calls that failed.
    pub(crate) failures: u64,
}

impl Answered {
    /// So far.
    pub(crate) fn of(hosts: &[Arc<SimulatedHost>]) -> Self {
        let mut sum = Answered::default();
        for host in hosts {
            sum.polls += host.contact.polls.load(Ordering::Relaxed);
            sum.reports += host.contact.reports.load(Ordering::Relaxed);
            sum.failures += host.contact.failures.load(Ordering::Relaxed);
        }
        sum
    }

    /// Since an earlier look.
    pub(crate) fn since(self, earlier: Answered) -> Self {
        Answered {
            polls: self.polls.saturating_sub(earlier.polls),
            reports: self.reports.saturating_sub(earlier.reports),
            failures: self.failures.saturating_sub(earlier.failures),
        }
    }
}

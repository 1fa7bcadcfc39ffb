//! A real agent process on a simulated host.

use crate::brain::Brain;
use crate::programs::{Process, program};
use anyhow::{Context as _, Result};
use honcho_api::{Host, HostCreate, Pool, PoolCreate};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An agent that keeps a simulated host.
pub struct SimulatedAgent {
    directory: PathBuf,
    name: String,
    /// Its host's id.
    pub host_id: i64,
    process: Option<Process>,
}

impl SimulatedAgent {
    /// Adds a host, joins it, gives it a pool, and starts its agent.
    pub async fn join(brain: &Brain, directory: &Path, name: &str) -> Result<SimulatedAgent> {
        let client = brain.client()?;
        let host: Host =
            client.create(&HostCreate { name: Some(name.to_owned()), ..HostCreate::default() }).await?;
        let mut agent = SimulatedAgent {
            directory: directory.join(name),
            name: name.to_owned(),
            host_id: host.id,
            process: None,
        };
        std::fs::create_dir_all(&agent.directory)?;
        agent.join_with(brain, &host.join_token.context("a new host has a join token")?)?;
        let pool = PoolCreate {
            host_id: Some(host.id),
            name: Some("default".to_owned()),
            path: Some("/simulated".to_owned()),
            ..PoolCreate::default()
        };
        let _: Pool = client.create(&pool).await?;
        agent.start()?;
        Ok(agent)
    }

    /// Joins with a token; what the program says is the error.
    pub fn join_with(&self, brain: &Brain, token: &str) -> Result<()> {
        let mut command = Command::new(program("honcho-agent")?);
        command.args(["join", "--brain", &brain.url(), "--token", token]).arg("--data").arg(self.data());
        let output = command.output()?;
        anyhow::ensure!(output.status.success(), "join failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Key, certificate and journal.
    pub fn data(&self) -> PathBuf {
        self.directory.join("agent")
    }

    /// The simulated host.
    pub fn simulated(&self) -> PathBuf {
        self.directory.join("host")
    }

    /// What it and earlier runs of it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("agent.log")).unwrap_or_default()
    }

    /// Its host's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts it (again).
    pub fn start(&mut self) -> Result<()> {
        let mut command = Command::new(program("honcho-agent")?);
        command.arg("run").arg("--data").arg(self.data()).arg("--simulated").arg(self.simulated());
        // Several hosts share this machine: each is heard at a port of its own.
        command.args(["--movers", "127.0.0.1:0"]);
        self.process = Some(Process::start(&mut command, &self.directory.join("agent.log"))?);
        Ok(())
    }

    /// Kills it (SIGKILL); the simulated host goes on.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Its process, while it runs.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// How steps behave, in milliseconds; see `honcho_agent_lib::simulated::Settings`.
    pub fn settings(&self, settings: &serde_json::Value) -> Result<()> {
        std::fs::create_dir_all(self.simulated())?;
        Ok(std::fs::write(self.simulated().join("settings.json"), settings.to_string())?)
    }

    /// Names of the domains that run.
    pub fn domains(&self) -> Vec<String> {
        names(&self.simulated().join("domains"), ".json")
    }

    /// Files of volumes, half-made ones included.
    pub fn volumes(&self) -> Result<Vec<String>> {
        let mut volumes = Vec::new();
        for pool in std::fs::read_dir(self.simulated().join("pools"))? {
            let volume = |name: &String| {
                let ending = name.rsplit('.').next();
                name.starts_with('v') && matches!(ending, Some("json" | "partial" | "arriving"))
            };
            volumes.extend(names(&pool?.path(), "").into_iter().filter(volume));
        }
        Ok(volumes)
    }

    /// How often each (guest, epoch, boots) was started, ever.
    pub fn starts(&self) -> Result<BTreeMap<(u64, u64, u64), u32>> {
        let mut starts = BTreeMap::new();
        let log = std::fs::read_to_string(self.simulated().join("starts.log")).unwrap_or_default();
        for line in log.lines() {
            let mut numbers = line.split_whitespace().map(str::parse::<u64>);
            let mut next = || {
                numbers.next().context("starts.log has a short line")?.context("starts.log has a bad line")
            };
            *starts.entry((next()?, next()?, next()?)).or_default() += 1;
        }
        Ok(starts)
    }

    /// The host powers off and boots: its domains are gone, its agent too, and its boot id is another.
    pub fn reboot(&mut self) -> Result<()> {
        self.kill();
        for domain in std::fs::read_dir(self.simulated().join("domains"))? {
            std::fs::remove_file(domain?.path())?;
        }
        std::fs::write(self.simulated().join("boot-id"), uuid::Uuid::new_v4().to_string())?;
        self.start()
    }
}

fn names(directory: &Path, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(ending)?.to_owned()))
        .collect();
    names.sort();
    names
}

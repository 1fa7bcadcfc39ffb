//! A second real host beside that of a [`Room`]: its own libvirtd, pool and agent, on the same brain.

use crate::lab::{LabHost, LabProcess};
use crate::programs::program;
use crate::real::Room;
use anyhow::{Context as _, Result, ensure};
use honcho_api::{Host, HostCreate, Pool, PoolCreate};
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;

/// A host beside that of a room.
pub struct Neighbour {
    // Ended in this order.
    agent: Option<LabProcess>,
    /// The host.
    pub host: LabHost,
    /// Its id.
    pub host_id: i64,
}

impl Neighbour {
    /// Adds it, with a pool that cannot reflink, and starts its agent.
    pub async fn join(room: &Room, name: &str) -> Result<Neighbour> {
        let host = room.lab_host(name)?;
        let client = &room.world.client;
        let joining: Host =
            client.create(&HostCreate { name: Some(name.to_owned()), ..HostCreate::default() }).await?;
        let mut neighbour = Neighbour { agent: None, host, host_id: joining.id };
        std::fs::create_dir(neighbour.pool())?;
        let disk = neighbour.host.directory().join("pool.disk");
        File::create(&disk)?.set_len(12 << 30)?;
        let (disk, pool) = (disk.display().to_string(), neighbour.pool().display().to_string());
        neighbour.host.run(&format!("mkfs.ext4 -q -m 0 {disk} && mount -o loop,noatime {disk} {pool}"))?;
        let token = joining.join_token.context("a new host has a join token")?;
        let mut join = neighbour.host.command(program("honcho-agent")?);
        join.args(["join", "--brain", &room.brain.url(), "--token", &token, "--data"]);
        let output = join.arg(neighbour.host.directory().join("agent")).stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "join failed: {}", String::from_utf8_lossy(&output.stderr));
        neighbour.start_agent()?;
        let pool = PoolCreate {
            host_id: Some(neighbour.host_id),
            name: Some("local".to_owned()),
            path: Some(pool),
            ..PoolCreate::default()
        };
        let _: Pool = client.create(&pool).await?;
        room.world.pool_ready(neighbour.host_id).await?;
        Ok(neighbour)
    }

    /// Where its pool is mounted.
    pub fn pool(&self) -> PathBuf {
        self.host.directory().join("pool")
    }

    /// Starts the agent (again).
    pub fn start_agent(&mut self) -> Result<()> {
        let mut command = self.host.command(program("honcho-agent")?);
        command.args(["run", "--data"]).arg(self.host.directory().join("agent"));
        self.agent = Some(self.host.spawn(&mut command, "agent.log")?);
        Ok(())
    }

    /// Kills the agent (SIGKILL).
    pub fn kill_agent(&mut self) -> Result<()> {
        self.agent.take().map_or(Ok(()), |mut agent| agent.kill())
    }

    /// What the agent and earlier runs of it logged.
    pub fn agent_log(&self) -> String {
        std::fs::read_to_string(self.host.directory().join("agent.log")).unwrap_or_default()
    }

    /// Paths in the pool that match a shell pattern.
    pub fn in_pool(&self, pattern: &str) -> Result<Vec<String>> {
        let script = format!("cd {} && ls -d {pattern} 2> /dev/null || true", self.pool().display());
        Ok(self.host.run(&script)?.lines().map(str::to_owned).collect())
    }
}

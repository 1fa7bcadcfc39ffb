//! A host with everything real: libvirt, QEMU, a pool on a filesystem of its own, bridges, the agent; with a brain beside
//! it and Debian in the image.
//!
//! ```text
//!   root namespace                        host h1 (see lab.rs)
//!   test, honcho serve 10.213.N.1 ─────── honcho-agent, libvirtd, pool (loop-mounted), hb1 ── guests
//!                          └────────────── honcho (the command line), where guests can be reached
//! ```
//!
//! Everything is emulated in software where KVM does not work, so one room is open at a time.

// A room stands on the real machine, with its real clock.
#![allow(clippy::disallowed_methods)]

use crate::brain::Brain;
use crate::debian::debian;
use crate::lab::{Lab, LabHost, LabProcess, target_directory};
use crate::programs::program;
use crate::world::{World, eventually};
use anyhow::{Context as _, Result, ensure};
use honcho_api::{Guest, GuestCreate, Host, HostCreate, Operation, Pool, PoolCreate};
use honcho_model::guest::{GuestStatus, Power};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use uuid::Uuid;

/// A guest under software emulation on a busy machine takes its time. Everything that is waited for is waited for so
/// long, and no test waits for the whole of it unless it fails.
pub const PATIENCE: Duration = Duration::from_mins(4);

/// What the host's pool is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filesystem {
    /// It can reflink.
    Btrfs,
    /// It cannot.
    Ext4,
}

/// Brain, host, agent and pool.
pub struct Room {
    // Ended in this order.
    agent: Option<LabProcess>,
    /// The host.
    pub host: LabHost,
    /// The brain.
    pub brain: Brain,
    /// Account, network and image.
    pub world: World,
    /// The host's id.
    pub host_id: i64,
    lab: Lab,
    _one_at_a_time: File,
}

impl Room {
    /// Opens a room once no other is open. When this returns, a guest can be ordered.
    pub async fn open(filesystem: Filesystem) -> Result<Room> {
        let debian = debian().await?;
        let one_at_a_time = File::create(target_directory()?.join("e2e-real.lock"))?;
        one_at_a_time.lock()?;
        let lab = Lab::new()?;
        let outside = lab.directory().join("outside");
        std::fs::create_dir(&outside)?;
        let address = IpAddr::V4(lab.brain_address());
        let brain = Brain::start_on(&outside, address, address).await?;
        let client = brain.client()?;
        let image = debian.send(&client).await?;
        let world = World::with(client, image).await?;
        let host = lab.host("h1")?;
        let joining: Host =
            world.client.create(&HostCreate { name: Some("h1".to_owned()), ..HostCreate::default() }).await?;
        let mut room =
            Room { agent: None, host, brain, world, host_id: joining.id, lab, _one_at_a_time: one_at_a_time };
        room.make_key()?;
        room.format(filesystem)?;
        room.mount()?;
        room.join(&joining.join_token.context("a new host has a join token")?)?;
        room.start_agent()?;
        let pool = PoolCreate {
            host_id: Some(room.host_id),
            name: Some("local".to_owned()),
            path: Some(room.pool().display().to_string()),
            ..PoolCreate::default()
        };
        let _: Pool = room.world.client.create(&pool).await?;
        room.world.pool_ready(room.host_id).await?;
        Ok(room)
    }

    /// Another host of the same lab.
    pub fn lab_host(&self, name: &str) -> Result<LabHost> {
        self.lab.host(name)
    }

    fn make_key(&self) -> Result<()> {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "honcho-e2e", "-f"])
            .arg(self.key())
            .stdin(Stdio::null())
            .output()
            .context("ssh-keygen, of openssh-client")?;
        ensure!(made.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&made.stderr));
        Ok(())
    }

    /// The private key that guests are made for; the public one lies beside it.
    pub fn key(&self) -> PathBuf {
        self.lab.directory().join("id_ed25519")
    }

    /// Where the host's pool is mounted.
    pub fn pool(&self) -> PathBuf {
        self.host.directory().join("pool")
    }

    fn disk(&self) -> PathBuf {
        self.host.directory().join("pool.disk")
    }

    fn format(&self, filesystem: Filesystem) -> Result<()> {
        std::fs::create_dir(self.pool())?;
        File::create(self.disk())?.set_len(12 << 30)?;
        let make = match filesystem {
            Filesystem::Btrfs => "mkfs.btrfs -q",
            // The room that ext4 keeps for root alone would only make a full disk hard to tell.
            Filesystem::Ext4 => "mkfs.ext4 -q -m 0",
        };
        self.host.run(&format!("{make} {}", self.disk().display())).map(drop)
    }

    /// Mounts the pool's disk, as the host's fstab would.
    pub fn mount(&self) -> Result<()> {
        let script = format!("mount -o loop,noatime {} {}", self.disk().display(), self.pool().display());
        self.host.run(&script).map(drop)
    }

    /// Unmounts it.
    pub fn unmount(&self) -> Result<()> {
        self.host.run(&format!("umount {}", self.pool().display())).map(drop)
    }

    /// Paths in the pool that match a shell pattern, as the host sees them.
    pub fn in_pool(&self, pattern: &str) -> Result<Vec<String>> {
        let script = format!("cd {} && ls -d {pattern} 2> /dev/null || true", self.pool().display());
        Ok(self.host.run(&script)?.lines().map(str::to_owned).collect())
    }

    fn join(&self, token: &str) -> Result<()> {
        let mut join = self.host.command(program("honcho-agent")?);
        join.args(["join", "--brain", &self.brain.url(), "--token", token, "--data"]);
        let output = join.arg(self.host.directory().join("agent")).stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "join failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
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

    /// A power cut and a boot. The pool is mounted as the boot would; the agent is started by whoever asks.
    pub fn reboot_host(&mut self) -> Result<()> {
        self.agent = None;
        self.host.reboot()?;
        self.mount()
    }

    /// The command line, as a person on the host would use it.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.host.command(program("honcho")?);
        command.args(["--url", &self.brain.url(), "--ca"]).arg(self.brain.ca());
        command.arg("--token-file").arg(self.brain.data().join("operator.token")).args(arguments);
        // Keys and sessions that it makes are this test's.
        command.env("XDG_STATE_HOME", self.brain.data()).stdin(Stdio::null());
        Ok(command)
    }

    /// Runs the command line and gives how it ended.
    pub fn honcho(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command(arguments)?.output()?)
    }

    /// Runs the command line, which must succeed, and gives what it printed.
    pub fn must(&self, arguments: &[&str]) -> Result<String> {
        let output = self.honcho(arguments)?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "honcho {}: {}: {complaint}", arguments.join(" "), output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// `honcho guest create`, with what most guests have; `more` comes after.
    pub fn create(&self, name: &str, more: &[&str]) -> Result<String> {
        self.create_from(&self.world.image.name, name, more)
    }

    /// The same, of another image.
    pub fn create_from(&self, image: &str, name: &str, more: &[&str]) -> Result<String> {
        let key = format!("{}.pub", self.key().display());
        let mut words = vec!["guest", "create", name, "--account", "acme", "--image", image];
        words.extend(["--memory", "512M", "--disk", "3G", "--network", "office", "--ssh-key", &key]);
        words.extend(more);
        self.must(&words)
    }

    /// Orders a guest through the API.
    pub async fn order(&self, name: &str, power: Power) -> Result<Guest> {
        let order = GuestCreate {
            memory_bytes: Some(512 << 20),
            disk_bytes: Some(2 << 30),
            ssh_keys: Some(vec![
                std::fs::read_to_string(self.key().with_extension("pub"))?.trim().to_owned(),
            ]),
            power: Some(power),
            ..self.world.order(name)
        };
        Ok(self.world.client.create(&order).await?)
    }

    /// Asks for an action on a guest and waits until it is done.
    pub async fn act(&self, guest: i64, action: &str, query: &[(&str, &str)]) -> Result<Operation> {
        let operation = self.ask(guest, action, query).await?;
        self.world.ended(operation.id).await
    }

    /// Asks for an action on a guest.
    pub async fn ask(&self, guest: i64, action: &str, query: &[(&str, &str)]) -> Result<Operation> {
        let query: Vec<(&str, String)> =
            query.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Ok(self.world.client.action::<Guest, _>(guest, action, &query).await?)
    }

    /// A guest by its name.
    pub async fn guest(&self, name: &str) -> Result<Guest> {
        let guests: Vec<Guest> = self.world.client.list(&[("name", name.to_owned())]).await?;
        guests.into_iter().next().with_context(|| format!("there is no guest {name}"))
    }

    /// Waits until a guest has a status.
    pub async fn is(&self, id: i64, status: GuestStatus) -> Result<Guest> {
        eventually(&format!("guest {id} is {}", status.as_str()), PATIENCE, async || {
            let guest = self.world.guest(id).await?;
            ensure!(guest.status == status, "{guest:?}\n{}", last_lines(&self.agent_log()));
            Ok(guest)
        })
        .await
    }

    /// Runs a script in a guest, by `honcho guest ssh`.
    pub fn ssh(&self, guest: &str, script: &str) -> Result<String> {
        let key = self.key().display().to_string();
        let quiet = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"];
        let mut words = vec!["guest", "ssh", guest, "-i", &key];
        words.extend(quiet);
        words.extend(["--", script]);
        self.must(&words)
    }

    /// Waits until a guest has booted again, and gives the boot id it has now.
    pub async fn booted_since(&self, guest: &str, before: &str) -> Result<String> {
        eventually(&format!("{guest} boots and answers"), PATIENCE, async || {
            let boot_id = self.ssh(guest, BOOT_ID)?;
            ensure!(boot_id != before, "{guest} has not booted since");
            Ok(boot_id)
        })
        .await
    }

    /// Fails unless libvirt has started a guest so many times, ever, and one QEMU at most runs it.
    pub fn was_started(&self, guest: &Guest, times: usize) -> Result<()> {
        let log = self.host.directory().join(format!("var/log/libvirt/qemu/honcho-g{}.log", guest.id));
        let log = std::fs::read_to_string(log)?;
        let (running, started) = (qemus(guest.uuid), log.matches(": starting up libvirt version").count());
        let told = || log.lines().filter(|line| line.starts_with("20")).collect::<Vec<_>>().join("\n");
        ensure!(
            started == times && running.len() <= 1,
            "{} was started {started} times, not {times}, and {running:?} run it. libvirt's log:\n{}\nthe agent's:\n{}",
            guest.name,
            told(),
            self.agent_log()
        );
        Ok(())
    }

    /// The kernel that a guest was started with: a file in the pool.
    pub fn kernel(&self, guest: i64) -> Result<String> {
        let xml = self.host.run(&format!("virsh dumpxml honcho-g{guest}"))?;
        let kernel = xml.split("<kernel>").nth(1).and_then(|rest| rest.split("</kernel>").next());
        Ok(kernel.context("the domain has no kernel")?.to_owned())
    }

    /// Starts a domain that is none of Honcho's, as somebody else on the host might.
    pub fn foreign_domain(&self) -> Result<Foreign> {
        let uuid = Uuid::new_v4();
        let file = self.host.directory().join("foreign.xml");
        let xml = format!(
            "<domain type='qemu'><name>foreign</name><uuid>{uuid}</uuid><memory unit='MiB'>32</memory>\
             <os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features></domain>"
        );
        std::fs::write(&file, xml)?;
        // It stands still, so that it costs no time of the processor.
        self.host.run(&format!("virsh create --paused {}", file.display()))?;
        let pid = *qemus(uuid).first().context("the foreign domain does not run")?;
        let mut foreign = Foreign { uuid, pid, xml: String::new() };
        foreign.xml = self.foreign_now(&foreign)?;
        Ok(foreign)
    }

    fn foreign_now(&self, foreign: &Foreign) -> Result<String> {
        self.host.run(&format!("virsh domstate {0} && virsh dumpxml {0}", foreign.uuid))
    }

    /// Fails unless the foreign domain is as it was.
    pub fn is_untouched(&self, foreign: &Foreign) -> Result<()> {
        let now = self.foreign_now(foreign)?;
        ensure!(now == foreign.xml, "the foreign domain was {}\nand is {now}", foreign.xml);
        ensure!(qemus(foreign.uuid) == [foreign.pid], "the foreign domain was started anew");
        Ok(())
    }
}

/// Prints a guest's boot id.
pub const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";

/// A domain of somebody else's.
pub struct Foreign {
    uuid: Uuid,
    pid: u32,
    xml: String,
}

/// Ends a process at once, as a crash of it would.
pub fn kill(pid: u32) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process id")?;
    Ok(kill_process(pid, Signal::KILL)?)
}

/// The end of a log.
pub fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// The QEMU processes that run a guest, wherever on this machine.
pub fn qemus(uuid: Uuid) -> Vec<u32> {
    let uuid = uuid.to_string();
    let is_qemu = |pid: u32| {
        // One that has ended meanwhile has no command line.
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let mut words = line.split('\0');
        words.next().is_some_and(|program| program.contains("qemu-system")) && words.any(|word| word == uuid)
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| is_qemu(*pid))
        .collect();
    pids.sort_unstable();
    pids
}

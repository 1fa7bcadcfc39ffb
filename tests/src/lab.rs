//! A machine room on one machine: hosts made of namespaces, for the end-to-end tests.
//!
//! ```text
//!   root namespace                      host h1: network, mount, PID and UTS namespaces
//!   brain, test ── bridge hlabN ─ veth ─ eth0   tini ─ virtlogd, libvirtd, agent, QEMU
//!   10.213.N.1                           10.213.N.11   own /run, /var/lib/libvirt, /etc/libvirt, boot id
//! ```
//!
//! A host's libvirtd believes to be alone. Killing the host's first process ends everything in it at once, as a power
//! cut would; starting it again with another boot id is a reboot, and what is on its disks (all but /run) is still
//! there. A lab removes what it made when dropped, and what labs made that were killed when the next one starts: each
//! holds a lock on its number, and everything it makes is named by it.
//!
//! Needs root, and the programs ip, nsenter, unshare, tini, virtlogd and libvirtd. Blocking, on purpose.

// A lab stands on the real machine, with its real clock.
#![allow(clippy::disallowed_methods)]

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// At most so many labs at once on one machine.
const LABS: u8 = 99;
/// How long a host may take to come up, and a process to be gone. Generous: test machines are busy.
const PATIENCE: Duration = Duration::from_secs(30);

const HOST_INIT: &str = include_str!("../lab/host-init.sh");
const SERVER_INIT: &str = include_str!("../lab/server-init.sh");
const GUEST_KERNEL: &str = include_str!("../lab/guest-kernel.sh");

/// A machine room.
pub struct Lab {
    number: u8,
    directory: PathBuf,
    hosts: std::cell::Cell<u8>,
    // Held for as long as the lab lives; the kernel lets go of it when the process dies, however it dies.
    _lock: File,
}

impl Lab {
    /// Opens a lab, after removing what killed ones left behind.
    pub fn new() -> Result<Lab> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "the lab makes network namespaces: run the tests as root"
        );
        let labs = std::env::temp_dir().join("honcho-lab");
        fs::create_dir_all(&labs)?;
        let mut own = None;
        for number in 1..=LABS {
            let directory = labs.join(number.to_string());
            if own.is_some() && !directory.exists() {
                continue;
            }
            let Some(lock) = try_lock(&labs.join(format!("{number}.lock")))? else { continue };
            sweep(number, &directory)?;
            own = own.or(Some((number, directory, lock)));
        }
        let (number, directory, lock) = own.context("every lab is in use: is a test hanging?")?;
        fs::create_dir(&directory)?;
        let lab = Lab { number, directory, hosts: std::cell::Cell::new(0), _lock: lock };
        let bridge = bridge_name(number);
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&["address", "add", &format!("{}/24", lab.brain_address()), "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        Ok(lab)
    }

    /// The address at which hosts reach what runs outside of them: the brain.
    pub fn brain_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.number, 1)
    }

    /// A directory that goes when the lab does. Every host sees it, at the same path.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Racks a host and switches it on; libvirtd runs when this returns.
    pub fn host(&self, name: &str) -> Result<LabHost> {
        self.rack(name, Role::Hypervisor)
    }

    /// Racks a machine without libvirt, with directories of its own for a Postfix, and switches it on.
    pub fn server(&self, name: &str) -> Result<LabHost> {
        self.rack(name, Role::Server)
    }

    fn rack(&self, name: &str, role: Role) -> Result<LabHost> {
        let number = self.hosts.get() + 1;
        self.hosts.set(number);
        let directory = self.directory.join(name);
        fs::create_dir(&directory)?;
        let script = directory.join("host-init.sh");
        let text = match role {
            Role::Hypervisor => HOST_INIT,
            Role::Server => SERVER_INIT,
        };
        fs::write(&script, text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        let name = name.to_owned();
        let mut host = LabHost { name, lab: self.number, number, directory, role, running: None, boots: 0 };
        host.boot()?;
        Ok(host)
    }
}

/// What a machine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Hypervisor,
    Server,
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = sweep(self.number, &self.directory) {
            report(&format!("lab {} could not be removed: {error:#}", self.number));
        }
        if let Some(labs) = self.directory.parent() {
            drop(fs::remove_file(labs.join(format!("{}.lock", self.number))));
            drop(fs::remove_dir(labs));
        }
    }
}

/// A physical machine, as far as an agent can tell.
pub struct LabHost {
    name: String,
    lab: u8,
    number: u8,
    directory: PathBuf,
    role: Role,
    running: Option<Running>,
    boots: u32,
}

struct Running {
    unshare: Child,
    init: Pid,
}

impl LabHost {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address on the lab's bridge.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.lab, 10 + self.number)
    }

    /// Its directory, outside and inside: its disks are below it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// libvirt's URI for this host's libvirtd, usable from outside too.
    pub fn libvirt_uri(&self) -> String {
        let socket = self.directory.join("run/libvirt/libvirt-sock");
        format!("qemu+unix:///system?socket={}", socket.display())
    }

    /// A command that will run inside. It begins in `/`: give absolute paths.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        // A host that is off has no first process; PID 0 makes nsenter say so.
        let init = self.running.as_ref().map_or(0, |running| running.init.as_raw_nonzero().get());
        command
            .args(["--target", &init.to_string(), "--mount", "--uts", "--net", "--pid", "--"])
            .arg(program);
        command
    }

    /// Runs a shell command inside and gives what it printed; fails if it does.
    pub fn run(&self, script: &str) -> Result<String> {
        let output = self.command("sh").args(["-c", script]).stdin(Stdio::null()).output()?;
        text_of(&format!("{}: {script}", self.name), &output)
    }

    /// Starts a program inside that stays: an agent. Its output goes to `LOG` in the host's directory.
    pub fn spawn(&self, command: &mut Command, log: &str) -> Result<LabProcess> {
        let log = File::options().create(true).append(true).open(self.directory.join(log))?;
        let nsenter = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut process = LabProcess { pid: None, nsenter };
        process.pid = Some(only_child(&mut process.nsenter)?);
        Ok(process)
    }

    /// Logs into a guest from inside the host. `known_hosts` as brain or agent wrote it; without one, anything goes.
    pub fn ssh(
        &self,
        address: Ipv4Addr,
        key: &Path,
        known_hosts: Option<&Path>,
        script: &str,
    ) -> Result<String> {
        let mut command = self.command("ssh");
        command
            .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR", "-i"])
            .arg(key);
        match known_hosts {
            Some(file) => command.arg("-o").arg(format!("UserKnownHostsFile={}", file.display())),
            None => command.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no"]),
        };
        let output = command.arg(format!("root@{address}")).arg(script).stdin(Stdio::null()).output()?;
        text_of(&format!("ssh root@{address} {script}"), &output)
    }

    /// Starts libvirtd, as its service would.
    pub fn start_libvirtd(&self) -> Result<()> {
        self.run("libvirtd --daemon").map(drop)
    }

    /// Kills libvirtd as a crash would. Guests live on.
    pub fn kill_libvirtd(&self) -> Result<()> {
        self.run("kill -KILL $(cat /run/libvirtd.pid); while kill -0 $(cat /run/libvirtd.pid) 2>&-; do sleep 0.05; done")
            .map(drop)
    }

    /// Stops libvirtd in its tracks: it holds its connections and answers nothing, until [`Self::thaw_libvirtd`].
    pub fn freeze_libvirtd(&self) -> Result<()> {
        self.run("kill -STOP $(cat /run/libvirtd.pid)").map(drop)
    }

    /// Lets a frozen libvirtd go on.
    pub fn thaw_libvirtd(&self) -> Result<()> {
        self.run("kill -CONT $(cat /run/libvirtd.pid)").map(drop)
    }

    /// Ends everything in the host at once, as a power cut would. Its disks stay.
    pub fn power_off(&mut self) -> Result<()> {
        if let Some(mut running) = self.running.take()
            && running.unshare.try_wait()?.is_none()
        {
            kill_process(running.init, Signal::KILL).context("the host's first process")?;
            running.unshare.wait()?;
        }
        remove_links(&self.cable())?;
        remove_netns(&self.netns())
    }

    /// A power cut and a boot: another boot id, an empty /run, no bridges; the disks as they were.
    pub fn reboot(&mut self) -> Result<()> {
        self.power_off()?;
        self.boot()
    }

    /// Switches on a host that is off.
    pub fn boot(&mut self) -> Result<()> {
        ensure!(self.running.is_none(), "{} is on already", self.name);
        self.boots += 1;
        let netns = self.netns();
        let boot_id = format!("{:08x}-0000-4000-8000-{:06x}{:06x}", self.boots, self.lab, self.number);
        fs::write(self.directory.join("boot_id"), format!("{boot_id}\n"))?;
        self.plug_in(&netns)?;
        let log = File::options().create(true).append(true).open(self.directory.join("host.log"))?;
        let mut unshare = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{netns}"))
            .args([
                "unshare",
                "--mount",
                "--uts",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "tini",
                "--",
            ])
            .arg(self.directory.join("host-init.sh"))
            .args([&self.directory.display().to_string(), &self.name])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("nsenter, unshare and tini make a host")?;
        let init = only_child(&mut unshare)?;
        self.running = Some(Running { unshare, init });
        let booted = self.directory.join("run/booted");
        wait_until(&format!("{} to boot; see {}/host.log", self.name, self.directory.display()), || {
            fs::read_to_string(&booted).is_ok_and(|id| id.trim() == boot_id)
        })?;
        match self.role {
            Role::Hypervisor => self.start_libvirtd(),
            Role::Server => Ok(()),
        }
    }

    fn netns(&self) -> String {
        format!("{}-{}", bridge_name(self.lab), self.name)
    }

    fn cable(&self) -> String {
        format!("{}{}", cable_prefix(self.lab), self.number)
    }

    fn plug_in(&self, netns: &str) -> Result<()> {
        let outside = self.cable();
        ip(&["netns", "add", netns])?;
        ip(&["link", "add", &outside, "type", "veth", "peer", "name", "eth0", "netns", netns])?;
        ip(&["link", "set", &outside, "master", &bridge_name(self.lab), "up"])?;
        ip(&["-n", netns, "address", "add", &format!("{}/24", self.address()), "dev", "eth0"])?;
        ip(&["-n", netns, "link", "set", "eth0", "up"])?;
        let gateway = Ipv4Addr::new(10, 213, self.lab, 1).to_string();
        ip(&["-n", netns, "route", "add", "default", "via", &gateway])
    }
}

impl Drop for LabHost {
    fn drop(&mut self) {
        if let Err(error) = self.power_off() {
            report(&format!("host {} could not be switched off: {error:#}", self.name));
        }
    }
}

/// A program inside a host.
pub struct LabProcess {
    nsenter: Child,
    pid: Option<Pid>,
}

impl LabProcess {
    /// Its process id, as seen from outside.
    pub fn pid(&self) -> Option<u32> {
        self.pid.and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid.context("it never started")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        if self.nsenter.try_wait()?.is_none() {
            match self.signal(Signal::KILL) {
                Ok(()) => drop(self.nsenter.wait()?),
                Err(error) => {
                    self.nsenter.kill()?;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.nsenter.try_wait()?)
    }
}

impl Drop for LabProcess {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            report(&format!("a program of the lab could not be ended: {error:#}"));
        }
    }
}

/// Where what is built stands, and what tests keep for the next run.
pub fn target_directory() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.ancestors().nth(3).context("the tests run from target/…/deps")?.to_owned())
}

/// Kernel and initrd of the smallest guest there is, fetched by apt the first time and kept beside the build.
pub fn tiny_guest() -> Result<(PathBuf, PathBuf)> {
    let target = target_directory()?;
    // Another number for another guest-kernel.sh, which does nothing about what it finds.
    let directory = target.join("lab-guest-2");
    let ready = || directory.join("vmlinuz").exists() && directory.join("initrd").exists();
    fs::create_dir_all(&target)?;
    // Tests run side by side; one of them fetches.
    let lock = File::create(target.join("lab-guest.lock"))?;
    lock.lock()?;
    if !ready() {
        let output =
            Command::new("sh").args(["-c", GUEST_KERNEL, "guest-kernel.sh"]).arg(&directory).output()?;
        text_of("fetching a kernel for tiny guests", &output)?;
    }
    Ok((directory.join("vmlinuz"), directory.join("initrd")))
}

fn bridge_name(lab: u8) -> String {
    format!("hlab{lab}")
}

fn cable_prefix(lab: u8) -> String {
    format!("hl{lab}-")
}

/// Removes links whose names begin so. The kernel would remove a cable with its host's namespace, but some time later.
fn remove_links(prefix: &str) -> Result<()> {
    for line in ip_output(&["-oneline", "link", "show", "type", "veth"])?.lines() {
        let name = line.split(": ").nth(1).and_then(|name| name.split('@').next()).unwrap_or_default();
        if name.starts_with(prefix) && ip_output(&["link", "delete", name]).is_err() {
            // It went by itself meanwhile, or cannot be removed: then the next command says so.
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

/// Takes a lab's lock, unless a living process holds it.
fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = File::create(path)?;
    if file.try_lock().is_err() {
        return Ok(None);
    }
    // Whoever held it may have removed the file between our opening and our locking it.
    let same = fs::metadata(path).is_ok_and(|now| file.metadata().is_ok_and(|ours| now.ino() == ours.ino()));
    Ok(same.then_some(file))
}

/// Removes everything a lab of that number has made.
fn sweep(number: u8, directory: &Path) -> Result<()> {
    let bridge = bridge_name(number);
    for line in ip_output(&["netns", "list"])?.lines() {
        let netns = line.split_whitespace().next().unwrap_or_default();
        if netns.strip_prefix(&bridge).is_some_and(|rest| rest.starts_with('-')) {
            remove_netns(netns)?;
        }
    }
    remove_links(&cable_prefix(number))?;
    if ip_output(&["link", "show", "dev", &bridge]).is_ok() {
        ip(&["link", "delete", &bridge])?;
    }
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| directory.display().to_string())
        }
        _ => Ok(()),
    }
}

/// Ends whatever still runs in a network namespace of ours, and removes it.
fn remove_netns(netns: &str) -> Result<()> {
    if !Path::new("/run/netns").join(netns).exists() {
        return Ok(());
    }
    wait_until(&format!("the processes in {netns} to end"), || {
        let pids = ip_output(&["netns", "pids", netns]).unwrap_or_default();
        for pid in pids.lines().filter_map(|line| line.trim().parse().ok()).filter_map(Pid::from_raw) {
            // One that ended meanwhile is what is wanted.
            let _gone_already = kill_process(pid, Signal::KILL);
        }
        pids.trim().is_empty()
    })?;
    ip(&["netns", "delete", netns])
}

/// The process that a forking wrapper (unshare, nsenter) has started.
fn only_child(wrapper: &mut Child) -> Result<Pid> {
    let path = format!("/proc/{0}/task/{0}/children", wrapper.id());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let children = fs::read_to_string(&path).unwrap_or_default();
        if let Some(pid) =
            children.split_whitespace().next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw)
        {
            return Ok(pid);
        }
        if let Some(status) = wrapper.try_wait()? {
            bail!("a program of the lab ended at once: {status}");
        }
        ensure!(Instant::now() < deadline, "a program of the lab did not start");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        ensure!(Instant::now() < deadline, "waited {} s in vain for {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<()> {
    ip_output(arguments).map(drop)
}

fn ip_output(arguments: &[&str]) -> Result<String> {
    let output = Command::new("ip").args(arguments).output().context("ip, of iproute2")?;
    text_of(&format!("ip {}", arguments.join(" ")), &output)
}

fn text_of(doing: &str, output: &Output) -> Result<String> {
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{doing}: {}: {}", output.status, complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Tests print; there is no log to write to while one is being torn down.
#[allow(clippy::print_stderr)]
fn report(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
#[path = "lab_tests.rs"]
mod tests;

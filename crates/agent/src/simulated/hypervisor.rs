//! Domains as files. One is made by `link`, which fails when the name is taken, as a hypervisor would.

use super::settings::{SettingsFile, later};
use crate::clock::{Clock, Moment};
use crate::drivers::{DomainSeen, DomainSpec, DriverError, DriverResult, Duplex, Hypervisor};
use crate::load::LoadMeter;
use crate::sampling::taken::Counters;
use async_trait::async_trait;
use honcho_model::Bytes;
use honcho_wire::{LoadObserved, Virtualization};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// How often the directory is looked at for changes.
const WATCH: Duration = Duration::from_millis(200);

/// A running domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct DomainFile {
    domain: DomainSeen,
    /// Which start it is; in `starts.log` too.
    #[serde(default = "Uuid::new_v4")]
    start: Uuid,
    /// When it was started.
    #[serde(default)]
    since: Moment,
    /// When it will have stopped, once it was asked.
    #[serde(default)]
    stops_at: Option<Moment>,
    /// How large it is.
    #[serde(default)]
    vcpus: u32,
    #[serde(default)]
    memory: Bytes,
}

/// Domains as files.
pub(super) struct SimulatedHypervisor {
    files: Domains,
    settings: SettingsFile,
    starts: PathBuf,
    changes: watch::Sender<u64>,
    /// It lives on this machine, and is as busy as that.
    load: Mutex<LoadMeter>,
}

/// The directory of domains.
#[derive(Clone)]
struct Domains {
    directory: PathBuf,
    clock: Clock,
}

impl Domains {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }

    /// Every domain, after those have ended whose time has come.
    fn read(&self) -> std::io::Result<Vec<DomainFile>> {
        let mut domains = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            // It may have been removed since the directory was read.
            let Some(contents) = crate::durable::read(&path)? else { continue };
            let file: DomainFile = serde_json::from_slice(&contents)?;
            if file.stops_at.is_some_and(|moment| moment <= self.clock.now()) {
                remove(&path)?;
            } else {
                domains.push(file);
            }
        }
        Ok(domains)
    }

    fn find(&self, uuid: Uuid) -> std::io::Result<Option<DomainFile>> {
        Ok(self.read()?.into_iter().find(|file| file.domain.uuid == uuid))
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl SimulatedHypervisor {
    pub(super) fn open(directory: &Path, settings: SettingsFile) -> std::io::Result<Self> {
        let files = Domains { directory: directory.join("domains"), clock: Clock::of_this_machine()? };
        let starts = directory.join("starts.log");
        let changes = watch::channel(0).0;
        let hypervisor = SimulatedHypervisor { files, settings, starts, changes, load: Mutex::default() };
        hypervisor.log_what_was_not()?;
        tokio::spawn(watch_directory(hypervisor.files.clone(), hypervisor.changes.clone()));
        Ok(hypervisor)
    }

    /// A domain whose maker was killed before it could log the start is logged now.
    fn log_what_was_not(&self) -> std::io::Result<()> {
        let logged = crate::durable::read(&self.starts)?.unwrap_or_default();
        let logged = String::from_utf8_lossy(&logged).into_owned();
        for file in self.files.read()? {
            if file.domain.mark.is_some() && !logged.contains(&file.start.to_string()) {
                self.log_start(&file)?;
            }
        }
        Ok(())
    }

    fn log_start(&self, file: &DomainFile) -> std::io::Result<()> {
        let Some(mark) = file.domain.mark else { return Ok(()) };
        let mut log = std::fs::OpenOptions::new().create(true).append(true).open(&self.starts)?;
        let line = format!("{} {} {} {}\n", mark.guest, mark.epoch, mark.boots, file.start);
        log.write_all(line.as_bytes())?;
        log.sync_all()
    }

    fn link(&self, spec: &DomainSpec, file: &DomainFile) -> std::io::Result<()> {
        if self.files.find(spec.uuid)?.is_some() {
            return Err(std::io::ErrorKind::AlreadyExists.into());
        }
        let temporary = self.files.directory.join(format!("{}.{}.new", spec.name, file.start));
        std::fs::write(&temporary, serde_json::to_vec(file)?)?;
        let linked = std::fs::hard_link(&temporary, self.files.path(&spec.name));
        remove(&temporary)?;
        linked
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

async fn watch_directory(files: Domains, changes: watch::Sender<u64>) {
    let look = || -> Option<(std::time::SystemTime, bool)> {
        let modified = std::fs::metadata(&files.directory).and_then(|metadata| metadata.modified()).ok()?;
        Some((modified, files.directory.join("stopping").exists()))
    };
    let mut last = look();
    while !changes.is_closed() || changes.receiver_count() == 0 {
        tokio::time::sleep(WATCH).await;
        if let Some((_, true)) = last
            && let Ok(domains) = files.read()
            && domains.iter().all(|file| file.stops_at.is_none())
            && let Err(error) = remove(&files.directory.join("stopping"))
        {
            tracing::warn!(%error, "the simulated hypervisor cannot remove its note");
        }
        let now = look();
        if now != last {
            last = now;
            changes.send_modify(|count| *count += 1);
        }
    }
}

#[async_trait]
impl Hypervisor for SimulatedHypervisor {
    async fn describe(&self) -> DriverResult<String> {
        Ok("simulated".to_owned())
    }

    fn virtualization(&self) -> Option<Virtualization> {
        Some(Virtualization { kvm: false, reason: "guests are simulated".to_owned() })
    }

    fn load(&self) -> Option<LoadObserved> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner).read(tokio::time::Instant::now())
    }

    async fn domain_counters(&self) -> DriverResult<Vec<(Uuid, Counters)>> {
        self.settings.may_fail("counters")?;
        let files = self.files.read().map_err(later(&self.files.directory))?;
        let now = self.files.clock.now();
        let counters = |file: &DomainFile| {
            let running = now.since(file.since);
            let guest = file.domain.mark?.guest;
            Some((file.domain.uuid, super::load::counters(guest, file.vcpus, file.memory, running)))
        };
        Ok(files.iter().filter_map(counters).collect())
    }

    async fn domains(&self) -> DriverResult<Vec<DomainSeen>> {
        self.settings.may_fail("domains")?;
        let files = self.files.read().map_err(later(&self.files.directory))?;
        Ok(files.into_iter().map(|file| file.domain).collect())
    }

    async fn create(&self, spec: &DomainSpec) -> DriverResult<()> {
        self.settings.first_half("start").await?;
        self.settings.may_fail("start")?;
        let domain = DomainSeen {
            name: spec.name.clone(),
            uuid: spec.uuid,
            alive: true,
            mark: Some(spec.mark),
            interfaces: spec.interfaces.iter().map(|interface| interface.id).collect(),
            stuck: None,
        };
        let since = self.files.clock.now();
        let (start, vcpus, memory) = (Uuid::new_v4(), spec.vcpus, spec.memory);
        let file = DomainFile { domain, start, since, stops_at: None, vcpus, memory };
        self.link(spec, &file).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                DriverError::Later(format!("a domain named {} or with its uuid exists already", spec.name))
            }
            _ => later(&self.files.directory)(error),
        })?;
        self.log_start(&file).map_err(later(&self.starts))?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&spec.console_log);
        log.and_then(|mut log| writeln!(log, "simulated guest {}: boot {}", spec.title, spec.mark.boots))
            .map_err(later(&spec.console_log))?;
        self.changed();
        self.settings.second_half("start").await
    }

    async fn ask_to_stop(&self, uuid: Uuid) -> DriverResult<()> {
        self.settings.first_half("ask_to_stop").await?;
        self.settings.may_fail("ask_to_stop")?;
        let settings = self.settings.read()?;
        let directory = &self.files.directory;
        let Some(mut file) = self.files.find(uuid).map_err(later(directory))? else { return Ok(()) };
        let now = self.files.clock.now();
        if file.stops_at.is_none() && now.since(file.since) >= Duration::from_millis(settings.deaf_ms) {
            file.stops_at = Some(now.plus(Duration::from_millis(settings.stop_ms)));
            let contents = serde_json::to_vec(&file).map_err(|error| later(directory)(error.into()))?;
            let path = self.files.path(&file.domain.name);
            std::fs::write(directory.join("stopping"), b"").map_err(later(directory))?;
            // Not durable on purpose: replacing it must not bring back one that was just removed.
            if path.exists() {
                crate::durable::replace(&path, &contents).map_err(later(directory))?;
            }
        }
        self.settings.second_half("ask_to_stop").await
    }

    async fn destroy(&self, uuid: Uuid) -> DriverResult<()> {
        self.settings.first_half("destroy").await?;
        self.settings.may_fail("destroy")?;
        if let Some(file) = self.files.find(uuid).map_err(later(&self.files.directory))? {
            remove(&self.files.path(&file.domain.name)).map_err(later(&self.files.directory))?;
        }
        self.changed();
        self.settings.second_half("destroy").await
    }

    async fn resume(&self, uuid: Uuid) -> DriverResult<()> {
        self.settings.first_half("resume").await?;
        self.settings.may_fail("resume")?;
        let directory = &self.files.directory;
        if let Some(mut file) = self.files.find(uuid).map_err(later(directory))?
            && file.domain.stuck.take().is_some()
        {
            let contents = serde_json::to_vec(&file).map_err(|error| later(directory)(error.into()))?;
            let path = self.files.path(&file.domain.name);
            if path.exists() {
                crate::durable::replace(&path, &contents).map_err(later(directory))?;
            }
        }
        self.changed();
        self.settings.second_half("resume").await
    }

    async fn console(&self, uuid: Uuid) -> DriverResult<Box<dyn Duplex>> {
        let found = self.files.find(uuid).map_err(later(&self.files.directory))?;
        let Some(file) = found else { return Err(DriverError::Later("the guest does not run".to_owned())) };
        Ok(super::console(&file.domain.name))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

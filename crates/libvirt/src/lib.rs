//! Runs guests by libvirt: the driver behind the agent's [`Hypervisor`].
//!
//! Owns the one connection to libvirtd, how a guest looks in libvirt's words, and whether KVM carries guests. Remembers
//! nothing about domains: each look reads them anew. Never touches a domain that somebody else made, and never leaves
//! one that libvirt would start by itself.

mod connection;
mod console;
mod domain_read;
mod domain_stats;
mod domain_xml;
mod events;
mod explain;
mod probe;

pub use domain_read::{DomainRead, read_domain};
pub use domain_xml::{Accel, MARK_NAMESPACE, domain_xml};

use crate::connection::{CallError, Connection, Lane};
use crate::explain::{is_gone, is_not_running};
use async_trait::async_trait;
use honcho_agent_lib::drivers::{
    DomainSeen, DomainSpec, DriverError, DriverResult, Duplex, Hypervisor, Stuck,
};
use honcho_agent_lib::load::LoadMeter;
use honcho_agent_lib::sampling::taken::Counters;
use honcho_wire::{LoadObserved, Virtualization};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore, oneshot, watch};
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::{
    Domain, DomainPausedReason, DomainState, DomainStateEnum, DomainStateReason, DomainStateReasonEnum,
};
use virt::enumutil::Enum;
use virt::stream::Stream;

/// For what only asks.
const QUICK: Duration = Duration::from_secs(15);
/// Ending a domain: libvirt waits for QEMU's process to be gone.
const DESTROY: Duration = Duration::from_mins(1);
/// Starting one: on a host that is short of everything QEMU may take its time.
const CREATE: Duration = Duration::from_mins(2);

/// How the driver is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where libvirtd is.
    pub uri: String,
    /// Where to keep, for this boot of the host, whether KVM carries guests; found out anew by each process if `None`.
    pub probe_file: Option<PathBuf>,
    /// Whether KVM carries guests, if somebody knows and has said so; then nothing is tried.
    pub virtualization: Option<Virtualization>,
}

impl Default for Options {
    fn default() -> Self {
        Options { uri: "qemu:///system".to_owned(), probe_file: None, virtualization: None }
    }
}

/// Guests by libvirt and QEMU.
pub struct LibvirtHypervisor {
    connection: Connection,
    probe_file: Option<PathBuf>,
    virtualization: OnceCell<Virtualization>,
    // Who holds which console: dropping the sender ends the holder's stream.
    consoles: Mutex<HashMap<Uuid, oneshot::Sender<()>>>,
    load: Mutex<LoadMeter>,
    /// Held by the one call for counters that there may be, until it has returned.
    counting: Arc<Semaphore>,
}

impl LibvirtHypervisor {
    /// Prepares the driver. libvirtd need not run yet: calls say so until it does.
    pub fn new(options: Options) -> DriverResult<Self> {
        Ok(LibvirtHypervisor {
            connection: Connection::new(&options.uri)?,
            probe_file: options.probe_file,
            virtualization: OnceCell::new_with(options.virtualization),
            consoles: Mutex::new(HashMap::new()),
            load: Mutex::default(),
            counting: Arc::new(Semaphore::new(1)),
        })
    }

    /// Takes up what an earlier run found out about KVM in this boot. Without it, the next start finds out anew.
    async fn recall(&self) {
        let (Some(file), None) = (&self.probe_file, self.virtualization.get()) else { return };
        let emulator = self.emulator().await;
        if let (Ok(emulator), Ok(boot_id)) = (emulator, boot_id())
            && let Some(kept) = probe::recall(file, &boot_id, &emulator).await
        {
            // Another task may have set it meanwhile; then that one tried, and knows as well.
            let _ = self.virtualization.set(kept);
        }
    }

    /// Whether KVM carries guests: as known, as kept for this boot, or found out by trying `kernel`.
    async fn accel(&self, kernel: &Path) -> DriverResult<Accel> {
        if let Some(known) = self.virtualization.get() {
            return Ok(accel_of(known));
        }
        let emulator = self.emulator().await?;
        let boot_id = boot_id()?;
        let mut unkept = None;
        let found = self
            .virtualization
            .get_or_try_init(|| async {
                let file = self.probe_file.as_deref();
                if let Some(file) = file
                    && let Some(kept) = probe::recall(file, &boot_id, &emulator).await
                {
                    return Ok(kept);
                }
                let (found, may_be_kept) = probe::probe(&emulator, kernel).await;
                tracing::info!(kvm = found.kvm, reason = found.reason, "found out how guests are executed");
                if !may_be_kept {
                    // The next guest's kernel may tell more.
                    unkept = Some(accel_of(&found));
                    return Err(());
                }
                if let Some(file) = file {
                    probe::keep(file, &boot_id, &emulator, &found).await;
                }
                Ok(found)
            })
            .await;
        Ok(found.map_or(unkept.unwrap_or(Accel::Tcg), accel_of))
    }

    /// Asks for counters, unless an earlier call for them has not returned yet.
    async fn counted(
        &self,
        deadline: Duration,
        count: impl FnOnce(&Connect) -> Result<Vec<(Uuid, Counters)>, CallError> + Send + 'static,
    ) -> DriverResult<Vec<(Uuid, Counters)>> {
        let Ok(turn) = Arc::clone(&self.counting).try_acquire_owned() else {
            let text = "what domains take is not asked for: libvirtd has not answered the last time yet, most often because \
                        the QEMU of a guest hangs (`virsh domstats` names it by hanging there)";
            return Err(DriverError::Later(text.to_owned()));
        };
        let doing = "asking what domains take".to_owned();
        let call = self.connection.call(Lane::Counting, doing, deadline, move |connect, _| {
            let counted = count(connect);
            drop(turn);
            counted
        });
        call.await
    }

    async fn emulator(&self) -> DriverResult<PathBuf> {
        let doing = "asking libvirt for QEMU".to_owned();
        self.connection.call(Lane::Looking, doing, QUICK, |connect, _| emulator(connect)).await
    }

    fn take_console(&self, uuid: Uuid) -> oneshot::Receiver<()> {
        let (holder, taken) = oneshot::channel();
        let mut consoles = self.consoles.lock().unwrap_or_else(PoisonError::into_inner);
        consoles.retain(|_, holder| !holder.is_closed());
        consoles.insert(uuid, holder);
        taken
    }
}

fn boot_id() -> DriverResult<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .map_err(|error| DriverError::Later(format!("the kernel does not tell its boot id: {error}")))
}

fn accel_of(virtualization: &Virtualization) -> Accel {
    if virtualization.kvm { Accel::Kvm } else { Accel::Tcg }
}

#[async_trait]
impl Hypervisor for LibvirtHypervisor {
    async fn describe(&self) -> DriverResult<String> {
        self.recall().await;
        self.connection
            .call(Lane::Looking, "asking libvirt for its version".to_owned(), QUICK, |connect, _| {
                let kind = connect.driver_type()?;
                let library = version(connect.lib_version()?);
                Ok(format!("libvirt {library}, {kind} {}", version(connect.hyp_version()?)))
            })
            .await
    }

    fn virtualization(&self) -> Option<Virtualization> {
        self.virtualization.get().cloned()
    }

    fn load(&self) -> Option<LoadObserved> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner).read(tokio::time::Instant::now())
    }

    async fn domain_counters(&self) -> DriverResult<Vec<(Uuid, Counters)>> {
        self.counted(QUICK, |connect| Ok(domain_stats::counters(connect)?)).await
    }

    async fn domains(&self) -> DriverResult<Vec<DomainSeen>> {
        self.connection
            .call(Lane::Looking, "listing domains".to_owned(), QUICK, |connect, _| {
                let domains = connect.list_all_domains(0)?;
                let seen = domains.iter().map(see).filter_map(Result::transpose);
                Ok(seen.collect::<Result<Vec<_>, _>>()?)
            })
            .await
    }

    async fn create(&self, spec: &DomainSpec) -> DriverResult<()> {
        let accel = self.accel(&spec.boot.kernel).await?;
        let xml = domain_xml(spec, &accel);
        let (name, uuid) = (spec.name.clone(), spec.uuid);
        self.connection
            .call(Lane::Starting, format!("starting domain {name}"), CREATE, move |connect, still_awaited| {
                refuse_existing(connect, &name, uuid)?;
                if !still_awaited() {
                    // What is wanted may have changed since: whoever gave up looks anew and asks again.
                    return Err(CallError::Said(DriverError::Later(
                        "given up before it was begun".to_owned(),
                    )));
                }
                connect.create_domain_xml(&xml, 0)?;
                Ok(())
            })
            .await
    }

    async fn ask_to_stop(&self, uuid: Uuid) -> DriverResult<()> {
        self.connection
            .call(Lane::Acting, format!("asking domain {uuid} to stop"), QUICK, move |connect, _| {
                on_domain(connect, uuid, |domain| {
                    domain.shutdown_flags(virt_sys::VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
                })
            })
            .await
    }

    async fn resume(&self, uuid: Uuid) -> DriverResult<()> {
        self.connection
            .call(Lane::Acting, format!("letting domain {uuid} go on"), QUICK, move |connect, _| {
                on_domain(connect, uuid, |domain| match domain.state()?.0 {
                    Enum::Known(DomainState::Paused) => domain.resume().map(drop),
                    _ => Ok(()),
                })
            })
            .await
    }

    async fn destroy(&self, uuid: Uuid) -> DriverResult<()> {
        self.connection
            .call(Lane::Acting, format!("ending domain {uuid}"), DESTROY, move |connect, _| {
                on_domain(connect, uuid, Domain::destroy)
            })
            .await
    }

    async fn console(&self, uuid: Uuid) -> DriverResult<Box<dyn Duplex>> {
        let path = self
            .connection
            .call(Lane::Acting, format!("opening the console of domain {uuid}"), QUICK, move |connect, _| {
                console_path(connect, uuid)
            })
            .await?;
        // Whoever has it in this process loses it before the terminal is opened again.
        let taken = self.take_console(uuid);
        let console = console::Console::open(&path, taken).map_err(|error| {
            DriverError::Later(format!(
                "console {} of domain {uuid} cannot be opened: {error}",
                path.display()
            ))
        })?;
        Ok(Box::new(console))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.connection.changes()
    }
}

/// libvirt writes 9.1.2 as 9001002.
fn version(number: u32) -> String {
    format!("{}.{}.{}", number / 1_000_000, number / 1000 % 1000, number % 1000)
}

/// The QEMU that libvirt runs guests with.
fn emulator(connect: &Connect) -> Result<PathBuf, CallError> {
    let capabilities = connect.domain_capabilities(None, Some("x86_64"), Some("q35"), Some("qemu"), 0)?;
    let said = |why: &str| {
        CallError::Said(DriverError::Later(format!("libvirt {why}: apt-get install qemu-system-x86")))
    };
    domain_read::text_at(&capabilities, &["domainCapabilities", "path"])
        .map(PathBuf::from)
        .ok_or_else(|| said("names no QEMU for x86_64"))
}

/// One domain as seen; `None` if it vanished while looking.
fn see(domain: &Domain) -> Result<Option<DomainSeen>, virt::error::Error> {
    let look = || {
        let read = read_domain(&domain.xml_desc(0)?);
        Ok(DomainSeen {
            name: domain.name()?,
            uuid: domain.uuid()?,
            alive: domain.id().is_some(),
            mark: read.mark,
            interfaces: read.interfaces,
            stuck: domain.state().map(|(state, reason)| stuck(state, reason))?,
        })
    };
    match look() {
        Ok(seen) => Ok(Some(seen)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Why a domain that is alive does not get on. What libvirt itself does with it for a moment is left out.
fn stuck(state: DomainStateEnum, reason: DomainStateReasonEnum) -> Option<Stuck> {
    let other = |text: &str| Some(Stuck::Other(text.to_owned()));
    match state {
        Enum::Known(DomainState::Crashed) => other(
            "it has crashed and was kept for people to look at: virsh destroy ends it, and it is started again",
        ),
        Enum::Known(DomainState::PMSuspended) => {
            other("it has put itself to sleep: virsh dompmwakeup wakes it, a reboot too")
        }
        Enum::Known(DomainState::Paused) => match reason {
            Enum::Known(DomainStateReason::Paused(Enum::Known(reason))) => match reason {
                DomainPausedReason::IOError => Some(Stuck::DiskError),
                DomainPausedReason::StartingUp | DomainPausedReason::ShuttingDown => None,
                DomainPausedReason::Crashed => {
                    other("it is paused because its kernel has crashed: look at its console, and reboot it")
                }
                DomainPausedReason::Watchdog => {
                    other("it is paused because its watchdog heard nothing of it: reboot it")
                }
                reason => other(&format!(
                    "it is paused, and not by Honcho (libvirt says: {reason:?}): virsh resume lets it go on"
                )),
            },
            _ => other("it is paused, and not by Honcho: virsh resume lets it go on"),
        },
        _ => None,
    }
}

/// libvirt would start a stopped domain of the same name and uuid under a new definition: so look first.
fn refuse_existing(connect: &Connect, name: &str, uuid: Uuid) -> Result<(), CallError> {
    for existing in [connect.lookup_domain_by_uuid(uuid), connect.lookup_domain_by_name(name)] {
        let existing = match existing {
            Ok(existing) => existing,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        let existing_uuid = existing.uuid()?;
        let mend = match existing.xml_desc(0).map(|xml| read_domain(&xml).mark) {
            Ok(Some(_)) => "it is one of ours and is looked at anew".to_owned(),
            _ => format!(
                "somebody else made it; give it another name (virsh domrename {existing_uuid} NEWNAME) or remove it"
            ),
        };
        return Err(CallError::Said(DriverError::Later(format!(
            "domain {name} cannot be started: a domain named {} with uuid {existing_uuid} exists already; {mend}",
            existing.name()?
        ))));
    }
    Ok(())
}

/// Does something to a domain; one that is gone, or ends meanwhile, is fine.
fn on_domain(
    connect: &Connect,
    uuid: Uuid,
    act: impl FnOnce(&Domain) -> Result<(), virt::error::Error>,
) -> Result<(), CallError> {
    match connect.lookup_domain_by_uuid(uuid).and_then(|domain| act(&domain)) {
        Err(error) if !is_gone(&error) && !is_not_running(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// The console's terminal, after whoever had it through libvirt has been thrown out.
fn console_path(connect: &Connect, uuid: Uuid) -> Result<PathBuf, CallError> {
    let domain = connect.lookup_domain_by_uuid(uuid)?;
    let path = read_domain(&domain.xml_desc(0)?).console.ok_or_else(|| {
        CallError::Said(DriverError::Later(format!("domain {uuid} has no console: it does not run")))
    })?;
    let stream = Stream::new(connect, virt_sys::VIR_STREAM_NONBLOCK)?;
    let thrown_out =
        domain.open_console(None, &stream, virt_sys::VIR_DOMAIN_CONSOLE_FORCE).and_then(|()| stream.abort());
    if let Err(error) = thrown_out {
        tracing::debug!(%error, %uuid, "nobody could be thrown out of the console");
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// libvirt's own mock: one domain of somebody else's, in this process's memory.
    fn mock() -> LibvirtHypervisor {
        LibvirtHypervisor::new(Options { uri: "test:///default".to_owned(), ..Options::default() }).unwrap()
    }

    #[tokio::test]
    async fn a_foreign_domain_is_seen_without_a_mark() {
        let driver = mock();
        let seen = driver.domains().await.unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].name.as_str(), seen[0].mark, seen[0].alive), ("test", None, true));
        assert!(driver.describe().await.unwrap().contains("TEST"), "{:?}", driver.describe().await);
        // One that is not there is fine to stop and to end, and has no console.
        driver.ask_to_stop(Uuid::nil()).await.unwrap();
        driver.destroy(Uuid::nil()).await.unwrap();
        assert!(driver.console(Uuid::nil()).await.is_err());
    }

    #[tokio::test]
    async fn a_paused_domain_is_seen_as_stuck_until_it_is_resumed() {
        let driver = mock();
        let uuid = driver.domains().await.unwrap()[0].uuid;
        let suspend =
            driver.connection.call(Lane::Acting, "suspending".to_owned(), QUICK, move |connect, _| {
                on_domain(connect, uuid, Domain::suspend)
            });
        suspend.await.unwrap();
        let stuck = driver.domains().await.unwrap()[0].stuck.clone();
        assert!(matches!(&stuck, Some(Stuck::Other(why)) if why.contains("virsh resume")), "{stuck:?}");
        // Twice is as good as once, and one that is not there is fine.
        for uuid in [uuid, uuid, Uuid::nil()] {
            driver.resume(uuid).await.unwrap();
        }
        assert_eq!(driver.domains().await.unwrap()[0].stuck, None);
    }

    #[tokio::test]
    async fn counters_that_do_not_come_keep_nobody_from_looking() {
        let driver = mock();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let short = Duration::from_millis(50);
        let hung = driver.counted(short, move |_| {
            let _ = wait.recv();
            Ok(Vec::new())
        });
        let Err(DriverError::Later(first)) = hung.await else { panic!("it answered") };
        assert!(first.contains("has not answered"), "{first}");
        // Not asked again while it hangs; and whoever looks is not kept waiting.
        for _ in 0..4 {
            let Err(DriverError::Later(next)) = driver.domain_counters().await else { panic!("it answered") };
            assert!(next.contains("the last time yet"), "{next}");
        }
        assert_eq!(driver.domains().await.unwrap().len(), 1);
        drop(go_on);
        let mut counted = driver.domain_counters().await;
        while counted.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            counted = driver.domain_counters().await;
        }
        assert_eq!(counted.unwrap().len(), 1);
    }

    #[test]
    fn only_a_disks_error_is_to_be_resumed() {
        let paused = |reason| {
            let reason = DomainStateReason::Paused(Enum::Known(reason));
            super::stuck(Enum::Known(DomainState::Paused), Enum::Known(reason))
        };
        assert_eq!(paused(DomainPausedReason::IOError), Some(Stuck::DiskError));
        assert_eq!(paused(DomainPausedReason::StartingUp), None);
        assert!(matches!(paused(DomainPausedReason::Crashed), Some(Stuck::Other(_))));
        assert!(matches!(paused(DomainPausedReason::User), Some(Stuck::Other(_))));
    }

    #[tokio::test]
    async fn without_libvirtd_it_says_what_to_start() {
        let uri = "qemu+unix:///system?socket=/nonexistent/libvirt-sock".to_owned();
        let driver = LibvirtHypervisor::new(Options { uri, ..Options::default() }).unwrap();
        let Err(DriverError::Later(text)) = driver.domains().await else { panic!("there is a libvirtd") };
        assert!(text.contains("start it: systemctl start libvirtd"), "{text}");
    }
}

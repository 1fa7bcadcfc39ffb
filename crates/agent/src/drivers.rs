//! The hands: what the agent needs of a hypervisor, of storage and of a network.
//!
//! Each trait is small on purpose. `observe`-like calls look anew and remember nothing; every other call is one
//! idempotent step: doing it twice, or doing it after it was killed half-way, ends in the same state. None of them
//! decides anything: that is [`crate::converge`]'s.

use crate::sampling::machine;
use crate::sampling::taken::Counters;
use async_trait::async_trait;
use honcho_images::import::disk::Captured;
use honcho_model::{Bytes, Digest, Epoch, GuestId, InterfaceId, Mac, NetworkId, PoolId, VolumeId};
use honcho_wire::{
    ImageWanted, LoadObserved, NetworkWanted, PoolState, PoolWanted, Virtualization, VolumeAbsent,
    VolumeWanted,
};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use uuid::Uuid;

/// Why a step failed, and whether trying again can help.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DriverError {
    /// It may work later: a full disk, a daemon that is down, a name that somebody else holds.
    #[error("{0}")]
    Later(String),
    /// It will not work until something else is wanted: an image that is not what its digest says.
    #[error("{0}")]
    Never(String),
}

/// What a driver's call gives.
pub type DriverResult<T> = Result<T, DriverError>;

/// What marks a domain as ours; written into its metadata by the very call that creates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    /// The brain that wanted it.
    pub brain: Uuid,
    /// The guest it is.
    pub guest: GuestId,
    /// The epoch at which it was started.
    pub epoch: Epoch,
    /// The boot count that this start fulfilled.
    pub boots: u64,
}

/// A domain, as the hypervisor shows it. Domains without a mark are somebody else's and are left alone.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DomainSeen {
    /// Its name.
    pub name: String,
    /// Its uuid; of ours, the guest's.
    pub uuid: Uuid,
    /// Whether it has not ended (running, paused, shutting down).
    pub alive: bool,
    /// Our mark, if it carries one.
    pub mark: Option<Mark>,
    /// Interfaces whose taps it holds.
    pub interfaces: Vec<InterfaceId>,
    /// Why it is alive and does not get on, if so.
    #[serde(default)]
    pub stuck: Option<Stuck>,
}

/// Why a domain that is alive does not get on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stuck {
    /// The hypervisor paused it because its disk gave an error that may pass, as a full pool does.
    DiskError,
    /// Anything else, which somebody else has to undo: a sentence that begins with what was done to it.
    Other(String),
}

/// A domain to be created. It is transient: it vanishes when it ends, and nothing ever starts it but this agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainSpec {
    /// Named by id: `honcho-g7`.
    pub name: String,
    /// The guest's uuid.
    pub uuid: Uuid,
    /// For people who look at the host: the guest's name.
    pub title: String,
    /// Our mark.
    pub mark: Mark,
    /// Memory.
    pub memory: Bytes,
    /// Virtual processors.
    pub vcpus: u32,
    /// The root disk, a raw file or block device that holds a filesystem and no partition table.
    pub disk: PathBuf,
    /// Kernel and initrd, read out of that filesystem just before.
    pub boot: BootFiles,
    /// Network cards.
    pub interfaces: Vec<InterfaceSpec>,
    /// Where the serial console is logged, kept across boots.
    pub console_log: PathBuf,
}

/// A network card of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceSpec {
    /// Its id; see [`tap_name`].
    pub id: InterfaceId,
    /// Its hardware address.
    pub mac: Mac,
    /// The bridge it is plugged into; see [`bridge_name`].
    pub bridge: String,
}

/// Name of a guest's domain.
pub fn domain_name(guest: GuestId) -> String {
    format!("honcho-g{guest}")
}

/// Name of an interface's tap. Ids are written in base 36 so that any 40-bit id fits the kernel's 15 bytes.
pub fn tap_name(id: InterfaceId) -> String {
    format!("ht{}", base36(id.0))
}

/// Name of a network's bridge.
pub fn bridge_name(id: NetworkId) -> String {
    format!("hb{}", base36(id.0))
}

/// The id in a tap's name, if it is one of ours.
pub fn interface_of_tap(name: &str) -> Option<InterfaceId> {
    i64::from_str_radix(name.strip_prefix("ht")?, 36).ok().filter(|id| *id >= 0).map(InterfaceId)
}

fn base36(id: i64) -> String {
    let mut n = id.unsigned_abs();
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(n % 36).unwrap_or(0);
        digits.push(char::from_digit(digit, 36).unwrap_or('0'));
        n /= 36;
        if n == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// What a guest boots from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootFiles {
    /// The kernel.
    pub kernel: PathBuf,
    /// Its initrd, if it has one.
    pub initrd: Option<PathBuf>,
}

/// Both directions of a console.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Runs guests.
#[async_trait]
pub trait Hypervisor: Send + Sync {
    /// For people: "libvirt 9.0.0, QEMU 10.0.2".
    async fn describe(&self) -> DriverResult<String>;
    /// Whether KVM carries guests, once a first guest made it necessary to find out.
    fn virtualization(&self) -> Option<Virtualization>;
    /// How busy the machine was of late; `None` while nobody knows. It is asked with each report, so it costs next to nothing.
    fn load(&self) -> Option<LoadObserved> {
        None
    }
    /// What every domain that is alive has taken so far. It is asked once a minute.
    async fn domain_counters(&self) -> DriverResult<Vec<(Uuid, Counters)>> {
        Ok(Vec::new())
    }
    /// What the machine has taken so far, which its kernel tells whether or not anybody answers for the domains.
    fn machine_counters(&self) -> Counters {
        machine::counters()
    }
    /// Every domain, ours or not.
    async fn domains(&self) -> DriverResult<Vec<DomainSeen>>;
    /// Creates and starts a domain. Refused when one of that uuid or name exists.
    async fn create(&self, spec: &DomainSpec) -> DriverResult<()>;
    /// Asks a domain to stop (ACPI) and returns at once. One that is gone is fine.
    async fn ask_to_stop(&self, uuid: Uuid) -> DriverResult<()>;
    /// Ends a domain. One that is gone is fine.
    async fn destroy(&self, uuid: Uuid) -> DriverResult<()>;
    /// Lets a paused domain go on. One that is not paused, or gone, is fine.
    async fn resume(&self, uuid: Uuid) -> DriverResult<()>;
    /// Opens the serial console of a running domain, taking it from whoever had it.
    async fn console(&self, uuid: Uuid) -> DriverResult<Box<dyn Duplex>>;
    /// Changes whenever a domain may have changed: a reason to look again, nothing more.
    fn changes(&self) -> tokio::sync::watch::Receiver<u64>;
}

/// A pool, as found, with what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSeen {
    /// Whether steps may be taken on it.
    pub state: PoolState,
    /// Why not, and what mends it.
    pub problem: Option<String>,
    /// Size of the filesystem.
    pub size: Bytes,
    /// Free space on it.
    pub free: Bytes,
    /// Whether it can reflink.
    pub reflink: bool,
    /// Complete volumes of ours. Half-made ones are no volumes.
    pub volumes: Vec<VolumeSeen>,
}

/// A complete volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSeen {
    /// Its id, out of its name.
    pub id: VolumeId,
    /// Its uuid, out of its name.
    pub uuid: Uuid,
    /// Its size.
    pub size: Bytes,
    /// The public half of the SSH host key that was made with it.
    pub ssh_host_key: Option<String>,
}

/// A complete volume that another host is given.
#[derive(Debug)]
pub struct LeavingVolume {
    /// Its file or device. While that is open, nobody writes it.
    pub file: File,
    /// The public half of the SSH host key that was made with it.
    pub ssh_host_key: Option<String>,
}

/// Who a guest is: put into its filesystem when its volume is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestIdentity {
    /// Host name.
    pub hostname: String,
    /// OpenSSH public keys for root.
    pub ssh_keys: Vec<String>,
    /// Network cards.
    pub interfaces: Vec<honcho_wire::InterfaceWanted>,
}

/// Where blobs come from: the brain, in earnest.
#[async_trait]
pub trait BlobSource: Send + Sync {
    /// Opens a blob from its start. What comes is not trusted: the reader checks the digest.
    async fn open(&self, digest: Digest) -> DriverResult<Box<dyn AsyncRead + Send + Unpin>>;
}

/// Hears how far a step is, in per cent.
pub type ProgressSink = Arc<dyn Fn(&str, Option<u8>) + Send + Sync>;

/// Keeps volumes.
#[async_trait]
pub trait Storage: Send + Sync {
    /// Looks at a pool and lists its volumes. A pool that cannot be used is an answer, not an error.
    async fn look(&self, brain: Uuid, pool: &PoolWanted) -> PoolSeen;
    /// Makes an empty directory a pool: writes the pool's and the brain's uuid into it.
    async fn init_pool(&self, brain: Uuid, pool: &PoolWanted) -> DriverResult<()>;
    /// Whether an image is cached in the pool, ready to be cloned.
    async fn has_image(&self, pool: &PoolWanted, digest: Digest) -> DriverResult<bool>;
    /// Fetches an image into the pool's cache, checking its digest while it streams. Leaves nothing behind on failure.
    async fn fetch_image(
        &self,
        pool: &PoolWanted,
        image: &ImageWanted,
        source: &dyn BlobSource,
        progress: &ProgressSink,
    ) -> DriverResult<()>;
    /// Makes a volume of a cached image: under a temporary name, renamed when complete.
    async fn build_volume(
        &self,
        pool: &PoolWanted,
        volume: &VolumeWanted,
        identity: &GuestIdentity,
        progress: &ProgressSink,
    ) -> DriverResult<()>;
    /// Grows a volume and the filesystem on it, whose guest does not run.
    async fn grow_volume(&self, pool: &PoolWanted, volume: &VolumeWanted) -> DriverResult<()>;
    /// Reads the files on a volume whose guest does not run, as a tarball (tar.zst) without what makes them that guest's, and
    /// sends it on piece by piece. Of a volume that does not change it is the same each time. What is on it is hostile.
    async fn read_files(
        &self,
        _pool: &PoolWanted,
        id: VolumeId,
        _uuid: Uuid,
        _to: tokio::sync::mpsc::Sender<Vec<u8>>,
        _progress: &ProgressSink,
    ) -> DriverResult<Captured> {
        Err(DriverError::Never(format!("its volume {id} is in a storage that holds no files")))
    }
    /// Where a complete volume can be read, to be given to another host. Its guest does not run.
    async fn leaving(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> DriverResult<LeavingVolume>;
    /// The temporary file in which a volume of another host is put together, in a pool that is all right. `None` when it is
    /// complete, and durable so.
    async fn arriving(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> DriverResult<Option<PathBuf>>;
    /// Makes a volume of that file, which is complete and synced.
    async fn arrived(
        &self,
        pool: &PoolWanted,
        id: VolumeId,
        uuid: Uuid,
        ssh_host_key: Option<String>,
    ) -> DriverResult<()>;
    /// Deletes a volume, also one that has half arrived, and what was made beside it. One that is gone is fine.
    async fn delete_volume(&self, pool: &PoolWanted, volume: &VolumeAbsent) -> DriverResult<()>;
    /// Reads kernel and initrd out of a volume whose guest does not run. What is on it is hostile.
    async fn boot_files(&self, pool: &PoolWanted, volume: &VolumeWanted) -> DriverResult<BootFiles>;
    /// The volume's file or device.
    fn disk_path(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> PathBuf;
    /// Where the console log of the guest with this root volume is kept; it goes with the volume.
    fn console_log_path(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> PathBuf;
}

/// A bridge that stands where one of ours would, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeSeen {
    /// The id in its name.
    pub id: NetworkId,
    /// The brain and the network's uuid that it carries; `None` when somebody else made it.
    pub mark: Option<(Uuid, Uuid)>,
    /// Whether address, forwarding and NAT are as the wanted network has them, and no running guest's card that belongs
    /// here is unplugged (false when it is not wanted).
    pub ready: bool,
}

/// Connects guests.
#[async_trait]
pub trait Network: Send + Sync {
    /// Every bridge whose name has the form of ours, looked at against what is wanted, and against the interfaces that
    /// belong in each network.
    async fn look(
        &self,
        brain: Uuid,
        wanted: &[NetworkWanted],
        interfaces: &[(InterfaceId, NetworkId)],
    ) -> DriverResult<Vec<BridgeSeen>>;
    /// Makes or mends a network, and plugs those of its interfaces in that are there and have lost their bridge. Refused
    /// when somebody else holds the bridge's name.
    async fn ensure(
        &self,
        brain: Uuid,
        network: &NetworkWanted,
        interfaces: &[InterfaceId],
    ) -> DriverResult<()>;
    /// Removes a network of ours. One that is gone is fine; one that is not ours is left alone.
    async fn remove(&self, brain: Uuid, id: NetworkId, uuid: Uuid) -> DriverResult<()>;
}

/// Whether a driver's call may hold the thread that it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// It may, for as long as a disk or a daemon hangs: each call gets a thread of its own.
    MayBlock,
    /// It never does, which is what lets many simulated hosts share a few threads.
    NeverBlock,
}

/// Everything a converging agent works with.
#[derive(Clone)]
pub struct Drivers {
    /// How their calls behave.
    pub calls: Calls,
    /// Runs guests.
    pub hypervisor: Arc<dyn Hypervisor>,
    /// Keeps volumes.
    pub storage: Arc<dyn Storage>,
    /// Connects guests.
    pub network: Arc<dyn Network>,
}

/// Pools that are wanted, by id.
pub type Pools<'a> = std::collections::BTreeMap<PoolId, &'a PoolWanted>;

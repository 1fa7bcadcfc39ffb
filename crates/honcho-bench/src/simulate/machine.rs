//! A simulated machine: what a real one has of hypervisor, disks, network and power, in a few kB of memory.
//!
//! It stands behind the same traits as libvirt and the disks of a real host, and does what those promise: a domain is
//! refused while one of its uuid exists, a volume is there whole or not at all, and what an agent wrote down is there
//! after its machine lost power. An agent holds the machine by [`Hands`] of one boot; once that boot is over they do
//! nothing any more, as a program does nothing on a machine that is off.

use super::ledger::{Deed, End, Ledger};
use async_trait::async_trait;
use honcho_agent_lib::drivers::{
    BlobSource, BootFiles, BridgeSeen, Calls, DomainSeen, DomainSpec, DriverError, DriverResult, Drivers,
    Duplex, GuestIdentity, Hypervisor, LeavingVolume, Network, PoolSeen, ProgressSink, Storage, VolumeSeen,
    bridge_name,
};
use honcho_agent_lib::identity::Identity;
use honcho_agent_lib::journal::Journal;
use honcho_agent_lib::memory::Memory;
use honcho_agent_lib::sampling::taken::Counters;
use honcho_agent_lib::simulated::load as made_up;
use honcho_model::{Bytes, Digest, HostId, InterfaceId, Mac, NetworkId, PoolId, VolumeId};
use honcho_wire::{
    Existence, HostObserved, ImageWanted, LoadObserved, Manifest, NetworkKind, NetworkWanted, PoolState,
    PoolWanted, Virtualization, VolumeAbsent, VolumeWanted,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use uuid::Uuid;

/// What every simulated machine says that it is.
const HYPERVISOR: &str = "simulated";

/// What a machine is made of, and how quick it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    /// Processors.
    pub(crate) cpus: u32,
    /// Memory.
    pub(crate) memory: Bytes,
    /// The size of each pool.
    pub(crate) disk: Bytes,
    /// How long each step on it takes, give or take a half.
    pub(crate) step: Duration,
    /// Whether it tells how busy it is.
    pub(crate) tells_load: bool,
}

/// A machine.
pub(crate) struct Machine {
    host: HostId,
    build: Build,
    ledger: Arc<Ledger>,
    changes: watch::Sender<u64>,
    state: Mutex<State>,
}

struct State {
    /// Which boot this is; `None` while it is off.
    boot: Option<Uuid>,
    random: StdRng,
    domains: BTreeMap<Uuid, DomainSeen>,
    /// What they have taken together.
    taken: made_up::OfMachine,
    /// How large each of them is.
    sizes: BTreeMap<Uuid, (u32, Bytes)>,
    pools: BTreeMap<PoolId, Pool>,
    bridges: BTreeMap<NetworkId, Bridge>,
    /// What somebody else's files take of every pool: only makes observations differ.
    others: u64,
    remembered: Remembered,
}

/// What the agent has written down, as bytes: that is what a disk holds.
#[derive(Default)]
struct Remembered {
    journal: Vec<u8>,
    manifest: Vec<u8>,
    former: Vec<u8>,
}

struct Pool {
    uuid: Uuid,
    volumes: BTreeMap<Uuid, VolumeSeen>,
    images: BTreeSet<Digest>,
}

struct Bridge {
    mark: (Uuid, Uuid),
    kind: NetworkKind,
}

/// An agent's hold on a machine, for one boot of it.
#[derive(Clone)]
struct Hands {
    machine: Arc<Machine>,
    boot: Uuid,
}

fn off() -> DriverError {
    DriverError::Later("the simulated machine is off".to_owned())
}

impl Machine {
    /// A machine that is off and has never been on.
    pub(crate) fn new(host: HostId, build: Build, ledger: Arc<Ledger>, seed: u64) -> Arc<Self> {
        let state = State {
            boot: None,
            random: StdRng::seed_from_u64(seed ^ host.0.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            domains: BTreeMap::new(),
            taken: made_up::OfMachine::default(),
            sizes: BTreeMap::new(),
            pools: BTreeMap::new(),
            bridges: BTreeMap::new(),
            others: 0,
            remembered: Remembered::default(),
        };
        Arc::new(Machine { host, build, ledger, changes: watch::channel(0).0, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Switches it on: gives the drivers, what the agent had written down, and the boot's id.
    pub(crate) fn power_on(self: &Arc<Self>) -> io::Result<PoweredOn> {
        let mut state = self.lock();
        let boot = Uuid::from_u128(state.random.random());
        state.boot = Some(boot);
        self.ledger.note(self.host, Deed::PoweredOn);
        let mut journal: Journal = read(&state.remembered.journal)?.unwrap_or_default();
        journal.manifest = read(&state.remembered.manifest)?;
        journal.former = read(&state.remembered.former)?;
        let hands = Arc::new(Hands { machine: Arc::clone(self), boot });
        let drivers = Drivers {
            calls: Calls::NeverBlock,
            hypervisor: hands.clone(),
            storage: hands.clone(),
            network: hands.clone(),
        };
        Ok(PoweredOn { drivers, memory: hands, journal, boot })
    }

    /// Pulls its plug. Whatever ran ends at once; what is on its disks stays.
    pub(crate) fn power_off(&self) {
        let mut state = self.lock();
        if state.boot.take().is_none() {
            return;
        }
        for domain in std::mem::take(&mut state.domains).into_values() {
            if let Some(mark) = domain.mark {
                self.ledger.note(self.host, Deed::Ended { guest: mark.guest, why: End::PowerLost });
            }
        }
        // Bridges are the kernel's, and go with it.
        state.bridges.clear();
        self.ledger.note(self.host, Deed::PoweredOff);
    }

    /// Somebody else fills or empties its pools a little, so that its next report says something new.
    pub(crate) fn stir(&self) {
        let mut state = self.lock();
        state.others = if state.others == 0 { 1 << 30 } else { 0 };
        drop(state);
        self.changed();
    }

    /// The machine as reports tell of it.
    pub(crate) fn described(&self) -> HostObserved {
        HostObserved {
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: "simulated".to_owned(),
            cpus: self.build.cpus,
            memory: self.build.memory,
            hypervisor: HYPERVISOR.to_owned(),
            ..HostObserved::default()
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// A machine that was switched on.
pub(crate) struct PoweredOn {
    /// What its agent works with.
    pub(crate) drivers: Drivers,
    /// Where its agent writes down what it must not forget.
    pub(crate) memory: Arc<dyn Memory>,
    /// What it had written down.
    pub(crate) journal: Journal,
    /// Which boot this is.
    pub(crate) boot: Uuid,
}

fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> io::Result<Option<T>> {
    if bytes.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_slice(bytes)?)) }
}

impl Hands {
    /// The machine, if this boot of it goes on.
    fn hold(&self) -> DriverResult<MutexGuard<'_, State>> {
        let state = self.machine.lock();
        if state.boot == Some(self.boot) { Ok(state) } else { Err(off()) }
    }

    fn hold_disk(&self) -> io::Result<MutexGuard<'_, State>> {
        self.hold().map_err(io::Error::other)
    }

    /// What its domains have taken.
    fn counted(&self) -> DriverResult<Vec<(Uuid, Counters)>> {
        if !self.machine.build.tells_load {
            return Ok(Vec::new());
        }
        // Here the real world comes in.
        #[allow(clippy::disallowed_methods)]
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let state = self.hold()?;
        let of = |domain: &DomainSeen| {
            let (vcpus, memory) = *state.sizes.get(&domain.uuid)?;
            Some((domain.uuid, made_up::counters(domain.mark?.guest, vcpus, memory, now)))
        };
        Ok(state.domains.values().filter_map(of).collect())
    }

    /// Takes about half of the time that a step takes.
    async fn half_a_step(&self) -> DriverResult<()> {
        let stray = self.hold()?.random.random_range(0.5..=1.5);
        tokio::time::sleep((self.machine.build.step / 2).mul_f64(stray)).await;
        Ok(())
    }

    fn end(&self, uuid: Uuid, why: End) -> DriverResult<()> {
        let mut state = self.hold()?;
        if let Some(mark) = state.domains.remove(&uuid).and_then(|domain| domain.mark) {
            self.machine.ledger.note(self.machine.host, Deed::Ended { guest: mark.guest, why });
        }
        drop(state);
        self.machine.changed();
        Ok(())
    }

    fn note(&self, deed: Deed) {
        self.machine.ledger.note(self.machine.host, deed);
    }
}

impl State {
    fn pool(&mut self, wanted: &PoolWanted) -> DriverResult<&mut Pool> {
        match self.pools.get_mut(&wanted.id) {
            Some(pool) if pool.uuid == wanted.uuid => Ok(pool),
            _ => Err(DriverError::Later(format!("there is no pool {} on this machine", wanted.id))),
        }
    }
}

#[async_trait]
impl Hypervisor for Hands {
    async fn describe(&self) -> DriverResult<String> {
        Ok(HYPERVISOR.to_owned())
    }

    fn virtualization(&self) -> Option<Virtualization> {
        Some(Virtualization { kvm: false, reason: "guests are simulated".to_owned() })
    }

    async fn domains(&self) -> DriverResult<Vec<DomainSeen>> {
        Ok(self.hold()?.domains.values().cloned().collect())
    }

    async fn create(&self, spec: &DomainSpec) -> DriverResult<()> {
        self.half_a_step().await?;
        {
            let mut state = self.hold()?;
            if state.domains.contains_key(&spec.uuid) {
                return Err(DriverError::Later(format!("a domain with the uuid of {} exists", spec.name)));
            }
            let domain = DomainSeen {
                name: spec.name.clone(),
                uuid: spec.uuid,
                alive: true,
                mark: Some(spec.mark),
                interfaces: spec.interfaces.iter().map(|interface| interface.id).collect(),
                stuck: None,
            };
            state.domains.insert(spec.uuid, domain);
            state.sizes.insert(spec.uuid, (spec.vcpus, spec.memory));
            let macs: Vec<Mac> = spec.interfaces.iter().map(|interface| interface.mac).collect();
            let (guest, epoch, boots) = (spec.mark.guest, spec.mark.epoch, spec.mark.boots);
            self.note(Deed::Started { guest, epoch, boots, memory: spec.memory, macs });
        }
        self.machine.changed();
        self.half_a_step().await
    }

    async fn ask_to_stop(&self, uuid: Uuid) -> DriverResult<()> {
        self.half_a_step().await?;
        let hands = self.clone();
        tokio::spawn(async move {
            // A machine that is off by then has ended everything itself.
            if hands.half_a_step().await.is_ok() {
                let _off = hands.end(uuid, End::Asked);
            }
        });
        Ok(())
    }

    async fn destroy(&self, uuid: Uuid) -> DriverResult<()> {
        self.half_a_step().await?;
        self.end(uuid, End::Destroyed)
    }

    async fn resume(&self, _: Uuid) -> DriverResult<()> {
        self.half_a_step().await
    }

    async fn console(&self, uuid: Uuid) -> DriverResult<Box<dyn Duplex>> {
        let name = self.hold()?.domains.get(&uuid).map(|domain| domain.name.clone());
        let name = name.ok_or_else(|| DriverError::Later("the guest does not run".to_owned()))?;
        Ok(honcho_agent_lib::simulated::console(&name))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.machine.changes.subscribe()
    }

    async fn domain_counters(&self) -> DriverResult<Vec<(Uuid, Counters)>> {
        self.counted()
    }

    fn machine_counters(&self) -> Counters {
        if !self.machine.build.tells_load {
            return Counters::default();
        }
        let counted = self.counted().and_then(|domains| Ok(self.hold()?.taken.counted(&domains)));
        counted.unwrap_or_default()
    }

    fn load(&self) -> Option<LoadObserved> {
        if !self.machine.build.tells_load {
            return None;
        }
        let mut state = self.hold().ok()?;
        // Each guest takes about two fifths of a processor, now a little more and now a little less.
        let taken = u32::try_from(state.domains.len()).unwrap_or(u32::MAX).saturating_mul(40);
        let stray = state.random.random_range(0..9);
        let busy = (taken / self.machine.build.cpus.max(1)).saturating_add(stray).min(97);
        Some(LoadObserved {
            busy_percent: u8::try_from(busy).unwrap_or(97),
            io_wait_percent: u8::try_from(stray / 3).unwrap_or(0),
            window_seconds: 30,
        })
    }
}

fn unusable(state: PoolState, problem: Option<String>) -> PoolSeen {
    PoolSeen { state, problem, size: Bytes(0), free: Bytes(0), reflink: false, volumes: Vec::new() }
}

/// The agents here listen to no others, so that the brain refuses to move a guest away.
fn stays() -> DriverError {
    DriverError::Never("the disks of these machines are in memory, and move nowhere".to_owned())
}

#[async_trait]
impl Storage for Hands {
    async fn look(&self, _: Uuid, wanted: &PoolWanted) -> PoolSeen {
        let mut state = match self.hold() {
            Ok(state) => state,
            Err(error) => return unusable(PoolState::Wrong, Some(error.to_string())),
        };
        let others = state.others;
        if !state.pools.contains_key(&wanted.id) && wanted.existence == Existence::Make {
            return unusable(PoolState::Blank, None);
        }
        match state.pool(wanted) {
            Ok(pool) => {
                let volumes: Vec<VolumeSeen> = pool.volumes.values().cloned().collect();
                let used: u64 = volumes.iter().map(|volume| volume.size.0).sum();
                let size = self.machine.build.disk;
                let free = Bytes(size.0.saturating_sub(used + others));
                PoolSeen { state: PoolState::Ready, problem: None, size, free, reflink: true, volumes }
            }
            Err(error) => unusable(PoolState::Wrong, Some(error.to_string())),
        }
    }

    async fn init_pool(&self, _: Uuid, wanted: &PoolWanted) -> DriverResult<()> {
        self.half_a_step().await?;
        let pool = Pool { uuid: wanted.uuid, volumes: BTreeMap::new(), images: BTreeSet::new() };
        self.hold()?.pools.entry(wanted.id).or_insert(pool);
        self.half_a_step().await
    }

    async fn has_image(&self, pool: &PoolWanted, digest: Digest) -> DriverResult<bool> {
        Ok(self.hold()?.pool(pool)?.images.contains(&digest))
    }

    async fn fetch_image(
        &self,
        pool: &PoolWanted,
        image: &ImageWanted,
        source: &dyn BlobSource,
        _: &ProgressSink,
    ) -> DriverResult<()> {
        let mut blob = source.open(image.digest).await?;
        let (mut hash, mut buffer) = (Sha256::new(), [0; 4096]);
        loop {
            let read = blob.read(&mut buffer).await;
            let read = read.map_err(|error| DriverError::Later(format!("the image broke off: {error}")))?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
        }
        let found = Digest(hash.finalize().into());
        if found != image.digest {
            return Err(DriverError::Later(format!("the image should be {} and is {found}", image.digest)));
        }
        self.hold()?.pool(pool)?.images.insert(image.digest);
        Ok(())
    }

    async fn build_volume(
        &self,
        pool: &PoolWanted,
        volume: &VolumeWanted,
        identity: &GuestIdentity,
        progress: &ProgressSink,
    ) -> DriverResult<()> {
        progress("build_volume", Some(25));
        self.half_a_step().await?;
        {
            let mut state = self.hold()?;
            let pool = state.pool(pool)?;
            if pool.volumes.contains_key(&volume.uuid) {
                return Ok(());
            }
            if !pool.images.contains(&volume.image.digest) {
                return Err(DriverError::Later(format!("image {} is not in the cache", volume.image.digest)));
            }
            let ssh_host_key = Some(format!("ssh-ed25519 simulated-{}", volume.uuid.simple()));
            let made = VolumeSeen { id: volume.id, uuid: volume.uuid, size: volume.size, ssh_host_key };
            pool.volumes.insert(volume.uuid, made);
            let addresses = identity.interfaces.iter().flat_map(|interface| {
                interface.addresses.iter().map(|address| (interface.network, address.address))
            });
            self.note(Deed::Made {
                volume: volume.uuid,
                name: identity.hostname.clone(),
                size: volume.size,
                addresses: addresses.collect(),
            });
        }
        self.half_a_step().await
    }

    async fn grow_volume(&self, pool: &PoolWanted, volume: &VolumeWanted) -> DriverResult<()> {
        self.half_a_step().await?;
        let mut state = self.hold()?;
        let Some(there) = state.pool(pool)?.volumes.get_mut(&volume.uuid) else {
            return Err(DriverError::Later(format!("there is no volume {}", volume.uuid)));
        };
        if there.size < volume.size {
            there.size = volume.size;
            self.note(Deed::Grown { volume: volume.uuid, size: volume.size });
        }
        Ok(())
    }

    async fn leaving(&self, _: &PoolWanted, _: VolumeId, _: Uuid) -> DriverResult<LeavingVolume> {
        Err(stays())
    }

    async fn arriving(&self, _: &PoolWanted, _: VolumeId, _: Uuid) -> DriverResult<Option<PathBuf>> {
        Err(stays())
    }

    async fn arrived(&self, _: &PoolWanted, _: VolumeId, _: Uuid, _: Option<String>) -> DriverResult<()> {
        Err(stays())
    }

    async fn delete_volume(&self, pool: &PoolWanted, volume: &VolumeAbsent) -> DriverResult<()> {
        self.half_a_step().await?;
        let mut state = self.hold()?;
        if state.pool(pool)?.volumes.remove(&volume.uuid).is_some() {
            self.note(Deed::Deleted { volume: volume.uuid });
        }
        Ok(())
    }

    async fn boot_files(&self, pool: &PoolWanted, volume: &VolumeWanted) -> DriverResult<BootFiles> {
        if self.hold()?.pool(pool)?.volumes.contains_key(&volume.uuid) {
            Ok(BootFiles { kernel: PathBuf::from("/simulated/vmlinuz"), initrd: None })
        } else {
            Err(DriverError::Later(format!("there is no volume {}", volume.uuid)))
        }
    }

    fn disk_path(&self, pool: &PoolWanted, id: VolumeId, _: Uuid) -> PathBuf {
        PathBuf::from(format!("/simulated/{}/v{id}", pool.id))
    }

    fn console_log_path(&self, pool: &PoolWanted, id: VolumeId, _: Uuid) -> PathBuf {
        PathBuf::from(format!("/simulated/{}/v{id}.log", pool.id))
    }
}

#[async_trait]
impl Network for Hands {
    async fn look(
        &self,
        brain: Uuid,
        wanted: &[NetworkWanted],
        _: &[(InterfaceId, NetworkId)],
    ) -> DriverResult<Vec<BridgeSeen>> {
        let state = self.hold()?;
        let seen = |(id, bridge): (&NetworkId, &Bridge)| {
            let fits = |network: &&NetworkWanted| {
                network.id == *id && bridge.mark == (brain, network.uuid) && bridge.kind == network.kind
            };
            BridgeSeen {
                id: *id,
                mark: Some(bridge.mark),
                ready: wanted.iter().any(|network| fits(&network)),
            }
        };
        Ok(state.bridges.iter().map(seen).collect())
    }

    async fn ensure(&self, brain: Uuid, network: &NetworkWanted, _: &[InterfaceId]) -> DriverResult<()> {
        self.half_a_step().await?;
        let mut state = self.hold()?;
        let mark = (brain, network.uuid);
        if state.bridges.get(&network.id).is_some_and(|bridge| bridge.mark != mark) {
            return Err(DriverError::Later(format!("{} is somebody else's", bridge_name(network.id))));
        }
        state.bridges.insert(network.id, Bridge { mark, kind: network.kind.clone() });
        Ok(())
    }

    async fn remove(&self, brain: Uuid, id: NetworkId, uuid: Uuid) -> DriverResult<()> {
        self.half_a_step().await?;
        let mut state = self.hold()?;
        if state.bridges.get(&id).is_some_and(|bridge| bridge.mark == (brain, uuid)) {
            state.bridges.remove(&id);
        }
        Ok(())
    }
}

impl Memory for Hands {
    fn keep(&self, journal: &Journal) -> io::Result<()> {
        let bytes = serde_json::to_vec(journal)?;
        self.hold_disk()?.remembered.journal = bytes;
        Ok(())
    }

    fn keep_manifest(&self, manifest: &Manifest) -> io::Result<()> {
        let bytes = serde_json::to_vec(manifest)?;
        self.hold_disk()?.remembered.manifest = bytes;
        Ok(())
    }

    fn keep_former(&self, manifest: &Manifest) -> io::Result<()> {
        let bytes = serde_json::to_vec(manifest)?;
        self.hold_disk()?.remembered.former = bytes;
        Ok(())
    }

    fn forget_former(&self) -> io::Result<()> {
        self.hold_disk()?.remembered.former = Vec::new();
        Ok(())
    }

    fn keep_identity(&self, _: &Identity) -> anyhow::Result<()> {
        anyhow::bail!("certificates last for months, and simulations do not: none is renewed")
    }
}

//! A pool whose disk hangs.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::drivers::{
    BlobSource, BootFiles, DriverResult, GuestIdentity, LeavingVolume, ProgressSink, Storage,
};
use crate::simulated;
use honcho_model::VolumeId;
use honcho_wire::{ImageWanted, VolumeAbsent, VolumeWanted};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

const HANGS: PoolId = PoolId(1);

/// Blocks its caller's thread, as a disk does, until the sender of `disk` is dropped.
struct HangingStorage {
    simulated: Arc<dyn Storage>,
    disk: Mutex<mpsc::Receiver<()>>,
    looks: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl Storage for HangingStorage {
    async fn look(&self, brain: Uuid, pool: &PoolWanted) -> PoolSeen {
        if pool.id == HANGS {
            self.looks.fetch_add(1, Ordering::SeqCst);
            assert!(self.disk.lock().unwrap().recv().is_err());
        }
        self.simulated.look(brain, pool).await
    }
    async fn init_pool(&self, brain: Uuid, pool: &PoolWanted) -> DriverResult<()> {
        self.simulated.init_pool(brain, pool).await
    }
    async fn has_image(&self, pool: &PoolWanted, digest: Digest) -> DriverResult<bool> {
        self.simulated.has_image(pool, digest).await
    }
    async fn fetch_image(
        &self,
        pool: &PoolWanted,
        image: &ImageWanted,
        source: &dyn BlobSource,
        progress: &ProgressSink,
    ) -> DriverResult<()> {
        self.simulated.fetch_image(pool, image, source, progress).await
    }
    async fn build_volume(
        &self,
        pool: &PoolWanted,
        volume: &VolumeWanted,
        identity: &GuestIdentity,
        progress: &ProgressSink,
    ) -> DriverResult<()> {
        self.simulated.build_volume(pool, volume, identity, progress).await
    }
    async fn grow_volume(&self, pool: &PoolWanted, volume: &VolumeWanted) -> DriverResult<()> {
        self.simulated.grow_volume(pool, volume).await
    }
    async fn leaving(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> DriverResult<LeavingVolume> {
        self.simulated.leaving(pool, id, uuid).await
    }
    async fn arriving(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> DriverResult<Option<PathBuf>> {
        self.simulated.arriving(pool, id, uuid).await
    }
    async fn arrived(
        &self,
        pool: &PoolWanted,
        id: VolumeId,
        uuid: Uuid,
        ssh_host_key: Option<String>,
    ) -> DriverResult<()> {
        self.simulated.arrived(pool, id, uuid, ssh_host_key).await
    }
    async fn delete_volume(&self, pool: &PoolWanted, volume: &VolumeAbsent) -> DriverResult<()> {
        self.simulated.delete_volume(pool, volume).await
    }
    async fn boot_files(&self, pool: &PoolWanted, volume: &VolumeWanted) -> DriverResult<BootFiles> {
        self.simulated.boot_files(pool, volume).await
    }
    fn disk_path(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> PathBuf {
        self.simulated.disk_path(pool, id, uuid)
    }
    fn console_log_path(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> PathBuf {
        self.simulated.console_log_path(pool, id, uuid)
    }
}

fn manifest() -> Manifest {
    let pool = |id: i64| {
        json!({"id": id, "uuid": Uuid::from_u128(id.unsigned_abs().into()), "generation": 1, "existence": "make",
            "kind": {"type": "directory", "path": "/srv/pool"}})
    };
    serde_json::from_value(json!({
        "protocol": 1, "brain": Uuid::from_u128(9), "incarnation": 1, "generation": 1, "host": 7, "frozen": null,
        "pools": [pool(1), pool(2)], "networks": [], "guests": [], "arrivals": [], "absent": [],
    }))
    .unwrap()
}

/// One worker, so that a driver that blocked it would be noticed.
#[tokio::test]
async fn a_pool_that_hangs_is_said_and_holds_up_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let mut drivers = simulated::open(directory.path()).unwrap();
    let (hangs, disk) = mpsc::channel();
    let looks = Arc::new(AtomicUsize::new(0));
    let storage = HangingStorage {
        simulated: Arc::clone(&drivers.storage),
        disk: Mutex::new(disk),
        looks: Arc::clone(&looks),
    };
    drivers.storage = Arc::new(storage);
    let manifest = manifest();
    for pool in &manifest.pools {
        drivers.storage.init_pool(manifest.brain, pool).await.unwrap();
    }
    let mut lookout = Lookout::with_patience(drivers, Duration::from_millis(300));

    for _ in 0..3 {
        let observed = lookout.look("boot", Some(&manifest)).await;
        let seen = &observed.pools[&HANGS];
        assert_eq!(seen.state, PoolState::Wrong);
        assert!(seen.problem.as_ref().unwrap().contains("does not answer"), "{seen:?}");
        assert_eq!(observed.pools[&PoolId(2)].state, PoolState::Ready);
        assert_eq!(observed.domains, Ok(Vec::new()));
    }
    assert_eq!(looks.load(Ordering::SeqCst), 1, "no second look while the first hangs");
    drop(hangs);
    let mut tries = 0;
    while lookout.look("boot", Some(&manifest)).await.pools[&HANGS].state != PoolState::Ready {
        tries += 1;
        assert!(tries < 100, "it answers again, and that is not seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

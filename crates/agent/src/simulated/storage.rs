//! Pools as directories, volumes as small files that say how large they would be.

use super::settings::{SettingsFile, later};
use crate::drivers::{
    BlobSource, BootFiles, DriverError, DriverResult, GuestIdentity, LeavingVolume, PoolSeen, ProgressSink,
    Storage, VolumeSeen,
};
use crate::durable;
use async_trait::async_trait;
use honcho_model::{Bytes, Digest, VolumeId};
use honcho_wire::{Existence, ImageWanted, PoolState, PoolWanted, VolumeAbsent, VolumeWanted};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use tokio::io::AsyncReadExt as _;
use uuid::Uuid;

/// Every simulated pool is so large.
const SIZE: Bytes = Bytes::gib(1024);

#[derive(Serialize, Deserialize)]
struct PoolFile {
    uuid: Uuid,
    brain: Uuid,
}

#[derive(Serialize, Deserialize)]
struct VolumeFile {
    id: VolumeId,
    uuid: Uuid,
    size: Bytes,
    ssh_host_key: String,
}

/// Pools as directories.
pub(super) struct SimulatedStorage {
    pools: PathBuf,
    settings: SettingsFile,
}

impl SimulatedStorage {
    pub(super) fn new(directory: &Path, settings: SettingsFile) -> Self {
        SimulatedStorage { pools: directory.join("pools"), settings }
    }

    fn directory(&self, pool: &PoolWanted) -> PathBuf {
        self.pools.join(pool.id.to_string())
    }

    fn volume(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> PathBuf {
        self.directory(pool).join(format!("v{id}-{uuid}.json"))
    }

    fn image(&self, pool: &PoolWanted, digest: Digest) -> PathBuf {
        self.directory(pool).join("images").join(digest.to_string())
    }

    /// Checked before every step, as the real one does.
    fn check(&self, pool: &PoolWanted) -> DriverResult<()> {
        let path = self.directory(pool).join("pool.json");
        let contents = durable::read(&path).map_err(later(&path))?;
        let file: Option<PoolFile> = contents.and_then(|contents| serde_json::from_slice(&contents).ok());
        match file {
            Some(file) if file.uuid == pool.uuid => Ok(()),
            _ => {
                Err(DriverError::Later(format!("{} is not pool {}", self.directory(pool).display(), pool.id)))
            }
        }
    }

    fn volumes(&self, pool: &PoolWanted) -> std::io::Result<Vec<VolumeSeen>> {
        let mut volumes = Vec::new();
        for entry in std::fs::read_dir(self.directory(pool))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !name.starts_with('v') || path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let Some(contents) = durable::read(&path)? else { continue };
            let file: VolumeFile = serde_json::from_slice(&contents)?;
            let ssh_host_key = Some(file.ssh_host_key);
            volumes.push(VolumeSeen { id: file.id, uuid: file.uuid, size: file.size, ssh_host_key });
        }
        volumes.sort_by_key(|volume| volume.id);
        Ok(volumes)
    }
}

fn unusable(problem: String) -> PoolSeen {
    let nothing = Bytes(0);
    PoolSeen {
        state: PoolState::Wrong,
        problem: Some(problem),
        size: nothing,
        free: nothing,
        reflink: false,
        volumes: Vec::new(),
    }
}

#[async_trait]
impl Storage for SimulatedStorage {
    async fn look(&self, _: Uuid, pool: &PoolWanted) -> PoolSeen {
        let directory = self.directory(pool);
        if !directory.exists() {
            if pool.existence == Existence::Make {
                return PoolSeen { state: PoolState::Blank, problem: None, ..unusable(String::new()) };
            }
            return unusable(format!("{} is not there: is it mounted?", directory.display()));
        }
        if let Err(error) = self.check(pool) {
            let empty = std::fs::read_dir(&directory).is_ok_and(|mut entries| entries.next().is_none());
            let state = if empty { PoolState::Blank } else { PoolState::Wrong };
            return PoolSeen { state, ..unusable(error.to_string()) };
        }
        match self.volumes(pool) {
            Ok(volumes) => {
                let used = volumes.iter().map(|volume| volume.size.0).sum();
                let free = Bytes(SIZE.0.saturating_sub(used));
                PoolSeen { state: PoolState::Ready, problem: None, size: SIZE, free, reflink: true, volumes }
            }
            Err(error) => unusable(format!("{}: {error}", directory.display())),
        }
    }

    async fn init_pool(&self, brain: Uuid, pool: &PoolWanted) -> DriverResult<()> {
        self.settings.first_half("init_pool").await?;
        self.settings.may_fail("init_pool")?;
        let directory = self.directory(pool);
        std::fs::create_dir_all(&directory).map_err(later(&directory))?;
        let file = PoolFile { uuid: pool.uuid, brain };
        let contents = serde_json::to_vec(&file).map_err(|error| later(&directory)(error.into()))?;
        durable::replace(&directory.join("pool.json"), &contents).map_err(later(&directory))?;
        let images = directory.join("images");
        std::fs::create_dir_all(&images).map_err(later(&images))?;
        self.settings.second_half("init_pool").await
    }

    async fn has_image(&self, pool: &PoolWanted, digest: Digest) -> DriverResult<bool> {
        Ok(self.image(pool, digest).exists())
    }

    async fn fetch_image(
        &self,
        pool: &PoolWanted,
        image: &ImageWanted,
        source: &dyn BlobSource,
        progress: &ProgressSink,
    ) -> DriverResult<()> {
        self.settings.first_half("fetch_image").await?;
        self.settings.may_fail("fetch_image")?;
        self.check(pool)?;
        let path = self.image(pool, image.digest);
        let mut blob = source.open(image.digest).await?;
        let (mut hash, mut count, mut buffer) = (Sha256::new(), 0_u64, vec![0; 64 * 1024]);
        loop {
            let read = blob.read(&mut buffer).await;
            let read = read.map_err(|error| DriverError::Later(format!("the image broke off: {error}")))?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            count += read as u64;
            let percent = count.saturating_mul(100).checked_div(image.compressed.0).unwrap_or(100).min(100);
            progress("fetch_image", u8::try_from(percent).ok());
        }
        let found = Digest(hash.finalize().into());
        if found != image.digest {
            return Err(DriverError::Later(format!(
                "the image should have digest {} and has {found}",
                image.digest
            )));
        }
        durable::replace(&path, b"simulated\n").map_err(later(&path))?;
        self.settings.second_half("fetch_image").await
    }

    async fn build_volume(
        &self,
        pool: &PoolWanted,
        volume: &VolumeWanted,
        identity: &GuestIdentity,
        progress: &ProgressSink,
    ) -> DriverResult<()> {
        self.check(pool)?;
        let path = self.volume(pool, volume.id, volume.uuid);
        let partial = path.with_extension("partial");
        if path.exists() {
            return Ok(());
        }
        std::fs::write(&partial, b"half-made\n").map_err(later(&partial))?;
        progress("build_volume", Some(25));
        self.settings.first_half("build_volume").await?;
        self.settings.may_fail("build_volume").inspect_err(|_| drop(std::fs::remove_file(&partial)))?;
        if !self.image(pool, volume.image.digest).exists() {
            return Err(DriverError::Later(format!("image {} is not in the cache", volume.image.digest)));
        }
        let ssh_host_key = format!("ssh-ed25519 {} {}", volume.uuid.simple(), identity.hostname);
        let file = VolumeFile { id: volume.id, uuid: volume.uuid, size: volume.size, ssh_host_key };
        let contents = serde_json::to_vec(&file).map_err(|error| later(&path)(error.into()))?;
        durable::replace(&partial, &contents).map_err(later(&partial))?;
        std::fs::rename(&partial, &path).map_err(later(&path))?;
        durable::sync_directory_of(&path).map_err(later(&path))?;
        progress("build_volume", Some(90));
        self.settings.second_half("build_volume").await
    }

    async fn grow_volume(&self, pool: &PoolWanted, volume: &VolumeWanted) -> DriverResult<()> {
        self.settings.first_half("grow_volume").await?;
        self.settings.may_fail("grow_volume")?;
        self.check(pool)?;
        let path = self.volume(pool, volume.id, volume.uuid);
        let contents = std::fs::read(&path).map_err(later(&path))?;
        let mut file: VolumeFile =
            serde_json::from_slice(&contents).map_err(|error| later(&path)(error.into()))?;
        file.size = file.size.max(volume.size);
        let contents = serde_json::to_vec(&file).map_err(|error| later(&path)(error.into()))?;
        durable::replace(&path, &contents).map_err(later(&path))?;
        self.settings.second_half("grow_volume").await
    }

    async fn leaving(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> DriverResult<LeavingVolume> {
        self.check(pool)?;
        // What is in the file says all of it, the key too.
        let path = self.volume(pool, id, uuid);
        let file = std::fs::File::open(&path).map_err(later(&path))?;
        Ok(LeavingVolume { file, ssh_host_key: None })
    }

    async fn arriving(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> DriverResult<Option<PathBuf>> {
        self.check(pool)?;
        let path = self.volume(pool, id, uuid);
        if path.exists() {
            durable::sync_directory_of(&path).map_err(later(&path))?;
            return Ok(None);
        }
        self.settings.first_half("fetch_volume").await?;
        self.settings.may_fail("fetch_volume")?;
        Ok(Some(path.with_extension("arriving")))
    }

    async fn arrived(
        &self,
        pool: &PoolWanted,
        id: VolumeId,
        uuid: Uuid,
        _: Option<String>,
    ) -> DriverResult<()> {
        self.settings.second_half("fetch_volume").await?;
        let path = self.volume(pool, id, uuid);
        let half = path.with_extension("arriving");
        std::fs::rename(&half, &path).map_err(later(&half))?;
        let note = path.with_extension("arriving.note");
        std::fs::remove_file(&note).map_err(later(&note))?;
        durable::sync_directory_of(&path).map_err(later(&path))
    }

    async fn delete_volume(&self, pool: &PoolWanted, volume: &VolumeAbsent) -> DriverResult<()> {
        self.settings.first_half("delete_volumes").await?;
        self.settings.may_fail("delete_volumes")?;
        self.check(pool)?;
        let path = self.volume(pool, volume.id, volume.uuid);
        let beside = [
            "json.new",
            "partial",
            "partial.new",
            "console.log",
            "arriving",
            "arriving.note",
            "arriving.note.new",
        ]
        .map(|what| path.with_extension(what));
        for path in beside.into_iter().chain([path]) {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(later(&path)(error));
                }
                _ => {}
            }
        }
        self.settings.second_half("delete_volumes").await
    }

    async fn boot_files(&self, pool: &PoolWanted, volume: &VolumeWanted) -> DriverResult<BootFiles> {
        self.check(pool)?;
        let path = self.volume(pool, volume.id, volume.uuid);
        if path.exists() {
            Ok(BootFiles { kernel: path.clone(), initrd: None })
        } else {
            Err(DriverError::Later(format!("{} is not there", path.display())))
        }
    }

    fn disk_path(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> PathBuf {
        self.volume(pool, id, uuid)
    }

    fn console_log_path(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> PathBuf {
        self.volume(pool, id, uuid).with_extension("console.log")
    }
}

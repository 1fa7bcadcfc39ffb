//! Directory pools: raw files in a directory, reflinked where the filesystem can.
//!
//! ```text
//!   fetch_image    blob -> SHA-256 -> zstd -> mke2fs          -> images/DIGEST.ext4
//!   build_volume   images/DIGEST.ext4 -> clone, grow, seed    -> volumes/v7-UUID.raw
//! ```
//!
//! Everything is made under a temporary name and renamed when complete; what a killed agent left is deleted by the next
//! step. Every step looks at the pool's marker first.

use super::layout::{
    ARRIVING, ARRIVING_NOTE, ARRIVING_NOTE_NEW, CONSOLE_LOG, GROWING, HOST_KEY, Layout, RAW, image_name,
    stem, volume_of_name,
};
use super::{boot_files, capture, clone, grow, identity, image_cache, lock, marker};
use crate::drivers::{
    BlobSource, BootFiles, DriverError, DriverResult, GuestIdentity, LeavingVolume, PoolSeen, ProgressSink,
    Storage, VolumeSeen,
};
use async_trait::async_trait;
use honcho_images::import::disk::Captured;
use honcho_images::partial::{Partial, PartialDirectory, remove_stale, sync_directory, write_whole};
use honcho_images::tool::{DEBUGFS, RESIZE2FS, Sandbox};
use honcho_images::unpack::{Expected, UnpackError, unpack};
use honcho_model::{Bytes, Digest, VolumeId};
use honcho_wire::{ImageWanted, PoolState, PoolWanted, VolumeAbsent, VolumeWanted};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// The driver for pools that are directories.
#[derive(Debug, Default)]
pub struct DirectoryStorage {
    /// What guests are told to ask for names; this host's own when `None`.
    nameservers: Option<Vec<IpAddr>>,
    /// Whether a pool can reflink: found out once, for it never changes while its disk stays.
    reflink: Arc<Mutex<BTreeMap<Uuid, bool>>>,
    /// Pairs of kernel and initrd are shared by guests: one at a time adds or forgets some.
    boot: Arc<Mutex<()>>,
    /// Volumes whose kernels are being read. A reading that has been given up goes on until its own limits end it.
    reading: Arc<Mutex<BTreeSet<Uuid>>>,
}

/// Each of these takes milliseconds on a filesystem that was just made.
const QUICK: Duration = Duration::from_mins(5);

/// What a new volume leaves free for the growth of those that are there: a twentieth of the pool, and no more than this.
const LARGEST_RESERVE: Bytes = Bytes::mib(256);

/// Somewhat longer than the reading gives itself: what gets past its own limits is left behind.
const LONGEST_BOOT_READ: Duration = Duration::from_mins(2);

impl DirectoryStorage {
    /// A driver whose guests use the host's name servers.
    pub fn new() -> Self {
        DirectoryStorage::default()
    }

    /// A driver whose guests use these name servers.
    pub fn with_nameservers(nameservers: Vec<IpAddr>) -> Self {
        DirectoryStorage { nameservers: Some(nameservers), ..DirectoryStorage::default() }
    }

    fn fresh(&self) -> DriverResult<identity::Fresh> {
        let nameservers = self.nameservers.clone().unwrap_or_else(|| {
            // A host without resolv.conf has no name servers to pass on, which `nameservers` answers.
            identity::nameservers(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
        });
        let host_key =
            ssh_key::PrivateKey::random(&mut ssh_key::rand_core::OsRng, ssh_key::Algorithm::Ed25519)
                .map_err(|error| DriverError::Later(format!("making an SSH host key: {error}")))?;
        Ok(identity::Fresh { host_key, machine_id: Uuid::new_v4().simple().to_string(), nameservers })
    }
}

/// Whether a pool can reflink, asked of its disk the first time.
fn can_reflink(known: &Mutex<BTreeMap<Uuid, bool>>, pool: Uuid, layout: &Layout) -> bool {
    if let Some(answer) = known.lock().ok().and_then(|known| known.get(&pool).copied()) {
        return answer;
    }
    // A pool that cannot be written to just now is asked again at the next look.
    let Ok(answer) = clone::can_reflink(&layout.volumes()) else { return false };
    if let Ok(mut known) = known.lock() {
        known.insert(pool, answer);
    }
    answer
}

#[async_trait]
impl Storage for DirectoryStorage {
    async fn look(&self, brain: Uuid, pool: &PoolWanted) -> PoolSeen {
        let (known, wanted) = (Arc::clone(&self.reflink), pool.clone());
        let looked = blocking(move || look(brain, &wanted, &known)).await;
        looked.unwrap_or_else(|error| nothing_seen(PoolState::Wrong, Some(error.to_string())))
    }

    async fn init_pool(&self, brain: Uuid, pool: &PoolWanted) -> DriverResult<()> {
        let pool = pool.clone();
        blocking(move || marker::init(brain, &pool)).await?
    }

    async fn has_image(&self, pool: &PoolWanted, digest: Digest) -> DriverResult<bool> {
        let pool = pool.clone();
        blocking(move || Ok(marker::require_ready(&pool)?.image(digest).is_file())).await?
    }

    async fn fetch_image(
        &self,
        pool: &PoolWanted,
        image: &ImageWanted,
        source: &dyn BlobSource,
        progress: &ProgressSink,
    ) -> DriverResult<()> {
        let failed = |error| io_error(&format!("fetching image {}", image.digest), &error);
        let (pool, wanted) = (pool.clone(), image.clone());
        let Some(target) = blocking(move || begin_fetch(&pool, &wanted)).await?? else { return Ok(()) };
        let stream = source.open(image.digest).await?;
        let expected =
            Expected { digest: image.digest, compressed: image.compressed, unpacked: image.unpacked };
        unpack(stream, expected, &target, &|percent| progress("fetch_image", Some(percent)))
            .await
            .map_err(|error| unpack_error(&error))?;
        // Hundreds of megabytes are written out here: not on a thread that others wait for.
        blocking(move || target.finish(&image_name(expected.digest))).await?.map_err(failed)?;
        Ok(())
    }

    async fn build_volume(
        &self,
        pool: &PoolWanted,
        volume: &VolumeWanted,
        identity: &GuestIdentity,
        progress: &ProgressSink,
    ) -> DriverResult<()> {
        let failed = |error| io_error(&format!("building volume {}", volume.id), &error);
        let (wanted_pool, wanted) = (pool.clone(), volume.clone());
        let (layout, target) = blocking(move || begin_build(&wanted_pool, &wanted)).await??;
        let Some(target) = target else { return Ok(()) };
        let fresh = self.fresh()?;
        let files =
            identity::files(identity, &fresh).map_err(|error| DriverError::Never(error.to_string()))?;
        let host_key = identity::public_key(&fresh).map_err(|error| DriverError::Later(error.to_string()))?;
        let name = stem(volume.id, volume.uuid);

        let (known, for_clone, wanted, sink) =
            (Arc::clone(&self.reflink), layout.clone(), volume.clone(), Arc::clone(progress));
        let pool = pool.uuid;
        let clone = move || {
            let reflink = can_reflink(&known, pool, &for_clone);
            clone_image(&for_clone, &wanted, target, reflink, &sink)
        };
        let target = blocking(clone).await??;
        let sandbox = Sandbox::new(&layout.volumes(), volume.id.0.unsigned_abs(), volume.size.0);
        sandbox.admit(target.file()).map_err(failed)?;
        progress("build_volume", Some(70));
        resize(&sandbox, &target, volume).await?;
        progress("build_volume", Some(80));
        seed(&sandbox, &layout, &target, &files, volume).await?;
        sandbox.withdraw(target.file()).map_err(failed)?;
        progress("build_volume", Some(90));
        let beside = host_key + "\n";
        blocking(move || {
            write_whole(&layout.volumes(), &format!("{name}{HOST_KEY}"), 0o644, beside.as_bytes())?;
            target.finish(&format!("{name}{RAW}"))
        })
        .await?
        .map_err(failed)?;
        Ok(())
    }

    async fn grow_volume(&self, pool: &PoolWanted, volume: &VolumeWanted) -> DriverResult<()> {
        let layout = ready(pool).await?;
        grow::grow(layout, volume.id, volume.uuid, volume.size).await
    }

    async fn leaving(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> DriverResult<LeavingVolume> {
        let layout = ready(pool).await?;
        let path = layout.volume(id, uuid, RAW);
        let file = blocking(move || {
            let file = File::open(path).map_err(|error| io_error(&format!("reading volume {id}"), &error))?;
            lock::with_readers(&file, id)?;
            Ok::<_, DriverError>(file)
        })
        .await??;
        let ssh_host_key = match std::fs::read_to_string(layout.volume(id, uuid, HOST_KEY)) {
            Ok(text) => Some(text.trim().to_owned()),
            // A volume of an image without SSH has none.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_error(&format!("reading the SSH host key of volume {id}"), &error)),
        };
        Ok(LeavingVolume { file, ssh_host_key })
    }

    async fn read_files(
        &self,
        pool: &PoolWanted,
        id: VolumeId,
        uuid: Uuid,
        to: tokio::sync::mpsc::Sender<Vec<u8>>,
        progress: &ProgressSink,
    ) -> DriverResult<Captured> {
        let layout = ready(pool).await?;
        let turn = Turn::take(&self.reading, uuid).ok_or_else(|| {
            DriverError::Later(format!("an earlier reading of volume {id} has not ended: it is waited for"))
        })?;
        capture::read(layout, id, uuid, to, Arc::clone(progress), turn).await
    }

    async fn arriving(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> DriverResult<Option<PathBuf>> {
        let layout = ready(pool).await?;
        let failed = move |error| io_error(&format!("taking in volume {id}"), &error);
        blocking(move || {
            layout.make_directories()?;
            if !layout.volume(id, uuid, RAW).is_file() {
                return Ok(Some(layout.volume(id, uuid, ARRIVING)));
            }
            // It may have been renamed by a run that was killed before that was durable.
            remove(&layout.volume(id, uuid, ARRIVING_NOTE))?;
            sync_directory(&layout.volumes())?;
            Ok(None)
        })
        .await?
        .map_err(failed)
    }

    async fn arrived(
        &self,
        pool: &PoolWanted,
        id: VolumeId,
        uuid: Uuid,
        ssh_host_key: Option<String>,
    ) -> DriverResult<()> {
        let layout = ready(pool).await?;
        let failed = move |error| io_error(&format!("taking in volume {id}"), &error);
        blocking(move || {
            if let Some(key) = ssh_host_key {
                let name = format!("{}{HOST_KEY}", stem(id, uuid));
                write_whole(&layout.volumes(), &name, 0o644, format!("{key}\n").as_bytes())?;
            }
            std::fs::rename(layout.volume(id, uuid, ARRIVING), layout.volume(id, uuid, RAW))?;
            remove(&layout.volume(id, uuid, ARRIVING_NOTE))?;
            sync_directory(&layout.volumes())
        })
        .await?
        .map_err(failed)
    }

    async fn delete_volume(&self, pool: &PoolWanted, volume: &VolumeAbsent) -> DriverResult<()> {
        let layout = ready(pool).await?;
        let (id, uuid, boot) = (volume.id, volume.uuid, Arc::clone(&self.boot));
        let failed = |error| io_error(&format!("deleting volume {id}"), &error);
        blocking(move || {
            let _one_at_a_time = boot_files::hold(&boot);
            delete(&layout, id, uuid)
        })
        .await?
        .map_err(failed)
    }

    async fn boot_files(&self, pool: &PoolWanted, volume: &VolumeWanted) -> DriverResult<BootFiles> {
        let layout = ready(pool).await?;
        let (id, uuid, boot) = (volume.id, volume.uuid, Arc::clone(&self.boot));
        let turn = Turn::take(&self.reading, uuid).ok_or_else(|| {
            DriverError::Later(format!(
                "an earlier reading of the kernel of volume {id} has not ended: is its filesystem damaged?"
            ))
        })?;
        let reading = blocking(move || {
            let _turn = turn;
            boot_files::take(&layout, id, uuid, &boot)
        });
        tokio::time::timeout(LONGEST_BOOT_READ, reading).await.map_err(|_| {
            DriverError::Later(format!(
                "reading the kernel of volume {id} takes too long: is its filesystem damaged?"
            ))
        })??
    }

    fn disk_path(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> PathBuf {
        Layout::of(pool).volume(id, uuid, RAW)
    }

    fn console_log_path(&self, pool: &PoolWanted, id: VolumeId, uuid: Uuid) -> PathBuf {
        Layout::of(pool).volume(id, uuid, CONSOLE_LOG)
    }
}

/// One reading of one volume: a filesystem made to keep us busy costs one thread and not one for each attempt.
pub(super) struct Turn {
    all: Arc<Mutex<BTreeSet<Uuid>>>,
    volume: Uuid,
}

impl Turn {
    fn take(all: &Arc<Mutex<BTreeSet<Uuid>>>, volume: Uuid) -> Option<Self> {
        let mut busy = all.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(volume).then(|| Turn { all: Arc::clone(all), volume })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.volume);
    }
}

/// Runs what blocks on a thread of its own. A defect in it (a panic) is an error of this one step.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> DriverResult<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        DriverError::Later(format!("the step broke off, which is a defect of the agent: {error}"))
    })
}

async fn ready(pool: &PoolWanted) -> DriverResult<Layout> {
    let pool = pool.clone();
    blocking(move || marker::require_ready(&pool)).await?
}

fn nothing_seen(state: PoolState, problem: Option<String>) -> PoolSeen {
    PoolSeen { state, problem, size: Bytes(0), free: Bytes(0), reflink: false, volumes: Vec::new() }
}

fn look(brain: Uuid, pool: &PoolWanted, known: &Mutex<BTreeMap<Uuid, bool>>) -> PoolSeen {
    let (state, problem) = marker::inspect(Some(brain), pool);
    if state != PoolState::Ready {
        return nothing_seen(state, problem);
    }
    let layout = Layout::of(pool);
    match survey(&layout) {
        Ok((size, free, volumes)) => {
            let reflink = can_reflink(known, pool.uuid, &layout);
            PoolSeen { state, problem, size, free, reflink, volumes }
        }
        Err(error) => {
            let at = layout.root.display();
            let problem = format!("{at} cannot be looked into ({error}): is the disk all right?");
            nothing_seen(PoolState::Wrong, Some(problem))
        }
    }
}

/// What any file operation of a step can end in: all of it may pass.
fn io_error(doing: &str, error: &io::Error) -> DriverError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            DriverError::Later(format!("{doing}: the disk is full; free some space, or delete guests"))
        }
        _ => DriverError::Later(format!("{doing}: {error}")),
    }
}

fn unpack_error(error: &UnpackError) -> DriverError {
    match error {
        UnpackError::Unusable(_) => DriverError::Never(error.to_string()),
        UnpackError::Io(io) => io_error("fetching an image", io),
        // A wrong digest among them: the blob can be put again, which mends it.
        _ => DriverError::Later(error.to_string()),
    }
}

/// Size and free space of the filesystem that a pool is on.
pub(super) fn space(layout: &Layout) -> io::Result<(Bytes, Bytes)> {
    let stat = rustix::fs::statvfs(&layout.root)?;
    Ok((
        Bytes(stat.f_blocks.saturating_mul(stat.f_frsize)),
        Bytes(stat.f_bavail.saturating_mul(stat.f_frsize)),
    ))
}

fn survey(layout: &Layout) -> io::Result<(Bytes, Bytes, Vec<VolumeSeen>)> {
    let (size, free) = space(layout)?;
    let mut volumes = Vec::new();
    let entries = match std::fs::read_dir(layout.volumes()) {
        Ok(entries) => entries,
        // A pool whose making was cut short after its marker: nothing is in it yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((size, free, volumes)),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Some((id, uuid)) = entry.file_name().to_str().and_then(volume_of_name) else { continue };
        let length = match entry.metadata() {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Ok(_) => continue,
            // Deleted while we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let ssh_host_key = std::fs::read_to_string(layout.volume(id, uuid, HOST_KEY)).ok();
        volumes.push(VolumeSeen {
            id,
            uuid,
            size: Bytes(grow::size_before(layout, id, uuid, length)),
            ssh_host_key: ssh_host_key.map(|text| text.trim().to_owned()),
        });
    }
    volumes.sort_by_key(|volume| (volume.id, volume.uuid));
    Ok((size, free, volumes))
}

/// A file for the image to be fetched into; `None` if the image is there.
fn begin_fetch(pool: &PoolWanted, image: &ImageWanted) -> DriverResult<Option<Partial>> {
    let layout = marker::require_ready(pool)?;
    let failed = |error| io_error(&format!("fetching image {}", image.digest), &error);
    layout.make_directories().map_err(failed)?;
    remove_stale(&layout.images()).map_err(failed)?;
    if image_cache::open(&layout, image.digest).map_err(failed)?.is_some() {
        return Ok(None);
    }
    image_cache::forget_unused(&layout).map_err(failed)?;
    let free = image_cache::make_room(&layout, image.unpacked, image.digest).map_err(failed)?;
    if free < image.unpacked {
        return Err(DriverError::Later(format!(
            "{} has {free} free, and image {} needs {}: free some space, or delete guests",
            layout.root.display(),
            image.digest,
            image.unpacked
        )));
    }
    Partial::create(&layout.images(), &image_name(image.digest)).map(Some).map_err(failed)
}

/// A file for the volume to be built in, unless the volume is there.
fn begin_build(pool: &PoolWanted, volume: &VolumeWanted) -> DriverResult<(Layout, Option<Partial>)> {
    let layout = marker::require_ready(pool)?;
    let failed = |error| io_error(&format!("building volume {}", volume.id), &error);
    layout.make_directories().map_err(failed)?;
    remove_stale(&layout.volumes()).map_err(failed)?;
    if layout.volume(volume.id, volume.uuid, RAW).is_file() {
        return Ok((layout, None));
    }
    let name = format!("{}{RAW}", stem(volume.id, volume.uuid));
    let target = Partial::create(&layout.volumes(), &name).map_err(failed)?;
    Ok((layout, Some(target)))
}

fn clone_image(
    layout: &Layout,
    volume: &VolumeWanted,
    target: Partial,
    reflink: bool,
    progress: &ProgressSink,
) -> DriverResult<Partial> {
    let (digest, id, size) = (volume.image.digest, volume.id, volume.size);
    let failed = |error| io_error(&format!("cloning the image for volume {id}"), &error);
    let golden = image_cache::open(layout, digest).map_err(failed)?.ok_or_else(|| {
        DriverError::Later(format!("image {digest} is not in the pool's cache: it is fetched again"))
    })?;
    let metadata = golden.metadata().map_err(failed)?;
    if size.0 < metadata.len() {
        let text = format!(
            "the image needs a disk of at least {}, and {size} was asked for: ask for more",
            Bytes(metadata.len())
        );
        return Err(DriverError::Never(text));
    }
    if !reflink {
        require_room(layout, volume, Bytes(metadata.blocks().saturating_mul(512)))?;
    }
    let cloned = clone::clone(&golden, target.file(), |percent| {
        progress("build_volume", u8::try_from(u16::from(percent) * 70 / 100).ok());
    })
    .map_err(failed)?;
    if cloned == clone::Cloned::Copy {
        let pool = layout.root.display();
        tracing::info!(volume = id.0, %pool, "the pool's filesystem cannot share blocks (btrfs and xfs can): the image was copied");
    }
    target.file().set_len(size.0).map_err(failed)?;
    Ok(target)
}

/// Refuses a copy that would leave the pool full: every guest in it would stand still.
fn require_room(layout: &Layout, volume: &VolumeWanted, copy: Bytes) -> DriverResult<()> {
    let failed = |error| io_error(&format!("building volume {}", volume.id), &error);
    let reserve = (space(layout).map_err(failed)?.0.0 / 20).min(LARGEST_RESERVE.0);
    let needed = Bytes(copy.0.saturating_add(reserve));
    let free = image_cache::make_room(layout, needed, volume.image.digest).map_err(failed)?;
    if free >= needed {
        return Ok(());
    }
    Err(DriverError::Later(format!(
        "{} has {free} free, and volume {} needs {needed} (its image's {copy}, and some to spare for the guests that \
         are there): free some space, or delete guests",
        layout.root.display(),
        volume.id
    )))
}

/// The image was made by mke2fs and never mounted, so resize2fs takes it without a check.
async fn resize(sandbox: &Sandbox, target: &Partial, volume: &VolumeWanted) -> DriverResult<()> {
    let output = sandbox
        .run(RESIZE2FS, &[target.file_name()], None, QUICK)
        .await
        .map_err(|error| DriverError::Later(error.to_string()))?;
    if output.code == Some(0) {
        return Ok(());
    }
    Err(DriverError::Later(format!(
        "resize2fs could not grow volume {} to {}: {}",
        volume.id, volume.size, output.said
    )))
}

/// Puts the guest's files into its filesystem and reads them back.
async fn seed(
    sandbox: &Sandbox,
    layout: &Layout,
    target: &Partial,
    files: &[identity::SeedFile],
    volume: &VolumeWanted,
) -> DriverResult<()> {
    let failed = |error| io_error(&format!("putting the guest's files into volume {}", volume.id), &error);
    let stage = PartialDirectory::create(&layout.volumes(), "seed").map_err(failed)?;
    let stage_name = stage.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    std::fs::set_permissions(stage.path(), PermissionsExt::from_mode(0o711)).map_err(failed)?;
    let put = |name: &str, content: &str| {
        let path = stage.path().join(name);
        std::fs::write(&path, "")?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
        std::fs::write(&path, content)?;
        sandbox.admit(File::open(&path)?)
    };
    for (number, file) in files.iter().enumerate() {
        put(&number.to_string(), &file.content).map_err(failed)?;
    }
    put("script", &identity::script(files, &stage_name)).map_err(failed)?;
    let script = format!("{stage_name}/script");
    let arguments = ["-w".as_ref(), "-f".as_ref(), script.as_ref(), target.file_name()];
    let output = sandbox
        .run(DEBUGFS, &arguments, None, QUICK)
        .await
        .map_err(|error| DriverError::Later(error.to_string()))?;
    let (path, files) = (target.path().to_owned(), files.to_vec());
    blocking(move || identity::verify(&path, &files)).await?.map_err(|reason| {
        DriverError::Later(format!("volume {}: {reason}; debugfs said: {}", volume.id, output.said))
    })
}

/// The volume itself goes last, so that a deletion cut short is taken up again.
fn delete(layout: &Layout, id: VolumeId, uuid: Uuid) -> io::Result<()> {
    remove_stale(&layout.volumes())?;
    boot_files::forget(layout, id, uuid)?;
    let log = format!("{}{CONSOLE_LOG}", stem(id, uuid));
    for entry in std::fs::read_dir(layout.volumes())? {
        let entry = entry?;
        // With the logs that virtlogd has turned over: `.console.log.0` and so on.
        if entry.file_name().to_string_lossy().starts_with(&log) {
            remove(&entry.path())?;
        }
    }
    for suffix in [ARRIVING, ARRIVING_NOTE, ARRIVING_NOTE_NEW, HOST_KEY, GROWING, RAW] {
        remove(&layout.volume(id, uuid, suffix))?;
    }
    sync_directory(&layout.volumes())
}

/// Deletes a file. One that is gone is fine.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;

//! Grows a volume and the filesystem on it.
//!
//! ```text
//!   lock the volume -> write NAME.growing (the old size) -> lengthen the file
//!     -> e2fsck -fp -> resize2fs (both in the sandbox, holding the lock) -> fsync -> delete NAME.growing
//! ```
//!
//! While NAME.growing is there, the volume counts as having the old size, so that a growth cut short is taken up again.
//! The tools hold the lock themselves: one that outlived its killed agent is waited for, not joined.

use super::layout::{GROWING, Layout, RAW, stem};
use crate::drivers::{DriverError, DriverResult};
use honcho_images::partial::{sync_directory, write_whole};
use honcho_images::tool::{E2FSCK, RESIZE2FS, Sandbox, ToolOutput};
use honcho_model::{Bytes, VolumeId};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;
use uuid::Uuid;

/// A check of a large and full filesystem on a slow disk takes minutes.
const LONGEST: Duration = Duration::from_hours(1);

/// Grows the volume to `wanted`. Its guest does not run.
pub(super) async fn grow(layout: &Layout, id: VolumeId, uuid: Uuid, wanted: Bytes) -> DriverResult<()> {
    let failed = |error: std::io::Error| DriverError::Later(format!("growing volume {id}: {error}"));
    let name = format!("{}{RAW}", stem(id, uuid));
    let path = layout.volumes().join(&name);
    let file = File::options().read(true).write(true).open(&path).map_err(failed)?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(DriverError::Later(format!(
            "volume {id} is still being worked on since before the agent started"
        )));
    }
    let before = size_before(layout, id, uuid, file.metadata().map_err(failed)?.len());
    if wanted.0 < before {
        let text = format!(
            "volume {id} has {} and cannot shrink to {wanted}: ask for at least what it has",
            Bytes(before)
        );
        return Err(DriverError::Never(text));
    }
    let growing = format!("{}{GROWING}", stem(id, uuid));
    write_whole(&layout.volumes(), &growing, 0o600, before.to_string().as_bytes()).map_err(failed)?;
    file.set_len(wanted.0).map_err(failed)?;
    if holds_ext4(&file) {
        let sandbox = Sandbox::new(&layout.volumes(), id.0.unsigned_abs(), wanted.0);
        sandbox.admit(&file).map_err(failed)?;
        let outcome = check_and_resize(&sandbox, &name, &file, id).await;
        sandbox.withdraw(&file).map_err(failed)?;
        outcome?;
    } else {
        // The guest has made something else of its disk. It gets the space, and must use it itself.
        tracing::warn!(volume = id.0, "no ext4 filesystem on this volume: only the disk has grown");
    }
    file.sync_all().map_err(failed)?;
    std::fs::remove_file(layout.volumes().join(&growing)).map_err(failed)?;
    sync_directory(&layout.volumes()).map_err(failed)
}

/// The size that a volume counts as having: that before a growth that has not ended.
pub(super) fn size_before(layout: &Layout, id: VolumeId, uuid: Uuid, length: u64) -> u64 {
    let text = std::fs::read_to_string(layout.volume(id, uuid, GROWING)).ok();
    text.and_then(|text| text.trim().parse::<u64>().ok()).map_or(length, |before| before.min(length))
}

async fn check_and_resize(sandbox: &Sandbox, name: &str, file: &File, id: VolumeId) -> DriverResult<()> {
    let lock =
        || file.try_clone().map_err(|error| DriverError::Later(format!("growing volume {id}: {error}")));
    let run = |tool, arguments: Vec<String>, lock| async move {
        sandbox
            .run(tool, &arguments, Some(lock), LONGEST)
            .await
            .map_err(|error| DriverError::Later(error.to_string()))
    };
    // 0: clean; 1: mended; 2: mended, and a mounted one would need a reboot.
    match run(E2FSCK, vec!["-f".into(), "-p".into(), name.into()], lock()?).await? {
        ToolOutput { code: Some(0..=2), .. } => {}
        ToolOutput { said, .. } => {
            return Err(DriverError::Later(format!(
                "the filesystem of volume {id} is damaged beyond what e2fsck mends by itself: stop the guest, run \
                 `e2fsck -f` on {name} by hand, and it goes on. It said: {said}"
            )));
        }
    }
    match run(RESIZE2FS, vec![name.into()], lock()?).await? {
        ToolOutput { code: Some(0), .. } => Ok(()),
        ToolOutput { said, .. } => {
            Err(DriverError::Later(format!("resize2fs could not grow the filesystem of volume {id}: {said}")))
        }
    }
}

/// ext4's magic number, 0xEF53, is at 0x38 of the superblock, which is at 1024 (Linux's Documentation/filesystems/
/// ext4/super.rst).
fn holds_ext4(file: &File) -> bool {
    let mut magic = [0; 2];
    file.read_exact_at(&mut magic, 1024 + 0x38).is_ok() && u16::from_le_bytes(magic) == 0xEF53
}

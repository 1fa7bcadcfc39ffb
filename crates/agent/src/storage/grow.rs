//! Grows a volume and the filesystem on it.
//!
//! ```text
//!   lock the volume -> write NAME.growing (the old size) -> lengthen the file
//!     -> e2fsck -fp -> note "resizing" in NAME.growing -> resize2fs -> fsync -> delete NAME.growing
//! ```
//!
//! While NAME.growing is there, the volume counts as having the old size, so that a growth cut short is taken up again.
//! Both tools run in the sandbox and hold the lock themselves. Neither is ever ended half-way, since that can cost the
//! guest its filesystem: a tool that outlives its agent is waited for, not joined.

use super::directory::blocking;
use super::layout::{GROWING, Layout, RAW, stem};
use super::lock;
use crate::drivers::{DriverError, DriverResult};
use honcho_images::partial::{sync_directory, write_whole};
use honcho_images::tool::{E2FSCK, RESIZE2FS, Sandbox, Tool, ToolError, ToolOutput};
use honcho_model::{Bytes, VolumeId};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A check of a large and full filesystem on a slow disk takes minutes. After this the step says that it goes on.
const PATIENCE: Duration = Duration::from_hours(1);

/// Grows the volume to `wanted`. Its guest does not run.
pub(super) async fn grow(layout: Layout, id: VolumeId, uuid: Uuid, wanted: Bytes) -> DriverResult<()> {
    let growth = Arc::new(blocking(move || Growth::begin(layout, id, uuid, wanted)).await??);
    if growth.has_ext4 {
        growth.check_and_resize().await?;
    } else {
        // The guest has made something else of its disk. It gets the space, and must use it itself.
        tracing::warn!(volume = id.0, "no ext4 filesystem on this volume: only the disk has grown");
    }
    blocking(move || growth.end()).await?
}

/// The size that a volume counts as having: that before a growth that has not ended.
pub(super) fn size_before(layout: &Layout, id: VolumeId, uuid: Uuid, length: u64) -> u64 {
    Note::read(layout, id, uuid).map_or(length, |note| note.before.min(length))
}

/// What NAME.growing says.
#[derive(Clone, Copy)]
struct Note {
    before: u64,
    /// Whether resize2fs has been started, and may have left something half-way.
    resizing: bool,
}

const RESIZING: &str = "resizing";

impl Note {
    fn read(layout: &Layout, id: VolumeId, uuid: Uuid) -> Option<Self> {
        let text = std::fs::read_to_string(layout.volume(id, uuid, GROWING)).ok()?;
        let mut words = text.split_whitespace();
        let before = words.next()?.parse().ok()?;
        Some(Note { before, resizing: words.next() == Some(RESIZING) })
    }

    fn write(self, layout: &Layout, id: VolumeId, uuid: Uuid) -> io::Result<()> {
        let word = if self.resizing { RESIZING } else { "" };
        let name = format!("{}{GROWING}", stem(id, uuid));
        write_whole(&layout.volumes(), &name, 0o600, format!("{} {word}\n", self.before).as_bytes())
    }
}

/// A growth that has begun, and holds the volume's lock.
struct Growth {
    layout: Layout,
    id: VolumeId,
    uuid: Uuid,
    name: String,
    file: File,
    note: Note,
    /// The length that the file had.
    length: u64,
    has_ext4: bool,
    sandbox: Sandbox,
}

impl Growth {
    fn begin(layout: Layout, id: VolumeId, uuid: Uuid, wanted: Bytes) -> DriverResult<Self> {
        let name = format!("{}{RAW}", stem(id, uuid));
        let open = File::options().read(true).write(true).open(layout.volumes().join(&name));
        let file = open.map_err(|error| failed(id, &error))?;
        lock::alone(&file, id)?;
        let length = file.metadata().map_err(|error| failed(id, &error))?.len();
        let before = size_before(&layout, id, uuid, length);
        if wanted.0 < before {
            let text = format!(
                "volume {id} has {} and cannot shrink to {wanted}: ask for at least what it has",
                Bytes(before)
            );
            return Err(DriverError::Never(text));
        }
        let resizing = Note::read(&layout, id, uuid).is_some_and(|note| note.resizing);
        let sandbox = Sandbox::new(&layout.volumes(), id.0.unsigned_abs(), wanted.0.max(length));
        let note = Note { before, resizing };
        let mut growth = Growth { layout, id, uuid, name, file, note, length, has_ext4: false, sandbox };
        growth.lengthen(wanted.0.max(length)).map_err(|error| failed(id, &error))?;
        Ok(growth)
    }

    fn lengthen(&mut self, size: u64) -> io::Result<()> {
        self.note.write(&self.layout, self.id, self.uuid)?;
        self.file.set_len(size)?;
        self.has_ext4 = holds_ext4(&self.file);
        if self.has_ext4 { self.sandbox.admit(&self.file) } else { Ok(()) }
    }

    async fn check_and_resize(self: &Arc<Self>) -> DriverResult<()> {
        let id = self.id;
        match self.run(E2FSCK, &["-f", "-p", &self.name]).await? {
            // 0: clean; 1: mended; 2: mended, and a mounted one would need a reboot.
            ToolOutput { code: Some(0..=3), .. } => {}
            output => {
                let (growth, refusal) = (Arc::clone(self), self.refused(&output));
                if matches!(refusal, DriverError::Never(_)) {
                    blocking(move || growth.undo()).await?.map_err(|error| failed(id, &error))?;
                }
                return Err(refusal);
            }
        }
        let growth = Arc::clone(self);
        let noted = Note { resizing: true, ..self.note };
        blocking(move || noted.write(&growth.layout, growth.id, growth.uuid))
            .await?
            .map_err(|error| failed(id, &error))?;
        match self.run(RESIZE2FS, &[&self.name]).await? {
            ToolOutput { code: Some(0), .. } => Ok(()),
            ToolOutput { said, .. } => Err(DriverError::Later(format!(
                "resize2fs could not grow the filesystem of volume {id}: {said}"
            ))),
        }
    }

    async fn run(&self, tool: Tool, arguments: &[&str]) -> DriverResult<ToolOutput> {
        let lock = self.file.try_clone().map_err(|error| failed(self.id, &error))?;
        let wanted = std::future::pending();
        let outcome = self.sandbox.run_to_its_end(tool, arguments, lock, PATIENCE, wanted).await;
        // While a tool still works on the file, the file stays the sandbox's.
        if !matches!(outcome, Ok(ToolOutput { code: Some(0..=3), .. }) | Err(ToolError::StillGoing { .. })) {
            self.sandbox.withdraw(&self.file).map_err(|error| failed(self.id, &error))?;
        }
        outcome.map_err(|error| DriverError::Later(format!("growing volume {}: {error}", self.id)))
    }

    /// What e2fsck's refusal means. A filesystem that no resize2fs has touched is as the guest left it, so that the
    /// guest can go on with it at its old size; trying again shows the same.
    fn refused(&self, output: &ToolOutput) -> DriverError {
        let (id, before, said) = (self.id, Bytes(self.note.before), &output.said);
        if self.note.resizing || !is_about_the_filesystem(output) {
            return DriverError::Later(format!(
                "e2fsck could not check the filesystem of volume {id}: stop the guest and run `e2fsck -f` on {} by \
                 hand, and it goes on. It said: {said}",
                self.name
            ));
        }
        DriverError::Never(format!(
            "the filesystem of volume {id} stays at {before}: e2fsck refuses it, because it is damaged or has features \
             that this host's e2fsck does not know. Stop the guest, run `e2fsck -f` on {} by hand, and ask for the size \
             again. It said: {said}",
            self.name
        ))
    }

    /// Gives the file its old length, if nobody can have used the new one, so that the guest sees the disk it had.
    fn undo(&self) -> io::Result<()> {
        if self.length != self.note.before {
            return Ok(());
        }
        self.file.set_len(self.length)?;
        std::fs::remove_file(self.layout.volume(self.id, self.uuid, GROWING))?;
        sync_directory(&self.layout.volumes())
    }

    fn end(&self) -> DriverResult<()> {
        let end = || {
            self.sandbox.withdraw(&self.file)?;
            self.file.sync_all()?;
            std::fs::remove_file(self.layout.volume(self.id, self.uuid, GROWING))?;
            sync_directory(&self.layout.volumes())
        };
        end().map_err(|error| failed(self.id, &error))
    }
}

fn failed(id: VolumeId, error: &io::Error) -> DriverError {
    DriverError::Later(format!("growing volume {id}: {error}"))
}

/// Whether e2fsck ended because of what it read: errors left as they are (4), or an error of its own (8), which is how
/// it tells a broken superblock and unknown features, but also trouble of this machine's (e2fsck(8), "EXIT CODE").
pub(super) fn is_about_the_filesystem(output: &ToolOutput) -> bool {
    let trouble = ["Cannot allocate memory", "Input/output error", "No space left", "Permission denied"];
    match output.code {
        Some(code @ 4..=15) if code & 4 != 0 => true,
        Some(8..=11) => !trouble.iter().any(|words| output.said.contains(words)),
        _ => false,
    }
}

/// ext4's magic number, 0xEF53, is at 0x38 of the superblock, which is at 1024 (Linux's Documentation/filesystems/
/// ext4/super.rst).
pub(super) fn holds_ext4(file: &File) -> bool {
    let mut magic = [0; 2];
    file.read_exact_at(&mut magic, 1024 + 0x38).is_ok() && u16::from_le_bytes(magic) == 0xEF53
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_e2fsck_says_of_the_filesystem_is_final() {
        let check = |code: Option<i32>, said: &str, expected: bool| {
            let output = ToolOutput { code, said: said.to_owned() };
            assert_eq!(is_about_the_filesystem(&output), expected, "{code:?} {said}");
        };
        check(Some(4), "UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.", true);
        check(Some(12), "", true);
        check(Some(8), "has unsupported feature(s): FEATURE_C31", true);
        check(Some(8), "Bad magic number in super-block", true);
        check(Some(8), "while reading block 7: Input/output error", false);
        check(Some(12), "Input/output error", true);
        check(Some(32), "cancelled", false);
        check(Some(127), "", false);
        check(None, "", false);
    }
}

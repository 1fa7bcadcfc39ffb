//! Names inside a directory pool.
//!
//! ```text
//!   honcho-pool.json                 which pool of which brain this is
//!   images/DIGEST.ext4               images as filesystems, ready to be cloned
//!   volumes/v7-UUID.raw              a complete volume; with it
//!   volumes/v7-UUID.hostkey.pub      the public half of its SSH host key
//!   volumes/v7-UUID.console.log      what its guest's console printed; older parts are .console.log.0 and so on
//!   volumes/v7-UUID.growing          its size before a growth that has not ended
//!   volumes/v7-UUID.arriving         a volume of another host, of which not all is here yet; with it
//!   volumes/v7-UUID.arriving.note    how much of it is durable, and of which move
//!   boot/pair-HASH/{kernel,initrd}   what guests boot from
//!   boot/v7-UUID                     a link to what it booted from last
//!   *.partial                        in the making, or left by somebody who was killed
//! ```
//!
//! The directories can be passed through but not listed by others, so that an unprivileged QEMU reaches its disk.

use honcho_model::{Digest, VolumeId};
use honcho_wire::{PoolKind, PoolWanted};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The paths of one pool.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) root: PathBuf,
}

impl Layout {
    pub(super) fn of(pool: &PoolWanted) -> Self {
        let PoolKind::Directory { path } = &pool.kind;
        Layout { root: PathBuf::from(path) }
    }

    pub(super) fn marker(&self) -> PathBuf {
        self.root.join(MARKER)
    }
    pub(super) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }
    pub(super) fn images(&self) -> PathBuf {
        self.root.join("images")
    }
    pub(super) fn boot(&self) -> PathBuf {
        self.root.join("boot")
    }
    pub(super) fn image(&self, digest: Digest) -> PathBuf {
        self.images().join(image_name(digest))
    }
    pub(super) fn volume(&self, id: VolumeId, uuid: Uuid, suffix: &str) -> PathBuf {
        self.volumes().join(format!("{}{suffix}", stem(id, uuid)))
    }
    pub(super) fn boot_of(&self, id: VolumeId, uuid: Uuid) -> PathBuf {
        self.boot().join(stem(id, uuid))
    }

    /// Makes the directories of a pool where they are missing.
    pub(super) fn make_directories(&self) -> std::io::Result<()> {
        for directory in [self.volumes(), self.images(), self.boot()] {
            make_passable(&directory)?;
        }
        Ok(())
    }
}

/// Makes a directory that others can pass through and not list.
pub(super) fn make_passable(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    std::fs::DirBuilder::new().recursive(true).mode(0o711).create(directory)?;
    std::fs::set_permissions(directory, PermissionsExt::from_mode(0o711))
}

/// The file that makes a directory a pool.
pub(super) const MARKER: &str = "honcho-pool.json";
pub(super) const RAW: &str = ".raw";
pub(super) const HOST_KEY: &str = ".hostkey.pub";
pub(super) const CONSOLE_LOG: &str = ".console.log";
pub(super) const GROWING: &str = ".growing";
pub(super) const ARRIVING: &str = ".arriving";
pub(super) const ARRIVING_NOTE: &str = ".arriving.note";
/// What a kill leaves while the note is written anew.
pub(super) const ARRIVING_NOTE_NEW: &str = ".arriving.note.new";

pub(super) fn image_name(digest: Digest) -> String {
    format!("{digest}.ext4")
}

pub(super) fn stem(id: VolumeId, uuid: Uuid) -> String {
    format!("v{id}-{uuid}")
}

/// The id and uuid in a volume's file name. Only a name that we would have made counts, to the letter.
pub(super) fn volume_of_name(name: &str) -> Option<(VolumeId, Uuid)> {
    let body = name.strip_suffix(RAW)?;
    let (id, uuid) = body.strip_prefix('v')?.split_once('-')?;
    let (id, uuid): (VolumeId, Uuid) = (id.parse().ok()?, uuid.parse().ok()?);
    (id.0 >= 0 && stem(id, uuid) == body).then_some((id, uuid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_make_are_volumes() {
        let uuid = Uuid::from_u128(7);
        let name = format!("{}{RAW}", stem(VolumeId(7), uuid));
        assert_eq!(volume_of_name(&name), Some((VolumeId(7), uuid)));
        let bad = [
            name.replace("v7", "v07"),
            name.replace("v7", "v-7"),
            name.replace('-', ""),
            name.to_uppercase(),
            format!("{name}.x.partial"),
            "v7.raw".to_owned(),
        ];
        for bad in bad {
            assert_eq!(volume_of_name(&bad), None, "{bad}");
        }
    }
}

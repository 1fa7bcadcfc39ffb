//! Reads kernel and initrd out of a guest's filesystem.
//!
//! The guest wrote that filesystem, so it is read by memory-safe code (`ext4-view`, which also replays a journal that a
//! power cut left behind, in memory), links are followed within it, and everything has a limit ([`super::guest_filesystem`]).
//! The kernel is the guest's own at every start, so that an upgrade inside the guest works.
//!
//! ```text
//!   boot/pair-HASH/{kernel,initrd}    equal pairs are kept once, however many guests boot from them
//!   boot/v7-UUID -> pair-HASH         what that guest booted from last: taken again if its filesystem gives no pair
//! ```
//!
//! Guests share pairs, so names in `boot` change under one lock. It is held for the names alone: reading and copying
//! go on beside it, and a slow guest stalls no other.

use super::guest_filesystem::{self, Budget, is_directory};
use super::layout::{Layout, make_passable, stem};
use crate::drivers::{BootFiles, DriverError, DriverResult};
use ext4_view::{Ext4, Ext4Error};
use honcho_images::partial::{PartialDirectory, remove_stale, sync_directory};
use honcho_model::VolumeId;
use sha2::{Digest as _, Sha256};
use std::cmp::Ordering;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Debian's kernels have 15 MiB.
const LARGEST_KERNEL: u64 = 128 << 20;

/// An initrd with every driver and its firmware can have 300 MiB.
const LARGEST_INITRD: u64 = 512 << 20;

/// More kernels than this are not looked at: the newest, and whatever a guest keeps to fall back on.
const MOST_KERNELS: usize = 16;

/// All candidates together may cost so much: the largest pair there can be is read from the disk and handed on twice.
const MOST_BYTES: u64 = 3 << 30;

/// Reading a kernel takes a fraction of a second; a filesystem that keeps us longer does so on purpose.
const LONGEST: Duration = Duration::from_secs(90);

/// Kernel and initrd, by their paths in the guest's filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The kernel.
    pub kernel: String,
    /// Its initrd.
    pub initrd: Option<String>,
}

/// Takes the pair that a volume boots from into the pool, and says where it is. `names` is held while names in `boot`
/// change.
pub(super) fn take(layout: &Layout, id: VolumeId, uuid: Uuid, names: &Mutex<()>) -> DriverResult<BootFiles> {
    let failed =
        |error: std::io::Error| DriverError::Later(format!("keeping the kernel of volume {id}: {error}"));
    let link = layout.boot_of(id, uuid);
    // A tool that outlived its agent writes it still; what was booted from last must not stand in for that.
    let disk = File::open(layout.volume(id, uuid, super::layout::RAW));
    if let Ok(disk) = &disk {
        super::lock::alone(disk, id)?;
    }
    {
        let _held = hold(names);
        make_passable(&layout.boot()).map_err(failed)?;
        remove_stale(&layout.boot()).map_err(failed)?;
    }
    let budget = Budget::new(MOST_BYTES, LONGEST);
    let taken = disk
        .map_err(|error| format!("its disk cannot be opened ({error})"))
        .and_then(|disk| guest_filesystem::open(disk, &budget))
        .and_then(|fs| take_from(&fs, &budget, &layout.boot()));
    let (reason, _held) = match taken {
        Ok(found) => {
            let held = hold(names);
            match found.put(&layout.boot()) {
                Ok(pair) => {
                    remember(&layout.boot(), &link, &pair).map_err(failed)?;
                    forget_unused(layout).map_err(failed)?;
                    return Ok(files_of(&layout.boot().join(pair)));
                }
                Err(error) => (error.to_string(), held),
            }
        }
        Err(reason) => (reason, hold(names)),
    };
    let files = last_good(layout, &link).ok_or_else(|| {
        DriverError::Later(format!(
            "volume {id} has no kernel to boot: {reason}; rescue the guest's disk, or delete the guest and make it anew"
        ))
    })?;
    tracing::warn!(volume = id.0, %reason, kernel = %files.kernel.display(), "booting the last good kernel");
    Ok(files)
}

/// Nothing is half-done behind the lock, so that a panic of its holder spoils nothing.
pub(super) fn hold(names: &Mutex<()>) -> MutexGuard<'_, ()> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pair that was read; with its copy, unless an equal one was in the pool.
struct Found {
    name: String,
    copy: Option<PartialDirectory>,
}

impl Found {
    /// Gives the pair its name, unless an equal one is there. Names are held by the caller.
    fn put(self, boot: &Path) -> std::io::Result<String> {
        if boot.join(&self.name).join("kernel").is_file() {
            return Ok(self.name);
        }
        let gone = || std::io::Error::other("the last other guest that booted it has just gone");
        self.copy.ok_or_else(gone)?.finish(&self.name)?;
        Ok(self.name)
    }
}

/// Tries the pairs in order, and copies the first good one.
fn take_from(fs: &Ext4, budget: &Budget, boot: &Path) -> Result<Found, String> {
    let mut reasons = Vec::new();
    for pair in candidates(fs) {
        match keep(fs, budget, &pair, boot) {
            Ok(found) => return Ok(found),
            Err(reason) => reasons.push(format!("{}: {reason}", printable(&pair.kernel))),
        }
    }
    reasons.truncate(3);
    Err(if reasons.is_empty() {
        "neither /vmlinuz nor /boot/vmlinuz-* is there".to_owned()
    } else {
        reasons.join("; ")
    })
}

/// The pairs worth trying: where /vmlinuz leads, then what is in /boot, newest first, those with an initrd before
/// those without.
pub fn candidates(fs: &Ext4) -> Vec<Pair> {
    let mut pairs = Vec::new();
    if let Some(kernel) = file_at(fs, "/vmlinuz") {
        // During an upgrade the link may already lead to the new kernel while /initrd.img still is the old one's.
        let initrd = initrd_beside(fs, &kernel).or_else(|| file_at(fs, "/initrd.img"));
        pairs.push(Pair { kernel, initrd });
    }
    let (with, without): (Vec<Pair>, Vec<Pair>) = versions(fs)
        .into_iter()
        .filter_map(|version| file_at(fs, &format!("/boot/vmlinuz-{version}")))
        .map(|kernel| Pair { initrd: initrd_beside(fs, &kernel), kernel })
        .partition(|pair| pair.initrd.is_some());
    pairs.extend(
        with.into_iter().chain(without).filter(|pair| pairs.first() != Some(pair)).collect::<Vec<_>>(),
    );
    pairs
}

/// The versions of the kernels in /boot, newest first.
fn versions(fs: &Ext4) -> Vec<String> {
    let boot = guest_filesystem::real_path(fs, "/boot").filter(|(_, metadata)| is_directory(metadata));
    let Some(entries) = boot.and_then(|(path, _)| fs.read_dir(path.as_str()).ok()) else { return Vec::new() };
    let mut versions: Vec<String> = entries
        .take(10_000)
        .filter_map(Result::ok)
        .filter_map(|entry| Some(entry.file_name().as_str().ok()?.strip_prefix("vmlinuz-")?.to_owned()))
        .collect();
    versions.sort_by(|a, b| compare_versions(b, a));
    versions.truncate(MOST_KERNELS);
    versions
}

fn initrd_beside(fs: &Ext4, kernel: &str) -> Option<String> {
    let (directory, name) = kernel.rsplit_once('/')?;
    let version = name.strip_prefix("vmlinuz-")?;
    // As Debian calls it, and as Fedora and its kin do.
    file_at(fs, &format!("{directory}/initrd.img-{version}"))
        .or_else(|| file_at(fs, &format!("{directory}/initramfs-{version}.img")))
}

/// Where a path leads, links followed within the filesystem; `None` unless a file is there.
fn file_at(fs: &Ext4, path: &str) -> Option<String> {
    let (path, metadata) = guest_filesystem::real_path(fs, path)?;
    metadata.file_type().is_regular_file().then_some(path)
}

/// Orders kernel versions as people do: runs of digits by value, the rest letter by letter. `6.1.0-9` is older than
/// `6.1.0-10`.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    parts(a).cmp(parts(b)).then_with(|| a.cmp(b))
}

/// A version as words and the numbers behind them. A number without its zeros in front compares by length, then by
/// its digits, so that one of a thousand digits does too.
fn parts(version: &str) -> impl Iterator<Item = (&str, usize, &str)> {
    let mut rest = version;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (word, after) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
        let (number, after) =
            after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len()));
        rest = after;
        let number = number.trim_start_matches('0');
        Some((word, number.len(), number))
    })
}

/// Reads a pair and copies it into the pool, unless an equal one is there.
fn keep(fs: &Ext4, budget: &Budget, pair: &Pair, boot: &Path) -> Result<Found, String> {
    if !is_kernel(&head(fs, &pair.kernel)?) {
        return Err("it is no bootable kernel (damaged, or only half written?)".to_owned());
    }
    let mut hash = Sha256::new();
    let mut hash_of = |path: &str, limit: u64| {
        let size = read(fs, budget, path, limit, &mut |bytes| {
            hash.update(bytes);
            Ok(())
        })?;
        hash.update(size.to_le_bytes());
        Ok::<(), String>(())
    };
    hash_of(&pair.kernel, LARGEST_KERNEL)?;
    if let Some(initrd) = &pair.initrd {
        hash_of(initrd, LARGEST_INITRD)?;
    }
    let name = format!("{PAIR}{}", &honcho_model::Digest(hash.finalize().into()).to_string()[..32]);
    if boot.join(&name).join("kernel").is_file() {
        return Ok(Found { name, copy: None });
    }
    let copy = copy(fs, budget, pair, boot, &name)?;
    Ok(Found { name, copy: Some(copy) })
}

const PAIR: &str = "pair-";

fn copy(
    fs: &Ext4,
    budget: &Budget,
    pair: &Pair,
    boot: &Path,
    name: &str,
) -> Result<PartialDirectory, String> {
    let text = |error: std::io::Error| error.to_string();
    let work = PartialDirectory::create(boot, name).map_err(text)?;
    make_passable(work.path()).map_err(text)?;
    let write = |from: &str, limit: u64, to: &str| {
        let mut file = File::create(work.path().join(to)).map_err(text)?;
        read(fs, budget, from, limit, &mut |bytes| file.write_all(bytes).map_err(text))?;
        file.sync_all().map_err(text)
    };
    if let Some(initrd) = &pair.initrd {
        write(initrd, LARGEST_INITRD, "initrd")?;
    }
    write(&pair.kernel, LARGEST_KERNEL, "kernel")?;
    Ok(work)
}

/// The first bytes of a file of the guest's.
fn head(fs: &Ext4, path: &str) -> Result<Vec<u8>, String> {
    let text = |error: Ext4Error| error.to_string();
    let (mut file, mut head, mut got) = (fs.open(path).map_err(text)?, vec![0; HEAD], 0);
    while got < HEAD {
        match file.read_bytes(&mut head[got..]).map_err(text)? {
            0 => break,
            n => got += n,
        }
    }
    head.truncate(got);
    Ok(head)
}

/// Reads a file of the guest's, piece by piece, if it is no larger than `limit`.
fn read(
    fs: &Ext4,
    budget: &Budget,
    path: &str,
    limit: u64,
    take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
) -> Result<u64, String> {
    let text = |error: Ext4Error| error.to_string();
    let mut file = fs.open(path).map_err(text)?;
    let size = file.metadata().len();
    if size == 0 || size > limit {
        return Err(format!("{} has {size} bytes, where 1 to {limit} can be", printable(path)));
    }
    let (mut buffer, mut got) = (vec![0; 256 << 10], 0);
    loop {
        let n = file.read_bytes(&mut buffer).map_err(text)?;
        if n == 0 {
            return if got == size { Ok(size) } else { Err(format!("{} ends early", printable(path))) };
        }
        got += n as u64;
        if got > limit {
            return Err(format!("{} is longer than it says", printable(path)));
        }
        budget.spend(n)?;
        take(&buffer[..n])?;
    }
}

/// How much of a kernel is needed to see that it is one.
const HEAD: usize = 0x206;

/// Whether a file starts as a kernel does: x86's boot protocol ("`HdrS`" at 0x202, Linux's Documentation/arch/x86/
/// boot.rst) or arm64's image header (magic at 56, Documentation/arch/arm64/booting.rst).
pub fn is_kernel(head: &[u8]) -> bool {
    head.get(0x202..0x206) == Some(b"HdrS") || head.get(56..60) == Some(b"ARM\x64")
}

fn printable(path: &str) -> String {
    path.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn files_of(directory: &Path) -> BootFiles {
    let initrd = directory.join("initrd");
    BootFiles { kernel: directory.join("kernel"), initrd: initrd.is_file().then_some(initrd) }
}

/// Lets a guest's link lead to its pair, in one step.
fn remember(boot: &Path, link: &Path, pair: &str) -> std::io::Result<()> {
    if std::fs::read_link(link).is_ok_and(|target| target == Path::new(pair)) {
        return Ok(());
    }
    let work = PartialDirectory::create(boot, "link")?;
    let fresh = work.path().join("link");
    std::os::unix::fs::symlink(pair, &fresh)?;
    std::fs::rename(&fresh, link)?;
    sync_directory(boot)
}

/// What a guest booted from last, if that is still there.
fn last_good(layout: &Layout, link: &Path) -> Option<BootFiles> {
    let pair = std::fs::read_link(link).ok()?;
    let directory = layout.boot().join(pair);
    directory.join("kernel").is_file().then(|| files_of(&directory))
}

/// Forgets what a guest booted from.
pub(super) fn forget(layout: &Layout, id: VolumeId, uuid: Uuid) -> std::io::Result<()> {
    match std::fs::remove_file(layout.boot().join(stem(id, uuid))) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) => forget_unused(layout),
        Err(_) => Ok(()),
    }
}

/// Deletes pairs that no guest's link leads to. Each goes out of sight whole, so that a deletion cut short leaves no
/// half of a pair under its name.
fn forget_unused(layout: &Layout) -> std::io::Result<()> {
    let (mut pairs, mut used): (Vec<PathBuf>, Vec<PathBuf>) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(layout.boot())? {
        let entry = entry?;
        if entry.file_type()?.is_symlink() {
            used.push(layout.boot().join(std::fs::read_link(entry.path())?));
        } else if entry.file_name().to_string_lossy().starts_with(PAIR)
            && !entry.file_name().to_string_lossy().ends_with(".partial")
        {
            pairs.push(entry.path());
        }
    }
    for pair in pairs.into_iter().filter(|pair| !used.contains(pair)) {
        let going = PartialDirectory::create(&layout.boot(), "forgotten")?;
        let unseen = going.path().join(PAIR);
        std::fs::rename(pair, &unseen)?;
        sync_directory(&layout.boot())?;
        std::fs::remove_dir_all(unseen)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn versions_have_one_order(a in "[0-9a-b.-]{0,8}", b in "[0-9a-b.-]{0,8}", c in "\\PC{0,8}") {
            prop_assert_eq!(compare_versions(&a, &b), compare_versions(&b, &a).reverse());
            prop_assert_eq!(compare_versions(&a, &b) == Ordering::Equal, a == b);
            let mut sorted = [a.as_str(), &b, &c];
            sorted.sort_by(|a, b| compare_versions(a, b));
            prop_assert!(compare_versions(sorted[0], sorted[2]) != Ordering::Greater);
            is_kernel(c.as_bytes());
        }
    }

    #[test]
    fn the_newest_kernel_is_the_one_a_person_would_name() {
        let mut versions = [
            "6.1.0-9-cloud-amd64",
            "6.1.0-56-cloud-amd64",
            "5.10.0-30-amd64",
            "6.1.0-10-amd64",
            "6.10",
            "6.9",
        ];
        versions.sort_by(|a, b| compare_versions(b, a));
        assert_eq!(
            versions,
            [
                "6.10",
                "6.9",
                "6.1.0-56-cloud-amd64",
                "6.1.0-10-amd64",
                "6.1.0-9-cloud-amd64",
                "5.10.0-30-amd64"
            ]
        );
    }

    #[test]
    fn a_kernel_starts_like_one() {
        let mut head = vec![0; HEAD];
        assert!(!is_kernel(&head));
        head[0x202..].copy_from_slice(b"HdrS");
        assert!(is_kernel(&head));
        assert!(!is_kernel(&head[..HEAD - 1]));
        assert!(!is_kernel(b""));
    }
}

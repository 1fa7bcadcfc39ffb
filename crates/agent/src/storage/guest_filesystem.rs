//! Opens a guest's filesystem for reading, within limits.
//!
//! The guest wrote every byte of it, and `ext4-view` believes the sizes that it reads: it allocates by them, and an
//! allocation that cannot be had ends the whole agent. So the sizes are checked here before it sees them (superblock,
//! journal, directories, links), and all reading draws on one budget of bytes and time.
//!
//! What is left: extents that lead round and round within blocks that are cached cost neither bytes nor memory, only
//! the time of one thread. Whoever calls must bound the number of such threads.

use ext4_view::{Ext4, Ext4Read, Metadata};
use std::cell::Cell;
use std::error::Error;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What may be spent on one filesystem, all files together.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: Cell<u64>,
    until: Instant,
}

impl Budget {
    pub(super) fn new(bytes: u64, time: Duration) -> Rc<Self> {
        Rc::new(Budget { bytes: Cell::new(bytes), until: Instant::now() + time })
    }

    /// Takes from it. Reading from the disk and handing on what was read are both paid for: holes cost no reading.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), String> {
        if Instant::now() > self.until {
            return Err("it takes too long".to_owned());
        }
        let left = self.bytes.get().checked_sub(bytes as u64);
        self.bytes.set(left.ok_or("its kernels are too large to be looked through")?);
        Ok(())
    }
}

/// The guest's disk, read as long as the budget lasts.
struct Disk {
    file: File,
    budget: Rc<Budget>,
}

impl Ext4Read for Disk {
    fn read(&mut self, start: u64, into: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.budget.spend(into.len())?;
        Ok(self.file.read_exact_at(into, start)?)
    }
}

/// Opens the filesystem on a guest's disk. Errors are what is wrong with it.
pub(super) fn open(file: File, budget: &Rc<Budget>) -> Result<Ext4, String> {
    let text = |error: io::Error| format!("its filesystem cannot be read ({error})");
    let length = file.metadata().map_err(text)?.len();
    let mut bytes = [0; SUPERBLOCK_LENGTH];
    file.read_exact_at(&mut bytes, SUPERBLOCK).map_err(text)?;
    let superblock = Superblock::of(&bytes);
    superblock.check(length)?;
    if let Some(journal) = superblock.journal_size(&file).map_err(text)?
        && journal > LARGEST_JOURNAL
    {
        return Err(format!("its filesystem claims a journal of {journal} bytes"));
    }
    Ext4::load(Box::new(Disk { file, budget: Rc::clone(budget) }))
        .map_err(|error| format!("its filesystem cannot be read ({error})"))
}

/// Where the superblock is, and its length: Linux's Documentation/filesystems/ext4/super.rst, which also gives the
/// offsets below.
const SUPERBLOCK: u64 = 1024;
const SUPERBLOCK_LENGTH: usize = 1024;

/// A journal may name a thousand blocks in each of its own, and all are kept in memory. mke2fs makes 64 MiB of it for
/// filesystems of this size.
const LARGEST_JOURNAL: u64 = 256 << 20;

/// 64 bytes each are read for a group, and somewhat less is kept: 64 MiB. Honest groups have 128 MiB, so that this
/// bounds the filesystem at 128 TiB.
const MOST_GROUPS: u64 = 1 << 20;

/// What the superblock says of sizes, believed by nobody yet.
#[derive(Debug)]
struct Superblock {
    magic: u16,
    log_block_size: u32,
    blocks: u64,
    first_block: u32,
    blocks_per_group: u32,
    inodes_per_group: u32,
    inode_size: u16,
    wide: bool,
    descriptor_size: u16,
    /// The inode of a journal that has to be replayed.
    journal: Option<u32>,
}

impl Superblock {
    fn of(bytes: &[u8; SUPERBLOCK_LENGTH]) -> Self {
        let (compatible, incompatible) = (u32_at(bytes, 0x5c), u32_at(bytes, 0x60));
        let (wide, dirty) = (incompatible & 0x80 != 0, compatible & 4 != 0 && incompatible & 4 != 0);
        Superblock {
            magic: u16_at(bytes, 0x38),
            log_block_size: u32_at(bytes, 0x18),
            // As ext4-view has it: the upper half counts whether or not the filesystem is a wide one.
            blocks: u64::from(u32_at(bytes, 0x150)) << 32 | u64::from(u32_at(bytes, 0x4)),
            first_block: u32_at(bytes, 0x14),
            blocks_per_group: u32_at(bytes, 0x20),
            inodes_per_group: u32_at(bytes, 0x28),
            inode_size: u16_at(bytes, 0x58),
            wide,
            descriptor_size: if wide { u16_at(bytes, 0xfe) } else { 32 },
            journal: dirty.then_some(u32_at(bytes, 0xe0)),
        }
    }

    /// Only meant once it has been checked.
    fn block_size(&self) -> u64 {
        1024 << self.log_block_size.min(2)
    }

    /// Refuses what no filesystem on a disk of this length says of itself.
    fn check(&self, length: u64) -> Result<(), String> {
        if self.magic != 0xEF53 {
            return Err("there is no ext4 filesystem on it".to_owned());
        }
        let refused = |what: String| Err(format!("its filesystem is damaged: it claims {what}"));
        if self.log_block_size > 2 {
            return refused(format!("blocks of 2^{} bytes", u64::from(self.log_block_size) + 10));
        }
        let size = self.block_size();
        if self.blocks.checked_mul(size).is_none_or(|bytes| bytes > length) {
            return refused(format!("{} blocks of {size} bytes on a disk of {length}", self.blocks));
        }
        let bits = 8 * size;
        if !(8..=bits).contains(&u64::from(self.blocks_per_group)) {
            return refused(format!("{} blocks in a group", self.blocks_per_group));
        }
        if !(1..=bits).contains(&u64::from(self.inodes_per_group)) {
            return refused(format!("{} inodes in a group", self.inodes_per_group));
        }
        if !(128..=size).contains(&u64::from(self.inode_size)) {
            return refused(format!("inodes of {} bytes", self.inode_size));
        }
        if !(32..=size).contains(&u64::from(self.descriptor_size)) {
            return refused(format!("group descriptors of {} bytes", self.descriptor_size));
        }
        let groups = self
            .blocks
            .saturating_sub(u64::from(self.first_block))
            .div_ceil(u64::from(self.blocks_per_group));
        if groups > MOST_GROUPS { refused(format!("{groups} groups of blocks")) } else { Ok(()) }
    }

    /// The size of the journal that will be replayed, out of its inode.
    fn journal_size(&self, file: &File) -> io::Result<Option<u64>> {
        let Some(index) = self.journal.and_then(|inode| inode.checked_sub(1)) else { return Ok(None) };
        let (group, within) = (index / self.inodes_per_group, index % self.inodes_per_group);
        let table = if self.block_size() == 1024 { 2048 } else { self.block_size() };
        let mut descriptor = vec![0; usize::from(self.descriptor_size)];
        file.read_exact_at(&mut descriptor, table + u64::from(group) * u64::from(self.descriptor_size))?;
        let high = if self.wide && descriptor.len() >= 64 { u32_at(&descriptor, 0x28) } else { 0 };
        let inodes = u64::from(high) << 32 | u64::from(u32_at(&descriptor, 0x8));
        let mut inode = [0; 128];
        let at = inodes
            .checked_mul(self.block_size())
            .and_then(|start| start.checked_add(u64::from(within) * u64::from(self.inode_size)))
            .ok_or(io::ErrorKind::InvalidData)?;
        file.read_exact_at(&mut inode, at)?;
        Ok(Some(u64::from(u32_at(&inode, 0x6c)) << 32 | u64::from(u32_at(&inode, 0x4))))
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|part| part.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// As many links as Linux follows (`path_resolution(7)`), and room for paths that people make.
const MOST_LINKS: usize = 40;
const MOST_STEPS: usize = 200;
const LONGEST_LINK: u64 = 4096;

/// Half a million files. A directory is searched from its beginning to its end.
const LARGEST_DIRECTORY: u64 = 32 << 20;

/// Where a path leads, links followed within the filesystem. Done here step by step, since `ext4-view` would read a
/// link or a directory of whatever size it claims.
pub(super) fn real_path(fs: &Ext4, path: &str) -> Option<(String, Metadata)> {
    let (mut rest, mut links) = (Vec::new(), 0);
    push_components(&mut rest, path);
    let (mut here, mut found) = (String::new(), directory(fs, "/")?);
    for _ in 0..MOST_STEPS {
        let Some(name) = rest.pop() else {
            return Some((if here.is_empty() { "/".to_owned() } else { here }, found));
        };
        if name == ".." {
            here.truncate(here.rfind('/').unwrap_or(0));
            found = directory(fs, if here.is_empty() { "/" } else { &here })?;
            continue;
        }
        if !is_directory(&found) {
            return None;
        }
        let next = format!("{here}/{name}");
        let metadata = fs.symlink_metadata(next.as_str()).ok()?;
        if metadata.is_symlink() {
            links += 1;
            if links > MOST_LINKS || metadata.len() > LONGEST_LINK {
                return None;
            }
            let target = fs.read_link(next.as_str()).ok()?;
            let target = target.to_str().ok()?;
            if target.starts_with('/') {
                (here, found) = (String::new(), directory(fs, "/")?);
            }
            push_components(&mut rest, target);
        } else {
            (here, found) = (next, metadata);
        }
    }
    None
}

/// Puts what comes first on top.
fn push_components(rest: &mut Vec<String>, path: &str) {
    rest.extend(path.split('/').filter(|name| !matches!(*name, "" | ".")).rev().map(str::to_owned));
}

fn directory(fs: &Ext4, path: &str) -> Option<Metadata> {
    fs.symlink_metadata(path).ok().filter(is_directory)
}

/// Whether it can be searched.
pub(super) fn is_directory(metadata: &Metadata) -> bool {
    metadata.is_dir() && metadata.len() <= LARGEST_DIRECTORY
}

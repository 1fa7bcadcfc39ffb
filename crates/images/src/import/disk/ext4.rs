//! Reads ext4 out of a file: numbers in, inodes out, nothing believed.
//!
//! Layout and names are those of Linux's Documentation/filesystems/ext4. Only what Honcho's own filesystems have, and
//! what a guest may have made of one, is understood; other features are refused by name. Every number is checked before
//! it is used: no allocation is larger than a block or an inode, save lists of extents, which are counted.

use super::super::{ImportError, refused};
use super::Wanted;
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The number of the root directory's inode.
pub(super) const ROOT: u32 = 2;

/// Runs of blocks of one file: a file of a terabyte in the smallest extents that ext4 makes of a full disk has fewer.
const MOST_RUNS: usize = 4 << 20;

/// A tree of extents is no deeper, whatever the size of the file.
const DEEPEST: u16 = 5;

/// Directories, inodes and trees of extents of a million files have a tenth of this.
const MOST_METADATA: u64 = 16 << 30;

const SUPERBLOCK: u64 = 1024;

/// `incompat` features that change nothing in how files are read: types in directories, extents, 64 bit, multiple mount
/// protection, flexible groups, a seed of checksums, large directories.
const UNDERSTOOD: u32 = 0x2 | 0x40 | 0x80 | 0x100 | 0x200 | 0x2000 | 0x4000;

/// Of those that are not, what people call them.
const OTHERS: &[(u32, &str)] = &[
    (0x1, "compression"),
    (0x8, "journal_dev"),
    (0x10, "meta_bg"),
    (0x400, "ea_inode"),
    (0x1000, "dirdata"),
    (0x8000, "inline_data"),
    (0x1_0000, "encrypt"),
    (0x2_0000, "casefold"),
];

/// A filesystem.
pub(super) struct Ext4<'w> {
    pub(super) file: File,
    pub(super) block_size: u64,
    blocks: u64,
    inodes: u32,
    inodes_per_group: u32,
    inode_size: usize,
    /// Where the group descriptors begin, and how long one is.
    descriptors: u64,
    descriptor_size: u64,
    /// The group whose descriptor was read last, and where its inodes are.
    last: Cell<Option<(u32, u64)>>,
    read: Cell<u64>,
    wanted: Wanted<'w>,
}

/// What an inode says.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) links: u16,
    pub(super) mtime: (i64, u32),
    flags: u32,
    block: [u8; 60],
    /// The block of its extended attributes; 0 for none.
    pub(super) attributes_block: u64,
    /// What is behind the fields of the inode, where small attributes are.
    pub(super) rest: Vec<u8>,
}

/// What is called for each name in a directory, with the inode that it names.
pub(super) type Visit<'v> = &'v mut dyn FnMut(&[u8], u32) -> Result<(), ImportError>;

/// Blocks of a file that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) logical: u64,
    pub(super) physical: u64,
    pub(super) count: u64,
}

pub(super) fn damaged(what: impl std::fmt::Display) -> ImportError {
    refused(format!("its filesystem is damaged: {what}; `e2fsck -f` may mend it"))
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|part| part.try_into().ok()).map_or(0, u16::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// A number of which the upper half is elsewhere.
fn wide(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

impl<'w> Ext4<'w> {
    pub(super) fn open(file: File, length: u64, wanted: Wanted<'w>) -> Result<Self, ImportError> {
        let mut bytes = [0; 1024];
        file.read_exact_at(&mut bytes, SUPERBLOCK).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => refused("it is too short to hold a filesystem"),
            _ => error.into(),
        })?;
        if u16_at(&bytes, 0x38) != 0xEF53 {
            return Err(refused(
                "there is no ext4 filesystem on it (one without a partition table is what guests have)",
            ));
        }
        let incompatible = u32_at(&bytes, 0x60);
        if incompatible & 0x4 != 0 {
            return Err(refused("its filesystem was not unmounted: `e2fsck -p` replays its journal"));
        }
        let unknown = incompatible & !UNDERSTOOD;
        if unknown != 0 {
            let named = OTHERS.iter().filter(|(bit, _)| unknown & bit != 0).map(|(_, name)| *name);
            let rest = unknown & !OTHERS.iter().fold(0, |all, (bit, _)| all | bit);
            let rest = (rest != 0).then(|| format!("0x{rest:x}"));
            let all: Vec<String> = named.map(str::to_owned).chain(rest).collect();
            return Err(refused(format!(
                "its filesystem has features that are not read here: {}",
                all.join(", ")
            )));
        }
        let log_block_size = u32_at(&bytes, 0x18);
        if log_block_size > 6 {
            return Err(damaged("its blocks have no size that there is"));
        }
        let block_size = 1024_u64 << log_block_size;
        let is_wide = incompatible & 0x80 != 0;
        let blocks = wide(if is_wide { u32_at(&bytes, 0x150) } else { 0 }, u32_at(&bytes, 0x4));
        if blocks.checked_mul(block_size).is_none_or(|all| all > length) {
            return Err(damaged(format!("it claims {blocks} blocks of {block_size} bytes and has {length}")));
        }
        let descriptor_size = if is_wide { u64::from(u16_at(&bytes, 0xfe)) } else { 32 };
        let inode_size = usize::from(u16_at(&bytes, 0x58));
        let (inodes, inodes_per_group) = (u32_at(&bytes, 0x0), u32_at(&bytes, 0x28));
        let fits = (32..=block_size).contains(&descriptor_size)
            && (128..=block_size).contains(&(inode_size as u64))
            && (1..=8 * block_size).contains(&u64::from(inodes_per_group));
        if !fits {
            return Err(damaged("its groups or inodes have no size that there is"));
        }
        let first = u64::from(u32_at(&bytes, 0x14));
        Ok(Ext4 {
            file,
            block_size,
            blocks,
            inodes,
            inodes_per_group,
            inode_size,
            descriptors: (first + 1) * block_size,
            descriptor_size,
            last: Cell::new(None),
            read: Cell::new(0),
            wanted,
        })
    }

    /// Reads what is no file's data.
    fn metadata(&self, buffer: &mut [u8], at: u64) -> Result<(), ImportError> {
        if !(self.wanted)() {
            return Err(io::Error::other("nobody wants what is on it any more").into());
        }
        let read = self.read.get().saturating_add(buffer.len() as u64);
        self.read.set(read);
        if read > MOST_METADATA {
            return Err(refused("its directories and lists of blocks are too large to be read"));
        }
        self.file.read_exact_at(buffer, at).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged("something of it lies behind its end"),
            _ => error.into(),
        })
    }

    /// One block.
    pub(super) fn block(&self, number: u64) -> Result<Vec<u8>, ImportError> {
        if number == 0 || number >= self.blocks {
            return Err(damaged(format!("there is no block {number}")));
        }
        let mut block = vec![0; usize::try_from(self.block_size).unwrap_or_default()];
        self.metadata(&mut block, number * self.block_size)?;
        Ok(block)
    }

    fn table_of(&self, group: u32) -> Result<u64, ImportError> {
        if let Some((_, table)) = self.last.get().filter(|(last, _)| *last == group) {
            return Ok(table);
        }
        let mut descriptor = vec![0; usize::try_from(self.descriptor_size).unwrap_or_default()];
        self.metadata(&mut descriptor, self.descriptors + u64::from(group) * self.descriptor_size)?;
        let table = wide(u32_at(&descriptor, 0x28), u32_at(&descriptor, 0x8));
        if table == 0 || table >= self.blocks {
            return Err(damaged(format!("group {group} has no inodes")));
        }
        self.last.set(Some((group, table)));
        Ok(table)
    }

    /// One inode.
    pub(super) fn inode(&self, number: u32) -> Result<Inode, ImportError> {
        if number == 0 || number > self.inodes {
            return Err(damaged(format!("there is no inode {number}")));
        }
        let (group, within) = ((number - 1) / self.inodes_per_group, (number - 1) % self.inodes_per_group);
        let at = self.table_of(group)? * self.block_size + u64::from(within) * self.inode_size as u64;
        let mut bytes = vec![0; self.inode_size];
        self.metadata(&mut bytes, at)?;
        let extra = if bytes.len() > 128 { usize::from(u16_at(&bytes, 0x80)) } else { 0 };
        let rest = bytes.get(128 + extra..).unwrap_or_default().to_vec();
        let half =
            |high: usize, low: usize| u32::from(u16_at(&bytes, high)) << 16 | u32::from(u16_at(&bytes, low));
        // Nanoseconds, and two more bits of seconds, came later.
        let more = if extra >= 12 { u32_at(&bytes, 0x88) } else { 0 };
        let seconds = i64::from(u32_at(&bytes, 0x10).cast_signed()) + (i64::from(more & 3) << 32);
        let mut block = [0; 60];
        block.copy_from_slice(&bytes[0x28..0x64]);
        Ok(Inode {
            mode: u16_at(&bytes, 0x0),
            uid: half(0x78, 0x2),
            gid: half(0x7a, 0x18),
            size: wide(u32_at(&bytes, 0x6c), u32_at(&bytes, 0x4)),
            links: u16_at(&bytes, 0x1a),
            mtime: (seconds, (more >> 2).min(999_999_999)),
            flags: u32_at(&bytes, 0x20),
            block,
            attributes_block: wide(u32::from(u16_at(&bytes, 0x76)), u32_at(&bytes, 0x68)),
            rest,
        })
    }

    /// Where the data of a file are, in the file's order; holes, and what was never written, are left out.
    pub(super) fn runs(&self, inode: &Inode) -> Result<Vec<Run>, ImportError> {
        if inode.flags & EXTENTS == 0 {
            let empty = inode.block.iter().all(|byte| *byte == 0);
            return if empty {
                Ok(Vec::new())
            } else {
                Err(refused("a file of it lists its blocks as ext3 does, which is not read here"))
            };
        }
        let (mut runs, mut next) = (Vec::new(), 0);
        self.node(&inode.block, None, &mut next, &mut runs)?;
        Ok(runs)
    }

    /// A node of a tree of extents. Each has something in it, and each run lies behind the one before: so there are no more nodes
    /// than runs, and none is read twice in a circle.
    fn node(
        &self,
        bytes: &[u8],
        depth: Option<u16>,
        next: &mut u64,
        runs: &mut Vec<Run>,
    ) -> Result<(), ImportError> {
        let (entries, own_depth) = (usize::from(u16_at(bytes, 2)), u16_at(bytes, 6));
        let right = u16_at(bytes, 0) == 0xf30a
            && 12 + 12 * entries <= bytes.len()
            && own_depth <= DEEPEST
            && depth.is_none_or(|depth| depth == own_depth && entries > 0);
        if !right {
            return Err(damaged("a list of a file's blocks is none"));
        }
        for entry in bytes[12..12 + 12 * entries].chunks_exact(12) {
            if own_depth > 0 {
                let child = wide(u32::from(u16_at(entry, 8)), u32_at(entry, 4));
                self.node(&self.block(child)?, Some(own_depth - 1), next, runs)?;
                continue;
            }
            let length = u64::from(u16_at(entry, 4));
            // Reserved and never written: it reads as zeros.
            let (count, written) = if length > 32768 { (length - 32768, false) } else { (length, true) };
            let (logical, physical) =
                (u64::from(u32_at(entry, 0)), wide(u32::from(u16_at(entry, 6)), u32_at(entry, 8)));
            let inside = physical > 0 && physical.checked_add(count).is_some_and(|end| end <= self.blocks);
            if count == 0 || logical < *next || !inside {
                return Err(damaged("a list of a file's blocks contradicts itself"));
            }
            *next = logical + count;
            if !written {
                continue;
            }
            match runs.last_mut() {
                Some(last)
                    if last.logical + last.count == logical && last.physical + last.count == physical =>
                {
                    last.count += count;
                }
                _ => runs.push(Run { logical, physical, count }),
            }
            if runs.len() > MOST_RUNS {
                return Err(refused(format!("a file of it lies in more than {MOST_RUNS} pieces")));
            }
        }
        Ok(())
    }

    /// Calls `visit` with each name in a directory, but `.` and `..`, and the inode that it names.
    pub(super) fn names(&self, directory: &Inode, visit: Visit<'_>) -> Result<(), ImportError> {
        let blocks = directory.size.div_ceil(self.block_size);
        for run in self.runs(directory)? {
            for within in 0..run.count {
                if run.logical + within >= blocks {
                    break;
                }
                names_in(&self.block(run.physical + within)?, visit)?;
            }
        }
        Ok(())
    }

    /// Where a symbolic link leads.
    pub(super) fn link(&self, inode: &Inode) -> Result<Vec<u8>, ImportError> {
        let length = usize::try_from(inode.size).unwrap_or(usize::MAX);
        if inode.flags & EXTENTS == 0 {
            let short = inode.block.get(..length).filter(|_| length < inode.block.len());
            return short.map(<[u8]>::to_vec).ok_or_else(|| damaged("a symbolic link leads nowhere"));
        }
        match self.runs(inode)?.as_slice() {
            [run] if run.logical == 0 && inode.size <= self.block_size => {
                let mut block = self.block(run.physical)?;
                block.truncate(length);
                Ok(block)
            }
            _ => Err(damaged("a symbolic link is longer than a block")),
        }
    }
}

const EXTENTS: u32 = 0x8_0000;

/// Entries of a block of a directory. What an index of names has in between looks like one that is not used.
fn names_in(block: &[u8], visit: Visit<'_>) -> Result<(), ImportError> {
    let mut at = 0;
    while at < block.len() {
        let (inode, length) = (u32_at(block, at), usize::from(u16_at(block, at + 4)));
        // The longest block has no room for its own length.
        let length =
            if length == 0xffff || length == 0 && block.len() == 1 << 16 { block.len() } else { length };
        let name_length = usize::from(block.get(at + 6).copied().unwrap_or_default());
        if length < 12 || length % 4 != 0 || at + length > block.len() || 8 + name_length > length {
            return Err(damaged("a directory holds what is no name"));
        }
        let name = &block[at + 8..at + 8 + name_length];
        at += length;
        if inode == 0 || matches!(name, b"." | b"..") {
            continue;
        }
        if name.is_empty() || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
            return Err(damaged("a directory holds what is no name"));
        }
        visit(name, inode)?;
    }
    Ok(())
}

impl Inode {
    /// The kind in its mode.
    pub(super) fn kind(&self) -> u16 {
        self.mode & 0xf000
    }

    /// A device's numbers: the old way, or the new one.
    pub(super) fn device(&self) -> (u32, u32) {
        let (old, new) = (u32_at(&self.block, 0), u32_at(&self.block, 4));
        if old != 0 {
            (old >> 8 & 0xff, old & 0xff)
        } else {
            (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xf_ff00)
        }
    }
}

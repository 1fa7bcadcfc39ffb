//! A guest's disk: ext4 without a partition table, read by us and never mounted (docs/design/0014-capture.md).
//!
//! ```text
//!   disk --ext4--> tree (names, in memory; data stay where they are) --without identity--> pack --zstd--> a tarball
//! ```
//!
//! Nothing of it is written anywhere: files' data are read from the disk as they are packed. What is packed of a disk that does
//! not change is the same bytes each time, so that a transfer that was cut goes on where it was.

mod attributes;
mod ext4;
mod identity;
#[cfg(test)]
mod tests;

use super::reader::{LONGEST_PATH, Reader};
use super::sparse::{MOST_EXTENTS, Map};
use super::tree::{Content, Tree};
use super::{Devices, ImportError, ImportOptions, Notes, Stored, pack, refused, shown};
use crate::attributes::can_carry_attributes;
use crate::seal::Compressor;
use ext4::{Ext4, Inode, damaged};
use honcho_model::{Bytes, Digest};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek as _, Write};
use std::os::unix::fs::FileExt;

/// All files together may lie in so many pieces: 128 MiB of memory.
const MOST_PIECES: usize = 4 << 20;

/// What was read of a disk.
pub(super) struct Taken {
    pub(super) tree: Tree,
    pub(super) data: OnDisk,
    pub(super) notes: Notes,
}

/// Files' data, one after the other, where they lie on the disk.
#[derive(Debug)]
pub(super) struct OnDisk {
    file: File,
    pieces: Vec<Piece>,
    /// How much there is.
    pub(super) length: u64,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    at: u64,
    /// Where on the disk; zeros, that are nowhere, when `None`.
    from: Option<u64>,
    length: u64,
}

impl OnDisk {
    fn add(&mut self, from: Option<u64>, length: u64) -> Result<(), ImportError> {
        if length == 0 {
            return Ok(());
        }
        if self.pieces.len() >= MOST_PIECES {
            return Err(refused(format!("its files lie in more than {MOST_PIECES} pieces")));
        }
        self.pieces.push(Piece { at: self.length, from, length });
        self.length += length;
        Ok(())
    }
}

impl Stored for OnDisk {
    fn read_exact_at(&self, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
        let mut index = self.pieces.partition_point(|piece| piece.at + piece.length <= at);
        while !buffer.is_empty() {
            let piece = self.pieces.get(index).ok_or(io::ErrorKind::UnexpectedEof)?;
            let within = at - piece.at;
            let length = usize::try_from(piece.length - within).unwrap_or(usize::MAX).min(buffer.len());
            let (now, later) = std::mem::take(&mut buffer).split_at_mut(length);
            match piece.from {
                Some(from) => FileExt::read_exact_at(&self.file, now, from + within)?,
                None => now.fill(0),
            }
            (buffer, at, index) = (later, at + length as u64, index + 1);
        }
        Ok(())
    }
}

/// Whether a disk is to be read on. It is asked again and again.
pub type Wanted<'w> = &'w dyn Fn() -> bool;

/// Reads a disk: names, attributes, and where data lie.
pub(super) fn read(
    mut file: File,
    options: &ImportOptions,
    wanted: Wanted<'_>,
) -> Result<Taken, ImportError> {
    // A block device says so of its length, and nothing else.
    let length = file.seek(io::SeekFrom::End(0))?;
    let ext4 = Ext4::open(file.try_clone()?, length, wanted)?;
    let mut scan = Scan {
        disk: length,
        ext4: &ext4,
        options,
        tree: Tree::new(),
        data: OnDisk { file, pieces: Vec::new(), length: 0 },
        notes: Notes::default(),
        known: HashMap::new(),
        open: Vec::new(),
        // The root has an entry of its own.
        names: 1,
        length: 0,
        read: 0,
        zeros: 0,
    };
    scan.all()?;
    let Scan { mut tree, data, mut notes, .. } = scan;
    identity::remove(&mut tree, &mut notes.identity)?;
    as_a_tarball_may_have_it(&tree)?;
    Ok(Taken { tree, data, notes })
}

/// What the reader of tarballs refuses is refused where it can be mended still.
fn as_a_tarball_may_have_it(tree: &Tree) -> Result<(), ImportError> {
    tree.walk(&mut |path, inode| {
        let attributes = &tree.node(inode).attributes;
        if attributes.uid == u32::MAX || attributes.gid == u32::MAX {
            return Err(refused(format!(
                "{} is owned by id {}, which no Linux knows",
                shown(path),
                u32::MAX
            )));
        }
        if attributes.are_extended() && !can_carry_attributes(path) {
            return Err(refused(format!(
                "{} has extended attributes, and a name that our tools cannot give any",
                shown(path)
            )));
        }
        Ok(())
    })
}

/// A reading in the making.
struct Scan<'s> {
    ext4: &'s Ext4<'s>,
    options: &'s ImportOptions,
    tree: Tree,
    data: OnDisk,
    notes: Notes,
    /// Where in the tree each inode is that has a name.
    known: HashMap<u32, usize>,
    /// Directories to be read: inode, place in the tree, length of the path.
    open: Vec<(u32, usize, usize)>,
    names: u64,
    /// The sizes of the files together.
    length: u64,
    /// How long the disk is, how much of it files say is theirs, and how many zeros of theirs are spelled out.
    disk: u64,
    read: u64,
    zeros: u64,
}

const DIRECTORY: u16 = 0x4000;

impl Scan<'_> {
    fn all(&mut self) -> Result<(), ImportError> {
        let root = self.ext4.inode(ext4::ROOT)?;
        if root.kind() != DIRECTORY {
            return Err(damaged("its root is no directory"));
        }
        self.tree.set_attributes(0, attributes::of(self.ext4, &root, b"/")?);
        self.known.insert(ext4::ROOT, 0);
        self.open.push((ext4::ROOT, 0, 0));
        while let Some((number, directory, length)) = self.open.pop() {
            let ext4 = self.ext4;
            let inode = ext4.inode(number)?;
            ext4.names(&inode, &mut |name, number| {
                // What e2fsck finds lost is no file of the system.
                if directory == 0 && name == b"lost+found" {
                    return Ok(());
                }
                self.take(directory, length + 1 + name.len(), name, number)
            })?;
        }
        Ok(())
    }

    fn take(&mut self, directory: usize, length: usize, name: &[u8], number: u32) -> Result<(), ImportError> {
        self.names += 1;
        let most = self.options.most_files;
        if self.names > most {
            return Err(refused(format!(
                "it holds more than {most} files: if that is meant, raise --max-files"
            )));
        }
        // In a tarball there is something before it and behind it.
        if length + 2 > LONGEST_PATH {
            return Err(refused(format!("{} lies too deep: no path may be so long", shown(name))));
        }
        if let Some(&there) = self.known.get(&number) {
            if matches!(self.tree.node(there).content, Content::Directory(_)) {
                return Err(damaged(format!("the directory {} is in two places", shown(name))));
            }
            return self.tree.add_name(directory, name, there);
        }
        let inode = self.ext4.inode(number)?;
        if inode.links == 0 {
            return Err(damaged(format!("{} is deleted, and still has a name", shown(name))));
        }
        let mut attributes = attributes::of(self.ext4, &inode, name)?;
        let Some(content) = self.content(&inode, name)? else { return Ok(()) };
        self.notes.see(name, &attributes);
        attributes.left_out = Vec::new();
        let is_directory = matches!(content, Content::Directory(_));
        let place = self.tree.add(directory, name, content, attributes)?;
        if is_directory {
            self.open.push((number, place, length));
        }
        // Whatever it says of how many names it has.
        self.known.insert(number, place);
        Ok(())
    }

    /// What is in it; `None` for what is left out.
    fn content(&mut self, inode: &Inode, name: &[u8]) -> Result<Option<Content>, ImportError> {
        Ok(Some(match inode.kind() {
            DIRECTORY => Content::Directory(std::collections::BTreeMap::new()),
            0x8000 => {
                let (map, at) = self.file(inode, name)?;
                Content::File { map, at }
            }
            0xa000 => Content::Symlink(match self.ext4.link(inode)? {
                to if to.is_empty() || to.contains(&0) || to.len() > LONGEST_PATH => {
                    return Err(damaged(format!("the symbolic link {} leads nowhere", shown(name))));
                }
                to => to.into(),
            }),
            kind @ (0x2000 | 0x6000) => {
                if self.options.devices == Devices::LeaveOut {
                    self.notes.devices.add(&shown(name));
                    return Ok(None);
                }
                let (major, minor) = inode.device();
                Content::Device { block: kind == 0x6000, major, minor }
            }
            0x1000 => Content::Fifo,
            // Sockets are made anew by who listens.
            0xc000 => return Ok(None),
            kind => return Err(damaged(format!("{} is of kind {kind:x}, which there is not", shown(name)))),
        }))
    }

    /// Which parts of a file are there, and where its data begin.
    fn file(&mut self, inode: &Inode, name: &[u8]) -> Result<(Map, u64), ImportError> {
        self.length = self.length.saturating_add(inode.size);
        if self.length > self.options.largest.0 {
            return Err(refused(format!(
                "its files have more than {} ({} of them): if that is meant, raise --max-size",
                self.options.largest, self.names
            )));
        }
        let (begin, at) = (self.data.pieces.len(), self.data.length);
        let mut parts: Vec<(u64, u64)> = Vec::new();
        let mut dense = Vec::new();
        for run in self.ext4.runs(inode)? {
            let offset = run.logical * self.ext4.block_size;
            // Room may be kept behind the end.
            let length = (run.count * self.ext4.block_size).min(inode.size.saturating_sub(offset));
            if length == 0 {
                continue;
            }
            match parts.last_mut() {
                Some((begin, so_far)) if *begin + *so_far == offset => *so_far += length,
                _ => parts.push((offset, length)),
            }
            // No two files share blocks.
            self.read += length;
            if self.read > self.disk {
                return Err(damaged(format!(
                    "up to {}, its files have more blocks than it has",
                    shown(name)
                )));
            }
            dense.push((offset, run.physical * self.ext4.block_size, length));
            self.data.add(Some(run.physical * self.ext4.block_size), length)?;
        }
        if parts.len() <= MOST_EXTENTS {
            let stored = self.data.length - at;
            let map = Map::new(parts, inode.size, stored)
                .map_err(|reason| damaged(format!("{} is {reason}", shown(name))))?;
            return Ok((map, at));
        }
        // More holes than a tarball tells of: they are zeros like any others.
        self.zeros = self.zeros.saturating_add(inode.size - (self.data.length - at));
        if self.zeros > self.disk {
            return Err(refused(format!(
                "{} has more than {MOST_EXTENTS} holes, and they are larger than the disk",
                shown(name)
            )));
        }
        self.data.pieces.truncate(begin);
        self.data.length = at;
        let mut end = 0;
        for (offset, from, length) in dense {
            self.data.add(None, offset - end)?;
            self.data.add(Some(from), length)?;
            end = offset + length;
        }
        self.data.add(None, inode.size - end)?;
        Ok((Map::dense(inode.size), at))
    }
}

/// What a disk came to as a tarball.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// SHA-256 of the tar.zst.
    pub digest: Digest,
    /// How long it is.
    pub compressed: Bytes,
}

/// Whoever seals the tarball has limits of their own, and lower ones.
const MOST_FILES: u64 = 10_000_000;

/// Reads a guest's disk, which nobody writes, and writes its files as a tar.zst, without what makes it that guest. Ends with an
/// error soon after it is not `wanted` any more, or cannot be written. `progress` hears per cent. Blocks while it does.
pub fn capture(
    disk: File,
    to: impl Write,
    wanted: Wanted<'_>,
    progress: &dyn Fn(u8),
) -> Result<Captured, ImportError> {
    let options = ImportOptions {
        largest: Bytes(1 << 44),
        most_files: MOST_FILES,
        devices: Devices::LeaveOut,
        ..ImportOptions::default()
    };
    let Taken { tree, data, .. } = read(disk, &options, wanted)?;
    // It is compressed once more, and harder, by whoever seals it.
    let mut compressor = Compressor::quick(to)?;
    let (all, told) = (data.length.max(1), std::cell::Cell::new(None));
    pack::pack(&tree, &data, &mut compressor, &|done| {
        let percent = u8::try_from(u128::from(done) * 100 / u128::from(all)).unwrap_or(100);
        if told.replace(Some(percent)) != Some(percent) {
            progress(percent);
        }
    })?;
    let (digest, compressed) = compressor.finish()?;
    Ok(Captured { digest, compressed })
}

/// For fuzzing: reads a disk, and packs what was taken of it. What was packed must read as a tarball, and as itself.
///
/// # Panics
///
/// If it does not.
#[doc(hidden)]
pub fn check_disk(disk: &[u8]) {
    let Ok(mut file) = tempfile::tempfile() else { return };
    if file.write_all(disk).is_err() {
        return;
    }
    let options = ImportOptions {
        largest: Bytes(16 << 20),
        most_files: 10_000,
        devices: Devices::Keep,
        ..ImportOptions::default()
    };
    let Ok(Taken { tree, data, .. }) = read(file, &options, &|| true) else { return };
    let mut packed = Vec::new();
    match pack::pack(&tree, &data, &mut packed, &|_| {}) {
        Ok(()) => {}
        Err(ImportError::Refused(_)) => return,
        Err(error) => panic!("what was read cannot be packed: {error}"),
    }
    let again = || -> Result<Vec<u8>, ImportError> {
        let spool = tempfile::tempfile()?;
        let mut reader = Reader::new(packed.as_slice(), packed.len() as u64);
        let taken = super::read_entries(&mut reader, &spool, &options, &mut |_| {})?;
        let mut twice = Vec::new();
        pack::pack(&taken.tree, &spool, &mut twice, &|_| {})?;
        Ok(twice)
    };
    match again() {
        Ok(twice) => assert!(packed == twice, "what was packed reads as something else"),
        Err(error) => panic!("what was packed is refused: {error}"),
    }
}

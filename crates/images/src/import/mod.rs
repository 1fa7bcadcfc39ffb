//! Strangers' root filesystems become images: `docker export`, debootstrap's, an LXC template.
//!
//! ```text
//!   FILE --gzip|xz|zstd, sandboxed--> reader --> tree (names, in memory)  --check--> pack --zstd--> NAME-DIGEST.tar.zst
//!                                          '---> spool (data, one file without a name) --'
//! ```
//!
//! A stranger's tarball is read once, by one reader, and never unpacked into a directory: no path in it is ever given to
//! a kernel, so none can climb out of anything. What is packed is the tree, in our own one form
//! (docs/design/0010-images.md): whatever another reader would have made of the tarball, nobody reads it any more.
//! Memory is bounded by the limits, whatever the file says; data is never held.
//!
//! A disk of a guest's becomes a tree in the same way, by a reader of ext4 ([`disk`]).

mod acl;
mod check;
mod decompress;
pub mod disk;
pub mod files;
mod host_kernel;
mod pack;
mod pax;
mod reader;
mod sparse;
#[cfg(test)]
mod tests;
mod tree;

pub use check::Distribution;
pub(crate) use check::parse_os_release;

use crate::attributes::can_carry_attributes;
use crate::debian::Package;
use crate::partial::{Partial, remove_stale};
use crate::seal::{Compressor, Facts};
use crate::tool::ToolMissing;
use decompress::Source;
use honcho_model::{Bytes, Digest, Name};
use reader::{Attributes, Kind, Reader};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tree::{Placed, Tree};

/// What is taken, and how much of it.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Files and holes together may be so long.
    pub largest: Bytes,
    /// So many files, directories and links.
    pub most_files: u64,
    /// Whether device nodes stay.
    pub devices: Devices,
    /// Whose kernel guests boot.
    pub kernel: KernelFrom,
    /// What the file is.
    pub from: ImportFrom,
}

/// What a root filesystem is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFrom {
    /// A tarball.
    Tarball,
    /// A disk, or a file that is one: ext4 without a partition table. What makes it one machine's is left out.
    Disk,
}

impl Default for ImportOptions {
    fn default() -> Self {
        ImportOptions {
            largest: Bytes(20 << 30),
            most_files: 1_000_000,
            devices: Devices::LeaveOut,
            kernel: KernelFrom::Image,
            from: ImportFrom::Tarball,
        }
    }
}

/// What becomes of device nodes. A guest's /dev is made by its kernel, so that it needs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Devices {
    /// They are left out, and named.
    LeaveOut,
    /// They stay.
    Keep,
}

/// Whose kernel guests boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelFrom {
    /// The image's own, which it must have.
    Image,
    /// That of the machine whose root this is: kernel, initrd and modules are put into the image.
    Machine(PathBuf),
}

/// Why a file did not become an image.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is at fault; reads on from its name.
    #[error("{0}")]
    Refused(String),
    /// A program is not installed.
    #[error(transparent)]
    Tool(#[from] ToolMissing),
    /// This machine is at fault.
    #[error("{0}")]
    Io(#[from] io::Error),
}

fn refused(reason: impl Into<String>) -> ImportError {
    ImportError::Refused(reason.into())
}

/// An image made of a stranger's root filesystem.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct ImportedImage {
    /// The tarball (tar.zst).
    pub path: PathBuf,
    /// SHA-256 of it.
    pub digest: Digest,
    /// Its size.
    pub compressed: Bytes,
    /// How much a filesystem has to hold: the sizes of the files, or more where there are very many.
    pub unpacked: Bytes,
    /// The packages installed in it, if dpkg lists them.
    pub packages: Vec<Package>,
    /// Which distribution it is, if it says so.
    pub distribution: Option<Distribution>,
    /// Whose processors its programs are made for, if they say so.
    pub architecture: Option<String>,
    /// Where its first program is.
    pub init: String,
    /// Where its kernel is.
    pub kernel: String,
    /// How many files, directories and links there are.
    pub files: u64,
    /// What its owner should know, a sentence each.
    pub notes: Vec<String>,
}

impl ImportedImage {
    /// What it says of itself.
    pub fn facts(&self) -> Facts {
        Facts {
            distribution: self.distribution.clone(),
            init: Some(self.init.clone()),
            kernel: Some(self.kernel.clone()),
            files: self.files,
        }
    }
}

/// Hears what is being done, and how far that is in per cent.
pub type ImportProgress<'a> = &'a (dyn Fn(&str, u8) + Sync);

/// Imports `file` as an image into `out_dir`. Blocks while it does.
pub fn import(
    file: &Path,
    name: &Name,
    out_dir: &Path,
    options: &ImportOptions,
    progress: ImportProgress<'_>,
) -> Result<ImportedImage, ImportError> {
    std::fs::create_dir_all(out_dir)?;
    let out_dir = out_dir.canonicalize()?;
    remove_stale(&out_dir)?;
    let mut data = Data { disk: None, spool: tempfile::tempfile_in(&out_dir)? };
    let mut read = match options.from {
        ImportFrom::Tarball => read_tarball(file, &out_dir, &data.spool, options, progress)?,
        ImportFrom::Disk => {
            progress("read the disk", 0);
            let disk::Taken { tree, data: disk, notes } = disk::read(File::open(file)?, options, &|| true)?;
            let stored = data.disk.insert(disk).length;
            Taken { tree, stored, notes }
        }
    };
    progress("check", 50);
    check::resolve_acls(&mut read.tree, &data)?;
    let init = check::init(&read.tree)?;
    if let KernelFrom::Machine(root) = &options.kernel {
        read.notes.kernel = Some(host_kernel::add(root, &mut read.tree, &data.spool, &mut read.stored)?);
    }
    let kernel = check::kernel(&read.tree).ok_or_else(|| {
        refused(
            "it has no kernel: neither /vmlinuz nor /boot/vmlinuz-* is one. Install one in it (linux-image-cloud-amd64, \
             kernel-core), or say --host-kernel, which puts this machine's into the image",
        )
    })?;
    let partial = Partial::create(&out_dir, name.as_str())?;
    let mut compressor = Compressor::new(io::BufWriter::with_capacity(1 << 20, partial.file()))?;
    let stored = read.stored.max(1);
    pack::pack(&read.tree, &data, &mut compressor, &|done| {
        progress("pack it anew", 50 + u8::try_from(done.saturating_mul(49) / stored).unwrap_or(49).min(49));
    })?;
    let (digest, compressed) = compressor.finish()?;
    partial.file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    let path = partial.finish(&format!("{name}-{}.tar.zst", &digest.to_string()[..12]))?;
    Ok(ImportedImage {
        path,
        digest,
        compressed,
        unpacked: Bytes(read.stored.max(read.tree.len() as u64 * BYTES_OF_AN_INODE)),
        packages: check::packages(&read.tree, &data)?,
        distribution: check::distribution(&read.tree, &data)?,
        architecture: check::architecture(&read.tree, &data, &init)?.map(str::to_owned),
        init,
        kernel,
        files: read.tree.len() as u64,
        notes: read.notes.sentences(check::surprises(&read.tree)),
    })
}

fn read_tarball(
    file: &Path,
    out_dir: &Path,
    spool: &File,
    options: &ImportOptions,
    progress: ImportProgress<'_>,
) -> Result<Taken, ImportError> {
    let mut source = Source::open(file, out_dir)?;
    let read = match read(&mut source, spool, options, &|percent| progress("read the files", percent)) {
        Ok(read) => read,
        // A compressor's complaint says more than that something is missing.
        Err(ImportError::Refused(reason)) => {
            return Err(source.complaint().unwrap_or(ImportError::Refused(reason)));
        }
        Err(error) => return Err(error),
    };
    source.end()?;
    Ok(read)
}

/// What files' data are read from, by where they begin.
trait Stored {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;
}

impl Stored for File {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, at)
    }
}

/// A spool; or a disk, and behind where that ends a spool.
struct Data {
    disk: Option<disk::OnDisk>,
    spool: File,
}

impl Stored for Data {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match &self.disk {
            Some(disk) if at < disk.length => disk.read_exact_at(buffer, at),
            _ => FileExt::read_exact_at(&self.spool, buffer, at),
        }
    }
}

/// Reads a sealed image as a stranger's and writes it as plain tar: what unpacks that needs to trust nobody's form.
pub(crate) fn repack(file: &Path, directory: &Path, mut to: impl io::Write) -> Result<(), ImportError> {
    let options = ImportOptions {
        largest: Bytes(1 << 44),
        most_files: 20_000_000,
        devices: Devices::Keep,
        ..ImportOptions::default()
    };
    let spool = tempfile::tempfile_in(directory)?;
    let mut source = Source::open(file, directory)?;
    let taken = read(&mut source, &spool, &options, &|_| {})?;
    source.end()?;
    pack::pack(&taken.tree, &spool, &mut to, &|_| {})?;
    Ok(to.flush()?)
}

/// A filesystem for so many bytes has one inode more, as [`crate::unpack::filesystem_size`] makes them.
const BYTES_OF_AN_INODE: u64 = 5500;

/// What was read of a file.
struct Taken {
    tree: Tree,
    /// How many bytes of data the spool holds that a file has.
    stored: u64,
    notes: Notes,
}

fn read(
    source: &mut Source,
    spool: &File,
    options: &ImportOptions,
    progress: &dyn Fn(u8),
) -> Result<Taken, ImportError> {
    // Headers and extensions have a kilobyte or two for each file.
    let most =
        options.largest.0.saturating_add(options.most_files.saturating_mul(4096)).saturating_add(1 << 30);
    let mut told = 0;
    read_entries(&mut Reader::new(source, most), spool, options, &mut |source| {
        let percent = source.percent() / 2;
        if percent != told {
            told = percent;
            progress(percent);
        }
    })
}

fn read_entries<R: Read>(
    reader: &mut Reader<R>,
    spool: &File,
    options: &ImportOptions,
    progress: &mut dyn FnMut(&R),
) -> Result<Taken, ImportError> {
    let (mut tree, mut notes, mut spooled, mut length) = (Tree::new(), Notes::default(), 0_u64, 0_u64);
    let (mut entries, mut buffer) = (0_u64, vec![0; 128 << 10]);
    let too_many = |files: u64| {
        let most = options.most_files;
        let error =
            || refused(format!("it holds more than {most} files: if that is meant, raise --max-files"));
        (files <= most).then_some(()).ok_or_else(error)
    };
    while let Some(mut entry) = reader.next()? {
        progress(reader.source());
        entries += 1;
        too_many(entries)?;
        if let Kind::File(map) = &entry.kind {
            length = length.saturating_add(map.size);
            if length > options.largest.0 {
                return Err(refused(format!(
                    "its files have more than {} ({} of them): if that is meant, raise --max-size",
                    options.largest, entries
                )));
            }
        }
        notes.see(&entry.path, &entry.attributes);
        entry.attributes.left_out = Vec::new();
        if entry.attributes.are_extended() && !can_carry_attributes(&entry.path) {
            return Err(refused(format!(
                "{} has extended attributes, and a name that our tools cannot give any",
                shown(&entry.path)
            )));
        }
        if matches!(entry.kind, Kind::Device { .. }) && options.devices == Devices::LeaveOut {
            notes.devices.add(&shown(&entry.path));
            continue;
        }
        let path = entry.path.clone();
        if tree.place(entry, spooled)? == Placed::Replaced {
            notes.replaced.add(&shown(&path));
        }
        // One name can bring many directories along.
        too_many(tree.len() as u64)?;
        loop {
            let n = reader.read_data(&mut buffer)?;
            if n == 0 {
                break;
            }
            spool.write_all_at(&buffer[..n], spooled).map_err(no_room)?;
            spooled += n as u64;
        }
    }
    Ok(Taken { tree, stored: spooled, notes })
}

fn no_room(error: io::Error) -> ImportError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ImportError::Io(io::Error::new(
            error.kind(),
            "the disk is full: free some space, or give another directory with --directory",
        )),
        _ => ImportError::Io(error),
    }
}

/// What its owner should know.
#[derive(Debug, Default)]
struct Notes {
    absolute: Sample,
    devices: Sample,
    replaced: Sample,
    odd: Sample,
    xattrs: Sample,
    /// What made it one guest's.
    identity: Sample,
    kernel: Option<String>,
}

/// A number of names, and the first few.
#[derive(Debug, Default)]
struct Sample {
    count: u64,
    first: Vec<String>,
}

impl Sample {
    fn add(&mut self, name: &str) {
        self.count += 1;
        if self.first.len() < 5 {
            self.first.push(name.to_owned());
        }
    }

    /// A sentence, if there is anything to say.
    fn sentence(&self, what: &str) -> Option<String> {
        let more = if self.count > self.first.len() as u64 { ", …" } else { "" };
        (self.count > 0).then(|| format!("{what} ({}): {}{more}", self.count, self.first.join(", ")))
    }
}

impl Notes {
    fn see(&mut self, path: &[u8], attributes: &Attributes) {
        if path.starts_with(b"/") {
            self.absolute.add(&shown(path));
        }
        let text = std::str::from_utf8(path);
        if text.is_err() || text.is_ok_and(|text| text.chars().any(char::is_control)) {
            self.odd.add(&shown(path));
        }
        for name in &attributes.left_out {
            self.xattrs.add(&format!("{} of {}", shown(name), shown(path)));
        }
    }

    fn sentences(&self, (usual, surprises): (u64, Sample)) -> Vec<String> {
        let of_usual = format!(
            "programs with rights of their own in unusual places (besides {usual} such as su and passwd); look at them"
        );
        [
            self.absolute.sentence("absolute names, taken as within the image"),
            self.devices.sentence("device nodes left out (--devices keeps them)"),
            self.replaced.sentence("names that came twice, of which the later file counts"),
            self.odd.sentence("names that are no text or hold control characters, kept as they are"),
            self.xattrs.sentence("extended attributes left out, which mean nothing in a guest"),
            self.identity.sentence("left out, for it made the disk one guest's"),
            surprises.sentence(&of_usual),
            self.kernel.clone(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// A name of a stranger's for people: control characters and what is no text are escaped, and it is cut.
fn shown(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
        }
        for byte in chunk.invalid() {
            text.extend(std::ascii::escape_default(*byte).map(char::from));
        }
    }
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Reads the extended attributes of a tarball's files, access control lists among them, as a filesystem has them.
pub(crate) struct AttributeReader<R>(Reader<R>);

/// Names and values.
pub(crate) type Attributed = Vec<(Vec<u8>, Vec<u8>)>;

impl<R: Read> AttributeReader<R> {
    pub(crate) fn new(tar: R, most: u64) -> Self {
        AttributeReader(Reader::new(tar, most))
    }

    /// The next file's path and attributes; `None` after the last one.
    pub(crate) fn next(&mut self) -> Result<Option<(Vec<u8>, Attributed)>, ImportError> {
        Ok(self.0.next()?.map(|entry| {
            let path = [b"/", entry.path.strip_prefix(b"./").unwrap_or(&entry.path)].concat();
            (path, entry.attributes.as_a_filesystem_has_them())
        }))
    }
}

/// For fuzzing: reads a tarball, and packs what was taken of it. What was packed must read as itself.
///
/// # Panics
///
/// If it does not.
#[doc(hidden)]
pub fn check_reader(tarball: &[u8]) {
    let options = ImportOptions {
        largest: Bytes(4 << 20),
        most_files: 1000,
        devices: Devices::Keep,
        ..ImportOptions::default()
    };
    let again = |bytes: &[u8]| -> Result<Vec<u8>, ImportError> {
        let spool = tempfile::tempfile()?;
        let mut taken = read_entries(&mut Reader::new(bytes, 64 << 20), &spool, &options, &mut |_| {})?;
        check::resolve_acls(&mut taken.tree, &spool)?;
        let mut packed = Vec::new();
        pack::pack(&taken.tree, &spool, &mut packed, &|_| {})?;
        // Whatever they find, they must not stumble.
        let _ =
            (check::init(&taken.tree), check::kernel(&taken.tree), check::distribution(&taken.tree, &spool));
        drop(taken.notes.sentences(check::surprises(&taken.tree)));
        Ok(packed)
    };
    let Ok(packed) = again(tarball) else { return };
    match again(&packed) {
        Ok(twice) => assert!(packed == twice, "what was packed reads as something else"),
        Err(error) => panic!("what was packed is refused: {error}"),
    }
}

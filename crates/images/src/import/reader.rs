//! Reads a stranger's tar: blocks in, entries out, nothing believed.
//!
//! Understands what archivers of root filesystems write: v7, ustar, PAX, GNU (long names, sparse files). Where two
//! readers of tar could disagree (a second name for one entry, data behind something that has none, records for all
//! files), the tarball is refused rather than guessed at. Memory is bounded, whatever the numbers in it say.

use super::acl::Acl;
use super::pax::Records;
use super::sparse::{self, Map, Said};
use super::{ImportError, refused, shown};
use std::io::{self, Read};

/// An entry of the tarball.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) attributes: Attributes,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    /// Its data follows.
    File(Map),
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    Device {
        block: bool,
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// What goes with any file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: (i64, u32),
    /// Extended attributes but access control lists, by name.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) acl: Option<Acl>,
    pub(super) default_acl: Option<Acl>,
    /// Names of extended attributes that were left out.
    pub(super) left_out: Vec<Vec<u8>>,
}

impl Attributes {
    /// Whether there are extended attributes.
    pub(super) fn are_extended(&self) -> bool {
        !self.xattrs.is_empty() || self.acl.is_some() || self.default_acl.is_some()
    }

    /// Extended attributes, access control lists among them.
    pub(super) fn as_a_filesystem_has_them(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut all = self.xattrs.clone();
        let lists = [(&self.acl, "access"), (&self.default_acl, "default")];
        all.extend(lists.into_iter().filter_map(|(acl, name)| {
            Some((format!("system.posix_acl_{name}").into_bytes(), acl.as_ref()?.to_binary()))
        }));
        all
    }
}

/// Linux takes no longer path.
pub(super) const LONGEST_PATH: usize = 4095;

/// An extended header with the largest attributes that ext4 holds is far smaller.
const LONGEST_EXTENSION: u64 = 1 << 20;

/// What ext4 has room for beside an inode: a block of 4 KiB, with its headers.
pub(super) const LARGEST_XATTRS: usize = 3500;

/// tar pads its end to a record; some pad to a disk's block.
const LONGEST_PADDING: u64 = 64 << 20;

const BLOCK: usize = 512;

/// Reads entries one after the other.
pub(super) struct Reader<R> {
    from: R,
    at: u64,
    /// No more than this is read, whatever it is.
    most: u64,
    /// Bytes of data of the current entry that have not been read, and of the padding after it.
    left: u64,
    padding: u64,
    /// The current entry, as errors name it.
    current: String,
}

/// Extensions that came before an entry's own header.
#[derive(Default)]
struct Extensions {
    records: Option<Records>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: Read> Reader<R> {
    /// A reader that gives up after `most` bytes.
    pub(super) fn new(from: R, most: u64) -> Self {
        Reader { from, at: 0, most, left: 0, padding: 0, current: String::new() }
    }

    /// What is read.
    pub(super) fn source(&self) -> &R {
        &self.from
    }

    /// The next entry; `None` after the end mark and whatever pads it.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, ImportError> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_rest()?;
            let Some(header) = self.header()? else {
                if extensions.any() {
                    return Err(refused("it ends after an extension of an entry that does not come"));
                }
                self.read_padding()?;
                return Ok(None);
            };
            let kind = header.entry_type();
            if !matches!(kind.as_byte(), b'L' | b'K' | b'x' | b'X' | b'g' | b'V') {
                return self.entry(&header, extensions).map(Some);
            }
            self.begin_data(number(header.entry_size(), "size")?);
            self.extension(kind.as_byte(), &mut extensions)?;
        }
    }

    fn extension(&mut self, kind: u8, to: &mut Extensions) -> Result<(), ImportError> {
        // A volume's label says nothing of its files.
        if kind == b'V' {
            return self.skip_rest();
        }
        if self.left > LONGEST_EXTENSION {
            return Err(refused(format!("an extension of an entry is {} bytes long", self.left)));
        }
        let mut data = vec![0; usize::try_from(self.left).unwrap_or_default()];
        self.data(&mut data)?;
        let twice = match kind {
            b'L' => to.long_name.replace(without_end(data)).is_some(),
            b'K' => to.long_link.replace(without_end(data)).is_some(),
            b'g' => return for_all(&Records::parse(&data).map_err(refused_as)?),
            _ => to.records.replace(Records::parse(&data).map_err(refused_as)?).is_some(),
        };
        if twice { Err(refused("an entry has two extensions of one kind")) } else { Ok(()) }
    }

    fn entry(&mut self, header: &tar::Header, extensions: Extensions) -> Result<Entry, ImportError> {
        let Extensions { records, long_name, long_link } = extensions;
        let records = records.unwrap_or_default();
        let one = |pax: Option<&[u8]>, long: Option<Vec<u8>>, plain: &[u8]| match (pax, long) {
            (Some(pax), Some(long)) if pax != long => {
                Err(refused(format!("an entry has two names, {} and {}", shown(pax), shown(&long))))
            }
            (Some(pax), _) => Ok(pax.to_vec()),
            (None, Some(long)) => Ok(long),
            (None, None) => Ok(plain.to_vec()),
        };
        let sparse_name = records.get("GNU.sparse.name");
        let path = one(sparse_name.or(records.get("path")), long_name, &header.path_bytes())?;
        let link = one(records.get("linkpath"), long_link, &header.link_name_bytes().unwrap_or_default())?;
        self.current = shown(&path);
        for text in [&path, &link] {
            if text.len() > LONGEST_PATH || text.contains(&0) {
                return Err(self.refuse("has a name that no filesystem takes"));
            }
        }
        let attributes = self.attributes(header, &records)?;
        let kind = self.kind(header, &records, &path, link)?;
        Ok(Entry { path, kind, attributes })
    }

    fn attributes(&self, header: &tar::Header, records: &Records) -> Result<Attributes, ImportError> {
        let id = |keyword, field: &[u8; 8], plain: io::Result<u64>| -> Result<u32, ImportError> {
            let id = match records.number(keyword).map_err(|reason| self.refuse(&reason))? {
                Some(id) => id,
                None => self.number(field, plain, keyword)?,
            };
            // The last one is no user: chown takes it for "leave as it is".
            u32::try_from(id)
                .ok()
                .filter(|id| *id < u32::MAX)
                .ok_or_else(|| self.refuse(&format!("is owned by {keyword} {id}, which no Linux knows")))
        };
        let mtime = match records.time("mtime").map_err(|reason| self.refuse(&reason))? {
            Some(time) => time,
            None => (signed(&header.as_old().mtime).ok_or_else(|| self.refuse("has no time"))?, 0),
        };
        let mut attributes = Attributes {
            mode: self
                .number(&header.as_old().mode, header.mode().map(u64::from), "mode")?
                .try_into()
                .unwrap_or_default(),
            uid: id("uid", &header.as_old().uid, header.uid())?,
            gid: id("gid", &header.as_old().gid, header.gid())?,
            mtime,
            ..Attributes::default()
        };
        // tar keeps the type apart; some put it here, too.
        attributes.mode &= 0o7777;
        self.extended(records, &mut attributes)?;
        Ok(attributes)
    }

    fn extended(&self, records: &Records, to: &mut Attributes) -> Result<(), ImportError> {
        let too_large = || self.refuse("has larger extended attributes than ext4 can hold (3.5 kB together)");
        for (key, value) in records.iter() {
            // Each is looked for among all that came before it.
            if to.xattrs.len() > LARGEST_XATTRS / 32 {
                return Err(too_large());
            }
            let bad = |reason: String| self.refuse(&format!("has {reason}"));
            match key {
                b"SCHILY.acl.access" => merge(&mut to.acl, Acl::parse_text(value)).map_err(bad)?,
                b"SCHILY.acl.default" => merge(&mut to.default_acl, Acl::parse_text(value)).map_err(bad)?,
                b"SCHILY.xattr.system.posix_acl_access" => {
                    merge(&mut to.acl, Acl::parse_binary(value)).map_err(bad)?;
                }
                b"SCHILY.xattr.system.posix_acl_default" => {
                    merge(&mut to.default_acl, Acl::parse_binary(value)).map_err(bad)?;
                }
                b"RHT.security.selinux" => set(&mut to.xattrs, b"security.selinux", value),
                _ => match key.strip_prefix(b"SCHILY.xattr.") {
                    Some(name) if is_kept(name) => set(&mut to.xattrs, name, value),
                    Some(name) => to.left_out.push(name.to_vec()),
                    None => {}
                },
            }
        }
        let size: usize = to.xattrs.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
        if size > LARGEST_XATTRS {
            return Err(too_large());
        }
        to.xattrs.sort();
        Ok(())
    }

    fn kind(
        &mut self,
        header: &tar::Header,
        records: &Records,
        path: &[u8],
        link: Vec<u8>,
    ) -> Result<Kind, ImportError> {
        let plain = self.number(&header.as_old().size, header.entry_size(), "size")?;
        let size = records.number("size").map_err(|reason| self.refuse(&reason))?.unwrap_or(plain);
        let device = |reader: &Self, block| -> Result<Kind, ImportError> {
            let number = |field: io::Result<Option<u32>>| {
                field.ok().flatten().ok_or_else(|| reader.refuse("is a device without numbers"))
            };
            Ok(Kind::Device {
                block,
                major: number(header.device_major())?,
                minor: number(header.device_minor())?,
            })
        };
        let kind = match header.entry_type().as_byte() {
            // Before there was a type for them, a directory was a name that ended so.
            b'0' | 0 if path.ends_with(b"/") && size == 0 => Kind::Directory,
            b'0' | 0 | b'7' => return self.file(records, size).map(Kind::File),
            b'S' => return self.old_sparse(header, size).map(Kind::File),
            b'1' => Kind::HardLink(link),
            b'2' => Kind::Symlink(link),
            b'3' => device(self, false)?,
            b'4' => device(self, true)?,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'D' => {
                // A directory of an incremental backup: its data lists names that are entries, too.
                self.begin_data(size);
                self.skip_rest()?;
                return Ok(Kind::Directory);
            }
            b'M' => return Err(self.refuse("goes on from another volume: join the volumes first")),
            other => {
                let other = shown(&[other]);
                return Err(self.refuse(&format!("is of type {other}, which is none of a file's")));
            }
        };
        if size > 0 {
            return Err(
                self.refuse("carries data, though only files have some: readers of tar disagree on it")
            );
        }
        Ok(kind)
    }

    fn file(&mut self, records: &Records, size: u64) -> Result<Map, ImportError> {
        self.begin_data(size);
        match sparse::of_records(records).map_err(|reason| self.refuse(&format!("is {reason}")))? {
            Said::Nothing => Ok(Map::dense(size)),
            Said::Pieces(pieces, real) => self.map(pieces, real),
            Said::Later(real) => {
                let (mut map, mut block) = (sparse::LeadingMap::default(), [0; BLOCK]);
                let pieces = loop {
                    if self.left < BLOCK as u64 {
                        return Err(self.refuse("is a sparse file whose map does not end"));
                    }
                    self.data(&mut block)?;
                    if let Some(pieces) =
                        map.take(&block).map_err(|reason| self.refuse(&format!("is {reason}")))?
                    {
                        break pieces;
                    }
                };
                self.map(pieces, real)
            }
        }
    }

    fn old_sparse(&mut self, header: &tar::Header, size: u64) -> Result<Map, ImportError> {
        let bad = |reason: String| refused(format!("a sparse file: {reason}"));
        let gnu = header.as_gnu().ok_or_else(|| self.refuse("is a sparse file of another format"))?;
        let real = self.number(&gnu.realsize, gnu.real_size(), "size")?;
        let mut pieces = Vec::new();
        sparse::old_extents(&gnu.sparse, &mut pieces).map_err(bad)?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = tar::GnuExtSparseHeader::new();
            self.exactly(block.as_mut_bytes())?;
            sparse::old_extents(block.sparse(), &mut pieces).map_err(bad)?;
            more = block.is_extended();
        }
        self.begin_data(size);
        self.map(pieces, real)
    }

    fn map(&self, pieces: Vec<(u64, u64)>, real: u64) -> Result<Map, ImportError> {
        Map::new(pieces, real, self.left).map_err(|reason| self.refuse(&format!("is {reason}")))
    }

    /// Reads data of the current entry; gives 0 once there is no more.
    pub(super) fn read_data(&mut self, buffer: &mut [u8]) -> Result<usize, ImportError> {
        let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.data(&mut buffer[..length])?;
        Ok(length)
    }

    fn data(&mut self, buffer: &mut [u8]) -> Result<(), ImportError> {
        self.exactly(buffer)?;
        self.left -= buffer.len() as u64;
        Ok(())
    }

    fn begin_data(&mut self, size: u64) {
        self.left = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn skip_rest(&mut self) -> Result<(), ImportError> {
        let mut buffer = [0; 16 << 10];
        while self.read_data(&mut buffer)? > 0 {}
        let padding = usize::try_from(std::mem::take(&mut self.padding)).unwrap_or_default();
        self.exactly(&mut buffer[..padding])
    }

    /// The next header; `None` for the end mark.
    fn header(&mut self) -> Result<Option<tar::Header>, ImportError> {
        let mut header = tar::Header::new_old();
        let mut filled = 0;
        let bytes = header.as_mut_bytes();
        while filled < BLOCK {
            match self.from.read(&mut bytes[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        self.at += filled as u64;
        if filled < BLOCK {
            let hint = "it was not copied whole";
            return Err(refused(if self.at == 0 {
                "it is empty".to_owned()
            } else if filled == 0 {
                format!("it breaks off after {} without tar's end mark: {hint}", self.so_far())
            } else {
                format!("it breaks off within the header after {}: {hint}", self.so_far())
            }));
        }
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if !has_good_sum(bytes) {
            return Err(refused(if self.at == BLOCK as u64 {
                "it is no tar, compressed or not".to_owned()
            } else {
                format!("what follows {} is no header of tar: it is damaged", self.so_far())
            }));
        }
        Ok(Some(header))
    }

    fn so_far(&self) -> String {
        if self.current.is_empty() { "its beginning".to_owned() } else { self.current.clone() }
    }

    /// Reads to the end, so that a compressor's check sum is heard; there may be padding and nothing else.
    fn read_padding(&mut self) -> Result<(), ImportError> {
        let (mut buffer, mut read) = ([0; 16 << 10], 0);
        loop {
            match self.from.read(&mut buffer)? {
                0 => return Ok(()),
                n if buffer[..n].iter().any(|byte| *byte != 0) => {
                    return Err(refused(
                        "something follows tar's end mark: unpack it with --ignore-zeros and pack it anew",
                    ));
                }
                n => read += n as u64,
            }
            if read > LONGEST_PADDING {
                return Err(refused("more than 64 MiB of zeros follow tar's end mark"));
            }
        }
    }

    fn exactly(&mut self, buffer: &mut [u8]) -> Result<(), ImportError> {
        match self.from.read_exact(buffer) {
            Ok(()) => {
                self.at += buffer.len() as u64;
                if self.at > self.most {
                    return Err(self.refuse("is not the end, and more came than the limits allow: --max-size and --max-files raise them"));
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(refused(format!("it breaks off within {}: it was not copied whole", self.so_far())))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn refuse(&self, what: &str) -> ImportError {
        refused(format!("{} {what}", self.current))
    }

    /// A number field; one that was left out is 0, as programs do that know of one user alone.
    fn number(&self, field: &[u8], read: io::Result<u64>, name: &str) -> Result<u64, ImportError> {
        if field.iter().all(|byte| matches!(byte, 0 | b' ')) {
            return Ok(0);
        }
        read.map_err(|_| self.refuse(&format!("has a {name} that is no number")))
    }
}

impl Extensions {
    fn any(&self) -> bool {
        self.records.is_some() || self.long_name.is_some() || self.long_link.is_some()
    }
}

fn refused_as(reason: impl std::fmt::Display) -> ImportError {
    refused(format!("it has {reason}"))
}

fn number(field: io::Result<u64>, name: &str) -> Result<u64, ImportError> {
    field.map_err(|_| refused(format!("an extension has a {name} that is no number")))
}

/// Records for all files: comments (`git archive` writes one) change nothing, anything else changes everything.
fn for_all(records: &Records) -> Result<(), ImportError> {
    match records.iter().find(|(key, _)| !matches!(*key, b"comment" | b"charset" | b"hdrcharset")) {
        None => Ok(()),
        Some((key, _)) => Err(refused(format!(
            "it says {} of all its files at once, which readers of tar disagree on",
            shown(key)
        ))),
    }
}

fn merge(to: &mut Option<Acl>, new: Result<Acl, String>) -> Result<(), String> {
    let new = new?;
    match to.replace(new.clone()) {
        Some(old) if old != new => Err("two access control lists that differ".to_owned()),
        _ => Ok(()),
    }
}

fn set(xattrs: &mut Vec<(Vec<u8>, Vec<u8>)>, name: &[u8], value: &[u8]) {
    xattrs.retain(|(other, _)| other != name);
    xattrs.push((name.to_vec(), value.to_vec()));
}

/// Attributes that mean the same in a guest; the others (`trusted.overlay.…`) are of the machine that packed.
pub(super) fn is_kept(name: &[u8]) -> bool {
    let user = name.starts_with(b"user.") && name.len() > 5;
    (user && name.len() <= 255 && !name.contains(&0) && !name.contains(&b'='))
        || name == b"security.capability"
        || name == b"security.selinux"
}

/// Long names end with a zero byte.
fn without_end(mut name: Vec<u8>) -> Vec<u8> {
    if name.last() == Some(&0) {
        name.pop();
    }
    name
}

/// Header sums: of all bytes, the sum's own field taken as blanks (as unsigned bytes, and as signed ones by old tars).
fn has_good_sum(bytes: &[u8; BLOCK]) -> bool {
    let digits: Vec<u8> = bytes[148..156]
        .iter()
        .copied()
        .skip_while(|byte| *byte == b' ')
        .take_while(u8::is_ascii_digit)
        .collect();
    let Ok(said) = i64::from_str_radix(&String::from_utf8_lossy(&digits), 8) else { return false };
    let counted = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { b' ' } else { *byte };
    let unsigned: i64 = bytes.iter().enumerate().map(counted).map(i64::from).sum();
    let signed: i64 = bytes.iter().enumerate().map(counted).map(|byte| i64::from(byte.cast_signed())).sum();
    said == unsigned || said == signed
}

/// A number field that may be negative: octal, or binary with the highest bit set (GNU).
fn signed(field: &[u8; 12]) -> Option<i64> {
    if field[0] & 0x80 != 0 {
        let first = if field[0] & 0x40 == 0 { field[0] & 0x7f } else { field[0] };
        let fill = if field[0] & 0x40 == 0 { 0 } else { 0xff };
        let (high, low) = field.split_at(4);
        let high = [first, high[1], high[2], high[3]];
        let value = i64::from_be_bytes(low.try_into().ok()?);
        return (high == [fill; 4] && (value < 0) == (fill == 0xff)).then_some(value);
    }
    let text: String = field.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    let text = text.trim();
    if text.is_empty() { Some(0) } else { i64::from_str_radix(text, 8).ok().filter(|time| *time >= 0) }
}

//! Which files two images differ in. Each image is read once, as a stream: nothing of it is written anywhere, and what is
//! remembered of a file is its name and a digest.

use super::reader::{Attributes, Entry, Kind, Reader};
use super::{ImportError, refused, shown};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::Read;

/// So many files are compared, and so long are their names together: half a gigabyte of memory for two images.
const MOST_FILES: usize = 1_000_000;
const MOST_NAMES: usize = 128 << 20;

/// No image is longer, holes counted.
const LONGEST: u64 = 1 << 44;

/// The files in an image, by their paths.
#[derive(Debug, Default)]
pub struct Files {
    by_path: BTreeMap<Box<[u8]>, Found>,
    names: usize,
}

/// What is remembered of one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    kind: FileKind,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    /// SHA-256 of a file's data, or of where a link leads.
    content: [u8; 32],
    /// SHA-256 of extended attributes, access control lists among them.
    attributes: [u8; 32],
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// Its data are compared.
    File,
    /// It holds others.
    Directory,
    /// Where it leads is compared.
    Symlink,
    /// A disk, a terminal and the like.
    Device,
    /// A named pipe.
    Fifo,
}

/// One of the two sides of a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSide {
    /// What it is.
    pub kind: FileKind,
    /// As in `0755`.
    pub mode: String,
    /// Whose it is.
    pub uid: u32,
    /// Which group's.
    pub gid: u32,
    /// How long it is.
    pub size: u64,
    /// SHA-256 of its data; null for what is no file.
    pub digest: Option<String>,
}

/// A path that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDifference {
    /// `added`, `removed` or `changed`.
    pub what: String,
    /// Where it is.
    pub path: String,
    /// In what it changed: `kind`, `mode`, `owner`, `size`, `content`, `attributes`.
    pub differs_in: Vec<String>,
    /// What it was.
    pub before: Option<FileSide>,
    /// What it is.
    pub after: Option<FileSide>,
}

impl Found {
    fn new(kind: FileKind, attributes: &Attributes) -> Self {
        let mut hash = Sha256::new();
        let mut all = attributes.as_a_filesystem_has_them();
        all.sort();
        for (name, value) in all {
            for part in [name, value] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        Found {
            kind,
            // Permissions of a link mean nothing, and archivers write what they like.
            mode: if kind == FileKind::Symlink { 0o777 } else { attributes.mode & 0o7777 },
            uid: attributes.uid,
            gid: attributes.gid,
            size: 0,
            content: [0; 32],
            attributes: hash.finalize().into(),
        }
    }

    fn side(&self) -> FileSide {
        FileSide {
            kind: self.kind,
            mode: format!("{:04o}", self.mode),
            uid: self.uid,
            gid: self.gid,
            size: self.size,
            digest: (self.kind == FileKind::File).then(|| honcho_model::Digest(self.content).to_string()),
        }
    }

    fn differs_in(&self, other: &Found) -> Vec<String> {
        let same = [
            ("kind", self.kind == other.kind),
            ("mode", self.mode == other.mode),
            ("owner", (self.uid, self.gid) == (other.uid, other.gid)),
            ("size", self.size == other.size),
            ("content", self.content == other.content),
            ("attributes", self.attributes == other.attributes),
        ];
        same.into_iter().filter(|(_, same)| !same).map(|(what, _)| what.to_owned()).collect()
    }
}

/// `./etc/` as `/etc`.
fn normal(path: &[u8]) -> Box<[u8]> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let normal: Vec<u8> = parts.flat_map(|part| [b"/", part].concat()).collect();
    if normal.is_empty() { b"/".as_slice().into() } else { normal.into() }
}

impl Files {
    /// Reads a tar.zst to its end.
    pub fn read(compressed: impl Read) -> Result<Self, ImportError> {
        let mut reader = Reader::new(zstd::stream::read::Decoder::new(compressed)?, LONGEST);
        let (mut files, mut buffer) = (Files::default(), vec![0; 64 << 10]);
        while let Some(entry) = reader.next()? {
            files.take(&mut reader, &entry, &mut buffer)?;
        }
        Ok(files)
    }

    fn take<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
        entry: &Entry,
        buffer: &mut [u8],
    ) -> Result<(), ImportError> {
        let path = normal(&entry.path);
        let new = |kind| Found::new(kind, &entry.attributes);
        let hashed = |bytes: &[u8]| -> [u8; 32] { Sha256::digest(bytes).into() };
        let found = match &entry.kind {
            Kind::Directory => new(FileKind::Directory),
            Kind::Fifo => new(FileKind::Fifo),
            Kind::Symlink(to) => {
                Found { content: hashed(to), size: to.len() as u64, ..new(FileKind::Symlink) }
            }
            Kind::Device { block, major, minor } => Found {
                content: hashed(format!("{block} {major} {minor}").as_bytes()),
                ..new(FileKind::Device)
            },
            // A second name of what is there.
            Kind::HardLink(to) => self.by_path.get(&normal(to)).cloned().ok_or_else(|| {
                refused(format!("{} is a hard link to what does not come before it", shown(&path)))
            })?,
            Kind::File(map) => {
                let (mut hash, mut at) = (Sha256::new(), 0);
                for (offset, length) in &map.extents {
                    zeros(&mut hash, offset - at);
                    let mut left = *length;
                    while left > 0 {
                        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                        let n = reader.read_data(&mut buffer[..most])?;
                        if n == 0 {
                            return Err(refused(format!("{} ends early", shown(&path))));
                        }
                        hash.update(&buffer[..n]);
                        left -= n as u64;
                    }
                    at = offset + length;
                }
                zeros(&mut hash, map.size - at);
                Found { content: hash.finalize().into(), size: map.size, ..new(FileKind::File) }
            }
        };
        self.names += path.len();
        if self.by_path.len() >= MOST_FILES || self.names > MOST_NAMES {
            return Err(refused(format!(
                "it has more than {MOST_FILES} files, or very long names: too many to compare"
            )));
        }
        self.by_path.insert(path, found);
        Ok(())
    }

    /// What is not the same in `after`, by path.
    pub fn differences(&self, after: &Files) -> Vec<FileDifference> {
        let removed = self.by_path.iter().filter(|(path, _)| !after.by_path.contains_key(*path));
        let removed = removed.map(|(path, found)| (&**path, Some(found), None));
        let there = after.by_path.iter().map(|(path, found)| (&**path, self.by_path.get(path), Some(found)));
        let mut all: Vec<_> = removed.chain(there).filter(|(_, before, after)| before != after).collect();
        all.sort_by_key(|(path, ..)| *path);
        let difference = |(path, before, after): (&[u8], Option<&Found>, Option<&Found>)| FileDifference {
            what: match (before, after) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "changed",
            }
            .to_owned(),
            path: shown(path),
            differs_in: before.zip(after).map(|(before, after)| before.differs_in(after)).unwrap_or_default(),
            before: before.map(Found::side),
            after: after.map(Found::side),
        };
        all.into_iter().map(difference).collect()
    }
}

/// Holes are zeros, however they are written down.
fn zeros(hash: &mut Sha256, mut count: u64) {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    while count > 0 {
        let n = usize::try_from(count).unwrap_or(usize::MAX).min(ZEROS.len());
        hash.update(&ZEROS[..n]);
        count -= n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Image(tar::Builder<Vec<u8>>);

    impl Image {
        fn add(&mut self, path: &str, kind: tar::EntryType, (mode, uid): (u32, u64), content: &[u8]) {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_uid(uid);
            header.set_gid(0);
            header.set_mtime(self.0.get_ref().len() as u64);
            match kind {
                tar::EntryType::Symlink | tar::EntryType::Link => {
                    header.set_size(0);
                    self.0.append_link(&mut header, path, std::str::from_utf8(content).unwrap()).unwrap();
                }
                _ => {
                    header.set_size(content.len() as u64);
                    self.0.append_data(&mut header, path, content).unwrap();
                }
            }
        }

        fn read(self) -> Files {
            let tar = self.0.into_inner().unwrap();
            Files::read(zstd::encode_all(tar.as_slice(), 1).unwrap().as_slice()).unwrap()
        }
    }

    fn image(more: impl Fn(&mut Image)) -> Files {
        let mut image = Image(tar::Builder::new(Vec::new()));
        image.add("./etc/", tar::EntryType::Directory, (0o755, 0), b"");
        image.add("./etc/same", tar::EntryType::Regular, (0o644, 0), b"same");
        more(&mut image);
        image.read()
    }

    #[test]
    fn files_are_told_that_came_went_or_changed() {
        use tar::EntryType::{Link, Regular, Symlink};
        let before = image(|image| {
            image.add("./etc/gone", Regular, (0o644, 0), b"x");
            image.add("./etc/mode", Regular, (0o644, 0), b"y");
            image.add("./etc/text", Regular, (0o644, 0), b"old");
            image.add("./etc/link", Symlink, (0o777, 0), b"same");
            image.add("./etc/hard", Link, (0o644, 0), b"./etc/same");
        });
        let after = image(|image| {
            image.add("etc/mode", Regular, (0o4755, 7), b"y");
            image.add("etc/text", Regular, (0o644, 0), b"newer");
            image.add("etc/link", Symlink, (0o755, 0), b"text");
            // The same bytes under a name of their own are no difference.
            image.add("etc/hard", Regular, (0o644, 0), b"same");
            image.add("etc/new\n\u{1b}[31m", Regular, (0o600, 0), b"");
        });
        let told: Vec<String> = before
            .differences(&after)
            .iter()
            .map(|one| format!("{} {} {}", one.what, one.path, one.differs_in.join(",")))
            .collect();
        expect_test::expect![[r"
            removed /etc/gone 
            changed /etc/link content
            changed /etc/mode mode,owner
            added /etc/new\n\u{1b}[31m 
            changed /etc/text size,content"]]
        .assert_eq(&told.join("\n"));
        assert_eq!(before.differences(&before), []);
        let changed = &before.differences(&after)[2];
        let (was, is) = (changed.before.as_ref().unwrap(), changed.after.as_ref().unwrap());
        assert_eq!((was.mode.as_str(), was.uid, is.mode.as_str(), is.uid), ("0644", 0, "4755", 7));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let whole = {
            let mut image = Image(tar::Builder::new(Vec::new()));
            image.add("a", tar::EntryType::Regular, (0o644, 0), b"abc");
            image.0.into_inner().unwrap()
        };
        let read = |tar: &[u8]| Files::read(zstd::encode_all(tar, 1).unwrap().as_slice());
        assert_eq!(read(&whole).unwrap().by_path.len(), 1);
        read(&whole[..700]).unwrap_err();
        Files::read(whole.as_slice()).unwrap_err();
        let mut link = Image(tar::Builder::new(Vec::new()));
        link.add("b", tar::EntryType::Link, (0o644, 0), b"nowhere");
        let error = read(&link.0.into_inner().unwrap()).unwrap_err().to_string();
        assert!(error.contains("hard link to what does not come before"), "{error}");
    }
}

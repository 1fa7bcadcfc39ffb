//! Honest and hostile root filesystems.

mod honest;
mod hostile;
mod mutated;

use super::*;
use crate::import::pax::Records;
use std::io::Write;

/// A tarball, entry by entry, also such as no honest program writes.
#[derive(Clone, Default)]
struct Tarball(Vec<u8>);

impl Tarball {
    /// What any image must have.
    fn system() -> Self {
        Tarball::default()
            .directory("./")
            .entry("./sbin/init", b'0', "", 0o755, b"#!/bin/sh\n")
            .file("./boot/vmlinuz-6.1", b"a kernel")
            .file("./etc/os-release", b"ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n")
            .file("./etc/passwd", b"root:x:0:0::/root:/bin/sh\nlisa:x:1000:1000::/home/lisa:/bin/sh\n")
    }

    /// Adds an entry with any path at all.
    fn entry(self, path: impl AsRef<[u8]>, kind: u8, link: &str, mode: u32, content: &[u8]) -> Self {
        self.lying(path, kind, link, mode, content, content.len() as u64)
    }

    /// Adds an entry that says it has another size.
    fn lying(
        mut self,
        path: impl AsRef<[u8]>,
        kind: u8,
        link: &str,
        mode: u32,
        content: &[u8],
        size: u64,
    ) -> Self {
        let path = path.as_ref();
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_007);
        header.set_size(size);
        header.set_device_major(8).unwrap();
        header.set_device_minor(1).unwrap();
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: impl AsRef<[u8]>, content: &[u8]) -> Self {
        self.entry(path, b'0', "", 0o644, content)
    }

    fn directory(self, path: impl AsRef<[u8]>) -> Self {
        self.entry(path, b'5', "", 0o755, b"")
    }

    /// Records for the entry that follows.
    fn records(self, records: &[(&str, &[u8])]) -> Self {
        let mut all = Records::default();
        for (key, value) in records {
            all.add(key.as_bytes(), value);
        }
        self.entry("records", b'x', "", 0o644, &all.to_bytes())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

fn name() -> Name {
    Name::new("theirs").unwrap()
}

/// Imports bytes, and sees that nothing but a complete image is left.
fn import_bytes(bytes: &[u8], options: &ImportOptions) -> Result<(ImportedImage, Vec<u8>), ImportError> {
    let directory = tempfile::tempdir().unwrap();
    let (file, out) = (directory.path().join("file"), directory.path().join("out"));
    std::fs::write(&file, bytes).unwrap();
    let outcome = import(&file, &name(), &out, options, &|_, _| {});
    let left: Vec<PathBuf> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    match outcome {
        Ok(image) => {
            assert_eq!(left, [image.path.canonicalize().unwrap()]);
            let packed = zstd::decode_all(File::open(&image.path).unwrap()).unwrap();
            Ok((image, packed))
        }
        Err(error) => {
            assert!(left.is_empty(), "{left:?}");
            Err(error)
        }
    }
}

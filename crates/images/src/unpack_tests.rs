//! Good, bad and hostile images, with the real mke2fs.

use super::*;
use std::collections::BTreeMap;

/// A tarball, entry by entry, also such as no honest program writes.
#[derive(Default)]
struct Tarball(Vec<u8>);

impl Tarball {
    /// Adds an entry with any path at all.
    fn entry(mut self, path: &str, kind: tar::EntryType, link: &str, content: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(if kind == tar::EntryType::Directory { 0o755 } else { 0o640 });
        header.set_uid(3);
        header.set_gid(4);
        header.set_mtime(1_000_000_007);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(path, tar::EntryType::Regular, "", content)
    }

    fn directory(self, path: &str) -> Self {
        self.entry(path, tar::EntryType::Directory, "", b"")
    }

    fn pack(mut self) -> (Vec<u8>, Expected) {
        let unpacked = Bytes(self.0.len() as u64);
        self.0.resize(self.0.len() + 1024, 0);
        let bytes = zstd::encode_all(self.0.as_slice(), 3).unwrap();
        let expected = Expected {
            digest: Digest(Sha256::digest(&bytes).into()),
            compressed: Bytes(bytes.len() as u64),
            unpacked,
        };
        (bytes, expected)
    }
}

fn good() -> Tarball {
    Tarball::default()
        .directory("./")
        .directory("./etc/")
        .file("./etc/hosts", b"127.0.0.1 localhost\n")
        .entry("./etc/alias", tar::EntryType::Link, "./etc/hosts", b"")
        .entry("./link", tar::EntryType::Symlink, "etc/hosts", b"")
        .file("./big", &vec![7; 3 << 20])
}

async fn check(bytes: &[u8], expected: Expected) -> Result<ext4_view::Ext4, UnpackError> {
    let directory = tempfile::tempdir().unwrap();
    let outcome = check_in(directory.path(), bytes, expected).await;
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    let wanted: &[&str] = if outcome.is_ok() { &["image"] } else { &[] };
    assert_eq!(left, wanted, "nothing but a complete image stays");
    outcome
}

async fn check_in(
    directory: &Path,
    bytes: &[u8],
    expected: Expected,
) -> Result<ext4_view::Ext4, UnpackError> {
    let target = Partial::create(directory, "image").unwrap();
    unpack(bytes, expected, &target, &|_| {}).await?;
    let path = target.finish("image")?;
    let fsck = std::process::Command::new("/sbin/e2fsck").arg("-fn").arg(&path).output().unwrap();
    assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stdout));
    let header = std::process::Command::new("/sbin/dumpe2fs").arg("-h").arg(&path).output().unwrap();
    let header = String::from_utf8_lossy(&header.stdout).into_owned();
    assert!(header.contains(" metadata_csum_seed ") && header.contains(" metadata_csum\n"), "{header}");
    assert!(!header.contains("0x00000000"), "the seed is this filesystem's own: {header}");
    Ok(ext4_view::Ext4::load_from_path(path).unwrap())
}

#[tokio::test]
async fn a_good_image_becomes_a_filesystem_with_everything_in_it() {
    let (bytes, expected) = good().pack();
    let fs = check(&bytes, expected).await.unwrap();
    assert_eq!(fs.read_to_string("/link").unwrap(), "127.0.0.1 localhost\n");
    assert_eq!(fs.read_to_string("/etc/alias").unwrap(), "127.0.0.1 localhost\n");
    assert_eq!(fs.read("/big").unwrap().len(), 3 << 20);
    let meta = fs.metadata("/etc/hosts").unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o640, 3, 4));
    assert_eq!(fs.read_link("/link").unwrap().to_str().unwrap(), "etc/hosts");
}

/// Blocks that names fill to their last byte, of directories from one block to many.
#[tokio::test]
async fn a_directory_without_room_for_checksums_gets_them() {
    let mut tarball = good();
    let mut names = Vec::new();
    for (directory, count) in [("./one/", 63), ("./two/", 64), ("./many/", 900)] {
        tarball = tarball.directory(directory);
        for number in 0..count {
            // 8 bytes and 56: 64 of these are a block, but for the two that every directory begins with.
            let name = format!("{directory}{number:0>52}.txt");
            tarball = tarball.file(&name, number.to_string().as_bytes());
            names.push((name[1..].to_owned(), number.to_string()));
        }
    }
    let (bytes, expected) = tarball.pack();
    let fs = check(&bytes, expected).await.unwrap();
    for (name, content) in names {
        assert_eq!(fs.read_to_string(name.as_str()).unwrap(), content, "{name}");
    }
}

#[tokio::test]
async fn damage_is_told_from_a_stream_that_broke() {
    let (bytes, expected) = good().pack();
    let truncated = check(&bytes[..bytes.len() - 100], expected).await.unwrap_err();
    assert!(matches!(truncated, UnpackError::Broken { .. }), "{truncated}");
    for at in [0, 5, bytes.len() / 2, bytes.len() - 1] {
        let mut corrupted = bytes.clone();
        corrupted[at] ^= 1;
        let error = check(&corrupted, expected).await.unwrap_err();
        assert!(matches!(error, UnpackError::WrongDigest { .. }), "byte {at}: {error}");
    }
    let longer = [bytes.as_slice(), b"more"].concat();
    assert!(matches!(check(&longer, expected).await, Err(UnpackError::WrongDigest { .. })));
    let other = Expected { digest: Digest([9; 32]), ..expected };
    assert!(matches!(check(&bytes, other).await, Err(UnpackError::WrongDigest { .. })));
}

#[tokio::test]
async fn what_is_as_named_but_no_tarball_is_refused() {
    let named = |bytes: &[u8]| Expected {
        digest: Digest(Sha256::digest(bytes).into()),
        compressed: Bytes(bytes.len() as u64),
        unpacked: Bytes(1000),
    };
    let plain = b"this is not zstd".to_vec();
    let nonsense = zstd::encode_all(&vec![b'x'; 5000][..], 3).unwrap();
    let mut half = good().0;
    half.truncate(half.len() / 2);
    let half = zstd::encode_all(half.as_slice(), 3).unwrap();
    for bytes in [plain, nonsense, half] {
        let error = check(&bytes, named(&bytes)).await.unwrap_err();
        assert!(matches!(error, UnpackError::Unusable(_)), "{error}");
    }
}

#[tokio::test]
async fn a_bomb_fills_neither_memory_nor_disk() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..1200 {
        std::io::Write::write_all(&mut encoder, &vec![0; 1 << 20]).unwrap();
    }
    let bytes = encoder.finish().unwrap();
    let expected = Expected {
        digest: Digest(Sha256::digest(&bytes).into()),
        compressed: Bytes(bytes.len() as u64),
        unpacked: Bytes(10),
    };
    let error = check(&bytes, expected).await.unwrap_err();
    assert!(matches!(error, UnpackError::Unusable(_)), "{error}");
}

/// Whatever a tarball says, nothing outside the filesystem changes.
#[tokio::test]
async fn no_path_climbs_out() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("canary"), "alive").unwrap();
    let before = snapshot(outside.path());
    let out = outside.path().to_str().unwrap();
    let up = "../".repeat(12) + out.trim_start_matches('/');
    let evil = [
        good().file(&format!("{out}/absolute"), b"x"),
        good().file(&format!("{up}/up"), b"x"),
        good().entry("./way", tar::EntryType::Symlink, out, b"").file("./way/through", b"x"),
        good().entry("./hard", tar::EntryType::Link, &format!("{out}/canary"), b""),
        good().file("..", b"x"),
        good()
            .entry("./canary", tar::EntryType::Symlink, &format!("{out}/canary"), b"")
            .file("./canary", b"dead"),
    ];
    for tarball in evil {
        let (bytes, expected) = tarball.pack();
        // Some of them are refused, some make odd filesystems: both are fine.
        let _ = check_lenient(&bytes, expected).await;
        assert_eq!(snapshot(outside.path()), before);
    }
}

async fn check_lenient(bytes: &[u8], expected: Expected) -> Result<(), UnpackError> {
    let directory = tempfile::tempdir().unwrap();
    let target = Partial::create(directory.path(), "image").unwrap();
    unpack(bytes, expected, &target, &|_| {}).await
}

fn snapshot(directory: &Path) -> BTreeMap<String, String> {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let content = std::fs::read_to_string(entry.path()).unwrap();
            let links = std::os::unix::fs::MetadataExt::nlink(&entry.metadata().unwrap());
            (entry.file_name().into_string().unwrap(), format!("{content} {links}"))
        })
        .collect()
}

#[test]
fn what_is_no_fault_of_the_image_is_told_apart() {
    let check = |said: &str| fault_of_this_machine(said, Path::new("/pool")).map(|error| error.to_string());
    let old =
        "set_inode_xattr: No such file or directory while listing attributes of \"-\"\nmke2fs: No such file";
    for said in [old, "__populate_fs_from_tar: you need libarchive to be able to process tarballs"] {
        assert!(check(said).unwrap().contains("apt-get install -t bookworm-backports"), "{said}");
    }
    assert!(
        check("mke2fs: No space left on device").unwrap().contains("no space left for the image in /pool")
    );
    assert_eq!(check("Truncated tar archive"), None);
}

#[test]
fn filesystems_are_larger_than_their_files() {
    for unpacked in [0, 1, 355_480_503, 10 << 30] {
        let size = filesystem_size(Bytes(unpacked));
        assert!(size.0 >= unpacked + (64 << 20) && size.0.is_multiple_of(16 << 20));
    }
}

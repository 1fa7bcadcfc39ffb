//! Directory pools, with the real e2fsprogs on real files.

use super::*;
use crate::storage::identity::tests::{KEY, identity};
use crate::storage::layout::GROWING;
use ext4_view::Ext4;
use honcho_model::{Generation, PoolId};
use honcho_wire::{Existence, PoolKind};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::process::Command;

#[path = "directory_capture_tests.rs"]
mod captured;
#[path = "directory_hostile_tests.rs"]
mod hostile;
#[path = "directory_mount_tests.rs"]
mod on_its_own_filesystem;

const BRAIN: Uuid = Uuid::from_u128(1);

/// A pool in a directory, and an image for it.
struct Bench {
    _directory: Option<tempfile::TempDir>,
    root: PathBuf,
    pool: PoolWanted,
    image: ImageWanted,
    blob: Vec<u8>,
    storage: DirectoryStorage,
}

fn pool(root: &Path) -> PoolWanted {
    PoolWanted {
        id: PoolId(1),
        uuid: Uuid::from_u128(2),
        generation: Generation(1),
        existence: Existence::Make,
        kind: PoolKind::Directory { path: root.to_str().unwrap().to_owned() },
    }
}

fn kernel(version: u8) -> Vec<u8> {
    let mut kernel = vec![version; 300_000];
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel
}

fn tarball() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for directory in ["./", "./etc/", "./boot/", "./root/", "./etc/ssh/"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(0o755);
        tar.append_data(&mut header, directory, io::empty()).unwrap();
    }
    let files: [(&str, &[u8]); 4] = [
        ("./boot/vmlinuz-6.1.0-9", &kernel(1)),
        ("./boot/initrd.img-6.1.0-9", b"initrd of 9"),
        ("./etc/hostname", b"nobody\n"),
        ("./etc/machine-id", b""),
    ];
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_uid(1000);
        tar.append_data(&mut header, path, content).unwrap();
    }
    for (path, to) in [("./vmlinuz", "boot/vmlinuz-6.1.0-9"), ("./initrd.img", "boot/initrd.img-6.1.0-9")] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, path, to).unwrap();
    }
    tar.into_inner().unwrap()
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("pool");
        Bench { _directory: Some(directory), ..Bench::at(root) }
    }

    fn at(root: PathBuf) -> Self {
        let tar = tarball();
        let blob = zstd::encode_all(tar.as_slice(), 3).unwrap();
        let image = ImageWanted {
            digest: Digest(Sha256::digest(&blob).into()),
            compressed: Bytes(blob.len() as u64),
            unpacked: Bytes(tar.len() as u64),
        };
        let storage = DirectoryStorage::with_nameservers(vec!["9.9.9.9".parse().unwrap()]);
        Bench { _directory: None, pool: pool(&root), root, image, blob, storage }
    }

    fn volume(&self, id: i64, size: Bytes) -> VolumeWanted {
        VolumeWanted {
            id: VolumeId(id),
            uuid: Uuid::from_u128(100 + u128::from(id.unsigned_abs())),
            pool: self.pool.id,
            size,
            existence: Existence::Make,
            given_up: false,
            image: self.image.clone(),
        }
    }

    fn path(&self, volume: &VolumeWanted) -> PathBuf {
        self.storage.disk_path(&self.pool, volume.id, volume.uuid)
    }

    async fn init(&self) {
        self.storage.init_pool(BRAIN, &self.pool).await.unwrap();
    }

    async fn fetch(&self, blob: &[u8]) -> DriverResult<()> {
        self.storage.fetch_image(&self.pool, &self.image, &Blob(blob.to_vec()), &silent()).await
    }

    async fn build(&self, volume: &VolumeWanted) -> DriverResult<()> {
        self.storage.build_volume(&self.pool, volume, &identity(), &silent()).await
    }

    /// A pool with the image cached and one volume built.
    async fn with_volume() -> (Self, VolumeWanted) {
        let bench = Bench::new();
        bench.init().await;
        bench.fetch(&bench.blob).await.unwrap();
        let volume = bench.volume(7, Bytes::mib(200));
        bench.build(&volume).await.unwrap();
        (bench, volume)
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.join(directory)).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn silent() -> ProgressSink {
    Arc::new(|_, _| {})
}

/// A brain that gives these bytes.
struct Blob(Vec<u8>);

#[async_trait]
impl BlobSource for Blob {
    async fn open(&self, _: Digest) -> DriverResult<Box<dyn tokio::io::AsyncRead + Send + Unpin>> {
        Ok(Box::new(io::Cursor::new(self.0.clone())))
    }
}

fn fsck(volume: &Path) {
    let output = Command::new("/sbin/e2fsck").arg("-fn").arg(volume).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Runs debugfs commands on a volume, as a guest would change its own disk.
fn debugfs(volume: &Path, commands: &str) {
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(script.path(), commands).unwrap();
    let output =
        Command::new("/sbin/debugfs").arg("-w").arg("-f").arg(script.path()).arg(volume).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn size_of_filesystem(volume: &Path) -> u64 {
    let output = Command::new("/sbin/dumpe2fs").arg("-h").arg(volume).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let blocks = text.lines().find_map(|line| line.strip_prefix("Block count:")).unwrap();
    blocks.trim().parse::<u64>().unwrap() * 4096
}

#[tokio::test]
async fn a_pool_is_blank_then_ready_and_wrong_in_every_other_case() {
    let bench = Bench::new();
    let check = async |pool: &PoolWanted, brain: Uuid, state: PoolState, says: &str| {
        let seen = bench.storage.look(brain, pool).await;
        assert_eq!(seen.state, state, "{:?}", seen.problem);
        assert!(seen.problem.unwrap_or_default().contains(says), "{says}");
    };
    let existing = PoolWanted { existence: Existence::Existing, ..bench.pool.clone() };
    // Not there, or empty: blank as long as it was never seen, else "not mounted".
    check(&bench.pool, BRAIN, PoolState::Blank, "").await;
    check(&existing, BRAIN, PoolState::Wrong, "is its disk mounted?").await;
    std::fs::create_dir_all(bench.root.join("lost+found")).unwrap();
    check(&bench.pool, BRAIN, PoolState::Blank, "").await;
    check(&existing, BRAIN, PoolState::Wrong, "is its disk mounted?").await;
    assert!(bench.storage.init_pool(BRAIN, &existing).await.is_err());
    assert!(matches!(bench.fetch(&bench.blob).await, Err(DriverError::Later(_))));
    // A marker that somebody was killed over does not count.
    std::fs::write(bench.root.join("honcho-pool.json.x.partial"), "").unwrap();
    bench.init().await;
    bench.init().await;
    check(&bench.pool, BRAIN, PoolState::Ready, "").await;
    check(&existing, BRAIN, PoolState::Ready, "").await;
    // Another brain's, another pool's, a damaged one, none in a directory with something in it.
    check(&existing, Uuid::from_u128(9), PoolState::Wrong, "another brain").await;
    let other = PoolWanted { uuid: Uuid::from_u128(9), ..existing.clone() };
    check(&other, BRAIN, PoolState::Wrong, "another pool").await;
    std::fs::write(bench.root.join("honcho-pool.json"), "{").unwrap();
    check(&existing, BRAIN, PoolState::Wrong, "damaged").await;
    std::fs::remove_file(bench.root.join("honcho-pool.json")).unwrap();
    check(&bench.pool, BRAIN, PoolState::Wrong, "not empty").await;
    let relative = PoolWanted { kind: PoolKind::Directory { path: "pool".to_owned() }, ..existing };
    check(&relative, BRAIN, PoolState::Wrong, "absolute").await;
}

#[tokio::test]
async fn no_step_is_taken_on_a_pool_that_is_not_there() {
    let (bench, volume) = Bench::with_volume().await;
    let elsewhere = bench.root.with_extension("unmounted");
    std::fs::rename(&bench.root, &elsewhere).unwrap();
    std::fs::create_dir(&bench.root).unwrap();
    let absent = VolumeAbsent { id: volume.id, uuid: volume.uuid, pool: volume.pool };
    let existing = PoolWanted { existence: Existence::Existing, ..bench.pool.clone() };
    let answers = [
        bench.storage.fetch_image(&existing, &bench.image, &Blob(bench.blob.clone()), &silent()).await,
        bench.storage.build_volume(&existing, &volume, &identity(), &silent()).await,
        bench.storage.grow_volume(&existing, &volume).await,
        bench.storage.delete_volume(&existing, &absent).await,
        bench.storage.boot_files(&existing, &volume).await.map(drop),
        bench.storage.has_image(&existing, bench.image.digest).await.map(drop),
    ];
    for answer in answers {
        let Err(DriverError::Later(text)) = answer else { panic!("{answer:?}") };
        assert!(text.contains("is its disk mounted?"), "{text}");
    }
    assert!(bench.names("").is_empty(), "nothing was made below the mount point");
    std::fs::remove_dir(&bench.root).unwrap();
    std::fs::rename(&elsewhere, &bench.root).unwrap();
    assert_eq!(bench.storage.look(BRAIN, &existing).await.volumes.len(), 1);
}

#[tokio::test]
async fn an_image_is_fetched_once_and_damage_leaves_nothing() {
    let bench = Bench::new();
    bench.init().await;
    let mut corrupted = bench.blob.clone();
    let at = corrupted.len() / 2;
    corrupted[at] ^= 0xff;
    let damaged = bench.fetch(&corrupted).await.unwrap_err();
    // The brain's copy may be put right, so it is tried again.
    assert!(matches!(&damaged, DriverError::Later(text) if text.contains("damaged")), "{damaged}");
    let broken = bench.fetch(&bench.blob[..at]).await.unwrap_err();
    assert!(matches!(&broken, DriverError::Later(text) if text.contains("stopped coming")), "{broken}");
    assert!(bench.names("images").is_empty());
    // Killed in the middle: something was left, and the next try does it all.
    let left = format!("{}.ext4.abc.partial", bench.image.digest);
    std::fs::write(bench.root.join("images").join(left), "half").unwrap();
    assert!(!bench.storage.has_image(&bench.pool, bench.image.digest).await.unwrap());
    bench.fetch(&bench.blob).await.unwrap();
    assert_eq!(bench.names("images"), [format!("{}.ext4", bench.image.digest)]);
    assert!(bench.storage.has_image(&bench.pool, bench.image.digest).await.unwrap());
    bench.fetch(b"not asked for").await.unwrap();
}

/// A brain that gives half of it and then nothing.
struct Stalled(Vec<u8>);

#[async_trait]
impl BlobSource for Stalled {
    async fn open(&self, _: Digest) -> DriverResult<Box<dyn tokio::io::AsyncRead + Send + Unpin>> {
        let (mut ours, theirs) = tokio::io::duplex(1 << 20);
        let half = self.0[..self.0.len() / 2].to_vec();
        tokio::spawn(async move {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut ours, &half).await;
            tokio::time::sleep(Duration::from_mins(1)).await;
        });
        Ok(Box::new(theirs))
    }
}

#[tokio::test]
async fn a_fetch_that_is_given_up_leaves_nothing() {
    let bench = Bench::new();
    bench.init().await;
    let (source, sink) = (Stalled(bench.blob.clone()), silent());
    let fetch = bench.storage.fetch_image(&bench.pool, &bench.image, &source, &sink);
    assert!(tokio::time::timeout(Duration::from_millis(500), fetch).await.is_err(), "it waits");
    assert!(bench.names("images").is_empty());
    bench.fetch(&bench.blob).await.unwrap();
}

#[tokio::test]
async fn two_volumes_of_one_image_are_two_machines() {
    let (bench, first) = Bench::with_volume().await;
    let second = bench.volume(8, Bytes::mib(300));
    std::fs::write(bench.root.join("volumes/v8-left.raw.x.partial"), "half").unwrap();
    bench.build(&second).await.unwrap();
    let seen = bench.storage.look(BRAIN, &bench.pool).await;
    let sizes: Vec<_> = seen.volumes.iter().map(|volume| (volume.id.0, volume.size)).collect();
    assert_eq!(sizes, [(7, Bytes::mib(200)), (8, Bytes::mib(300))]);
    let keys: Vec<_> = seen.volumes.iter().map(|volume| volume.ssh_host_key.clone().unwrap()).collect();
    assert_ne!(keys[0], keys[1]);
    let mut read = Vec::new();
    for (volume, key) in [(&first, &keys[0]), (&second, &keys[1])] {
        let path = bench.path(volume);
        fsck(&path);
        assert_eq!(size_of_filesystem(&path), volume.size.0);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600);
        let fs = Ext4::load_from_path(&path).unwrap();
        let text = |file: &str| fs.read_to_string(file).unwrap();
        let meta = |file: &str| fs.metadata(file).map(|m| (m.mode() & 0o7777, m.uid(), m.gid())).unwrap();
        assert_eq!(text("/etc/hostname"), "web1\n");
        assert_eq!(text("/root/.ssh/authorized_keys"), format!("{KEY}\n"));
        assert_eq!(text("/etc/resolv.conf"), "nameserver 9.9.9.9\n");
        assert!(text("/etc/systemd/network/10-honcho-0.network").contains("Address=10.20.0.5/24"));
        assert_eq!(text("/etc/ssh/ssh_host_ed25519_key.pub").trim(), key);
        let private = ssh_key::PrivateKey::from_openssh(text("/etc/ssh/ssh_host_ed25519_key")).unwrap();
        assert_eq!(private.public_key().to_openssh().unwrap().trim(), key);
        assert_eq!(meta("/etc/ssh/ssh_host_ed25519_key"), (0o600, 0, 0));
        assert_eq!(meta("/root/.ssh/authorized_keys"), (0o600, 0, 0));
        assert_eq!(meta("/root/.ssh"), (0o700, 0, 0));
        assert_eq!(meta("/etc/hostname"), (0o644, 0, 0));
        assert_eq!(text("/etc/machine-id").len(), 33);
        read.push((text("/etc/machine-id"), fs.uuid()));
    }
    assert_ne!(read[0].0, read[1].0);
    assert_ne!(read[0].1, read[1].1);
    assert_eq!(bench.names("volumes").len(), 4, "{:?}", bench.names("volumes"));
    // The private half is nowhere but in the volume.
    let written: Vec<u8> =
        std::fs::read(bench.root.join("volumes").join(&bench.names("volumes")[0])).unwrap();
    assert!(!String::from_utf8_lossy(&written).contains("PRIVATE"));
}

#[tokio::test]
async fn a_disk_too_small_and_an_image_not_there_say_so() {
    let bench = Bench::new();
    bench.init().await;
    let volume = bench.volume(7, Bytes::mib(10));
    let gone = bench.build(&volume).await.unwrap_err();
    assert!(matches!(&gone, DriverError::Later(text) if text.contains("not in the pool's cache")), "{gone}");
    bench.fetch(&bench.blob).await.unwrap();
    let small = bench.build(&volume).await.unwrap_err();
    assert!(matches!(&small, DriverError::Never(text) if text.contains("at least")), "{small}");
    let bad_key = GuestIdentity { ssh_keys: vec!["x\ny".to_owned()], ..identity() };
    let volume = bench.volume(7, Bytes::mib(200));
    let answer = bench.storage.build_volume(&bench.pool, &volume, &bad_key, &silent()).await;
    assert!(
        matches!(&answer, Err(DriverError::Never(text)) if text.contains("SSH key number 1")),
        "{answer:?}"
    );
    assert!(bench.names("volumes").is_empty());
    // A guest that nobody may log into and that has no network is a guest all the same.
    let bare = GuestIdentity { ssh_keys: Vec::new(), interfaces: Vec::new(), ..identity() };
    bench.storage.build_volume(&bench.pool, &volume, &bare, &silent()).await.unwrap();
    fsck(&bench.path(&volume));
}

#[tokio::test]
async fn a_volume_grows_and_a_growth_cut_short_is_taken_up() {
    let (bench, volume) = Bench::with_volume().await;
    let path = bench.path(&volume);
    let larger = VolumeWanted { size: Bytes::mib(500), ..volume.clone() };
    // Killed after the file was lengthened: the volume still counts as small.
    std::fs::write(path.with_extension(&GROWING[1..]), "209715200").unwrap();
    File::options().write(true).open(&path).unwrap().set_len(500 << 20).unwrap();
    assert_eq!(bench.storage.look(BRAIN, &bench.pool).await.volumes[0].size, Bytes::mib(200));
    // A tool that outlived its agent still works on it.
    let held = File::open(&path).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert!(matches!(bench.storage.grow_volume(&bench.pool, &larger).await, Err(DriverError::Later(_))));
    drop(held);
    bench.storage.grow_volume(&bench.pool, &larger).await.unwrap();
    bench.storage.grow_volume(&bench.pool, &larger).await.unwrap();
    assert_eq!(bench.storage.look(BRAIN, &bench.pool).await.volumes[0].size, Bytes::mib(500));
    assert_eq!(size_of_filesystem(&path), 500 << 20);
    fsck(&path);
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&path).unwrap());
    assert_eq!(owner, rustix::process::getuid().as_raw(), "the sandbox gave it back");
    let shrink = bench.storage.grow_volume(&bench.pool, &volume).await;
    assert!(matches!(&shrink, Err(DriverError::Never(text)) if text.contains("cannot shrink")), "{shrink:?}");
    // A guest that made something else of its disk gets the space all the same.
    let wiped = File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&wiped, &[0; 4096], 0).unwrap();
    let larger = VolumeWanted { size: Bytes::mib(600), ..volume };
    bench.storage.grow_volume(&bench.pool, &larger).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 600 << 20);
}

#[tokio::test]
async fn a_volume_that_a_tool_still_writes_neither_boots_nor_leaves() {
    let (bench, volume) = Bench::with_volume().await;
    // What it booted from last does not stand in for it.
    bench.storage.boot_files(&bench.pool, &volume).await.unwrap();
    let held = File::open(bench.path(&volume)).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let boot = bench.storage.boot_files(&bench.pool, &volume).await;
    assert!(matches!(&boot, Err(DriverError::Later(why)) if why.contains("worked on")), "{boot:?}");
    let leaving = async || bench.storage.leaving(&bench.pool, volume.id, volume.uuid).await;
    let left = leaving().await;
    assert!(matches!(&left, Err(DriverError::Later(why)) if why.contains("worked on")), "{left:?}");
    drop(held);
    bench.storage.boot_files(&bench.pool, &volume).await.unwrap();
    // While it is read out it neither boots nor grows; who receives it may ask for it once more.
    let left = (leaving().await.unwrap(), leaving().await.unwrap());
    bench.storage.boot_files(&bench.pool, &volume).await.unwrap_err();
    bench.storage.grow_volume(&bench.pool, &volume).await.unwrap_err();
    drop(left);
    bench.storage.boot_files(&bench.pool, &volume).await.unwrap();
}

#[tokio::test]
async fn a_guest_boots_what_it_has_installed_last() {
    let (bench, volume) = Bench::with_volume().await;
    let path = bench.path(&volume);
    let boot = async || bench.storage.boot_files(&bench.pool, &volume).await;
    let first = boot().await.unwrap();
    assert_eq!(std::fs::read(&first.kernel).unwrap(), kernel(1));
    assert_eq!(std::fs::read(first.initrd.as_ref().unwrap()).unwrap(), b"initrd of 9");
    assert_eq!(boot().await.unwrap(), first);
    // The guest upgrades: a new kernel, its initrd, and the links.
    let (new, initrd) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(new.path(), kernel(2)).unwrap();
    std::fs::write(initrd.path(), "initrd of 10").unwrap();
    let written = format!(
        "cd /boot\nwrite {} vmlinuz-6.1.0-10\nwrite {} initrd.img-6.1.0-10\ncd /\nrm vmlinuz\nsymlink vmlinuz /boot/vmlinuz-6.1.0-10\n",
        new.path().display(),
        initrd.path().display()
    );
    debugfs(&path, &written);
    let second = boot().await.unwrap();
    assert_eq!(std::fs::read(&second.kernel).unwrap(), kernel(2));
    assert_eq!(std::fs::read(second.initrd.as_ref().unwrap()).unwrap(), b"initrd of 10");
    assert!(!first.kernel.exists(), "nobody boots the old pair any more");
    // Fedora and its kin call it otherwise.
    let renamed = format!(
        "cd /boot\nrm initrd.img-6.1.0-10\nwrite {} initramfs-6.1.0-10.img\n",
        initrd.path().display()
    );
    debugfs(&path, &renamed);
    assert_eq!(boot().await.unwrap(), second);
    // Without the link, the newest is found; a damaged newest is passed over.
    debugfs(&path, "rm /vmlinuz\n");
    assert_eq!(boot().await.unwrap(), second);
    debugfs(&path, "set_inode_field /boot/vmlinuz-6.1.0-10 size 0\n");
    let third = boot().await.unwrap();
    assert_eq!(std::fs::read(&third.kernel).unwrap(), kernel(1));
    // With nothing left to boot, the last good pair serves.
    debugfs(&path, "rm /boot/vmlinuz-6.1.0-10\nrm /boot/vmlinuz-6.1.0-9\n");
    assert_eq!(boot().await.unwrap(), third);
    let absent = VolumeAbsent { id: volume.id, uuid: volume.uuid, pool: volume.pool };
    bench.storage.delete_volume(&bench.pool, &absent).await.unwrap();
    assert!(bench.names("boot").is_empty() && bench.names("volumes").is_empty());
    bench.storage.delete_volume(&bench.pool, &absent).await.unwrap();
}

#[tokio::test]
async fn links_of_a_guest_stay_in_its_filesystem() {
    let (bench, volume) = Bench::with_volume().await;
    let path = bench.path(&volume);
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), kernel(66)).unwrap();
    let out = secret.path().display();
    debugfs(&path, &format!("rm /boot/vmlinuz-6.1.0-9\nrm /vmlinuz\nsymlink vmlinuz ../../../..{out}\n"));
    let answer = bench.storage.boot_files(&bench.pool, &volume).await;
    assert!(
        matches!(&answer, Err(DriverError::Later(text)) if text.contains("no kernel to boot")),
        "{answer:?}"
    );
    debugfs(&path, "rm /vmlinuz\nsymlink vmlinuz vmlinuz\n");
    assert!(bench.storage.boot_files(&bench.pool, &volume).await.is_err());
}

#[tokio::test]
async fn two_guests_of_one_image_share_what_they_boot() {
    let (bench, first) = Bench::with_volume().await;
    let second = bench.volume(8, Bytes::mib(200));
    bench.build(&second).await.unwrap();
    let one = bench.storage.boot_files(&bench.pool, &first).await.unwrap();
    assert_eq!(bench.storage.boot_files(&bench.pool, &second).await.unwrap(), one);
    let absent = VolumeAbsent { id: first.id, uuid: first.uuid, pool: first.pool };
    bench.storage.delete_volume(&bench.pool, &absent).await.unwrap();
    assert!(one.kernel.is_file(), "the other guest still boots it");
}

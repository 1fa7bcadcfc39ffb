//! What takes a filesystem of its own: reflinks, a full disk, a journal after a power cut. Needs root and loop devices;
//! says so and passes where those are not to be had.

use super::*;

/// A mounted directory, unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// Mounts, or says why the test is skipped.
    fn new(at: PathBuf, arguments: &[&str]) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let output = Command::new("mount").args(arguments).arg(&at).output().ok()?;
        if output.status.success() {
            return Some(Mounted(at));
        }
        println!("skipped: cannot mount ({})", String::from_utf8_lossy(&output.stderr).trim());
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mounted) =
        Mounted::new(directory.path().join("pool"), &["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
    else {
        return;
    };
    let mut bench = Bench::at(mounted.0.clone());
    bench.init().await;
    let empty = rustix::fs::statvfs(&mounted.0).unwrap().f_bfree;
    // Larger than it says, so that the disk fills in the middle.
    let mut tar = tarball();
    tar.truncate(tar.len() - 1024);
    let mut header = tar::Header::new_gnu();
    header.set_path("large").unwrap();
    header.set_size(6 << 20);
    header.set_cksum();
    tar.extend_from_slice(header.as_bytes());
    tar.extend_from_slice(&vec![5; 6 << 20]);
    tar.extend_from_slice(&[0; 1024]);
    bench.blob = zstd::encode_all(tar.as_slice(), 1).unwrap();
    bench.image.digest = Digest(Sha256::digest(&bench.blob).into());
    bench.image.compressed = Bytes(bench.blob.len() as u64);
    let full = |answer: DriverResult<()>| match answer {
        Err(DriverError::Later(text)) if text.contains("free") => {}
        other => panic!("{other:?}"),
    };
    full(bench.fetch(&bench.blob).await);
    assert!(bench.names("images").is_empty());
    // What was begun is deleted. A program that another test starts at this moment holds it open until it is executed.
    for patience in (0..200).rev() {
        let free = rustix::fs::statvfs(&mounted.0).unwrap().f_bfree;
        if free >= empty {
            break;
        }
        assert!(patience > 0, "{free} of {empty} blocks are free ten seconds later");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // Fuller still: it is not even begun.
    std::fs::write(bench.root.join("ballast"), vec![1; 5 << 19]).unwrap();
    full(bench.fetch(&bench.blob).await);
    std::fs::remove_file(bench.root.join("ballast")).unwrap();
    let status = Command::new("mount").args(["-o", "remount,size=40m"]).arg(&mounted.0).status().unwrap();
    assert!(status.success());
    // Room enough now: it goes on by itself. Then too little for a volume.
    bench.fetch(&bench.blob).await.unwrap();
    let free = bench.storage.look(BRAIN, &bench.pool).await.free;
    let ballast = usize::try_from(free.0).unwrap() - (1 << 20);
    std::fs::write(bench.root.join("ballast"), vec![1; ballast]).unwrap();
    full(bench.build(&bench.volume(7, Bytes::mib(200))).await);
    assert!(bench.names("volumes").is_empty(), "{:?}", bench.names("volumes"));
    std::fs::remove_file(bench.root.join("ballast")).unwrap();
    bench.build(&bench.volume(7, Bytes::mib(200))).await.unwrap();
}

#[tokio::test]
async fn a_pool_on_btrfs_shares_blocks_with_the_image() {
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("disk");
    File::create(&disk).unwrap().set_len(300 << 20).unwrap();
    match Command::new("mkfs.btrfs").arg("-q").arg(&disk).status() {
        Ok(status) if status.success() => {}
        other => {
            println!("skipped: no mkfs.btrfs ({other:?})");
            return;
        }
    }
    let at = directory.path().join("pool");
    let Some(mounted) = Mounted::new(at, &["-o", "loop", disk.to_str().unwrap()]) else { return };
    let bench = Bench::at(mounted.0.clone());
    bench.init().await;
    bench.fetch(&bench.blob).await.unwrap();
    let seen = bench.storage.look(BRAIN, &bench.pool).await;
    assert!(seen.reflink);
    bench.build(&bench.volume(7, Bytes::mib(200))).await.unwrap();
    fsck(&bench.path(&bench.volume(7, Bytes::mib(200))));
    let extents =
        Command::new("filefrag").arg("-v").arg(bench.path(&bench.volume(7, Bytes::mib(200)))).output();
    if let Ok(extents) = extents {
        let text = String::from_utf8_lossy(&extents.stdout).into_owned();
        assert!(text.contains("shared"), "{text}");
    }
}

/// Later guests of an image take next to nothing where blocks can be shared, and all of it where they cannot.
#[tokio::test]
async fn later_guests_take_next_to_nothing_where_blocks_can_be_shared() {
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let mut seed = 1_u64;
    // What no filesystem makes smaller.
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33).to_le_bytes()[0]
    })
    .take(96 << 20)
    .collect();
    let mut tar = tarball();
    tar.truncate(tar.len() - 1024);
    let mut header = tar::Header::new_gnu();
    header.set_path("large").unwrap();
    header.set_size(noise.len() as u64);
    header.set_cksum();
    tar.extend_from_slice(header.as_bytes());
    tar.extend_from_slice(&noise);
    tar.extend_from_slice(&[0; 1024]);
    for (kind, make, shares) in
        [("btrfs", "mkfs.btrfs", true), ("xfs", "mkfs.xfs", true), ("ext4", "mke2fs", false)]
    {
        let disk = directory.path().join(kind);
        File::create(&disk).unwrap().set_len(1 << 30).unwrap();
        match Command::new(make).arg("-q").arg(&disk).status() {
            Ok(status) if status.success() => {}
            other => {
                println!("{kind} skipped: no {make} ({other:?})");
                continue;
            }
        }
        let at = directory.path().join(format!("{kind}-pool"));
        let Some(mounted) = Mounted::new(at, &["-o", "loop", disk.to_str().unwrap()]) else { return };
        // mke2fs leaves a directory of its own, and a pool begins in an empty one.
        let root = mounted.0.join("pool");
        std::fs::create_dir(&root).unwrap();
        let mut bench = Bench::at(root);
        bench.blob = zstd::encode_all(tar.as_slice(), 1).unwrap();
        bench.image = ImageWanted {
            digest: Digest(Sha256::digest(&bench.blob).into()),
            compressed: Bytes(bench.blob.len() as u64),
            unpacked: Bytes(tar.len() as u64),
        };
        bench.init().await;
        let used = || {
            assert!(Command::new("sync").arg("-f").arg(&mounted.0).status().unwrap().success());
            let stat = rustix::fs::statvfs(&mounted.0).unwrap();
            (stat.f_blocks - stat.f_bfree) * stat.f_frsize
        };
        let clock = std::time::Instant::now;
        let (before, begun) = (used(), clock());
        bench.fetch(&bench.blob).await.unwrap();
        let first = used() - before;
        println!("{kind}: the image {:.2} s, {} MB", begun.elapsed().as_secs_f64(), first / 1_000_000);
        assert_eq!(bench.storage.look(BRAIN, &bench.pool).await.reflink, shares, "{kind} says what it can");
        for id in 1..=2 {
            let volume = bench.volume(id, Bytes::mib(400));
            let (before, begun) = (used(), clock());
            bench.build(&volume).await.unwrap();
            let taken = used().saturating_sub(before);
            println!("{kind}: guest {id} {:.2} s, {} MB", begun.elapsed().as_secs_f64(), taken / 1_000_000);
            fsck(&bench.path(&volume));
            assert_eq!(taken < first / 8, shares, "{kind}: {taken} of {first} bytes");
        }
    }
}

#[tokio::test]
async fn a_pool_on_ext4_copies() {
    let bench = Bench::new();
    bench.init().await;
    let seen = bench.storage.look(BRAIN, &bench.pool).await;
    let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(&bench.root).output().unwrap();
    if String::from_utf8_lossy(&output.stdout).trim() == "ext2/ext3" {
        assert!(!seen.reflink);
    }
    assert!(seen.size > seen.free && seen.free.0 > 0);
}

/// A guest whose plug was pulled: what it wrote is in the journal and not in its place yet.
#[tokio::test]
async fn a_journal_left_by_a_power_cut_is_read_and_mended() {
    let (bench, volume) = Bench::with_volume().await;
    let path = bench.path(&volume);
    let guest = bench.root.with_extension("guest");
    let Some(mounted) = Mounted::new(guest.clone(), &["-o", "loop", path.to_str().unwrap()]) else { return };
    std::fs::write(guest.join("boot/vmlinuz-6.1.0-11"), kernel(3)).unwrap();
    std::fs::write(guest.join("boot/initrd.img-6.1.0-11"), "initrd of 11").unwrap();
    std::fs::remove_file(guest.join("vmlinuz")).unwrap();
    std::os::unix::fs::symlink("boot/vmlinuz-6.1.0-11", guest.join("vmlinuz")).unwrap();
    File::open(guest.join("boot/vmlinuz-6.1.0-11")).unwrap().sync_all().unwrap();
    File::open(guest.join("boot/initrd.img-6.1.0-11")).unwrap().sync_all().unwrap();
    sync_directory(&guest).unwrap();
    // The disk as it is at this instant.
    let cut = std::fs::read(&path).unwrap();
    drop(mounted);
    std::fs::write(&path, cut).unwrap();
    let features = Command::new("/sbin/dumpe2fs").arg("-h").arg(&path).output().unwrap();
    assert!(String::from_utf8_lossy(&features.stdout).contains("needs_recovery"), "the journal is dirty");

    let boot = bench.storage.boot_files(&bench.pool, &volume).await.unwrap();
    assert_eq!(std::fs::read(&boot.kernel).unwrap(), kernel(3));
    assert_eq!(std::fs::read(boot.initrd.unwrap()).unwrap(), b"initrd of 11");
    let larger = VolumeWanted { size: Bytes::mib(400), ..volume };
    bench.storage.grow_volume(&bench.pool, &larger).await.unwrap();
    fsck(&path);
    let fs = Ext4::load_from_path(&path).unwrap();
    assert_eq!(fs.read("/boot/vmlinuz-6.1.0-11").unwrap(), kernel(3));
}

/// `HONCHO_IMAGE=image.tar.zst HONCHO_POOL=/mnt/pool cargo test -p honcho-agent-lib -- --ignored --nocapture measured`
#[tokio::test]
#[ignore = "measures the steps with a real image, which HONCHO_IMAGE names, in the directory HONCHO_POOL"]
async fn the_steps_are_measured() {
    let blob = std::fs::read(std::env::var_os("HONCHO_IMAGE").unwrap()).unwrap();
    let mut bench = Bench::at(PathBuf::from(std::env::var_os("HONCHO_POOL").unwrap()));
    let unpacked = zstd::stream::read::Decoder::new(blob.as_slice())
        .map(|mut tar| io::copy(&mut tar, &mut io::sink()).unwrap());
    bench.image = ImageWanted {
        digest: Digest(Sha256::digest(&blob).into()),
        compressed: Bytes(blob.len() as u64),
        unpacked: Bytes(unpacked.unwrap()),
    };
    bench.init().await;
    let clock = std::time::Instant::now;
    let begun = clock();
    bench.fetch(&blob).await.unwrap();
    println!("fetch_image {:?}", begun.elapsed());
    for id in 1..=3 {
        let volume = bench.volume(id, Bytes::gib(3));
        let begun = clock();
        let said = Arc::new(Mutex::new(Vec::new()));
        let sink: ProgressSink = {
            let said = Arc::clone(&said);
            Arc::new(move |_, percent| said.lock().unwrap().push((percent, begun.elapsed())))
        };
        bench.storage.build_volume(&bench.pool, &volume, &identity(), &sink).await.unwrap();
        println!("build_volume {:?}", begun.elapsed());
        let said = said.lock().unwrap().clone();
        println!("  {:?}", &said[said.len().saturating_sub(4)..]);
        let begun = clock();
        bench.storage.boot_files(&bench.pool, &volume).await.unwrap();
        println!("boot_files {:?}", begun.elapsed());
        let larger = VolumeWanted { size: Bytes::gib(4), ..volume.clone() };
        let begun = clock();
        bench.storage.grow_volume(&bench.pool, &larger).await.unwrap();
        println!("grow_volume {:?}", begun.elapsed());
        fsck(&bench.path(&volume));
    }
}

//! Guests that make something odd of their disks, and disks that guests' leavings fill.

use super::*;
use std::os::unix::fs::FileExt;

/// Writes into a guest's superblock.
fn superblock(volume: &Path, at: u64, bytes: &[u8]) {
    File::options().write(true).open(volume).unwrap().write_all_at(bytes, 1024 + at).unwrap();
}

#[tokio::test]
async fn a_superblock_that_lies_about_sizes_is_refused() {
    let (bench, volume) = Bench::with_volume().await;
    let path = bench.path(&volume);
    let honest = std::fs::read(&path).unwrap();
    let check = async |at: u64, bytes: &[u8], says: &str| {
        superblock(&path, at, bytes);
        let answer = bench.storage.boot_files(&bench.pool, &volume).await;
        let Err(DriverError::Later(text)) = answer else { panic!("{answer:?}") };
        assert!(text.contains(says) && text.contains("no kernel to boot"), "{text}");
        std::fs::write(&path, &honest).unwrap();
    };
    check(0x20, &1_u32.to_le_bytes(), "1 blocks in a group").await;
    check(0x20, &u32::MAX.to_le_bytes(), "blocks in a group").await;
    check(0x4, &u32::MAX.to_le_bytes(), "on a disk of").await;
    check(0x150, &u32::MAX.to_le_bytes(), "on a disk of").await;
    check(0x18, &21_u32.to_le_bytes(), "blocks of 2^31 bytes").await;
    check(0x28, &u32::MAX.to_le_bytes(), "inodes in a group").await;
    check(0x58, &3_u16.to_le_bytes(), "inodes of 3 bytes").await;
    check(0xfe, &0_u16.to_le_bytes(), "group descriptors of 0 bytes").await;
    check(0x38, &[0; 2], "no ext4 filesystem").await;
    bench.storage.boot_files(&bench.pool, &volume).await.unwrap();
}

#[tokio::test]
async fn a_journal_or_a_link_of_any_size_is_not_read() {
    let (bench, volume) = Bench::with_volume().await;
    let path = bench.path(&volume);
    debugfs(&path, "set_inode_field /vmlinuz size 1099511627776\n");
    let boot = bench.storage.boot_files(&bench.pool, &volume).await.unwrap();
    assert_eq!(std::fs::read(&boot.kernel).unwrap(), kernel(1), "what is in /boot serves");
    debugfs(&path, "set_inode_field <8> size 1099511627776\nfeature needs_recovery\n");
    let file = File::open(&path).unwrap();
    let budget = crate::storage::guest_filesystem::Budget::new(1 << 30, Duration::from_mins(1));
    let error = crate::storage::guest_filesystem::open(file, &budget).unwrap_err();
    assert!(error.contains("a journal of 1099511627776 bytes"), "{error}");
}

#[tokio::test]
async fn a_volume_is_read_once_at_a_time_and_within_a_budget() {
    let all = Arc::new(Mutex::new(BTreeSet::new()));
    let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let turn = Turn::take(&all, one).unwrap();
    assert!(Turn::take(&all, one).is_none() && Turn::take(&all, other).is_some());
    drop(turn);
    assert!(Turn::take(&all, one).is_some());

    let (bench, volume) = Bench::with_volume().await;
    for (bytes, time, says) in
        [(100_000, Duration::from_mins(1), "too large"), (1 << 30, Duration::ZERO, "too long")]
    {
        let budget = crate::storage::guest_filesystem::Budget::new(bytes, time);
        let disk = File::open(bench.path(&volume)).unwrap();
        let error = match crate::storage::guest_filesystem::open(disk, &budget) {
            Err(error) => error,
            Ok(fs) => match fs.read("/boot/vmlinuz-6.1.0-9") {
                Err(error) => error.to_string(),
                Ok(_) => panic!("it was read"),
            },
        };
        let source = format!("{error:?}");
        assert!(source.contains(says), "{source}");
    }
}

#[tokio::test]
async fn deleting_leaves_neither_logs_nor_half_a_pair() {
    let (bench, volume) = Bench::with_volume().await;
    bench.storage.boot_files(&bench.pool, &volume).await.unwrap();
    let log = bench.storage.console_log_path(&bench.pool, volume.id, volume.uuid);
    for turned in ["", ".0", ".1", ".12"] {
        std::fs::write(format!("{}{turned}", log.display()), "login:").unwrap();
    }
    let other = log.with_file_name("v70-x.console.log");
    std::fs::write(&other, "login:").unwrap();
    // Left by somebody who was killed while deleting a pair.
    let half = bench.root.join("boot/forgotten.abc.partial/pair-");
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(half.join("kernel"), "half").unwrap();
    bench.storage.boot_files(&bench.pool, &volume).await.unwrap();
    assert_eq!(bench.names("boot").len(), 2, "{:?}", bench.names("boot"));
    let absent = VolumeAbsent { id: volume.id, uuid: volume.uuid, pool: volume.pool };
    bench.storage.delete_volume(&bench.pool, &absent).await.unwrap();
    assert!(bench.names("boot").is_empty(), "{:?}", bench.names("boot"));
    assert_eq!(bench.names("volumes"), ["v70-x.console.log"]);
}

#[tokio::test]
async fn what_e2fsck_refuses_keeps_its_old_size_and_is_not_tried_again() {
    let (bench, volume) = Bench::with_volume().await;
    let path = bench.path(&volume);
    let growing = path.with_extension(&GROWING[1..]);
    let larger = VolumeWanted { size: Bytes::mib(500), ..volume.clone() };
    let honest = std::fs::read(&path).unwrap();
    debugfs(&path, "feature FEATURE_I31\n");
    let refused = bench.storage.grow_volume(&bench.pool, &larger).await;
    assert!(
        matches!(&refused, Err(DriverError::Never(text)) if text.contains("stays at 200M") && text.contains("e2fsck -f")),
        "{refused:?}"
    );
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 200 << 20, "the guest sees the disk it had");
    assert!(!growing.exists());
    assert_eq!(bench.storage.look(BRAIN, &bench.pool).await.volumes[0].size, Bytes::mib(200));
    // What resize2fs may have left half-way is no disk to start a guest from.
    std::fs::write(&growing, "209715200 resizing\n").unwrap();
    File::options().write(true).open(&path).unwrap().set_len(500 << 20).unwrap();
    let half = bench.storage.grow_volume(&bench.pool, &larger).await;
    assert!(matches!(half, Err(DriverError::Later(_))), "{half:?}");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 500 << 20);
    assert_eq!(bench.storage.look(BRAIN, &bench.pool).await.volumes[0].size, Bytes::mib(200));
    // Mended by hand, it goes on.
    File::options().write(true).open(&path).unwrap().write_all_at(&honest, 0).unwrap();
    bench.storage.grow_volume(&bench.pool, &larger).await.unwrap();
    assert_eq!(size_of_filesystem(&path), 500 << 20);
    assert!(!growing.exists());
}

//! Tarballs changed at will: refused with a reason, or packed so that they read as themselves.

use super::*;
use expect_test::expect;
use proptest::prelude::*;

/// Some of everything that a tarball can hold.
fn seed() -> Vec<u8> {
    Tarball::system()
        .records(&[
            ("path", b"etc/long"),
            ("mtime", b"12.5"),
            ("SCHILY.xattr.user.a", b"b\nc"),
            ("uid", b"3000000"),
        ])
        .file("x", b"content")
        .records(&[("SCHILY.acl.access", b"user::rw-,user:lisa:r--,group::r--,mask::r--,other::r--")])
        .file("etc/listed", b"")
        .entry("etc/hard", b'1', "etc/long", 0o644, b"")
        .entry("etc/soft", b'2', "../boot", 0o777, b"")
        .entry("././@LongLink", b'L', "", 0, &[b'n'; 150])
        .file("n", b"12345")
        .records(&[
            ("GNU.sparse.map", b"0,4,100,4"),
            ("GNU.sparse.size", b"900"),
            ("GNU.sparse.name", b"sparse"),
        ])
        .file("x", b"12345678")
        .entry("dev/sda", b'4', "", 0o660, b"")
        .entry("run/fifo", b'6', "", 0o600, b"")
        .end()
}

/// A header whose sum is right again, so that more than the sum is tried.
fn mend(tar: &mut [u8], block: usize) {
    if let Some(bytes) = tar.get_mut(block * 512..(block + 1) * 512) {
        bytes[148..156].fill(b' ');
        let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

#[test]
fn the_seed_itself_is_taken() {
    let keep = ImportOptions { devices: Devices::Keep, ..ImportOptions::default() };
    let (image, packed) = import_bytes(&seed(), &keep).unwrap();
    assert!(image.notes.is_empty(), "{:?}", image.notes);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), packed).unwrap();
    let arguments = ["--numeric-owner", "--utc", "-tvf"];
    let listed = std::process::Command::new("tar").args(arguments).arg(file.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stderr), "");
    expect![[r"
        drwxr-xr-x 0/0               0 2001-09-09 01:46 ./
        drwxr-xr-x 0/0               0 1970-01-01 00:00 ./boot/
        -rw-r--r-- 0/0               8 2001-09-09 01:46 ./boot/vmlinuz-6.1
        drwxr-xr-x 0/0               0 1970-01-01 00:00 ./dev/
        brw-rw---- 0/0             8,1 2001-09-09 01:46 ./dev/sda
        drwxr-xr-x 0/0               0 1970-01-01 00:00 ./etc/
        -rw-r--r-- 3000000/0         7 1970-01-01 00:00 ./etc/hard
        -rw-r--r-- 0/0               0 2001-09-09 01:46 ./etc/listed
        hrw-r--r-- 3000000/0         0 1970-01-01 00:00 ./etc/long link to ./etc/hard
        -rw-r--r-- 0/0              50 2001-09-09 01:46 ./etc/os-release
        -rw-r--r-- 0/0              63 2001-09-09 01:46 ./etc/passwd
        lrwxrwxrwx 0/0               0 2001-09-09 01:46 ./etc/soft -> ../boot
        -rw-r--r-- 0/0               5 2001-09-09 01:46 ./nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn
        drwxr-xr-x 0/0               0 1970-01-01 00:00 ./run/
        prw------- 0/0               0 2001-09-09 01:46 ./run/fifo
        drwxr-xr-x 0/0               0 1970-01-01 00:00 ./sbin/
        -rwxr-xr-x 0/0              10 2001-09-09 01:46 ./sbin/init
        -rw-r--r-- 0/0             900 2001-09-09 01:46 ./sparse
    "]].assert_eq(&String::from_utf8_lossy(&listed.stdout));
    check_reader(&seed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn whatever_is_changed_is_refused_or_reads_as_itself(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut tar = seed();
        for (at, byte, mended) in changes {
            let at = at.index(tar.len());
            tar[at] = byte;
            if mended {
                mend(&mut tar, at / 512);
            }
        }
        if let Some(cut) = cut {
            tar.truncate(cut.index(tar.len()));
        }
        check_reader(&tar);
    }

    #[test]
    fn whatever_the_fields_say(
        kind in prop::sample::select(b"0123456 7DLKSxgVMA".to_vec()),
        path in "[a-c/.]{0,12}", link in "[a-c/.]{0,12}",
        size in prop::sample::select(vec![0_u64, 1, 511, 512, 513, 4096, 1 << 33]),
        key in prop::sample::select(vec!["size", "path", "linkpath", "mtime", "uid", "GNU.sparse.map", "GNU.sparse.size", "GNU.sparse.realsize", "GNU.sparse.major", "SCHILY.acl.access", "SCHILY.xattr.user.x"]),
        value in "[0-9,.:a-z/-]{0,20}", content in proptest::collection::vec(any::<u8>(), 0..1500),
    ) {
        let tar = Tarball::system().records(&[(key, value.as_bytes())]).lying(&path, kind, &link, 0o755, &content, size);
        check_reader(&tar.clone().end());
        check_reader(&tar.file("after", b"x").end());
    }
}

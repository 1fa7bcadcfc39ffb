//! Disks that are none, that are damaged, and that somebody has changed at will.

use super::*;
use crate::import::ImportFrom;
use proptest::prelude::*;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

static BASE: OnceLock<Vec<u8>> = OnceLock::new();

/// A small filesystem without check sums, so that what is changed in it is looked at.
fn base() -> &'static [u8] {
    BASE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        std::fs::create_dir_all(root.join("etc/ssh")).unwrap();
        std::fs::create_dir_all(root.join("srv/some/where")).unwrap();
        for (name, content) in [
            ("etc/os-release", &b"ID=debian\n"[..]),
            ("srv/big", &[7; 9000]),
            ("etc/ssh/ssh_host_rsa_key", b"x"),
        ] {
            std::fs::write(root.join(name), content).unwrap();
        }
        std::fs::hard_link(root.join("srv/big"), root.join("srv/some/where/twice")).unwrap();
        std::os::unix::fs::symlink("etc/os-release", root.join("short")).unwrap();
        std::os::unix::fs::symlink("x/".repeat(100), root.join("srv/long")).unwrap();
        let image = directory.path().join("image");
        made(&root, &image, "^metadata_csum,^has_journal,^resize_inode", "256");
        std::fs::read(image).unwrap()
    })
}

fn made(root: &Path, image: &Path, features: &str, blocks: &str) {
    let made = Command::new("/sbin/mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-b", "1024", "-O", features, "-d"])
        .args([root, image])
        .arg(blocks)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A disk, as debugfs changes it.
fn changed(disk: &[u8], commands: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let (image, script) = (directory.path().join("image"), directory.path().join("script"));
    std::fs::write(&image, disk).unwrap();
    std::fs::write(&script, commands).unwrap();
    let run = Command::new("/sbin/debugfs").arg("-wf").args([&script, &image]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && said.lines().all(|line| line.starts_with("debugfs")), "{said}");
    std::fs::read(image).unwrap()
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn options() -> ImportOptions {
    ImportOptions {
        largest: Bytes(1 << 20),
        most_files: 100,
        from: ImportFrom::Disk,
        ..ImportOptions::default()
    }
}

fn names(bytes: &[u8], options: &ImportOptions) -> Result<Vec<String>, String> {
    let taken = read(file_of(bytes), options, &|| true).map_err(|error| error.to_string())?;
    let mut packed = Vec::new();
    pack::pack(&taken.tree, &taken.data, &mut packed, &|_| {}).map_err(|error| error.to_string())?;
    let mut archive = tar::Archive::new(packed.as_slice());
    let told = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
        let entry = entry.unwrap();
        let link = entry.link_name_bytes().map(|to| format!(" -> {}", String::from_utf8_lossy(&to)));
        format!(
            "{}{} {}",
            String::from_utf8_lossy(&entry.path_bytes()),
            link.unwrap_or_default(),
            entry.size()
        )
    };
    Ok(archive.entries().unwrap().map(told).collect())
}

#[test]
fn a_disk_reads_as_what_is_on_it() {
    let long = "x/".repeat(100);
    assert_eq!(
        names(base(), &options()).unwrap(),
        [
            "./ 0",
            "./etc/ 0",
            "./etc/os-release 10",
            "./etc/ssh/ 0",
            "./short -> etc/os-release 0",
            "./srv/ 0",
            "./srv/big 9000",
            &format!("./srv/long -> {long} 0"),
            "./srv/some/ 0",
            "./srv/some/where/ 0",
            "./srv/some/where/twice -> ./srv/big 0",
        ]
    );
}

/// Bytes at a place of the superblock.
fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut image = base().to_vec();
    image[1024 + at..1024 + at + bytes.len()].copy_from_slice(bytes);
    image
}

#[test]
fn what_cannot_be_read_is_refused_with_the_reason() {
    let refused = |bytes: &[u8], why: &str| {
        let error = names(bytes, &options()).unwrap_err();
        assert!(error.contains(why), "{error}");
    };
    refused(b"short", "too short");
    refused(&[0; 4096], "no ext4 filesystem");
    let features = u32::from_le_bytes(base()[1024 + 0x60..1024 + 0x64].try_into().unwrap());
    refused(&with(0x60, &(features | 0x4).to_le_bytes()), "replays its journal");
    refused(&with(0x60, &(features | 0x8000 | 0x4000_0000).to_le_bytes()), "inline_data, 0x40000000");
    refused(&with(0x18, &60_u32.to_le_bytes()), "damaged: its blocks");
    refused(&with(0x4, &u32::MAX.to_le_bytes()), "it claims 4294967295 blocks");
    refused(&with(0x58, &7_u16.to_le_bytes()), "groups or inodes");
    refused(&with(0x28, &0_u32.to_le_bytes()), "groups or inodes");
    refused(&base()[..base().len() / 2], "it claims 256 blocks");
    let few = ImportOptions { most_files: 5, ..options() };
    assert!(names(base(), &few).unwrap_err().contains("more than 5 files"));
    let small = ImportOptions { largest: Bytes(9000), ..options() };
    assert!(names(base(), &small).unwrap_err().contains("--max-size"));
}

/// A disk with these directories, links, and files that are secret.
fn disk_with(directories: &[&str], links: &[(&str, &str)], secrets: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    for made in directories {
        std::fs::create_dir_all(root.join(made)).unwrap();
    }
    for (at, to) in links {
        std::os::unix::fs::symlink(to, root.join(at)).unwrap();
    }
    for secret in secrets {
        std::fs::write(root.join(secret), b"secret").unwrap();
    }
    // Where it is there, it has another name.
    if root.join("srv/keys/ecdsa").exists() {
        std::fs::hard_link(root.join("srv/keys/ecdsa"), root.join("etc/ssh/ssh_host_ecdsa_key")).unwrap();
    }
    let image = directory.path().join("image");
    made(&root, &image, "^metadata_csum,^has_journal,^resize_inode", "1024");
    std::fs::read(image).unwrap()
}

#[test]
fn what_is_one_guests_goes_wherever_links_put_it() {
    let directories = ["etc", "srv/honcho", "srv/homes/a", "srv/keys/lib/systemd"];
    let links = [
        ("etc/honcho", "../srv/honcho"),
        ("home", "srv/homes"),
        ("srv/homes/b", "/srv/homes/a"),
        ("etc/machine-id", "/srv/keys/id"),
        ("var", "/srv/keys"),
        ("tmp", "/"),
    ];
    let secrets = [
        "srv/honcho/token",
        "srv/homes/a/.bash_history",
        "srv/keys/id",
        "srv/keys/lib/systemd/random-seed",
        "srv/kept",
    ];
    let names = names(&disk_with(&directories, &links, &secrets), &options()).unwrap();
    for gone in ["token", ".bash_history", "random-seed"] {
        assert!(!names.iter().any(|name| name.contains(gone)), "{gone}: {names:?}");
    }
    for there in ["./srv/keys/id 0", "./srv/honcho/ 0", "./srv/kept 6", "./tmp -> / 0"] {
        assert!(names.iter().any(|name| name == there), "{there}: {names:?}");
    }
}

#[test]
fn what_a_secrets_own_link_leads_to_is_emptied() {
    let directories = [
        "etc/ssh",
        "etc/honcho/more",
        "root/.ssh",
        "srv/keys",
        "usr/lib",
        "usr/local/etc",
        "var/lib/dbus",
        "var/log",
    ];
    let links = [
        ("etc/machine-id", "/srv/keys/id"),
        ("var/lib/dbus/machine-id", "/etc/machine-id"),
        // Above the root there is nothing; over another link; in a circle; to nothing; to a directory.
        ("etc/ssh/ssh_host_rsa_key", "../../../../srv/keys/rsa"),
        ("etc/ssh/ssh_host_ed25519_key", "/srv/link"),
        ("srv/link", "keys/ed25519"),
        ("etc/ssh/ssh_host_a_key", "ssh_host_b_key"),
        ("etc/ssh/ssh_host_b_key", "ssh_host_a_key"),
        ("etc/ssh/ssh_host_c_key", "/nowhere"),
        ("etc/ssh/ssh_host_d_key", "/srv"),
        ("root/.ssh/authorized_keys", "/usr/local/etc/who"),
        ("etc/resolv.conf", "../usr/lib/resolv.conf"),
        ("etc/honcho/header", "/srv/keys/header"),
        ("etc/honcho/more/key", "../../../usr/local/etc/key"),
        ("etc/honcho/ca.pem", "/usr/lib/ca.pem"),
        ("etc/honcho/self", "."),
        ("etc/honcho/all", "/"),
        ("var/log/README", "/usr/lib/readme"),
    ];
    let secrets = [
        "srv/keys/id",
        "srv/keys/rsa",
        "srv/keys/ed25519",
        "srv/keys/ecdsa",
        "srv/keys/header",
        "usr/local/etc/who",
        "usr/local/etc/key",
        "srv/kept",
        "usr/lib/resolv.conf",
        "usr/lib/ca.pem",
        "usr/lib/readme",
    ];
    let disk = disk_with(&directories, &links, &secrets);
    let names = names(&disk, &options()).unwrap();
    let below = |parent: &str| -> Vec<&str> {
        names.iter().filter_map(|name| name.strip_prefix(parent)).filter(|name| *name != " 0").collect()
    };
    assert_eq!(below("./etc/ssh/"), [""; 0]);
    assert_eq!(below("./root/.ssh/"), [""; 0]);
    assert_eq!(below("./var/lib/dbus/"), [""; 0]);
    assert_eq!(below("./etc/honcho/"), ["more/ 0"]);
    assert_eq!(below("./etc/resolv"), [""; 0]);
    assert_eq!(below("./srv/keys/"), ["ecdsa 0", "ed25519 0", "header 0", "id 0", "rsa 0"]);
    assert_eq!(below("./usr/local/etc/"), ["key 0", "who 0"]);
    assert_eq!(below("./usr/lib/"), ["ca.pem 6", "readme 6", "resolv.conf 6"]);
    for there in
        ["./etc/machine-id -> /srv/keys/id 0", "./srv/kept 6", "./var/log/README -> /usr/lib/readme 0"]
    {
        assert!(names.iter().any(|name| name == there), "{there}: {names:?}");
    }
    let told = read(file_of(&disk), &options(), &|| true).unwrap().notes.identity;
    assert!(told.first.iter().any(|name| name == "/etc/honcho/header"), "{told:?}");
}

#[test]
fn a_directory_of_which_nobody_knows_whose_it_is_is_refused() {
    let disk = disk_with(&["etc/honcho", "srv/mail"], &[("etc/honcho/mail", "/srv/mail")], &["srv/mail/key"]);
    let error = names(&disk, &options()).unwrap_err();
    assert!(error.contains("/etc/honcho/mail is a symbolic link to a directory"), "{error}");
}

#[test]
fn what_no_tarball_may_have_is_refused_before_it_is_sent() {
    let refused = |commands: &str, why: &str| {
        let error = names(&changed(base(), commands), &options()).unwrap_err();
        assert!(error.contains(why), "{error}");
    };
    refused("set_inode_field /srv/big uid 0xffffffff\n", "/srv/big is owned");
    // The place of a file says it, not its own name alone.
    let mut image = changed(base(), "ea_set /srv/big user.a b\n");
    names(&image, &options()).unwrap();
    let at = image.windows(12).position(|bytes| bytes[6] == 4 && bytes[8..12] == *b"some").unwrap();
    image[at + 8] = b'"';
    let error = names(&image, &options()).unwrap_err();
    assert!(error.contains("ome/where/twice has extended attributes"), "{error}");
}

#[test]
fn what_leads_round_and_round_is_refused() {
    // The entry of `some` leads to the root, and then to the directory that it is in.
    let image = base();
    let at = image.windows(12).position(|bytes| bytes[6] == 4 && bytes[8..12] == *b"some").unwrap();
    let srv = image.windows(11).position(|bytes| bytes[6] == 3 && bytes[8..11] == *b"srv").unwrap();
    for number in [2_u32.to_le_bytes(), image[srv..srv + 4].try_into().unwrap()] {
        let mut circle = image.to_vec();
        circle[at..at + 4].copy_from_slice(&number);
        let error = names(&circle, &options()).unwrap_err();
        assert!(error.contains("some is in two places"), "{error}");
    }
    let mut nowhere = image.to_vec();
    nowhere[at..at + 4].copy_from_slice(&60_000_u32.to_le_bytes());
    assert!(names(&nowhere, &options()).unwrap_err().contains("no inode 60000"));
}

#[test]
fn attributes_that_are_left_out_take_no_memory() {
    let one = changed(base(), "ea_set /srv/big trusted.of_a_machine x\n");
    let taken = read(file_of(&one), &options(), &|| true).unwrap();
    assert_eq!(taken.notes.xattrs.first, ["trusted.of_a_machine of big"]);
    let mut tree = taken.tree;
    assert!(tree.nodes_mut().all(|node| node.attributes.left_out.is_empty()));
}

#[test]
fn a_file_has_all_its_names_whatever_it_says_of_how_many() {
    let one = changed(base(), "set_inode_field /srv/big links_count 1\n");
    assert_eq!(names(&one, &options()), names(base(), &options()));
}

#[test]
fn files_that_share_their_blocks_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    std::fs::create_dir(&root).unwrap();
    for (name, length) in [("a", 100 << 10), ("b", 1001), ("c", 1002)] {
        std::fs::write(root.join(name), vec![7; length]).unwrap();
    }
    let image = directory.path().join("image");
    made(&root, &image, "^metadata_csum,^has_journal,^resize_inode", "256");
    let mut disk = std::fs::read(image).unwrap();
    assert_eq!(names(&disk, &options()).unwrap().len(), 4);
    let size = usize::from(u16::from_le_bytes(disk[1024 + 0x58..1024 + 0x5a].try_into().unwrap()));
    let inode_of = |disk: &[u8], length: u32| {
        let is_it = |at: &usize| disk[at + 1] & 0xf0 == 0x80 && disk[at + 4..at + 8] == length.to_le_bytes();
        (0..disk.len() - 8).step_by(size).find(is_it).unwrap()
    };
    let first = inode_of(&disk, 100 << 10);
    for other in [1001, 1002] {
        let other = inode_of(&disk, other);
        disk.copy_within(first..first + size, other);
    }
    let error = names(&disk, &options()).unwrap_err();
    assert!(error.contains("up to c, its files have more blocks than it has"), "{error}");
}

#[test]
fn a_disk_that_nobody_wants_any_more_is_not_read_on() {
    let asked = std::cell::Cell::new(0);
    let until = |most: u32| {
        asked.set(0);
        let wanted = || {
            asked.set(asked.get() + 1);
            asked.get() < most
        };
        capture(file_of(base()), io::sink(), &wanted, &|_| {})
    };
    let all = until(u32::MAX).unwrap();
    let often = asked.get();
    assert!(often > 10, "for each inode and block of a directory: {often}");
    for most in [1, 2, often - 1] {
        let error = until(most).unwrap_err().to_string();
        assert!(error.contains("nobody wants") && asked.get() == most, "{error}");
    }
    assert_eq!(until(often + 1).unwrap(), all);
}

#[test]
fn data_are_read_across_pieces() {
    let data = |pieces: &[(Option<u64>, u64)]| {
        let mut data = OnDisk { file: file_of(b"0123456789"), pieces: Vec::new(), length: 0 };
        for (from, length) in pieces {
            data.add(*from, *length).unwrap();
        }
        data
    };
    let data = data(&[(Some(2), 3), (None, 2), (Some(0), 1), (Some(9), 1)]);
    let mut all = [9; 7];
    data.read_exact_at(&mut all, 0).unwrap();
    assert_eq!(all, [b'2', b'3', b'4', 0, 0, b'0', b'9']);
    data.read_exact_at(&mut all[..3], 4).unwrap();
    assert_eq!(all[..3], [0, b'0', b'9']);
    data.read_exact_at(&mut all[..2], 6).unwrap_err();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn no_change_breaks_it(changes in proptest::collection::vec((any::<u32>(), proptest::collection::vec(any::<u8>(), 1..8)), 1..12)) {
        static ATTRIBUTED: OnceLock<Vec<u8>> = OnceLock::new();
        let attributes = "ea_set /srv/big user.a b\nea_set /srv user.c d\n";
        let mut image = ATTRIBUTED.get_or_init(|| changed(base(), attributes)).clone();
        // Most of it is empty: what matters is in front.
        for (place, bytes) in changes {
            let place = place as usize % (64 << 10);
            image[place..place + bytes.len()].copy_from_slice(&bytes);
        }
        check_disk(&image);
    }
}

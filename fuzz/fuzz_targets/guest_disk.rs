//! A guest's disk, some bytes of which it has changed, as it is read for an image. The input is changes: three bytes of a place, a
//! length from 1 to 16, and what is written there.
#![no_main]

use std::fs::{create_dir_all, hard_link, write};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

static BASE: OnceLock<Vec<u8>> = OnceLock::new();

/// Some of everything, by mke2fs without check sums, so that changes in it are looked at.
fn base() -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (root, image) = (directory.path().join("root"), directory.path().join("image"));
    fill(&root).expect("files");
    let run = |command: &mut Command| {
        // Of one moment, so that what is found is found again.
        let done = command.env("E2FSPROGS_FAKE_TIME", "1700000000").output().expect("e2fsprogs is there");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let uuid = "11111111-2222-4333-8444-555555555555";
    run(Command::new("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-b", "1024", "-N", "64", "-U", uuid, "-E"])
        .arg(format!("hash_seed={uuid}"))
        .args(["-O", "^metadata_csum,^has_journal,^resize_inode", "-d"])
        .args([&root, &image])
        .arg("256"));
    // Of an owner, a user, a group, whom the mask bounds, and others.
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in
        [(1_u16, 6_u16, u32::MAX), (2, 7, 1000), (4, 4, u32::MAX), (16, 7, u32::MAX), (32, 4, u32::MAX)]
    {
        list.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        list.extend(id.to_le_bytes());
    }
    let (list_file, script) = (directory.path().join("list"), directory.path().join("script"));
    write(&list_file, list).expect("a list of access");
    let commands = format!(
        "ea_set /srv/big user.a b\nea_set /srv user.c {}\nea_set /srv/some user.d e\n\
         ea_set -f {} /srv/some/key system.posix_acl_access\ncd /srv\nmknod disk b 8 1\n",
        "x".repeat(300),
        list_file.display()
    );
    write(&script, commands).expect("a script");
    run(Command::new("debugfs").arg("-wf").args([&script, &image]));
    std::fs::read(image).expect("the image")
}

fn fill(root: &Path) -> std::io::Result<()> {
    for made in ["etc/ssh", "etc/honcho", "srv/some/where", "home/ann", "var/log", "tmp"] {
        create_dir_all(root.join(made))?;
    }
    write(root.join("srv/big"), [7; 9000])?;
    // In pieces, of which an inode does not hold all.
    let torn = std::fs::File::create(root.join("srv/torn"))?;
    for piece in 0..12 {
        torn.write_all_at(&[8; 1024], piece * 3072)?;
    }
    hard_link(root.join("srv/big"), root.join("srv/some/where/twice"))?;
    for (path, to) in [
        ("short", "srv/big"),
        ("long", "x/".repeat(100).as_str()),
        ("etc/ssh/ssh_host_rsa_key", "../../srv/some/key"),
        ("etc/honcho/token", "/srv/some/token"),
        ("etc/machine-id", "/srv/some/id"),
        ("home/bob", "ann"),
    ] {
        symlink(to, root.join(path))?;
    }
    for secret in
        ["srv/some/key", "srv/some/token", "srv/some/id", "home/ann/.bash_history", "var/log/said", "tmp/x"]
    {
        write(root.join(secret), "secret")?;
    }
    Ok(())
}

libfuzzer_sys::fuzz_target!(|changes: &[u8]| {
    let mut image = BASE.get_or_init(base).clone();
    let mut rest = changes;
    while let Some(([a, b, c, length], after)) = rest.split_first_chunk::<4>() {
        let (written, after) = after.split_at(usize::from(length % 16 + 1).min(after.len()));
        // What matters is in front.
        let place = u32::from_le_bytes([*a, *b, *c, 0]) as usize % (96 << 10);
        image[place..place + written.len()].copy_from_slice(written);
        rest = after;
    }
    honcho_images::import::disk::check_disk(&image);
});

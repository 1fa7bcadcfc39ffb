//! A guest's disk, some bytes of which it has changed, as it is read for an image: the input is a list of places and what is written
//! there.
#![no_main]

use std::process::Command;
use std::sync::OnceLock;

static BASE: OnceLock<Vec<u8>> = OnceLock::new();

/// Some of everything, by mke2fs without check sums, so that changes in it are looked at.
fn base() -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path().join("root");
    std::fs::create_dir_all(root.join("srv/some/where")).expect("a directory");
    std::fs::write(root.join("srv/big"), [7; 9000]).expect("a file");
    std::fs::hard_link(root.join("srv/big"), root.join("srv/some/where/twice")).expect("a link");
    std::os::unix::fs::symlink("srv/big", root.join("short")).expect("a link");
    std::os::unix::fs::symlink("x/".repeat(100), root.join("long")).expect("a link");
    let image = directory.path().join("image");
    let made = Command::new("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^has_journal,^resize_inode", "-d"])
        .args([&root, &image])
        .arg("256")
        .status()
        .expect("mke2fs (e2fsprogs) is there");
    assert!(made.success(), "mke2fs failed");
    std::fs::read(image).expect("the image")
}

libfuzzer_sys::fuzz_target!(|changes: Vec<(u32, Vec<u8>)>| {
    let mut image = BASE.get_or_init(base).clone();
    for (place, bytes) in changes {
        // What matters is in front.
        let place = place as usize % (96 << 10);
        image[place..place + bytes.len().min(4096)].copy_from_slice(&bytes[..bytes.len().min(4096)]);
    }
    honcho_images::import::disk::check_disk(&image);
});

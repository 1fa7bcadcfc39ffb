//! A guest's own filesystem, some bytes of which it has changed: the input is a list of places and what is written there.
#![no_main]

use ext4_view::Ext4;
use honcho_agent_lib::storage::boot_files::candidates;
use std::process::Command;
use std::sync::OnceLock;

static BASE: OnceLock<Vec<u8>> = OnceLock::new();

/// A small filesystem with two kernels, made by mke2fs without checksums, so that changes in it are looked at.
fn base() -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path().join("root");
    std::fs::create_dir_all(root.join("boot")).expect("a directory");
    for version in ["6.1.0-9-amd64", "6.1.0-10-amd64"] {
        std::fs::write(root.join(format!("boot/vmlinuz-{version}")), [0; 1024]).expect("a file");
        std::fs::write(root.join(format!("boot/initrd.img-{version}")), [0; 1024]).expect("a file");
    }
    std::os::unix::fs::symlink("boot/vmlinuz-6.1.0-10-amd64", root.join("vmlinuz")).expect("a link");
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
        let place = place as usize % image.len();
        let end = (place + bytes.len()).min(image.len());
        image[place..end].copy_from_slice(&bytes[..end - place]);
    }
    let Ok(fs) = Ext4::load(Box::new(image)) else { return };
    for pair in candidates(&fs).iter().take(4) {
        let small = fs.metadata(pair.kernel.as_str()).is_ok_and(|meta| meta.len() < 1 << 20);
        if small {
            let _ = fs.read(pair.kernel.as_str());
        }
    }
});

//! Puts the kernel of a machine into a root filesystem that has none, as a container's has: kernel, initrd and modules.

use super::reader::{Attributes, Entry, Kind};
use super::sparse::Map;
use super::tree::Tree;
use super::{ImportError, no_room, refused};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Adds the kernel that `root` boots. `spooled` is where the spool file ends. Gives a sentence that says which.
pub(super) fn add(
    root: &Path,
    tree: &mut Tree,
    spool: &File,
    spooled: &mut u64,
) -> Result<String, ImportError> {
    let version = newest(root)?;
    let modules = root.join("lib/modules").join(&version);
    if !modules.is_dir() {
        return Err(refused(format!(
            "it needs this machine's kernel {version}, whose modules are not in {}",
            modules.display()
        )));
    }
    for name in [format!("boot/vmlinuz-{version}"), format!("boot/initrd.img-{version}")] {
        copy(&root.join(&name), format!("/{name}").into_bytes(), tree, spool, spooled)?;
    }
    // /lib is a directory, or leads to /usr/lib.
    let lib = if tree.resolve(b"/usr/lib").is_some() && tree.resolve(b"/lib") == tree.resolve(b"/usr/lib") {
        "/usr/lib/modules"
    } else {
        "/lib/modules"
    };
    let mut left = vec![modules.clone()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory)? {
            let path = entry?.path();
            let metadata = path.symlink_metadata()?;
            if metadata.is_dir() {
                left.push(path);
                continue;
            }
            // `build` and `source` lead to what is not there.
            if metadata.is_file() {
                let within = path.strip_prefix(&modules).map_err(std::io::Error::other)?;
                let to =
                    [lib.as_bytes(), b"/", version.as_bytes(), b"/", within.as_os_str().as_bytes()].concat();
                copy(&path, to, tree, spool, spooled)?;
            }
        }
    }
    Ok(format!(
        "the kernel is this machine's, {version}: guests upgrade it only once the image has its package"
    ))
}

/// The version of the newest kernel in /boot that has an initrd.
fn newest(root: &Path) -> Result<String, ImportError> {
    let boot = root.join("boot");
    let mut kernels: Vec<(std::time::SystemTime, String)> = Vec::new();
    for entry in std::fs::read_dir(&boot).into_iter().flatten() {
        let entry = entry?;
        let name = entry.file_name();
        let Some(version) = name.to_str().and_then(|name| name.strip_prefix("vmlinuz-")) else { continue };
        if boot.join(format!("initrd.img-{version}")).is_file() {
            kernels.push((entry.metadata()?.modified()?, version.to_owned()));
        }
    }
    let none = || {
        refused(format!(
            "it needs this machine's kernel, and there is none with an initrd in {}: install linux-image-cloud-amd64 \
             and initramfs-tools here, or a kernel in it",
            boot.display()
        ))
    };
    kernels.into_iter().max().map(|(_, version)| version).ok_or_else(none)
}

fn copy(
    from: &PathBuf,
    to: Vec<u8>,
    tree: &mut Tree,
    spool: &File,
    spooled: &mut u64,
) -> Result<(), ImportError> {
    let mut file = File::open(from)?;
    let metadata = file.metadata()?;
    let at = *spooled;
    let mut buffer = vec![0; 128 << 10];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        spool.write_all_at(&buffer[..n], *spooled).map_err(no_room)?;
        *spooled += n as u64;
    }
    let attributes =
        Attributes { mode: metadata.mode() & 0o755, mtime: (metadata.mtime(), 0), ..Attributes::default() };
    tree.place(Entry { path: to, kind: Kind::File(Map::dense(*spooled - at)), attributes }, at)?;
    Ok(())
}

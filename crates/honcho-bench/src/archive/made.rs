//! Packages that are made for a measurement: small, each with contents of its own.

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The package with this number, in that version.
pub(crate) fn package(directory: &Path, number: u32, version: &str) -> Result<PathBuf> {
    let name = format!("bench-{number:05}");
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: Honcho <honcho@localhost>\nInstalled-Size: 8\n\
         Depends: libc6 (>= 2.36), bench-{:05}\nSection: utils\nPriority: optional\nHomepage: https://honcho.invalid/{name}\n\
         Description: made for a measurement\n Package number {number} of it.\n",
        number / 2
    );
    // What does not compress, and is the same for the same number and version.
    let mut contents = Vec::new();
    let mut mixed = u64::from(number).wrapping_add(version.bytes().map(u64::from).sum::<u64>() << 32) | 1;
    while contents.len() < 4_096 {
        mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        contents.extend_from_slice(&mixed.to_le_bytes());
    }
    let path = directory.join(format!("{name}_{version}_amd64.deb"));
    let file = std::fs::File::create(&path).with_context(|| format!("making {}", path.display()))?;
    let mut deb = ar::Builder::new(file);
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", tarball("./control", control.as_bytes())?),
        ("data.tar.gz", tarball(&format!("./usr/share/{name}"), &contents)?),
    ];
    for (member, bytes) in members {
        let mut header = ar::Header::new(member.as_bytes().to_vec(), bytes.len() as u64);
        header.set_mode(0o100_644);
        deb.append(&header, bytes.as_slice())?;
    }
    deb.into_inner()?.flush()?;
    Ok(path)
}

fn tarball(name: &str, contents: &[u8]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(contents.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(1_700_000_000);
    tar.append_data(&mut header, name, contents)?;
    Ok(tar.into_inner()?.finish()?)
}

//! The package that brings the archive's keys onto machines, so that a new key gets there by an upgrade.

use crate::archive::Changing;
use crate::draft::Added;
use crate::error::Tried as _;
use crate::{ArchiveError, ArchiveResult, SuiteName};
use std::io::Write as _;

/// What the keyring is called below `public/`, and in `/usr/share/keyrings`.
pub const FILE: &str = "honcho-archive-keyring.gpg";

/// What the package is called.
pub const PACKAGE: &str = "honcho-archive-keyring";

impl Changing {
    /// Makes the package of the keys that now sign, and adds it to the first component of these suites' drafts.
    pub fn add_keyring(&mut self, suites: &[SuiteName], now: i64) -> ArchiveResult<Vec<Added>> {
        let mut keys = Vec::new();
        for key in self.keys()? {
            keys.extend(key.public()?);
        }
        let directory = tempfile::tempdir().tried("making", &std::env::temp_dir())?;
        let path = directory.path().join(format!("{PACKAGE}.deb"));
        let mut added = Vec::new();
        for suite in suites {
            let component = self.archive.settings().suite(suite)?.components.first().cloned();
            let none = || ArchiveError::Refused(format!("{suite} has no component"));
            let component = component.ok_or_else(none)?;
            // Its version is a time in seconds: of two that are made in one second, the second is of the next.
            for at in now.. {
                let package = package(&self.archive.settings().label, &keys, at).tried("making", &path)?;
                std::fs::write(&path, package).tried("writing", &path)?;
                match self.add(suite, &component, std::slice::from_ref(&path)) {
                    Err(ArchiveError::Refused(_)) if at < now + SOONEST => {}
                    done => {
                        added.extend(done?);
                        break;
                    }
                }
            }
        }
        Ok(added)
    }
}

/// So many seconds into the future a keyring's version may reach.
const SOONEST: i64 = 60;

/// A package (deb(5)) that holds a keyring. The same keys at the same second are the same bytes.
fn package(label: &str, keys: &[u8], now: i64) -> std::io::Result<Vec<u8>> {
    let seconds = u64::try_from(now).unwrap_or(0);
    let version = jiff::Timestamp::from_second(now).map_err(std::io::Error::other)?.strftime("%Y%m%d.%H%M%S");
    let control = format!(
        "Package: {PACKAGE}\nVersion: {version}\nArchitecture: all\nMaintainer: {label} <root@localhost>\n\
         Section: misc\nPriority: optional\nDescription: keys of the archive {label}\n \
         Packages of this archive are signed with the keys in this keyring.\n"
    );
    let data = [
        Entry::Directory("./usr/"),
        Entry::Directory("./usr/share/"),
        Entry::Directory("./usr/share/keyrings/"),
        Entry::File("./usr/share/keyrings/honcho-archive-keyring.gpg", keys),
    ];
    let control = [Entry::Directory("./"), Entry::File("./control", control.as_bytes())];
    let mut package = ar::Builder::new(Vec::new());
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", tar(&control, seconds)?),
        ("data.tar.gz", tar(&data, seconds)?),
    ];
    for (name, bytes) in members {
        let mut header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
        header.set_mtime(seconds);
        header.set_mode(0o100_644);
        package.append(&header, bytes.as_slice())?;
    }
    package.into_inner()
}

enum Entry<'e> {
    Directory(&'static str),
    File(&'static str, &'e [u8]),
}

fn tar(entries: &[Entry<'_>], now: u64) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(now);
        header.set_uid(0);
        header.set_gid(0);
        let (path, bytes) = match entry {
            Entry::Directory(path) => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o755);
                (*path, &[][..])
            }
            Entry::File(path, bytes) => {
                header.set_mode(0o644);
                (*path, *bytes)
            }
        };
        header.set_size(bytes.len() as u64);
        // By hand, for dpkg wants the leading dot that the crate takes away.
        let name = header.as_old_mut();
        let place = name.name.get_mut(..path.len()).ok_or_else(|| std::io::Error::other("a long path"))?;
        place.copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, bytes)?;
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&tar.into_inner()?)?;
    gzip.finish()
}

//! An archive that the brain serves, and what guests say they have of it.

use crate::archive::made;
use crate::process::apart;
use anyhow::{Context as _, Result, ensure};
use honcho_api::ImagePackage;
use honcho_model::{GuestId, Timestamp};
use honcho_store::{Actor, Change, Store, StoreResult, Tx, guest_packages};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::UNIX_EPOCH;

/// The suite, and a package of it.
pub(super) const SUITE: &str = "bench";
pub(super) const PACKAGE: &str = "bench-00007";

/// So many packages it serves. Of every second one there is a newer version.
const SERVED: u32 = 500;

/// So many of these a guest has, and so many that come from elsewhere.
const HAS: u32 = 50;
const OTHERS: u32 = 250;

/// So many guests say it in one transaction.
const AT_ONCE: usize = 500;

const VERSIONS: [&str; 2] = ["1.0-1", "1.1-1"];

/// Makes the archive, with two publications.
pub(super) fn archive(directory: &Path) -> Result<PathBuf> {
    let (archive, packages) = (directory.join("archive"), directory.join("packages"));
    std::fs::create_dir(&packages)?;
    honcho(&["archive", "init", "--origin", "Bench", "--suite", SUITE], &archive, &[])?;
    for (version, step) in VERSIONS.into_iter().zip([1, 2]) {
        let numbers = (0..SERVED).step_by(step);
        let made: Vec<PathBuf> =
            numbers.map(|number| made::package(&packages, number, version)).collect::<Result<_>>()?;
        honcho(&["archive", "add", "--suite", SUITE, "--publish"], &archive, &made)?;
    }
    Ok(archive)
}

fn honcho(arguments: &[&str], archive: &Path, packages: &[PathBuf]) -> Result<()> {
    let output = apart(&std::env::current_exe()?.with_file_name("honcho"))
        .args(arguments)
        .arg("--archive")
        .arg(archive)
        .args(packages)
        .stdin(Stdio::null())
        .output()
        .context("running honcho, which belongs beside this program")?;
    ensure!(
        output.status.success(),
        "honcho {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// What this guest has.
fn list(guest: i64) -> Vec<ImagePackage> {
    let package = |name: String, version: &str| ImagePackage {
        name,
        version: version.to_owned(),
        architecture: "amd64".to_owned(),
    };
    let mixed = u32::try_from(guest.rem_euclid(1 << 20)).unwrap_or(0).wrapping_mul(2_654_435_761);
    let mut list: Vec<ImagePackage> = (0..HAS)
        .map(|at| {
            let number = (mixed % 97 + at * 7) % SERVED;
            package(format!("bench-{number:05}"), VERSIONS[usize::from((mixed >> (at % 24)) & 1 == 1)])
        })
        .collect();
    list.extend((0..OTHERS).map(|number| package(format!("lib-of-debian-{number}"), "2.36-9+deb12u10")));
    list.sort_by(|one, other| one.name.cmp(&other.name));
    list.dedup_by(|one, other| one.name == other.name);
    list
}

struct Say<'g>(&'g [i64]);

impl Change for Say<'_> {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        for guest in self.0 {
            guest_packages::report(tx, GuestId(*guest), &list(*guest)).await?;
        }
        Ok(())
    }
}

/// Has each of these guests say what it has.
pub(super) async fn say(file: &Path, guests: &[i64]) -> Result<()> {
    let store = Store::open(file).await?;
    for some in guests.chunks(AT_ONCE) {
        let now = Timestamp(i64::try_from(UNIX_EPOCH.elapsed()?.as_micros())?);
        store.write(Actor::honcho(), now, &Say(some)).await?;
    }
    store.close().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_have_old_and_new_versions_each_package_once() {
        let lists = [list(1), list(2), list(3)];
        assert!(lists[0] != lists[1] && lists[1] != lists[2]);
        for list in &lists {
            assert!(list.is_sorted_by(|one, other| one.name < other.name), "each name once");
            let versions = |version: &str| list.iter().filter(|one| one.version == version).count();
            assert!(versions(VERSIONS[0]) > 0 && versions(VERSIONS[1]) > 0);
        }
    }
}

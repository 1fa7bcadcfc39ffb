//! A Debian out of an archive of ours: the packages of a smallest one are added to a suite, and the real debootstrap makes a
//! system of what a brain serves.

use crate::apt::run;
use anyhow::{Context as _, Result, ensure};
use honcho_e2e::brain::Brain;
use honcho_e2e::programs::program;
use std::path::{Path, PathBuf};
use std::process::Command;

const MIRROR: &str = "http://deb.debian.org/debian";

/// debootstrap of a smallest bookworm; what it mounts is gone when it ends, however that is.
fn debootstrap(keyring: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .env("LC_ALL", "C")
        .args(["--mount", "--", "debootstrap", "--variant=minbase", "--keyring"])
        .arg(keyring);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn debootstrap_makes_a_system_of_a_suite_of_ours() -> Result<()> {
    let place = tempfile::tempdir_in("/var/tmp")?;
    let downloads = place.path().join("downloads");
    run(debootstrap(Path::new("/usr/share/keyrings/debian-archive-keyring.gpg"))
        .arg("--download-only")
        .args(["bookworm".as_ref(), downloads.as_os_str(), MIRROR.as_ref()]))?;
    let packages: Vec<PathBuf> = std::fs::read_dir(downloads.join("var/cache/apt/archives"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    ensure!(packages.len() > 50, "a smallest Debian has more than {} packages", packages.len());

    let archive = place.path().join("archive");
    let shown = archive.to_str().context("a path in UTF-8")?;
    let honcho = |arguments: &[&str]| -> Result<Command> {
        let mut command = Command::new(program("honcho")?);
        command.arg("archive").args(arguments).args(["--archive", shown]);
        Ok(command)
    };
    run(&mut honcho(&["init", "--origin", "Acme", "--suite", "bookworm"])?)?;
    run(honcho(&["add", "--suite", "bookworm", "--publish"])?.args(&packages))?;
    let mut brain = Brain::start(place.path()).await?;
    let url = brain.serve_archive(&archive).await?;

    // Signed by another, it is no system at all.
    let refused = place.path().join("refused");
    let output = debootstrap(Path::new("/usr/share/keyrings/debian-archive-keyring.gpg"))
        .args(["bookworm".as_ref(), refused.as_os_str(), url.as_ref()])
        .output()?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains("Release signed by unknown key"), "{said}");

    let root = place.path().join("root");
    run(debootstrap(&archive.join("public/honcho-archive-keyring.gpg")).args([
        "bookworm".as_ref(),
        root.as_os_str(),
        url.as_ref(),
    ]))?;
    let system = |command: &[&str]| run(Command::new("chroot").arg(&root).args(command));
    let installed = system(&["dpkg-query", "--show", "--showformat", "${db:Status-Status}\n"])?;
    ensure!(installed.lines().all(|line| line == "installed"), "{installed}");
    ensure!(
        installed.lines().count() == packages.len(),
        "{} of {}",
        installed.lines().count(),
        packages.len()
    );
    // It says nothing of files that are as their packages have them.
    let changed = system(&["dpkg", "--verify"])?;
    ensure!(changed.is_empty(), "{changed}");
    Ok(())
}

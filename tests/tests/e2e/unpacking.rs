//! A whole Debian, as files in a directory: what its packages brought is as they brought it.

use crate::apt::run;
use anyhow::{Result, ensure};
use honcho_e2e::brain::Brain;
use honcho_e2e::debian::debian;
use honcho_e2e::world::eventually;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_debian_is_unpacked_as_its_packages_have_it() -> Result<()> {
    let place = tempfile::tempdir_in("/var/tmp")?;
    let built = debian().await?;
    let brain = Brain::start(place.path()).await?;
    built.send(&brain.client()?).await?;
    let name = built.image.name.as_str();
    let work = place.path().join("work");
    let unpack = |at: &Path| -> Result<Command> {
        let mut command = Command::new(honcho_e2e::programs::program("honcho")?);
        command.args(["--url", &brain.url(), "image", "unpack", name]).arg(at).arg("--work").arg(&work);
        command.env("HONCHO_TOKEN", brain.token()?);
        Ok(command)
    };

    // Killed in the midst, it leaves what nobody takes for a system.
    let half = place.path().join("half");
    let mut killed = unpack(&half)?.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    eventually("something is unpacked", Duration::from_secs(60), async || {
        ensure!(half.join("dev").exists());
        Ok(())
    })
    .await?;
    killed.kill()?;
    killed.wait()?;
    ensure!(half.join(".honcho-unpacking").exists(), "a half is marked");
    let output = unpack(&half)?.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success() && said.contains("an unpacking there was not finished"), "{said}");

    let whole = place.path().join("whole");
    run(&mut unpack(&whole)?)?;
    ensure!(!whole.join(".honcho-unpacking").exists());
    ensure!(std::fs::read_dir(&work)?.next().is_none(), "what was fetched is gone, of the killed one too");
    // It says nothing of what is as its package has it.
    let changed = run(Command::new("chroot").arg(&whole).args(["dpkg", "--verify"]))?;
    ensure!(changed.is_empty(), "{changed}");
    let files = run(Command::new("find").arg(&whole).arg("-mindepth").arg("1").args(["-printf", "."]))?;
    ensure!(files.len() > 10_000, "{} files", files.len());
    Ok(())
}

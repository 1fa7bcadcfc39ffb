//! The same log by mail: cut by honcho-guest, handed to a brain on SQLite by `honcho post import`, counted and kept.

use super::Reading;
use crate::figures::{Spread, note};
use crate::process::{apart, peak, peak_memory_mb, usage};
use anyhow::{Context as _, Result, ensure};
use std::fs::Permissions;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A brain, killed when dropped.
struct Brain {
    process: Child,
    url: String,
}

impl Drop for Brain {
    fn drop(&mut self) {
        // It fails only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Brain {
    fn start(honcho: &Path, data: &Path) -> Result<Brain> {
        let free = || -> Result<String> { Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string()) };
        let (listen, agents) = (free()?, free()?);
        let process = apart(honcho)
            .args(["serve", "--listen", &listen, "--agents-listen", &agents, "--data"])
            .arg(data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let brain = Brain { process, url: format!("http://{listen}") };
        let begun = Instant::now();
        while TcpStream::connect(&listen).is_err() || !data.join("operator.token").exists() {
            ensure!(begun.elapsed() < Duration::from_mins(1), "the brain did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(brain)
    }
}

/// Ships a log into a Maildir.
pub(crate) fn mails(directory: &Path, log: &Path, guest: &Path) -> Result<()> {
    let new = directory.join("mail/new");
    std::fs::create_dir_all(&new)?;
    let sendmail = directory.join("sendmail");
    let deliver = "{ echo 'X-Verified-Node: db1'; echo 'Received: from db1'; cat; }";
    std::fs::write(&sendmail, format!("#!/bin/sh\n{deliver} > '{}'/$$\n", new.display()))?;
    std::fs::set_permissions(&sendmail, Permissions::from_mode(0o755))?;
    let status = Command::new(guest)
        .args(["ship", "--to", "slowlog@slowlog.test", "--sendmail"])
        .arg(&sendmail)
        .arg("--spool")
        .arg(directory.join("spool"))
        .arg(log)
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "honcho-guest ended with {status}");
    Ok(())
}

/// Imports it, so many times, each into a brain of its own. The processor time is that of the importer and of the brain.
pub(super) fn measure(directory: &Path, log: &Path, rounds: u32) -> Result<Option<Reading>> {
    let program = |name: &str| std::env::current_exe().map(|own| own.with_file_name(name));
    let (honcho, guest) = (program("honcho")?, program("honcho-guest")?);
    if !guest.exists() {
        note("honcho-guest is missing: build it beside this program to have the import measured");
        return Ok(None);
    }
    let (mut processor, mut wall, mut peak_mb) = (Vec::new(), Vec::new(), 0.0_f64);
    for round in 0..rounds {
        let own = directory.join(format!("import-{round}"));
        mails(&own, log, &guest)?;
        let brain = Brain::start(&honcho, &own.join("brain"))?;
        let before = usage(brain.process.id())?;
        let begun = Instant::now();
        let child = apart(&honcho)
            .args(["--url", &brain.url, "--token-file"])
            .arg(own.join("brain/operator.token"))
            .args(["post", "import"])
            .arg(own.join("mail"))
            .stdout(Stdio::null())
            .spawn();
        let used = peak(child.context("cannot run honcho")?)?;
        wall.push(begun.elapsed().as_secs_f64());
        let after = usage(brain.process.id())?;
        let together = used.processor + after.processor.saturating_sub(before.processor);
        processor.push(together.as_secs_f64());
        peak_mb = peak_mb.max(peak_memory_mb(brain.process.id())?);
        note(&format!("imported by mail: {:.2} s of processor time", together.as_secs_f64()));
        drop(brain);
        std::fs::remove_dir_all(&own)?;
    }
    let spread = |all| Spread::of(all).context("it ran");
    Ok(Some(Reading { processor: spread(processor)?, wall: spread(wall)?, peak_mb }))
}

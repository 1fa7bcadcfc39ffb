//! Sealing a stranger's root filesystem in a process of its own, which the brain starts for each.
//!
//! ```text
//!   brain --- honcho image seal FILE ... ---> process: limits upon itself, digest of the file, import
//!     ^                                         |
//!     '------ a line of JSON for each stage, <--'  and in the end the image, or why there is none
//! ```
//!
//! The process has no rights that the brain has not, and may not be given any; nothing of the brain's environment; and
//! bounds of memory, processor time, open files and the length of a file. What it leaves is in one directory, and goes
//! with that. It ends when the brain does.

use crate::import::{Devices, ImportError, ImportOptions, ImportedImage, KernelFrom, import};
use honcho_model::{Bytes, Digest, Name};
use rustix::process::{Resource, Rlimit};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _};

/// What is to be sealed.
#[derive(Clone, Debug)]
pub struct SealOrder {
    /// The root filesystem.
    pub file: PathBuf,
    /// SHA-256 that it must have.
    pub digest: Digest,
    /// The image's name.
    pub name: Name,
    /// Where the image comes to lie; nothing else uses it.
    pub directory: PathBuf,
    /// Its files may be so long together.
    pub largest: Bytes,
    /// Whether it is given this machine's kernel.
    pub kernel: KernelFrom,
}

/// What the process says, a line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Stage { stage: String, percent: u8 },
    Sealed(Box<ImportedImage>),
    Refused(String),
    Failed(String),
}

/// Why nothing was sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The file is at fault; reads on from its name.
    #[error("{0}")]
    Refused(String),
    /// This machine is.
    #[error("{0}")]
    Failed(String),
}

/// dpkg's list of a large system has a quarter of this.
const LONGEST_SAID: u64 = 64 << 20;

/// The decompressors bound themselves to as much, and cannot have more than the process that starts them.
const MEMORY: u64 = 4 << 30;

/// Twice what the largest takes on a slow machine.
const PROCESSOR_SECONDS: u64 = 2 * 3600;

/// However slowly the machine reads and writes: who has an upload is not kept waiting for longer.
const PATIENCE: Duration = Duration::from_hours(6);

/// Does it in this process, which was started for it, and says on standard output what comes of it.
pub fn run(order: &SealOrder) -> io::Result<()> {
    confine(order)?;
    let tell = |said: &Said| -> io::Result<()> {
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, said)?;
        out.write_all(b"\n")?;
        out.flush()
    };
    let outcome = seal(order, &|stage, percent| {
        // Nobody listens any more: the kernel ends this process together with the one that started it.
        let _ = tell(&Said::Stage { stage: stage.to_owned(), percent });
    });
    tell(&match outcome {
        Ok(image) => Said::Sealed(Box::new(image)),
        Err(ImportError::Refused(reason)) => Said::Refused(reason),
        Err(error) => Said::Failed(error.to_string()),
    })
}

/// Binds this process before it reads a byte of the file.
fn confine(order: &SealOrder) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    rustix::thread::set_no_new_privs(true)?;
    let limits = [
        (Resource::As, MEMORY),
        (Resource::Cpu, PROCESSOR_SECONDS),
        (Resource::Core, 0),
        (Resource::Nofile, 64),
        // The spool holds all files one after the other, and a kernel besides.
        (Resource::Fsize, order.largest.0.saturating_add(4 << 30)),
    ];
    for (resource, most) in limits {
        // What is bound more narrowly already stays so.
        let most = rustix::process::getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
        rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// Does it here and now. Blocks.
pub fn seal(order: &SealOrder, progress: &(dyn Fn(&str, u8) + Sync)) -> Result<ImportedImage, ImportError> {
    let found = digest(&order.file, &|percent| progress("check the digest", percent))?;
    if found != order.digest {
        return Err(ImportError::Refused(format!(
            "what came has the digest {found}, not {}: it was damaged on its way, or the file changed meanwhile; upload it again",
            order.digest
        )));
    }
    let options = ImportOptions {
        largest: order.largest,
        devices: Devices::LeaveOut,
        kernel: order.kernel.clone(),
        ..ImportOptions::default()
    };
    import(&order.file, &order.name, &order.directory, &options, progress)
}

fn digest(file: &Path, progress: &dyn Fn(u8)) -> io::Result<Digest> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len().max(1);
    let (mut hash, mut buffer, mut read, mut told) = (Sha256::new(), vec![0; 256 << 10], 0_u64, 0);
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(Digest(hash.finalize().into()));
        }
        hash.update(&buffer[..n]);
        read += n as u64;
        let percent = u8::try_from(read.saturating_mul(100) / length).unwrap_or(100);
        if percent != told {
            told = percent;
            progress(percent);
        }
    }
}

/// Starts `program` (`honcho`) for it, and waits, but not for ever. Whoever stops waiting ends it.
pub async fn seal_apart(
    program: &Path,
    order: &SealOrder,
    progress: &(dyn Fn(&str, u8) + Send + Sync),
) -> Result<ImportedImage, SealError> {
    seal_within(PATIENCE, program, order, progress).await
}

async fn seal_within(
    patience: Duration,
    program: &Path,
    order: &SealOrder,
    progress: &(dyn Fn(&str, u8) + Send + Sync),
) -> Result<ImportedImage, SealError> {
    let sealing = watch(program, order, progress);
    tokio::time::timeout(patience, sealing).await.unwrap_or_else(|_| {
        let text = format!(
            "it was not sealed within {} minutes: this machine's disk or processors are overloaded",
            patience.as_secs() / 60
        );
        Err(SealError::Failed(text))
    })
}

/// Starts it, and hears what it says until it has ended.
async fn watch(
    program: &Path,
    order: &SealOrder,
    progress: &(dyn Fn(&str, u8) + Send + Sync),
) -> Result<ImportedImage, SealError> {
    let failed = |error: io::Error| SealError::Failed(format!("the process that seals: {error}"));
    let mut child = command(program, order).spawn().map_err(failed)?;
    let said = child.stdout.take().ok_or_else(|| failed(io::Error::other("it has no output")))?;
    let mut lines = tokio::io::BufReader::new(said.take(LONGEST_SAID)).split(b'\n');
    let mut end = None;
    while let Some(line) = lines.next_segment().await.map_err(failed)? {
        match serde_json::from_slice::<Said>(&line) {
            Ok(Said::Stage { stage, percent }) => progress(&stage, percent),
            Ok(Said::Sealed(image)) => end = Some(Ok(*image)),
            Ok(Said::Refused(reason)) => end = Some(Err(SealError::Refused(reason))),
            Ok(Said::Failed(reason)) => end = Some(Err(SealError::Failed(reason))),
            Err(error) => return Err(failed(error.into())),
        }
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    match end {
        Some(end) if output.status.success() => end,
        _ => {
            let words = crate::tool::last_lines(&String::from_utf8_lossy(&output.stderr));
            Err(SealError::Failed(format!("the process that seals ended early ({}): {words}", output.status)))
        }
    }
}

fn command(program: &Path, order: &SealOrder) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(program);
    command.args(["image", "seal"]).arg(&order.file);
    command.arg("--name").arg(order.name.as_str()).arg("--digest").arg(order.digest.to_string());
    command.arg("--directory").arg(&order.directory).arg("--max-size").arg(order.largest.0.to_string());
    if matches!(order.kernel, KernelFrom::Machine(_)) {
        command.arg("--host-kernel");
    }
    command.env_clear().env("LC_ALL", "C.UTF-8").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn one_that_does_not_end_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        let (program, pid) = (directory.path().join("hangs"), directory.path().join("pid"));
        let script = format!("#!/bin/sh\necho $$ > {}\nexec sleep 1000\n", pid.display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let order = SealOrder {
            file: "/dev/null".into(),
            digest: Digest([0; 32]),
            name: Name::new("own").unwrap(),
            directory: directory.path().to_owned(),
            largest: Bytes(1),
            kernel: KernelFrom::Image,
        };
        let sealed = seal_within(Duration::from_millis(500), &program, &order, &|_, _| {}).await;
        assert!(
            matches!(&sealed, Err(SealError::Failed(why)) if why.contains("was not sealed within")),
            "{sealed:?}"
        );
        let pid = std::fs::read_to_string(pid).unwrap();
        let process = format!("/proc/{}/stat", pid.trim());
        // It may stand there as dead until it is waited for.
        while std::fs::read_to_string(&process).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

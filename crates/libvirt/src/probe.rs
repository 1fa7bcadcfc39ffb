//! Finding out whether KVM carries guests, by trying.
//!
//! A /dev/kvm that opens proves nothing: in a virtual machine that is itself emulated in part, firmware runs and a
//! real kernel dies at its first odd instruction. So QEMU is run on the guest's own kernel, outside of libvirt, with
//! no disk and no network, until the kernel has either come to the end of its own start or not.
//!
//! The kernel is a guest's and therefore hostile: QEMU gives up root before it runs and is kept from starting anything.
//! It runs under `timeout`, so that nothing is left after a few seconds even if this process is killed meanwhile.

use honcho_wire::Virtualization;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// How long a kernel may take to show that it starts. With KVM it takes under a second.
const PATIENCE: Duration = Duration::from_secs(6);
/// `timeout` kills QEMU after this even when nobody is left to wait for it.
const BACKSTOP_SECONDS: &str = "10";
/// What a kernel prints first…
const KERNEL_BEGAN: &str = "Linux version";
/// …and when it has initialised everything and finds no root filesystem, for it has no disk.
const KERNEL_CAME_THROUGH: &str = "Kernel panic - not syncing: VFS";
/// QEMU's word when KVM gives up on an instruction. The virtual machine then stands still for ever.
const KVM_GAVE_UP: &str = "KVM internal error";
/// At most so much of what a hostile kernel prints is kept.
const OUTPUT_LIMIT: usize = 256 << 10;

/// What was found out, as kept for this boot of the host.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    boot_id: String,
    emulator: PathBuf,
    virtualization: Virtualization,
}

/// How a trial ended.
#[derive(Debug, PartialEq, Eq)]
enum Trial {
    /// The kernel started.
    Runs,
    /// It did not, and this is why.
    Refused(String),
    /// It printed nothing of use: the kernel may be no kernel.
    Silent(String),
}

/// What is kept of this boot's finding.
pub(crate) fn recall(file: &Path, boot_id: &str, emulator: &Path) -> Option<Virtualization> {
    let kept: Kept = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    (kept.boot_id == boot_id && kept.emulator == emulator).then_some(kept.virtualization)
}

/// Keeps it, for the next process. If that fails it is found out anew, which only costs time.
pub(crate) fn keep(file: &Path, boot_id: &str, emulator: &Path, virtualization: &Virtualization) {
    let kept = Kept {
        boot_id: boot_id.to_owned(),
        emulator: emulator.to_owned(),
        virtualization: virtualization.clone(),
    };
    let partial = file.with_extension("partial");
    let written = serde_json::to_vec(&kept)
        .map_err(std::io::Error::other)
        .and_then(|bytes| std::fs::write(&partial, bytes))
        .and_then(|()| std::fs::rename(&partial, file));
    if let Err(error) = written {
        tracing::warn!(%error, file = %file.display(), "could not keep what was found out about KVM");
    }
}

/// Tries. The second value tells whether the finding may be kept: not when the kernel rather than KVM may be at fault.
pub(crate) async fn probe(emulator: &Path, kernel: &Path) -> (Virtualization, bool) {
    let software = |reason: String| Virtualization { kvm: false, reason };
    if !Path::new("/dev/kvm").exists() {
        return (software("there is no /dev/kvm".to_owned()), true);
    }
    match trial(emulator, kernel, "kvm").await {
        Trial::Runs => {
            let reason = "a kernel was started with it and came up".to_owned();
            (Virtualization { kvm: true, reason }, true)
        }
        Trial::Refused(why) => (software(format!("KVM was tried and does not carry a kernel: {why}")), true),
        Trial::Silent(why) => {
            let kernel_is_good = trial(emulator, kernel, "tcg").await == Trial::Runs;
            (software(format!("KVM was tried and a kernel did not start: {why}")), kernel_is_good)
        }
    }
}

async fn trial(emulator: &Path, kernel: &Path, accel: &str) -> Trial {
    // QEMU 9 renamed the option by which it gives up root; an older one says so at once.
    let newer = run_kernel(emulator, kernel, accel, ["-run-with", "user=nobody"]).await;
    match &newer {
        Trial::Silent(why) if why.contains("run-with") => {
            run_kernel(emulator, kernel, accel, ["-runas", "nobody"]).await
        }
        _ => newer,
    }
}

async fn run_kernel(emulator: &Path, kernel: &Path, accel: &str, unprivileged: [&str; 2]) -> Trial {
    let processor = if accel == "kvm" { "host" } else { "qemu64" };
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", BACKSTOP_SECONDS]).arg(emulator);
    command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-m", "256"]);
    command.args(["-M", "q35", "-accel", accel, "-cpu", processor, "-serial", "stdio", "-monitor", "none"]);
    command.args(["-sandbox", "on,obsolete=deny,spawn=deny,resourcecontrol=deny"]).args(unprivileged);
    command.arg("-kernel").arg(kernel).args(["-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Trial::Silent(format!("{} could not be run: {error}", emulator.display())),
    };
    let (Some(serial), Some(complaints)) = (child.stdout.take(), child.stderr.take()) else {
        return Trial::Silent("QEMU has no output".to_owned());
    };
    let group = ProcessGroup { child };
    let mut printed = String::new();
    let mut complained = String::new();
    let timed_out = tokio::time::timeout(PATIENCE, listen(serial, &mut printed, complaints, &mut complained))
        .await
        .is_err();
    drop(group);
    judge(&printed, &complained, timed_out)
}

fn judge(printed: &str, complained: &str, timed_out: bool) -> Trial {
    let complaint =
        complained.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
    if complained.contains(KVM_GAVE_UP) {
        return Trial::Refused(complaint);
    }
    if printed.contains(KERNEL_BEGAN) {
        return Trial::Runs;
    }
    match (complaint.is_empty(), timed_out) {
        // Other complaints may be about an option, and say nothing of KVM.
        (false, _) if complaint.to_ascii_lowercase().contains("kvm") => Trial::Refused(complaint),
        (false, _) => Trial::Silent(complaint),
        (true, true) => Trial::Silent(format!("it printed nothing for {} s", PATIENCE.as_secs())),
        (true, false) => Trial::Silent("QEMU ended and said nothing".to_owned()),
    }
}

/// Listens until the kernel came through, KVM gave up (QEMU then stands still and ends nothing), or QEMU ended.
async fn listen(
    serial: impl AsyncRead + Unpin,
    printed: &mut String,
    complaints: impl AsyncRead + Unpin,
    complained: &mut String,
) {
    let kernel = read_until(serial, printed, KERNEL_CAME_THROUGH);
    let qemu = read_until(complaints, complained, KVM_GAVE_UP);
    tokio::pin!(kernel, qemu);
    tokio::select! {
        came_through = &mut kernel => if !came_through { qemu.await; },
        gave_up = &mut qemu => if !gave_up { kernel.await; },
    }
}

/// Reads until `end` has been read (then true), or the stream ends.
async fn read_until(mut stream: impl AsyncRead + Unpin, text: &mut String, end: &str) -> bool {
    let mut buffer = [0; 4096];
    while text.len() < OUTPUT_LIMIT {
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
            _ => return false,
        }
        if text.contains(end) {
            return true;
        }
    }
    false
}

/// `timeout` and QEMU, ended together whatever happens to whoever waited for them.
struct ProcessGroup {
    child: Child,
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        let group =
            self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group
            && let Err(error) = rustix::process::kill_process_group(group, rustix::process::Signal::KILL)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!(%error, "the trial of KVM could not be ended; it ends by itself within seconds");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        assert_eq!(judge("[    0.000000] Linux version 6.1.0", "", true), Trial::Runs);
        let error = "KVM internal error. Suberror: 1\nemulation failure";
        assert_eq!(
            judge("Linux version 6", error, true),
            Trial::Refused("KVM internal error. Suberror: 1".into())
        );
        let denied = "qemu: Could not access KVM kernel module: Permission denied";
        assert_eq!(judge("", denied, false), Trial::Refused(denied.into()));
        let option = "qemu: -run-with user=nobody: Invalid parameter 'user'";
        assert_eq!(judge("", option, false), Trial::Silent(option.into()));
        assert!(matches!(judge("", "", true), Trial::Silent(_)));
        assert!(matches!(judge("SeaBIOS", "", false), Trial::Silent(_)));
    }

    #[test]
    fn a_finding_is_kept_for_one_boot() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("virtualization.json");
        let found = Virtualization { kvm: false, reason: "tried".into() };
        let qemu = Path::new("/usr/bin/qemu");
        keep(&file, "boot-1", qemu, &found);
        assert_eq!(recall(&file, "boot-1", qemu), Some(found));
        assert_eq!(recall(&file, "boot-2", qemu), None);
        std::fs::write(&file, "{").unwrap();
        assert_eq!(recall(&file, "boot-1", qemu), None);
    }
}

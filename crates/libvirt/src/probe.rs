//! Finding out whether KVM carries guests, by trying.
//!
//! A /dev/kvm that opens proves nothing: in a virtual machine that is itself emulated in part, firmware runs and a
//! real kernel dies at its first odd instruction. So QEMU is run on a kernel, outside of libvirt, with no disk and no
//! network, until the kernel has either come to the end of its own start or not.
//!
//! The kernel is this host's own if it lies in /boot, for one guest's kernel should not decide how every other is
//! executed. Where there is none, or it tells nothing, it is that of the guest which is to start. That one is hostile:
//! QEMU gives up root before it runs and is kept from starting anything. A refusal is kept only when it lasts and is
//! KVM's fault: there is no usable device, or the very kernel that does not start with KVM does in software.
//!
//! QEMU runs under `timeout`, so that nothing is left after a few seconds even if this process is killed meanwhile. All
//! trials together take less than half a minute.

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
/// QEMU's word when KVM gives up on an instruction; the virtual machine then stands still for ever.
const KVM_GAVE_UP: &str = "KVM internal error";
/// QEMU's word when KVM refuses the very processor that it offers, as the one below a virtual machine may; QEMU then aborts.
const KVM_REFUSED: &str = "error: failed to set MSR";
/// What QEMU says when there is no KVM that it could use, and how that line ends. Anything else that it says of KVM,
/// such as that memory is short or another hypervisor holds the processor, may pass.
const NO_DEVICE: &[(&str, &str)] = &[
    ("Could not access KVM kernel module", "No such file or directory"),
    ("Could not access KVM kernel module", "No such device"),
    ("Could not access KVM kernel module", "No such device or address"),
    ("Could not access KVM kernel module", "Permission denied"),
    ("Could not access KVM kernel module", "Operation not permitted"),
    ("invalid accelerator kvm", ""),
];
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
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trial {
    /// The kernel started.
    Runs,
    /// There is no KVM that QEMU could use.
    NoDevice(String),
    /// KVM gave up on the kernel.
    GaveUp(String),
    /// The kernel printed nothing, and QEMU neither complained nor ended.
    Stuck(String),
    /// QEMU ended, perhaps for want of memory, because of an option or because the kernel is none.
    Failed(String),
}

/// What is kept of this boot's finding.
pub(crate) async fn recall(file: &Path, boot_id: &str, emulator: &Path) -> Option<Virtualization> {
    let kept: Kept = serde_json::from_slice(&tokio::fs::read(file).await.ok()?).ok()?;
    (kept.boot_id == boot_id && kept.emulator == emulator).then_some(kept.virtualization)
}

/// Keeps it, for the next process. If that fails it is found out anew, which only costs time.
pub(crate) async fn keep(file: &Path, boot_id: &str, emulator: &Path, virtualization: &Virtualization) {
    let kept = Kept {
        boot_id: boot_id.to_owned(),
        emulator: emulator.to_owned(),
        virtualization: virtualization.clone(),
    };
    let partial = file.with_extension("partial");
    let write = async {
        tokio::fs::write(&partial, serde_json::to_vec(&kept)?).await?;
        tokio::fs::rename(&partial, file).await
    };
    if let Err(error) = write.await {
        tracing::warn!(%error, file = %file.display(), "could not keep what was found out about KVM");
    }
}

/// Tries. The second value tells whether the finding holds for every guest until the host boots again.
pub(crate) async fn probe(emulator: &Path, guests_kernel: &Path) -> (Virtualization, bool) {
    if !Path::new("/dev/kvm").exists() {
        let reason = "there is no /dev/kvm".to_owned();
        return (Virtualization { kvm: false, reason }, true);
    }
    try_kernels(emulator, hosts_kernel().await.as_deref(), guests_kernel).await
}

/// The kernel that this host runs, if its file is there to be read.
async fn hosts_kernel() -> Option<PathBuf> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let file = Path::new("/boot").join(format!("vmlinuz-{}", release.trim()));
    tokio::fs::File::open(&file).await.is_ok().then_some(file)
}

async fn try_kernels(emulator: &Path, hosts: Option<&Path>, guests: &Path) -> (Virtualization, bool) {
    if let Some(kernel) = hosts {
        // What is not KVM's doing may be because of this kernel, which was not made for a guest.
        if let (found, true) = try_kernel(emulator, kernel).await {
            return (found, true);
        }
    }
    try_kernel(emulator, guests).await
}

async fn try_kernel(emulator: &Path, kernel: &Path) -> (Virtualization, bool) {
    let software = |reason: String| Virtualization { kvm: false, reason };
    let file = kernel.display();
    match trial(emulator, kernel, "kvm").await {
        Trial::Runs => {
            let reason = format!("{file} was started with it and came up");
            (Virtualization { kvm: true, reason }, true)
        }
        Trial::NoDevice(why) => (software(format!("KVM was tried and cannot be used: {why}")), true),
        // A kernel that stands still without a word has, on such a machine, been given up on as well.
        Trial::GaveUp(why) | Trial::Stuck(why) => {
            let blameless = trial(emulator, kernel, "tcg").await == Trial::Runs;
            (software(format!("KVM was tried and does not carry {file}: {why}")), blameless)
        }
        Trial::Failed(why) => (software(format!("KVM was tried and {file} did not start: {why}")), false),
    }
}

async fn trial(emulator: &Path, kernel: &Path, accel: &str) -> Trial {
    // QEMU 9 renamed the option by which it gives up root; an older one says so at once.
    let newer = run_kernel(emulator, kernel, accel, ["-run-with", "user=nobody"]).await;
    match &newer {
        Trial::Failed(why) if why.contains("run-with") => {
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
        Err(error) => return Trial::Failed(format!("{} could not be run: {error}", emulator.display())),
    };
    let (Some(serial), Some(complaints)) = (child.stdout.take(), child.stderr.take()) else {
        return Trial::Failed("QEMU has no output".to_owned());
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
    let complaint_with = |part: &str| complained.lines().find(|line| line.contains(part)).map(str::trim);
    if let Some(complaint) = complaint_with(KVM_GAVE_UP).or_else(|| complaint_with(KVM_REFUSED)) {
        return Trial::GaveUp(complaint.to_owned());
    }
    if printed.contains(KERNEL_BEGAN) {
        return Trial::Runs;
    }
    let no_device = complained.lines().find(|line| {
        NO_DEVICE.iter().any(|(what, why)| line.contains(what) && line.trim_end().ends_with(why))
    });
    if let Some(complaint) = no_device {
        return Trial::NoDevice(complaint.trim().to_owned());
    }
    let complaint = complained.lines().map(str::trim).find(|line| !line.is_empty());
    match (complaint, timed_out) {
        (Some(complaint), _) => Trial::Failed(complaint.to_owned()),
        (None, true) => Trial::Stuck(format!("it printed nothing for {} s", PATIENCE.as_secs())),
        (None, false) => Trial::Failed("QEMU ended and said nothing".to_owned()),
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
        let error = "qemu: warning: something\nKVM internal error. Suberror: 1\nemulation failure";
        let gave_up = Trial::GaveUp("KVM internal error. Suberror: 1".into());
        assert_eq!(judge("Linux version 6", error, true), gave_up);
        let refused = "qemu: error: failed to set MSR 0x10a to 0xc000069";
        let aborted = format!("{refused}\nqemu: target/i386/kvm/kvm.c:3849: Assertion failed.");
        assert_eq!(judge("", &aborted, false), Trial::GaveUp(refused.into()));
        for absent in [
            "qemu: Could not access KVM kernel module: Permission denied",
            "qemu: Could not access KVM kernel module: No such device",
            "qemu: -accel kvm: invalid accelerator kvm",
        ] {
            assert_eq!(judge("", absent, false), Trial::NoDevice(absent.into()));
        }
        for passing in [
            "qemu: -run-with user=nobody: Invalid parameter 'user'",
            "qemu: Could not access KVM kernel module: Cannot allocate memory",
            "ioctl(KVM_CREATE_VM) failed: 16 Device or resource busy",
            "qemu: cannot set up guest memory 'pc.ram': Cannot allocate memory",
        ] {
            assert_eq!(judge("", passing, false), Trial::Failed(passing.into()));
        }
        assert!(matches!(judge("", "", true), Trial::Stuck(_)));
        assert!(matches!(judge("SeaBIOS", "", false), Trial::Failed(_)));
    }

    /// Tries kernels with a QEMU that does to each what its file says: the first line with KVM, the second in software.
    async fn check(hosts: Option<[&str; 2]>, guests: [&str; 2], expected: (bool, bool)) {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let emulator = directory.path().join("qemu");
        let script = r#"#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in -accel) accel=$2 ;; -kernel) kernel=$2 ;; esac
  shift
done
if [ "$accel" = kvm ]; then line=1; else line=2; fi
eval "$(sed -n "${line}p" "$kernel")"
"#;
        std::fs::write(&emulator, script).unwrap();
        std::fs::set_permissions(&emulator, std::fs::Permissions::from_mode(0o755)).unwrap();
        let kernel = |name: &str, lines: [&str; 2]| {
            let file = directory.path().join(name);
            std::fs::write(&file, lines.join("\n")).unwrap();
            file
        };
        let hosts_file = hosts.map(|lines| kernel("hosts", lines));
        let guests_file = kernel("guests", guests);
        let (found, kept) = try_kernels(&emulator, hosts_file.as_deref(), &guests_file).await;
        assert_eq!((found.kvm, kept), expected, "{hosts:?} {guests:?}: {found:?}");
    }

    const RUNS: &str = "echo Linux version 6; echo 'Kernel panic - not syncing: VFS'";
    const GIVES_UP: &str = "echo 'KVM internal error. Suberror: 1' >&2";
    const NO_MEMORY: &str = "echo 'qemu: cannot set up guest memory: Cannot allocate memory' >&2";

    #[tokio::test]
    async fn what_is_found_out_and_whether_it_is_kept() {
        check(None, [RUNS, RUNS], (true, true)).await;
        check(None, [GIVES_UP, RUNS], (false, true)).await;
        // It runs nowhere, so it tells nothing of KVM.
        check(None, [GIVES_UP, "true"], (false, false)).await;
        check(None, [NO_MEMORY, RUNS], (false, false)).await;
        // A guest's kernel has no say where the host's own tells something.
        check(Some([RUNS, RUNS]), [GIVES_UP, RUNS], (true, true)).await;
        check(Some([GIVES_UP, RUNS]), [RUNS, RUNS], (false, true)).await;
        check(Some([GIVES_UP, "true"]), [RUNS, RUNS], (true, true)).await;
    }

    #[tokio::test]
    async fn a_finding_is_kept_for_one_boot() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("virtualization.json");
        let found = Virtualization { kvm: false, reason: "tried".into() };
        let qemu = Path::new("/usr/bin/qemu");
        keep(&file, "boot-1", qemu, &found).await;
        assert_eq!(recall(&file, "boot-1", qemu).await, Some(found));
        assert_eq!(recall(&file, "boot-2", qemu).await, None);
        std::fs::write(&file, "{").unwrap();
        assert_eq!(recall(&file, "boot-1", qemu).await, None);
    }
}

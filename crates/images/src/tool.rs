//! Programs of others that we run, and the sandbox in which those run that touch a filesystem of a stranger's.
//!
//! A guest's filesystem is hostile: e2fsck and its kin parse it, and one day one of them has a defect. So they run as a
//! user that owns nothing but the one file, without network, capabilities or a way to get them back, and under limits.
//! The wall is made of util-linux (`unshare`, `prlimit`, `setpriv`) so that this crate stays free of unsafe code.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// A program and the Debian package that brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name, looked up in `PATH` and in the usual places of the system's programs.
    pub program: &'static str,
    /// What to install when it is missing.
    pub package: &'static str,
}

/// Makes images.
pub const MMDEBSTRAP: Tool = Tool { program: "mmdebstrap", package: "mmdebstrap" };
/// Makes filesystems; must be 1.47.1 or newer to read a tarball.
pub const MKE2FS: Tool = Tool { program: "mke2fs", package: "e2fsprogs" };
/// Checks and mends filesystems.
pub const E2FSCK: Tool = Tool { program: "e2fsck", package: "e2fsprogs" };
/// Gives filesystems features.
pub const TUNE2FS: Tool = Tool { program: "tune2fs", package: "e2fsprogs" };
/// Grows filesystems.
pub const RESIZE2FS: Tool = Tool { program: "resize2fs", package: "e2fsprogs" };
/// Writes into filesystems that are not mounted.
pub const DEBUGFS: Tool = Tool { program: "debugfs", package: "e2fsprogs" };
const TAIL: Tool = Tool { program: "tail", package: "coreutils" };
const UNSHARE: Tool = Tool { program: "unshare", package: "util-linux" };
const PRLIMIT: Tool = Tool { program: "prlimit", package: "util-linux" };
const SETPRIV: Tool = Tool { program: "setpriv", package: "util-linux" };

/// A program that is not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{program} is not installed on this machine: run `apt-get install {package}`")]
pub struct ToolMissing {
    /// Its name.
    pub program: &'static str,
    /// What to install.
    pub package: &'static str,
}

/// Why a tool gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not installed.
    #[error(transparent)]
    Missing(#[from] ToolMissing),
    /// It could not be started or listened to.
    #[error("{program} could not be run: {source}")]
    Run {
        /// Its name.
        program: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// It takes long and goes on.
    #[error("{program} has been at it for {} s and goes on: it is waited for", patience.as_secs())]
    StillGoing {
        /// Its name.
        program: &'static str,
        /// How long it was waited for.
        patience: Duration,
    },
    /// It took too long and was ended.
    #[error("{program} did not end within {} s and was stopped; is the disk very slow, or its filesystem damaged?", limit.as_secs())]
    TooSlow {
        /// Its name.
        program: &'static str,
        /// How long it was given.
        limit: Duration,
    },
}

impl Tool {
    /// Where the program is.
    pub fn find(self) -> Result<PathBuf, ToolMissing> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
            .map(|directory| directory.join(self.program))
            .find(|candidate| candidate.is_file())
            .ok_or(ToolMissing { program: self.program, package: self.package })
    }
}

/// What a tool answered.
#[derive(Clone, Debug)]
pub struct ToolOutput {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it said, both streams, cut to a length that fits into a report.
    pub said: String,
}

/// The first user id of the sandbox. systemd documents 1879048192 to 2147483647 as unused ("Users, Groups, UIDs and
/// GIDs on systemd systems"), so that no account, container or service shares it.
const FIRST_SANDBOX_UID: u32 = 0x7000_0000;

/// Where a tool may work: one directory, as one user, on files up to a size.
#[derive(Clone, Debug)]
pub struct Sandbox {
    directory: PathBuf,
    uid: u32,
    largest_file: u64,
}

impl Sandbox {
    /// A sandbox with `directory` as its working directory, so that no directory above need be open to it. What has a
    /// different `salt` (a volume's id) has another user, so that one guest's tool cannot touch another guest's file.
    pub fn new(directory: &Path, salt: u64, largest_file: u64) -> Self {
        let offset = u32::try_from(salt % (1 << 27)).unwrap_or(0);
        Sandbox { directory: directory.to_owned(), uid: FIRST_SANDBOX_UID + offset, largest_file }
    }

    /// Hands a file to the sandbox's user. Does nothing when this process is not root: then the tools run as the user
    /// that it is, which is no wall, but is no root either.
    pub fn admit(&self, file: impl std::os::fd::AsFd) -> std::io::Result<()> {
        give_to(file, self.uid)
    }

    /// Takes a file back.
    pub fn withdraw(&self, file: impl std::os::fd::AsFd) -> std::io::Result<()> {
        give_to(file, 0)
    }

    /// The command line that runs `tool` inside, for at most half an hour of processor time, and that ends it when its
    /// handle goes. Its standard streams are closed until the caller gives it some.
    pub fn command(&self, tool: Tool) -> Result<tokio::process::Command, ToolMissing> {
        let mut command = self.command_within(&["--cpu=1800"], tool)?;
        command.kill_on_drop(true);
        Ok(command)
    }

    fn command_within(&self, limits: &[&str], tool: Tool) -> Result<tokio::process::Command, ToolMissing> {
        let mut command;
        if am_root() {
            command = tokio::process::Command::new(UNSHARE.find()?);
            command.args(["--net", "--ipc", "--uts", "--"]).arg(PRLIMIT.find()?);
        } else {
            command = tokio::process::Command::new(PRLIMIT.find()?);
        }
        command.args(["--core=0", "--nofile=64", "--as=4294967296"]).args(limits);
        command.arg(format!("--fsize={}", self.largest_file)).arg("--").arg(SETPRIV.find()?);
        if am_root() {
            command.arg(format!("--reuid={}", self.uid)).arg(format!("--regid={}", self.uid));
            command.args(["--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
        }
        command.args(["--no-new-privs", "--"]).arg(tool.find()?);
        command
            .current_dir(&self.directory)
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command)
    }

    /// Runs a tool that must not be ended half-way: by no limit, not when this process ends, and not by the signals of
    /// its terminal. `lock` is open for as long as the tool lives, so that a lock on it is the tool's too. After
    /// `patience` it is left to itself. Once `unwanted` it is asked to end (SIGTERM), where it sees fit, and waited for.
    pub async fn run_to_its_end(
        &self,
        tool: Tool,
        arguments: &[&str],
        lock: std::fs::File,
        patience: Duration,
        unwanted: impl Future<Output = ()>,
    ) -> Result<ToolOutput, ToolError> {
        let failed = |source| ToolError::Run { program: tool.program, source };
        let said = tempfile::tempfile().map_err(failed)?;
        let mut command = self.command_within(&[], tool)?;
        let (listening, talking) = std::io::pipe().map_err(failed)?;
        command.args(arguments).stdin(lock).process_group(0);
        command.stdout(talking.try_clone().map_err(failed)?).stderr(talking);
        let mut listener = listener(listening, said.try_clone().map_err(failed)?)?;
        let mut child = command.spawn().map_err(failed)?;
        // Ours are closed, so that the listener ends with the tool.
        drop(command);
        let both = async {
            let status = tokio::select! {
                status = child.wait() => status?,
                () = unwanted => {
                    ask_to_end(&child)?;
                    child.wait().await?
                }
            };
            Ok::<_, std::io::Error>((status, listener.wait()))
        };
        let (status, last_words) = tokio::time::timeout(patience, both)
            .await
            .map_err(|_| ToolError::StillGoing { program: tool.program, patience })?
            .map_err(failed)?;
        last_words.await.map_err(failed)?;
        let mut text = vec![0; LONGEST_SAID];
        let length = std::os::unix::fs::FileExt::read_at(&said, &mut text, 0).map_err(failed)?;
        let said = last_lines(&String::from_utf8_lossy(&text[..length]));
        Ok(ToolOutput { code: status.code(), said })
    }

    /// Runs a tool to its end, or until it takes longer than `limit`. `stdin` is a file that stays open for as long as
    /// the tool lives, even if we die: a lock on it is the tool's too.
    pub async fn run<A: AsRef<OsStr>>(
        &self,
        tool: Tool,
        arguments: &[A],
        stdin: Option<std::fs::File>,
        limit: Duration,
    ) -> Result<ToolOutput, ToolError> {
        let failed = |source| ToolError::Run { program: tool.program, source };
        let mut command = self.command(tool)?;
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(file) = stdin {
            command.stdin(file);
        }
        let child = command.spawn().map_err(failed)?;
        let output = tokio::time::timeout(limit, child.wait_with_output())
            .await
            .map_err(|_| ToolError::TooSlow { program: tool.program, limit })?
            .map_err(failed)?;
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(ToolOutput { code: output.status.code(), said: last_lines(&said) })
    }
}

/// More than is ever shown.
const LONGEST_SAID: usize = 16 << 10;

/// Keeps the end of what a tool says. A tool whose words nobody takes is ended by the kernel when it speaks, and in a
/// file of its own a guest's filesystem could make it write until the disk is full: so this is a process, too, that
/// outlives us.
fn listener(from: std::io::PipeReader, to: std::fs::File) -> Result<tokio::process::Child, ToolError> {
    let mut command = tokio::process::Command::new(TAIL.find()?);
    command.arg("-c").arg(LONGEST_SAID.to_string()).env_clear().process_group(0);
    command.stdin(from).stdout(to).stderr(Stdio::null());
    command.spawn().map_err(|source| ToolError::Run { program: TAIL.program, source })
}

fn ask_to_end(child: &tokio::process::Child) -> std::io::Result<()> {
    // One that has ended, and was not waited for yet, takes a signal as well.
    let id = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
    let Some(id) = id else { return Ok(()) };
    Ok(rustix::process::kill_process(id, rustix::process::Signal::TERM)?)
}

fn give_to(file: impl std::os::fd::AsFd, id: u32) -> std::io::Result<()> {
    if !am_root() {
        return Ok(());
    }
    let (user, group) = (rustix::fs::Uid::from_raw(id), rustix::fs::Gid::from_raw(id));
    Ok(rustix::fs::fchown(file, Some(user), Some(group))?)
}

/// Whether this process can give files away.
fn am_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The end of what a tool said, without control characters: a guest can choose what e2fsck prints about its files.
pub fn last_lines(said: &str) -> String {
    let clean: Vec<String> = said
        .lines()
        .map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>())
        .filter(|line| !line.trim().is_empty())
        .collect();
    let tail = clean[clean.len().saturating_sub(8)..].join("\n");
    let skip = tail.chars().count().saturating_sub(1200);
    tail.chars().skip(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_names_its_package() {
        let tool = Tool { program: "honcho-no-such-program", package: "no-such-package" };
        let error = tool.find().unwrap_err().to_string();
        assert_eq!(
            error,
            "honcho-no-such-program is not installed on this machine: run `apt-get install no-such-package`"
        );
    }

    #[test]
    fn what_tools_say_is_cut_and_cleaned() {
        assert_eq!(last_lines("a\u{1b}[31m\n\n b\u{7}\n"), "a[31m\n b");
        assert_eq!(last_lines(&"x".repeat(5000)).len(), 1200);
    }

    /// As when the agent is stopped: whoever waits goes, the lock and the work go on.
    #[tokio::test]
    async fn what_must_not_be_ended_goes_on_alone() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "").unwrap();
        let sandbox = Sandbox::new(directory.path(), 7, 1 << 20);
        let shell = Tool { program: "sh", package: "dash" };
        let lock = || {
            let file = std::fs::File::open(&path).unwrap();
            rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map(|()| file)
        };
        let script = "sleep 0.5; echo one; echo two >&2; sleep 0.5; echo three; echo done > end";
        let short = Duration::from_millis(100);
        let wanted = std::future::pending;
        let outcome = sandbox.run_to_its_end(shell, &["-c", script], lock().unwrap(), short, wanted()).await;
        assert!(matches!(outcome, Err(ToolError::StillGoing { .. })), "{outcome:?}");
        assert!(lock().is_err(), "it holds the lock");
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while lock().is_err() {
            assert!(std::time::Instant::now() < until, "it ends by itself");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(std::fs::read_to_string(directory.path().join("end")).unwrap(), "done\n");
        let script = ["-c", "echo out; echo err >&2; exit 3"];
        let run = sandbox.run_to_its_end(shell, &script, lock().unwrap(), Duration::MAX, wanted());
        let output = run.await.unwrap();
        assert_eq!((output.code, output.said.as_str()), (Some(3), "out\nerr"));
        // What is not wanted any more chooses where it ends.
        let begun = directory.path().join("begun");
        let unwanted = async {
            while !begun.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let script = ["-c", "trap 'echo in order; exit 32' TERM; : > begun; while :; do sleep 0.1; done"];
        let run = sandbox.run_to_its_end(shell, &script, lock().unwrap(), Duration::MAX, unwanted);
        let output = tokio::time::timeout(Duration::from_secs(20), run).await.unwrap().unwrap();
        assert_eq!((output.code, output.said.as_str()), (Some(32), "in order"));
        lock().unwrap();
    }

    #[tokio::test]
    async fn the_sandbox_has_no_network_no_rights_and_only_its_own_file() {
        if !am_root() {
            println!("skipped: only root can make the sandbox");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let (own, other) = (directory.path().join("own"), directory.path().join("other"));
        for path in [&own, &other] {
            std::fs::write(path, "").unwrap();
        }
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))
            .unwrap();
        let sandbox = Sandbox::new(directory.path(), 7, 1 << 20);
        sandbox.admit(std::fs::File::open(&own).unwrap()).unwrap();
        let shell = Tool { program: "sh", package: "dash" };
        let script = "echo mine >> own; echo yours >> other; cat /proc/net/dev | wc -l; grep -E '^(Cap(Eff|Bnd)|NoNewPrivs)' /proc/self/status; \
                      head -c 2000000 /dev/zero > own";
        let output = sandbox.run(shell, &["-c", script], None, Duration::from_secs(20)).await.unwrap();
        assert!(output.said.contains("other: Permission denied"), "{}", output.said);
        assert!(output.said.contains("CapEff:0000000000000000"), "{}", output.said);
        assert!(output.said.contains("CapBnd:0000000000000000"), "{}", output.said);
        assert!(output.said.contains("NoNewPrivs:1"), "{}", output.said);
        assert_eq!(std::fs::metadata(&own).unwrap().len(), 1 << 20, "the largest file is a limit");
        assert_eq!(std::fs::read(&other).unwrap(), b"");
    }
}

//! The freshly built programs, and processes that end with the test.

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where a program is: `HONCHO_BIN_DIR`, or beside the test itself (`target/debug`).
pub fn program(name: &str) -> Result<PathBuf> {
    let directory = if let Some(directory) = std::env::var_os("HONCHO_BIN_DIR") {
        PathBuf::from(directory)
    } else {
        let test = std::env::current_exe()?;
        test.ancestors().nth(2).context("the test has no target directory above it")?.to_owned()
    };
    let path = directory.join(name);
    anyhow::ensure!(
        path.exists(),
        "{} is not built: run ./test, or cargo build --workspace first",
        path.display()
    );
    Ok(path)
}

/// A process that is killed when the test lets go of it.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a program whose output goes to `log` (appended).
    pub fn start(command: &mut Command, log: &Path) -> Result<Process> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        Ok(Process { child: child.with_context(|| format!("starting {}", command.get_program().display()))? })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to kill, and waiting tells.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM) and waits until it has, giving whether it ended well.
    pub fn end(&mut self) -> Result<bool> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        Ok(self.child.wait()?.success())
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

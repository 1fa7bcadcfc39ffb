//! Runs `ip` and `nft`, and reads what they print.

use crate::drivers::{DriverError, DriverResult};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Both answer in milliseconds; a kernel that holds its lock for this long has other troubles.
const DEADLINE: Duration = Duration::from_secs(20);

/// How a command ended.
pub(super) struct Ended {
    /// Whether it succeeded.
    pub(super) success: bool,
    /// What it printed.
    pub(super) printed: String,
    /// What it complained of.
    pub(super) complaint: String,
}

/// Runs a program to its end, giving it `input`.
pub(super) async fn run(program: &str, arguments: &[&str], input: &str) -> DriverResult<Ended> {
    let shown = format!("{program} {}", arguments.join(" "));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            DriverError::Later(format!("{program} cannot be run: {error}; apt-get install iproute2 nftables"))
        })?;
    let talk = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A program that has ended already tells why in its status.
            let _unread = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(DEADLINE, talk)
        .await
        .map_err(|_| DriverError::Later(format!("{shown}: no end after {} s", DEADLINE.as_secs())))?
        .map_err(|error| DriverError::Later(format!("{shown}: {error}")))?;
    Ok(Ended {
        success: output.status.success(),
        printed: String::from_utf8_lossy(&output.stdout).into_owned(),
        complaint: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Runs a program that has to succeed.
pub(super) async fn must(program: &str, arguments: &[&str], input: &str) -> DriverResult<String> {
    let ended = run(program, arguments, input).await?;
    if ended.success {
        Ok(ended.printed)
    } else {
        Err(DriverError::Later(format!("{program} {}: {}", arguments.join(" "), ended.complaint)))
    }
}

/// `ip`, which has to succeed.
pub(super) async fn ip(arguments: &[&str]) -> DriverResult<String> {
    must("ip", arguments, "").await
}

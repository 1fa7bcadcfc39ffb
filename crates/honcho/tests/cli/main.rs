//! The command line as a person or a program meets it: the built program, run against a scripted brain.
#![allow(clippy::needless_pass_by_value, reason = "json! makes values to give away")]
#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them so")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod archiving;
mod brain;
mod clusters;
mod completing;
mod erring;
mod ganeti;
mod guests;
mod helping;
mod imaging;
mod importing;
mod listing;
mod moving;
mod people;
mod placing;
mod real;
mod restoring;
mod searching;
mod slow;
mod things;
mod usage;
mod waiting;

use brain::Brain;
use expect_test::Expect;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What a run of the program gave.
pub(crate) struct Run {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) code: Option<i32>,
}

/// The program, with nothing of this machine's in its environment.
pub(crate) fn honcho(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_honcho"));
    command.args(arguments).env_clear().env("HONCHO_TOKEN", "secret");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.current_dir(env!("CARGO_TARGET_TMPDIR")).kill_on_drop(true);
    command
}

/// Runs it to its end.
pub(crate) async fn run(mut command: Command, input: &[u8]) -> Run {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).await.unwrap();
    drop(stdin);
    let ended = tokio::time::timeout(Duration::from_secs(25), child.wait_with_output());
    let ended = ended.await.expect("the program did not end").unwrap();
    Run { stdout: ended.stdout, stderr: ended.stderr, code: ended.status.code() }
}

/// Runs `honcho` with these arguments (split at spaces) against a brain, and compares all that it printed.
pub(crate) async fn check(brain: &Brain, arguments: &str, expected: Expect) {
    let url = brain.start().await;
    let mut command = honcho(&arguments.split(' ').collect::<Vec<_>>());
    command.env("HONCHO_URL", &url);
    let ended = run(command, b"").await;
    expected.assert_eq(&transcript(&ended).replace(&url, "http://BRAIN"));
}

/// All that a run printed, and its exit code if it was not 0.
pub(crate) fn transcript(run: &Run) -> String {
    let mut text = String::from_utf8_lossy(&run.stdout).into_owned();
    if !run.stderr.is_empty() {
        text.push_str("--- stderr\n");
        text.push_str(&String::from_utf8_lossy(&run.stderr));
    }
    if run.code != Some(0) {
        text.push_str(&run.code.map_or("--- killed\n".to_owned(), |code| format!("--- exit {code}\n")));
    }
    text
}

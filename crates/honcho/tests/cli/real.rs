//! A brain that really is there, and somebody's home directory.

use crate::{Run, honcho, run, transcript};
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A brain on a port of its own; it ends when this is dropped.
pub(crate) struct RealBrain {
    directory: TempDir,
    url: String,
    _serving: Child,
}

impl RealBrain {
    /// Starts one, and waits until it listens.
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["home", "work"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        let mut command = honcho(&["serve", "--listen", "127.0.0.1:0", "--agents-listen", "127.0.0.1:0"]);
        command.arg("--data").arg(directory.path().join("brain")).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut serving = command.spawn().unwrap();
        let mut log = BufReader::new(serving.stderr.take().unwrap()).lines();
        let url = loop {
            let line = log.next_line().await.unwrap().expect("the brain ended");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(people) = line["fields"]["people"].as_str() {
                break format!("http://{people}");
            }
        };
        // Somebody has to read on, or the brain stands still once the pipe is full.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        RealBrain { directory, url, _serving: serving }
    }

    /// Where the brain keeps its things.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("brain")
    }

    /// The operator's token.
    pub(crate) async fn token(&self) -> String {
        let file = self.directory.path().join("brain/operator.token");
        tokio::fs::read_to_string(file).await.unwrap().trim().to_owned()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = honcho(words);
        command.env("HONCHO_URL", &self.url).env("HOME", self.directory.path().join("home"));
        command.env_remove("HONCHO_TOKEN").current_dir(self.directory.path().join("work"));
        command
    }

    /// Runs honcho as somebody who has nothing but a home directory.
    pub(crate) async fn run(&self, words: &[&str], input: &[u8]) -> Run {
        run(self.command(words), input).await
    }

    /// Runs it with the operator's token.
    pub(crate) async fn operate_anyway(&self, words: &[&str], input: &[u8]) -> Run {
        let mut command = self.command(words);
        command.env("HONCHO_TOKEN", self.token().await);
        run(command, input).await
    }

    /// The same; it has to do what was asked.
    pub(crate) async fn operate(&self, words: &[&str], input: &[u8]) -> Run {
        let ended = self.operate_anyway(words, input).await;
        assert_eq!(ended.code, Some(0), "{words:?}: {}", transcript(&ended));
        ended
    }

    /// Writes a file; gives its path.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> String {
        let path = self.directory.path().join("work").join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Puts the operator's token where honcho looks for one that nobody named.
    pub(crate) fn leave_an_operators_token(&self) {
        let there = self.directory.path().join("work/var/brain");
        std::fs::create_dir_all(&there).unwrap();
        let token = self.directory.path().join("brain/operator.token");
        std::fs::copy(token, there.join("operator.token")).unwrap();
    }

    /// A command line on a terminal, as `script` of util-linux makes one. The shell in it outlives Ctrl-C.
    pub(crate) fn on_a_terminal(&self, words: &str) -> Command {
        let honcho = self.command(&[]);
        let mut command = Command::new("script");
        command.args(["-qec", &format!("trap : INT; {} {words}", env!("CARGO_BIN_EXE_honcho")), "/dev/null"]);
        command.env_clear().env("SHELL", "/bin/sh").kill_on_drop(true);
        for (name, value) in honcho.as_std().get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.env_remove("HONCHO_TOKEN");
        command
    }

    /// What lies where sessions are kept.
    pub(crate) fn session_files(&self) -> Vec<PathBuf> {
        let directory = self.directory.path().join("home/.local/state/honcho/sessions");
        let files = std::fs::read_dir(directory).into_iter().flatten();
        files.map(|entry| entry.unwrap().path()).collect()
    }
}

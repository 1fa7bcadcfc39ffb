//! The brain that is simulated against: `honcho serve`, the program beside this one, on a directory of its own.

use crate::process::{Usage, apart, usage};
use anyhow::{Context as _, Result, bail};
use honcho_api::client::Client;
use honcho_store::Engine;
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long a brain may take to start.
const PATIENCE: Duration = Duration::from_mins(2);

/// A brain that can be killed and started again on the same data and ports. It is killed when dropped.
pub(crate) struct BrainProcess {
    data: PathBuf,
    listen: String,
    agents_listen: String,
    database: Option<Engine>,
    more: Vec<OsString>,
    process: Option<Child>,
    http: reqwest::Client,
    /// Processor time of the runs that were killed.
    earlier: Duration,
}

impl BrainProcess {
    /// Starts one whose data is in `data`, and waits until it answers.
    pub(crate) async fn start(data: &Path, database: Option<&Engine>) -> Result<Self> {
        BrainProcess::start_at(data, database, &free_address()?, Vec::new()).await
    }

    /// The same where people are heard at an address of their choice (`127.0.0.1:7070`), with more options of `honcho serve`.
    pub(crate) async fn start_at(
        data: &Path,
        database: Option<&Engine>,
        listen: &str,
        more: Vec<OsString>,
    ) -> Result<Self> {
        let mut brain = BrainProcess {
            data: data.to_owned(),
            listen: listen.to_owned(),
            agents_listen: free_address()?,
            database: database.cloned(),
            more,
            process: None,
            // The connections of orders: as many as there are clients.
            http: reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?,
            earlier: Duration::ZERO,
        };
        brain.resume().await?;
        Ok(brain)
    }

    fn log(&self) -> PathBuf {
        self.data.join("brain.log")
    }

    /// Starts it (again), and gives how long it took to answer.
    pub(crate) async fn resume(&mut self) -> Result<Duration> {
        let program = std::env::current_exe()?.with_file_name("honcho");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let begun = Instant::now();
        let process = apart(&program)
            // Also when this program is killed; the kernel looks at the thread that starts it, which here is the main one.
            .args(["serve", "--end-with-parent", "--data"])
            .arg(&self.data)
            .args(["--listen", &self.listen, "--agents-listen", &self.agents_listen])
            .args(&self.more)
            // In the environment, for other users of this machine can see a program's options.
            .envs(self.database.as_ref().and_then(url_of).map(|url| ("HONCHO_DATABASE", url)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}: it belongs beside this program", program.display()))?;
        self.process = Some(process);
        loop {
            let answer = self.http.get(format!("http://{}/readyz", self.listen)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(begun.elapsed());
            }
            if self.has_ended()? || begun.elapsed() > PATIENCE {
                bail!(
                    "the brain did not start:\n{}",
                    std::fs::read_to_string(self.log()).unwrap_or_default()
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if let Ok(usage) = self.usage() {
            self.earlier = usage.processor;
        }
        if let Some(mut process) = self.process.take() {
            // It fails only when it has ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// What it has used, its earlier runs' processor time included.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let process = self.process.as_ref().context("the brain does not run")?;
        let usage = usage(process.id())?;
        Ok(Usage { processor: usage.processor + self.earlier, ..usage })
    }

    /// Processor time of the runs that were killed.
    pub(crate) fn spent(&self) -> Duration {
        self.earlier
    }

    /// Where people find it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.process.as_mut().map(Child::try_wait).transpose()?.flatten().is_some())
    }

    /// An operator's client.
    pub(crate) fn client(&self) -> Result<Client> {
        let path = self.data.join("operator.token");
        let token = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Client::new(self.http.clone(), &self.url(), &token))
    }

    /// The last lines that it has logged.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// The warnings and errors that it has logged: each with how often, the most frequent first.
    pub(crate) fn complaints(&self) -> Vec<(usize, String)> {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let mut counts: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
        for line in log.lines() {
            let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            let word =
                |path: &str| line.pointer(path).and_then(serde_json::Value::as_str).unwrap_or_default();
            let level = word("/level");
            if matches!(level, "WARN" | "ERROR") {
                *counts.entry(format!("{level} {}", word("/fields/message"))).or_default() += 1;
            }
        }
        let mut counts: Vec<(usize, String)> =
            counts.into_iter().map(|(text, count)| (count, text)).collect();
        counts.sort_by(|a, b| b.cmp(a));
        counts
    }
}

impl Drop for BrainProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

fn url_of(database: &Engine) -> Option<&str> {
    match database {
        Engine::Postgres(url) => Some(url),
        Engine::Sqlite(_) => None,
    }
}

fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

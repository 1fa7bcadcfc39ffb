//! A brain of its own.

use crate::process::{apart, peak_memory_mb};
use anyhow::{Context as _, Result, bail};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A running `honcho serve`, the program beside this one; killed when dropped.
pub(crate) struct Served {
    pub(crate) url: String,
    pub(crate) token: String,
    process: Child,
    client: reqwest::Client,
}

impl Served {
    /// Starts one on the data in `directory` that may serve an archive, and waits until it answers.
    pub(crate) async fn start(
        directory: &Path,
        database: Option<&str>,
        archive: Option<&Path>,
    ) -> Result<Served> {
        let program = std::env::current_exe()?.with_file_name("honcho");
        let (listen, agents) = (free_address()?, free_address()?);
        let log = std::fs::File::create(directory.join("brain.log"))?;
        let process = apart(&program)
            .args(["serve", "--data"])
            .arg(directory)
            .args(database.map(|url| ["--database", url]).into_iter().flatten())
            .args(archive.map(|archive| [Path::new("--archive"), archive]).into_iter().flatten())
            .args(["--listen", &listen, "--agents-listen", &agents])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}: it belongs beside this program", program.display()))?;
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
        let mut served = Served { url: format!("http://{listen}"), token: String::new(), process, client };
        let begun = Instant::now();
        loop {
            if let Ok(answer) = served.client.get(format!("{}/healthz", served.url)).send().await
                && answer.status().is_success()
            {
                break;
            }
            if begun.elapsed() > Duration::from_mins(2) || served.process.try_wait()?.is_some() {
                bail!("the brain did not start:\n{}", std::fs::read_to_string(directory.join("brain.log"))?);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let token = std::fs::read_to_string(directory.join("operator.token"))?;
        token.trim().clone_into(&mut served.token);
        Ok(served)
    }

    /// What is at `path`.
    pub(crate) async fn get(&self, path: &str) -> Result<Vec<u8>> {
        let answer = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await?;
        Ok(answer.error_for_status()?.bytes().await?.to_vec())
    }

    /// The most memory it ever held.
    pub(crate) fn peak_memory_mb(&self) -> Result<f64> {
        peak_memory_mb(self.process.id())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It fails only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

//! Load from `rlt`: so many clients, each with a connection of its own, for so long.
//!
//! A client asks again when it is answered (a closed loop); or requests are due at a steady rate, and their time counts from
//! then, so that a slow answer is not made to look better by what was not asked meanwhile (an open loop).

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use rlt::cli::BenchCli;
use rlt::{BenchSuite, IterInfo, IterReport};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// One request.
pub(super) enum Request {
    Get(String),
    /// With this body.
    Patch(String, String),
}

/// Who asks, and for how long.
#[derive(Clone)]
pub(super) struct Drive {
    pub(super) url: String,
    pub(super) token: String,
    pub(super) clients: u16,
    pub(super) length: Duration,
}

/// How fast it went; times in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Speed {
    pub(super) per_second: f64,
    pub(super) median: f64,
    pub(super) p99: f64,
}

impl Speed {
    /// Of several runs.
    pub(super) fn mean(runs: &[Speed]) -> Speed {
        let count = f64::from(u32::try_from(runs.len()).unwrap_or(u32::MAX));
        let mean = |of: fn(&Speed) -> f64| runs.iter().map(of).sum::<f64>() / count;
        Speed {
            per_second: mean(|run| run.per_second),
            median: mean(|run| run.median),
            p99: mean(|run| run.p99),
        }
    }
}

/// When requests are due.
#[derive(Clone)]
struct Pace {
    begun: Arc<OnceLock<Instant>>,
    per_second: f64,
}

impl Pace {
    /// Waits until the request of this number is due, and gives when that was.
    async fn due(&self, number: u64) -> Instant {
        let begun = *self.begun.get_or_init(Instant::now);
        #[expect(clippy::cast_precision_loss, reason = "there are not that many")]
        let due = begun + Duration::from_secs_f64(number as f64 / self.per_second);
        tokio::time::sleep_until(due.into()).await;
        due
    }
}

#[derive(Clone)]
struct Suite {
    drive: Drive,
    asked: Arc<dyn Fn(u64) -> Request + Send + Sync>,
    pace: Option<Pace>,
}

#[async_trait::async_trait]
impl BenchSuite for Suite {
    type WorkerState = reqwest::Client;

    async fn state(&self, _: u32) -> Result<reqwest::Client> {
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1).tls_certs_only([]);
        Ok(client.build()?)
    }

    async fn bench(&mut self, client: &mut reqwest::Client, info: &IterInfo) -> Result<IterReport> {
        // Each worker begins elsewhere, so that no two ask for the same thing at once.
        let request = match (self.asked)(info.worker_seq + u64::from(info.worker_id) * 1_000_003) {
            Request::Get(path) => client.get(format!("{}{path}", self.drive.url)),
            Request::Patch(path, body) => client
                .patch(format!("{}{path}", self.drive.url))
                .header("content-type", "application/json")
                .body(body),
        };
        let begun = match &self.pace {
            Some(pace) => pace.due(info.runner_seq).await,
            None => Instant::now(),
        };
        let mut answer = request.bearer_auth(&self.drive.token).send().await?;
        let status = answer.status();
        if !status.is_success() {
            bail!("{status}: {}", answer.text().await?);
        }
        // As it comes, and not put together: nobody looks at it.
        let mut bytes = 0;
        while let Some(piece) = answer.chunk().await? {
            bytes += piece.len() as u64;
        }
        Ok(IterReport { duration: begun.elapsed(), status: status.into(), bytes, items: 1 })
    }
}

/// What is read of rlt's report.
#[derive(Deserialize)]
struct Report {
    summary: Summary,
    latency: Option<Latency>,
    errors: BTreeMap<String, u64>,
}
#[derive(Deserialize)]
struct Summary {
    iters: Rate,
}
#[derive(Deserialize)]
struct Rate {
    rate: f64,
}
#[derive(Deserialize)]
struct Latency {
    stats: Stats,
    percentiles: BTreeMap<String, f64>,
}
#[derive(Deserialize)]
struct Stats {
    median: f64,
}

impl Drive {
    /// Asks for what `asked` gives, whose argument counts up; each client again when it is answered.
    pub(super) async fn run(&self, asked: Arc<dyn Fn(u64) -> Request + Send + Sync>) -> Result<Speed> {
        self.load(Suite { drive: self.clone(), asked, pace: None }).await
    }

    /// The same at this rate, whether what was asked before is answered or not, as long as a client is free.
    pub(super) async fn run_on_time(
        &self,
        asked: Arc<dyn Fn(u64) -> Request + Send + Sync>,
        per_second: f64,
    ) -> Result<Speed> {
        self.load(Suite {
            drive: self.clone(),
            asked,
            pace: Some(Pace { begun: Arc::default(), per_second }),
        })
        .await
    }

    async fn load(&self, suite: Suite) -> Result<Speed> {
        let report = tempfile::NamedTempFile::new()?;
        let file = report.path().to_str().context("the temporary directory's name is no text")?;
        let (clients, length) = (self.clients.to_string(), format!("{}ms", self.length.as_millis()));
        let options = BenchCli::try_parse_from([
            "load",
            "--concurrency",
            &clients,
            "--duration",
            &length,
            "--warmup",
            // What is due at a certain time cannot be done before.
            if suite.pace.is_some() { "0" } else { "50" },
            "--quiet",
            "--output",
            "json",
            "--output-file",
            file,
        ])?;
        rlt::cli::run(options, suite).await?;
        let report: Report = serde_json::from_slice(&std::fs::read(report.path())?)?;
        if let Some((error, times)) = report.errors.first_key_value() {
            anyhow::bail!("{times} requests failed: {error}");
        }
        let latency = report.latency.context("nothing was answered")?;
        let p99 = *latency.percentiles.get("p99").context("the load's report has no p99")?;
        Ok(Speed { per_second: report.summary.iters.rate, median: latency.stats.median, p99 })
    }
}

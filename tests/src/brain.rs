//! A real brain: `honcho serve` on a directory of its own.

use crate::programs::{Process, program};
use anyhow::{Context as _, Result};
use honcho_api::client::{Client, ClientError};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A brain that can be killed and started again on the same data and ports.
pub struct Brain {
    directory: PathBuf,
    listen: SocketAddr,
    agents_listen: SocketAddr,
    process: Option<Process>,
    /// A PostgreSQL database, if it is not the file in its data.
    database: Option<String>,
    log: PathBuf,
    /// The archive that it serves, and where alone.
    archive: Option<(PathBuf, SocketAddr)>,
}

/// A port that nobody listens on just now.
pub fn free_port(ip: IpAddr) -> Result<u16> {
    Ok(TcpListener::bind((ip, 0))?.local_addr()?.port())
}

impl Brain {
    /// Starts one whose data is in `directory/brain`, for agents on this machine.
    pub async fn start(directory: &Path) -> Result<Brain> {
        Brain::start_for_agents_on(directory, IpAddr::V4(Ipv4Addr::LOCALHOST)).await
    }

    /// Starts one whose agents reach it at `agents_ip`.
    pub async fn start_for_agents_on(directory: &Path, agents_ip: IpAddr) -> Result<Brain> {
        Brain::start_on(directory, IpAddr::V4(Ipv4Addr::LOCALHOST), agents_ip).await
    }

    /// Starts one that people reach at `people_ip` (by TLS, unless that is loopback) and agents at `agents_ip`.
    pub async fn start_on(directory: &Path, people_ip: IpAddr, agents_ip: IpAddr) -> Result<Brain> {
        let listen = SocketAddr::new(people_ip, free_port(people_ip)?);
        let agents_listen = SocketAddr::new(agents_ip, free_port(agents_ip)?);
        let log = directory.join("brain.log");
        let directory = directory.to_owned();
        let mut brain =
            Brain { directory, listen, agents_listen, process: None, database: None, log, archive: None };
        brain.resume().await?;
        Ok(brain)
    }

    /// Starts one of several that share the data in `directory/brain` and a PostgreSQL database.
    pub async fn start_sharing(directory: &Path, number: usize, database: &str) -> Result<Brain> {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut brain = Brain {
            directory: directory.to_owned(),
            listen: SocketAddr::new(ip, free_port(ip)?),
            agents_listen: SocketAddr::new(ip, free_port(ip)?),
            process: None,
            database: Some(database.to_owned()),
            log: directory.join(format!("brain-{number}.log")),
            archive: None,
        };
        brain.resume().await?;
        Ok(brain)
    }

    /// Where people reach it.
    pub fn url(&self) -> String {
        let scheme = if self.listen.ip().is_loopback() { "http" } else { "https" };
        format!("{scheme}://{}", self.listen)
    }

    /// Where people reach it, as `--listen` has it.
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// The certificate of its own CA.
    pub fn ca(&self) -> PathBuf {
        self.data().join("ca/certificate.pem")
    }

    /// Where it keeps a blob.
    pub fn blob(&self, digest: &str) -> PathBuf {
        self.data().join("blobs/blobs/sha256").join(digest)
    }

    /// Where agents reach it.
    pub fn agents_address(&self) -> SocketAddr {
        self.agents_listen
    }

    /// Its data.
    pub fn data(&self) -> PathBuf {
        self.directory.join("brain")
    }

    /// What it and earlier runs of it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process, while it runs.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// Starts it (again) without waiting until it answers.
    pub fn spawn(&mut self) -> Result<()> {
        let mut command = Command::new(program("honcho")?);
        command.arg("serve").arg("--data").arg(self.data());
        command.arg("--listen").arg(self.listen.to_string());
        command.arg("--agents-listen").arg(self.agents_listen.to_string());
        // Hosts here have the processors of the machine that tests, and some hold more guests than those are for.
        command.args(["--vcpus-per-cpu", "none"]);
        if let Some((archive, address)) = &self.archive {
            command.arg("--archive").arg(archive).args(["--archive-listen", &address.to_string()]);
        }
        if let Some(database) = &self.database {
            command.args(["--database", database]);
        }
        self.process = Some(Process::start(&mut command, &self.log)?);
        Ok(())
    }

    /// Starts it (again) and waits until it answers.
    pub async fn resume(&mut self) -> Result<()> {
        self.spawn()?;
        let begun = Instant::now();
        loop {
            if let Ok(client) = self.client()
                && client
                    .get_path::<Vec<honcho_api::Account>>("/v1/accounts", &[("limit", "1".into())])
                    .await
                    .is_ok()
            {
                return Ok(());
            }
            anyhow::ensure!(
                begun.elapsed() < Duration::from_mins(1),
                "the brain does not answer:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts it anew with an archive that it serves; gives where apt finds that.
    pub async fn serve_archive(&mut self, archive: &Path) -> Result<String> {
        let address = SocketAddr::new(self.listen.ip(), free_port(self.listen.ip())?);
        self.archive = Some((archive.to_owned(), address));
        self.kill();
        self.resume().await?;
        Ok(format!("http://{address}/apt"))
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// The operator's token.
    pub fn token(&self) -> Result<String> {
        let path = self.data().join("operator.token");
        Ok(std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?
            .trim()
            .to_owned())
    }

    /// Runs `honcho` against it as the operator; gives whether it went well, and all that it said.
    pub fn honcho(&self, arguments: &[&str]) -> Result<(bool, String)> {
        let output = Command::new(program("honcho")?)
            .args(["--url", &self.url(), "--token-file"])
            .arg(self.data().join("operator.token"))
            .args(arguments)
            // Keys and sessions that it makes are this test's.
            .env("XDG_STATE_HOME", self.data())
            .output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// A client with the operator's token.
    pub fn client(&self) -> Result<Client> {
        self.client_with(&self.token()?)
    }

    /// A client with any token.
    pub fn client_with(&self, token: &str) -> Result<Client> {
        // Another test may have installed it; one provider is as good as the other, for they are the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder().no_proxy();
        if !self.listen.ip().is_loopback() {
            http = http.tls_certs_only(reqwest::Certificate::from_pem_bundle(&std::fs::read(self.ca())?)?);
        }
        Ok(Client::new(http.build()?, &self.url(), token))
    }
}

/// Calls until the brain answers: for requests while it is being killed. A refusal is an answer.
pub async fn persistently<T, F>(mut call: impl FnMut() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let begun = Instant::now();
    loop {
        match call().await {
            Err(ClientError::Unreachable { .. }) if begun.elapsed() < Duration::from_mins(1) => {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            answer => return answer,
        }
    }
}

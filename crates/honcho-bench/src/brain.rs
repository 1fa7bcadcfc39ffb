//! Which brain, and with which token.

use anyhow::{Context as _, Result, bail};
use honcho_api::client::Client;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a brain on this machine puts the operator's first token: under `./run`'s directory, or installed.
const TOKEN_FILES: [&str; 2] = ["var/brain/operator.token", "/var/lib/honcho/operator.token"];

/// The brain that is measured.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The brain")]
pub(crate) struct BrainArguments {
    /// Where the brain is
    #[arg(long, env = "HONCHO_URL", default_value = "http://127.0.0.1:7070", value_name = "URL")]
    pub(crate) url: String,

    /// The operator's token
    #[arg(long, env = "HONCHO_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,

    /// The file that holds it; ./var/brain/operator.token, then /var/lib/honcho/operator.token, when absent
    #[arg(long, env = "HONCHO_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// For https: trust the CA certificates (PEM) in this file, and no others
    #[arg(long, env = "HONCHO_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl BrainArguments {
    /// A client of it, once it has answered.
    pub(crate) async fn connect(&self) -> Result<Client> {
        let token = self.token()?;
        let certificates = match &self.ca {
            Some(file) => certificates(file)?,
            // Without TLS there is no need to read the system's certificates, nor to have any.
            None => Vec::new(),
        };
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            // The API never redirects; following one could carry the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let http = if self.ca.is_some() || self.url.starts_with("http:") {
            http.tls_certs_only(certificates)
        } else {
            http
        };
        let client = Client::new(http.build()?, &self.url, &token);
        let answer: std::result::Result<serde_json::Value, _> = client.get_path("/v1/hosts.json", &[]).await;
        answer.with_context(|| {
            format!(
                "the brain at {} cannot be used (is it running, and is that its token? --url, --token-file)",
                self.url
            )
        })?;
        Ok(client)
    }

    fn token(&self) -> Result<String> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let usual = || TOKEN_FILES.iter().map(PathBuf::from).find(|file| file.exists());
        let Some(file) = self.token_file.clone().or_else(usual) else {
            bail!(
                "no token for the brain: give --token-file FILE (looked for {})",
                TOKEN_FILES.join(" and ")
            );
        };
        std::fs::read_to_string(&file).with_context(|| format!("cannot read the token in {}", file.display()))
    }
}

fn certificates(file: &Path) -> Result<Vec<reqwest::Certificate>> {
    let what = || format!("cannot read the CA certificates in {}", file.display());
    let pem = std::fs::read(file).with_context(what)?;
    reqwest::Certificate::from_pem_bundle(&pem).with_context(what)
}

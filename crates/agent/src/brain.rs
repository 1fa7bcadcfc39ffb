//! The agent's side of the talk with the brain: HTTP/2 by mutual TLS, so that a long poll and what is reported meanwhile share one
//! connection. Blobs and streams have connections of their own, in HTTP/1.1: what is large must not stand before what is
//! urgent, and a stream is an upgrade, which HTTP/2 has not.

use crate::capture::CaptureSink;
use crate::drivers::{BlobSource, DriverError, DriverResult};
use crate::identity::Identity;
use crate::machine::MachineIds;
use crate::movers::OwnIdentity;
use crate::tls;
use anyhow::Context as _;
use async_trait::async_trait;
use futures::TryStreamExt as _;
use honcho_model::{Digest, Generation, Incarnation};
use honcho_wire::{
    BRAIN_SERVER_NAME, CaptureEnd, CaptureState, LoadAnswer, LoadReport, PROTOCOL, RenewAnswer, RenewRequest,
    Report, ReportAnswer, StreamWanted,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONNECTION, HeaderValue, UPGRADE};
use serde::Deserialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;
use uuid::Uuid;

/// How long the brain may take over a manifest: it holds the answer for 30 s at most.
const MANIFEST_TIMEOUT: Duration = Duration::from_secs(45);
/// How long it may take over anything else.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long what was sent may stay unacknowledged. A connection that several requests share is not closed when one of them is
/// late: without this, all that follow would wait for a brain that has vanished.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// How long it may pause within a blob.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// Why the brain did not answer as hoped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BrainError {
    /// It cannot be reached, or stopped in the middle.
    #[error("the brain at {address} cannot be reached: {cause}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What happened.
        cause: String,
    },
    /// It refuses.
    #[error("the brain refused ({status} {code}): {message}{}", hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
    Refused {
        /// HTTP's number.
        status: u16,
        /// The brain's stable word for it.
        code: String,
        /// What it said.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// It said something that cannot be understood.
    #[error("the brain's answer cannot be understood: {0}")]
    Unreadable(String),
}

/// The answer to `GET /agent/manifest`, with the manifest still unread.
#[derive(Debug, Deserialize)]
pub struct RawAnswer {
    /// The manifest, if there is a newer one.
    pub manifest: Option<serde_json::Value>,
    /// Streams that somebody waits for.
    #[serde(default)]
    pub streams: Vec<StreamWanted>,
}

/// How often the brain has answered, and how often not: for whoever started the agent.
#[derive(Debug, Default)]
pub struct Contact {
    /// Questions for a manifest that were answered.
    pub polls: AtomicU64,
    /// Reports that were answered.
    pub reports: AtomicU64,
    /// Calls of either kind that were not answered, or refused.
    pub failures: AtomicU64,
}

impl Contact {
    fn note<T>(&self, answered: &AtomicU64, outcome: &Result<T, BrainError>) {
        let counter = if outcome.is_ok() { answered } else { &self.failures };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Talks with the brain.
#[derive(Debug)]
pub struct BrainClient {
    address: String,
    machine: MachineIds,
    contact: Arc<Contact>,
    http: RwLock<reqwest::Client>,
    /// What is shown to other hosts, too.
    identity: RwLock<Arc<Identity>>,
}

impl OwnIdentity for BrainClient {
    fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl BrainClient {
    /// A client with this identity. Nothing is connected yet.
    pub fn new(identity: &Identity, machine: MachineIds, contact: Arc<Contact>) -> anyhow::Result<Self> {
        let http = RwLock::new(client(identity, &machine, Talk::Together)?);
        let (address, identity) = (identity.agents_address.clone(), RwLock::new(Arc::new(identity.clone())));
        Ok(BrainClient { address, machine, contact, http, identity })
    }

    /// Goes on with a renewed certificate. Requests under way end with the old one.
    pub fn use_identity(&self, identity: &Identity) -> anyhow::Result<()> {
        *self.http.write().unwrap_or_else(PoisonError::into_inner) =
            client(identity, &self.machine, Talk::Together)?;
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(identity.clone());
        Ok(())
    }

    /// Asks for a manifest newer than `after`, for which the brain waits a while.
    pub async fn manifest(&self, after: Option<(Incarnation, Generation)>) -> Result<RawAnswer, BrainError> {
        let mut request = self.http().get(self.url("manifest")).timeout(MANIFEST_TIMEOUT);
        if let Some((incarnation, generation)) = after {
            request = request.query(&[("after", format!("{incarnation},{generation}"))]);
        }
        let answer = self.json(request).await;
        self.contact.note(&self.contact.polls, &answer);
        answer
    }

    /// Reports.
    pub async fn report(&self, report: &Report) -> Result<ReportAnswer, BrainError> {
        let answer = self.json(self.http().post(self.url("report")).timeout(TIMEOUT).json(report)).await;
        self.contact.note(&self.contact.reports, &answer);
        if answer.is_ok() {
            crate::failpoints::failpoint("report-sent");
        }
        answer
    }

    /// Tells what was taken.
    pub async fn load(&self, load: &LoadReport) -> Result<LoadAnswer, BrainError> {
        self.json(self.http().post(self.url("load")).timeout(TIMEOUT).json(load)).await
    }

    /// Asks for a new certificate.
    pub async fn renew(&self, certificate_request: String) -> Result<RenewAnswer, BrainError> {
        let body = RenewRequest { certificate_request };
        self.json(self.http().post(self.url("renew")).timeout(TIMEOUT).json(&body)).await
    }

    /// Opens a stream that somebody waits for: after the upgrade only raw bytes travel.
    pub async fn open_stream(&self, id: Uuid) -> Result<reqwest::Upgraded, BrainError> {
        let request = self.alone()?.post(self.url(&format!("streams/{id}")));
        let request = request.header(CONNECTION, "upgrade").header(UPGRADE, "honcho-stream");
        let sent = tokio::time::timeout(TIMEOUT, request.send()).await;
        let response =
            sent.map_err(|late| self.unreachable(&late))?.map_err(|error| self.unreachable(&error))?;
        if response.status() != reqwest::StatusCode::SWITCHING_PROTOCOLS {
            return Err(refusal(response).await);
        }
        response.upgrade().await.map_err(|error| self.unreachable(&error))
    }

    fn http(&self) -> reqwest::Client {
        self.http.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For one request on a connection of its own.
    fn alone(&self) -> Result<reqwest::Client, BrainError> {
        client(&self.identity(), &self.machine, Talk::Alone)
            .map_err(|error| self.unreachable(AsRef::<dyn std::error::Error + 'static>::as_ref(&error)))
    }

    fn url(&self, path: &str) -> String {
        let port = self.address.rsplit_once(':').map_or("443", |(_, port)| port);
        format!("https://{BRAIN_SERVER_NAME}:{port}/agent/{path}")
    }

    async fn json<T: serde::de::DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, BrainError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body).map_err(|error| BrainError::Unreadable(error.to_string()))
    }

    fn unreachable(&self, cause: &(dyn std::error::Error + 'static)) -> BrainError {
        BrainError::Unreachable { address: self.address.clone(), cause: with_causes(cause) }
    }
}

/// An error with its causes, in one line: reqwest's own text names only the outermost.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// What a refusal looks like.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    code: String,
    errors: std::collections::BTreeMap<String, Vec<String>>,
    hint: Option<String>,
}

/// Reads a refusal. What holds no such body is quoted.
pub(crate) async fn refusal(response: reqwest::Response) -> BrainError {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap_or_default();
    let body: ErrorBody = serde_json::from_str(&text).unwrap_or_default();
    let said: Vec<String> = body
        .errors
        .iter()
        .flat_map(|(field, errors)| errors.iter().map(move |error| (field, error)))
        .map(|(field, error)| if field == "base" { error.clone() } else { format!("{field} {error}") })
        .collect();
    let message = if said.is_empty() { text.chars().take(200).collect() } else { said.join("; ") };
    BrainError::Refused { status, code: body.code, message, hint: body.hint }
}

#[async_trait]
impl BlobSource for BrainClient {
    async fn open(&self, digest: Digest) -> DriverResult<Box<dyn AsyncRead + Send + Unpin>> {
        let later = |error: BrainError| DriverError::Later(format!("cannot fetch {digest}: {error}"));
        let response = self.alone().map_err(later)?.get(self.url(&format!("blobs/{digest}"))).send().await;
        let response = response.map_err(|error| later(self.unreachable(&error)))?;
        if !response.status().is_success() {
            return Err(later(refusal(response).await));
        }
        let bytes = response.bytes_stream().map_err(|error| std::io::Error::other(with_causes(&error)));
        Ok(Box::new(StreamReader::new(bytes)))
    }
}

/// How long a piece of a captured disk may be on its way.
const PIECE_TIMEOUT: Duration = Duration::from_mins(2);

#[async_trait]
impl CaptureSink for BrainClient {
    async fn state(&self, upload: Uuid) -> DriverResult<CaptureState> {
        let request = self.http().get(self.url(&format!("captures/{upload}"))).timeout(TIMEOUT);
        match self.json(request).await {
            // It went with its guest.
            Err(BrainError::Refused { status: 404, .. }) => Ok(CaptureState { wanted: false, received: 0 }),
            answer => answer.map_err(|error| not_sent(&error)),
        }
    }

    async fn piece(
        &self,
        upload: Uuid,
        offset: u64,
        percent: u8,
        piece: Vec<u8>,
    ) -> DriverResult<CaptureState> {
        let request = self
            .alone()
            .map_err(|error| not_sent(&error))?
            .put(self.url(&format!("captures/{upload}/content")));
        let query = [("offset", offset), ("percent", percent.into())];
        self.json(request.query(&query).timeout(PIECE_TIMEOUT).body(piece))
            .await
            .map_err(|error| not_sent(&error))
    }

    async fn end(&self, upload: Uuid, end: &CaptureEnd) -> DriverResult<CaptureState> {
        let request = self.http().post(self.url(&format!("captures/{upload}"))).timeout(TIMEOUT).json(end);
        self.json(request).await.map_err(|error| not_sent(&error))
    }
}

fn not_sent(error: &BrainError) -> DriverError {
    DriverError::Later(format!("what is on its disk cannot be sent: {error}"))
}

/// How requests share connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Talk {
    /// All on one, where the brain speaks HTTP/2.
    Together,
    /// Each on its own, in HTTP/1.1.
    Alone,
}

fn client(identity: &Identity, machine: &MachineIds, talk: Talk) -> anyhow::Result<reqwest::Client> {
    let mut headers = machine.headers();
    headers.insert("honcho-protocol", HeaderValue::from(PROTOCOL));
    let capabilities = HeaderValue::from_str(&honcho_wire::CAPABILITIES.join(","));
    headers.insert("honcho-capabilities", capabilities.context("a capability's name is unusable")?);
    let host =
        identity.agents_address.rsplit_once(':').map_or(identity.agents_address.as_str(), |(host, _)| host);
    let mut tls = tls::mutual(identity)?;
    let spoken: &[&[u8]] = if talk == Talk::Together { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    tls.alpn_protocols = spoken.iter().map(|protocol| protocol.to_vec()).collect();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(BrainAddress(host.trim_matches(['[', ']']).to_owned()))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .default_headers(headers)
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(READ_TIMEOUT)
        .tcp_keepalive(Duration::from_secs(15))
        .tcp_user_timeout(UNACKNOWLEDGED)
        .build()
        .context("cannot set up the connection to the brain")
}

/// Whatever name is asked for, the brain is where the identity says.
struct BrainAddress(String);

impl Resolve for BrainAddress {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let addresses: Vec<_> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

//! One attempt to deliver.

use super::address::{Guard, check_url};
use super::signature::sign;
use crate::outside::Outside;
use honcho_api::Webhook;
use honcho_model::WebhookId;
use honcho_store::{Store, webhooks};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How long an attempt may take, from the first look at DNS to the end of the answer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);

/// So many attempts are under way at once; whoever waits for a place gets it in turn.
const AT_ONCE: usize = 64;

/// Of an answer that is no success, so much is read, and so much of it is shown.
const READ: usize = 4 << 10;
const SHOWN: usize = 200;

/// What is sent.
pub(crate) struct Message {
    /// The same at each attempt, so that a receiver knows what it has had.
    pub(crate) id: String,
    /// JSON.
    pub(crate) body: Vec<u8>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Attempted {
    /// The answer's status, if one came.
    pub(crate) status: Option<u16>,
    /// What was wrong, unless it was a 2xx.
    pub(crate) error: Option<String>,
    /// How long it took.
    pub(crate) latency: Duration,
}

/// What sends; cheap to clone.
#[derive(Clone)]
pub(crate) struct Webhooks {
    pub(crate) guard: Guard,
    store: Store,
    outside: Outside,
    places: Arc<Semaphore>,
    client: Arc<Mutex<Option<Client>>>,
}

struct Failed {
    status: Option<u16>,
    why: String,
}

impl From<String> for Failed {
    fn from(why: String) -> Self {
        Failed { status: None, why }
    }
}

impl Webhooks {
    pub(crate) fn new(store: Store, outside: Outside, guard: Guard) -> Self {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        Webhooks { guard, store, outside, places, client: Arc::default() }
    }

    /// Made when first needed: a machine without any CA certificates runs a brain all the same.
    fn client(&self) -> Result<Client, String> {
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = kept.as_ref() {
            return Ok(client.clone());
        }
        // Another part of the program may have installed it; it is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("Honcho/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(self.guard.clone()))
            // A proxy would resolve names itself, and a redirect would choose another place.
            .no_proxy()
            .redirect(Policy::none())
            .referer(false)
            // Each attempt connects anew, so that each is looked at anew.
            .pool_max_idle_per_host(0)
            .timeout(DEADLINE)
            .build()
            .map_err(|error| {
                format!("this brain cannot set up TLS (are ca-certificates installed?): {}", chain(&error))
            })?;
        *kept = Some(client.clone());
        Ok(client)
    }

    /// Tries once.
    pub(crate) async fn attempt(&self, hook: &Webhook, message: &Message) -> Attempted {
        // The semaphore is never closed.
        let place = self.places.acquire().await;
        let begun = Instant::now();
        let late = || Failed::from(format!("no answer within {} s", DEADLINE.as_secs()));
        let outcome =
            tokio::time::timeout(DEADLINE, self.post(hook, message)).await.unwrap_or_else(|_| Err(late()));
        drop(place);
        let latency = begun.elapsed();
        match outcome {
            Ok(status) => Attempted { status: Some(status), error: None, latency },
            Err(Failed { status, why }) => Attempted { status, error: Some(why), latency },
        }
    }

    async fn post(&self, hook: &Webhook, message: &Message) -> Result<u16, Failed> {
        let url = check_url(&hook.url, hook.allow_http)?;
        self.guard.check_literal(&url).await?;
        let now = self.outside.now();
        let secrets = webhooks::secrets(self.store.reader(), WebhookId(hook.id), now).await;
        let secrets =
            secrets.map_err(|error| error.to_string())?.ok_or_else(|| "it was deleted".to_owned())?;
        let timestamp = now.0.div_euclid(1_000_000);
        let good = std::iter::once(secrets.secret.as_str()).chain(secrets.previous_secret.as_deref());
        let request = self
            .client()?
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", sign(good, &message.id, timestamp, &message.body))
            .body(message.body.clone());
        let response = request.send().await.map_err(explain)?;
        let status = response.status();
        if status.is_success() {
            return Ok(status.as_u16());
        }
        let mut why = format!("answered {}", status.as_u16());
        if status.is_redirection() {
            why.push_str("; redirects are not followed: give the webhook the final URL");
        } else if let Some(said) = beginning(response).await {
            why.extend([": ", &*said]);
        }
        Err(Failed { status: Some(status.as_u16()), why })
    }
}

/// The beginning of what a receiver said, on one line.
async fn beginning(mut response: Response) -> Option<String> {
    let mut read = Vec::new();
    while read.len() < READ {
        // What breaks off while it complains has complained all the same.
        let Ok(Some(chunk)) = response.chunk().await else { break };
        read.extend_from_slice(&chunk[..chunk.len().min(READ - read.len())]);
    }
    let text = String::from_utf8_lossy(&read);
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    let plain = plain.trim().to_owned();
    (!plain.is_empty()).then_some(plain)
}

fn explain(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", DEADLINE.as_secs());
    }
    chain(&error.without_url())
}

/// An error and what caused it, without saying anything twice.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

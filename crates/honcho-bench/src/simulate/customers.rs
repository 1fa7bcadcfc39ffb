//! Who orders: guests are created, resized, rebooted and cancelled by the public API, and everything that the brain says
//! yes to is written down.
//!
//! A brain that does not answer is asked again, as a back-end system would: an order carries a reference, so that the same
//! order twice is one guest. What may have been done or not is told apart from what was acknowledged.

use super::ledger::Ledger;
use super::witness::{Acknowledged, Asked};
use anyhow::{Context as _, Result};
use honcho_api::client::{Client, ClientError};
use honcho_api::{
    Account, AccountCreate, Blob, Guest, GuestCreate, Image, ImageCreate, Network, NetworkCreate, Operation,
};
use honcho_model::{Bytes, GuestId};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sha2::Digest as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a brain that does not answer is asked again.
const PATIENCE: Duration = Duration::from_mins(3);
/// The pause between two such attempts.
const PAUSE: Duration = Duration::from_millis(250);
/// What stands for an image: simulated disks hold nothing of it.
const IMAGE: &[u8] = b"simulated image of honcho simulate\n";
/// Every guest's disk.
const DISK: Bytes = Bytes::gib(20);
/// So many guests belong to one account.
const GUESTS_PER_ACCOUNT: usize = 200;
/// So many addresses of a /16 are given to guests at most, with room for those that are being freed.
const GUESTS_PER_NETWORK: usize = 40_000;
/// How long a cancelled guest could be taken back.
const GRACE: Duration = Duration::from_secs(1);

/// What guests are ordered with.
pub(crate) struct Ground {
    /// Who they belong to.
    pub(crate) accounts: Vec<i64>,
    /// Where they are connected.
    pub(crate) networks: Vec<i64>,
    /// What they are made of.
    pub(crate) image: i64,
}

impl Ground {
    /// Makes accounts, networks and an image for so many guests.
    pub(crate) async fn make(client: &Client, prefix: &str, guests: usize) -> Result<Self> {
        let image = image(client, prefix).await.context("making the image")?;
        let mut ground = Ground { accounts: Vec::new(), networks: Vec::new(), image };
        for number in 0..=guests / GUESTS_PER_ACCOUNT {
            let order = AccountCreate {
                name: Some(format!("{prefix}-a{number}")),
                grace_seconds: i64::try_from(GRACE.as_secs()).ok(),
                ..AccountCreate::default()
            };
            let account: Account = client.create(&order).await.context("making an account")?;
            ground.accounts.push(account.id);
        }
        for number in 0..=guests / GUESTS_PER_NETWORK {
            let order = NetworkCreate {
                name: Some(format!("{prefix}-n{number}")),
                subnet: Some(format!("10.{}.0.0/16", 64 + number)),
                ..NetworkCreate::default()
            };
            let network: Network = client.create(&order).await.context("making a network")?;
            ground.networks.push(network.id);
        }
        Ok(ground)
    }
}

async fn image(client: &Client, prefix: &str) -> Result<i64> {
    let digest = hex::encode(sha2::Sha256::digest(IMAGE));
    let request = client.request(reqwest::Method::PUT, &format!("/v1/blobs/{digest}")).body(IMAGE);
    let _: Blob = client.send(request).await?.json().await?;
    let order = ImageCreate {
        name: Some(format!("{prefix}-image")),
        digest: Some(digest),
        unpacked_bytes: Some(1 << 20),
        ..ImageCreate::default()
    };
    let image: Image = client.create(&order).await?;
    Ok(image.id)
}

/// One guest that was ordered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ordered {
    /// Which.
    pub(crate) guest: GuestId,
    /// When the order was sent.
    pub(crate) sent: Duration,
    /// How long the brain took to say yes.
    pub(crate) answered: Duration,
}

/// What a wish came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was acknowledged.
    Yes,
    /// It was refused, with a reason.
    Refused,
}

/// Everyone who orders.
pub(crate) struct Customers {
    client: Client,
    ground: Ground,
    prefix: String,
    seed: u64,
    ledger: Arc<Ledger>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    acknowledged: Vec<Acknowledged>,
    /// Guests that live and that nobody is changing just now.
    idle: Vec<(GuestId, Bytes)>,
    refusals: Vec<String>,
}

impl Customers {
    /// Nobody has ordered anything yet.
    pub(crate) fn new(client: Client, ground: Ground, prefix: &str, seed: u64, ledger: Arc<Ledger>) -> Self {
        Customers { client, ground, prefix: prefix.to_owned(), seed, ledger, book: Mutex::default() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was acknowledged so far.
    pub(crate) fn acknowledged(&self) -> Vec<Acknowledged> {
        self.book().acknowledged.clone()
    }

    /// What was refused, in the brain's words.
    pub(crate) fn refusals(&self) -> Vec<String> {
        self.book().refusals.clone()
    }

    fn note(&self, guest: GuestId, operation: i64, what: Asked) {
        self.book().acknowledged.push(Acknowledged { guest, operation, what });
    }

    /// The order with this number: always the same one for the same seed.
    fn order(&self, number: usize) -> GuestCreate {
        let mut random =
            StdRng::seed_from_u64(self.seed ^ (number as u64).wrapping_mul(0x2545_f491_4f6c_dd1d));
        let (memory, vcpus) = match random.random_range(0..10) {
            0..3 => (Bytes::mib(512), 1),
            3..7 => (Bytes::gib(1), 1),
            7..9 => (Bytes::gib(2), 2),
            _ => (Bytes::gib(4), 4),
        };
        let account = self.ground.accounts[random.random_range(0..self.ground.accounts.len())];
        let network = self.ground.networks[number % self.ground.networks.len()];
        let name = format!("{}-g{number}", self.prefix);
        GuestCreate {
            account_id: Some(account),
            reference: Some(name.clone()),
            name: Some(name),
            image_id: Some(self.ground.image),
            network_id: Some(network),
            memory_bytes: i64::try_from(memory.0).ok(),
            disk_bytes: i64::try_from(DISK.0).ok(),
            vcpus: Some(vcpus),
            ..GuestCreate::default()
        }
    }

    /// Orders a guest; `None` when it was refused.
    pub(crate) async fn create(&self, number: usize) -> Result<Option<Ordered>> {
        let order = self.order(number);
        let sent = self.ledger.now();
        let begun = Instant::now();
        let answer = loop {
            match self.client.create::<Guest>(&order).await {
                Err(error) if may_answer_later(&error) && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(PAUSE).await;
                }
                answer => break answer,
            }
        };
        let Some(guest) = self.ask_once(answer)? else { return Ok(None) };
        let answered = self.ledger.now().saturating_sub(sent);
        let (id, memory) = (GuestId(guest.id), bytes(guest.memory_bytes));
        self.note(id, guest.operation_id.context("a new guest has an operation")?, Asked::Create(memory));
        self.book().idle.push((id, memory));
        Ok(Some(Ordered { guest: id, sent, answered }))
    }

    /// Takes one of the guests that nobody is changing: the one that `lot` falls on.
    pub(crate) fn take(&self, lot: usize) -> Option<(GuestId, Bytes)> {
        let mut book = self.book();
        let count = book.idle.len();
        (count > 0).then(|| book.idle.swap_remove(lot % count))
    }

    fn give_back(&self, guest: (GuestId, Bytes)) {
        self.book().idle.push(guest);
    }

    /// Reboots a guest that was taken.
    pub(crate) async fn reboot(&self, guest: (GuestId, Bytes)) -> Result<Outcome> {
        let asked = self.ask_once(self.client.action::<Guest, Operation>(guest.0.0, "reboot", &[]).await)?;
        if let Some(operation) = &asked {
            self.note(guest.0, operation.id, Asked::Reboot);
        }
        self.give_back(guest);
        Ok(outcome(asked.as_ref()))
    }

    /// Gives a guest that was taken twice as much memory, or half as much where it has plenty.
    pub(crate) async fn resize(&self, guest: (GuestId, Bytes)) -> Result<Outcome> {
        let memory = if guest.1 < Bytes::gib(4) { Bytes(guest.1.0 * 2) } else { Bytes(guest.1.0 / 2) };
        let query = [("memory_bytes", memory.0.to_string()), ("restart", "true".to_owned())];
        let asked =
            self.ask_once(self.client.action::<Guest, Operation>(guest.0.0, "resize", &query).await)?;
        match &asked {
            Some(operation) => {
                self.note(guest.0, operation.id, Asked::Resize(memory));
                self.give_back((guest.0, memory));
            }
            None => self.give_back(guest),
        }
        Ok(outcome(asked.as_ref()))
    }

    /// Cancels a guest that was taken; it is deleted now, or when its grace period ends.
    pub(crate) async fn cancel(&self, guest: (GuestId, Bytes), when: Deletion) -> Result<Outcome> {
        let query = match when {
            Deletion::Now => vec![("now", "true".to_owned())],
            Deletion::AfterGrace => Vec::new(),
        };
        let asked = self.ask_once(self.client.delete::<Guest, Operation>(guest.0.0, &query).await)?;
        match &asked {
            Some(operation) => self.note(guest.0, operation.id, Asked::Cancel),
            None => self.give_back(guest),
        }
        Ok(outcome(asked.as_ref()))
    }

    fn ask_once<T>(&self, answer: Result<T, ClientError>) -> Result<Option<T>> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(ClientError::Refused(body)) if body.status < 500 => {
                self.book().refusals.push(body.sentence());
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// When a cancelled guest goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deletion {
    /// At once.
    Now,
    /// When its grace period ends.
    AfterGrace,
}

/// Whether the same order again may be answered: its reference makes it the same guest.
fn may_answer_later(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        ClientError::Refused(body) => body.status >= 500,
        ClientError::Strange { .. } => false,
    }
}

fn outcome<T>(asked: Option<&T>) -> Outcome {
    if asked.is_some() { Outcome::Yes } else { Outcome::Refused }
}

pub(crate) fn bytes(number: i64) -> Bytes {
    Bytes(u64::try_from(number).unwrap_or(0))
}

//! What most tests need: a brain, an account, a network, an image; and waiting until something is so.

use crate::brain::Brain;
use anyhow::{Context as _, Result};
use honcho_api::client::Client;
use honcho_api::{
    Account, AccountCreate, Blob, Guest, GuestCreate, Image, ImageCreate, Network, NetworkCreate, Operation,
    Pool,
};
use std::time::{Duration, Instant};

/// The things that guests are ordered with.
pub struct World {
    /// The operator's client.
    pub client: Client,
    /// An account.
    pub account: Account,
    /// A network.
    pub network: Network,
    /// An image. Of [`World::make`] a few bytes, which only simulated storage can make volumes of.
    pub image: Image,
}

impl World {
    /// Makes them.
    pub async fn make(brain: &Brain) -> Result<World> {
        let client = brain.client()?;
        let image = upload(&client, "tiny", b"not a real image").await?;
        World::with(client, image).await
    }

    /// Makes them, with an image that is there.
    pub async fn with(client: Client, image: Image) -> Result<World> {
        let account =
            client.create(&AccountCreate { name: Some("acme".into()), ..AccountCreate::default() }).await?;
        let network = NetworkCreate {
            name: Some("office".into()),
            subnet: Some("10.77.0.0/24".into()),
            ..NetworkCreate::default()
        };
        let network = client.create(&network).await?;
        Ok(World { client, account, network, image })
    }

    /// An order for a small guest.
    pub fn order(&self, name: &str) -> GuestCreate {
        GuestCreate {
            account_id: Some(self.account.id),
            name: Some(name.to_owned()),
            image_id: Some(self.image.id),
            network_id: Some(self.network.id),
            memory_bytes: Some(64 << 20),
            disk_bytes: Some(128 << 20),
            ..GuestCreate::default()
        }
    }

    /// Orders a guest and waits until it runs.
    pub async fn running(&self, name: &str) -> Result<Guest> {
        let guest: Guest = self.client.create(&self.order(name)).await?;
        self.ended(guest.operation_id.context("a new guest has an operation")?).await?;
        self.guest(guest.id).await
    }

    /// A guest, also when it is cancelled.
    pub async fn guest(&self, id: i64) -> Result<Guest> {
        Ok(self.client.get_path(&format!("/v1/guests/{id}"), &[("cancelled", "true".into())]).await?)
    }

    /// Waits until an operation has ended.
    pub async fn ended(&self, id: i64) -> Result<Operation> {
        eventually("an operation ends", Duration::from_mins(5), async || {
            let operation = self.client.operation(id).await?;
            anyhow::ensure!(operation.ended_at.is_some(), "{operation:?}");
            Ok(operation)
        })
        .await
    }

    /// Waits until a pool is ready, as it must be before a guest is placed on it.
    pub async fn pool_ready(&self, host_id: i64) -> Result<()> {
        eventually("a pool is ready", Duration::from_mins(1), async || {
            let pools: Vec<Pool> = self.client.list(&[("host_id", host_id.to_string())]).await?;
            anyhow::ensure!(
                !pools.is_empty() && pools.iter().all(|pool| pool.status == "ready"),
                "{pools:?}"
            );
            Ok(())
        })
        .await
    }

    /// Events of a kind, oldest first.
    pub async fn events(&self, kind: &str) -> Result<Vec<honcho_api::Event>> {
        Ok(self.client.get_path("/v1/events", &[("kind", kind.to_owned())]).await?)
    }
}

/// Sends a blob and registers it as an image.
pub async fn upload(client: &Client, name: &str, bytes: &'static [u8]) -> Result<Image> {
    let digest = sha256(bytes);
    let request = client.request(reqwest::Method::PUT, &format!("/v1/blobs/{digest}")).body(bytes);
    let blob: Blob = client.send(request).await?.json().await?;
    anyhow::ensure!(blob.digest == digest, "the brain named the blob {}", blob.digest);
    let image = ImageCreate {
        name: Some(name.to_owned()),
        digest: Some(digest),
        unpacked_bytes: Some(1 << 20),
        ..ImageCreate::default()
    };
    Ok(client.create(&image).await?)
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

/// Tries until it succeeds; after `patience`, fails with what was wrong last.
pub async fn eventually<T>(
    what: &str,
    patience: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if begun.elapsed() > patience => {
                return Err(error.context(format!("not within {} s: {what}", patience.as_secs())));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

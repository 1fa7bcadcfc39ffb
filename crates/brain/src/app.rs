//! What every handler works with.

use crate::authority::Authority;
use crate::credentials::Credentials;
use crate::liveness::Liveness;
use crate::load::Loads;
use crate::operations::BlobCame;
use crate::outside::Outside;
use crate::panel::Transport;
use crate::passwords::Passwords;
use crate::placing::Standing;
use crate::runs::Runs;
use crate::streams::Streams;
use crate::uploads::Uploads;
use crate::watching::Watching;
use crate::webhooks::Webhooks;
use honcho_images::BlobStore;
use honcho_model::Timestamp;
use honcho_store::{Actor, Change, Lead, Store, StoreError, StoreResult};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The brain; cheap to clone, which every request makes happen several times.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

impl std::ops::Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl From<Parts> for App {
    fn from(parts: Parts) -> App {
        App(Arc::new(parts))
    }
}

/// The brain's parts.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) blobs: BlobStore,
    /// What is being uploaded to become an image.
    pub(crate) uploads: Uploads,
    pub(crate) authority: Arc<Authority>,
    pub(crate) outside: Outside,
    pub(crate) liveness: Liveness,
    /// What agents told of load and is not written yet.
    pub(crate) loads: Loads,
    pub(crate) runs: Runs,
    pub(crate) streams: Streams,
    pub(crate) credentials: Credentials,
    pub(crate) passwords: Passwords,
    /// Whether this brain runs the controllers.
    pub(crate) lead: Arc<Lead>,
    /// Held while this brain uses a SQLite file: there is one brain for each.
    pub(crate) _alone: Option<Arc<std::fs::File>>,
    pub(crate) webhooks: Webhooks,
    /// What placing holds to.
    pub(crate) rules: honcho_placement::Rules,
    /// What it decides by.
    pub(crate) standing: Standing,
    /// How slow queries are kept, and mails sent.
    pub(crate) slow: crate::slow::SlowOptions,
    /// Whether the machine room is simulated, which every page says.
    pub(crate) simulated: bool,
    /// The archive that it serves, if it serves one.
    pub(crate) archive: Option<Arc<crate::archive::OwnArchive>>,
    pub(crate) watching: Watching,
    /// What pages share.
    pub(crate) looks: Arc<crate::shared::Looks>,
    /// Whether this brain's life is known to be accepted, or began without a backup: it never ceases to be.
    pub(crate) accepted: Arc<AtomicBool>,
    /// Where the brain's own files are.
    pub(crate) data: Arc<Path>,
    /// SQLite's files, and what each is.
    pub(crate) database_files: Arc<[(&'static str, PathBuf)]>,
    /// What opens `/metrics` and nothing else, hashed.
    pub(crate) metrics_token_hash: Arc<str>,
    /// Where agents are told to find us: `HOST:PORT`.
    pub(crate) agents_address: Arc<str>,
    /// How browsers reach us.
    pub(crate) people_transport: Transport,
    /// When this brain began to listen.
    pub(crate) started_at: Timestamp,
    /// Cancelled when the brain is told to end, so that followed streams end too.
    pub(crate) ending: CancellationToken,
}

impl App {
    pub(crate) fn now(&self) -> Timestamp {
        self.outside.now()
    }

    pub(crate) async fn write<C: Change>(&self, actor: Actor, change: &C) -> StoreResult<C::Out> {
        let begun = Instant::now();
        let outcome = self.store.write(actor, self.now(), change).await;
        let word = match &outcome {
            Ok(_) => "committed",
            Err(StoreError::Refused(_)) => "refused",
            Err(_) => "failed",
        };
        self.watching.change(word, begun.elapsed());
        #[cfg(test)]
        self.standing.prove(&self.store, self.now()).await;
        outcome
    }

    /// Keeps a blob, if what comes is what its digest says. Nothing names it yet; [`honcho_store::blobs::GRACE`] says how
    /// long it waits for that.
    pub(crate) async fn keep_blob(
        &self,
        digest: honcho_model::Digest,
        source: impl tokio::io::AsyncRead,
    ) -> Result<u64, KeepError> {
        self.write(Actor::honcho(), &BlobCame(digest)).await?;
        let size = self.blobs.put(digest, source).await?;
        // It may have taken long; from now on its time runs anew.
        self.write(Actor::honcho(), &BlobCame(digest)).await?;
        Ok(size)
    }

    /// Makes a change, or tries it and takes it back.
    pub(crate) async fn write_or_try<C: Change>(
        &self,
        actor: Actor,
        change: &C,
        trial: Trial,
    ) -> StoreResult<C::Out> {
        match trial {
            Trial::InEarnest => self.write(actor, change).await,
            Trial::DryRun => self.store.rehearse(actor, self.now(), change).await,
        }
    }

    /// Another brain on the same store, with a memory of its own.
    #[cfg(test)]
    pub(crate) fn beside(&self) -> App {
        let (credentials, standing) = (Credentials::default(), Standing::default());
        Parts { credentials, standing, ..Parts::clone(self) }.into()
    }

    /// A brain of the same store that serves no archive.
    #[cfg(test)]
    pub(crate) fn without_archive(&self) -> App {
        Parts { archive: None, ..Parts::clone(self) }.into()
    }

    /// The same for what takes something away from whoever shows a secret: it ends at once on this brain, and on others
    /// within [`crate::credentials::FRESH`].
    pub(crate) async fn write_taking_away<C: Change>(&self, actor: Actor, change: &C) -> StoreResult<C::Out> {
        let outcome = self.write(actor, change).await;
        self.credentials.forget();
        outcome
    }
}

/// Why a blob is not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// What came, or where it is kept.
    #[error(transparent)]
    Blob(#[from] honcho_images::BlobError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether a change is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    /// It is made.
    InEarnest,
    /// It is tried and taken back.
    DryRun,
}

/// How secrets are stored: hex SHA-256. They are 256 random bits, so a slow hash would add nothing.
pub(crate) fn hash_secret(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

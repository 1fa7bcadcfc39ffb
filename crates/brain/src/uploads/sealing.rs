//! Seals what has come whole: in a process of its own, a few at a time, one of each account.

use super::AppendError;
use crate::app::App;
use crate::operations::{ImageUploadProgress, ImageUploadPutBack, ImageUploadRefuse, ImageUploadSeal};
use honcho_api::ImageUpload;
use honcho_images::import::{ImportedImage, KernelFrom};
use honcho_images::sealing::{SealError, SealOrder};
use honcho_images::signing::SigningKey;
use honcho_model::{Digest, ImageUploadId, Name};
use honcho_store::{Actor, Filters, Refusal, Scope, StoreError, StoreResult, image_uploads};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// So many are sealed at a time: each takes a processor and, in the worst case, half a gigabyte.
const AT_ONCE: usize = 2;

/// How often it is written down how far one is.
const NOTED_EVERY: Duration = Duration::from_secs(2);

/// Begins to seal what waits, as far as there is room: the oldest of each account.
pub(crate) async fn begin(app: &App) -> StoreResult<Vec<tokio::task::JoinHandle<()>>> {
    let waiting = Filters::default().and("status", "sealing");
    let mut begun = Vec::new();
    for upload in image_uploads::list(app.store.reader(), Scope::System, &waiting).await? {
        let mut running = app.uploads.sealed_now();
        let full = running.len() >= AT_ONCE || running.values().any(|account| *account == upload.account_id);
        if full || running.contains_key(&upload.id) {
            continue;
        }
        running.insert(upload.id, upload.account_id);
        drop(running);
        let task = Task { app: app.clone(), upload };
        begun.push(tokio::spawn(async move {
            if let Err(error) = task.run().await {
                tracing::error!(upload = task.upload.id, %error, "an upload was not sealed; it is tried again");
            }
        }));
    }
    Ok(begun)
}

/// One that is being sealed.
struct Task {
    app: App,
    upload: ImageUpload,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.app.uploads.sealed_now().remove(&self.upload.id);
    }
}

/// How far it is.
type Stage = Arc<Mutex<Option<(String, u8)>>>;

impl Task {
    async fn run(&self) -> anyhow::Result<()> {
        let uploads = &self.app.uploads;
        let _held = match uploads.hold(self.upload.uuid) {
            Ok(Some(held)) => held,
            // The brain was restored from a backup, which holds none of these.
            Ok(None) => return self.put_back("what was sent is not there any more: send it again").await,
            Err(AppendError::Busy) => return Ok(()),
            Err(error) => anyhow::bail!("what came cannot be opened: {error:?}"),
        };
        let done = self.in_workshop().await;
        remove_workshop(&uploads.workshop(self.upload.uuid))?;
        if let Err(error) = done {
            // By itself it would fail again and again, an hour of a processor each time.
            tracing::error!(
                upload = self.upload.id,
                error = format!("{error:#}"),
                "an upload was not sealed, and is put back"
            );
            // Its owner is a customer, who has nothing of the brain's paths and keys.
            self.put_back("the brain could not keep it: its log says why; finish it again once an operator has mended that").await?;
        }
        let upload =
            image_uploads::get(self.app.store.reader(), Scope::System, ImageUploadId(self.upload.id)).await?;
        if upload.ended_at.is_some() {
            uploads.remove(upload.uuid)?;
        }
        Ok(())
    }

    async fn in_workshop(&self) -> anyhow::Result<()> {
        let workshop = self.app.uploads.workshop(self.upload.uuid);
        remove_workshop(&workshop)?;
        std::fs::create_dir(&workshop)?;
        match self.watched().await? {
            None => Ok(()),
            Some(Ok(sealed)) => self.keep(sealed).await,
            Some(Err(SealError::Refused(reason))) => self.refuse(reason).await,
            Some(Err(SealError::Failed(reason))) => self.put_back(&reason).await,
        }
    }

    /// Seals it, and writes down how far that is. `None`, if it was given up meanwhile.
    async fn watched(&self) -> anyhow::Result<Option<Result<ImportedImage, SealError>>> {
        let order = SealOrder {
            file: self.app.uploads.file(self.upload.uuid),
            digest: self.upload.digest.parse::<Digest>().map_err(|error| anyhow::anyhow!("{error}"))?,
            name: Name::new(&self.upload.name).map_err(|error| anyhow::anyhow!("{error}"))?,
            directory: self.app.uploads.workshop(self.upload.uuid),
            largest: self.app.uploads.largest,
            kernel: if self.upload.host_kernel { KernelFrom::Machine("/".into()) } else { KernelFrom::Image },
        };
        let stage = Stage::default();
        let told = stage.clone();
        let tell = move |text: &str, percent: u8| {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some((text.to_owned(), percent));
        };
        let sealing = seal(&order, &tell);
        let mut sealing = std::pin::pin!(sealing);
        loop {
            if !self.app.uploads.is_room()? {
                return Ok(Some(Err(SealError::Failed(self.no_room()))));
            }
            tokio::select! {
                sealed = &mut sealing => return Ok(Some(sealed)),
                () = tokio::time::sleep(NOTED_EVERY) => {}
            }
            let now = stage.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some((stage, percent)) = now else { continue };
            let id = ImageUploadId(self.upload.id);
            if !self.app.write(Actor::honcho(), &ImageUploadProgress { id, stage, percent }).await? {
                // Dropping it ends the process.
                return Ok(None);
            }
        }
    }

    /// Makes it an image.
    async fn keep(&self, sealed: ImportedImage) -> anyhow::Result<()> {
        if !self.app.uploads.is_room_for(std::fs::metadata(&sealed.path)?.len())? {
            return self.put_back(&self.no_room()).await;
        }
        self.app.keep_blob(sealed.digest, tokio::fs::File::open(&sealed.path).await?).await?;
        let (id, uuid) = (ImageUploadId(self.upload.id), self.app.outside.uuid());
        // Made at its first use, and no more than read ever after; brains that share a directory share it.
        let path = self.app.data.join("image-signing-key");
        let key = tokio::task::spawn_blocking(move || SigningKey::open_or_make(&path, "honcho"));
        let (key, key_uuid) = (Arc::new(key.await??), self.app.outside.uuid());
        match self.app.write(Actor::honcho(), &ImageUploadSeal { id, uuid, sealed, key, key_uuid }).await {
            Ok(_) => Ok(()),
            Err(StoreError::Refused(refusal)) => self.refuse(said(refusal)).await,
            Err(error) => Err(error.into()),
        }
    }

    fn no_room(&self) -> String {
        format!(
            "less than {} are free on the brain's disk: finish it again once an operator has made room",
            self.app.uploads.reserve
        )
    }

    async fn refuse(&self, problem: String) -> anyhow::Result<()> {
        let change = ImageUploadRefuse { scope: Scope::System, id: ImageUploadId(self.upload.id), problem };
        self.app.write(Actor::honcho(), &change).await?;
        Ok(())
    }

    async fn put_back(&self, problem: &str) -> anyhow::Result<()> {
        let change = ImageUploadPutBack { id: ImageUploadId(self.upload.id), problem: problem.to_owned() };
        Ok(self.app.write(Actor::honcho(), &change).await?)
    }
}

fn remove_workshop(workshop: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(workshop) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A refusal as a sentence.
fn said(refusal: Refusal) -> String {
    match refusal {
        Refusal::Invalid(errors) => {
            let errors: BTreeMap<_, _> = errors;
            let one = |(attribute, texts): (String, Vec<String>)| {
                let attribute = if attribute == "base" { "it" } else { &attribute };
                format!("{attribute} {}", texts.join("; "))
            };
            errors.into_iter().map(one).collect::<Vec<_>>().join("; ")
        }
        Refusal::NotFound(what) => format!("there is no such {what} any more"),
        Refusal::Forbidden(why) | Refusal::Conflict(why) | Refusal::Gone(why) => why,
    }
}

/// By this very program, as which it is started: also once its file was replaced by a newer one's.
#[cfg(not(test))]
async fn seal(
    order: &SealOrder,
    progress: &(dyn Fn(&str, u8) + Send + Sync),
) -> Result<ImportedImage, SealError> {
    honcho_images::sealing::seal_apart(Path::new("/proc/self/exe"), order, progress).await
}

/// A test program is no `honcho`: it is done in its own process, as the end-to-end tests do it apart.
#[cfg(test)]
async fn seal(
    order: &SealOrder,
    progress: &(dyn Fn(&str, u8) + Send + Sync),
) -> Result<ImportedImage, SealError> {
    progress("read the files", 0);
    let order = order.clone();
    let sealing = tokio::task::spawn_blocking(move || honcho_images::sealing::seal(&order, &|_, _| {}));
    sealing.await.unwrap().map_err(|error| match error {
        honcho_images::import::ImportError::Refused(reason) => SealError::Refused(reason),
        error => SealError::Failed(error.to_string()),
    })
}

//! Uploads of root filesystems: begin, finish, give up; what came of sealing one.

use super::image::{new_image, register};
use super::problems::Problems;
use super::quotas::{self, Extra};
use super::refuse_cancelled;
use super::{guest_capture, image_key, image_signature, packages};
use honcho_api::{Image, ImageUpload};
use honcho_images::import::ImportedImage;
use honcho_images::signing::{Signed, SigningError, SigningKey};
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, Bytes, Digest, ImageId, ImageUploadId, Name};
use honcho_store::events::{self, NewEvent};
use honcho_store::image_uploads::{self, End, NewUpload, UploadFrom};
use honcho_store::{Change, Filters, Refusal, Scope, StoreResult, Tx, accounts, images};
use std::sync::Arc;
use uuid::Uuid;

/// So many may be under way for one account.
pub(super) const MOST_PER_ACCOUNT: usize = 5;

pub(super) async fn record(
    tx: &Tx,
    kind: &str,
    upload: &ImageUpload,
    text: impl Into<String>,
) -> StoreResult<()> {
    let resource = (ResourceKind::ImageUpload, upload.id, upload.name.as_str());
    let event = NewEvent::info(kind, resource, text).of(upload.account_id.map(AccountId));
    events::record(tx, event).await?;
    Ok(())
}

/// The living image of this name, of an account or everybody's.
pub(super) async fn named(tx: &Tx, account: Option<i64>, name: &str) -> StoreResult<Option<Image>> {
    let found = images::list(tx, Scope::System, &Filters::default().and("name", name)).await?;
    Ok(found.into_iter().find(|image| image.account_id == account || image.account_id.is_none()))
}

pub(super) fn name_taken(image: &Image) -> String {
    let whose = if image.account_id.is_none() { "everybody's" } else { "the account's" };
    format!("is taken by {whose} image {} (id {})", image.name, image.id)
}

/// Begins an upload; one that is under way already is that one.
pub(crate) struct ImageUploadCreate {
    pub(crate) scope: Scope,
    pub(crate) uuid: Uuid,
    /// The largest that is taken.
    pub(crate) largest: Bytes,
    pub(crate) body: honcho_api::ImageUploadCreate,
}

impl Change for ImageUploadCreate {
    type Out = ImageUpload;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<ImageUpload> {
        let mut problems = Problems::default();
        // Whoever may see one account alone means that one.
        let account = self.body.account_id.map(AccountId).or(self.scope.sole_account());
        match account {
            Some(account) => {
                let owner = problems.found("account_id", accounts::get(tx, self.scope, account).await)?;
                refuse_cancelled(&mut problems, owner.as_ref());
            }
            None => {
                if !self.scope.is_operator() {
                    problems.needed::<()>("account_id", None);
                }
            }
        }
        let name = problems.name(self.body.name.as_deref());
        let digest = problems.needed("digest", self.body.digest.as_deref());
        let digest = digest.and_then(|digest| problems.check("digest", digest.parse::<Digest>()));
        let size = problems.needed("size_bytes", self.body.size_bytes);
        let largest = i64::try_from(self.largest.0).unwrap_or(i64::MAX);
        let size = size.and_then(|size| {
            if size > largest {
                problems.add("size_bytes", format!("is more than the {} that are taken here", self.largest));
            }
            problems.within("size_bytes", size, 1..=1 << 44)
        });
        let (Some(name), Some(digest), Some(size)) = (name, digest, size) else {
            return Err(problems.into());
        };
        if problems.is_empty()
            && let Some(same) = self.under_way(tx, account, &name, digest, size, &mut problems).await?
        {
            return Ok(same);
        }
        if problems.is_empty()
            && let Some(image) = named(tx, account.map(|account| account.0), name.as_str()).await?
        {
            problems.add("name", name_taken(&image));
        }
        problems.none()?;
        if let Some(account) = account {
            quotas::check(tx, account, Extra { images: Bytes(size), ..Extra::default() }).await?;
        }
        let host_kernel = self.body.host_kernel.unwrap_or(false);
        let from = UploadFrom::File { size: Bytes(size), digest };
        let new = NewUpload { uuid: self.uuid, account, name, from, host_kernel };
        let id = image_uploads::create(tx, &new).await?;
        let upload = image_uploads::get(tx, Scope::System, id).await?;
        record(tx, "image_upload.create", &upload, format!("was begun, {} bytes", upload.size_bytes)).await?;
        Ok(upload)
    }
}

impl ImageUploadCreate {
    /// The same upload, if it is under way: this is how a client that was killed goes on.
    async fn under_way(
        &self,
        tx: &Tx,
        account: Option<AccountId>,
        name: &Name,
        digest: Digest,
        size: u64,
        problems: &mut Problems,
    ) -> StoreResult<Option<ImageUpload>> {
        let mut open = image_uploads::list(tx, Scope::System, &image_uploads::open()).await?;
        open.retain(|upload| upload.account_id == account.map(|account| account.0));
        let same_name = open.iter().find(|upload| upload.name == name.as_str());
        if let Some(same) = same_name {
            let same_file = same.digest == digest.to_string() && u64::try_from(same.size_bytes) == Ok(size);
            if same_file && same.host_kernel == self.body.host_kernel.unwrap_or(false) {
                return Ok(Some(same.clone()));
            }
            problems.add(
                "name",
                format!("is that of another upload which is under way (id {}): end that first, or choose another name", same.id),
            );
        }
        if open.len() >= MOST_PER_ACCOUNT && account.is_some() {
            problems.add("base", format!("{MOST_PER_ACCOUNT} uploads of the account are under way already"));
        }
        Ok(None)
    }
}

/// More of it came.
pub(crate) struct ImageUploadTouch(pub(crate) ImageUploadId);

impl Change for ImageUploadTouch {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        image_uploads::touch(tx, self.0).await
    }
}

/// All of it has come: it is to be sealed.
pub(crate) struct ImageUploadFinish {
    pub(crate) scope: Scope,
    pub(crate) id: ImageUploadId,
    /// How much of it is there.
    pub(crate) received: u64,
}

impl Change for ImageUploadFinish {
    type Out = ImageUpload;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<ImageUpload> {
        let upload = image_uploads::get(tx, self.scope, self.id).await?;
        if upload.ended_at.is_some() || upload.finished_at.is_some() {
            return Ok(upload);
        }
        if u64::try_from(upload.size_bytes) != Ok(self.received) {
            let text = format!(
                "{} of {} bytes have come: send the rest with PUT /v1/image_uploads/{}/content?offset={}",
                self.received, upload.size_bytes, upload.id, self.received
            );
            return Err(Refusal::Conflict(text).into());
        }
        image_uploads::finish(tx, self.id).await?;
        record(tx, "image_upload.finish", &upload, "has come whole and is sealed").await?;
        image_uploads::get(tx, self.scope, self.id).await
    }
}

/// How far the sealing is. Gives whether there is still one.
pub(crate) struct ImageUploadProgress {
    pub(crate) id: ImageUploadId,
    pub(crate) stage: String,
    pub(crate) percent: u8,
}

impl Change for ImageUploadProgress {
    type Out = bool;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<bool> {
        Ok(image_uploads::progress(tx, self.id, &self.stage, self.percent.into()).await? > 0)
    }
}

/// It becomes no image. One that has ended is left as it is.
pub(crate) struct ImageUploadRefuse {
    pub(crate) scope: Scope,
    pub(crate) id: ImageUploadId,
    pub(crate) problem: String,
}

impl Change for ImageUploadRefuse {
    type Out = ImageUpload;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<ImageUpload> {
        let upload = image_uploads::get(tx, self.scope, self.id).await?;
        if upload.ended_at.is_some() {
            return Ok(upload);
        }
        image_uploads::end(tx, self.id, &End::Problem(self.problem.clone())).await?;
        record(tx, "image_upload.refuse", &upload, format!("became no image: {}", self.problem)).await?;
        image_uploads::get(tx, self.scope, self.id).await
    }
}

/// This machine could not seal it, which is no fault of the file: it waits until somebody says again that it is to be.
pub(crate) struct ImageUploadPutBack {
    pub(crate) id: ImageUploadId,
    pub(crate) problem: String,
}

impl Change for ImageUploadPutBack {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        let upload = image_uploads::get(tx, Scope::System, self.id).await?;
        if upload.ended_at.is_some() {
            return Ok(());
        }
        if upload.guest_id.is_some() {
            // Its host would send it again, and again.
            let problem = format!("{}: capture it again", self.problem);
            ImageUploadRefuse { scope: Scope::System, id: self.id, problem }.run(tx).await?;
            return Ok(());
        }
        image_uploads::put_back(tx, self.id, &self.problem).await?;
        let resource = (ResourceKind::ImageUpload, upload.id, upload.name.as_str());
        let text = format!("could not be sealed: {}", self.problem);
        let event = NewEvent::info("image_upload.put_back", resource, text).alarm();
        events::record(tx, event.of(upload.account_id.map(AccountId))).await?;
        Ok(())
    }
}

/// It was sealed, and its blob is kept: it becomes an image. `None`, if it was given up meanwhile.
pub(crate) struct ImageUploadSeal {
    pub(crate) id: ImageUploadId,
    pub(crate) uuid: Uuid,
    pub(crate) sealed: ImportedImage,
    /// Signs it.
    pub(crate) key: Arc<SigningKey>,
    pub(crate) key_uuid: Uuid,
}

impl Change for ImageUploadSeal {
    type Out = Option<Image>;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Option<Image>> {
        let upload = image_uploads::get(tx, Scope::System, self.id).await?;
        if upload.ended_at.is_some() {
            return Ok(None);
        }
        let account = upload.account_id.map(AccountId);
        let mut problems = Problems::default();
        if let Some(account) = account {
            let owner = problems.found("account_id", accounts::get(tx, Scope::System, account).await)?;
            refuse_cancelled(&mut problems, owner.as_ref());
        }
        if let Some(image) = named(tx, upload.account_id, &upload.name).await? {
            problems.add("name", name_taken(&image));
        }
        let name = problems.name(Some(&upload.name));
        let sealed = &self.sealed;
        let body = honcho_api::ImageCreate {
            account_id: upload.account_id,
            name: Some(upload.name.clone()),
            digest: Some(sealed.digest.to_string()),
            unpacked_bytes: i64::try_from(sealed.unpacked.0).ok(),
            architecture: sealed.architecture.clone(),
            recipe: match (upload.guest_id, &name) {
                (Some(guest), Some(name)) => Some(guest_capture::provenance(tx, guest, name).await?),
                _ => None,
            },
            ..packages::described(sealed.packages.clone(), &sealed.facts())
        };
        if let Some(problem) = body.packages.as_deref().and_then(packages::problem) {
            problems.add("base", problem);
        }
        let Some(name) = name else { return Err(problems.into()) };
        problems.none()?;
        if let Some(account) = account {
            // What was uploaded counts until now, and what came of it from now on.
            let uploaded = u64::try_from(upload.size_bytes).unwrap_or_default();
            let more = Bytes(sealed.compressed.0.saturating_sub(uploaded));
            quotas::check(tx, account, Extra { images: more, ..Extra::default() }).await?;
        }
        let signature = self.sign(tx, &body).await?;
        let sizes = (sealed.compressed, sealed.unpacked);
        let new = new_image(self.uuid, &body, name, sealed.digest, sizes, Some(signature));
        let image = register(tx, &new).await?;
        image_uploads::end(tx, self.id, &End::Image(ImageId(image.id), self.sealed.notes.clone())).await?;
        Ok(Some(image))
    }
}

impl ImageUploadSeal {
    async fn sign(&self, tx: &Tx, body: &honcho_api::ImageCreate) -> StoreResult<images::Signature> {
        let unusable = |error: SigningError| Refusal::invalid("base", error.to_string());
        let public_key = self.key.public_key().map_err(unusable)?;
        let signed_by = image_key::trust_own(tx, self.key_uuid, &public_key).await?;
        let manifest = image_signature::manifest_of(body, self.sealed.compressed, tx.now.0 / 1_000_000);
        let Signed { manifest, signature } = self.key.sign(&manifest).map_err(unusable)?;
        Ok(images::Signature { manifest, signature, signed_by })
    }
}

/// Forgets uploads that ended long ago.
pub(crate) struct ImageUploadsForget;

impl Change for ImageUploadsForget {
    type Out = u64;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<u64> {
        image_uploads::forget(tx).await
    }
}

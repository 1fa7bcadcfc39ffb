//! Images: register, delete.

use super::problems::Problems;
use super::{image_signature, operators_only, packages, refuse_cancelled};
use honcho_api::{Image, ImagePackage};
use honcho_images::signing::ImageManifest;
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, Bytes, Digest, ImageId, Name, cpu, text};
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, Filters, Scope, StoreResult, Tx, accounts, blobs, images};
use uuid::Uuid;

/// Registers an image whose blob was sent before.
pub(crate) struct ImageCreate {
    pub(crate) scope: Scope,
    pub(crate) uuid: Uuid,
    /// The size of the blob, if it is there.
    pub(crate) blob_size: Option<u64>,
    pub(crate) body: honcho_api::ImageCreate,
}

impl Change for ImageCreate {
    type Out = Image;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Image> {
        operators_only(self.scope)?;
        let mut problems = Problems::default();
        let mut body = self.body.clone();
        let signature = image_signature::take(tx, &mut body, self.blob_size, &mut problems).await?;
        let name = problems.name(body.name.as_deref());
        let digest = problems.needed("digest", body.digest.as_deref());
        let digest = digest.and_then(|digest| problems.check("digest", digest.parse::<Digest>()));
        if let (Some(digest), None) = (digest, self.blob_size) {
            problems.add(
                "digest",
                format!("names no blob that is here: send it first with PUT /v1/blobs/{digest}"),
            );
        }
        let unpacked = problems.needed("unpacked_bytes", body.unpacked_bytes);
        let unpacked = unpacked.and_then(|bytes| problems.within("unpacked_bytes", bytes, 1..=1 << 44));
        if let Some(recipe) = &body.recipe {
            problems.check("recipe", text::lines(recipe));
        }
        if let Some(problem) = body.packages.as_deref().and_then(packages::problem) {
            problems.add("packages", problem);
        }
        for (attribute, line) in [
            ("distribution", &body.distribution),
            ("distribution_version", &body.distribution_version),
            ("distribution_name", &body.distribution_name),
            ("init", &body.init),
            ("kernel", &body.kernel),
        ] {
            problems.line(attribute, line.as_deref());
        }
        if let Some(word) = body.architecture.as_deref()
            && !cpu::ARCHITECTURES.contains(&word)
        {
            problems.add("architecture", format!("must be one of {}", cpu::ARCHITECTURES.join(", ")));
        }
        if let Some(account) = body.account_id {
            let owner =
                problems.found("account_id", accounts::get(tx, self.scope, AccountId(account)).await)?;
            refuse_cancelled(&mut problems, owner.as_ref());
        }
        let (Some(name), Some(digest), Some(unpacked), Some(size)) = (name, digest, unpacked, self.blob_size)
        else {
            return Err(problems.into());
        };
        problems.none()?;
        if let Some(known) = self.already(tx, name.as_str(), digest).await? {
            return match &signature {
                Some((signature, manifest)) if known.signature != "trusted" => {
                    sign(tx, &known, signature, manifest).await
                }
                _ => Ok(known),
            };
        }
        let sizes = (Bytes(size), Bytes(unpacked));
        let signature = signature.map(|(signature, _)| signature);
        register(tx, &new_image(self.uuid, &body, name, digest, sizes, signature)).await
    }
}

/// Writes down a new image, and the event.
pub(super) async fn register(tx: &Tx, new: &images::NewImage) -> StoreResult<Image> {
    blobs::take_name(tx, new.digest).await?;
    let id = images::create(tx, new).await?;
    let image = images::get(tx, Scope::System, id).await?;
    let resource = (ResourceKind::Image, image.id, image.name.as_str());
    let text = format!("was registered, digest {}", image.digest);
    let event = NewEvent::info("image.create", resource, text).of(new.account);
    events::record(tx, event.change(None, serde_json::to_value(&image).ok())).await?;
    Ok(image)
}

/// An image that nobody vouched for, or nobody who is trusted any more, has a signature from now on.
async fn sign(
    tx: &Tx,
    known: &Image,
    signature: &images::Signature,
    manifest: &ImageManifest,
) -> StoreResult<Image> {
    let id = ImageId(known.id);
    if let Some(what) = image_signature::differs(tx, known, manifest).await? {
        let mut problems = Problems::default();
        problems.add(
            "manifest",
            format!("is not of the image {} that is here: the {what} that was signed is another", known.name),
        );
        return Err(problems.into());
    }
    images::sign(tx, id, signature).await?;
    let image = images::get(tx, Scope::System, id).await?;
    let resource = (ResourceKind::Image, image.id, image.name.as_str());
    let text = format!("was signed by {}", signature.signed_by);
    let event = NewEvent::info("image.sign", resource, text).of(image.account_id.map(AccountId));
    events::record(tx, event.change(serde_json::to_value(known).ok(), serde_json::to_value(&image).ok()))
        .await?;
    Ok(image)
}

/// Whose processors the programs of packages are made for.
fn architecture_of(packages: &[ImagePackage]) -> Option<String> {
    let known = packages.iter().find_map(|package| cpu::architecture_of_debian(&package.architecture));
    known.map(str::to_owned)
}

/// Of a body that was checked: what is written down. `sizes` are those of the blob and of the files in it.
pub(super) fn new_image(
    uuid: Uuid,
    body: &honcho_api::ImageCreate,
    name: Name,
    digest: Digest,
    (compressed, unpacked): (Bytes, Bytes),
    signature: Option<images::Signature>,
) -> images::NewImage {
    let packages = body.packages.clone().unwrap_or_default();
    images::NewImage {
        uuid,
        account: body.account_id.map(AccountId),
        name,
        digest,
        compressed,
        unpacked,
        recipe: body.recipe.clone(),
        architecture: body.architecture.clone().or_else(|| architecture_of(&packages)),
        packages,
        facts: images::ImageFacts {
            distribution_id: body.distribution.clone(),
            distribution_version: body.distribution_version.clone(),
            distribution_name: body.distribution_name.clone(),
            init: body.init.clone(),
            kernel: body.kernel.clone(),
            files_count: body.files_count,
        },
        signature,
    }
}

impl ImageCreate {
    /// The same name with the same digest is the same image: registering it again changes nothing but who vouches for it.
    async fn already(&self, tx: &Tx, name: &str, digest: Digest) -> StoreResult<Option<Image>> {
        let same = Filters::default().and("name", name).and("digest", digest);
        let known = images::list(tx, Scope::System, &same).await?;
        Ok(known.into_iter().find(|image| image.account_id == self.body.account_id))
    }
}

/// Hides an image from new guests.
pub(crate) struct ImageDelete {
    pub(crate) scope: Scope,
    pub(crate) id: ImageId,
}

impl Change for ImageDelete {
    type Out = Image;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Image> {
        let image = images::get(tx, self.scope, self.id).await?;
        if image.account_id.is_none() {
            operators_only(self.scope)?;
        }
        images::delete(tx, self.id).await?;
        let resource = (ResourceKind::Image, image.id, image.name.as_str());
        let event =
            NewEvent::info("image.delete", resource, "was deleted").of(image.account_id.map(AccountId));
        events::record(tx, event.change(serde_json::to_value(&image).ok(), None)).await?;
        Ok(image)
    }
}

//! Images: register, delete.

use super::problems::Problems;
use super::{operators_only, refuse_cancelled};
use honcho_api::Image;
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, Bytes, Digest, ImageId, cpu, text};
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, Filters, Scope, StoreResult, Tx, accounts, images};
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
        let name = problems.name(self.body.name.as_deref());
        let digest = problems.needed("digest", self.body.digest.as_deref());
        let digest = digest.and_then(|digest| problems.check("digest", digest.parse::<Digest>()));
        if let (Some(digest), None) = (digest, self.blob_size) {
            problems.add(
                "digest",
                format!("names no blob that is here: send it first with PUT /v1/blobs/{digest}"),
            );
        }
        let unpacked = problems.needed("unpacked_bytes", self.body.unpacked_bytes);
        let unpacked = unpacked.and_then(|bytes| problems.within("unpacked_bytes", bytes, 1..=1 << 44));
        if let Some(recipe) = &self.body.recipe {
            problems.check("recipe", text::lines(recipe));
        }
        for package in self.body.packages.iter().flatten() {
            let texts = [&package.name, &package.version, &package.architecture];
            if let Some(wrong) = texts.into_iter().find_map(|text| text::one_line(text).err()) {
                problems.add("packages", format!("hold a text that {wrong}"));
                break;
            }
        }
        if let Some(account) = self.body.account_id {
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
            return Ok(known);
        }
        let new = images::NewImage {
            uuid: self.uuid,
            account: self.body.account_id.map(AccountId),
            name,
            digest,
            compressed: Bytes(size),
            unpacked: Bytes(unpacked),
            packages: self.body.packages.clone().unwrap_or_default(),
            recipe: self.body.recipe.clone(),
            architecture: self
                .body
                .packages
                .iter()
                .flatten()
                .find_map(|package| cpu::architecture_of_debian(&package.architecture)),
        };
        let id = images::create(tx, &new).await?;
        let image = images::get(tx, Scope::System, id).await?;
        let resource = (ResourceKind::Image, image.id, image.name.as_str());
        let event = NewEvent::info("image.create", resource, format!("was registered, digest {digest}"))
            .of(new.account);
        events::record(tx, event.change(None, serde_json::to_value(&image).ok())).await?;
        Ok(image)
    }
}

impl ImageCreate {
    /// The same name with the same digest is the same image: registering it again changes nothing.
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
        operators_only(self.scope)?;
        let image = images::get(tx, self.scope, self.id).await?;
        images::delete(tx, self.id).await?;
        let resource = (ResourceKind::Image, image.id, image.name.as_str());
        let event =
            NewEvent::info("image.delete", resource, "was deleted").of(image.account_id.map(AccountId));
        events::record(tx, event.change(serde_json::to_value(&image).ok(), None)).await?;
        Ok(image)
    }
}

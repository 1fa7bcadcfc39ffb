//! Keys whose signatures of images are trusted: trust one, trust it no more.

use super::operators_only;
use super::problems::Problems;
use honcho_api::ImageKey;
use honcho_images::signing;
use honcho_model::event::ResourceKind;
use honcho_model::{ImageKeyId, Name};
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, Filters, Scope, StoreResult, Tx, image_keys};
use uuid::Uuid;

async fn record(tx: &Tx, kind: &str, key: &ImageKey, words: &str) -> StoreResult<()> {
    let resource = (ResourceKind::ImageKey, key.id, key.name.as_str());
    let text = format!("{words} (key {})", key.fingerprint);
    events::record(tx, NewEvent::info(kind, resource, text).change(None, serde_json::to_value(key).ok()))
        .await?;
    Ok(())
}

/// Trusts a key. One that is trusted already is that one.
pub(crate) struct ImageKeyCreate {
    pub(crate) scope: Scope,
    pub(crate) uuid: Uuid,
    pub(crate) body: honcho_api::ImageKeyCreate,
}

impl Change for ImageKeyCreate {
    type Out = ImageKey;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<ImageKey> {
        operators_only(self.scope)?;
        let mut problems = Problems::default();
        let name = problems.name(self.body.name.as_deref());
        let key = problems.needed("public_key", self.body.public_key.as_deref());
        let key = key.and_then(|text| problems.check("public_key", signing::read_public_key(text)));
        let (Some(name), Some((line, fingerprint))) = (name, key) else { return Err(problems.into()) };
        if let Some(known) = image_keys::trusted(tx, &fingerprint).await? {
            return Ok(known);
        }
        if self.body.again != Some(true) && image_keys::was_trusted(tx, &fingerprint).await? {
            let text = "was trusted once, and then not any more: `honcho image trust-key` trusts it again";
            problems.add("public_key", text);
        }
        if !image_keys::list(tx, &Filters::default().and("name", &name)).await?.is_empty() {
            problems.add("name", "is taken");
        }
        problems.none()?;
        trust(tx, self.uuid, &name, &line, &fingerprint).await
    }
}

async fn trust(tx: &Tx, uuid: Uuid, name: &Name, line: &str, fingerprint: &str) -> StoreResult<ImageKey> {
    let id = image_keys::create(tx, uuid, name, line, fingerprint).await?;
    let key = image_keys::get(tx, id).await?;
    record(tx, "image_key.create", &key, "is trusted to sign images").await?;
    Ok(key)
}

/// The brain's own key, which signs what was uploaded: trusted from the first time on, unless an operator has ended that.
pub(super) async fn trust_own(tx: &Tx, uuid: Uuid, public_key: &str) -> StoreResult<String> {
    let read = signing::read_public_key(public_key);
    let (line, fingerprint) =
        read.map_err(|error| honcho_store::Refusal::invalid("base", error.to_string()))?;
    let known = image_keys::trusted(tx, &fingerprint).await?.is_some();
    if !known && !image_keys::was_trusted(tx, &fingerprint).await? {
        let name = format!("brain-{}", &signing::recipe_digest(&line).to_string()[..8]);
        let name =
            Name::new(&name).map_err(|error| honcho_store::Refusal::invalid("base", error.to_string()))?;
        trust(tx, uuid, &name, &line, &fingerprint).await?;
    }
    Ok(fingerprint)
}

/// Trusts a key no more: its images stay, and say that nobody vouches for them.
pub(crate) struct ImageKeyDelete {
    pub(crate) scope: Scope,
    pub(crate) id: ImageKeyId,
}

impl Change for ImageKeyDelete {
    type Out = ImageKey;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<ImageKey> {
        operators_only(self.scope)?;
        let key = image_keys::get(tx, self.id).await?;
        image_keys::delete(tx, self.id).await?;
        record(tx, "image_key.delete", &key, "is trusted no more to sign images").await?;
        Ok(key)
    }
}

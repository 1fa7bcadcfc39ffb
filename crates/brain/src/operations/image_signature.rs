//! Whether what is said of an image is what somebody signed.

use super::problems::Problems;
use honcho_api::{Image, ImageCreate, ImagePackage, ImageSignature};
use honcho_images::Package;
use honcho_images::import::Distribution;
use honcho_images::signing::{self, FORMAT, ImageManifest, Signed};
use honcho_model::{Bytes, Digest, ImageId};
use honcho_store::images::Signature;
use honcho_store::{Connection, StoreResult, Tx, image_keys, images};

fn distribution(
    id: Option<&String>,
    version: Option<&String>,
    name: Option<&String>,
) -> Option<Distribution> {
    let said = |text: Option<&String>| text.cloned().unwrap_or_default();
    let is_said = [id, version, name].iter().any(Option::is_some);
    is_said.then(|| Distribution { id: said(id), version: said(version), name: said(name) })
}

fn packages(packages: Vec<ImagePackage>) -> Vec<Package> {
    let package =
        |ImagePackage { name, version, architecture }: ImagePackage| Package { name, version, architecture };
    packages.into_iter().map(package).collect()
}

/// Reads the manifest that comes with a body, if one does, checks its signature, and fills in what the body leaves to it. What
/// the body says besides must be the same.
pub(super) async fn take(
    tx: &Tx,
    body: &mut ImageCreate,
    blob_size: Option<u64>,
    problems: &mut Problems,
) -> StoreResult<Option<(Signature, ImageManifest)>> {
    let (manifest, signature) = match (body.manifest.take(), body.signature.take()) {
        (None, None) => return Ok(None),
        (Some(manifest), Some(signature)) => (manifest, signature),
        (Some(_), None) => {
            problems.needed::<()>("signature", None);
            return Ok(None);
        }
        (None, Some(_)) => {
            problems.needed::<()>("manifest", None);
            return Ok(None);
        }
    };
    let Some(signed_by) = problems.check("signature", signing::signer(&signature)) else { return Ok(None) };
    let Some(key) = image_keys::trusted(tx, &signed_by).await? else {
        let text = format!(
            "is by the key {signed_by}, which is not trusted here: `honcho image trust-key` trusts it"
        );
        problems.add("signature", text);
        return Ok(None);
    };
    let signed = Signed { manifest, signature };
    let read = signing::verify(&key.public_key, &signed);
    let Some(read) = problems.check("manifest", read) else { return Ok(None) };
    fill(body, &read);
    if let Some(what) = read.differs_from(&of_body(body, blob_size, read.signed_at)) {
        problems.add("manifest", format!("is not of this image: the {what} that was signed is another"));
    }
    Ok(Some((Signature { manifest: signed.manifest, signature: signed.signature, signed_by }, read)))
}

fn fill(body: &mut ImageCreate, manifest: &ImageManifest) {
    body.digest.get_or_insert_with(|| manifest.digest.to_string());
    if body.unpacked_bytes.is_none() {
        body.unpacked_bytes = i64::try_from(manifest.unpacked.0).ok();
    }
    body.packages.get_or_insert_with(|| super::packages::packages(manifest.packages.clone()));
    if let Some(Distribution { id, version, name }) = &manifest.distribution
        && body.distribution.is_none()
        && body.distribution_version.is_none()
        && body.distribution_name.is_none()
    {
        let said = |text: &String| (!text.is_empty()).then(|| text.clone());
        (body.distribution, body.distribution_version, body.distribution_name) =
            (said(id), said(version), said(name));
    }
}

fn of_body(body: &ImageCreate, blob_size: Option<u64>, signed_at: i64) -> ImageManifest {
    ImageManifest {
        format: FORMAT,
        name: body.name.clone().unwrap_or_default(),
        digest: body.digest.as_deref().and_then(|text| text.parse().ok()).unwrap_or(Digest([0; 32])),
        compressed: Bytes(blob_size.unwrap_or_default()),
        unpacked: Bytes(body.unpacked_bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default()),
        signed_at,
        distribution: distribution(
            body.distribution.as_ref(),
            body.distribution_version.as_ref(),
            body.distribution_name.as_ref(),
        ),
        recipe: body.recipe.as_deref().map(signing::recipe_digest),
        packages: packages(body.packages.clone().unwrap_or_default()),
    }
}

/// What is to be signed of an image.
pub fn manifest_of(body: &ImageCreate, compressed: Bytes, signed_at: i64) -> ImageManifest {
    of_body(body, Some(compressed.0), signed_at)
}

/// Who vouches for an image, whose existence in scope was checked.
pub(crate) async fn check(connection: &impl Connection, image: &Image) -> StoreResult<ImageSignature> {
    let id = ImageId(image.id);
    let mut told = ImageSignature {
        image_id: image.id,
        status: "none".to_owned(),
        problem: None,
        fingerprint: None,
        signed_by: None,
        public_key: None,
        manifest: None,
        signature: None,
    };
    let Some(kept) = images::signature(connection, id).await? else {
        told.problem = Some("nobody has signed it".to_owned());
        return Ok(told);
    };
    told.fingerprint = Some(kept.signed_by.clone());
    let key = image_keys::trusted(connection, &kept.signed_by).await?;
    let signed = Signed { manifest: kept.manifest, signature: kept.signature };
    (told.status, told.problem) = match &key {
        None => {
            let text = format!("the key that it is signed by ({}) is not trusted any more", kept.signed_by);
            ("untrusted".to_owned(), Some(text))
        }
        // A row whose key was exchanged vouches for nothing.
        Some(key)
            if signing::read_public_key(&key.public_key).ok().is_none_or(|(_, is)| is != kept.signed_by) =>
        {
            let text = format!("the key that is kept for {} is another", kept.signed_by);
            ("broken".to_owned(), Some(text))
        }
        Some(key) => match signing::verify(&key.public_key, &signed) {
            Err(error) => ("broken".to_owned(), Some(error.to_string())),
            Ok(manifest) => {
                let differs = differs(connection, image, &manifest).await?;
                let text = |what: &str| format!("its {what} is not the one that was signed");
                let status = if differs.is_some() { "broken" } else { "trusted" };
                (status.to_owned(), differs.map(text))
            }
        },
    };
    told.signed_by = key.as_ref().map(|key| key.name.clone());
    told.public_key = key.map(|key| key.public_key);
    (told.manifest, told.signature) = (Some(signed.manifest), Some(signed.signature));
    Ok(told)
}

/// What of an image that is here is another than a manifest says.
pub(super) async fn differs(
    connection: &impl Connection,
    image: &Image,
    manifest: &ImageManifest,
) -> StoreResult<Option<&'static str>> {
    let found = of_image(connection, image, manifest.signed_at).await?;
    Ok(manifest.differs_from(&found))
}

async fn of_image(connection: &impl Connection, image: &Image, signed_at: i64) -> StoreResult<ImageManifest> {
    let (id, all) = (ImageId(image.id), honcho_store::Filters::default());
    let recipe = images::recipe(connection, id).await?;
    let body = ImageCreate {
        name: Some(image.name.clone()),
        digest: Some(image.digest.clone()),
        unpacked_bytes: Some(image.unpacked_bytes),
        packages: Some(images::packages(connection, id, &all).await?),
        recipe,
        distribution: image.distribution.clone(),
        distribution_version: image.distribution_version.clone(),
        distribution_name: image.distribution_name.clone(),
        ..ImageCreate::default()
    };
    Ok(of_body(&body, u64::try_from(image.compressed_bytes).ok(), signed_at))
}

//! `honcho image verify`: is an image what somebody who is trusted has signed? Checked here, whatever the brain says of it.

use super::send::bytes;
use crate::command_error::{CommandError, Ending};
use crate::completion::images;
use crate::context::Context;
use crate::progress::{Progress, bytes_bar};
use crate::resolve;
use crate::table::{Cell, details};
use clap_complete::engine::ArgValueCandidates;
use futures::TryStreamExt as _;
use honcho_api::client::ClientError;
use honcho_api::{Image, ImageSignature};
use honcho_images::Package;
use honcho_images::signing::{self, ImageManifest, Signed};
use honcho_model::{Bytes, Digest};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Of a name, the tarball that the brain keeps is read to its end; only operators may, and others are told that it was not read. Of a file, that \
file is, its packages too. The brain is asked for manifest, signature and the keys that are trusted; the rest is done here. It \
ends with 0 only if all that was read is as it was signed. Without Honcho: `ssh-keygen -Y verify -n honcho-image`.

Examples:
  honcho image verify debian-12
  honcho image verify debian-12@4f2c0d9be1aa
  honcho image verify ./debian-12-4f2c0d9be1aa.tar.zst
  honcho image verify debian-12 --key SHA256:t1EbAcjWCEa87KINhKgPldTUFemzPzqciqCwlq54sis";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct VerifyArguments {
    /// Name or id, with the beginning of its digest if one likes (NAME@DIGEST), or a tarball
    #[arg(value_name = "IMAGE|FILE", add = ArgValueCandidates::new(images))]
    image: String,
    /// The fingerprint of the key that it has to be signed by, whatever others the brain trusts
    #[arg(long, value_name = "SHA256:…")]
    key: Option<String>,
}

#[derive(serde::Serialize)]
struct Verified<'v> {
    image_id: i64,
    name: &'v str,
    digest: &'v str,
    signed_by: &'v str,
    fingerprint: &'v str,
    signed_at: String,
    bytes_read: bool,
}

fn refused(text: impl Into<String>) -> CommandError {
    CommandError::new(Ending::Refused, text)
}

pub(crate) async fn run(context: &Context, arguments: &VerifyArguments) -> Result<(), CommandError> {
    let (image, found) = if is_path(&arguments.image) {
        let (image, found) = of_file(context, Path::new(&arguments.image)).await?;
        (image, Some(found))
    } else {
        (named(context, &arguments.image).await?, None)
    };
    let signature: ImageSignature =
        context.client()?.get_path(&format!("/v1/images/{}/signature.json", image.id), &[]).await?;
    let manifest = check(&image, &signature, arguments.key.as_deref())?;
    let bytes_read = match found {
        Some(found) => {
            compare("package list", manifest.packages == found.packages)?;
            // What is said of unpacked sizes is counted in another way where an image is made, and follows from the bytes.
            compare("size", manifest.compressed == found.compressed)?;
            true
        }
        None => read_blob(context, &image, &manifest).await?,
    };
    tell(context, &image, &signature, &manifest, bytes_read)
}

/// Whether a file is meant, and no image's name, which has neither.
pub(super) fn is_path(text: &str) -> bool {
    text.contains('/') || Path::new(text).extension().is_some()
}

pub(super) async fn named(context: &Context, text: &str) -> Result<Image, CommandError> {
    let (name, version) = text.split_once('@').map_or((text, None), |(name, version)| (name, Some(version)));
    let image: Image = resolve::one(context, name).await?;
    match version {
        Some(version) if !image.digest.starts_with(version) => {
            Err(refused(format!("{name} is {name}@{}, not {text}", &image.digest[..12])))
        }
        _ => Ok(image),
    }
}

/// What a tarball on this machine is, and the image that it is.
pub(super) async fn of_file(
    context: &Context,
    path: &Path,
) -> Result<(Image, honcho_images::Inspected), CommandError> {
    let mut progress = Progress::new(&context.output, "verify");
    progress.step("read the tarball", None);
    let owned: PathBuf = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        honcho_images::inspect(std::io::BufReader::with_capacity(1 << 20, std::fs::File::open(owned)?))
    });
    let inspected = reading
        .await
        .map_err(|error| CommandError::failed("reading the tarball broke off").cause(&error))?
        .map_err(|error| CommandError::failed(format!("cannot read {}", path.display())).cause(&error))?;
    progress.done();
    let digest = inspected.digest.to_string();
    let same = context.client()?.list::<Image>(&[("digest", digest.clone())]).await?;
    let image = same.into_iter().max_by_key(|image| image.signature == "trusted");
    let image = image.ok_or_else(|| {
        refused(format!("{} is no image of the brain's: its digest is {digest}", path.display()))
            .hint("it was changed, or was never registered, or its image was deleted: honcho image list")
    })?;
    Ok((image, inspected))
}

/// The manifest, if it is signed by who is trusted, and says of this image what the brain says.
pub(super) fn check(
    image: &Image,
    told: &ImageSignature,
    wanted: Option<&str>,
) -> Result<ImageManifest, CommandError> {
    let name = &image.name;
    if told.status != "trusted" {
        let why = told.problem.clone().unwrap_or_else(|| told.status.clone());
        return Err(refused(format!("image {name} is not verified: {why}")));
    }
    let (Some(key), Some(manifest), Some(signature)) = (&told.public_key, &told.manifest, &told.signature)
    else {
        return Err(refused(format!(
            "image {name} is not verified: the brain gives no key, manifest or signature"
        )));
    };
    // The name and the fingerprint that the brain tells stand beside the key in its database, and may have stayed when that was exchanged.
    let (_, fingerprint) = signing::read_public_key(key)
        .map_err(|error| refused(format!("image {name} is not verified: its key")).cause(&error))?;
    compare("key", told.fingerprint.as_ref() == Some(&fingerprint))?;
    if wanted.is_some_and(|wanted| wanted != fingerprint) {
        return Err(refused(format!("image {name} is not verified: it is signed by {fingerprint}")));
    }
    let signed = Signed { manifest: manifest.clone(), signature: signature.clone() };
    let manifest = signing::verify(key, &signed)
        .map_err(|error| refused(format!("image {name} is not verified")).cause(&error))?;
    compare("name", manifest.name == image.name)?;
    compare("digest", manifest.digest.to_string() == image.digest)?;
    Ok(manifest)
}

fn compare(what: &str, same: bool) -> Result<(), CommandError> {
    if same {
        Ok(())
    } else {
        Err(refused(format!("it is not verified: its {what} is not the one that was signed")))
    }
}

/// Reads the tarball that the brain keeps. Gives whether it may be read.
async fn read_blob(context: &Context, image: &Image, manifest: &ImageManifest) -> Result<bool, CommandError> {
    let mut chunks = match context.client()?.blob(&image.digest).await {
        Ok(chunks) => chunks,
        Err(ClientError::Refused(error)) if error.status == 403 => {
            context.output.note("its bytes were not read: operators alone may");
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    };
    let bar = bytes_bar(&format!("read {}", image.name), manifest.compressed.0);
    let (mut hash, mut read) = (Sha256::new(), 0);
    while let Some(chunk) = chunks.try_next().await? {
        hash.update(&chunk);
        read += chunk.len() as u64;
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    let found = Digest(hash.finalize().into());
    if found != manifest.digest || Bytes(read) != manifest.compressed {
        return Err(refused(format!(
            "image {} is not verified: what the brain keeps has the digest {found}, and {} was signed",
            image.name, manifest.digest
        ))
        .hint("the blob is damaged: PUT /v1/blobs/DIGEST with the same tarball mends it"));
    }
    Ok(true)
}

fn tell(
    context: &Context,
    image: &Image,
    signature: &ImageSignature,
    manifest: &ImageManifest,
    bytes_read: bool,
) -> Result<(), CommandError> {
    let output = &context.output;
    let signed_at = jiff::Timestamp::from_second(manifest.signed_at).unwrap_or_default();
    let (signed_by, fingerprint) = (
        signature.signed_by.as_deref().unwrap_or_default(),
        signature.fingerprint.as_deref().unwrap_or_default(),
    );
    if output.json {
        return output.json(&Verified {
            image_id: image.id,
            name: &image.name,
            digest: &image.digest,
            signed_by,
            fingerprint,
            signed_at: signed_at.to_string(),
            bytes_read,
        });
    }
    let packages = |packages: &[Package]| packages.len().to_string();
    let read = if bytes_read {
        format!("{}, all of it read", bytes(manifest.compressed))
    } else {
        "not read".to_owned()
    };
    let rows = vec![
        ("digest", Cell::text(&image.digest)),
        ("signed by", Cell::text(format!("{signed_by} ({fingerprint})"))),
        ("signed", Cell::text(crate::age::age(signed_at, output.now()))),
        ("tarball", Cell::text(read)),
        ("packages", Cell::text(packages(&manifest.packages))),
    ];
    let heading = if bytes_read { "is verified" } else { "is signed as it says; its bytes were not read" };
    output.print(&details(output, &format!("image {} {heading}", image.name), rows))
}

//! Images that are needed here: the one that another is built upon, as its recipe names it, a file or one that the brain has.

use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use crate::progress::bytes_bar;
use futures::TryStreamExt as _;
use honcho_api::Image;
use honcho_images::Recipe;
use honcho_images::partial::Partial;
use honcho_images::recipe::{Base, ImageBase};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// A tarball on this machine; one that came from the brain is deleted when dropped.
pub(super) enum Fetched {
    There(PathBuf),
    Came(Partial),
}

impl Fetched {
    pub(super) fn path(&self) -> &Path {
        match self {
            Fetched::There(path) => path,
            Fetched::Came(partial) => partial.path(),
        }
    }
}

/// The tarball that a recipe builds upon, if it builds upon one.
pub(super) async fn fetch(
    context: &Context,
    recipe: &Recipe,
    directory: &Path,
) -> Result<Option<Fetched>, CommandError> {
    let (name, version) = match &recipe.base {
        Base::Archive(_) => return Ok(None),
        Base::Image(ImageBase::File(path)) => return Ok(Some(Fetched::There(path.clone()))),
        Base::Image(ImageBase::Named { name, version }) => (name, version),
    };
    let client = context.client()?;
    let image = client.list::<Image>(&[("name", name.to_string())]).await?.into_iter().next();
    let image = image.ok_or_else(|| {
        CommandError::new(Ending::Refused, format!("the recipe builds upon image {name}, and there is none"))
            .hint(format!("build it first: honcho image build recipes/{name}.toml"))
    })?;
    if let Some(version) = version
        && !image.digest.starts_with(version.as_str())
    {
        let text =
            format!("the recipe builds upon {name}@{version}, and {name} is {name}@{}", &image.digest[..12]);
        return Err(
            CommandError::new(Ending::Refused, text).hint("correct `from`, or register that image again")
        );
    }
    let failed = |error: std::io::Error| {
        CommandError::failed(format!("cannot keep image {name} in {}", directory.display())).cause(&error)
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    let partial = Partial::create(directory, &format!("base-{name}")).map_err(failed)?;
    download(context, &image, partial.file()).await?;
    Ok(Some(Fetched::Came(partial)))
}

/// An image's tarball as the brain keeps it, whose digest is what it should be.
pub(super) async fn download(
    context: &Context,
    image: &Image,
    mut to: impl std::io::Write,
) -> Result<(), CommandError> {
    let name = &image.name;
    let bar = bytes_bar(&format!("fetch {name}"), u64::try_from(image.compressed_bytes).unwrap_or_default());
    let (mut hash, mut chunks) = (Sha256::new(), context.client()?.blob(&image.digest).await?);
    while let Some(chunk) = chunks.try_next().await? {
        hash.update(&chunk);
        bar.inc(chunk.len() as u64);
        to.write_all(&chunk).map_err(|error| {
            CommandError::failed(format!("cannot write what comes of image {name}")).cause(&error)
        })?;
    }
    bar.finish_and_clear();
    if honcho_model::Digest(hash.finalize().into()).to_string() != image.digest {
        return Err(CommandError::failed(format!("image {name} came damaged"))
            .hint("try again; if it stays so, the blob is damaged: build or register the image anew"));
    }
    Ok(())
}

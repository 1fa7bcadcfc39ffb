//! The Debian image that real guests are made from: built by `honcho image build` once, and kept beside the build.

use crate::brain::Brain;
use crate::lab::target_directory;
use crate::programs::program;
use anyhow::{Context as _, Result, ensure};
use honcho_api::client::Client;
use honcho_api::{Blob, Image, ImageCreate};
use sha2::Digest as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The recipe, as users have it.
const RECIPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../recipes/debian-12.toml");

/// What is done in every image, whatever its recipe says.
const STAGING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/images/src/staging.rs");

/// An image that was built, outside of any brain.
pub struct Built {
    /// The tarball.
    pub tarball: PathBuf,
    /// What the brain that it was first sent to said of it.
    pub image: Image,
}

/// The Debian image. The first caller builds it, which takes a minute or two; once what it is made by changed, it is built anew.
pub async fn debian() -> Result<Built> {
    let made_by = [std::fs::read(RECIPE)?, std::fs::read(STAGING)?].concat();
    let images = target_directory()?.join("e2e-image");
    let directory = images.join(&hex::encode(sha2::Sha256::digest(made_by))[..16]);
    std::fs::create_dir_all(&images)?;
    let lock = std::fs::File::create(images.join("lock"))?;
    lock.lock()?;
    if !directory.exists() {
        // Built under another name: what a killed run left is no image.
        let partial = images.join("partial");
        if partial.exists() {
            std::fs::remove_dir_all(&partial)?;
        }
        std::fs::create_dir(&partial)?;
        build(&partial).await?;
        std::fs::rename(&partial, &directory)?;
    }
    let image = serde_json::from_slice(&std::fs::read(directory.join("image.json"))?)?;
    let tarball = std::fs::read_dir(&directory)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "zst"))
        .context("no tarball was kept: honcho image build --keep")?;
    Ok(Built { tarball, image })
}

/// As an operator would, on a brain of its own.
async fn build(directory: &Path) -> Result<()> {
    let brain_directory = tempfile::tempdir()?;
    let brain = Brain::start(brain_directory.path()).await?;
    let output = Command::new(program("honcho")?)
        .args(["--url", &brain.url(), "--token-file"])
        .arg(brain.data().join("operator.token"))
        .args(["--json", "image", "build", RECIPE, "--keep", "--directory"])
        .arg(directory)
        .stdin(Stdio::null())
        .output()?;
    ensure!(output.status.success(), "honcho image build: {}", String::from_utf8_lossy(&output.stderr));
    Ok(std::fs::write(directory.join("image.json"), output.stdout)?)
}

impl Built {
    /// Sends it to a brain and registers it there.
    pub async fn send(&self, client: &Client) -> Result<Image> {
        let digest = &self.image.digest;
        let body = std::fs::read(&self.tarball)?;
        let request = client.request(reqwest::Method::PUT, &format!("/v1/blobs/{digest}")).body(body);
        let blob: Blob = client.send(request).await?.json().await?;
        ensure!(&blob.digest == digest, "the brain named the blob {}", blob.digest);
        let image = ImageCreate {
            name: Some(self.image.name.clone()),
            digest: Some(digest.clone()),
            unpacked_bytes: Some(self.image.unpacked_bytes),
            ..ImageCreate::default()
        };
        Ok(client.create(&image).await?)
    }
}

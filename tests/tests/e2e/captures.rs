//! Captures that are refused, and one that cannot be: what a person is told. Simulated hosts, whose disks hold no files.

use anyhow::{Result, ensure};
use honcho_api::{Guest, ImageUpload};
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::Brain;
use honcho_e2e::world::{World, eventually};
use honcho_model::guest::GuestStatus;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_captured_is_told_with_what_to_do() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let h1 = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(h1.host_id).await?;
    let guest = world.running("web1").await?;
    let refused = |words: &[&str], why: &str| -> Result<()> {
        let (well, said) = brain.honcho(&[&["guest", "capture", "web1"], words].concat())?;
        ensure!(!well && said.contains(why), "{words:?}: {said}");
        Ok(())
    };
    refused(&["--image", "own"], "stop it first (honcho guest stop web1 --wait)")?;
    refused(&["--image", "own", "--dry-run"], "stop it first")?;
    refused(&["--image", "own@0123"], "an image's digest, which is known once it is made")?;
    let (well, said) = brain.honcho(&["guest", "stop", "web1", "--wait"])?;
    ensure!(well, "{said}");
    refused(&["--image", "tiny"], "name is taken by everybody's image tiny")?;
    let (well, said) = brain.honcho(&["guest", "capture", "web1", "--image", "own", "--dry-run"])?;
    ensure!(well && said.contains("can become image own. Nothing was done."), "{said}");
    let uploads: Vec<ImageUpload> = world.client.list(&[]).await?;
    ensure!(uploads.is_empty(), "{uploads:?}");

    refused(&["--image", "own", "--wait"], "own became no image: its volume")?;
    let uploads: Vec<ImageUpload> = world.client.list(&[("guest_id", guest.id.to_string())]).await?;
    let [upload] = uploads.as_slice() else { anyhow::bail!("{uploads:?}") };
    ensure!(upload.status == "refused" && upload.account_id == Some(world.account.id), "{upload:?}");
    // Nothing is held up by it.
    let (well, said) = brain.honcho(&["guest", "start", "web1", "--wait"])?;
    ensure!(well, "{said}");
    eventually("it runs", Duration::from_secs(20), async || {
        let now: Guest = world.guest(guest.id).await?;
        ensure!(now.status == GuestStatus::Running, "{now:?}");
        Ok(())
    })
    .await
}

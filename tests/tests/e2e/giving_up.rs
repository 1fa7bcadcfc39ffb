//! An order that cannot be met: why is said, somebody gives up on it, nothing more is tried, and it is asked for again.

use anyhow::{Context as _, Result, ensure};
use honcho_api::Guest;
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::Brain;
use honcho_e2e::world::{World, eventually};
use honcho_model::guest::GuestStatus;
use honcho_model::operation::OperationState;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_fails_is_given_up_and_asked_for_again() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;
    agent.settings(&serde_json::json!({"fail": {"fetch_image": "No space left on device"}}))?;
    let guest: Guest = world.client.create(&world.order("web1")).await?;
    let operation = guest.operation_id.context("an operation")?;
    let id = operation.to_string();
    eventually(
        "the command line says why, and what is tried next and when",
        Duration::from_secs(30),
        async || {
            let (_, said) = brain.honcho(&["operation", "show", &id])?;
            let why = said.contains("No space left on device") && said.contains("it is tried again");
            ensure!(why, "{said}");
            Ok(())
        },
    )
    .await?;

    // Nobody can be asked here, and what would happen is said.
    let (well, said) = brain.honcho(&["operation", "abandon", &id])?;
    ensure!(!well && said.contains("nothing more is tried") && said.contains("--yes"), "{said}");
    let (well, said) = brain.honcho(&["operation", "abandon", &id, "--dry-run"])?;
    ensure!(well && world.client.operation(operation).await?.state == OperationState::Open, "{said}");
    let (well, said) = brain.honcho(&["operation", "abandon", &id, "--yes"])?;
    ensure!(well && said.contains("abandoned") && said.contains("start"), "{said}");

    // There is room again, and nothing is made.
    agent.settings(&serde_json::json!({}))?;
    eventually("it rests", Duration::from_secs(30), async || {
        let guest = world.guest(guest.id).await?;
        ensure!(guest.status == GuestStatus::GivenUp, "{guest:?}");
        ensure!(guest.status_reason.as_deref().is_some_and(|why| why.contains("was given up")), "{guest:?}");
        ensure!(guest.observed_generation == Some(guest.generation), "{guest:?}");
        Ok(())
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    ensure!(agent.volumes()?.is_empty() && agent.domains().is_empty(), "{:?}", agent.volumes());
    let rested = world.guest(guest.id).await?;
    ensure!(rested.address == guest.address && rested.address.is_some(), "its address is its own");

    let (well, said) = brain.honcho(&["guest", "start", "web1", "--wait"])?;
    ensure!(well, "{said}");
    let started = world.guest(guest.id).await?;
    ensure!(started.status == GuestStatus::Running && started.status_reason.is_none(), "{started:?}");
    ensure!(agent.volumes()?.len() == 1, "{:?}", agent.volumes());
    Ok(())
}

//! Steps that fail: said on the operation, cleaned up, tried again where that can help. One stuck guest holds up no
//! other. Here on simulated drivers; the real ones' own failures are tested beside them.

use anyhow::{Context as _, Result};
use honcho_api::Guest;
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::Brain;
use honcho_e2e::world::{World, eventually};
use honcho_model::guest::GuestStatus;
use honcho_model::operation::OperationState;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_step_is_said_on_the_operation_and_mended_by_itself() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;
    agent.settings(&serde_json::json!({"fail": {"build_volume": "No space left on device"}}))?;

    let guest: Guest = world.client.create(&world.order("web1")).await?;
    let operation = guest.operation_id.context("an operation")?;
    eventually("the operation says what failed", Duration::from_secs(30), async || {
        let operation = world.client.operation(operation).await?;
        let problem = operation.problem.context("no problem yet")?;
        anyhow::ensure!(
            problem.contains("No space left on device") && problem.contains("tried again"),
            "{problem}"
        );
        let guest = world.guest(guest.id).await?;
        anyhow::ensure!(guest.status == GuestStatus::Failing, "{guest:?}");
        Ok(())
    })
    .await?;
    agent.settings(&serde_json::json!({}))?;
    assert_eq!(world.ended(operation).await?.state, OperationState::Done);
    assert_eq!(world.guest(guest.id).await?.status, GuestStatus::Running);
    assert!(!world.events("guest.step_failed").await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_is_refused_with_the_reason() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let refusal = world.client.create::<Guest>(&world.order("web1")).await.unwrap_err().to_string();
    assert!(refusal.contains("there is no host"), "{refusal}");
    let agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;
    let order = honcho_api::GuestCreate { memory_bytes: Some(1 << 42), ..world.order("web1") };
    let refusal = world.client.create::<Guest>(&order).await.unwrap_err().to_string();
    assert!(refusal.contains("memory free") && refusal.contains("h1"), "{refusal}");
    world.running("web1").await?;
    let refusal = world.client.create::<Guest>(&world.order("web1")).await.unwrap_err().to_string();
    assert_eq!(refusal, "name is taken");
    Ok(())
}

//! A guest from order to grave, on a simulated host.

use anyhow::Result;
use honcho_api::{Address, Guest, Operation};
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::Brain;
use honcho_e2e::world::{World, eventually};
use honcho_model::guest::GuestStatus;
use honcho_model::operation::OperationState;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_ordered_stopped_resized_rebooted_cancelled_restored_and_deleted() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;

    let guest = world.running("web1").await?;
    assert_eq!(guest.status, GuestStatus::Running);
    assert_eq!(guest.address.as_deref(), Some("10.77.0.2"));
    assert_eq!(agent.domains(), [format!("honcho-g{}", guest.id)]);
    assert!(guest.ssh_host_key.is_some(), "the public host key is known");

    let act = async |action: &str, query: &[(&str, String)]| -> Result<Operation> {
        let operation: Operation = world.client.action::<Guest, _>(guest.id, action, query).await?;
        world.ended(operation.id).await
    };
    let refused = act("resize", &[("memory_bytes", (128 << 20).to_string())]).await.unwrap_err();
    assert!(refused.to_string().contains("stop it first"), "{refused}");

    assert_eq!(act("stop", &[]).await?.state, OperationState::Done);
    assert_eq!(world.guest(guest.id).await?.status, GuestStatus::Stopped);
    assert!(agent.domains().is_empty());
    let refused = act("reboot", &[]).await.unwrap_err();
    assert!(refused.to_string().contains("nothing to reboot"), "{refused}");

    let size = [("memory_bytes", (128 << 20).to_string()), ("disk_bytes", (256 << 20).to_string())];
    assert_eq!(act("resize", &size).await?.state, OperationState::Done);
    assert_eq!(act("start", &[]).await?.state, OperationState::Done);
    assert_eq!(act("reboot", &[]).await?.state, OperationState::Done);
    let after = world.guest(guest.id).await?;
    assert_eq!(
        (after.status, after.memory_bytes, after.disk_bytes),
        (GuestStatus::Running, 128 << 20, 256 << 20)
    );
    let starts = agent.starts()?;
    assert_eq!(starts.len(), 3, "create, start, reboot: {starts:?}");
    assert!(starts.values().all(|count| *count == 1), "{starts:?}");

    let operation: Operation = world.client.delete::<Guest, _>(guest.id, &[]).await?;
    assert_eq!(world.ended(operation.id).await?.state, OperationState::Done);
    assert_eq!(world.guest(guest.id).await?.status, GuestStatus::Cancelled);
    assert!(agent.domains().is_empty());
    assert_eq!(agent.volumes()?.len(), 1, "its disk is kept");
    assert_eq!(act("restore", &[]).await?.state, OperationState::Done);
    assert_eq!(world.guest(guest.id).await?.status, GuestStatus::Running);

    let operation: Operation = world.client.delete::<Guest, _>(guest.id, &[("now", "true".into())]).await?;
    assert_eq!(world.ended(operation.id).await?.state, OperationState::Done);
    assert_eq!(world.guest(guest.id).await?.status, GuestStatus::Deleted);
    assert!(agent.volumes()?.is_empty());
    let held: Vec<Address> =
        world.client.get_path("/v1/addresses", &[("guest_id", guest.id.to_string())]).await?;
    assert!(held.is_empty(), "{held:?}");
    let next = world.running("web1").await?;
    assert_eq!(
        next.address.as_deref(),
        Some("10.77.0.3"),
        "the name is free again, the freed address comes last"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_powers_itself_off_comes_back_after_a_pause_that_grows() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;
    let guest = world.running("web1").await?;
    let domain = agent.simulated().join(format!("domains/honcho-g{}.json", guest.id));

    let mut pauses = Vec::new();
    for times in 1..=3 {
        std::fs::remove_file(&domain)?;
        let begun = std::time::Instant::now();
        eventually("the guest is started again", Duration::from_secs(30), async || {
            anyhow::ensure!(domain.exists(), "no domain");
            let guest = world.guest(guest.id).await?;
            anyhow::ensure!(
                guest.status == GuestStatus::Running && guest.unexpected_stops == times,
                "{guest:?}"
            );
            Ok(())
        })
        .await?;
        pauses.push(begun.elapsed());
    }
    assert!(pauses[2] > pauses[0] * 2, "the pause grows: {pauses:?}");
    assert_eq!(world.events("guest.stopped_by_itself").await?.len(), 3);

    let operation: Operation = world.client.action::<Guest, _>(guest.id, "stop", &[]).await?;
    world.ended(operation.id).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!domain.exists(), "a guest stopped through Honcho stays stopped");
    Ok(())
}

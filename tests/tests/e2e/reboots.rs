//! A host that boots while the brain cannot be reached starts nothing, save what may start alone. A silent host's
//! guests keep their addresses. A pool that is not mounted is never filled anew.

use anyhow::{Context as _, Result};
use honcho_api::{Address, Guest, Operation};
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::Brain;
use honcho_e2e::world::{World, eventually};
use honcho_model::guest::GuestStatus;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_boot_nothing_starts_before_the_brain_has_answered_save_start_alone() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let mut agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;
    let plain = world.running("web1").await?;
    let order = honcho_api::GuestCreate { start_alone: Some(true), ..world.order("dns1") };
    let alone: Guest = world.client.create(&order).await?;
    world.ended(alone.operation_id.context("an operation")?).await?;

    brain.kill();
    agent.reboot()?;
    eventually("the guest that may start alone runs", Duration::from_secs(30), async || {
        anyhow::ensure!(agent.domains() == [format!("honcho-g{}", alone.id)], "{:?}", agent.domains());
        Ok(())
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(agent.domains(), [format!("honcho-g{}", alone.id)], "nothing else has started");

    brain.resume().await?;
    eventually("the brain has heard of the boot", Duration::from_secs(30), async || {
        anyhow::ensure!(world.events("host.booted").await?.len() == 1, "no event");
        Ok(())
    })
    .await?;
    eventually("both run", Duration::from_mins(1), async || {
        for id in [plain.id, alone.id] {
            let guest = world.guest(id).await?;
            anyhow::ensure!(guest.status == GuestStatus::Running, "{guest:?}");
        }
        Ok(())
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_deleted_while_its_host_is_silent_keeps_its_address_until_the_agent_has_spoken() -> Result<()>
{
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let mut agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;
    let guest = world.running("web1").await?;

    agent.kill();
    let operation: Operation = world.client.delete::<Guest, _>(guest.id, &[("now", "true".into())]).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(world.client.operation(operation.id).await?.ended_at.is_none(), "silence is never proof");
    let mine = [("guest_id", guest.id.to_string())];
    let held: Vec<Address> = world.client.get_path("/v1/addresses", &mine).await?;
    assert_eq!(held.len(), 1, "it keeps its address");
    assert_eq!(world.guest(guest.id).await?.status, GuestStatus::Deleting);

    agent.start()?;
    world.ended(operation.id).await?;
    let held: Vec<Address> = world.client.get_path("/v1/addresses", &mine).await?;
    assert!(held.is_empty(), "{held:?}");
    assert!(agent.domains().is_empty() && agent.volumes()?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_not_mounted_is_an_alarm_and_nothing_is_made_in_it() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let mut agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;
    let guest = world.running("web1").await?;
    let stopped: Operation = world.client.action::<Guest, _>(guest.id, "stop", &[]).await?;
    world.ended(stopped.id).await?;

    agent.kill();
    let pools = agent.simulated().join("pools");
    let pool = std::fs::read_dir(&pools)?.next().context("a pool")??.path();
    let elsewhere = directory.path().join("unmounted");
    std::fs::rename(&pool, &elsewhere)?;
    agent.start()?;
    let started: Operation = world.client.action::<Guest, _>(guest.id, "start", &[]).await?;
    eventually("guest and pool say why", Duration::from_secs(30), async || {
        let guest = world.guest(guest.id).await?;
        anyhow::ensure!(guest.status == GuestStatus::Damaged && guest.status_reason.is_some(), "{guest:?}");
        let pools: Vec<honcho_api::Pool> = world.client.list(&[]).await?;
        anyhow::ensure!(pools[0].status == "wrong" && pools[0].status_reason.is_some(), "{pools:?}");
        Ok(())
    })
    .await?;
    assert_eq!(world.events("pool.wrong").await?.len(), 1);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(agent.domains().is_empty() && agent.volumes()?.is_empty(), "nothing is created");
    assert!(world.client.operation(started.id).await?.ended_at.is_none());

    if pool.exists() {
        std::fs::remove_dir_all(&pool)?;
    }
    std::fs::rename(&elsewhere, &pool)?;
    world.ended(started.id).await?;
    assert_eq!(world.guest(guest.id).await?.status, GuestStatus::Running, "mounting it again mends it");
    Ok(())
}

//! A backup, taken while the brain runs and before ten creates, ten deletes and a reboot, restored under a live agent.
//! Real processes, sockets and SQLite file; a simulated host, which counts every start.

use anyhow::{Context as _, Result, ensure};
use honcho_api::client::ClientError;
use honcho_api::{Event, Guest, Host, Operation, Restore};
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::Brain;
use honcho_e2e::programs::program;
use honcho_e2e::world::{World, eventually};
use honcho_model::guest::{GuestStatus, Power};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SOME: Duration = Duration::from_mins(1);

/// Runs `honcho` and gives what it printed.
fn honcho(brain: &Brain, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program("honcho")?);
    command
        .args(arguments)
        .env("HONCHO_URL", brain.url())
        .env("HONCHO_TOKEN_FILE", brain.data().join("operator.token"));
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "honcho {arguments:?}: {said}");
    Ok(String::from_utf8(output.stdout)?)
}

/// What a host really has: domains, volumes, and how often each was started.
#[derive(Debug, PartialEq)]
struct Machine {
    domains: Vec<String>,
    volumes: Vec<String>,
    starts: BTreeMap<(u64, u64, u64), u32>,
}

fn machine(agent: &SimulatedAgent) -> Result<Machine> {
    let mut volumes = agent.volumes()?;
    volumes.sort();
    Ok(Machine { domains: agent.domains(), volumes, starts: agent.starts()? })
}

async fn order_all(world: &World, names: impl Iterator<Item = String>) -> Result<Vec<Guest>> {
    futures::future::try_join_all(names.map(|name| async move { world.running(&name).await })).await
}

async fn reported(world: &World) -> Result<Restore> {
    eventually("the agent has reported in full", SOME, async || {
        let restore: Restore = world.client.get_path("/v1/restore", &[]).await?;
        ensure!(restore.hosts.iter().all(|host| host.state == "reported"), "{restore:?}");
        Ok(restore)
    })
    .await
}

/// What was done after the backup: ten creates, ten deletes, a reboot, a stop and a new size.
async fn go_on(world: &World, doomed: &[Guest], kept: &[Guest]) -> Result<Vec<Guest>> {
    let new = order_all(world, (0..10).map(|n| format!("new{n}"))).await?;
    let mut operations = Vec::new();
    for guest in doomed {
        let now = [("now", "true".to_owned())];
        operations.push(world.client.delete::<Guest, Operation>(guest.id, &now).await?.id);
    }
    operations.push(world.client.action::<Guest, Operation>(kept[0].id, "reboot", &[]).await?.id);
    operations.push(world.client.action::<Guest, Operation>(kept[1].id, "stop", &[]).await?.id);
    let size = [("memory_bytes", (128_u64 << 20).to_string()), ("restart", "true".to_owned())];
    operations.push(world.client.action::<Guest, Operation>(kept[2].id, "resize", &size).await?.id);
    for id in operations {
        world.ended(id).await?;
    }
    Ok(new)
}

fn restore_into_an_empty_directory(brain: &Brain, directory: &Path, file: &str) -> Result<()> {
    std::fs::rename(brain.data(), directory.join("lost"))?;
    let data = brain.data();
    let data = data.to_str().context("a path is text")?;
    honcho_restore(&["restore", file, "--data", data])?;
    // Blobs were not asked for; the old ones are still there.
    std::fs::remove_dir_all(brain.data().join("blobs"))?;
    std::fs::rename(directory.join("lost/blobs"), brain.data().join("blobs"))?;
    Ok(())
}

fn honcho_restore(arguments: &[&str]) -> Result<()> {
    let output = Command::new(program("honcho")?).args(arguments).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_from_before_is_restored_under_a_live_agent() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let mut agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    agent.settings(&serde_json::json!({"step_ms": 10, "stop_ms": 20, "deaf_ms": 10}))?;
    world.pool_ready(agent.host_id).await?;
    let kept = order_all(&world, (0..3).map(|n| format!("kept{n}"))).await?;
    let doomed = order_all(&world, (0..10).map(|n| format!("doomed{n}"))).await?;

    let file = directory.path().join("backup.tar.zst");
    let (file, data) = (file.to_str().context("text")?.to_owned(), brain.data());
    honcho(&brain, &["backup", &file, "--data", data.to_str().context("text")?])?;
    let log: Vec<Event> = world.client.get_path("/v1/events", &[("limit", "1".into())]).await?;
    let new = go_on(&world, &doomed, &kept).await?;
    let before = machine(&agent)?;
    ensure!(before.domains.len() == 12 && before.volumes.len() == 13, "{before:?}");

    brain.kill();
    restore_into_an_empty_directory(&brain, directory.path(), &file)?;
    brain.resume().await?;
    let restore = reported(&world).await?;
    ensure!(restore.state == "unaccepted", "{restore:?}");
    let count = |kind: &str| restore.hosts[0].differences.iter().filter(|it| it.kind == kind).count();
    let counts = (count("ordered"), count("deleted"), count("changed"));
    ensure!(counts == (10, 10, 3) && restore.hosts[0].differences.len() == 23, "{restore:#?}");
    let status = honcho(&brain, &["restore", "status"])?;
    ensure!(status.contains("new3") && status.contains("which is not repeated"), "{status}");

    nothing_is_changed_until_then(&world, &mut agent, &before).await?;
    let gone = world.client.get_path::<Vec<Event>>("/v1/events", &[("after", log[0].cursor.clone())]).await;
    ensure!(matches!(&gone, Err(ClientError::Refused(body)) if body.status == 410), "{gone:?}");

    honcho(&brain, &["restore", "accept", "--forget-missing", "--yes"])?;
    everything_is_there(&world, &agent, &kept, &doomed, &new).await?;
    ensure!(machine(&agent)? == before, "{:?}\n{before:?}", machine(&agent)?);
    goes_on_as_ever(&world, &agent, &kept, &new).await
}

async fn nothing_is_changed_until_then(
    world: &World,
    agent: &mut SimulatedAgent,
    before: &Machine,
) -> Result<()> {
    for attempt in 0..2 {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let after = machine(agent)?;
        ensure!(after == *before, "attempt {attempt}: {after:?}\n{before:?}");
        let order = world.client.create::<Guest>(&world.order("impatient")).await;
        ensure!(matches!(&order, Err(ClientError::Refused(body)) if body.code == "unaccepted"), "{order:?}");
        // Nor when the agent begins anew.
        agent.kill();
        agent.start()?;
        reported(world).await?;
    }
    let guests: Vec<Guest> = world.client.list(&[]).await?;
    ensure!(guests.iter().all(|guest| guest.status == GuestStatus::Frozen), "{guests:?}");
    Ok(())
}

async fn everything_is_there(
    world: &World,
    agent: &SimulatedAgent,
    kept: &[Guest],
    doomed: &[Guest],
    new: &[Guest],
) -> Result<()> {
    let guests = eventually("every guest is as it was", SOME, async || {
        let guests: Vec<Guest> = world.client.list(&[]).await?;
        let running = guests.iter().filter(|guest| guest.status == GuestStatus::Running).count();
        let stopped = guests.iter().filter(|guest| guest.status == GuestStatus::Stopped).count();
        ensure!((running, stopped, guests.len()) == (12, 1, 13), "{guests:#?}");
        Ok(guests)
    })
    .await?;
    for was in new {
        let is = guests.iter().find(|guest| guest.id == was.id).context("a new guest is lost")?;
        ensure!((&is.name, is.uuid, &is.address) == (&was.name, was.uuid, &was.address), "{is:?}\n{was:?}");
    }
    let is = |index: usize| guests.iter().find(|guest| guest.id == kept[index].id).context("a guest is lost");
    ensure!(is(0)?.boots_wanted == kept[0].boots_wanted + 1, "{:?}", is(0)?);
    ensure!(is(1)?.power == Power::Stopped, "{:?}", is(1)?);
    ensure!(is(2)?.memory_bytes == 128 << 20, "{:?}", is(2)?);
    for was in doomed {
        let gone = world.guest(was.id).await?;
        ensure!(gone.status == GuestStatus::Deleted && gone.address.is_none(), "{gone:?}");
    }
    let host: Host = world.client.get(agent.host_id).await?;
    ensure!(host.orphans.is_empty(), "{:?}", host.orphans);
    Ok(())
}

/// Orders are taken again: ids are above all that were given, addresses nobody else's, and each boot is one boot.
async fn goes_on_as_ever(world: &World, agent: &SimulatedAgent, kept: &[Guest], new: &[Guest]) -> Result<()> {
    let fresh = world.running("fresh").await?;
    ensure!(fresh.id > 1_000_000, "{fresh:?}");
    let guests: Vec<Guest> = world.client.list(&[]).await?;
    let held: std::collections::BTreeSet<_> = guests.iter().map(|guest| &guest.address).collect();
    ensure!(held.len() == 14 && !held.contains(&None), "{held:?}");
    for id in [kept[0].id, new[0].id] {
        world.ended(world.client.action::<Guest, Operation>(id, "reboot", &[]).await?.id).await?;
    }
    let twice: Vec<_> = agent.starts()?.into_iter().filter(|(_, count)| *count > 1).collect();
    ensure!(twice.is_empty(), "(guest, epoch, boots) started more than once: {twice:?}");
    let by_itself = world.events("guest.stopped_by_itself").await?;
    ensure!(by_itself.is_empty(), "{by_itself:?}");
    Ok(())
}

/// Two guests are moved after the backup, and one back and forth: each is found where it is, and runs on.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_moved_after_the_backup_is_found_where_it_is() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let h1 = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(h1.host_id).await?;
    let moved = world.running("moved").await?;
    let (back, stays) = (world.running("back").await?, world.running("stays").await?);
    let h2 = SimulatedAgent::join(&brain, directory.path(), "h2").await?;
    world.pool_ready(h2.host_id).await?;
    let file = directory.path().join("backup.tar.zst");
    let (file, data) = (file.to_str().context("text")?.to_owned(), brain.data());
    honcho(&brain, &["backup", &file, "--data", data.to_str().context("text")?])?;
    for (name, to) in [("moved", "h2"), ("back", "h2"), ("back", "h1")] {
        eventually("it is moved", SOME, async || {
            let (well, said) = brain.honcho(&["guest", "move", name, "--to", to, "--yes", "--wait"])?;
            ensure!(well, "{said}");
            Ok(())
        })
        .await?;
    }
    let settled = || -> Result<()> {
        let domains = (h1.domains().len(), h2.domains());
        ensure!(domains == (2, vec![format!("honcho-g{}", moved.id)]), "{domains:?}");
        let volumes = (h1.volumes()?.len(), h2.volumes()?.len());
        ensure!(volumes == (2, 1), "{volumes:?}");
        Ok(())
    };
    eventually("all copies are gone", SOME, async || settled()).await?;
    let before = (machine(&h1)?, machine(&h2)?);

    brain.kill();
    restore_into_an_empty_directory(&brain, directory.path(), &file)?;
    brain.resume().await?;
    reported(&world).await?;
    let status = honcho(&brain, &["restore", "status"])?;
    ensure!(status.contains("was moved to h2 after the backup, and is taken over there"), "{status}");
    ensure!(status.contains("runs here and was moved here from h1 after the backup"), "{status}");
    ensure!(!status.contains("stays as it is"), "{status}");
    // Without the host that has it, it is not started where it was.
    honcho(&brain, &["restore", "accept", "--without", "h2", "--yes"])?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!((machine(&h1)?, machine(&h2)?) == before, "{before:?}");
    honcho(&brain, &["restore", "accept", "--yes"])?;
    for (guest, host) in [(&moved, &h2), (&back, &h1), (&stays, &h1)] {
        eventually("it runs where it was moved to", SOME, async || {
            let is = world.guest(guest.id).await?;
            ensure!((is.host_id, is.status) == (Some(host.host_id), GuestStatus::Running), "{is:?}");
            ensure!((is.uuid, &is.address) == (guest.uuid, &guest.address), "{is:?}");
            Ok(())
        })
        .await?;
    }
    ensure!((machine(&h1)?, machine(&h2)?) == before, "none was started anew");
    // It is a guest like any other: it is booted once, and moved.
    world.ended(world.client.action::<Guest, Operation>(moved.id, "reboot", &[]).await?.id).await?;
    let (well, said) = brain.honcho(&["guest", "move", "moved", "--to", "h1", "--yes", "--wait"])?;
    ensure!(well, "{said}");
    let is = world.guest(moved.id).await?;
    ensure!((is.host_id, is.status) == (Some(h1.host_id), GuestStatus::Running), "{is:?}");
    Ok(())
}

/// The host that a guest was moved off is gone for good, and then the brain.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_moved_off_a_host_that_is_lost_is_taken_over_without_it() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let mut h1 = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(h1.host_id).await?;
    let moved = world.running("moved").await?;
    let h2 = SimulatedAgent::join(&brain, directory.path(), "h2").await?;
    world.pool_ready(h2.host_id).await?;
    let file = directory.path().join("backup.tar.zst");
    let (file, data) = (file.to_str().context("text")?.to_owned(), brain.data());
    honcho(&brain, &["backup", &file, "--data", data.to_str().context("text")?])?;
    eventually("it is moved", SOME, async || {
        let (well, said) = brain.honcho(&["guest", "move", "moved", "--to", "h2", "--yes", "--wait"])?;
        ensure!(well, "{said}");
        Ok(())
    })
    .await?;
    h1.kill();
    let before = machine(&h2)?;
    brain.kill();
    restore_into_an_empty_directory(&brain, directory.path(), &file)?;
    brain.resume().await?;
    eventually("the other host has reported", SOME, async || {
        let restore: Restore = world.client.get_path("/v1/restore", &[]).await?;
        let states: Vec<&str> = restore.hosts.iter().map(|host| host.state.as_str()).collect();
        ensure!(states == ["awaited", "reported"], "{restore:?}");
        Ok(())
    })
    .await?;
    honcho(&brain, &["restore", "accept", "--without", "h1", "--yes"])?;
    eventually("it is a guest of the other host", SOME, async || {
        let is = world.guest(moved.id).await?;
        ensure!((is.host_id, is.status) == (Some(h2.host_id), GuestStatus::Running), "{is:?}");
        Ok(())
    })
    .await?;
    ensure!(machine(&h2)? == before, "it was not started anew");
    world.ended(world.client.action::<Guest, Operation>(moved.id, "reboot", &[]).await?.id).await?;
    // Should the lost one come back, it has nothing of it to start.
    h1.start()?;
    reported(&world).await?;
    honcho(&brain, &["restore", "accept", "--yes"])?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(h1.domains().is_empty() && h2.domains().len() == 1, "{:?} {:?}", h1.domains(), h2.domains());
    let is = world.guest(moved.id).await?;
    ensure!((is.host_id, is.status) == (Some(h2.host_id), GuestStatus::Running), "{is:?}");
    Ok(())
}

//! SIGKILL at random moments: of the agent, and of the brain, while guests are created, stopped, resized, rebooted and
//! deleted. Simulated drivers; real processes, sockets and SQLite file. The seed is printed; `HONCHO_SEED` repeats it.

use anyhow::{Context as _, Result};
use honcho_api::client::ClientError;
use honcho_api::{Address, Event, Guest, Operation};
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::{Brain, persistently};
use honcho_e2e::world::{World, eventually};
use honcho_model::guest::{GuestStatus, Power};
use honcho_model::operation::OperationState;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::collections::BTreeSet;
use std::time::Duration;

const GUESTS: usize = 12;
const KILLS: usize = 50;

pub(crate) fn seed() -> u64 {
    let seed = std::env::var("HONCHO_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 16 ^ 0x5eed);
    println!("seed {seed} (repeat it with HONCHO_SEED={seed})");
    seed
}

/// One guest's life: ordered, then a few random wishes, then perhaps deleted. Gives the operations it asked for.
async fn live(world: &World, name: String, mut random: StdRng) -> Result<Vec<i64>> {
    let order = honcho_api::GuestCreate { reference: Some(name.clone()), ..world.order(&name) };
    // A POST whose answer was lost is sent again: the reference makes that the same guest.
    let guest: Guest = persistently(|| world.client.create(&order)).await?;
    let mut operations = vec![guest.operation_id.context("a new guest has an operation")?];
    for _ in 0..random.random_range(2..6) {
        tokio::time::sleep(Duration::from_millis(random.random_range(50..1500))).await;
        let (action, query): (&str, Vec<(&str, String)>) = match random.random_range(0..5) {
            0 => ("stop", vec![]),
            1 => ("start", vec![]),
            2 => ("reboot", vec![("hard", random.random_bool(0.3).to_string())]),
            3 => (
                "resize",
                vec![
                    ("memory_bytes", (random.random_range(64_u64..256) << 20).to_string()),
                    ("disk_bytes", (random.random_range(128_u64..512) << 20).to_string()),
                    ("restart", "true".to_owned()),
                ],
            ),
            _ => ("stop", vec![("hard", "true".to_owned())]),
        };
        match persistently(|| world.client.action::<Guest, Operation>(guest.id, action, &query)).await {
            Ok(operation) => operations.push(operation.id),
            // Rebooting a stopped guest, or shrinking a disk, is refused: that is an answer.
            Err(ClientError::Refused(refusal)) if refusal.status == 422 => {}
            Err(error) => return Err(error.into()),
        }
    }
    if random.random_bool(0.4) {
        let query = [("now", "true".to_owned())];
        match persistently(|| world.client.delete::<Guest, Operation>(guest.id, &query)).await {
            Ok(operation) => operations.push(operation.id),
            // The first DELETE was done and its answer lost.
            Err(ClientError::Refused(refusal)) if refusal.status == 409 => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(operations)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    Agent,
    Brain,
}

async fn survive(victim: Victim) -> Result<()> {
    let mut random = StdRng::seed_from_u64(seed());
    let directory = tempfile::tempdir()?;
    let mut brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let mut agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    agent.settings(&serde_json::json!({"step_ms": 80, "stop_ms": 120, "deaf_ms": 100}))?;
    world.pool_ready(agent.host_id).await?;

    let lives = (0..GUESTS).map(|n| {
        let random = StdRng::seed_from_u64(random.random());
        live(&world, format!("g{n}"), random)
    });
    let lives: Vec<_> = lives.collect();
    let killing = async {
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(random.random_range(20..400))).await;
            match victim {
                Victim::Agent => {
                    agent.kill();
                    agent.start()?;
                }
                Victim::Brain => {
                    brain.kill();
                    brain.spawn()?;
                }
            }
        }
        anyhow::Ok(())
    };
    let everything = async {
        let mut operations = Vec::new();
        for life in lives {
            operations.push(life);
        }
        futures::future::try_join_all(operations).await
    };
    let (operations, killed) = tokio::join!(everything, killing);
    killed?;
    let operations = operations?;
    agree(&world, &agent, &operations.concat())
        .await
        .with_context(|| format!("brain:\n{}\nagent:\n{}", tail(&brain.log()), tail(&agent.log())))
}

fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// Desired and observed agree, and nothing that must never happen has happened.
async fn agree(world: &World, agent: &SimulatedAgent, operations: &[i64]) -> Result<()> {
    let guests = eventually("every guest is as desired", Duration::from_secs(90), async || {
        let all = [("cancelled", "true".to_owned())];
        let guests: Vec<Guest> = persistently(|| world.client.list(&all)).await?;
        for guest in &guests {
            let expected = match (guest.cancelled_at, guest.power) {
                (Some(_), _) => GuestStatus::Deleted,
                (None, Power::Running) => GuestStatus::Running,
                (None, Power::Stopped) => GuestStatus::Stopped,
            };
            anyhow::ensure!(guest.status == expected, "{guest:?} should be {expected:?}");
        }
        let open: Vec<Operation> =
            world.client.get_path("/v1/operations", &[("state", "open".into())]).await?;
        anyhow::ensure!(open.is_empty(), "open operations: {open:?}");
        Ok(guests)
    })
    .await?;
    anyhow::ensure!(guests.len() == GUESTS, "{} guests", guests.len());
    for id in operations {
        let operation = world.client.operation(*id).await?;
        let fine = match operation.state {
            OperationState::Done => true,
            OperationState::Superseded => operation.superseded_by.is_some(),
            _ => false,
        };
        anyhow::ensure!(fine, "{operation:?}");
    }

    let living: Vec<&Guest> = guests.iter().filter(|guest| guest.status != GuestStatus::Deleted).collect();
    let running: BTreeSet<String> = living
        .iter()
        .filter(|guest| guest.status == GuestStatus::Running)
        .map(|guest| format!("honcho-g{}", guest.id))
        .collect();
    let domains: BTreeSet<String> = agent.domains().into_iter().collect();
    anyhow::ensure!(domains == running, "domains {domains:?}, running {running:?}");
    let volumes = agent.volumes()?;
    anyhow::ensure!(
        volumes.len() == living.len(),
        "{} living guests have the volumes {volumes:?}",
        living.len()
    );

    let addresses: BTreeSet<_> = living.iter().map(|guest| guest.address.clone()).collect();
    anyhow::ensure!(addresses.len() == living.len() && !addresses.contains(&None), "{addresses:?}");
    let held: Vec<Address> = world.client.get_path("/v1/addresses", &[]).await?;
    let held = held.iter().filter(|address| address.guest_id.is_some()).count();
    anyhow::ensure!(held == living.len(), "{held} addresses are held by {} guests", living.len());

    let starts = agent.starts()?;
    let twice: Vec<_> = starts.iter().filter(|(_, count)| **count > 1).collect();
    anyhow::ensure!(twice.is_empty(), "(guest, epoch, boots) started more than once: {twice:?}");
    let by_itself: Vec<Event> = world.events("guest.stopped_by_itself").await?;
    anyhow::ensure!(by_itself.is_empty(), "no guest stopped by itself: {by_itself:?}");
    let alarms: Vec<Event> = world.client.get_path("/v1/events", &[("severity", "alarm".into())]).await?;
    anyhow::ensure!(alarms.is_empty(), "{alarms:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_is_killed_at_50_moments() -> Result<()> {
    survive(Victim::Agent).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brain_is_killed_at_50_moments() -> Result<()> {
    survive(Victim::Brain).await
}

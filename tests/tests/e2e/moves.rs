//! Guests go from host to host, and back: agents and brain are killed at random moments meanwhile, and some moves are given
//! up. At every moment a guest runs once at most and is whole somewhere; in the end it is on exactly one host. Simulated
//! hosts; real processes, sockets, TLS between agents, and SQLite file. The seed is printed; `HONCHO_SEED` repeats it.

use super::crashes::seed;
use anyhow::{Context as _, Result, ensure};
use honcho_api::client::ClientError;
use honcho_api::{Event, Guest, Operation};
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::{Brain, persistently};
use honcho_e2e::world::{World, eventually};
use honcho_model::guest::{GuestStatus, Power};
use honcho_model::operation::OperationState;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const GUESTS: usize = 4;
const KILLS: usize = 45;
const MOVES: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_moved_by_the_command_line_and_a_host_is_emptied() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let h1 = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(h1.host_id).await?;
    let (web1, web2) = (world.running("web1").await?, world.running("web2").await?);
    let h2 = SimulatedAgent::join(&brain, directory.path(), "h2").await?;
    world.pool_ready(h2.host_id).await?;
    let reached = async |host: i64| {
        eventually("the host tells where movers reach it", Duration::from_secs(20), async || {
            let (well, said) = brain.honcho(&["guest", "move", "web1", "--dry-run"])?;
            ensure!(well, "{host}: {said}");
            Ok(said)
        })
        .await
    };
    let said = reached(h1.host_id).await?;
    ensure!(said.contains("from h1 to h2") && said.contains("asked to stop first"), "{said}");
    let (well, said) = brain.honcho(&["guest", "move", "web1", "--to", "h2"])?;
    ensure!(!well && said.contains("--yes"), "nobody can be asked: {said}");
    let (well, said) = brain.honcho(&["guest", "move", "web1", "--to", "h2", "--yes", "--wait"])?;
    ensure!(well && said.contains("move web1: done"), "{said}");
    let now = world.guest(web1.id).await?;
    ensure!((now.host_id, now.status, now.epoch) == (Some(h2.host_id), GuestStatus::Running, 2), "{now:?}");
    ensure!(now.ssh_host_key == web1.ssh_host_key && now.address == web1.address, "{now:?}");
    eventually("its copy is removed", Duration::from_secs(20), async || {
        ensure!(
            h1.volumes()?.len() == 1 && h2.volumes()?.len() == 1,
            "{:?} {:?}",
            h1.volumes(),
            h2.volumes()
        );
        Ok(())
    })
    .await?;
    ensure!(h2.domains() == [format!("honcho-g{}", web1.id)], "{:?}", h2.domains());

    let (well, said) = brain.honcho(&["host", "drain", "h1", "--apply", "--yes", "--wait"])?;
    ensure!(well && said.contains("move web2: done"), "{said}");
    let now = world.guest(web2.id).await?;
    ensure!((now.host_id, now.status) == (Some(h2.host_id), GuestStatus::Running), "{now:?}");
    eventually("h1 is empty", Duration::from_secs(20), async || {
        ensure!(h1.volumes()?.is_empty() && h1.domains().is_empty(), "{:?}", h1.volumes());
        Ok(())
    })
    .await?;
    // The brain hears that the copy is gone a moment after it is.
    eventually("h1 may go", Duration::from_secs(20), async || {
        let (well, said) = brain.honcho(&["host", "delete", "h1", "--yes"])?;
        ensure!(well, "{said}");
        Ok(())
    })
    .await?;
    Ok(())
}

/// Looks again and again at both hosts' directories.
struct Watch {
    ends: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<Vec<String>>>,
}

fn has(host: &Path, domain: &str) -> bool {
    host.join("domains").join(domain).exists()
}

fn is_whole(host: &Path, volume: &str) -> bool {
    let pools = std::fs::read_dir(host.join("pools")).into_iter().flatten().flatten();
    pools.into_iter().any(|pool| pool.path().join(volume).exists())
}

impl Watch {
    /// `guests` are names of domains and of volumes.
    fn begin(hosts: [PathBuf; 2], guests: Vec<(String, String)>) -> Watch {
        let ends = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let mut wrong = Vec::new();
            let [h1, h2] = &hosts;
            while !end.load(Ordering::Relaxed) {
                for (domain, volume) in &guests {
                    // Three looks, for what moves between two of them.
                    if has(h1, domain) && has(h2, domain) && has(h1, domain) {
                        wrong.push(format!("{domain} ran on both hosts"));
                    }
                    if !is_whole(h1, volume) && !is_whole(h2, volume) && !is_whole(h1, volume) {
                        wrong.push(format!("{volume} was whole on neither host"));
                    }
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            wrong
        });
        Watch { ends, thread: Some(thread) }
    }

    fn wrong(mut self) -> Vec<String> {
        self.ends.store(true, Ordering::Relaxed);
        let thread = self.thread.take();
        thread.and_then(|thread| thread.join().ok()).unwrap_or_else(|| vec!["the watch broke off".to_owned()])
    }
}

/// Moves one guest to and fro; gives up on some of the moves. Gives how many ended well and how many were given up.
async fn travel(world: &World, guest: i64, hosts: [i64; 2], mut random: StdRng) -> Result<(usize, usize)> {
    let (mut done, mut given_up) = (0, 0);
    while done + given_up < MOVES {
        let now: Guest = persistently(|| world.client.get(guest)).await?;
        let to = if now.host_id == Some(hosts[0]) { hosts[1] } else { hosts[0] };
        let query = [("to_host_id", to.to_string())];
        let asked = persistently(|| world.client.action::<Guest, Operation>(guest, "move", &query)).await;
        let id = match asked {
            Ok(operation) => operation.id,
            // What is left there is still being removed, an agent is away, or the answer to the last one was lost.
            Err(ClientError::Refused(refusal)) if matches!(refusal.status, 409 | 422) => {
                if let Some(id) = now.operation_id.filter(|_| now.moving_to_host_id.is_some()) {
                    id
                } else {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            }
            Err(error) => return Err(error.into()),
        };
        if random.random_bool(0.3) {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..1500))).await;
            let abandon = persistently(|| async {
                let path = format!("/v1/operations/{id}/abandon.json");
                let request = world.client.request(reqwest::Method::PUT, &path);
                world.client.send(request).await
            });
            match abandon.await {
                Ok(_) => {}
                // It was through already.
                Err(ClientError::Refused(refusal)) if refusal.status == 409 => {}
                Err(error) => return Err(error.into()),
            }
        }
        let ended = eventually("a move ends", Duration::from_mins(3), async || {
            let operation: Operation = persistently(|| world.client.operation(id)).await?;
            ensure!(operation.ended_at.is_some(), "{operation:?}");
            Ok(operation)
        })
        .await?;
        match ended.state {
            OperationState::Done => done += 1,
            OperationState::Abandoned => given_up += 1,
            _ => anyhow::bail!("{ended:?}"),
        }
    }
    Ok((done, given_up))
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_a_moved_guest_is_on_exactly_one_host() -> Result<()> {
    let mut random = StdRng::seed_from_u64(seed());
    let directory = tempfile::tempdir()?;
    let mut brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let settings = serde_json::json!({"step_ms": 60, "stop_ms": 80, "deaf_ms": 50,
        "steps_ms": {"fetch_volume": 300, "delete_volumes": 150}});
    let mut agents = Vec::new();
    for name in ["h1", "h2"] {
        let agent = SimulatedAgent::join(&brain, directory.path(), name).await?;
        agent.settings(&settings)?;
        world.pool_ready(agent.host_id).await?;
        agents.push(agent);
    }
    let hosts = [agents[0].host_id, agents[1].host_id];
    let mut guests = Vec::new();
    for number in 0..GUESTS {
        guests.push(world.running(&format!("g{number}")).await?.id);
    }
    let mut names = Vec::new();
    for guest in &guests {
        let all = [agents[0].volumes()?, agents[1].volumes()?].concat();
        let volume = all.into_iter().find(|name| name.starts_with(&format!("v{guest}-")));
        names.push((format!("honcho-g{guest}.json"), volume.context("its volume has its number here")?));
    }
    let watch = Watch::begin([agents[0].simulated(), agents[1].simulated()], names);

    let travels = guests.iter().map(|guest| {
        let random = StdRng::seed_from_u64(random.random());
        travel(&world, *guest, hosts, random)
    });
    let travels: Vec<_> = travels.collect();
    let killing = async {
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(random.random_range(50..700))).await;
            match random.random_range(0..3) {
                0 => {
                    brain.kill();
                    brain.spawn()?;
                }
                victim => {
                    agents[victim - 1].kill();
                    agents[victim - 1].start()?;
                }
            }
        }
        anyhow::Ok(())
    };
    let (travelled, killed) = tokio::join!(futures::future::try_join_all(travels), killing);
    killed?;
    let travelled = travelled.with_context(|| logs(&brain, &agents))?;
    let (done, given_up) = travelled.iter().fold((0, 0), |(done, up), (d, u)| (done + d, up + u));
    println!("{done} moves done, {given_up} given up, {KILLS} kills");
    agree(&world, &agents, &guests).await.with_context(|| logs(&brain, &agents))?;
    let wrong = watch.wrong();
    ensure!(wrong.is_empty(), "{wrong:?}");
    ensure!(done > GUESTS, "{done} moves ended well");
    Ok(())
}

fn logs(brain: &Brain, agents: &[SimulatedAgent]) -> String {
    let tail = |text: String| {
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    };
    let agents: Vec<String> = agents.iter().map(|agent| tail(agent.log())).collect();
    format!("brain:\n{}\nagents:\n{}", tail(brain.log()), agents.join("\n---\n"))
}

async fn agree(world: &World, agents: &[SimulatedAgent], guests: &[i64]) -> Result<()> {
    for id in guests {
        eventually(
            "a guest runs on the host that it is on, and is nowhere else",
            Duration::from_mins(1),
            async || {
                let guest: Guest = persistently(|| world.client.get(*id)).await?;
                ensure!(guest.status == GuestStatus::Running && guest.power == Power::Running, "{guest:?}");
                for agent in agents {
                    let here = guest.host_id == Some(agent.host_id);
                    let domain = agent.domains().contains(&format!("honcho-g{id}"));
                    let volumes =
                        agent.volumes()?.into_iter().filter(|name| name.starts_with(&format!("v{id}-")));
                    let volumes: Vec<_> = volumes.collect();
                    ensure!(domain == here, "{} on {}: domain {domain}", guest.name, agent.name());
                    ensure!(
                        volumes.len() == usize::from(here),
                        "{} on {}: {volumes:?}",
                        guest.name,
                        agent.name()
                    );
                }
                Ok(())
            },
        )
        .await?;
    }
    for agent in agents {
        let starts = agent.starts()?;
        let twice: Vec<_> = starts.iter().filter(|(_, count)| **count > 1).collect();
        ensure!(
            twice.is_empty(),
            "(guest, epoch, boots) started more than once on {}: {twice:?}",
            agent.name()
        );
    }
    // Nor at one epoch on both.
    let [one, other] = [agents[0].starts()?, agents[1].starts()?];
    let both: Vec<_> = one.keys().filter(|start| other.contains_key(start)).collect();
    ensure!(both.is_empty(), "(guest, epoch, boots) started on both hosts: {both:?}");
    let by_itself: Vec<Event> = world.events("guest.stopped_by_itself").await?;
    ensure!(by_itself.is_empty(), "no guest stopped by itself: {by_itself:?}");
    let alarms: Vec<Event> = world.client.get_path("/v1/events", &[("severity", "alarm".into())]).await?;
    ensure!(alarms.is_empty(), "{alarms:?}");
    Ok(())
}

//! Three brains on one PostgreSQL, any of which may die: clients ask another one, and nothing that was acknowledged is
//! lost. The seed is printed; `HONCHO_SEED` repeats it.

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use honcho_api::client::{Client, ClientError};
use honcho_api::{Address, Event, Guest, GuestCreate};
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::Brain;
use honcho_e2e::world::{World, eventually};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const BRAINS: usize = 3;
const CLIENTS: usize = 8;
const GUESTS_PER_CLIENT: usize = 20;
const LEAST_KILLS: usize = 8;
const PAUSE: Duration = Duration::from_millis(20);

/// Asks one brain after the other until one gives an answer. What cannot be reached, has too much to do, or lost its
/// database meanwhile is asked again: the order carries a reference.
async fn order(clients: &[Client], order: &GuestCreate, random: &mut StdRng) -> Result<Guest> {
    let begun = Instant::now();
    loop {
        let client = &clients[random.random_range(0..clients.len())];
        match client.create::<Guest>(order).await {
            Ok(guest) => return Ok(guest),
            Err(ClientError::Refused(refusal)) if refusal.status < 500 => {
                anyhow::bail!("{}: {}", order.name.as_deref().unwrap_or_default(), refusal.sentence())
            }
            Err(error) if begun.elapsed() > Duration::from_secs(30) => return Err(error.into()),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Follows the event log, at another brain whenever one goes, until nothing comes any more and `ended` is set.
async fn follow(clients: Vec<Client>, ended: Arc<AtomicBool>, mut random: StdRng) -> Result<Vec<Event>> {
    let (mut told, mut after) = (Vec::<Event>::new(), "0".to_owned());
    loop {
        let client = &clients[random.random_range(0..clients.len())];
        let Ok(stream) = client.events(&[("after", after.clone())]).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let mut stream = std::pin::pin!(stream);
        loop {
            match tokio::time::timeout(Duration::from_secs(1), stream.next()).await {
                Ok(Some(Ok(event))) => {
                    after.clone_from(&event.cursor);
                    told.push(event);
                }
                Err(_) if ended.load(Ordering::SeqCst) => return Ok(told),
                Err(_) => {}
                // The brain is gone.
                Ok(None | Some(Err(_))) => break,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_three_brains_acknowledged_is_there_whichever_dies() -> Result<()> {
    let seed = crate::crashes::seed();
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir()?;
    let database = honcho_test_postgres::cluster().create_empty();
    let mut brains = Vec::new();
    for number in 0..BRAINS {
        brains.push(Brain::start_sharing(directory.path(), number, &database).await?);
    }
    let clients: Vec<Client> = brains.iter().map(Brain::client).collect::<Result<_>>()?;
    let world = Arc::new(World::make(&brains[0]).await?);
    let _agent = SimulatedAgent::join(&brains[0], directory.path(), "h1").await?;
    world.pool_ready(1).await?;

    let ended = Arc::new(AtomicBool::new(false));
    let following = tokio::spawn(follow(clients.clone(), ended.clone(), StdRng::seed_from_u64(seed ^ 1)));
    let ordering: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (world, clients) = (world.clone(), clients.clone());
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(100 + number as u64));
            tokio::spawn(async move {
                let mut made = Vec::new();
                for count in 0..GUESTS_PER_CLIENT {
                    let name = format!("g{number}-{count}");
                    let body = GuestCreate { reference: Some(name.clone()), ..world.order(&name) };
                    made.push(order(&clients, &body, &mut random).await?);
                    tokio::time::sleep(Duration::from_millis(random.random_range(0..120))).await;
                }
                Ok::<_, anyhow::Error>(made)
            })
        })
        .collect();
    let mut kills = 0;
    while kills < LEAST_KILLS || ordering.iter().any(|client| !client.is_finished()) {
        tokio::time::sleep(Duration::from_millis(random.random_range(100..500))).await;
        let victim = random.random_range(0..BRAINS);
        brains[victim].kill();
        kills += 1;
        // Sometimes two are away at once.
        if random.random_bool(0.7) {
            brains[victim].spawn()?;
        } else {
            tokio::time::sleep(Duration::from_millis(150)).await;
            let second = random.random_range(0..BRAINS);
            brains[second].kill();
            brains[victim].spawn()?;
            brains[second].spawn()?;
        }
        anyhow::ensure!(kills < 200, "the clients never end");
        tokio::time::sleep(Duration::from_millis(random.random_range(200..700))).await;
    }
    let mut made = Vec::new();
    for client in ordering {
        made.extend(client.await??);
    }
    for brain in &mut brains {
        brain.kill();
        brain.resume().await?;
    }
    println!("{} guests were acknowledged, {kills} brains killed", made.len());

    // Every one that was acknowledged is there, as it was; and no other.
    let there: Vec<Guest> = world.client.list(&[]).await?;
    let by_name: BTreeMap<&str, &Guest> = there.iter().map(|guest| (guest.name.as_str(), guest)).collect();
    assert_eq!((there.len(), by_name.len()), (made.len(), CLIENTS * GUESTS_PER_CLIENT));
    for guest in &made {
        let found = by_name.get(guest.name.as_str()).with_context(|| format!("{} is lost", guest.name))?;
        assert_eq!((found.id, found.uuid, &found.address), (guest.id, guest.uuid, &guest.address));
    }
    let addresses: BTreeSet<_> = made.iter().filter_map(|guest| guest.address.as_deref()).collect();
    assert_eq!(addresses.len(), made.len(), "each has an address, and none twice");
    let held: Vec<Address> = world.client.get_path("/v1/addresses", &[]).await?;
    assert_eq!(held.iter().filter(|address| address.guest_id.is_some()).count(), made.len());

    // Whoever followed the log was told all of it, once, in order.
    let log = || async { world.client.get_path::<Vec<Event>>("/v1/events", &[("after", "0".into())]).await };
    let created = |log: &[Event]| log.iter().filter(|event| event.kind == "guest.create").count();
    eventually("the log is told to its end", Duration::from_secs(10), async || {
        anyhow::ensure!(created(&log().await?) == made.len());
        Ok(())
    })
    .await?;
    ended.store(true, Ordering::SeqCst);
    let told = following.await??;
    let told_ids: Vec<i64> = told.iter().map(|event| event.id).collect();
    let ids: Vec<i64> = log().await?.iter().map(|event| event.id).collect();
    let so_far =
        ids.iter().position(|id| Some(id) == told_ids.last()).context("the last one told is in the log")?;
    assert_eq!(told_ids, ids[..=so_far], "gapless, and none twice");
    assert_eq!(created(&told), made.len());
    assert!(told_ids.iter().collect::<BTreeSet<_>>().len() == told_ids.len());
    Ok(())
}

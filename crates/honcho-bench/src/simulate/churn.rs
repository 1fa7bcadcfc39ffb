//! A day, compressed: guests are ordered, resized, rebooted and cancelled, and hosts lose power and come back, in an order
//! that the seed decides and at moments that it decides.

use super::customers::{Customers, Deletion, Ordered, Outcome};
use super::figures::Day;
use super::phases::{PATIENCE, Simulation, times};
use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// In a day so many of a thousand guests are ordered anew, and as many cancelled.
const CREATED_PER_MILLE: usize = 20;
/// So many are resized.
const RESIZED_PER_MILLE: usize = 20;
/// So many are rebooted.
const REBOOTED_PER_MILLE: usize = 50;
/// So many of a thousand hosts lose power.
const LOST_PER_MILLE: usize = 5;
/// One thing of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Order the guest with this number.
    Create(usize),
    /// Resize one.
    Resize,
    /// Reboot one.
    Reboot,
    /// Cancel one.
    Cancel(Deletion),
    /// A host loses power, for so long.
    LosePower(Duration),
}

/// What a day holds: when, what, and the lot that decides on whom it falls.
fn plan(seed: u64, guests: usize, hosts: usize, long: Duration) -> Vec<(Duration, Act, usize)> {
    let mut random = StdRng::seed_from_u64(seed.wrapping_add(1));
    let of = |per_mille: usize, count: usize| (count * per_mille).div_ceil(1000);
    let mut acts: Vec<Act> = (guests..guests + of(CREATED_PER_MILLE, guests)).map(Act::Create).collect();
    acts.extend(vec![Act::Resize; of(RESIZED_PER_MILLE, guests)]);
    acts.extend(vec![Act::Reboot; of(REBOOTED_PER_MILLE, guests)]);
    let cancelled = of(CREATED_PER_MILLE, guests);
    acts.extend(
        (0..cancelled).map(|n| Act::Cancel(if n % 2 == 0 { Deletion::Now } else { Deletion::AfterGrace })),
    );
    for _ in 0..of(LOST_PER_MILLE, hosts) {
        acts.push(Act::LosePower(long.mul_f64(random.random_range(0.05..0.25))));
    }
    let mut plan: Vec<_> = acts
        .into_iter()
        .map(|act| (long.mul_f64(random.random::<f64>()), act, random.random_range(0..usize::MAX)))
        .collect();
    plan.sort_by_key(|(at, ..)| *at);
    plan
}

/// What has come of a day so far.
#[derive(Default)]
struct Done {
    ordered: Vec<Ordered>,
    resized: usize,
    rebooted: usize,
    cancelled: usize,
    refused: usize,
}

#[derive(Clone, Copy)]
enum What {
    Ordered(Option<Ordered>),
    Resized(Outcome),
    Rebooted(Outcome),
    Cancelled(Outcome),
    /// There was nobody on whom it could fall.
    Nothing,
}

impl Done {
    fn take(&mut self, what: What) {
        let count = |counter: &mut usize, refused: &mut usize, outcome: Outcome| match outcome {
            Outcome::Yes => *counter += 1,
            Outcome::Refused => *refused += 1,
        };
        match what {
            What::Ordered(Some(ordered)) => self.ordered.push(ordered),
            What::Ordered(None) => self.refused += 1,
            What::Resized(outcome) => count(&mut self.resized, &mut self.refused, outcome),
            What::Rebooted(outcome) => count(&mut self.rebooted, &mut self.refused, outcome),
            What::Cancelled(outcome) => count(&mut self.cancelled, &mut self.refused, outcome),
            What::Nothing => {}
        }
    }
}

/// Lives through it.
pub(super) async fn day(simulation: &mut Simulation, long: Duration) -> Result<Day> {
    let plan = plan(simulation.seed, simulation.ordered, simulation.hosts.len(), long);
    simulation.progress.say(&format!("a day of {} things in {} s", plan.len(), long.as_secs()));
    let before = simulation.before()?;
    let begun = Instant::now();
    let room = Arc::new(Semaphore::new(simulation.clients));
    let (mut acting, mut booting, mut done) = (JoinSet::new(), JoinSet::new(), Done::default());
    let (mut late, mut hosts_lost, count) = (Duration::ZERO, 0, plan.len());
    for (number, (at, act, lot)) in plan.into_iter().enumerate() {
        tokio::time::sleep_until(begun + at).await;
        if let Act::LosePower(away) = act {
            hosts_lost += usize::from(lose_power(simulation, lot, away, &mut booting));
            continue;
        }
        if let Act::Create(_) = act {
            simulation.ordered += 1;
        }
        let permit = Arc::clone(&room).acquire_owned().await?;
        late = late.max(begun.elapsed().saturating_sub(at));
        let customers = Arc::clone(&simulation.customers);
        acting.spawn(async move {
            let what = carry_out(&customers, act, lot).await;
            drop(permit);
            what
        });
        while let Some(what) = acting.try_join_next() {
            done.take(what??);
        }
        simulation.progress.tell("a day", number, Some(count));
    }
    while let Some(what) = acting.join_next().await {
        done.take(what??);
    }
    while let Some(booted) = booting.join_next().await {
        booted??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let over = Instant::now();
    simulation.settle().await?;
    let settled_seconds = over.elapsed().as_secs_f64();
    // What was cancelled goes when its grace period ends.
    simulation.until_gone().await?;
    Ok(Day {
        seconds,
        late_seconds: late.as_secs_f64(),
        created: times(&simulation.ledger, &done.ordered).1,
        resized: done.resized,
        rebooted: done.rebooted,
        cancelled: done.cancelled,
        hosts_lost,
        refused: done.refused,
        settled_seconds,
        cost: simulation.cost_since(&before)?,
    })
}

async fn carry_out(customers: &Customers, act: Act, lot: usize) -> Result<What> {
    if let Act::Create(number) = act {
        return Ok(What::Ordered(customers.create(number).await?));
    }
    let Some(guest) = customers.take(lot) else { return Ok(What::Nothing) };
    Ok(match act {
        Act::Resize => What::Resized(customers.resize(guest).await?),
        Act::Reboot => What::Rebooted(customers.reboot(guest).await?),
        Act::Cancel(when) => What::Cancelled(customers.cancel(guest, when).await?),
        Act::Create(_) | Act::LosePower(_) => What::Nothing,
    })
}

/// A host that is on loses power and gets it back; whether there was one.
fn lose_power(
    simulation: &Simulation,
    lot: usize,
    away: Duration,
    booting: &mut JoinSet<Result<()>>,
) -> bool {
    let host = Arc::clone(&simulation.hosts[lot % simulation.hosts.len()]);
    if !host.is_on() {
        return false;
    }
    host.power_off();
    booting.spawn(async move {
        tokio::time::sleep(away).await;
        // The day is not over before the brain knows of it: until then it takes its guests for running.
        let told = host.reports();
        host.power_on()?;
        let booted = Instant::now();
        while host.reports() == told {
            ensure!(
                booted.elapsed() < PATIENCE,
                "host {} did not report after it got its power back",
                host.id
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_day_and_all_of_it_lies_within_it() {
        let long = Duration::from_secs(100);
        let day = plan(7, 1000, 100, long);
        assert_eq!(day, plan(7, 1000, 100, long));
        assert_ne!(day, plan(8, 1000, 100, long));
        assert!(day.iter().all(|(at, ..)| *at < long));
        let count = |is: fn(&Act) -> bool| day.iter().filter(|(_, act, _)| is(act)).count();
        assert_eq!(count(|act| matches!(act, Act::Create(_))), 20);
        assert_eq!(count(|act| matches!(act, Act::Reboot)), 50);
        assert_eq!(count(|act| matches!(act, Act::Cancel(Deletion::Now))), 10);
        assert_eq!(count(|act| matches!(act, Act::LosePower(_))), 1);
    }
}

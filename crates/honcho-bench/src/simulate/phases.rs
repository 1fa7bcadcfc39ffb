//! What a simulation does, one phase after the other.

use super::agents::{Answered, Founding, SimulatedHost};
use super::brain_process::BrainProcess;
use super::customers::{Customers, Ordered};
use super::figures::{Cost, Idle, Orders, Recovery, Reporting, Times};
use super::invariants::{self, Finding};
use super::ledger::Ledger;
use super::machine::Build;
use super::progress::Progress;
use super::witness::Standing;
use super::{churn, history};
use crate::process::usage;
use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use futures::stream;
use honcho_agent_lib::clock::Clock;
use honcho_api::client::Client;
use honcho_api::{Guest, Operation, Pool};
use honcho_model::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many hosts join at once.
const JOINING: usize = 16;
/// How long anything may take that is waited for without anything moving.
pub(crate) const PATIENCE: Duration = Duration::from_mins(10);
/// How often what is waited for is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Machines are so full of guests' memory on average, in per cent.
const FULL_PERCENT: u64 = 45;
/// The memory of a guest on average; see `Customers::order`.
const AVERAGE_GUEST: Bytes = Bytes::mib(1_382);

/// A data centre that is none.
pub(crate) struct Simulation {
    pub(crate) build: Build,
    pub(crate) brain: BrainProcess,
    pub(crate) client: Client,
    pub(crate) customers: Arc<Customers>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) hosts: Vec<Arc<SimulatedHost>>,
    pub(crate) progress: Progress,
    pub(crate) prefix: String,
    pub(crate) seed: u64,
    pub(crate) clients: usize,
    pub(crate) clock: Clock,
    pub(crate) brain_mb_alone: f64,
    pub(crate) agents_mb_alone: f64,
    /// How many guests were ordered so far.
    pub(crate) ordered: usize,
    pub(crate) outages: Vec<(Duration, Duration)>,
}

/// Machines that hold so many guests with room to spare.
pub(crate) fn build_for(hosts: usize, guests: usize, step_ms: u32) -> Build {
    let each = u64::try_from(guests.div_ceil(hosts.max(1))).unwrap_or(u64::MAX);
    let gib = (each * AVERAGE_GUEST.0 * 100 / FULL_PERCENT).div_ceil(1 << 30) + 1;
    let memory = Bytes::gib(gib.max(16).next_multiple_of(8));
    Build {
        cpus: u32::try_from(each).unwrap_or(u32::MAX).max(8),
        memory,
        disk: Bytes::gib((each * 20 * 4).max(1024)),
        step: Duration::from_millis(u64::from(step_ms)),
        tells_load: false,
    }
}

/// What had been used when something began.
pub(crate) struct Before {
    at: Instant,
    brain: Duration,
    agents: Duration,
    answered: Answered,
}

impl Simulation {
    pub(crate) fn before(&self) -> Result<Before> {
        Ok(Before {
            at: Instant::now(),
            brain: self.brain.usage()?.processor,
            agents: usage(std::process::id())?.processor,
            answered: Answered::of(&self.hosts),
        })
    }

    pub(crate) fn cost_since(&self, before: &Before) -> Result<Cost> {
        let (brain, agents) = (self.brain.usage()?, usage(std::process::id())?);
        let answered = Answered::of(&self.hosts).since(before.answered);
        Ok(Cost {
            seconds: before.at.elapsed().as_secs_f64(),
            brain_processor_seconds: brain.processor.saturating_sub(before.brain).as_secs_f64(),
            brain_mb: megabytes(brain.resident),
            agents_processor_seconds: agents.processor.saturating_sub(before.agents).as_secs_f64(),
            agents_mb: megabytes(agents.resident),
            polls: answered.polls,
            reports: answered.reports,
            failures: answered.failures,
        })
    }

    /// All hosts are added, join, and have a pool that is ready.
    pub(crate) async fn join(&mut self, count: usize) -> Result<Cost> {
        let before = self.before()?;
        self.brain_mb_alone = megabytes(self.brain.usage()?.resident);
        self.agents_mb_alone = megabytes(usage(std::process::id())?.resident);
        let founding = Founding {
            client: self.client.clone(),
            build: self.build,
            ledger: Arc::clone(&self.ledger),
            seed: self.seed,
            prefix: self.prefix.clone(),
            clock: self.clock.clone(),
        };
        let mut joining = stream::iter(0..count)
            .map(|number| SimulatedHost::found(&founding, number))
            .buffer_unordered(JOINING);
        while let Some(host) = joining.next().await {
            self.hosts.push(host?);
            self.progress.tell("hosts join", self.hosts.len(), Some(count));
        }
        drop(joining);
        self.hosts.sort_by_key(|host| host.id);
        self.until("pools are ready", async || {
            let query = [("status", "unknown".to_owned()), ("limit", "1".to_owned())];
            let unknown: Vec<Pool> = self.client.list(&query).await?;
            let blank: Vec<Pool> =
                self.client.list(&[("status", "blank".to_owned()), ("limit", "1".to_owned())]).await?;
            Ok(Waited { done: usize::from(unknown.is_empty() && blank.is_empty()), of: 1 })
        })
        .await?;
        let cost = self.cost_since(&before)?;
        self.progress.say(&format!(
            "{count} hosts have joined in {:.1} s ({:.2} ms of the brain's processor for each)",
            cost.seconds,
            cost.brain_processor_seconds * 1000.0 / number(count)
        ));
        Ok(cost)
    }

    /// Looks on while nothing happens.
    pub(crate) async fn idle(&self, long: Duration) -> Result<Idle> {
        self.progress.say(&format!("looking at idle agents for {} s", long.as_secs()));
        // What was going on before is over: certificates, first polls, last reports.
        tokio::time::sleep(Duration::from_secs(2).min(long)).await;
        let before = self.before()?;
        tokio::time::sleep(long).await;
        let cost = self.cost_since(&before)?;
        let thousands = number(self.hosts.len()) / 1000.0;
        Ok(Idle {
            guests: self.ledger.running(),
            cost,
            brain_processor_percent_per_1000: cost.brain_processor_seconds / cost.seconds * 100.0 / thousands,
            brain_mb_per_1000: (cost.brain_mb - self.brain_mb_alone) / thousands,
            agent_kb: (cost.agents_mb - self.agents_mb_alone) * 1000.0 / number(self.hosts.len()),
        })
    }

    /// Orders guests as fast as the brain says yes, and waits until they run.
    pub(crate) async fn fill(&mut self, count: usize) -> Result<Orders> {
        self.progress.say(&format!("ordering {count} guests, {} at once", self.clients));
        self.order(count, self.clients).await
    }

    /// Orders guests one after the other, as a customer would meet the brain on a quiet day.
    pub(crate) async fn order_one_by_one(&mut self, count: usize) -> Result<Orders> {
        self.progress.say(&format!("ordering {count} guests one by one"));
        self.order(count, 1).await
    }

    async fn order(&mut self, count: usize, clients: usize) -> Result<Orders> {
        let before = self.before()?;
        let numbers = self.ordered..self.ordered + count;
        self.ordered += count;
        let customers = &self.customers;
        let ledger = &self.ledger;
        let mut orders = stream::iter(numbers)
            .map(|number| async move {
                let ordered = customers.create(number).await?;
                // One by one means one at a time until it runs.
                if clients == 1
                    && let Some(ordered) = &ordered
                {
                    until_it_runs(ledger, ordered).await?;
                }
                anyhow::Ok(ordered)
            })
            .buffer_unordered(clients);
        let (mut ordered, mut asked) = (Vec::new(), 0);
        while let Some(order) = orders.next().await {
            ordered.extend(order?);
            asked += 1;
            self.progress.tell("orders", asked, Some(count));
        }
        drop(orders);
        if ordered.len() < count {
            let said = self.customers.refusals().pop().unwrap_or_default();
            bail!(
                "{} of {count} orders were refused, though there is room for all: {said}",
                count - ordered.len()
            );
        }
        self.until_all_run(&ordered).await?;
        let cost = self.cost_since(&before)?;
        let (acknowledged, running) = times(&self.ledger, &ordered);
        self.progress.say(&format!("{count} guests run, after {:.1} s", cost.seconds));
        Ok(Orders {
            clients,
            acknowledged,
            running,
            guests_per_second: number(count) / cost.seconds,
            brain_milliseconds_per_guest: cost.brain_processor_seconds * 1000.0 / number(count),
            cost,
        })
    }

    async fn until_all_run(&self, ordered: &[Ordered]) -> Result<()> {
        self.until("guests run", async || {
            let done =
                ordered.iter().filter(|ordered| self.ledger.first_start(ordered.guest).is_some()).count();
            Ok(Waited { done, of: ordered.len() })
        })
        .await
    }

    /// Lets every host report something new as soon as its last report was answered.
    pub(crate) async fn report(&self, long: Duration) -> Result<Reporting> {
        self.progress.say(&format!("letting all hosts report for {} s", long.as_secs()));
        let before = self.before()?;
        let end = tokio::time::Instant::now() + long;
        let stirring: Vec<_> = self
            .hosts
            .iter()
            .map(|host| {
                let host = Arc::clone(host);
                tokio::spawn(async move {
                    while tokio::time::Instant::now() < end {
                        let told = host.reports();
                        host.machine.stir();
                        while host.reports() == told && tokio::time::Instant::now() < end {
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                    }
                })
            })
            .collect();
        for host in stirring {
            host.await?;
        }
        let cost = self.cost_since(&before)?;
        Ok(Reporting {
            reports_per_second: cost.reports_per_second(),
            reports_per_brain_processor_second: cost.reports_per_second() * cost.seconds
                / cost.brain_processor_seconds.max(0.001),
            cost,
        })
    }

    /// Kills the brain, boots some hosts meanwhile, starts it again, and waits until all agents were heard.
    pub(crate) async fn recover(&mut self, away: Duration) -> Result<Recovery> {
        self.settle().await?;
        self.progress.say(&format!("killing the brain for {} s", away.as_secs()));
        let from = self.ledger.now();
        self.brain.kill();
        let down = Instant::now();
        // One host of a hundred boots meanwhile, and may start nothing until the brain has answered.
        let booted: Vec<&Arc<SimulatedHost>> = self.hosts.iter().step_by(100).collect();
        for host in &booted {
            host.power_off();
        }
        tokio::time::sleep(away / 2).await;
        for host in &booted {
            host.power_on()?;
        }
        tokio::time::sleep(away / 2).await;
        let booted_meanwhile = booted.len();
        let told: Vec<u64> = self.hosts.iter().map(|host| host.reports()).collect();
        let down_seconds = down.elapsed().as_secs_f64();
        // Whatever is answered from here on is answered by the new one.
        let until = self.ledger.now();
        let begun = Instant::now();
        let brain_before = self.brain.spent();
        let answering = self.brain.resume().await?;
        self.outages.push((from, until));
        let failures = Answered::of(&self.hosts).failures;
        let mut heard: Vec<Option<Duration>> = vec![None; self.hosts.len()];
        while heard.iter().any(Option::is_none) {
            if begun.elapsed() > PATIENCE {
                let missing = heard.iter().filter(|heard| heard.is_none()).count();
                bail!("{missing} agents did not come back within {} s", PATIENCE.as_secs());
            }
            for ((heard, host), told) in heard.iter_mut().zip(&self.hosts).zip(&told) {
                if heard.is_none() && host.reports() > *told {
                    *heard = Some(begun.elapsed());
                }
            }
            let count = heard.iter().flatten().count();
            self.progress.tell("agents come back", count, Some(self.hosts.len()));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut heard: Vec<Duration> = heard.into_iter().flatten().collect();
        heard.sort_unstable();
        let at = |percent: usize| {
            heard.get((heard.len() * percent).div_ceil(100).max(1) - 1).map_or(0.0, Duration::as_secs_f64)
        };
        let recovery = Recovery {
            down_seconds,
            booted_meanwhile,
            answering_seconds: answering.as_secs_f64(),
            half_heard_seconds: at(50),
            most_heard_seconds: at(99),
            all_heard_seconds: at(100),
            busiest_second: busiest_second(&heard),
            brain_processor_seconds: self.brain.usage()?.processor.saturating_sub(brain_before).as_secs_f64(),
            failures_after: Answered::of(&self.hosts).failures.saturating_sub(failures),
        };
        self.progress
            .say(&format!("all agents are back, {:.1} s after its start", recovery.all_heard_seconds));
        self.settle().await?;
        Ok(recovery)
    }

    /// A day of orders and mishaps, compressed.
    pub(crate) async fn day(&mut self, long: Duration) -> Result<super::figures::Day> {
        churn::day(self, long).await
    }

    /// Waits until nothing is left to do.
    pub(crate) async fn settle(&self) -> Result<()> {
        self.until("operations end", async || {
            let query = [("state", "open".to_owned()), ("limit", "1000".to_owned())];
            let open: Vec<Operation> = self.client.get_path("/v1/operations.json", &query).await?;
            Ok(Waited { done: 0, of: open.len() })
        })
        .await
    }

    /// Waits until what was cancelled is gone.
    pub(crate) async fn until_gone(&self) -> Result<()> {
        self.until("what was cancelled is gone", async || {
            let query = [
                ("status", "cancelled".to_owned()),
                ("cancelled", "true".to_owned()),
                ("limit", "1".to_owned()),
            ];
            let kept: Vec<Guest> = self.client.list(&query).await?;
            Ok(Waited { done: 0, of: kept.len() })
        })
        .await?;
        self.settle().await
    }

    /// Waits until what should run does: a host that has just booted starts its guests without an operation.
    async fn until_it_all_runs(&self) -> Result<()> {
        self.until("what should run does", async || {
            let guests = history::guests(&self.client, &self.progress).await?;
            let left = guests.iter().filter(|guest| guest.standing == Standing::ShouldRun).count();
            Ok(Waited { done: guests.len() - left, of: guests.len() })
        })
        .await
    }

    /// Checks what must always hold over all that has happened.
    pub(crate) async fn check(&self) -> Result<Vec<Finding>> {
        self.settle().await?;
        self.until_it_all_runs().await?;
        self.progress.say("checking what must always hold");
        let hosts: Vec<_> = self.hosts.iter().map(|host| host.id).collect();
        let history = history::read(
            &self.client,
            &self.customers,
            &self.ledger,
            self.build,
            &hosts,
            self.outages.clone(),
            &self.progress,
        )
        .await?;
        Ok(invariants::check(&history))
    }

    /// Waits until all is done. Gives up when nothing has moved for a long time.
    async fn until(&self, what: &str, mut look: impl AsyncFnMut() -> Result<Waited>) -> Result<()> {
        let (mut moved, mut last) = (Instant::now(), usize::MAX);
        loop {
            let waited = look().await.with_context(|| format!("waiting until {what}"))?;
            let left = waited.of - waited.done;
            if left == 0 {
                return Ok(());
            }
            if left != last {
                (moved, last) = (Instant::now(), left);
            }
            if moved.elapsed() > PATIENCE {
                bail!("waited in vain until {what}: {left} are left, and nothing moves");
            }
            self.progress.tell(&format!("waiting until {what}"), waited.done, Some(waited.of));
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// How far something is.
struct Waited {
    done: usize,
    of: usize,
}

async fn until_it_runs(ledger: &Ledger, ordered: &Ordered) -> Result<()> {
    let begun = Instant::now();
    while ledger.first_start(ordered.guest).is_none() {
        if begun.elapsed() > PATIENCE {
            bail!("guest {} did not start within {} s", ordered.guest, PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// How long orders took: until they were acknowledged, and until their guests ran.
pub(crate) fn times(ledger: &Ledger, ordered: &[Ordered]) -> (Times, Times) {
    let running = ordered
        .iter()
        .filter_map(|ordered| Some(ledger.first_start(ordered.guest)?.saturating_sub(ordered.sent)));
    (Times::of(ordered.iter().map(|ordered| ordered.answered).collect()), Times::of(running.collect()))
}

/// The most of these times that lie within one second.
fn busiest_second(sorted: &[Duration]) -> usize {
    let within = |from: usize| {
        let end = sorted[from] + Duration::from_secs(1);
        sorted[from..].partition_point(|at| *at < end)
    };
    (0..sorted.len()).map(within).max().unwrap_or(0)
}

fn megabytes(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) * 1024.0 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^52 here")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_hold_what_is_ordered_with_room_to_spare() {
        let build = build_for(10_000, 100_000, 20);
        assert_eq!((build.memory, build.disk), (Bytes::gib(32), Bytes::gib(1024)));
        assert_eq!(build_for(1, 100, 20).memory, Bytes::gib(304));
        assert_eq!(build_for(100, 1, 20).memory, Bytes::gib(16));
    }

    #[test]
    fn the_busiest_second_is_found() {
        let at = |tenths: &[u64]| -> Vec<Duration> {
            tenths.iter().map(|n| Duration::from_millis(n * 100)).collect()
        };
        assert_eq!(busiest_second(&at(&[])), 0);
        assert_eq!(busiest_second(&at(&[0, 5, 9, 10, 11, 30])), 4);
    }
}

//! What a simulation found out, for people and for programs.

use super::invariants::Finding;
use crate::figures::table;
use crate::load::Load;
use serde::Serialize;
use std::time::Duration;

/// How long things took, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Times {
    /// How many.
    pub(crate) count: usize,
    /// Half of them took no longer.
    pub(crate) p50: f64,
    /// All but one in a hundred took no longer.
    pub(crate) p99: f64,
    /// The longest.
    pub(crate) max: f64,
}

impl Times {
    /// Of what was measured.
    pub(crate) fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let at = |percent: usize| {
            let rank = (all.len() * percent).div_ceil(100).max(1) - 1;
            all.get(rank).map_or(0.0, Duration::as_secs_f64)
        };
        Times { count: all.len(), p50: at(50), p99: at(99), max: at(100) }
    }

    fn cells(&self, what: &str) -> Vec<String> {
        vec![what.to_owned(), self.count.to_string(), shown(self.p50), shown(self.p99), shown(self.max)]
    }
}

fn shown(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds:.2} s") }
}

/// What brain and agents used over some time.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Cost {
    /// How long.
    pub(crate) seconds: f64,
    /// Processor seconds of the brain.
    pub(crate) brain_processor_seconds: f64,
    /// Memory of the brain at the end (resident), in MB.
    pub(crate) brain_mb: f64,
    /// Processor seconds of all agents with their machines, and of whoever orders.
    pub(crate) agents_processor_seconds: f64,
    /// Memory of all of them at the end, in MB.
    pub(crate) agents_mb: f64,
    /// Questions for a manifest that were answered.
    pub(crate) polls: u64,
    /// Reports that were answered.
    pub(crate) reports: u64,
    /// Calls of agents that failed.
    pub(crate) failures: u64,
}

impl Cost {
    /// Reports each second.
    pub(crate) fn reports_per_second(&self) -> f64 {
        // No simulation counts to 2^52.
        #[expect(clippy::cast_precision_loss, reason = "see above")]
        let reports = self.reports as f64;
        reports / self.seconds
    }
}

/// All agents idle.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Idle {
    /// How many guests there were.
    pub(crate) guests: usize,
    /// What it cost.
    pub(crate) cost: Cost,
    /// Of one processor, for each 1,000 agents, in per cent.
    pub(crate) brain_processor_percent_per_1000: f64,
    /// Beyond what the brain held before the first agent came, in MB.
    pub(crate) brain_mb_per_1000: f64,
    /// What one agent with its machine and guests holds, beyond what this process held before the first came, in kB.
    pub(crate) agent_kb: f64,
}

/// Orders.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Orders {
    /// How many were at once.
    pub(crate) clients: usize,
    /// From `POST /v1/guests` until the brain said yes.
    pub(crate) acknowledged: Times,
    /// From `POST /v1/guests` until the guest ran on its host.
    pub(crate) running: Times,
    /// Guests that ran for each second of the clock.
    pub(crate) guests_per_second: f64,
    /// Processor seconds of the brain for each guest, milliseconds.
    pub(crate) brain_milliseconds_per_guest: f64,
    /// What it cost altogether.
    pub(crate) cost: Cost,
}

/// Reports that say something new, as many as the brain takes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Reporting {
    /// How many each second.
    pub(crate) reports_per_second: f64,
    /// How many for each second of the brain's processor time.
    pub(crate) reports_per_brain_processor_second: f64,
    /// What it cost.
    pub(crate) cost: Cost,
}

/// The brain killed and started again.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Recovery {
    /// How long there was none.
    pub(crate) down_seconds: f64,
    /// How many machines lost power and booted meanwhile.
    pub(crate) booted_meanwhile: usize,
    /// From its start until it answered people.
    pub(crate) answering_seconds: f64,
    /// From its start until half of the agents had been heard.
    pub(crate) half_heard_seconds: f64,
    /// Until 99 of 100.
    pub(crate) most_heard_seconds: f64,
    /// Until all.
    pub(crate) all_heard_seconds: f64,
    /// The most agents that were heard for the first time within one second.
    pub(crate) busiest_second: usize,
    /// Processor seconds of the brain from its start until all were heard.
    pub(crate) brain_processor_seconds: f64,
    /// Calls of agents that failed after it answered again.
    pub(crate) failures_after: u64,
}

/// A day, compressed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Day {
    /// How long it took.
    pub(crate) seconds: f64,
    /// How late anything of it was begun at most.
    pub(crate) late_seconds: f64,
    /// Guests that were ordered, and until they ran.
    pub(crate) created: Times,
    /// Of those, the ones whose host did not lose power meanwhile.
    pub(crate) resized: usize,
    /// Guests that were rebooted.
    pub(crate) rebooted: usize,
    /// Guests that were cancelled.
    pub(crate) cancelled: usize,
    /// Machines that lost power and came back.
    pub(crate) hosts_lost: usize,
    /// Wishes that were refused.
    pub(crate) refused: usize,
    /// From the day's end until nothing was left to do.
    pub(crate) settled_seconds: f64,
    /// What it cost.
    pub(crate) cost: Cost,
}

/// All that was found out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SimulationFigures {
    /// What all of this is.
    pub(crate) simulated: &'static str,
    /// Gives the same orders again.
    pub(crate) seed: u64,
    /// `sqlite` or `postgres`.
    pub(crate) engine: &'static str,
    /// How many hosts.
    pub(crate) hosts: usize,
    /// How many guests were ordered at first.
    pub(crate) guests: usize,
    /// What else the machine did.
    pub(crate) load_before: Load,
    /// The brain before the first agent came, in MB.
    pub(crate) brain_mb_alone: f64,
    /// Joining.
    pub(crate) joining: Cost,
    /// All connected, no guest.
    pub(crate) idle: Option<Idle>,
    /// All guests as fast as they go.
    pub(crate) filling: Option<Orders>,
    /// Some more guests, one after the other.
    pub(crate) ordering: Option<Orders>,
    /// All connected, with all guests.
    pub(crate) idle_full: Option<Idle>,
    /// As many reports as there can be.
    pub(crate) reporting: Option<Reporting>,
    /// The brain killed and started again.
    pub(crate) recovery: Option<Recovery>,
    /// A day, compressed.
    pub(crate) day: Option<Day>,
    /// What must always hold.
    pub(crate) invariants: Vec<Finding>,
    /// What the brain complained of in its log.
    pub(crate) complaints: Vec<(usize, String)>,
    /// How long everything took.
    pub(crate) seconds: f64,
}

impl SimulationFigures {
    /// Whether everything held that must.
    pub(crate) fn sound(&self) -> Soundness {
        let broken = self.invariants.iter().filter(|finding| finding.broken > 0).count();
        if broken == 0 { Soundness::Sound } else { Soundness::Broken(broken) }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut parts = vec![format!(
            "{}: {} hosts, {} guests, {}; seed {}; {:.0} s in all; before: {}",
            self.simulated,
            self.hosts,
            self.guests,
            self.engine,
            self.seed,
            self.seconds,
            self.load_before.text()
        )];
        parts.push(self.orders_text());
        parts.push(self.cost_text());
        parts.extend(self.recovery.as_ref().map(Recovery::text));
        parts.extend(self.day.as_ref().map(Day::text));
        parts.push(self.invariants_text());
        if !self.complaints.is_empty() {
            let lines = self.complaints.iter().take(8).map(|(count, text)| format!("  {count} x {text}"));
            parts.push(format!("The brain's log complains:\n{}", lines.collect::<Vec<_>>().join("\n")));
        }
        parts.join("\n\n")
    }

    fn orders_text(&self) -> String {
        let mut rows = Vec::new();
        for (what, orders) in [("filling", &self.filling), ("one by one", &self.ordering)] {
            if let Some(orders) = orders {
                let clients = orders.clients;
                rows.push(orders.acknowledged.cells(&format!("{what}, {clients} at once: acknowledged")));
                rows.push(orders.running.cells(&format!("{what}, {clients} at once: running")));
            }
        }
        if let Some(day) = &self.day {
            rows.push(day.created.cells("within the day: running"));
        }
        let headings = ["from POST /v1/guests until", "guests", "p50", "p99", "longest"];
        let mut lines = vec![table(&headings, rows)];
        if let Some(orders) = &self.filling {
            lines.push(format!(
                "filling: {:.1} guests a second; {:.1} ms of the brain's processor for each",
                orders.guests_per_second, orders.brain_milliseconds_per_guest
            ));
        }
        lines.join("\n")
    }

    fn cost_text(&self) -> String {
        let row = |what: String, cost: &Cost| {
            vec![
                what,
                format!("{:.1} s", cost.seconds),
                format!("{:.1} s", cost.brain_processor_seconds),
                format!("{:.0} MB", cost.brain_mb),
                format!("{:.1} s", cost.agents_processor_seconds),
                format!("{:.0} MB", cost.agents_mb),
                format!("{:.0}", cost.reports_per_second()),
                cost.failures.to_string(),
            ]
        };
        let mut rows = vec![row(format!("joining {} hosts", self.hosts), &self.joining)];
        let idle = [&self.idle, &self.idle_full];
        for idle in idle.iter().copied().flatten() {
            rows.push(row(format!("idle, {} guests", idle.guests), &idle.cost));
        }
        rows.extend(self.filling.iter().map(|orders| row("filling".to_owned(), &orders.cost)));
        rows.extend(self.reporting.iter().map(|reporting| row("reporting".to_owned(), &reporting.cost)));
        rows.extend(self.day.iter().map(|day| row("a day".to_owned(), &day.cost)));
        let headings =
            ["", "took", "brain CPU", "brain RSS", "agents CPU", "agents RSS", "reports/s", "failed"];
        let mut lines = vec![table(&headings, rows)];
        for idle in idle.iter().copied().flatten() {
            lines.push(format!(
                "per 1,000 idle agents with {} guests: {:.2}% of a processor and {:.1} MB of the brain; {:.0} kB for each agent",
                idle.guests, idle.brain_processor_percent_per_1000, idle.brain_mb_per_1000, idle.agent_kb
            ));
        }
        if let Some(reporting) = &self.reporting {
            lines.push(format!(
                "reports that say something new: {:.0} a second held; {:.0} for each second of the brain's processor",
                reporting.reports_per_second, reporting.reports_per_brain_processor_second
            ));
        }
        lines.join("\n")
    }

    fn invariants_text(&self) -> String {
        let rows = self.invariants.iter().map(|finding| {
            let verdict = if finding.checked == 0 {
                "not looked at".to_owned()
            } else if finding.broken == 0 {
                "holds".to_owned()
            } else {
                format!("BROKEN {} times", finding.broken)
            };
            vec![finding.invariant.to_owned(), finding.checked.to_string(), verdict]
        });
        let mut lines = vec![table(&["what must always hold", "checked", ""], rows.collect())];
        for finding in &self.invariants {
            for example in &finding.examples {
                lines.push(format!("  {}: {example}", finding.invariant));
            }
        }
        lines.join("\n")
    }
}

/// Whether everything held that must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Soundness {
    /// It did.
    Sound,
    /// So many invariants were broken.
    Broken(usize),
}

impl Recovery {
    fn text(&self) -> String {
        format!(
            "The brain was killed and away for {:.1} s ({} hosts booted meanwhile). From its start it took {} to answer, {} until \
             half of the agents were heard, {} until 99%, {} until all (at most {} new ones in a second), with {:.1} s of its processor \
             and {} failed calls.",
            self.down_seconds,
            self.booted_meanwhile,
            shown(self.answering_seconds),
            shown(self.half_heard_seconds),
            shown(self.most_heard_seconds),
            shown(self.all_heard_seconds),
            self.busiest_second,
            self.brain_processor_seconds,
            self.failures_after
        )
    }
}

impl Day {
    fn text(&self) -> String {
        format!(
            "A day in {:.0} s: {} guests ordered, {} resized, {} rebooted, {} cancelled, {} refused; {} hosts died and came back. At most \
             it was {} late; everything was done {} after its end.",
            self.seconds,
            self.created.count,
            self.resized,
            self.rebooted,
            self.cancelled,
            self.refused,
            self.hosts_lost,
            shown(self.late_seconds),
            shown(self.settled_seconds)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let all = (1..=200).rev().map(Duration::from_secs).collect();
        assert_eq!(Times::of(all), Times { count: 200, p50: 100.0, p99: 198.0, max: 200.0 });
        assert_eq!(Times::of(Vec::new()), Times::default());
        let one = Times::of(vec![Duration::from_secs(3)]);
        assert_eq!((one.p50, one.p99, one.max), (3.0, 3.0, 3.0));
    }
}

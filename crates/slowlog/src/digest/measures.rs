//! What a number of events add up to. Everything here is added up in any order, with the same result.

use super::bursts::BURST;
use crate::event::{Event, Plan};
use crate::sketch::Sketch;
use serde::{Deserialize, Serialize};

/// Sum, least and most of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// The sum.
    pub sum: u64,
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
}

impl Default for Spread {
    fn default() -> Self {
        Self { sum: 0, min: u64::MAX, max: 0 }
    }
}

impl Spread {
    fn add(&mut self, value: u64) {
        self.merge(Self { sum: value, min: value, max: value });
    }

    fn merge(&mut self, other: Self) {
        self.sum = self.sum.saturating_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// What events add up to. Times are in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measures {
    /// How many.
    pub count: u64,
    /// How long they took.
    pub query_time: Spread,
    /// How long each took.
    pub query_times: Sketch,
    /// How long they waited for locks.
    pub lock_time: Spread,
    /// Rows given to clients.
    pub rows_sent: Spread,
    /// Rows read.
    pub rows_examined: Spread,
    /// Rows changed.
    pub rows_affected: Spread,
    /// Bytes given to clients.
    pub bytes_sent: Spread,
    /// The length of the statements.
    pub statement_bytes: Spread,
    /// How many made temporary tables.
    pub temporary_tables: u64,
    /// How many made them on disk.
    pub temporary_tables_on_disk: u64,
    /// How many read a whole table.
    pub full_scans: u64,
    /// How many joined without an index.
    pub full_joins: u64,
    /// How many sorted.
    pub sorts: u64,
    /// How many sorted on disk.
    pub sorts_on_disk: u64,
    /// When the first was, in microseconds since 1970.
    pub first_seen: Option<i64>,
    /// When the last was.
    pub last_seen: Option<i64>,
    /// How often one connection asked [`BURST`](super::BURST) of them or more within a second, with other values each time and hardly
    /// anything in between.
    pub bursts: u64,
    /// How many of them were asked so.
    pub events_in_bursts: u64,
    /// The most that were asked so in one second.
    pub largest_burst: u64,
}

impl Measures {
    /// One more event.
    pub fn add(&mut self, event: &Event<'_>) {
        self.count += 1;
        self.query_time.add(event.query_time);
        self.query_times.add(event.query_time);
        self.lock_time.add(event.lock_time);
        self.rows_sent.add(event.rows_sent);
        self.rows_examined.add(event.rows_examined);
        self.rows_affected.add(event.rows_affected);
        self.bytes_sent.add(event.bytes_sent);
        self.statement_bytes.add(event.statement.len() as u64);
        if event.plan != Plan::default() || event.temporary_tables > 0 {
            self.add_plan(event);
        }
        if let Some(time) = event.time {
            self.seen(Some(time), Some(time));
        }
    }

    fn add_plan(&mut self, event: &Event<'_>) {
        let on_disk = event.plan.has(Plan::TEMPORARY_TABLE_ON_DISK) || event.temporary_tables_on_disk > 0;
        self.temporary_tables +=
            u64::from(event.plan.has(Plan::TEMPORARY_TABLE) || event.temporary_tables > 0);
        self.temporary_tables_on_disk += u64::from(on_disk);
        self.full_scans += u64::from(event.plan.has(Plan::FULL_SCAN));
        self.full_joins += u64::from(event.plan.has(Plan::FULL_JOIN));
        self.sorts += u64::from(event.plan.has(Plan::SORT));
        self.sorts_on_disk += u64::from(event.plan.has(Plan::SORT_ON_DISK));
    }

    /// The last event was such an one of a connection's run.
    pub(super) fn add_to_burst(&mut self, run: u64) {
        match run {
            0..BURST => return,
            BURST => {
                self.bursts += 1;
                self.events_in_bursts += BURST;
            }
            _ => self.events_in_bursts += 1,
        }
        self.largest_burst = self.largest_burst.max(run);
    }

    fn seen(&mut self, first: Option<i64>, last: Option<i64>) {
        self.first_seen = [self.first_seen, first].into_iter().flatten().min();
        self.last_seen = self.last_seen.max(last);
    }

    /// All events of another one.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.query_time.merge(other.query_time);
        self.query_times.merge(&other.query_times);
        self.lock_time.merge(other.lock_time);
        self.rows_sent.merge(other.rows_sent);
        self.rows_examined.merge(other.rows_examined);
        self.rows_affected.merge(other.rows_affected);
        self.bytes_sent.merge(other.bytes_sent);
        self.statement_bytes.merge(other.statement_bytes);
        self.temporary_tables += other.temporary_tables;
        self.temporary_tables_on_disk += other.temporary_tables_on_disk;
        self.full_scans += other.full_scans;
        self.full_joins += other.full_joins;
        self.sorts += other.sorts;
        self.sorts_on_disk += other.sorts_on_disk;
        self.seen(other.first_seen, other.last_seen);
        self.bursts += other.bursts;
        self.events_in_bursts += other.events_in_bursts;
        self.largest_burst = self.largest_burst.max(other.largest_burst);
    }

    /// The query time of this rank, within [`Sketch::RELATIVE_ERROR`], and never beyond the least and the most.
    pub fn quantile(&self, quantile: f64) -> u64 {
        let found = self.query_times.quantile(quantile).unwrap_or(0);
        found.clamp(self.query_time.min.min(self.query_time.max), self.query_time.max)
    }

    /// The mean query time.
    pub fn mean(&self) -> u64 {
        self.query_time.sum / self.count.max(1)
    }

    /// Rows read for each one sent. None if none were read.
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub fn examined_for_each_sent(&self) -> Option<f64> {
        let examined = self.rows_examined.sum;
        (examined > 0).then(|| examined as f64 / self.rows_sent.sum.max(1) as f64)
    }
}

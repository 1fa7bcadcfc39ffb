//! Usage: what a guest was, from when to when, worked out of the event log.
//!
//! An [`Entry`] says what a guest is from an event on; intervals are what lies between. Nothing is stored, so nothing
//! can be counted twice: an interval is known by the event that began it, and a month's are the same whenever they are
//! asked for, once the month is over.
//!
//! A guest's usage ends when its deletion is asked for (or its grace period is over), not when its agent has carried
//! that out: what comes after is Honcho's own work.

use crate::{EventId, Timestamp};

/// What a guest is, as far as it costs something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// It is to run.
    Running,
    /// Its owner stopped it: memory, disk and addresses are kept for it.
    Stopped,
    /// Its account is suspended: the same is kept for it.
    Suspended,
    /// It is cancelled: its disk and its addresses are kept until its grace period ends.
    Cancelled,
}

impl State {
    /// The word used in the API and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Stopped => "stopped",
            State::Suspended => "suspended",
            State::Cancelled => "cancelled",
        }
    }
}

/// What is promised to a guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Size {
    /// Virtual processors.
    pub vcpus: i64,
    /// Memory in bytes.
    pub memory: i64,
    /// Disk in bytes.
    pub disk: i64,
    /// Addresses it holds.
    pub addresses: i64,
    /// Those of them that are public.
    pub public_addresses: i64,
}

/// What one guest is from an event on; `None` once it is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The event.
    pub event: EventId,
    /// When it was.
    pub at: Timestamp,
    /// What the guest is since.
    pub is: Option<(State, Size)>,
}

/// A span of time: from one moment up to another, which is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}

/// What a guest was for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The event that made it so; also of the parts of this interval in other windows.
    pub event: EventId,
    /// Since when, within the window.
    pub from: Timestamp,
    /// Until when, within the window.
    pub until: Timestamp,
    /// What it was.
    pub state: State,
    /// How big it was.
    pub size: Size,
}

/// The second in which a moment lies, counted from 1970.
fn second(at: Timestamp) -> i64 {
    at.0.div_euclid(1_000_000)
}

impl Interval {
    /// Whole seconds, counted from clock to clock: those of intervals that follow each other add up to exactly the
    /// seconds from the first to the last, in whatever months they lie.
    pub fn seconds(&self) -> i64 {
        second(self.until) - second(self.from)
    }
}

/// The intervals of one guest within `window`, in order. `entries` are those of that guest, oldest first: all of them,
/// or from the last before the window on. Entries that change nothing make no interval of their own, and time never
/// goes back: an entry of a clock that was set back counts from where the one before it stands.
pub fn intervals(entries: &[Entry], window: Window) -> Vec<Interval> {
    let mut found: Vec<Interval> = Vec::new();
    let mut current: Option<(EventId, Timestamp, (State, Size))> = None;
    let mut clock = Timestamp(i64::MIN);
    let mut close = |current: Option<(EventId, Timestamp, (State, Size))>, until: Timestamp| {
        let Some((event, from, (state, size))) = current else { return };
        let (from, until) = (from.max(window.from), until.min(window.until));
        if from < until {
            found.push(Interval { event, from, until, state, size });
        }
    };
    for entry in entries {
        clock = clock.max(entry.at);
        if current.map(|(_, _, is)| is) == entry.is {
            continue;
        }
        close(current, clock);
        current = entry.is.map(|is| (entry.event, clock, is));
        if entry.is.is_none() {
            // What is deleted does not come back.
            return found;
        }
    }
    close(current, Timestamp(i64::MAX));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(n: i64) -> Size {
        Size { vcpus: n, memory: n << 30, ..Size::default() }
    }

    /// A life: what it was from event to event, the pauses between, and whether it was deleted at last. Sometimes the
    /// clock is set back.
    fn life() -> impl Strategy<Value = Vec<Entry>> {
        let state = prop_oneof![
            Just(State::Running),
            Just(State::Stopped),
            Just(State::Suspended),
            Just(State::Cancelled)
        ];
        let step = (prop_oneof![9 => 0..9_000_000_i64, 1 => -5_000_000..0_i64], state, 1..4_i64);
        (0..20_000_000_i64, proptest::collection::vec(step, 1..20), any::<bool>()).prop_map(
            |(begun, steps, deleted)| {
                let mut at = begun;
                let mut entries: Vec<Entry> = Vec::new();
                for (number, (pause, state, vcpus)) in (1_i64..).zip(steps) {
                    at += if entries.is_empty() { 0 } else { pause };
                    entries.push(Entry {
                        event: EventId(number),
                        at: Timestamp(at),
                        is: Some((state, size(vcpus))),
                    });
                }
                if let (true, Some(last)) = (deleted, entries.last_mut()) {
                    last.is = None;
                }
                entries
            },
        )
    }

    /// Ten "months" of ten seconds each, which every life begins and ends within, and one for what lasts for ever.
    fn months() -> Vec<Window> {
        let month =
            |n: i64| Window { from: Timestamp(n * 10_000_000), until: Timestamp((n + 1) * 10_000_000) };
        (0..30).map(month).collect()
    }

    const EVER: Window = Window { from: Timestamp(0), until: Timestamp(300_000_000) };

    proptest! {
        #[test]
        fn intervals_follow_each_other_from_creation_to_deletion(entries in life()) {
            let found = intervals(&entries, EVER);
            prop_assert!(found.windows(2).all(|pair| pair[0].until == pair[1].from), "neither gap nor overlap");
            prop_assert!(found.iter().all(|interval| interval.from < interval.until));
            prop_assert!(found.windows(2).all(|pair| (pair[0].state, pair[0].size) != (pair[1].state, pair[1].size)
                || pair[0].event < pair[1].event));
            let begun = entries[0].at;
            // The latest that a clock showed up to its deletion.
            let ended = entries.iter().map(|entry| entry.at).max().unwrap();
            let deleted = entries.iter().any(|entry| entry.is.is_none());
            let ended = if deleted { ended } else { EVER.until };
            if let (Some(first), Some(last)) = (found.first(), found.last()) {
                prop_assert!(first.from >= begun && last.until == ended);
            } else {
                prop_assert!(entries[0].is.is_none() || begun == ended);
            }
            let total: i64 = found.iter().map(Interval::seconds).sum();
            if entries[0].is.is_some() {
                prop_assert_eq!(total, second(ended) - second(begun));
            }
        }

        #[test]
        fn months_add_up_and_each_is_a_part_of_the_whole(entries in life()) {
            let whole = intervals(&entries, EVER);
            let parts: Vec<Interval> = months().into_iter().flat_map(|month| intervals(&entries, month)).collect();
            let sum = |of: &[Interval]| of.iter().map(Interval::seconds).sum::<i64>();
            prop_assert_eq!(sum(&parts), sum(&whole));
            for interval in &whole {
                let own: Vec<Interval> =
                    parts.iter().filter(|part| part.event == interval.event).copied().collect();
                prop_assert_eq!(sum(&own), interval.seconds());
                prop_assert!(own.iter().all(|part| (part.state, part.size) == (interval.state, interval.size)));
            }
        }

        #[test]
        fn what_happens_later_changes_no_finished_month(entries in life(), keep in 1..20_usize) {
            let known = &entries[..keep.min(entries.len())];
            let now = known.iter().map(|entry| entry.at).max().unwrap();
            for month in months().into_iter().filter(|month| month.until <= now) {
                prop_assert_eq!(intervals(known, month), intervals(&entries, month));
            }
        }

        #[test]
        fn the_last_entry_before_a_month_is_enough_of_what_was_before(entries in life()) {
            for month in months() {
                let begins = entries.iter().position(|entry| entry.at >= month.from).unwrap_or(entries.len());
                let late = &entries[begins.saturating_sub(1)..];
                let shape = |found: Vec<Interval>| {
                    found.into_iter().map(|part| (part.from, part.until, part.state, part.size)).collect::<Vec<_>>()
                };
                prop_assert_eq!(shape(intervals(late, month)), shape(intervals(&entries, month)));
            }
        }
    }
}

//! How busy the machine is, out of `/proc/stat`: over a window and not at an instant, so that what is told is what lasts.
//!
//! What the kernel counts since its boot is read each time something is told; the share is of what was counted since the
//! oldest reading within the window. Nothing runs in between.

use honcho_wire::LoadObserved;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// What is told is over this long, or over as long as we have run.
const WINDOW: Duration = Duration::from_mins(1);

/// Over less, nothing is told: a process that starts is not what a host is like.
const LEAST: Duration = Duration::from_secs(10);

/// Processor time since the kernel's boot, in its ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ticks {
    whole: u64,
    idle: u64,
    waiting: u64,
}

/// Reads the first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal; a guest's time is counted in
/// user's (`proc_stat(5)`).
fn ticks(stat: &str) -> Option<Ticks> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let numbers: Vec<u64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
    let (idle, waiting) = (*numbers.get(3)?, *numbers.get(4)?);
    Some(Ticks { whole: numbers.iter().sum(), idle, waiting })
}

/// Readings within the window.
#[derive(Default)]
pub struct LoadMeter {
    readings: VecDeque<(Instant, Ticks)>,
}

impl LoadMeter {
    /// Reads, and says how busy the machine was since the oldest reading within the window; `None` while that is too short,
    /// or where the kernel tells nothing.
    pub fn read(&mut self, now: Instant) -> Option<LoadObserved> {
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
        self.note(now, ticks(&stat)?)
    }

    fn note(&mut self, now: Instant, ticks: Ticks) -> Option<LoadObserved> {
        self.readings.push_back((now, ticks));
        // The one before the window's beginning is kept: with it the window is full.
        while self.readings.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.readings.pop_front();
        }
        let (since, then) = *self.readings.front()?;
        let window = now.duration_since(since);
        if window < LEAST {
            return None;
        }
        let whole = ticks.whole.checked_sub(then.whole).filter(|whole| *whole > 0)?;
        // The kernel may take time back from iowait (`proc_stat(5)`).
        let (idle, waiting) =
            (ticks.idle.saturating_sub(then.idle), ticks.waiting.saturating_sub(then.waiting));
        let percent = |part: u64| u8::try_from((part * 100 + whole / 2) / whole).unwrap_or(100).min(100);
        Some(LoadObserved {
            busy_percent: percent(whole.saturating_sub(idle).saturating_sub(waiting)),
            io_wait_percent: percent(waiting),
            window_seconds: u32::try_from(window.as_secs()).unwrap_or(u32::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_read_and_nothing_else_is() {
        let stat = "cpu  10 1 9 70 10 0 0 0 5 0\ncpu0 1 2 3\nintr 7\n";
        assert_eq!(ticks(stat), Some(Ticks { whole: 100, idle: 70, waiting: 10 }));
        for bad in ["", "cpu 1 2 3", "cpu0 1 2 3 4 5", "cpu a b c d e"] {
            assert_eq!(ticks(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_told_is_what_the_last_minute_was_like() {
        let (mut meter, begun) = (LoadMeter::default(), Instant::now());
        let mut at = |seconds: u64, whole: u64, idle: u64, waiting: u64| {
            let told = meter.note(begun + Duration::from_secs(seconds), Ticks { whole, idle, waiting });
            told.map(|told| (told.busy_percent, told.io_wait_percent, told.window_seconds))
        };
        assert_eq!(at(0, 1000, 500, 0), None);
        assert_eq!(at(5, 1100, 550, 0), None, "too short");
        assert_eq!(at(20, 1400, 600, 100), Some((50, 25, 20)));
        assert_eq!(at(60, 2000, 1200, 100), Some((20, 10, 60)));
        // A minute later the first readings count no more.
        assert_eq!(at(80, 2400, 1600, 100), Some((0, 0, 60)));
        assert_eq!(at(81, 1300, 600, 100), None, "counted backwards, nothing is said");
    }
}

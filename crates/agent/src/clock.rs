//! Time as the agent keeps it: milliseconds since the host booted.
//!
//! Wall clocks jump, and what the agent remembers across its own restarts are pauses, not dates. So every remembered
//! moment goes with the boot id in which it was taken; in another boot it means nothing and the pause is over.

use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Milliseconds since the host booted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// This moment plus `duration`, saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Moment(self.0.saturating_add(millis(duration)))
    }

    /// How long after `earlier` this is; zero when it is before.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Whole milliseconds of a duration, saturating.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A pause that began in some boot of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The boot in which it began.
    pub boot_id: String,
    /// When it began.
    pub from: Moment,
    /// How long it is.
    pub milliseconds: u64,
}

impl Pause {
    /// When it ends, if it has not ended: a pause of another boot is over.
    pub fn ends(&self, boot_id: &str) -> Option<Moment> {
        (self.boot_id == boot_id).then(|| Moment(self.from.0.saturating_add(self.milliseconds)))
    }
}

/// A pause that doubles from `first` with each of `times` (from 1), up to `most`.
pub fn growing(first: Duration, times: u32, most: Duration) -> Duration {
    first.checked_mul(2_u32.saturating_pow(times.saturating_sub(1).min(24))).unwrap_or(most).min(most)
}

/// The clock of this machine. The one place that asks the operating system.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    uptime: Duration,
}

impl Clock {
    /// Reads `/proc/uptime` once; from then on the monotonic clock is enough.
    pub fn of_this_machine() -> std::io::Result<Self> {
        let text = std::fs::read_to_string("/proc/uptime")?;
        let seconds = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
        let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        let seconds =
            seconds.ok_or_else(|| std::io::Error::other("/proc/uptime does not start with a number"))?;
        Ok(Clock { started: Instant::now(), uptime: Duration::from_secs_f64(seconds) })
    }

    /// Now.
    pub fn now(&self) -> Moment {
        Moment(millis(self.uptime.saturating_add(self.started.elapsed())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_end_with_the_boot() {
        let pause = |times| growing(Duration::from_secs(2), times, Duration::from_mins(5)).as_secs();
        assert_eq!([1, 2, 3, 8, 9, 1000].map(pause), [2, 4, 8, 256, 300, 300]);
        let wait = Pause { boot_id: "a".into(), from: Moment(10), milliseconds: 5 };
        assert_eq!(wait.ends("a"), Some(Moment(15)));
        assert_eq!(wait.ends("b"), None);
    }
}

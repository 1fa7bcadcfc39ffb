//! Which run of its agent speaks for each host, and whether two do.
//!
//! An agent that restarts speaks with a new run id and the old one falls silent for good. Two agents on one
//! certificate (a cloned disk) take turns: a run that was retired a while ago speaks again. That is the sign. Shortly
//! after it was retired a run may still be heard without harm: a request of a killed agent can be read late.

use honcho_model::{HostId, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// How long after it was retired a run's late requests are merely ignored.
const LATE: Duration = Duration::from_secs(5);

/// Who speaks for each host.
#[derive(Clone, Default)]
pub(crate) struct Runs {
    hosts: Arc<Mutex<HashMap<HostId, Speakers>>>,
}

#[derive(Default)]
struct Speakers {
    current: Option<Uuid>,
    /// The digest that the store holds for the current run, so that a heartbeat need not ask it.
    digest: Option<String>,
    retired: HashMap<Uuid, Timestamp>,
}

/// What a run's speaking means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// It is the one.
    Rightly,
    /// It was replaced just now, and this is a late request of it.
    Late,
    /// It was replaced and goes on: there are two.
    Doubly(Uuid),
}

impl Runs {
    /// Notes that a run speaks for a host.
    pub(crate) fn speaks(&self, host: HostId, run: Uuid, now: Timestamp) -> Speaks {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let speakers = hosts.entry(host).or_default();
        match speakers.current {
            Some(current) if current == run => Speaks::Rightly,
            Some(current) => match speakers.retired.get(&run) {
                Some(at) if now.since(*at) > LATE => Speaks::Doubly(current),
                Some(_) => Speaks::Late,
                None => {
                    speakers.retired.insert(current, now);
                    speakers.current = Some(run);
                    speakers.digest = None;
                    Speaks::Rightly
                }
            },
            None => {
                speakers.current = Some(run);
                Speaks::Rightly
            }
        }
    }

    /// Notes what the store holds of a run's last observation.
    pub(crate) fn holds(&self, host: HostId, run: Uuid, digest: &str) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(speakers) = hosts.get_mut(&host)
            && speakers.current == Some(run)
        {
            speakers.digest = Some(digest.to_owned());
        }
    }

    /// Whether the store holds exactly what a heartbeat speaks of.
    pub(crate) fn is_held(&self, host: HostId, run: Uuid, digest: &str) -> bool {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let held =
            |speakers: &Speakers| speakers.current == Some(run) && speakers.digest.as_deref() == Some(digest);
        hosts.get(&host).is_some_and(held)
    }

    /// Forgets a host's runs: its agent has joined anew.
    pub(crate) fn forget(&self, host: HostId) {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).remove(&host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_no_clone_and_a_clone_is_found() {
        let runs = Runs::default();
        let (host, first, second) = (HostId(1), Uuid::from_u128(1), Uuid::from_u128(2));
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        assert_eq!(runs.speaks(host, first, at(0)), Speaks::Rightly);
        assert_eq!(runs.speaks(host, second, at(1)), Speaks::Rightly, "the agent was restarted");
        assert_eq!(runs.speaks(host, first, at(2)), Speaks::Late, "a request of the killed one, read late");
        assert_eq!(runs.speaks(host, second, at(30)), Speaks::Rightly);
        assert_eq!(runs.speaks(host, first, at(31)), Speaks::Doubly(second));
    }
}

//! Physical machines as the brain sees them.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A host that has not been heard for this long is silent. Three heartbeats of [`HEARTBEAT`] and some slack.
pub const SILENT_AFTER: Duration = Duration::from_secs(45);

/// How often an agent speaks when it has nothing to say.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// What a host is, derived from its rows and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostStatus {
    /// Added, but no agent has joined with its token yet.
    Waiting,
    /// Its agent spoke lately.
    Up,
    /// Its agent has not spoken for [`SILENT_AFTER`]. Says nothing about its guests.
    Silent,
    /// Two agents used its certificate: nothing starts or is deleted until an operator has it rejoined.
    Frozen,
}

impl HostStatus {
    /// The status of a host: whether it joined, whether it is frozen, and when it was last heard.
    pub fn of(joined: bool, frozen: bool, last_seen: Option<Timestamp>, now: Timestamp) -> Self {
        match (joined, frozen, last_seen) {
            (_, true, _) => HostStatus::Frozen,
            (false, ..) => HostStatus::Waiting,
            (true, _, Some(at)) if now.since(at) <= SILENT_AFTER => HostStatus::Up,
            (true, ..) => HostStatus::Silent,
        }
    }
    /// The word used in the API and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            HostStatus::Waiting => "waiting",
            HostStatus::Up => "up",
            HostStatus::Silent => "silent",
            HostStatus::Frozen => "frozen",
        }
    }
}

/// What a host is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// Runs guests. Placement looks at no other hosts.
    Hypervisor,
    /// Stands between networks.
    Firewall,
    /// Keeps other hosts' data.
    Storage,
    /// Builds images and packages.
    Builder,
}

impl Duty {
    /// Every duty.
    pub const ALL: [Duty; 4] = [Duty::Hypervisor, Duty::Firewall, Duty::Storage, Duty::Builder];

    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Duty::Hypervisor => "hypervisor",
            Duty::Firewall => "firewall",
            Duty::Storage => "storage",
            Duty::Builder => "builder",
        }
    }

    /// The duty whose word this is.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|duty| duty.as_str() == word)
    }
}

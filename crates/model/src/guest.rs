//! Guests: power, and the one table of rules from which their status comes.
//!
//! Status is derived, never stored. [`RULES`] is read from the top; the first rule whose conditions all hold gives
//! the status. [`status`] evaluates it over facts in memory; `store` renders the same table as an SQL `CASE`, so that
//! a list can be filtered by status. A property test in `store` holds the two equal.

use serde::{Deserialize, Serialize};

/// Whether a guest should run, or was seen running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// It runs.
    Running,
    /// It does not.
    Stopped,
}

impl Power {
    /// The word used in the store, the API and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Power::Running => "running",
            Power::Stopped => "stopped",
        }
    }
    /// The power whose word this is.
    pub fn parse(word: &str) -> Option<Self> {
        [Power::Running, Power::Stopped].into_iter().find(|power| power.as_str() == word)
    }
}

/// What a guest is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestStatus {
    /// It is gone; only history is left.
    Deleted,
    /// It is being removed from its host.
    Deleting,
    /// No host holds it yet.
    Pending,
    /// Its host is silent, so nobody knows.
    Unknown,
    /// Its host is frozen: nothing starts or is deleted there.
    Frozen,
    /// Its volume is missing or its pool is not what it should be: an alarm, never mended by making a new one.
    Damaged,
    /// A step failed and will be tried again.
    Failing,
    /// It was not made, and is not made until it is asked for again: somebody gave up on it.
    GivenUp,
    /// Its volume is being made.
    Building,
    /// It is stopped, and its disk is on its way to another host.
    Moving,
    /// It should run and does not yet.
    Starting,
    /// It runs, and a boot that was asked for is still to come.
    Rebooting,
    /// It runs.
    Running,
    /// It runs and should not.
    Stopping,
    /// It is cancelled; its disk is kept until the grace period ends.
    Cancelled,
    /// Its account is suspended: it is stopped, and may not start.
    Suspended,
    /// It is stopped, and its disk is still to grow.
    Resizing,
    /// It is stopped.
    Stopped,
}

impl GuestStatus {
    /// Every status.
    pub const ALL: [GuestStatus; 18] = {
        use GuestStatus::{
            Building, Cancelled, Damaged, Deleted, Deleting, Failing, Frozen, GivenUp, Moving, Pending,
            Rebooting, Resizing, Running, Starting, Stopped, Stopping, Suspended, Unknown,
        };
        [
            Deleted, Deleting, Pending, Unknown, Frozen, Damaged, Failing, GivenUp, Building, Moving,
            Starting, Rebooting, Running, Stopping, Cancelled, Suspended, Resizing, Stopped,
        ]
    };

    /// The word used in the API and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            GuestStatus::Deleted => "deleted",
            GuestStatus::Deleting => "deleting",
            GuestStatus::Pending => "pending",
            GuestStatus::Unknown => "unknown",
            GuestStatus::Frozen => "frozen",
            GuestStatus::Damaged => "damaged",
            GuestStatus::Failing => "failing",
            GuestStatus::GivenUp => "given_up",
            GuestStatus::Building => "building",
            GuestStatus::Moving => "moving",
            GuestStatus::Starting => "starting",
            GuestStatus::Rebooting => "rebooting",
            GuestStatus::Running => "running",
            GuestStatus::Stopping => "stopping",
            GuestStatus::Cancelled => "cancelled",
            GuestStatus::Suspended => "suspended",
            GuestStatus::Resizing => "resizing",
            GuestStatus::Stopped => "stopped",
        }
    }

    /// The status whose word this is.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// A yes-or-no fact that the rules ask about. `store` gives each its SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// The agent has reported it gone, or it never had a host.
    Deleted,
    /// Its grace period is over, or it was deleted at once.
    Deleting,
    /// It was cancelled.
    Cancelled,
    /// Its account is suspended.
    Suspended,
    /// It has a host.
    Placed,
    /// Its host has not been heard for [`crate::host::SILENT_AFTER`].
    HostSilent,
    /// Its host is frozen.
    HostFrozen,
    /// The agent reported its volume missing or its pool unusable.
    Damaged,
    /// The agent reported a failed step.
    Failing,
    /// Somebody gave up on what was asked of it last.
    GivenUp,
    /// Its volume has been seen complete.
    Built,
    /// It is being moved to another host.
    Moving,
    /// It should run (and is neither cancelled nor suspended).
    WantedRunning,
    /// It was last seen running.
    SeenRunning,
    /// A boot that was asked for has not been seen, and nobody gave up on it.
    BootDue,
    /// The agent had nothing left to do for the current generation.
    Settled,
}

impl Fact {
    /// Every fact, in the order of [`Facts`].
    pub const ALL: [Fact; 16] = {
        use Fact::{
            BootDue, Built, Cancelled, Damaged, Deleted, Deleting, Failing, GivenUp, HostFrozen, HostSilent,
            Moving, Placed, SeenRunning, Settled, Suspended, WantedRunning,
        };
        [
            Deleted,
            Deleting,
            Cancelled,
            Suspended,
            Placed,
            HostSilent,
            HostFrozen,
            Damaged,
            Failing,
            GivenUp,
            Built,
            Moving,
            WantedRunning,
            SeenRunning,
            BootDue,
            Settled,
        ]
    };
}

/// The facts that hold for one guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(std::collections::BTreeSet<u8>);

impl Facts {
    /// These facts with `fact` set to `holds`.
    #[must_use]
    pub fn with(mut self, fact: Fact, holds: bool) -> Self {
        if holds {
            self.0.insert(fact as u8);
        } else {
            self.0.remove(&(fact as u8));
        }
        self
    }
    /// Whether `fact` holds.
    pub fn holds(&self, fact: Fact) -> bool {
        self.0.contains(&(fact as u8))
    }
}

/// A condition of a rule.
#[derive(Clone, Copy, Debug)]
pub enum Condition {
    /// The fact holds.
    Is(Fact),
    /// It does not.
    Not(Fact),
}

/// Conditions that must all hold, and the status they give.
pub type Rule = (&'static [Condition], GuestStatus);

/// The rules, most urgent first. The last has no condition, so that there always is a status.
pub const RULES: &[Rule] = {
    use Condition::{Is, Not};
    use Fact as F;
    use GuestStatus as S;
    &[
        (&[Is(F::Deleted)], S::Deleted),
        (&[Is(F::Deleting)], S::Deleting),
        (&[Not(F::Placed)], S::Pending),
        (&[Is(F::HostFrozen)], S::Frozen),
        (&[Is(F::HostSilent)], S::Unknown),
        (&[Is(F::Damaged)], S::Damaged),
        (&[Is(F::Failing)], S::Failing),
        (&[Is(F::Cancelled), Is(F::SeenRunning)], S::Stopping),
        (&[Is(F::Cancelled)], S::Cancelled),
        (&[Not(F::Built), Is(F::GivenUp)], S::GivenUp),
        (&[Not(F::Built)], S::Building),
        (&[Is(F::Moving), Is(F::SeenRunning)], S::Stopping),
        (&[Is(F::Moving)], S::Moving),
        (&[Is(F::WantedRunning), Is(F::SeenRunning), Is(F::BootDue)], S::Rebooting),
        (&[Is(F::WantedRunning), Is(F::SeenRunning)], S::Running),
        (&[Is(F::WantedRunning)], S::Starting),
        (&[Is(F::SeenRunning)], S::Stopping),
        (&[Is(F::Suspended)], S::Suspended),
        (&[Not(F::Settled)], S::Resizing),
        (&[], S::Stopped),
    ]
};

/// The status that the facts give.
pub fn status(facts: &Facts) -> GuestStatus {
    let holds = |condition: &Condition| match *condition {
        Condition::Is(fact) => facts.holds(fact),
        Condition::Not(fact) => !facts.holds(fact),
    };
    RULES
        .iter()
        .find(|(conditions, _)| conditions.iter().all(holds))
        .map_or(GuestStatus::Stopped, |(_, status)| *status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(facts: &[Fact], expected: GuestStatus) {
        let facts = facts.iter().fold(Facts::default(), |facts, fact| facts.with(*fact, true));
        assert_eq!(status(&facts), expected, "{facts:?}");
    }

    #[test]
    fn a_guest_from_order_to_grave() {
        use Fact::*;
        check(&[WantedRunning], GuestStatus::Pending);
        check(&[Placed, WantedRunning], GuestStatus::Building);
        check(&[Placed, GivenUp], GuestStatus::GivenUp);
        check(&[Placed, GivenUp, Built, Settled], GuestStatus::Stopped);
        check(&[Placed, WantedRunning, Built], GuestStatus::Starting);
        check(&[Placed, WantedRunning, Built, SeenRunning, Settled], GuestStatus::Running);
        check(&[Placed, WantedRunning, Built, SeenRunning, BootDue], GuestStatus::Rebooting);
        check(&[Placed, WantedRunning, Built, Failing], GuestStatus::Failing);
        check(&[Placed, WantedRunning, Built, SeenRunning, HostSilent], GuestStatus::Unknown);
        check(&[Placed, Built, WantedRunning, Moving, SeenRunning], GuestStatus::Stopping);
        check(&[Placed, Built, WantedRunning, Moving], GuestStatus::Moving);
        check(&[Placed, Built, Cancelled, Moving], GuestStatus::Cancelled);
        check(&[Placed, Built, SeenRunning], GuestStatus::Stopping);
        check(&[Placed, Built, Settled], GuestStatus::Stopped);
        check(&[Placed, Built, Suspended, SeenRunning], GuestStatus::Stopping);
        check(&[Placed, Built, Suspended, Settled], GuestStatus::Suspended);
        check(&[Placed, Built, Suspended, Cancelled, Settled], GuestStatus::Cancelled);
        check(&[Placed, Built, Cancelled, Settled], GuestStatus::Cancelled);
        check(&[Placed, Built, Cancelled, Deleting], GuestStatus::Deleting);
        check(&[Placed, Deleting, Deleted], GuestStatus::Deleted);
    }

    #[test]
    fn every_status_but_by_name_is_reachable() {
        for status in GuestStatus::ALL {
            assert_eq!(GuestStatus::parse(status.as_str()), Some(status));
            assert!(RULES.iter().any(|(_, given)| *given == status), "{status:?} has no rule");
        }
    }
}

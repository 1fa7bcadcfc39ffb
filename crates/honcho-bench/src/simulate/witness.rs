//! What the three witnesses of a simulation say: machines, brain and customers.

use super::ledger::Entry;
use honcho_model::operation::{OperationKind, OperationState};
use honcho_model::{Bytes, GuestId, HostId};
use honcho_store::Cursor;
use std::collections::HashMap;
use std::time::Duration;

/// All that is known of what happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// What happened on the machines, in order.
    pub(crate) ledger: Vec<Entry>,
    /// What each machine has of memory for guests, and of disk.
    pub(crate) machines: HashMap<HostId, (Bytes, Bytes)>,
    /// What the brain acknowledged, in order.
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// The event log, in order.
    pub(crate) events: Vec<SeenEvent>,
    /// Every operation.
    pub(crate) operations: Vec<SeenOperation>,
    /// Every guest at the end, the deleted ones too.
    pub(crate) guests: Vec<SeenGuest>,
    /// When there was no brain: from when it was killed until it answered again.
    pub(crate) outages: Vec<(Duration, Duration)>,
}

/// What the brain said yes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    /// Of which guest.
    pub(crate) guest: GuestId,
    /// The operation that it answered with.
    pub(crate) operation: i64,
    /// What was asked for.
    pub(crate) what: Asked,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A guest with this much memory.
    Create(Bytes),
    /// This much memory for it.
    Resize(Bytes),
    /// A reboot.
    Reboot,
    /// That it goes, now or after the grace period.
    Cancel,
}

/// An event, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenEvent {
    /// Where it stands in the log. Ids alone tell no order: on PostgreSQL they are given before the commit.
    pub(crate) place: Cursor,
    /// What kind it is of.
    pub(crate) kind: String,
    /// The id of what it is about.
    pub(crate) resource: i64,
    /// The addresses that it says its guest has.
    pub(crate) addresses: Vec<String>,
}

/// An operation, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenOperation {
    /// Its id.
    pub(crate) id: i64,
    /// Its guest.
    pub(crate) guest: GuestId,
    /// What was asked for.
    pub(crate) kind: OperationKind,
    /// What became of it.
    pub(crate) state: OperationState,
}

/// A guest at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenGuest {
    /// Its id.
    pub(crate) id: GuestId,
    /// Its name, which no other ever had.
    pub(crate) name: String,
    /// Its host.
    pub(crate) host: Option<HostId>,
    /// Its memory.
    pub(crate) memory: Bytes,
    /// How many boots were asked for in its life.
    pub(crate) boots: u64,
    /// Whether it should run, and whether the brain says that it does.
    pub(crate) standing: Standing,
}

/// What a guest is at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is wanted running, and said to run.
    Runs,
    /// It is wanted running, and said not to.
    ShouldRun,
    /// It is cancelled or stopped.
    Off,
    /// It is deleted.
    Gone,
}

//! Operations: what a person watches until it ends.

use serde::{Deserialize, Serialize};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// A guest is made, and started if it should run.
    Create,
    /// A stopped guest is started.
    Start,
    /// A guest is stopped.
    Stop,
    /// A running guest is stopped and started.
    Reboot,
    /// Memory, vCPUs or disk change.
    Resize,
    /// The name changes.
    Rename,
    /// Something else of it changes.
    Update,
    /// It goes to another host.
    Move,
    /// Its account is suspended, so it stops and may not start.
    Suspend,
    /// That ends: it starts, if it should run.
    Unsuspend,
    /// The guest is stopped, and deleted when its grace period ends.
    Cancel,
    /// A cancelled guest is taken back.
    Restore,
    /// The guest is deleted now.
    Delete,
}

/// Which desired facts an operation speaks about; a newer one on the same aspect supersedes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// Whether it exists at all.
    Existence,
    /// Whether it runs.
    Power,
    /// Whether it may run.
    Leave,
    /// Where it is.
    Place,
    /// How big it is.
    Size,
    /// What it is called, and the rest.
    Other,
}

impl OperationKind {
    /// Every kind.
    pub const ALL: [OperationKind; 13] = {
        use OperationKind::{
            Cancel, Create, Delete, Move, Reboot, Rename, Resize, Restore, Start, Stop, Suspend, Unsuspend,
            Update,
        };
        [
            Create, Start, Stop, Reboot, Resize, Rename, Update, Move, Suspend, Unsuspend, Cancel, Restore,
            Delete,
        ]
    };

    /// The word used in the store, the API and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            OperationKind::Create => "create",
            OperationKind::Start => "start",
            OperationKind::Stop => "stop",
            OperationKind::Reboot => "reboot",
            OperationKind::Resize => "resize",
            OperationKind::Rename => "rename",
            OperationKind::Update => "update",
            OperationKind::Move => "move",
            OperationKind::Suspend => "suspend",
            OperationKind::Unsuspend => "unsuspend",
            OperationKind::Cancel => "cancel",
            OperationKind::Restore => "restore",
            OperationKind::Delete => "delete",
        }
    }

    /// The kind whose word this is.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What it speaks about.
    pub fn aspect(self) -> Aspect {
        match self {
            OperationKind::Create
            | OperationKind::Cancel
            | OperationKind::Restore
            | OperationKind::Delete => Aspect::Existence,
            OperationKind::Start | OperationKind::Stop | OperationKind::Reboot => Aspect::Power,
            OperationKind::Suspend | OperationKind::Unsuspend => Aspect::Leave,
            OperationKind::Resize => Aspect::Size,
            OperationKind::Move => Aspect::Place,
            OperationKind::Rename | OperationKind::Update => Aspect::Other,
        }
    }

    /// Whether it ends with the guest running, booted anew or stopped because somebody asked for that.
    pub fn wants_power(self) -> bool {
        matches!(
            self,
            OperationKind::Create
                | OperationKind::Start
                | OperationKind::Stop
                | OperationKind::Reboot
                | OperationKind::Restore
                | OperationKind::Unsuspend
        )
    }

    /// Whether asking for `self` ends an open `earlier` of the same guest as superseded. Two reboots do not: waiting
    /// reboots are one, and one act fulfils both. Cancelling and deleting end everything.
    pub fn supersedes(self, earlier: OperationKind) -> bool {
        match self {
            // A cancelled guest's disk goes on to where it is to be.
            OperationKind::Cancel => earlier != OperationKind::Move,
            OperationKind::Delete => true,
            OperationKind::Restore => earlier == OperationKind::Cancel,
            // It starts nothing while it is suspended; stopping it goes on.
            OperationKind::Suspend => {
                earlier.aspect() == Aspect::Leave
                    || matches!(earlier, OperationKind::Start | OperationKind::Reboot)
            }
            OperationKind::Unsuspend => earlier.aspect() == Aspect::Leave,
            OperationKind::Start | OperationKind::Stop => earlier.aspect() == Aspect::Power,
            OperationKind::Resize => earlier == OperationKind::Resize,
            OperationKind::Create
            | OperationKind::Reboot
            | OperationKind::Rename
            | OperationKind::Update
            | OperationKind::Move => false,
        }
    }
}

/// How an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Desired and observed do not agree yet.
    Open,
    /// They agree.
    Done,
    /// Something newer was asked for instead.
    Superseded,
    /// A person gave up on it.
    Abandoned,
    /// It cannot be done.
    Refused,
}

impl OperationState {
    /// Every state.
    pub const ALL: [OperationState; 5] = {
        use OperationState::{Abandoned, Done, Open, Refused, Superseded};
        [Open, Done, Superseded, Abandoned, Refused]
    };

    /// The word used in the store, the API and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            OperationState::Open => "open",
            OperationState::Done => "done",
            OperationState::Superseded => "superseded",
            OperationState::Abandoned => "abandoned",
            OperationState::Refused => "refused",
        }
    }

    /// The state whose word this is.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

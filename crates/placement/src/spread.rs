//! Spreading guests that are placed already: the state, its score kept up to date move by move, and the search.
//!
//! The score is Ganeti's (src/Ganeti/HTools/Cluster/Metrics.hs and MetricsComponents.hs of version 3.0.2): weighted
//! standard deviations over the hosts that are on, and weighted sums. Of each component only the sum and the sum of
//! squares are kept, so that a move is judged in constant time, however large the fleet; hbal judges one in time that
//! grows with the fleet. `docs/design/0004-placement.md` says more.

mod members;
mod order;
mod score;
mod search;
mod state;
mod steepest;
mod trial;

pub use members::{Movable, Online, SpreadGuest, SpreadHost};
pub use order::Step;
pub(crate) use score::Moments;
pub(crate) use search::lowest;
pub use search::{Limits, Outcome, balance};
pub use state::{Compare, Spread};

/// A host's place in [`Spread::hosts`].
pub type HostIndex = u32;

/// A guest's place in [`Spread::guests`].
pub type GuestIndex = u32;

/// Where a guest is: the host that runs it, and the one that holds its mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Runs it.
    pub primary: HostIndex,
    /// Holds the copy of its disk from which it could be started (Ganeti's drbd).
    pub secondary: Option<HostIndex>,
}

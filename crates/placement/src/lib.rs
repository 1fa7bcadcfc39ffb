//! Where guests go: a fleet and a request make a decision, and every host hears why.
//!
//! Owns: the filters and scores of placing, the check that every host's guests could be restarted elsewhere (N+1),
//! capacity, balancing, the planning of a drain, and Ganeti's text files, so that both can be run on one file. Pure: no
//! clock, no randomness, no I/O; the same input gives the same decision. Reserving what was decided is the store's.
//!
//! ```text
//!  Fleet --- place ------> Decision   each host: refused by which filter, or scored how
//!    |------ capacity ---> Capacity   how many more of a size, and what runs out
//!    |------ survive ----> the hosts whose loss would strand guests
//!    |------ heat -------> how full each host is
//!    |------ drain ------> moves
//!    '------ balance ----.
//!                        v
//!  ganeti::Cluster --> spread::Spread --> moves, each step legal, the score after each
//! ```
#![forbid(unsafe_code)]

mod balance;
mod capacity;
mod drain;
mod filter;
mod fleet;
pub mod ganeti;
mod heat;
mod place;
pub mod spread;
mod survive;
mod tallies;

pub use balance::{Balance, Move, balance};
pub use capacity::{Capacity, Loss, MOST_COUNTED, capacity, if_lost};
pub use drain::{Drain, drain};
pub use filter::{Domain, Filter, Refusal, unfit};
pub use fleet::{
    Alike, Capability, ClusterRole, Draining, Fleet, Guest, Holds, Host, HostLoad, NPlusOne, Pool, Reach,
    Request, Rules, Sums, Told,
};
pub use heat::{Heat, heat};
pub use honcho_model::ClusterId;
pub use place::{Choice, Decision, Impossible, Score, Verdict, place, place_all};
pub use survive::{stranded, stranded_more};

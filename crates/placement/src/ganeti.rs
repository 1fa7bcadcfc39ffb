//! Ganeti's clusters: the text files of its htools, read and written, and its own score of them.
//!
//! What is not understood is refused by name rather than left out of the score: node groups beside the chosen one are
//! not (hbal looks at one at a time), location tags are. What a line holds beside what a move changes is written back
//! as it was read.

mod cluster;
mod fleet;
mod read;
mod write;

pub use cluster::{
    AutoBalance, Cluster, DiskTemplate, Group, GroupError, GroupSpread, Instance, InstanceStatus, Node,
    NodeState, Policy,
};
pub use read::{ReadError, read};
pub use write::write;

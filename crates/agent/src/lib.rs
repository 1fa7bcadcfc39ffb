//! The agent: compares what should be on this host with what is, and does the difference.
//!
//! [`converge`] decides and is pure; [`agent`] is the loop around it; [`drivers`] are the hands it needs. It remembers
//! nothing but its [`journal`]: kill it at any instant and the next look continues.
#![forbid(unsafe_code)]

pub mod accept;
pub mod agent;
pub mod brain;
pub mod capture;
pub mod clock;
pub mod converge;
mod converge_guest;
mod converge_moves;
pub mod drivers;
mod durable;
mod failpoints;
pub mod identity;
pub mod join;
pub mod journal;
pub mod journal_file;
pub mod load;
pub mod machine;
pub mod memory;
pub mod movers;
pub mod network;
pub mod observation;
pub mod observed;
pub mod perform;
pub mod plan;
mod poller;
pub mod renewal;
pub mod reporter;
pub mod sampling;
pub mod simulated;
pub mod storage;
mod streams;
pub mod tls;

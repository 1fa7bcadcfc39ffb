//! The agent: compares what should be on this host with what is, and does the difference.
#![forbid(unsafe_code)]

pub mod drivers;

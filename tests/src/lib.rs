//! What the end-to-end tests stand on: a machine room made of namespaces, in which real brains, agents and guests run.
#![forbid(unsafe_code)]

pub mod agent;
pub mod brain;
pub mod browser;
pub mod bucket;
pub mod debian;
pub mod lab;
pub mod neighbour;
pub mod programs;
pub mod real;
pub mod slow_logs;
pub mod world;

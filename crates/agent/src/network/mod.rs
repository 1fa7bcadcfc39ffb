//! How guests are connected, in earnest: a Linux bridge per network, NAT by nftables.

pub mod bridge;
mod commands;
mod forwarding;
pub mod nat;
mod subnets;
#[cfg(test)]
mod tests;

pub use bridge::{BridgeNetwork, wipe};

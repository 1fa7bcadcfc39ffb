//! How guests are connected, in earnest: a Linux bridge per network, NAT by nftables.

pub mod bridge;
mod commands;
pub mod nat;
#[cfg(test)]
mod tests;

pub use bridge::{BridgeNetwork, wipe};

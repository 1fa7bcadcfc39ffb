//! Real storage, one file for each kind of pool.
//!
//! [`directory`] keeps raw files in a directory. What every kind needs is beside it: who a guest is and how that gets
//! into its filesystem ([`identity`]), and how its kernel is read out of it again ([`boot_files`]). Nothing here mounts
//! a guest's filesystem.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::print_stdout,
        reason = "a test that cannot go on has failed, and says why it was skipped"
    )
)]

pub mod boot_files;
mod capture;
mod clone;
pub mod directory;
mod grow;
mod guest_filesystem;
pub mod identity;
mod image_cache;
mod layout;
mod lock;
mod marker;

pub use directory::DirectoryStorage;

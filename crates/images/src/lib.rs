//! Images: from a recipe to a sealed tarball, and from the tarball to a filesystem.
//!
//! ```text
//!   recipe.toml --build--> NAME-DIGEST.tar.zst --BlobStore--> blobs/sha256/DIGEST
//!                                                                  |
//!                            ext4 filesystem in a file <--unpack---+   (on another machine, while it streams)
//!                            files in a directory <-----directory--'   (by hand, of what was sealed here)
//! ```
//!
//! An image is a tarball: no partition table, no boot loader, nothing of one guest. It is named by the SHA-256 of its
//! compressed bytes, and whoever reads it checks them. Nothing here mounts a filesystem or unpacks a stranger's
//! archive into a directory, so no path in it can climb out.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::print_stdout,
        reason = "a test that cannot go on has failed, and says why it was skipped"
    )
)]

mod attributes;
pub mod blob_store;
pub mod build;
mod checksums;
mod debian;
mod debootstrap;
pub mod directory;
mod error;
mod feed;
pub mod import;
mod mmdebstrap;
pub mod package;
pub mod packages;
pub mod partial;
pub mod recipe;
mod seal;
pub mod sealing;
pub mod signing;
mod staging;
pub mod tool;
pub mod unpack;

pub use blob_store::{BlobError, BlobStore};
pub use build::{SealedImage, build};
pub use debian::{Package, parse_dpkg_status};
pub use error::ImageError;
pub use recipe::{Recipe, RecipeError};
pub use seal::{Facts, Inspected, inspect};

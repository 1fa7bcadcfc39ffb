//! The brain: decides, records, explains and watches.
//!
//! ```text
//!   people, programs --HTTP--> http/      extract, one operation, convert
//!                              operations/   what can be asked for, one file each
//!   browsers --HTTP----------> panel/     pages; the same operations
//!   agents --mutual TLS------> agents/    manifest, report, blobs, renewal, streams
//!                              controllers/  loops that act when only time has passed
//!                              honcho-store  everything it remembers
//! ```
//!
//! Knows no libvirt and never links the agent: the two meet in `honcho-wire`. Clock and randomness come in as
//! [`Outside`], so that a day can be simulated in a minute.
#![forbid(unsafe_code)]

mod agents;
mod app;
mod apt;
mod archive;
mod authority;
mod backup;
mod controllers;
mod credentials;
mod database_move;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod installed;
mod listening;
mod liveness;
mod load;
mod operations;
mod outside;
mod panel;
mod passwords;
mod placing;
mod post;
mod reviewing;
mod runs;
mod serve;
mod shared;
mod slow;
mod streams;
mod tables;
mod uploads;
mod watching;
mod webhooks;

pub use archive::ArchiveKeep;
pub use backup::{
    BackedUp, BackupManifest, BackupOptions, BlobListed, Blobs, Existing, Extent, MissingBlob, Part,
    RestoreOptions, Restored, Told, back_up, restore,
};
pub use database_move::move_database;
pub use honcho_store::Engine;
pub use honcho_store::moving::TableMoved;
pub use http::openapi_json;
pub use operations::{described, manifest_of, packages};
pub use outside::Outside;
pub use placing::{USUAL_RULES, VCPUS_PER_CPU};
pub use serve::{ServeOptions, database_in, serve};
pub use slow::{SlowOptions, mail_address};
pub use uploads::LARGEST_IMAGE;

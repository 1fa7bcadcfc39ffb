//! The store on real SQLite files: what its callers rely on, one `check` per feature.
#![allow(clippy::unwrap_used, missing_docs)]
// expect-test writes its snapshots this way.
#![allow(clippy::needless_raw_string_hashes)]

mod addressing;
mod listing;
mod manifesting;
mod operating;
mod reporting;
mod status_rows;
mod world;
mod writing;

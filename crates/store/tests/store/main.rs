//! The store on SQLite files and on PostgreSQL: what its callers rely on, one `check` per feature.
#![allow(clippy::unwrap_used, missing_docs)]
// expect-test writes its snapshots this way.
#![allow(clippy::needless_raw_string_hashes)]

mod addressing;
mod copying;
mod hearing;
mod listing;
mod loading;
mod manifesting;
mod moving;
mod multiplying;
mod operating;
mod pages;
mod reporting;
mod searching;
mod sharing;
mod status_rows;
mod telling;
mod world;
mod writing;

/// Tests named so are about SQLite's files.
#[test]
fn all_of_it_on_postgres() {
    honcho_test_postgres::run_again("", &["all_of_it_on_postgres", "sqlite_"]);
}

//! Slow logs of `MySQL`, `MariaDB` and Percona Server: events, fingerprints, and what they add up to.
//!
//! Owns: where an event begins and ends ([`Log`]), what its header says ([`Event`]), what is left of a statement without
//! its values ([`Fingerprinter`], byte for byte as pt-query-digest), its id ([`QueryId`]), and what could be better about it ([`advise`]). Pure: bytes
//! come in, it opens nothing, has no clock and no randomness, and borrows rather than allocates. It must never take one
//! customer's text for another's event, never need more memory for a longer log, and never take more than linear steps.
//!
//! ```text
//!  bytes -> Log -> Batch -> Event -> Fingerprinter -> Digest -> merged with those of other threads and hours
//! ```
#![forbid(unsafe_code)]

mod advice;
pub mod compare;
mod digest;
mod event;
mod fingerprint;
mod frame;
mod identifier;
mod log;
mod logging;
mod number;
mod quoting;
mod redact;
mod sketch;

pub use advice::{
    Advice, Confidence, IndexCandidate, LONGEST_STATEMENT, Rule, Table, advise, advise_on_bursts, tables,
};
pub use digest::{
    BURST, By, Class, Digest, Measures, Period, Resolution, Sample, Samples, Settings, Share, Spread,
};
pub use event::{Event, Plan};
pub use fingerprint::{Checksums, Dialect, Fingerprinter, Numbers, Quoting};
pub use frame::{Ending, Extent, Identity, Kind};
pub use identifier::QueryId;
pub use log::{Batch, Log, Reading, State};
pub use logging::Logging;
pub use redact::redact;
pub use sketch::Sketch;
